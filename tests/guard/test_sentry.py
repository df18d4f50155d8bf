"""
Tests for L{txcarp.guard.sentry}.
"""

from __future__ import annotations

import builtins
import marshal
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from txcarp.guard import sentry
from txcarp.guard.sentry import RECORD, Hands, Sentry, rehearse, remember, say

ONE, TWO = (3, b"\x0a\x00\x00\x01", 24), (3, b"\x0a\x00\x00\x02", 24)
PARCEL = (3, b"\x01\x00\x5e\x00\x00\x12", b"bow-out")
SCRIPT = ("/down", ["/down", "eth0"], {}, 4.0)


class FakeHands:
    """
    Records what is done.

    @ivar stuck: Why an address cannot be removed, by address.
    @ivar unwilling: Why a bow-out cannot be sent.
    @ivar results: The results of the scripts that have ended, by process.
    """

    def __init__(self) -> None:
        self.done: list[tuple[Any, ...]] = []
        self.stuck: dict[tuple[int, bytes, int], str] = {}
        self.unwilling = ""
        self.results: dict[int, bool] = {}
        self.missing = False

    def remove(self, addresses: list[tuple[int, bytes, int]]) -> dict[Any, str]:
        self.done.append(("remove", *addresses))
        return {one: self.stuck[one] for one in addresses if one in self.stuck}

    def send(self, parcels: list[tuple[int, bytes, bytes]]) -> str:
        self.done.append(("send", *parcels))
        return self.unwilling

    def run(self, script: tuple[Any, ...]) -> int:
        self.done.append(("run", script[0]))
        if self.missing:
            raise FileNotFoundError(2, "No such file or directory")
        return 99

    def ended(self, pid: int) -> bool | None:
        return self.results.get(pid)

    def kill(self, pid: int, number: int) -> None:
        self.done.append(("kill", number))


class SentryTests(SynchronousTestCase):
    """
    Tests for L{Sentry}.
    """

    def setUp(self) -> None:
        self.hands = FakeHands()
        self.clock = Clock()
        self.asleep = 0.0
        self.marks = memoryview(bytearray(64)).cast("I")
        self.lines: list[str] = []
        self.told: list[int] = []
        hands: Any = self.hands
        self.sentry = Sentry(
            hands,
            self.marks,
            self.lines.append,
            self.clock.seconds,
            lambda: self.clock.seconds() + self.asleep,
            self.told.append,
        )

    def will(
        self,
        slot: int = 0,
        addresses: tuple[Any, ...] = (ONE,),
        script: Any = None,
        first: float | None = None,
    ) -> None:
        """
        Receive a will, and a beat: the next one is due after a second, and missed after 1.5.
        """
        self.sentry.received(("will", slot, 7, f"vhid {slot}", addresses, script, first))
        self.beat(slot)

    def beat(self, slot: int = 0, *parcels: Any) -> None:
        now = self.clock.seconds()
        expires = now + self.asleep + 3.0
        self.sentry.received(("beat", slot, now + 1.5, 0.5, expires, parcels or (PARCEL,)))

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.sentry.look(self.clock.seconds())

    def test_dead(self) -> None:
        """
        The addresses are removed, then the bow-out is sent.  It happens once.
        """
        self.will()
        self.sentry.died()
        self.assertEqual(self.hands.done, [("remove", ONE), ("send", PARCEL)])
        self.assertEqual(
            self.lines,
            ["txcarp has died: the addresses of vhid 0 were removed, and a bow-out was sent"],
        )
        self.sentry.died()
        self.assertEqual(len(self.hands.done), 2)
        self.assertEqual((self.told, self.sentry.acted), ([], 1))

    def test_stuck(self) -> None:
        """
        Nothing is sent for a group whose address cannot be removed.
        """
        self.will(0, (ONE,))
        self.will(1, (TWO,))
        self.hands.stuck[ONE] = "Device or resource busy"
        self.sentry.died()
        self.assertEqual(self.hands.done, [("remove", ONE, TWO), ("send", PARCEL)])
        self.assertIn("could not be removed (Device or resource busy)", self.lines[0])
        self.assertIn("a bow-out was sent", self.lines[1])

    def test_unsent(self) -> None:
        """
        It is said why a bow-out could not be sent.
        """
        self.will()
        self.hands.unwilling = "Network is down"
        self.sentry.died()
        self.assertIn("were removed, and no bow-out could be sent: Network is down", self.lines[0])

    def test_hangs(self) -> None:
        """
        A daemon is deposed when its patience is over, and not before.  The mark comes first.
        """
        self.will(5)
        self.advance(1.4)
        self.beat(5)
        self.advance(1.4)
        self.assertEqual((self.hands.done, self.marks[5]), ([], 0))
        marks = []
        remove = self.hands.remove
        self.hands.remove = lambda addresses: marks.append(self.marks[5]) or remove(addresses)  # type: ignore[func-returns-value,method-assign]
        self.advance(0.1)
        self.assertEqual(marks, [7])
        self.assertEqual(self.hands.done, [("remove", ONE), ("send", PARCEL)])
        self.assertEqual(
            self.lines,
            ["txcarp hangs: the addresses of vhid 5 were removed, and a bow-out was sent"],
        )
        self.assertEqual((self.told, self.sentry.acted), ([1], 1))
        self.sentry.died()
        self.assertEqual(len(self.hands.done), 2)
        self.beat(5)  # the daemon does not know yet
        self.advance(9.0)
        self.assertEqual(len(self.hands.done), 2)

    def test_otherGroup(self) -> None:
        """
        An address that another group holds by now stays, and so does that group.
        """
        self.will(0, (ONE, TWO))
        self.advance(1.0)
        self.will(1, (TWO,))
        self.advance(0.5)
        self.assertEqual(self.hands.done, [("remove", ONE), ("send", PARCEL)])
        self.assertEqual((self.marks[0], self.marks[1]), (7, 0))

    def test_alive(self) -> None:
        """
        Another sign of life counts as well, and leaves the bow-out as it is.
        """
        self.will()
        self.advance(1.4)
        self.sentry.received(("alive", 0, self.clock.seconds() + 1.0, 0.5))
        self.advance(0.9)
        self.assertEqual(self.hands.done, [])
        self.advance(0.1)
        self.assertEqual(self.hands.done, [("remove", ONE), ("send", PARCEL)])

    def test_silent(self) -> None:
        """
        A host that is no longer master is not deposed.  If it dies, its addresses are removed, and
        nothing is sent.
        """
        self.will()
        self.sentry.received(("silent", 0))
        self.advance(100.0)
        self.assertEqual((self.hands.done, self.sentry.timeout()), ([], None))
        self.sentry.died()
        self.assertEqual(self.hands.done, [("remove", ONE)])

    def test_gone(self) -> None:
        """
        A will that is withdrawn is not carried out.
        """
        self.will()
        self.sentry.received(("gone", 0))
        self.advance(100.0)
        self.sentry.died()
        self.assertEqual(self.hands.done, [])

    def test_dismissed(self) -> None:
        """
        After a planned stop nothing is done.
        """
        self.will()
        self.sentry.received(("dismissed", 0))
        self.assertTrue(self.sentry.dismissed)
        self.sentry.died()
        self.assertEqual(self.hands.done, [])

    def test_update(self) -> None:
        """
        Other addresses replace those before; the bow-out and the patience remain.  A later term of
        the same group begins anew.
        """
        self.will()
        self.advance(1.0)
        self.sentry.received(("will", 0, 7, "vhid 0", (TWO,), None, None))
        self.advance(0.5)
        self.assertEqual(self.hands.done, [("remove", TWO), ("send", PARCEL)])
        self.will()
        self.sentry.received(("will", 0, 8, "vhid 0", (ONE,), None, None))
        self.sentry.died()
        self.assertEqual(self.hands.done[2:], [("remove", ONE)])

    def test_paused(self) -> None:
        """
        When this process wakes up late, the machine paused, and the daemon gets that time, too.
        """
        self.will()
        self.advance(1.25)
        self.clock.advance(1.0)
        self.sentry.late(1.0)
        self.sentry.look(self.clock.seconds())
        self.advance(0.125)
        self.assertEqual(self.hands.done, [])
        self.advance(0.125)
        self.assertEqual(len(self.hands.done), 2)

    def test_pausedBefore(self) -> None:
        """
        A daemon whose next sign of life became due in the pause gets its whole grace, and no more.
        """
        self.will()
        self.clock.advance(1.75)
        self.sentry.late(1.25)
        self.sentry.look(self.clock.seconds())
        self.advance(0.4375)
        self.assertEqual(self.hands.done, [])
        self.advance(0.0625)
        self.assertEqual(len(self.hands.done), 2)

    def test_pausedAlone(self) -> None:
        """
        If this process alone was paused, the daemon has lived meanwhile.  That it hangs afterwards
        is found as soon as ever.
        """
        self.will()
        self.clock.advance(10.0)
        self.beat()
        self.sentry.late(9.75)
        self.advance(1.4375)
        self.assertEqual(self.hands.done, [])
        self.advance(0.0625)
        self.assertEqual(len(self.hands.done), 2)

    def test_pausedInLook(self) -> None:
        """
        A pause of the machine between the end of a wait and the look does not count against the
        daemon.
        """
        self.will()
        woke = self.clock.seconds()
        self.clock.advance(5.0)
        self.sentry.look(woke)
        self.assertEqual(self.hands.done, [])

    def test_hardlyLate(self) -> None:
        """
        A lateness that any process may have does not put it off.
        """
        self.will()
        self.clock.advance(1.51)
        self.sentry.late(0.01)
        self.sentry.look(self.clock.seconds())
        self.assertEqual(len(self.hands.done), 2)

    def test_waits(self) -> None:
        """
        No wait is longer than half of the time by which a daemon may be late: a longer pause would
        not be noticed.
        """
        self.assertIsNone(self.sentry.timeout())
        self.will()
        self.assertEqual(self.sentry.timeout(), 0.25)
        self.sentry.received(("will", 1, 7, "vhid 1", (), None, None))
        self.sentry.received(("beat", 1, self.clock.seconds() + 0.2, 0.1, 3.0, ()))
        self.assertEqual(self.sentry.timeout(), 0.05)
        self.sentry.received(("gone", 1))
        self.advance(0.2)
        self.assertEqual((self.hands.done, self.sentry.timeout()), ([], 0.25))
        self.beat()
        self.advance(1.4)
        self.assertAlmostEqual(self.sentry.timeout() or 0.0, 0.1)
        self.clock.advance(9.0)
        self.assertEqual(self.sentry.timeout(), 0.0)

    def test_old(self) -> None:
        """
        A bow-out that was made before the machine slept is not sent: another host is master by now.
        """
        self.will()
        self.asleep = 3.5
        self.sentry.died()
        self.assertEqual(self.hands.done, [("remove", ONE)])
        self.assertIn("too old", self.lines[0])

    def test_script(self) -> None:
        """
        Without addresses the down script runs, and the bow-out follows when it has ended well.
        """
        self.will(addresses=(), script=SCRIPT)
        self.sentry.died()
        self.assertEqual(self.hands.done, [("run", "/down")])
        self.advance(0.5)
        self.assertTrue(self.sentry.isBusy)
        self.hands.results[99] = True
        self.advance(0.5)
        self.assertFalse(self.sentry.isBusy)
        self.assertEqual(self.hands.done[1:], [("remove",), ("send", PARCEL)])

    def test_scriptFails(self) -> None:
        """
        Nothing is sent if it fails, or cannot be started.
        """
        self.will(addresses=(), script=SCRIPT)
        self.hands.results[99] = False
        self.sentry.died()
        self.advance(0.1)
        self.hands.missing = True
        self.will(addresses=(), script=SCRIPT)
        self.sentry.died()
        self.assertEqual(self.hands.done, [("run", "/down")] * 2)
        self.assertIn("no bow-out is sent", self.lines[0])
        self.assertIn("could not be started: No such file", self.lines[1])

    def test_scriptHangs(self) -> None:
        """
        A script that takes too long is ended, and counts as failed.
        """
        self.will(addresses=(), script=SCRIPT)
        self.sentry.died()
        self.advance(3.9)
        self.assertEqual(len(self.hands.done), 1)
        self.advance(0.1)
        self.advance(2.0)
        self.assertEqual(self.hands.done[1:], [("kill", signal.SIGTERM), ("kill", signal.SIGKILL)])
        self.hands.results[99] = True
        self.advance(0.1)
        self.assertEqual(len(self.hands.done), 3)

    def test_scriptBesides(self) -> None:
        """
        The addresses and the bow-out do not wait for a script, unless it is to run first.
        """
        self.will(script=SCRIPT)
        self.sentry.died()
        self.assertEqual(self.hands.done, [("remove", ONE), ("send", PARCEL), ("run", "/down")])
        self.hands.results[99] = False
        self.advance(0.0)
        self.hands.done.clear()
        self.hands.results.clear()
        self.will(script=SCRIPT, first=1.0)
        self.sentry.died()
        self.assertEqual(self.hands.done, [("run", "/down")])
        self.hands.results[99] = False
        self.advance(0.1)
        self.assertEqual(self.hands.done[1:], [("remove", ONE), ("send", PARCEL)])

    def test_scriptFirstHangs(self) -> None:
        """
        The addresses wait for that script for a limited time.
        """
        self.will(script=SCRIPT, first=1.0)
        self.sentry.died()
        self.advance(1.0)
        self.assertEqual(self.hands.done[1:], [("remove", ONE), ("send", PARCEL)])
        self.advance(3.0)
        self.assertEqual(self.hands.done[3:], [("kill", signal.SIGTERM)])


class WatchTests(SynchronousTestCase):
    """
    Tests for L{watch}, with a clock and a poll that the tests turn.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.hands = FakeHands()
        self.script: list[tuple[float, tuple[Any, ...] | None, float]] = []
        kind = socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK
        self.daemon, self.guarded = socket.socketpair(*kind)
        self.addCleanup(self.daemon.close)
        self.addCleanup(self.guarded.close)
        hands: Any = self.hands
        self.marks = memoryview(bytearray(64)).cast("I")
        self.sentry = Sentry(
            hands, self.marks, lambda line: None, self.clock.seconds, self.clock.seconds
        )
        fakes = {
            "select": SimpleNamespace(poll=lambda: self, POLLIN=1),
            "time": SimpleNamespace(monotonic=self.clock.seconds, time=self.clock.seconds),
        }
        for name, fake in fakes.items():
            self.patch(sentry, name, fake)

    def register(self, sock: object, events: int) -> None:
        """
        See L{select.poll}.
        """

    modify = register

    def poll(self, timeout: float | None) -> None:
        """
        Do the next thing: a message arrives some seconds after the wait has begun, and this
        process runs again some seconds after the wait should have ended.
        """
        if not self.script:
            self.daemon.send(marshal.dumps(("dismissed", 0)))
            return
        after, message, pause = self.script.pop(0)
        self.clock.advance(after)
        if message is not None:
            self.daemon.send(marshal.dumps(message))
        if timeout is not None:
            self.clock.advance(max(0.0, timeout / 1000 - after) + pause)

    def watch(self, *script: tuple[float, tuple[Any, ...] | None, float]) -> list[float]:
        """
        Watch a daemon with a will that has just sent a beat, as in L{SentryTests.will}.

        @return: The time at which the daemon was deposed, if it was.
        """
        deposed: list[float] = []
        remove = self.hands.remove

        def removed(addresses: list[Any]) -> dict[Any, str]:
            deposed.append(self.clock.seconds())
            return remove(addresses)

        self.patch(self.hands, "remove", removed)
        self.sentry.received(("will", 0, 7, "vhid 0", (ONE,), None, None))
        self.sentry.received(self.beat(0.0))
        self.script += script
        sentry.watch(self.sentry, self.guarded)  # type: ignore[arg-type]
        return deposed

    def beat(self, now: float) -> tuple[Any, ...]:
        """
        A beat: the next one is due after a second, and missed after 1.5.
        """
        return "beat", 0, now + 1.5, 0.5, now + 3.0, (PARCEL,)

    def test_pause(self) -> None:
        """
        The beats that a daemon sent before a pause of the machine are read before the pause is
        judged: the daemon gets its grace when it has passed.
        """
        nap = (0.0, None, 0.0)
        deposed = self.watch(nap, (0.125, self.beat(0.375), 8.0), *[nap] * 8)
        # The pause ended at 8.5.
        self.assertEqual(deposed, [9.0])

    def test_lives(self) -> None:
        """
        A daemon that goes on after a pause is not deposed, and has no more time afterwards than
        before.
        """
        nap = (0.0, None, 0.0)
        beats = (0.125, self.beat(0.375), 8.0), (0.125, self.beat(8.625), 0.0)
        self.assertEqual(self.watch(nap, *beats, *[nap] * 4), [])
        self.setUp()
        self.assertEqual(self.watch(nap, *beats, *[nap] * 8), [10.125])

    def test_pauseAwake(self) -> None:
        """
        A pause while messages are handled counts, too.
        """
        received = self.sentry.received

        def slow(message: tuple[Any, ...]) -> None:
            received(message)
            if message[0] == "alive":
                self.clock.advance(8.0)

        nap = (0.0, None, 0.0)
        self.patch(self.sentry, "received", slow)
        alive = (0.125, ("alive", 0, 1.5, 0.5), 0.0)
        self.assertEqual(self.watch(nap, alive, *[nap] * 8), [9.0])


class HandsTests(SynchronousTestCase):
    """
    Tests for L{Hands}.
    """

    def setUp(self) -> None:
        self.hands = Hands(-1, -1, -1, -1)

    def test_remember(self) -> None:
        """
        The record adds up, and what cannot be written is let go.
        """
        with tempfile.TemporaryFile(buffering=0) as file:
            file.write(RECORD.pack(2, 1.5))
            remember(file.fileno(), 3, 7.5)
            self.assertEqual(RECORD.unpack(os.pread(file.fileno(), 99, 0)), (5, 7.5))
            os.ftruncate(file.fileno(), 3)
            remember(file.fileno(), 3, 7.5)
            self.assertEqual(os.fstat(file.fileno()).st_size, 3)
        remember(-1, 3, 7.5)

    def test_gone(self) -> None:
        """
        An address that is not there is gone, and so is one of an interface that is not there.
        """
        loopback = socket.if_nametoindex("lo")
        addresses = [(loopback, b"\x7f\x09\x09\x09", 32), (9999, b"\x0a\0\0\1", 24)]
        addresses.append((loopback, bytes.fromhex("20010db8" + "00" * 11 + "01"), 64))
        self.assertEqual(self.hands.remove(addresses), {})
        self.assertEqual(self.hands.remove([]), {})

    def test_noSocket(self) -> None:
        """
        It is no exception that there is no socket for a bow-out.
        """
        self.assertEqual(self.hands.send([(1, b"\x7f\0\0\1", b"x")]), "there is no socket for it")

    def test_rehearsal(self) -> None:
        """
        What will have to be done was done once, and touched nothing.
        """
        done: list[object] = []

        class Noted(Hands):
            def remove(self, addresses: Any) -> Any:
                done.append(super().remove(addresses))
                return done[-1]

            def send(self, parcels: Any) -> str:
                done.append(super().send(parcels))
                return ""

        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            rehearse(Noted(-1, -1, os.dup(sock.fileno()), -1))
        self.assertEqual(done[0], {})
        self.assertEqual([bool(each) for each in done[1:]], [True] * 4, done)

    def test_noProc(self) -> None:
        """
        Without C{/proc}, scripts have the place of this process with the killer of the kernel.
        """

        def missing(path: str, *more: object) -> object:
            raise FileNotFoundError(2, "No such file or directory", path)

        self.patch(builtins, "open", missing)
        hands = Hands(-1, -1, -1, -1)
        pid = hands.run(("/bin/true", ["true"], {}, None))
        while (good := hands.ended(pid)) is None:
            pass
        self.assertTrue(good)

    def test_run(self) -> None:
        """
        A script runs with its arguments and its environment, and ordinary signals.
        """
        out = Path(self.mktemp()).absolute()
        script = f'echo "$1 $WORD" > {out}; kill -TERM $$'
        pid = self.hands.run(("/bin/sh", ["sh", "-c", script, "sh", "eth0"], {"WORD": "x"}, None))
        while (good := self.hands.ended(pid)) is None:
            pass
        self.assertFalse(good)
        self.assertEqual(out.read_text(), "eth0 x\n")


class ProgramTests(SynchronousTestCase):
    """
    The program as a process.
    """

    def test_says(self) -> None:
        """
        When there is no daemon to log what was done, it writes to the standard error output and to
        syslog, and waits for neither.
        """
        path = os.path.relpath(self.mktemp())
        log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(log.close)
        log.bind(path)
        log.settimeout(30)
        kept = os.dup(2)
        reading, writing = os.pipe()
        os.dup2(writing, 2)
        try:
            say("vhid 7", 3, path)
            say("vhid 8", -1, path)
            say("vhid 9", 3, "/nonexistent")
            os.set_blocking(writing, False)
            try:
                while os.write(writing, bytes(4096)):
                    pass
            except BlockingIOError:
                pass
            say("a full pipe", -1)
        finally:
            os.dup2(kept, 2)
        lines = os.read(reading, 10_000).split(b"\n")[:3]
        self.assertEqual(lines, [b"txcarp guard: vhid %d" % each for each in (7, 8, 9)])
        self.assertEqual(log.recv(999), b"<28>txcarp[%d]: [WARNING] vhid 7" % os.getpid())
        for each in (kept, reading, writing):
            os.close(each)

    def test_imports(self) -> None:
        """
        It imports neither this program nor what would make it large.
        """
        directory = Path(sys.modules[Sentry.__module__].__file__ or "").parent
        code = "import sys; sys.path.append(sys.argv[1]); import sentry; print(*sys.modules)"
        python = [sys.executable, "-I", "-S", "-E", "-c", code, str(directory)]
        loaded = subprocess.run(python, capture_output=True, check=True, text=True).stdout.split()
        heavy = {"typing", "enum", "re", "subprocess", "socket", "signal", "logging", "txcarp"}
        self.assertEqual(heavy.intersection(loaded), set())
        self.assertLess(len(loaded), 60)
        self.assertTrue(os.path.exists(directory / "sentry.py"))
