"""
Tests of L{txcarp.commands.demo} and L{txcarp.demo.performance}: the command as a whole, in a
process of its own.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import signal
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessTerminated
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.trial.unittest import SkipTest, SynchronousTestCase, TestCase

from tests.lab.daemons import environment
from tests.testbed.fixture import until
from txcarp.commands.demo import main
from txcarp.demo import performance
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

    def start(
        self, *arguments: str, terminal: bool = False, redirection: str = "", limit: str = ""
    ) -> _Run:
        """
        Start the command by way of a shell.

        @param redirection: The shell's redirections for the command.
        @param limit: A shell command to run before.
        """
        from twisted.internet import reactor

        run = _Run()
        spawner: Any = reactor
        spawner.spawnProcess(
            run,
            "/bin/sh",
            ["sh", "-c", f'{limit}exec "$@" {redirection}', "sh", sys.executable]
            + ["-m", "txcarp.commands.main", "demo", *arguments],
            env={
                **environment(self.directory),  # its daemons find this txcarp, too
                "TMPDIR": str(self.directory),
                "TERM": "xterm",
                "NO_COLOR": "",
            },
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
        The processes with the test's directory in their command line: the two daemons, and those
        that write their states.
        """
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if str(self.directory).encode() in (process / "cmdline").read_bytes():
                    found.append(process)
            except OSError:
                pass  # it ended meanwhile
        return found

    def namespaces(self) -> set[str]:
        """
        The network namespaces of these processes.
        """
        found = set()
        for process in self.daemons():
            try:
                found.add(os.readlink(process / "ns/net"))
            except OSError:
                pass  # it ended meanwhile
        return found

    async def pages(self, run: _Run) -> None:
        """
        Wait for the end of the story, look at the page of each host, kill a daemon, and type
        Ctrl-C.
        """
        await until(lambda: "until Ctrl-C" in run.output or run.ended.called)
        found = re.findall(r"(\w+) +(http://127\.0\.0\.1:\d+/) +kill -9 (\d+)", run.output)
        self.assertEqual([name for name, _, _ in found], ["alpha", "beta"], run.output)

        def read(url: str) -> bytes:
            while True:  # a daemon may have been started just now
                try:
                    with urllib.request.urlopen(url, timeout=60) as answer:
                        return bytes(answer.read())
                except (OSError, HTTPException):
                    time.sleep(0.05)

        for _, url, _ in found:
            self.assertIn(b"<title>txcarp</title>", await deferToThread(read, url))
        os.kill(int(found[0][2]), signal.SIGKILL)
        await until(lambda: "alpha has ended (killed by SIGKILL)" in run.output)
        assert run.transport is not None
        run.transport.signalProcess("INT")

    async def test_handOvers(self) -> None:
        """
        All take-overs are seen and measured, the pages of both hosts can be read, and nothing is
        left behind.
        """
        run = self.start("--once", "--stay", f"--keep-logs={self.directory / 'logs'}")
        await self.pages(run)
        status = await run.ended
        self.assertEqual(status, 0, run.output)
        labels = re.findall(r"^ *[0-9.]+  (\S+(?: \S+)?) ", run.output, re.MULTILINE)
        self.assertEqual(labels.count("take-over"), 4, run.output)
        self.assertEqual(labels.count("silence"), 4, run.output)
        self.assertIn("bow-out", labels)
        self.assertRegex(run.output, r"planned stop +[0-9.]+ m?s +(at most )?[0-9.]+ m?s")
        await self.noneLeft()
        logs = self.directory / "logs"
        self.assertEqual(list(self.directory.iterdir()), [logs])
        self.assertIn("MASTER", (logs / "alpha.log").read_text())

    async def noneLeft(self) -> None:
        """
        Wait until the processes have ended: the kernel ends what died with the command, and those
        that write states find out that their daemons are gone, in their own time.
        """
        await until(lambda: not self.daemons())

    async def interrupted(self, run: _Run, interrupt: Callable[[Any], object]) -> int:

        await until(lambda: len(self.namespaces()) == 2)
        interrupt(run.transport)
        status = await run.ended
        await self.noneLeft()
        return status

    async def test_controlC(self) -> None:
        """
        Ctrl-C on a terminal ends the command with status 130, shows the cursor again, and
        leaves no process and no file.
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
        Closing the terminal ends the command with status 129, and leaves no process and no
        file.
        """
        run = self.start(terminal=True)
        status = await self.interrupted(run, lambda transport: transport.loseConnection())
        self.assertEqual(status, 129)
        self.assertEqual(list(self.directory.iterdir()), [])

    async def test_signals(self) -> None:
        """
        SIGTERM ends the command with status 143, and leaves no process and no file.
        """
        run = self.start("--once")
        status = await self.interrupted(run, lambda transport: transport.signalProcess("TERM"))
        self.assertEqual(status, 143)
        self.assertEqual(list(self.directory.iterdir()), [])

    async def test_readerGone(self) -> None:
        """
        When the reader of the output is gone, the command ends at the next line, with status
        1.
        """
        run = self.start("--once")
        await until(lambda: len(self.namespaces()) == 2)
        transport: Any = run.transport
        transport.closeStdout()
        self.assertEqual(await run.ended, 1)
        self.assertNotIn("Traceback", run.output)
        await self.noneLeft()

    async def test_noRoom(self) -> None:
        """
        When the output cannot be written, the command says why and ends with status 1.
        """
        run = self.start("--once", redirection=">/dev/full")
        self.assertEqual(await run.ended, 1)
        self.assertEqual(
            run.output, "txcarp demo: standard output: No space left on device\n"
        )

    async def test_fewDescriptors(self) -> None:
        """
        If a daemon cannot be started, the command says why and ends with status 1.
        """
        run = self.start("--once", limit="ulimit -n 20; ")
        self.assertEqual(await run.ended, 1, run.output)
        self.assertRegex(run.output, "failed +Too many open files")
        self.assertNotIn("Traceback", run.output)
        await self.noneLeft()

    async def test_killed(self) -> None:
        """
        The daemons die with the command even if it is killed.
        """
        run = self.start("--once")
        status = await self.interrupted(run, lambda transport: transport.signalProcess("KILL"))
        self.assertEqual(status, -signal.SIGKILL)

    async def test_daemonFails(self) -> None:
        """
        If a daemon exits, the command shows its last lines and ends with status 1.
        """
        # Python runs it first in every process, and only the daemons have such a command line.
        (self.directory / "sitecustomize.py").write_text(
            "import os, sys\n"
            "if '--config' in sys.orig_argv:\n"
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
        A wrong command line is refused with status 1.
        """
        self.patch(sys, "stderr", io.StringIO())
        for words in (["--nonsense"], ["operand"], ["--keep-logs"]):
            self.assertEqual(self.assertRaises(SystemExit, main, words).code, 1)


class EarlyTests(SynchronousTestCase):
    """
    Tests of what happens before anything is shown.
    """

    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.patch(tempfile, "tempdir", str(self.directory))
        self.patch(performance.Testbed, "create", contextlib.nullcontext)
        self.errors = io.StringIO()
        self.patch(sys, "stderr", self.errors)
        for number in performance.ENDING:
            self.addCleanup(signal.signal, number, signal.getsignal(number))

    def test_signals(self) -> None:
        """
        A signal during preparation ends the command after it, and everything is removed.
        Further signals do not interrupt that.
        """
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):

            def interrupted(*arguments: object, number: int = number) -> None:
                self.assertEqual(len(list(self.directory.iterdir())), 1)
                try:
                    os.kill(os.getpid(), number)
                finally:
                    os.kill(os.getpid(), number)

            self.patch(performance, "Performance", interrupted)
            self.assertEqual(main([]), 128 + number)
            self.assertEqual(list(self.directory.iterdir()), [])

    def test_halfMade(self) -> None:
        """
        A signal while the directory is being made waits until it can be removed.
        """
        make = tempfile.mkdtemp

        def making(*arguments: Any, **settings: Any) -> str:
            made = make(*arguments, **settings)
            os.kill(os.getpid(), signal.SIGINT)
            return made

        self.patch(tempfile, "mkdtemp", making)
        self.assertEqual(main([]), 128 + signal.SIGINT)
        self.assertEqual(list(self.directory.iterdir()), [])

    def test_dropped(self) -> None:
        """
        A signal ends the command also if exceptions are suppressed when it arrives.
        """

        class Deaf:
            def __init__(self, *arguments: object) -> None:
                with contextlib.suppress(BaseException):
                    os.kill(os.getpid(), signal.SIGTERM)

            def run(self) -> int:
                raise AssertionError("it was asked to end")

        self.patch(performance, "Performance", Deaf)
        self.assertEqual(main([]), 128 + signal.SIGTERM)
        self.assertEqual(list(self.directory.iterdir()), [])

    def test_cannotBeMade(self) -> None:
        """
        If preparation fails, the command says why and ends with status 2.
        """

        def refused(*arguments: object) -> None:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        self.patch(performance, "Performance", refused)
        self.assertEqual(main([]), 2)
        self.assertEqual(main([f"--keep-logs={__file__}/logs"]), 2)
        self.assertEqual(
            self.errors.getvalue(),
            "txcarp demo: Too many open files\n"
            f"txcarp demo: {__file__}/logs: Not a directory\n",
        )
