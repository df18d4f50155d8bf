"""
Tests for L{txcarp.guard.guard}.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.task import Clock, deferLater
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from txcarp import companion
from txcarp.bequest import Bequest
from txcarp.guard import guard as module
from txcarp.guard import sentry
from txcarp.guard.deeds import Deeds
from txcarp.guard.guard import Guard, Will
from txcarp.interfaces import IGuard, IWill

_REACTOR: Any = reactor


class DeedsTests(SynchronousTestCase):
    """
    Tests for L{Deeds}.
    """

    def setUp(self) -> None:
        self.path = Path(self.mktemp()).absolute() / "state" / "x.json.guard"

    def opened(self) -> tuple[Deeds, list[str]]:
        """
        Begin as a new process does.

        @return: What it knows, and what it logs.
        """
        deeds = Deeds(str(self.path))
        with capturedLogs() as events:
            deeds.open()
        self.addCleanup(deeds.close)
        return deeds, [formatEvent(event) for event in events]

    def test_restart(self) -> None:
        """
        What a guard writes is known to this process, also if it does so late, and to the next one,
        which logs it.  What the guard has told of a hang counts at once.
        """
        deeds, said = self.opened()
        self.assertEqual((deeds.read(), said), ((0, 0.0), []))
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)
        sentry.remember(deeds.file, 2, 1.5e9)
        self.assertEqual(deeds.read(), (2, 1.5e9))
        deeds.add(3)
        number, when = deeds.read()
        self.assertEqual(number, 5)
        self.assertGreater(when, 1.7e9)
        deeds, [line] = self.opened()
        self.assertEqual(deeds.read(), (2, 1.5e9))
        self.assertRegex(line, r"have acted for 2 groups so far, .*; the last time was 2017-07-1")

    def test_damaged(self) -> None:
        """
        A file that is none of this begins anew.
        """
        self.opened()
        self.path.write_bytes(b"x")
        deeds, said = self.opened()
        self.assertEqual((deeds.read(), said), ((0, 0.0), []))

    def test_impossible(self) -> None:
        """
        Without the file, the daemon runs all the same.
        """
        self.path.mkdir(parents=True)
        deeds, [line] = self.opened()
        self.assertEqual((deeds.file, deeds.read()), (-1, (0, 0.0)))
        self.assertIn("x.json.guard cannot be used: Is a directory. After a restart", line)


class RealTests(TestCase):
    """
    A guard as a process.
    """

    def setUp(self) -> None:
        self.record = Path(self.mktemp()).absolute()
        self.guard = Guard(_REACTOR, _REACTOR, record=str(self.record))
        self.lost: list[str] = []
        self.processes: list[subprocess.Popen[bytes]] = []
        start = companion.start

        def started(*arguments: Any, **more: Any) -> subprocess.Popen[bytes]:
            self.processes.append(start(*arguments, **more))
            return self.processes[-1]

        self.guard._startProcess = started
        self.guard.start()
        self.addCleanup(self.guard.stop)
        self.will: Any = self.guard.will("vhid 7", lambda: self.lost.append("lost"))

    async def until(self, condition: Callable[[], object]) -> None:
        """
        Wait for something, for half a minute at most.
        """
        for _ in range(3000):
            if condition():
                return
            await deferLater(_REACTOR, 0.01, lambda: None)
        self.fail("it did not happen")

    async def ready(self) -> None:
        """
        Wait until the newest guard has its name, which it gets before it serves.
        """
        await self.until(lambda: self.nameOf(self.processes[-1]) == "txcarp-guard")

    def nameOf(self, process: subprocess.Popen[bytes]) -> str:
        return Path(f"/proc/{process.pid}/comm").read_text().strip()

    async def test_provides(self) -> None:
        """
        The interfaces are complete.
        """
        verifyObject(IGuard, self.guard)
        verifyObject(IWill, self.will)

    async def test_one(self) -> None:
        """
        One small process serves all.  Signals that end services do not end it; a dismissal does.
        """
        self.guard.will("vhid 8", lambda: None)
        await self.ready()
        [process] = self.processes
        ends = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGABRT)
        for number in ends:
            os.kill(process.pid, number)
        self.assertEqual(os.getsid(process.pid), process.pid)
        resident = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
        self.assertLess(resident * os.sysconf("SC_PAGE_SIZE"), 16 << 20)
        self.guard.stop()
        await self.until(lambda: process.poll() is not None)
        self.assertEqual(process.returncode, 0)
        self.assertEqual(self.lost, [])

    async def test_hang(self) -> None:
        """
        It marks the will of a process that is silent for too long in the memory that both share,
        and says what it did.
        """
        await self.ready()
        with capturedLogs() as logs:
            self.will.begin(Bequest(((9999, b"\x0a\0\0\1", 24),)))
            self.assertFalse(self.will.isDeposed)
            self.will.beat(0.01, 0.05, 1.0, ())
            await self.until(lambda: self.will.isDeposed)
            removed = "txcarp hangs: the addresses of vhid 7 were removed"
            await self.until(lambda: any(removed in one for one in _texts(logs)))
        await self.until(lambda: self.guard.status().acted == 1)
        self.will.begin(Bequest())
        self.assertFalse(self.will.isDeposed)
        status = self.guard.status()
        self.assertEqual((status.running, status.starts, status.wills), (True, 1, 1))
        assert status.actedAt is not None
        self.guard.stop()
        await self.until(lambda: self.processes[0].poll() is not None)
        number, when = sentry.RECORD.unpack(self.record.read_bytes())
        self.assertEqual(number, 1)
        self.assertTrue(abs(when - status.actedAt) < 60)
        self.will.withdraw()
        self.assertFalse(self.will.isDeposed)

    async def test_notWoken(self) -> None:
        """
        While there is something to watch, messages do not wake it.  It reads them nevertheless, and
        the end of the connection wakes it at once.
        """
        await self.ready()
        status = Path(f"/proc/{self.processes[0].pid}/status")

        def pauses() -> int:
            found = re.search(r"^voluntary_ctxt_switches:\s*(\d+)", status.read_text(), re.M)
            assert found is not None
            return int(found[1])

        self.will.begin(Bequest())
        self.will.beat(1.0, 60.0, 60.0, ())
        before = pauses()
        await self.until(lambda: pauses() > before)  # it has seen them
        before = pauses()
        for _ in range(300):
            self.will.beat(1.0, 60.0, 60.0, ())
            await deferLater(_REACTOR, 0.001, lambda: None)
        self.assertLess(pauses() - before, 100)
        self.will.beat(0.01, 0.05, 1.0, ())
        await self.until(lambda: self.will.isDeposed)

    async def test_noMemoryFile(self) -> None:
        """
        Where no file in memory may be made, a temporary file is shared.
        """

        def forbidden(name: str, flags: int) -> int:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

        self.guard.stop()
        self.patch(os, "memfd_create", forbidden)
        self.guard.start()
        will = self.guard.will("vhid 8", lambda: None)
        will.begin(Bequest())
        will.beat(0.01, 0.05, 0.1, ())
        await self.until(lambda: will.isDeposed)

    async def test_killed(self) -> None:
        """
        A guard that ends is replaced, and the next one knows the wills.  That is logged, and told.
        """
        self.will.begin(Bequest())
        self.will.beat(10.0, 20.0, 30.0, ())
        await self.ready()
        with capturedLogs() as logs:
            self.processes[0].kill()
            await self.until(lambda: len(self.processes) == 2)
        self.assertEqual(self.lost, ["lost"])
        self.assertTrue(any("has ended by signal 9" in line for line in _texts(logs)))
        self.will.alive(0.01, 0.05)
        await self.until(lambda: self.will.isDeposed)

    async def test_stopped(self) -> None:
        """
        A guard that does not run is killed before its connection is closed, which it would take for
        a death.
        """
        self.patch(module, "_STUCK", 0.1)
        self.will.begin(Bequest())
        await self.ready()
        os.kill(self.processes[0].pid, signal.SIGSTOP)
        parcel = (1, b"", bytes(50_000))
        with capturedLogs() as logs:
            for _ in range(1000):
                self.will.beat(10.0, 20.0, 30.0, (parcel,))
            await self.until(lambda: len(self.processes) == 2)
        self.assertTrue(any("hangs" in line for line in _texts(logs)))
        self.assertEqual(self.processes[0].wait(30), -signal.SIGKILL)
        await self.ready()
        self.will.alive(0.01, 0.05)
        await self.until(lambda: self.will.isDeposed)

    async def test_catchesUp(self) -> None:
        """
        One that is merely slow gets the newest state of each will.
        """
        self.will.begin(Bequest())
        await self.ready()
        os.kill(self.processes[0].pid, signal.SIGSTOP)
        parcel = (1, b"", bytes(50_000))
        for _ in range(1000):
            self.will.beat(10.0, 20.0, 30.0, (parcel,))
        self.will.beat(0.01, 0.2, 30.0, (parcel,))
        self.assertEqual(len(self.guard._behind), 1)
        os.kill(self.processes[0].pid, signal.SIGCONT)
        await self.until(lambda: self.will.isDeposed)
        self.assertEqual(len(self.processes), 1)


class SlowLine:
    """
    A connection whose queue can be full.
    """

    def __init__(self) -> None:
        self.isFull = False
        self.sent: list[tuple[Any, ...]] = []

    def send(self, message: tuple[Any, ...]) -> None:
        if self.isFull:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        self.sent.append(message)

    def stop(self) -> None:
        """
        Close nothing.
        """


class StartTests(SynchronousTestCase):
    """
    Guards that cannot be started.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.attempts = 0

        def refuse(*arguments: object, **more: object) -> Any:
            self.attempts += 1
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

        self.guard = Guard(_REACTOR, self.clock, start=refuse)
        self.guard.start()
        self.addCleanup(self.guard.stop)

    def test_again(self) -> None:
        """
        That is logged once, and tried again.
        """
        with capturedLogs() as logs:
            will = self.guard.will("vhid 7", lambda: None)
            will.begin(Bequest())
            self.clock.advance(60.0)
            self.clock.advance(60.0)
        self.assertEqual(self.attempts, 3)
        [line] = _texts(logs)
        self.assertIn("The guard cannot be started: Resource temporarily unavailable", line)
        self.assertFalse(will.isDeposed)

    def test_behind(self) -> None:
        """
        A guard that did not read for a moment gets the newest state of each will, also that one has
        ended, and of the next one in its place.
        """
        line = SlowLine()
        production: Any = line
        with capturedLogs():
            first: Any = self.guard.will("vhid 7", lambda: None)
        self.guard._line = production
        first.begin(Bequest())
        line.sent.clear()
        line.isFull = True
        first.beat(1.0, 1.5, 3.0, ())
        first.silence()
        first.close()
        second: Any = self.guard.will("vhid 8", lambda: None)
        second.begin(Bequest())
        second.beat(1.0, 1.5, 3.0, ())
        self.assertEqual(line.sent, [])
        line.isFull = False
        self.clock.advance(0.01)
        self.assertEqual([each[0] for each in line.sent], ["gone", "will", "beat"])
        second.alive(1.0, 1.5)
        self.assertEqual(line.sent[-1][0], "alive")

    def test_places(self) -> None:
        """
        Each will has a place of its own, and a number that no other had.
        """
        wills: list[Any] = [self.guard.will("x", lambda: None) for _ in range(3)]
        numbers = set()
        for will in wills:
            assert isinstance(will, Will)
            will.begin(Bequest())
            numbers.add((will._slot, will._number))
            will.begin(Bequest())
            numbers.add((will._slot, will._number))
        self.assertEqual(len({number for _, number in numbers}), 6)
        self.assertEqual(len({slot for slot, _ in numbers}), 3)
        wills[1].close()
        self.assertEqual(vars(self.guard.will("y", lambda: None))["_slot"], wills[1]._slot)
        self.guard._number = 0xFFFFFFFF
        self.assertEqual(self.guard.nextNumber(), 1)


def _texts(logs: list[Any]) -> list[str]:
    return [formatEvent(event) or "" for event in logs if "log_format" in event]
