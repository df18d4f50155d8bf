"""
Tests for L{txcarp.membership.sealing}: state that is kept over a restart, and replays by an
attacker.
"""

from __future__ import annotations

import errno
import socket
import time
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from tests import crafted
from tests.clock.test_steady import Machine
from tests.crafted import destinationOf, payloadOf, sourceOf, tickOf
from tests.fakes import INTERFACE, FakePlatform, FakeThreads, Journal, MemoryFile, configured
from tests.simulation.segment import LATENCY, Computer, Segment
from tests.simulation.test_pairs import pair
from txcarp.clock.steady import SteadyClock
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.findings import Finding
from txcarp.membership.memory import Memory, newMemory
from txcarp.membership.reception import keyringOf
from txcarp.membership.record import Record
from txcarp.membership.sealing import RESERVED, SAVE_EVERY, Sealing
from txcarp.protocol.advertisement import Advertisement, decode, encode
from txcarp.protocol.authentication import Keyring
from txcarp.protocol.dialect import UCARP
from txcarp.protocol.effects import Role
from txcarp.protocol.envelope import wrap
from txcarp.protocol.freshness import LAG, SealedSource
from txcarp.protocol.rejection import Rejected, Rejection
from txcarp.protocol.seal import (
    EPOCH,
    FAR_AHEAD,
    LIKELY,
    PACE,
    TICKS,
    Fields,
    Seal,
    Verification,
    saidBy,
)
from txcarp.protocol.sealstate import SealState
from txcarp.state.format import bootIdentity, encodeState
from txcarp.state.store import LONGEST_WRITE, StateStore

_SEAL = Seal(crafted.PASSWORD, crafted.VHID)
_GROUP = f"{INTERFACE}:{configured().vhid}"
_PEER = socket.inet_aton("10.99.0.1")
_OWN = socket.inet_aton("10.99.0.2")
_STRANGER = socket.inet_aton("10.99.0.66")


def sealingOf(
    configuration: VirtualHostConfiguration, memory: Memory, platform: FakePlatform
) -> Sealing:
    """
    The seals of a run.
    """
    record = Record(configuration, memory, platform)
    return Sealing(configuration, keyringOf(configuration), memory, platform, record)


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
        Make the seals of a new process.

        @param disk: The disk of that process; C{None} for the same as before.
        @param settings: Settings of the configuration; C{store} replaces the store, and
            C{sameProcess} makes another run in the same process instead.
        """
        if not settings.pop("sameProcess", False):
            self.memories.append(newMemory(self.clock, configured()))
        disk = self.disk if disk is None else disk
        platform = FakePlatform(self.clock, Journal())
        self.store = settings.pop("store", StateStore(disk, self.clock, self.threads))
        platform.store = self.store
        self.patch(platform, "wallSeconds", lambda: self.wall + self.clock.seconds())
        configuration = configured(**settings)
        return sealingOf(configuration, self.memories[-1], platform)

    @property
    def saved(self) -> SealState:
        """
        The state on disk, after a turn of the reactor.
        """
        self.clock.advance(0.0)
        return self.disk.saved(_GROUP)

    def judge(self, sealing: Sealing, advertisement: Advertisement, source: bytes) -> bool:
        """
        Judge an advertisement, and record whether the group is ahead of this host.

        @return: Whether the advertisement is sealed.
        """
        now = self.clock.seconds()
        judged = sealing.judge(advertisement.counter, saidBy(advertisement), source, now)
        if judged.isAhead:
            self.caughtUp.append(self.clock.seconds())
        return judged.sealed

    def sealed(self, seconds: float = 0.0, says: Fields | None = None) -> Advertisement:
        """
        Make an advertisement that a peer seals at a time.

        @param seconds: The time, in seconds from now.
        """
        says = says or Fields(1, 0)
        configuration = configured()
        keyring = Keyring(configuration.vhid, UCARP, configuration.password, [])
        tick = int((self.clock.seconds() + seconds) * PACE) + 1000
        counter = keyring.forms[0].seal.counter(tick, says, _PEER)
        return Advertisement(configuration.vhid, says.advbase, says.advskew, counter, b"")


class RememberTests(SealingTestCase):
    """
    Which state is saved, and when.
    """

    def test_reserved(self) -> None:
        """
        Ticks are reserved in advance, so that a host uses none twice if it crashes and its clock
        is set back.
        """
        counters: list[int] = []
        for _ in range(RESERVED * 3):
            reserved = self.saved.tick
            counter = self.sealing.counter(_SEAL, Fields(1, 0), _PEER)
            assert counter is not None
            if counters:  # the first tick cannot be reserved in advance
                self.assertGreaterEqual(reserved, tickOf(counter))
            counters.append(tickOf(counter))
            self.assertGreaterEqual(self.saved.tick, counters[-1])
            self.clock.advance(1.0)
        self.assertLess(self.disk.writes, 8)
        self.wall -= 86400.0
        again = self.make().counter(_SEAL, Fields(1, 0), _PEER)
        assert again is not None
        self.assertGreater(tickOf(again), counters[-1])

    def test_reservedAgain(self) -> None:
        """
        A stop ends the reservation.  After the next start in the same process, ticks are reserved
        again.
        """
        self.sealing.counter(_SEAL, Fields(1, 0), _PEER)
        self.clock.advance(1.0)
        self.successResultOf(self.sealing.stop())
        self.sealing = self.make(sameProcess=True)
        self.clock.advance(1.0)
        counter = self.sealing.counter(_SEAL, Fields(1, 0), _PEER)
        assert counter is not None
        self.assertGreaterEqual(self.saved.tick, tickOf(counter))

    def test_clockSetBack(self) -> None:
        """
        After a stop during which its clock was set back, a host keeps its earlier pace of ticks,
        and its peers accept its advertisements.
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
        Check that a peer, which has a disk of its own, accepts the next advertisement of a host.
        """
        if not hasattr(self, "peer"):
            self.peer = self.make(MemoryFile())
        source = socket.inet_aton("10.99.0.2")
        counter = sealing.counter(_SEAL, Fields(1, 0), source)
        assert counter is not None
        vhid = configured().vhid
        self.assertTrue(self.judge(self.peer, Advertisement(vhid, 1, 0, counter, b""), source))

    def test_stopped(self) -> None:
        """
        A stop saves the last tick that was used.
        """
        counter = self.sealing.counter(_SEAL, Fields(1, 0), _PEER)
        assert counter is not None
        self.successResultOf(self.sealing.stop())
        self.assertEqual(self.saved.tick, tickOf(counter))

    def test_newPeer(self) -> None:
        """
        A new peer is saved at once when it was heard twice, and its later advertisements from time
        to time.
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

    def test_forget(self) -> None:
        """
        An operator can make a group forget that a peer seals, also after it was stopped.  It then
        believes the peer without a seal.
        """
        for stopped in (False, True):
            for when in (-1.0, 0.0):
                self.judge(self.sealing, self.sealed(when), _PEER)
            plain = Advertisement(configured().vhid, 1, 0, 7, b"")
            self.assertRaises(Rejected, self.judge, self.sealing, plain, _PEER)
            if stopped:
                self.successResultOf(self.sealing.stop())
            with capturedLogs() as logs:
                done = self.store.forget(_PEER)
                self.assertEqual(self.successResultOf(done), [_GROUP])
            self.assertIn("10.99.0.1", formatEvent(logs[0]) or "")
            self.assertNotIn(_PEER, self.saved.sources)
            self.assertEqual(self.successResultOf(self.store.forget(_PEER)), [])
            if stopped:
                self.sealing = self.make(sameProcess=True)
            self.assertFalse(self.judge(self.sealing, plain, _PEER))
            self.clock.advance(2.0)

    def test_oneAtATime(self) -> None:
        """
        While a write is in progress, no other write starts.  The next one has the newest state.
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
        A disk that does not respond does not prevent the stop, and may respond later.
        """
        self.threads.slow = True
        self.sealing.counter(_SEAL, Fields(1, 0), _OWN)
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
        A full disk is logged, and does not prevent the stop.
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
        A file that cannot be read is logged, and the host starts without a saved state.
        """
        self.disk.readError = OSError(errno.EIO, "Input/output error")
        with capturedLogs() as logs:
            sealing = self.make()
        self.assertIn("cannot be read", formatEvent(logs[0]) or "")
        self.assertIn(_GROUP, formatEvent(logs[0]) or "")
        self.assertIsNotNone(sealing.counter(_SEAL, Fields(1, 0), _OWN))

    def test_noThread(self) -> None:
        """
        If the system allows no more threads, the host advertises nevertheless.
        """

        def refuse(function: object) -> Any:
            raise RuntimeError("can't start new thread")

        sealing = self.make(store=StateStore(self.disk, self.clock, refuse))
        with capturedLogs() as logs:
            self.assertIsNotNone(sealing.counter(_SEAL, Fields(1, 0), _OWN))
            self.clock.advance(1.0)
            self.assertIsNotNone(sealing.counter(_SEAL, Fields(1, 0), _OWN))
            self.successResultOf(sealing.stop())
        self.assertEqual(len(logs), 1)
        self.assertIn("can't start new thread", formatEvent(logs[0]) or "")

    def test_off(self) -> None:
        """
        Without verification, nothing is sealed, checked or saved.
        """
        sealing = self.make(verification=Verification.OFF)
        self.assertIsNone(sealing.counter(_SEAL, Fields(1, 0), _PEER))
        self.assertFalse(self.judge(sealing, self.sealed(), _PEER))
        self.successResultOf(sealing.stop())
        self.assertEqual(self.disk.writes, 0)

    def test_noTicksLeft(self) -> None:
        """
        If the clock is wrong by centuries, that is logged, and advertisements are not sealed.
        """
        self.wall = 2e10
        with capturedLogs() as logs:
            for _ in range(3):
                self.assertIsNone(self.sealing.counter(_SEAL, Fields(1, 0), _PEER))
        self.assertEqual(len(logs), 1)
        self.assertIn("wrong by centuries", formatEvent(logs[0]) or "")

    def test_laterThanAll(self) -> None:
        """
        Even if the saved state is inconsistent, the ticks of this host are later than those of
        every host in it.  A peer whose ticks are refused hears them and catches up.
        """
        far = TICKS // 2
        state = SealState(7, {_PEER: SealedSource(far)})
        self.disk.write(f'{{"version": 2}}\n{encodeState(_GROUP, state, bootIdentity())}\n')
        counter = self.make().counter(_SEAL, Fields(1, 0), _OWN)
        assert counter is not None
        self.assertGreater(tickOf(counter), far)

    def test_caughtUp(self) -> None:
        """
        It is reported, once, that the ticks of the group are so far ahead that the group refused
        this host.
        """
        self.wall = 1.5e9  # before there were ticks
        sealing = self.make()
        sealing.counter(_SEAL, Fields(1, 0), _OWN)
        for when in (0.0, 1.0, 2.0):
            self.judge(sealing, self.sealed(when), _PEER)
        self.assertEqual(self.caughtUp, [])
        self.clock.advance(1.0)
        self.judge(sealing, self.sealed(LAG + 3.0), _PEER)
        self.assertEqual(self.caughtUp, [1.0])
        self.clock.advance(1.0)
        self.judge(sealing, self.sealed(LAG + 4.0), _PEER)
        self.assertEqual(self.caughtUp, [1.0])

    def test_clockNeverSet(self) -> None:
        """
        A host whose clock shows 1970 is in step after one advertisement of a new peer, so that
        its first own one is believed.
        """
        self.wall = 0.0
        sealing = self.make()
        heard = self.sealed(7 * 365 * 86400.0)
        self.judge(sealing, heard, _PEER)
        counter = sealing.counter(_SEAL, Fields(1, 0), _OWN)
        assert counter is not None
        self.assertEqual(tickOf(counter), tickOf(heard.counter) + 1)

    def test_byChance(self) -> None:
        """
        A counter with a valid seal by chance, which is far ahead of the clock, does not move the
        ticks of this host.
        """
        wall = self.wall - EPOCH
        far = max(wall + FAR_AHEAD, LIKELY)
        self.assertTrue(self.judge(self.sealing, self.sealed(far), _PEER))
        counter = self.sealing.counter(_SEAL, Fields(1, 0), _OWN)
        assert counter is not None
        self.assertEqual(tickOf(counter), int(wall * PACE))
        self.assertEqual(self.caughtUp, [])

    def test_anotherRun(self) -> None:
        """
        Another run in the same process remembers everything, even without a store.
        """
        sealing = self.make(store=None)
        heard = [self.sealed(when) for when in (-1.0, 0.0)]
        for each in heard:
            self.assertTrue(self.judge(sealing, each, _PEER))
        self.successResultOf(sealing.stop())
        sealing = self.make(sameProcess=True, store=None)
        for each in heard:
            self.assertRaises(Rejected, self.judge, sealing, each, _PEER)

    def test_afterARestart(self) -> None:
        """
        After a restart, a host refuses advertisements that it heard before, and those that are
        newer than the saved state but arrive too late.
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
            error = self.assertRaises(Rejected, self.judge, again, old, _PEER)
            self.assertIs(error.reason, Rejection.REPLAY)
        self.assertTrue(self.judge(again, fresh, _PEER))


class SlewTests(SealingTestCase):
    """
    The clocks of hosts are slewed.
    """

    def host(self, slew: float) -> tuple[Machine, Sealing, SteadyClock]:
        """
        Make a machine whose clocks run fast by so many seconds per second.
        """
        machine = Machine()
        machine.slew = slew
        steady = SteadyClock(machine.read)
        platform = FakePlatform(self.clock, Journal())
        self.patch(platform, "pauseSeconds", steady)
        self.patch(platform, "wallSeconds", lambda: 1.8e9 + machine.read(time.CLOCK_MONOTONIC))
        configuration = configured()
        memory = newMemory(self.clock, configuration)
        return machine, sealingOf(configuration, memory, platform), steady

    def test_slewed(self) -> None:
        """
        A host whose clocks are slewed is believed for as long as that lasts, and afterwards, by a
        host whose clocks are slewed, too.
        """
        slews = (0.1, 0.0, -0.1)
        for sender, receiver in ((one, other) for one in slews for other in slews):
            sending, sends, _ = self.host(sender)
            receiving, receives, steady = self.host(receiver)
            for second in range(3600):
                for machine in (sending, receiving):
                    machine.run(1.0)
                    if second == 1800:
                        machine.slew = 0.0
                counter = sends.counter(_SEAL, Fields(1, 0), _PEER)
                assert counter is not None
                heard = Advertisement(configured().vhid, 1, 0, counter, b"")
                judged = receives.judge(heard.counter, saidBy(heard), _PEER, steady())
                self.assertTrue(judged.sealed, (sender, receiver, second))


def resent(
    packet: bytes,
    *,
    says: Fields | None = None,
    source: bytes | None = None,
) -> bytes:
    """
    Change a captured packet as an attacker can who does not know the password.
    """
    heard = decode(payloadOf(packet))
    changed = says or Fields(heard.advbase, heard.advskew, heard.demotion)
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
    Attacks by a host on the segment that captures all packets.
    """

    def group(self, **more: Any) -> tuple[Segment, Computer, Computer]:
        """
        Make a master and a backup, each with a disk.
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
        Send a packet to all hosts.
        """
        for computer in segment.computers:
            computer.arrived(packet)

    def untouched(self, segment: Segment, first: Computer) -> None:
        """
        Check that the first host has been master all the time.
        """
        self.assertEqual(segment.masters(), [first])
        self.assertEqual(len(segment.reigns), 1)

    def test_changedTiming(self) -> None:
        """
        Repeated advertisements with changed values, from any source, have no effect.
        """
        both = {"addresses": ["10.99.0.100", "fd00::100"]}
        for settings in ({}, both, {"verification": Verification.REQUIRE}):
            segment, first, _ = self.group(**settings)
            captured = list(segment.record)
            for says in (
                *(Fields(0, 0), Fields(255, 255), Fields(0, 1), Fields(1, 240), Fields(1, 0, 9)),
            ):
                for source in (None, socket.inet_aton("10.99.0.2"), _STRANGER):
                    for packet in captured[-4:]:
                        if source is not None and len(sourceOf(packet)) == 16:
                            source = socket.inet_pton(socket.AF_INET6, "fe80::66")
                        self.inject(segment, resent(packet, says=says, source=source))
                    segment.run(1)
            self.untouched(segment, first)

    def test_fullReplay(self) -> None:
        """
        After the master died, its advertisements, repeated in order and at their pace, do not
        prevent the take-over.
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
        They do not prevent it either if the backup was stopped or crashed before.
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
            # The last five seconds before a crash may not have been saved.
            self.assertLess(segment.reigns[-1].since - started, 3.4 + SAVE_EVERY)

    def test_ownAfterARestart(self) -> None:
        """
        A host that was restarted is not affected by its own earlier advertisements.
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
                first.arrived(resent(packet, says=Fields(0, 0), source=_STRANGER))
                segment.run(0.25)
                self.assertEqual(segment.masters(), [first])

    def test_missedWhileDown(self) -> None:
        """
        It refuses advertisements that were sent while it was down, because they are too old.
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
        Without a state file, a host that was restarted accepts captured advertisements until it
        takes over.  That is what the file is for.
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
        Advertisements that come back to their sender, even with another source, are reported and
        have no other effect.
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
        A host that never sealed is accepted unless seals are required.
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
        Where seals are required, a peer that has stopped sealing is refused, and that is logged.
        """
        segment, first, second = self.group(verification=Verification.REQUIRE)
        first.crash()
        first.settings.update(verification=Verification.OFF, preempt=True)
        segment.run(4)
        with capturedLogs() as logs:
            first.start()
            segment.run(30)
        self.assertIs(second.role, Role.MASTER)
        self.assertTrue(any("unsealed" in (formatEvent(event) or "") for event in logs))

    def test_sealEnded(self) -> None:
        """
        Otherwise it is believed after three advertisements, and that is logged and saved.
        """
        segment, first, second = self.group()
        first.crash()
        first.settings.update(verification=Verification.OFF, preempt=True)
        segment.run(4)
        with capturedLogs() as logs:
            first.start()
            segment.run(10)
        self.assertEqual(segment.masters(), [first])
        lines = [formatEvent(event) or "" for event in logs]
        [line] = [each for each in lines if "seal-ended" in each]
        self.assertIn("10.99.0.1 no longer seals its advertisements", line)
        assert second.virtualHost is not None and second.disk is not None
        self.assertEqual(second.virtualHost.status().findings[Finding.SEAL_ENDED], 1)
        self.assertNotIn(_PEER, second.disk.saved(_GROUP).sources)

    def test_unsealedEarlier(self) -> None:
        """
        What a host sent before it began to seal does not keep it alive after its death, in its own
        name, altered or not, whether it had counted on from others or had drawn its counters, and
        whether the receiver was restarted since.
        """
        for dialect in ("ucarp", "freebsd", "openbsd"):
            for restarted in (False, True):
                segment, first, second = self.group(
                    dialect=dialect, verification=Verification.OFF, preempt=True
                )
                second.settings["verification"] = Verification.LEARN
                for computer in (second, first, second, first):
                    computer.stop()
                    segment.run(5)
                    computer.start()
                    segment.run(10)
                captured = [one for one in segment.record if sourceOf(one) == _PEER]
                first.stop()
                segment.run(5)
                first.settings["verification"] = Verification.LEARN
                first.start()
                segment.run(20)
                if restarted:
                    second.stop()
                    segment.run(5)
                    second.start()
                    segment.run(10)
                self.assertEqual(segment.masters(), [first])
                first.crash()
                for says in (None, Fields(0, 1)):
                    for index, packet in enumerate(captured):
                        self.inject(segment, resent(packet, says=says))
                        segment.run(1)
                        if index > 4:
                            self.assertEqual(segment.masters(), [second], (dialect, restarted))
                self.assertGreater(len(captured), 30)

    def test_newHardware(self) -> None:
        """
        A peer that was replaced by a new machine, without a saved state and with a clock that is
        a year late, takes part again as soon as it has heard the group.
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
        After a power cut, if the new machine starts first, the other one takes its advertisements
        for replays and becomes master.  When the new machine, which is better, hears that, it
        advertises at once and stays master.
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
        The clocks of the hosts may differ, and may be set at any time.
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
        A host without seals, which like ucarp continues a sealed counter, is accepted.
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
