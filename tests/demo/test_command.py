"""
Tests of C{txcarp demo} as a whole, in a process of its own.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessTerminated
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import SkipTest, SynchronousTestCase, TestCase

from tests.testbed.fixture import until
from txcarp.demo.command import main
from txcarp.testbed import unavailable


class _Run(ProcessProtocol):
    """
    One run of the command.
    """

    def __init__(self) -> None:
        self.output = ""
        self.ended: Deferred[int] = Deferred()

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        self.output += data.decode()

    def processEnded(self, reason: Failure) -> None:
        error = reason.value
        killed = isinstance(error, ProcessTerminated) and error.signal is not None
        self.ended.callback(-error.signal if killed else error.exitCode)


class CommandTests(TestCase):
    """
    Tests with real daemons.
    """

    # Seconds; it takes 20, or many more where others keep the machine busy.
    timeout = 240

    def setUp(self) -> None:
        reason = unavailable()
        if reason is not None:
            raise SkipTest(reason)
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()

    def start(self, *arguments: str, terminal: bool = False) -> _Run:
        from twisted.internet import reactor

        run = _Run()
        spawner: Any = reactor
        spawner.spawnProcess(
            run,
            sys.executable,
            [sys.executable, "-m", "txcarp.console", "demo", *arguments],
            env={**os.environ, "TMPDIR": str(self.directory), "TERM": "xterm", "NO_COLOR": ""},
            path=str(Path(__file__).parents[2]),
            usePTY=terminal,
        )
        self.addCleanup(self.kill, run)
        return run

    def kill(self, run: _Run) -> Deferred[int] | None:
        if not run.ended.called:
            assert run.transport is not None
            run.transport.signalProcess("KILL")
            return run.ended
        return None

    def daemons(self) -> list[Path]:
        """
        The processes that were started for files in the test's directory.
        """
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if str(self.directory).encode() in (process / "cmdline").read_bytes():
                    found.append(process)
            except OSError:
                pass  # it ended meanwhile
        return found

    async def test_handOvers(self) -> None:
        """
        Both hand-overs are seen and measured, and nothing is left behind.
        """
        run = self.start("--once", f"--keep-logs={self.directory / 'logs'}")
        status = await run.ended
        self.assertEqual(status, 0, run.output)
        labels = re.findall(r"^ *[0-9.]+  (\S+(?: \S+)?) ", run.output, re.MULTILINE)
        self.assertEqual(labels.count("take-over"), 2, run.output)
        self.assertEqual(labels.count("silence"), 2, run.output)
        self.assertIn("bow-out", labels)
        self.assertRegex(run.output, r"planned stop +[0-9.]+ m?s +(at most )?[0-9.]+ m?s")
        self.assertEqual(self.daemons(), [])
        logs = self.directory / "logs"
        self.assertEqual(list(self.directory.iterdir()), [logs])
        self.assertIn("MASTER", (logs / "alpha.log").read_text())

    async def interrupted(self, run: _Run, interrupt: Callable[[Any], object]) -> int:
        from twisted.internet import reactor

        await until(lambda: len(self.daemons()) == 2)
        namespaces = {os.readlink(daemon / "ns/net") for daemon in self.daemons()}
        self.assertEqual(len(namespaces), 2)
        interrupt(run.transport)
        status = await run.ended
        # The kernel ends what died with the command, in its own time.
        clock: Any = reactor
        for _ in range(100):
            if not self.daemons():
                break
            await deferLater(clock, 0.1)
        self.assertEqual(self.daemons(), [])
        return status

    async def test_controlC(self) -> None:
        """
        Ctrl-C on a terminal ends it with status 130, shows the cursor again, and leaves
        no process and no file.
        """
        run = self.start(terminal=True)
        status = await self.interrupted(run, lambda transport: transport.write(b"\x03"))
        self.assertEqual(status, 130, run.output)
        self.assertIn("nobody is master", run.output)
        self.assertIn("\x1b[?25h", run.output.rpartition("nobody is master")[2])
        self.assertIn("nothing is left behind", run.output)
        self.assertEqual(list(self.directory.iterdir()), [])

    async def test_closedTerminal(self) -> None:
        """
        So does a terminal that is closed, though nothing can be shown then.
        """
        run = self.start(terminal=True)
        status = await self.interrupted(run, lambda transport: transport.loseConnection())
        self.assertEqual(status, 129)
        self.assertEqual(list(self.directory.iterdir()), [])

    async def test_signals(self) -> None:
        """
        So does each signal that ends a program.
        """
        run = self.start("--once")
        status = await self.interrupted(run, lambda transport: transport.signalProcess("TERM"))
        self.assertEqual(status, 143)
        self.assertEqual(list(self.directory.iterdir()), [])

    async def test_readerGone(self) -> None:
        """
        Nobody reads: it ends at the next line, with status 1.
        """
        run = self.start("--once")
        await until(lambda: len(self.daemons()) == 2)
        transport: Any = run.transport
        transport.closeStdout()
        self.assertEqual(await run.ended, 1)
        self.assertNotIn("Traceback", run.output)
        self.assertEqual(self.daemons(), [])

    async def test_killed(self) -> None:
        """
        Its daemons die with it even if it is killed.
        """
        run = self.start("--once")
        status = await self.interrupted(run, lambda transport: transport.signalProcess("KILL"))
        self.assertEqual(status, -signal.SIGKILL)

    async def test_daemonFails(self) -> None:
        """
        A daemon that cannot run is shown with its last words, and the status is 1.
        """
        # Python runs it first in every process, and only the daemons have such a command line.
        (self.directory / "sitecustomize.py").write_text(
            "import os, sys\n"
            "if '--nodaemon' in sys.orig_argv:\n"
            "    print('no daemons today', flush=True)\n"
            "    os._exit(2)\n"
        )
        path = os.pathsep.join([str(self.directory), os.environ.get("PYTHONPATH", "")])
        self.patch(os, "environ", {**os.environ, "PYTHONPATH": path})
        run = self.start("--once")
        self.assertEqual(await run.ended, 1, run.output)
        self.assertRegex(run.output, r"failed +the daemon of (alpha|beta) ended \(exit status 2\)")
        self.assertRegex(run.output, r"The last lines of \w+:\n  no daemons today")


class UsageTests(SynchronousTestCase):
    """
    Tests that need no network.
    """

    def test_wrongUsage(self) -> None:
        """
        What is no option is refused with status 1.
        """
        for words in (["--nonsense"], ["operand"]):
            self.assertEqual(main(words), 1)
