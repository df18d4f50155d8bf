"""
Tests for L{txcarp.commands.watch}: C{txcarp status --watch}.
"""

from __future__ import annotations

import copy
import fcntl
import os
import re
import signal
import struct
import sys
import termios
from io import StringIO
from typing import Any

from rich.console import Console
from twisted.internet import reactor
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from tests.commands.test_asking import Terminal
from tests.operate.running import RunningTestCase
from tests.testbed.fixture import until
from txcarp.commands.status import main
from txcarp.commands.watch import watch
from txcarp.operate.client import ControlError, NoDaemon, NotPermitted
from txcarp.screen.output import Output

GONE = NoDaemon("no-daemon", "no txcarp answers on /x: start one")


class Broken(StringIO):
    """
    A pipe whose reader has gone away.
    """

    def __init__(self) -> None:
        super().__init__()
        self.file = open(os.devnull, "w")  # noqa: SIM115

    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")

    def fileno(self) -> int:
        return self.file.fileno()


class WatchTests(RunningTestCase):
    """
    The loop, with answers that a test gives.
    """

    async def document(self) -> dict[str, Any]:
        """
        What the daemon answers.
        """
        found: dict[str, Any] = await self.asking(lambda client: client.status())
        return found

    def watched(self, *answers: Any, output: StringIO | None = None) -> str:
        """
        Watch until there is no other answer, and press Ctrl-C then.

        @return: What was printed.
        """
        waiting = list(answers)
        shown = output or StringIO()
        self.patch(sys, "stdout", shown)

        def ask() -> Any:
            answer = waiting.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        def sleep(seconds: float) -> None:
            self.assertEqual(seconds, 2.0)
            if not waiting:
                raise KeyboardInterrupt

        self.assertEqual(watch(ask, 2.0, sleep), 0)
        self.assertEqual(waiting, [])
        return "" if isinstance(shown, Broken) else shown.getvalue()

    async def test_changes(self) -> None:
        """
        Without a terminal, a table is printed when something has changed, and not because time has
        passed.
        """
        self.becomeMaster()
        first = await self.document()
        later = copy.deepcopy(first)
        for group in later["groups"]:
            group["time"] += 5.4
            group["since"] += 5.0
        printed = self.watched(first, later, first)
        self.assertEqual(printed.count("GROUP"), 1)
        demoted = copy.deepcopy(later)
        demoted["groups"][0]["notes"] = [{"text": "demoted 50", "remaining": None}]
        printed = self.watched(first, later, demoted, demoted)
        self.assertEqual(printed.count("GROUP"), 2)
        self.assertRegex(printed, r"(?m)\A\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\nGROUP ")
        self.assertIn("demoted 50", printed)

    async def test_briefly(self) -> None:
        """
        A group that was something else between two questions has changed.
        """
        first = await self.document()
        again = copy.deepcopy(first)
        again["groups"][0]["time"] += 10
        self.becomeMaster()
        mastered = await self.document()
        both = copy.deepcopy(mastered)
        both["groups"][0]["time"] += 5
        both["groups"][0]["since"] += 0.5
        self.assertEqual(self.watched(mastered, both).count("GROUP"), 2)

    async def test_away(self) -> None:
        """
        A daemon that goes away is said once, and so is that it is back.
        """
        first = await self.document()
        printed = self.watched(GONE, GONE, first, GONE, GONE, first)
        self.assertEqual(printed.count("no txcarp answers on /x: start one\n"), 2)
        self.assertEqual(printed.count("GROUP"), 2)
        self.assertLess(printed.index("no txcarp"), printed.index("GROUP"))

    async def test_refused(self) -> None:
        """
        What is wrong from the beginning ends it: a group that does not exist, or a missing
        permission.  A group that goes away later does not.
        """
        unknown = ControlError("no-such-group", "There is no group 'x'")
        for error in (unknown, NotPermitted("not-permitted", "no")):
            self.assertRaises(ControlError, self.watched, error)
        self.assertIn("There is no group 'x'", self.watched(await self.document(), unknown))

    async def test_closed(self) -> None:
        """
        If the reader goes away, it ends.
        """
        output = Broken()
        self.addCleanup(output.file.close)
        self.watched(await self.document(), output=output)

    async def test_terminal(self) -> None:
        """
        On a terminal, one picture fits the columns.  When the daemon goes away, it has the reason
        and what was known last.  The cursor is shown again in the end.
        """
        first = await self.document()
        self.patch(Output.__init__, "__defaults__", ({"TERM": "xterm"},))
        for columns in (40, 80, 200):
            # rich keeps the environment of the time when it was imported.
            self.patch(Console, "_environ", {"TERM": "xterm", "COLUMNS": str(columns)})
            printed = self.watched(first, GONE, output=Terminal())
            plain = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", printed)
            lines = re.split(r"[\r\n]+", plain)
            self.assertLessEqual(max(map(len, lines)), columns)
            self.assertEqual("LEASE" in plain, columns > 40)
            self.assertIn("no txcarp answers", printed)
            self.assertGreater(printed.rindex("last"), printed.index("no txcarp answers"))
            self.assertGreater(printed.rindex("\x1b[?25h"), printed.rindex("\x1b[?25l"))


class OptionTests(RunningTestCase):
    """
    The option C{--watch}.
    """

    def wrong(self, *words: str) -> str:
        """
        Why a command line is wrong.
        """
        errors = StringIO()
        self.patch(sys, "stderr", errors)
        self.assertEqual(self.assertRaises(SystemExit, main, words).code, 1)
        return errors.getvalue()

    def test_wrong(self) -> None:
        """
        The number is a time, and JSON is for one answer.
        """
        self.assertIn("is not a number of seconds from 0.1", self.wrong("--watch", "0"))
        self.assertIn("is not a number of seconds", self.wrong("--watch=x"))
        self.assertIn("is not a number of seconds", self.wrong("--watch", "nan"))
        self.assertIn("either --json or --watch", self.wrong("--watch", "--json"))

    def test_group(self) -> None:
        """
        The name of a group after the option is no number.
        """
        asked: list[Any] = []

        def record(*given: Any) -> int:
            asked.append(given)
            return 0

        self.patch(sys.modules["txcarp.commands.watch"], "watch", record)
        for words, seconds in (
            (["--watch", "web"], 1.0),
            (["-w", "0.5", "web"], 0.5),
            (["web", "--watch"], 1.0),
            (["web", "--watch=3"], 3.0),
        ):
            self.assertEqual(main(words), 0)
            self.assertEqual(asked.pop()[1], seconds)


class Watching(ProcessProtocol):
    """
    A command on a terminal of its own.
    """

    def __init__(self) -> None:
        self.shown = ""
        self.status: int | None = None
        self.killedBy: int | None = None
        self.hasEnded = False

    def outReceived(self, data: bytes) -> None:
        self.shown += data.decode()

    def processEnded(self, reason: Failure) -> None:
        self.status = reason.value.exitCode  # type: ignore[attr-defined]
        self.killedBy = reason.value.signal  # type: ignore[attr-defined]
        self.hasEnded = True


class TerminalTests(RunningTestCase):
    """
    The command on a real terminal, with a daemon that goes away and comes back.
    """

    def start(self) -> Watching:
        """
        Start the command.
        """
        watching = Watching()
        words = ["-m", "txcarp", "status", "--watch", "0.1", "--control", self.path]
        installed: Any = reactor
        self.process = installed.spawnProcess(
            watching,
            sys.executable,
            [sys.executable, *words],
            env={**os.environ, "TERM": "xterm", "COLUMNS": "", "LINES": ""},
            usePTY=True,
        )
        self.resize(100)
        self.addCleanup(lambda: None if watching.hasEnded else self.process.signalProcess("KILL"))
        return watching

    def resize(self, columns: int) -> None:
        """
        Give the terminal another width.
        """
        fcntl.ioctl(self.process.fileno(), termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))

    async def test_life(self) -> None:
        """
        It follows the daemon and the size of the terminal until Ctrl-C, and ends with status 0.
        """
        watching = self.start()
        await until(lambda: "web" in watching.shown)
        watching.shown = ""
        self.carp.virtualHosts[0].demote("upgrade", 50)
        await until(lambda: "demoted 50" in watching.shown)
        self.resize(30)
        await until(lambda: "\x1b[J" in watching.shown)
        await self.service.stopService()
        await until(lambda: "no txcarp" in watching.shown)
        watching.shown = ""
        self.service = self.serve()
        await until(lambda: "demoted" in watching.shown)
        self.process.write(b"\x03")
        await until(lambda: watching.hasEnded)
        self.assertEqual((watching.status, watching.killedBy), (0, None))
        self.assertIn("\x1b[?25h", watching.shown)
        self.assertNotIn("Traceback", watching.shown)

    async def test_terminated(self) -> None:
        """
        SIGTERM ends it with a cursor as well.
        """
        watching = self.start()
        await until(lambda: "web" in watching.shown)
        self.process.signalProcess("TERM")
        await until(lambda: watching.hasEnded)
        self.assertEqual(watching.status, 128 + signal.SIGTERM)
        self.assertIn("\x1b[?25h", watching.shown)
