"""
Tests for L{txcarp.membership.sealing}: what a host remembers over a restart, and what an
attacker achieves with replays.
"""

from __future__ import annotations

import errno
import socket
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from tests.crafted import destinationOf, payloadOf, sourceOf, tickOf
from tests.fakes import INTERFACE, FakePlatform, FakeThreads, Journal, MemoryFile, configured
from tests.simulation.segment import LATENCY, Computer, Segment
from tests.simulation.test_pairs import pair
from txcarp.findings import Finding
from txcarp.logs.limits import SayOnce
from txcarp.membership.memory import Memory
from txcarp.membership.reception import keyringOf
from txcarp.membership.sealing import RESERVED, SAVE_EVERY, Sealing
from txcarp.protocol.advertisement import Advertisement, decode, encode
from txcarp.protocol.authentication import Keyring
from txcarp.protocol.dialect import UCARP
from txcarp.protocol.effects import Role
from txcarp.protocol.envelope import wrap
from txcarp.protocol.freshness import FAR_AHEAD, LAG, SealedSource, SealState
from txcarp.protocol.rejection import Rejected, Rejection
from txcarp.protocol.seal import EPOCH, PACE, TICKS, Says, Verification
from txcarp.statefile import bootIdentity, encodeState
from txcarp.statestore import LONGEST_WRITE, StateStore

_GROUP = f"{INTERFACE}:{configured().vhid}"
_PEER = socket.inet_aton("10.99.0.1")
_OWN = socket.inet_aton("10.99.0.2")
_STRANGER = socket.inet_aton("10.99.0.66")


class SealingTestCase(SynchronousTestCase):
    """
    The seals of one host.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.wall = 1.8e9
        self.caughtUp: list[float] = []
        self.memories: list[Memory] = []
        self.disk = MemoryFile()
        self.threads = FakeThreads()
        self.sealing = self.make()

    def make(self, disk: MemoryFile | None = None, **settings: Any) -> Sealing:
        """
        A new process, on the same disk as the last one unless another one is given.
        """
        if not settings.pop("sameProcess", False):
            self.memories.append(Memory(SayOnce(self.clock)))
        disk = self.disk if disk is None else disk
        platform = FakePlatform(self.clock, Journal())
        platform.store = settings.pop("store", StateStore(disk, self.clock, self.threads))
        self.patch(platform, "wallSeconds", lambda: self.wall + self.clock.seconds())
        configuration = configured(**settings)
        return Sealing(configuration, keyringOf(configuration), self.memories[-1], platform)

    @property
    def saved(self) -> SealState:
        """
        The state on disk, after a turn of the reactor.
        """
        self.clock.advance(0.0)
        return self.disk.saved(_GROUP)

    def judge(self, sealing: Sealing, advertisement: Advertisement, source: bytes) -> bool:
        """
        Have an advertisement judged, and note whether the group is ahead of this host.

        @return: Whether it is sealed.
        """
        sealed, isAhead = sealing.judge(advertisement, source)
        if isAhead:
            self.caughtUp.append(self.clock.seconds())
        return sealed

    def sealed(self, seconds: float = 0.0, says: Says | None = None) -> Advertisement:
        """
        What a peer seals so many seconds from now.
        """
        says = says or Says(1, 0)
        configuration = configured()
        keyring = Keyring(configuration.vhid, UCARP, configuration.password, [])
        tick = int((self.clock.seconds() + seconds) * PACE) + 1000
        counter = keyring.seal.counter(tick, says, _PEER)
        return Advertisement(configuration.vhid, says.advbase, says.advskew, counter, b"")


class RememberTests(SealingTestCase):
    """
    What is written, and when.
    """

    def test_reserved(self) -> None:
        """
        Ticks are reserved ahead, so that a host that crashes and whose clock was set
        back meanwhile uses none twice.
        """
        counters: list[int] = []
        for _ in range(RESERVED * 3):
            reserved = self.saved.tick
            counter = self.sealing.counter(Says(1, 0), _PEER)
            assert counter is not None
            if counters:  # those of the first advertisement cannot be reserved before
                self.assertGreaterEqual(reserved, tickOf(counter))
            counters.append(tickOf(counter))
            self.assertGreaterEqual(self.saved.tick, counters[-1])
            self.clock.advance(1.0)
        self.assertLess(self.disk.writes, 8)
        self.wall -= 86400.0
        again = self.make().counter(Says(1, 0), _PEER)
        assert again is not None
        self.assertGreater(tickOf(again), counters[-1])

    def test_reservedAgain(self) -> None:
        """
        What was reserved before a stop is not after the next start in the same process.
        """
        self.sealing.counter(Says(1, 0), _PEER)
        self.clock.advance(1.0)
        self.successResultOf(self.sealing.stop())
        self.sealing = self.make(sameProcess=True)
        self.clock.advance(1.0)
        counter = self.sealing.counter(Says(1, 0), _PEER)
        assert counter is not None
        self.assertGreaterEqual(self.saved.tick, tickOf(counter))

    def test_clockSetBack(self) -> None:
        """
        A group whose clocks were set back, and that was stopped and started since, goes
        on as if nothing had happened: each host keeps the pace that others remember.
        """
        for seconds in (0.0, 1.0):
            self.clock.advance(seconds)
            self.peerHears(self.sealing)
        self.successResultOf(self.sealing.stop())
        self.clock.advance(600.0)
        self.wall -= 300.0
        again = self.make()
        for _ in range(3):
            self.peerHears(again)
            self.clock.advance(1.0)

    def peerHears(self, sealing: Sealing) -> None:
        """
        Have this host seal something, and a peer with a memory of its own believe it.
        """
        if not hasattr(self, "peer"):
            self.peer = self.make(MemoryFile())
        source = socket.inet_aton("10.99.0.2")
        counter = sealing.counter(Says(1, 0), source)
        assert counter is not None
        vhid = configured().vhid
        self.assertTrue(self.judge(self.peer, Advertisement(vhid, 1, 0, counter, b""), source))

    def test_stopped(self) -> None:
        """
        An orderly end writes exactly what was used.
        """
        counter = self.sealing.counter(Says(1, 0), _PEER)
        assert counter is not None
        self.successResultOf(self.sealing.stop())
        self.assertEqual(self.saved.tick, tickOf(counter))

    def test_newPeer(self) -> None:
        """
        A new peer is remembered when it was heard twice, what it goes on saying
        now and then.
        """
        for when in (-1.0, 0.0):
            self.assertTrue(self.judge(self.sealing, self.sealed(when), _PEER))
        self.assertEqual(list(self.saved.sources), [_PEER])
        for _ in range(int(SAVE_EVERY) * 10):
            self.clock.advance(1.0)
            self.judge(self.sealing, self.sealed(), _PEER)
        self.assertLess(self.disk.writes, 13)
        self.assertGreater(self.disk.writes, 8)
        ahead = self.saved.sources[_PEER].tick
        self.assertGreater(ahead, 4000)

    def test_oneAtATime(self) -> None:
        """
        While a slow disk writes nothing else is written; the newest state is next.
        """
        self.threads.slow = True
        for when in (-1.0, 0.0):
            self.judge(self.sealing, self.sealed(when), _PEER)
        self.clock.advance(0.0)
        self.assertEqual(self.threads.unfinished, 1)
        done = self.sealing.stop()
        self.assertEqual(self.threads.unfinished, 1)
        self.assertNoResult(done)
        self.threads.finish()
        self.assertEqual(self.disk.writes, 1)
        self.assertNoResult(done)
        self.threads.finish()
        self.assertEqual(self.disk.writes, 2)
        self.successResultOf(done)

    def test_hungDisk(self) -> None:
        """
        A disk that does not answer at all does not keep a host from ending, and is free to
        answer later.
        """
        self.threads.slow = True
        self.sealing.counter(Says(1, 0), _OWN)
        self.clock.advance(0.0)
        self.assertEqual(self.threads.unfinished, 1)
        with capturedLogs() as logs:
            done = self.sealing.stop()
            self.clock.advance(LONGEST_WRITE - 0.1)
            self.assertNoResult(done)
            self.clock.advance(0.1)
            self.successResultOf(done)
        self.assertIn("no answer from the disk", formatEvent(logs[-1]) or "")
        self.threads.finish()
        self.threads.finish()
        self.assertEqual(self.threads.unfinished, 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cannotWrite(self) -> None:
        """
        A full disk is reported, and nothing waits for it.
        """
        self.disk.writeError = OSError(errno.ENOSPC, "No space left on device")
        with capturedLogs() as logs:
            self.assertTrue(self.judge(self.sealing, self.sealed(), _PEER))
            self.successResultOf(self.sealing.stop())
        lines = [formatEvent(event) or "" for event in logs]
        self.assertEqual(len(lines), 1)
        self.assertIn("No space left on device", lines[0])
        self.assertIn("old advertisements may be taken for new ones", lines[0])

    def test_cannotRead(self) -> None:
        """
        A file that cannot be read is reported, and the host begins anew.
        """
        self.disk.readError = OSError(errno.EIO, "Input/output error")
        with capturedLogs() as logs:
            sealing = self.make()
        self.assertIn("cannot be read", formatEvent(logs[0]) or "")
        self.assertIn(_GROUP, formatEvent(logs[0]) or "")
        self.assertIsNotNone(sealing.counter(Says(1, 0), _OWN))

    def test_noThread(self) -> None:
        """
        Where the system allows no more threads, this host advertises all the same.
        """

        def refuse(function: object) -> Any:
            raise RuntimeError("can't start new thread")

        sealing = self.make(store=StateStore(self.disk, self.clock, refuse))
        with capturedLogs() as logs:
            self.assertIsNotNone(sealing.counter(Says(1, 0), _OWN))
            self.clock.advance(1.0)
            self.assertIsNotNone(sealing.counter(Says(1, 0), _OWN))
            self.successResultOf(sealing.stop())
        self.assertEqual(len(logs), 1)
        self.assertIn("can't start new thread", formatEvent(logs[0]) or "")

    def test_off(self) -> None:
        """
        Without seals nothing is sealed, checked or written.
        """
        sealing = self.make(verification=Verification.OFF)
        self.assertIsNone(sealing.counter(Says(1, 0), _PEER))
        self.assertFalse(self.judge(sealing, self.sealed(), _PEER))
        self.successResultOf(sealing.stop())
        self.assertEqual(self.disk.writes, 0)

    def test_noTicksLeft(self) -> None:
        """
        A clock that is wrong by centuries is said; advertisements leave unsealed.
        """
        self.wall = 2e10
        with capturedLogs() as logs:
            for _ in range(3):
                self.assertIsNone(self.sealing.counter(Says(1, 0), _PEER))
        self.assertEqual(len(logs), 1)
        self.assertIn("wrong by centuries", formatEvent(logs[0]) or "")

    def test_laterThanAll(self) -> None:
        """
        A state that does not fit together, as one of a broken disk: this host is later
        than each host that it knows all the same, so that a host that it has to refuse
        hears it and is in step again.
        """
        far = TICKS // 2
        state = SealState(7, {_PEER: SealedSource(far)})
        self.disk.write(f'{{"version": 2}}\n{encodeState(_GROUP, state, bootIdentity())}\n')
        counter = self.make().counter(Says(1, 0), _OWN)
        assert counter is not None
        self.assertGreater(tickOf(counter), far)

    def test_caughtUp(self) -> None:
        """
        It is said when the group is so far ahead that this host was not believed.
        """
        self.wall = 1.5e9  # before there were ticks
        sealing = self.make()
        sealing.counter(Says(1, 0), _OWN)
        for when in (0.0, 1.0, 2.0):
            self.judge(sealing, self.sealed(when), _PEER)
        self.assertEqual(self.caughtUp, [])
        self.clock.advance(1.0)
        self.judge(sealing, self.sealed(LAG + 3.0), _PEER)
        self.assertEqual(self.caughtUp, [1.0])
        self.clock.advance(1.0)
        self.judge(sealing, self.sealed(LAG + 4.0), _PEER)
        self.assertEqual(self.caughtUp, [1.0])

    def test_byChance(self) -> None:
        """
        What was sealed by chance, and is far ahead of the clock, does not carry this host
        away.
        """
        wall = self.wall - EPOCH
        self.assertTrue(self.judge(self.sealing, self.sealed(wall + FAR_AHEAD), _PEER))
        counter = self.sealing.counter(Says(1, 0), _OWN)
        assert counter is not None
        self.assertEqual(tickOf(counter), int(wall * PACE))
        self.assertEqual(self.caughtUp, [])

    def test_anotherRun(self) -> None:
        """
        Within one process nothing is forgotten, also without a store.
        """
        sealing = self.make(store=None)
        heard = [self.sealed(when) for when in (-1.0, 0.0)]
        for each in heard:
            self.assertTrue(self.judge(sealing, each, _PEER))
        self.successResultOf(sealing.stop())
        sealing = self.make(sameProcess=True, store=None)
        for each in heard:
            self.assertRaises(Rejected, sealing.judge, each, _PEER)

    def test_afterARestart(self) -> None:
        """
        What was heard before a restart is refused after it, also what is newer than
        the last write but was held back for too long.
        """
        self.judge(self.sealing, self.sealed(-1.0), _PEER)
        heard = self.sealed()
        self.judge(self.sealing, heard, _PEER)
        self.clock.advance(1.0)
        heldBack = self.sealed()
        self.clock.advance(30.0)
        fresh = self.sealed()
        again = self.make()
        for old in (heard, heldBack):
            error = self.assertRaises(Rejected, again.judge, old, _PEER)
            self.assertIs(error.reason, Rejection.REPLAY)
        self.assertTrue(self.judge(again, fresh, _PEER))


def resent(
    packet: bytes,
    *,
    says: Says | None = None,
    source: bytes | None = None,
) -> bytes:
    """
    A captured packet as an attacker makes it who knows no password.
    """
    heard = decode(payloadOf(packet))
    changed = says or Says(heard.advbase, heard.advskew, heard.demotion)
    forged = Advertisement(
        heard.vhid,
        changed.advbase,
        changed.advskew,
        heard.counter,
        heard.digest,
        changed.demotion,
    )
    return wrap(encode(forged), source or sourceOf(packet), destinationOf(packet))


class AttackTests(SynchronousTestCase):
    """
    What an attacker on the segment gets who captures everything.
    """

    def group(self, **more: Any) -> tuple[Segment, Computer, Computer]:
        """
        A master and a backup with memories.
        """
        segment = Segment()
        first = segment.add("10.99.0.1", **more)
        second = segment.add("10.99.0.2", advskew=100, **more)
        for computer in (first, second):
            computer.disk = MemoryFile()
            computer.start()
        segment.run(20)
        return segment, first, second

    def inject(self, segment: Segment, packet: bytes) -> None:
        """
        Send something to everybody.
        """
        for computer in segment.computers:
            computer.arrived(packet)

    def untouched(self, segment: Segment, first: Computer) -> None:
        """
        Nothing moved.
        """
        self.assertEqual(segment.masters(), [first])
        self.assertEqual(len(segment.reigns), 1)

    def test_changedTiming(self) -> None:
        """
        Advertisements sent again with other values, from whatever source, move
        nothing.
        """
        both = {"addresses": ["10.99.0.100", "fd00::100"]}
        for settings in ({}, both, {"verification": Verification.REQUIRE}):
            segment, first, _ = self.group(**settings)
            captured = list(segment.record)
            for says in (Says(0, 0), Says(255, 255), Says(0, 1), Says(1, 240), Says(1, 0, 9)):
                for source in (None, socket.inet_aton("10.99.0.2"), _STRANGER):
                    for packet in captured[-4:]:
                        if source is not None and len(sourceOf(packet)) == 16:
                            source = socket.inet_pton(socket.AF_INET6, "fe80::66")
                        self.inject(segment, resent(packet, says=says, source=source))
                    segment.run(1)
            self.untouched(segment, first)

    def test_fullReplay(self) -> None:
        """
        When the master is dead its advertisements, sent again in order and at their
        pace, keep nobody from taking over.
        """
        segment, first, second = self.group()
        captured = list(segment.record)
        first.crash()
        died = segment.clock.seconds()
        for packet in captured:
            self.inject(segment, packet)
            segment.run(1)
            if segment.masters():
                break
        self.assertEqual(segment.masters(), [second])
        self.assertLess(segment.reigns[-1].since - died, 3.4)
        for packet in captured:
            self.inject(segment, packet)
            segment.run(0.25)
        self.assertEqual(segment.masters(), [second])
        assert second.virtualHost is not None
        self.assertGreater(second.virtualHost.status().findings[Finding.REPLAY], len(captured))

    def test_receiverRestarted(self) -> None:
        """
        Nor do they fool a host that was restarted, in order or by a crash.
        """
        for end in (Computer.stop, Computer.crash):
            segment, first, second = self.group()
            captured = list(segment.record)
            end(second)
            first.crash()
            segment.run(1)
            second.start()
            started = segment.clock.seconds()
            for packet in captured * 2:
                self.inject(segment, packet)
                segment.run(0.25)
            self.assertEqual(segment.masters(), [second])
            # What the five seconds before a crash brought is not remembered.
            self.assertLess(segment.reigns[-1].since - started, 3.4 + SAVE_EVERY)

    def test_ownAfterARestart(self) -> None:
        """
        Nor do its own from before.
        """
        for end in (Computer.stop, Computer.crash):
            segment, first, second = self.group()
            captured = list(segment.record)
            end(first)
            segment.run(10)
            self.assertEqual(segment.masters(), [second])
            first.settings["preempt"] = True
            first.start()
            segment.run(10)
            self.assertEqual(segment.masters(), [first])
            for packet in captured:
                first.arrived(resent(packet, says=Says(0, 0), source=_STRANGER))
                segment.run(0.25)
                self.assertEqual(segment.masters(), [first])

    def test_missedWhileDown(self) -> None:
        """
        Nor those that it did not hear because it was down: they are too old.
        """
        segment, first, second = self.group()
        second.stop()
        segment.run(120)
        missed = segment.record[-100:-20]
        first.crash()
        segment.run(1)
        second.start()
        for packet in missed:
            self.inject(segment, packet)
            segment.run(0.5)
        self.assertEqual(segment.masters(), [second])
        assert second.virtualHost is not None
        self.assertEqual(second.virtualHost.status().received, 0)

    def test_withoutMemory(self) -> None:
        """
        Without a state file a host that was just started can be fooled with what was
        captured, until it hears one host or takes over; that is what the file is for.
        """
        segment, first, second = self.group()
        captured = list(segment.record)
        second.stop()
        first.crash()
        segment.run(1)
        second.disk = None
        second.start()
        for packet in captured:
            self.inject(segment, packet)
            segment.run(1)
        self.assertEqual(segment.masters(), [])
        segment.run(4)
        self.assertEqual(segment.masters(), [second])
        segment.run(20)
        for packet in captured:
            self.inject(segment, resent(packet, source=_STRANGER))
            self.inject(segment, packet)
            segment.run(1)
        self.assertEqual(segment.masters(), [second])

    def test_ownEchoed(self) -> None:
        """
        Advertisements that come back to their sender, also with another source, move
        nothing and are named.
        """
        segment, first, _ = self.group()
        for packet in segment.record[-5:]:
            first.arrived(packet)
            first.arrived(resent(packet, source=_STRANGER))
        segment.run(5)
        self.untouched(segment, first)
        assert first.virtualHost is not None
        self.assertEqual(first.virtualHost.status().findings[Finding.OWN_ECHO], 10)

    def test_unsealedMember(self) -> None:
        """
        A host that was never sealed is a member as any other, unless seals are
        required.
        """
        for verification, master in ((Verification.LEARN, 1), (Verification.REQUIRE, 2)):
            segment = Segment()
            first = segment.add("10.99.0.1", verification=Verification.OFF)
            second = segment.add("10.99.0.2", verification=verification, advskew=100)
            first.start()
            second.start()
            with capturedLogs():
                segment.run(20)
            self.assertEqual(len(segment.masters()), master)

    def test_sealTakenOff(self) -> None:
        """
        A peer that was sealed and is not any more is refused, and that is named.
        """
        segment, first, second = self.group()
        first.crash()
        first.settings.update(verification=Verification.OFF, preempt=True)
        segment.run(4)
        with capturedLogs() as logs:
            first.start()
            segment.run(10)
        self.assertIs(second.role, Role.MASTER)
        self.assertTrue(any("unsealed" in (formatEvent(event) or "") for event in logs))

    def test_newHardware(self) -> None:
        """
        A peer that was replaced by a new machine, with nothing remembered and a clock
        that is a year late, is back as soon as it has heard the group.
        """
        segment, first, second = self.group()
        first.crash()
        segment.run(5)
        self.assertEqual(segment.masters(), [second])
        first.disk = MemoryFile()
        first.clockError = -365 * 86400.0
        first.settings["preempt"] = True
        first.start()
        segment.run(5)
        self.assertEqual(segment.masters(), [first])
        self.assertLessEqual(segment.longestOverlap(0), 2 * LATENCY)

    def test_forgottenTogether(self) -> None:
        """
        The same after a power cut, when the new machine is first: the other one has to
        think it a replay and takes over.  When the better one hears that, it says
        at once who it is.
        """
        segment, first, second = self.group(preempt=True)
        for computer in (first, second):
            computer.crash()
        segment.run(60)
        first.disk = MemoryFile()
        first.clockError = -365 * 86400.0
        first.start()
        segment.run(10)
        second.start()
        segment.run(10)
        self.assertEqual(segment.masters(), [first])
        self.assertEqual(len(segment.reigns), 3)
        self.assertLessEqual(segment.longestOverlap(0), 2 * LATENCY)
        segment.run(60)
        self.assertEqual(len(segment.reigns), 3)

    def test_clocksApart(self) -> None:
        """
        The clocks of the hosts need not agree, and may be set at any time.
        """
        segment = Segment()
        first = segment.add("10.99.0.1", preempt=True)
        second = segment.add("10.99.0.2", advskew=100, preempt=True)
        second.clockError = 7200.0
        for computer in (second, first):
            computer.disk = MemoryFile()
            computer.start()
            segment.run(10)
        self.assertEqual(segment.masters(), [first])
        for error in (-3600.0, 86400.0, 0.0):
            first.clockError = error
            segment.run(10)
            self.assertEqual(segment.masters(), [first])
        for computer in (first, second):
            assert computer.virtualHost is not None
            self.assertEqual(computer.virtualHost.status().rejected.total(), 0)

    def test_mixed(self) -> None:
        """
        An unsealed host counts on from a sealed counter, as ucarp does, and is
        believed.
        """
        segment, first, second = pair({}, {"verification": Verification.OFF, "advskew": 100})
        first.stop()
        segment.run(10)
        self.assertEqual(segment.masters(), [second])
        first.settings["preempt"] = True
        first.start()
        segment.run(10)
        self.assertEqual(segment.masters(), [first])
        second.crash()
        segment.run(1)
        second.start()
        segment.run(10)
        self.assertEqual(segment.masters(), [first])
