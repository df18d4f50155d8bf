"""
Tests for L{txcarp.membership.participation}: events that cause other events, faults of observers,
and changes of the configuration.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from unittest.mock import patch

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests import crafted
from tests.crafted import tickOf
from tests.fakes import INTERFACE, FakeTransport, MemoryFile, Stage, configured
from txcarp.change import Change
from txcarp.findings import Diagnosis, Finding
from txcarp.interfaces import IDiagnosisObserver, IMastershipObserver, ITrace
from txcarp.protocol.effects import Effect, Reason, Role
from txcarp.protocol.envelope import readPacket
from txcarp.protocol.events import DeadlineNear, Event, Heard
from txcarp.protocol.seal import Verification
from txcarp.protocol.timing import Peer, Timing

BOW_OUT = ("advertise", 255, 255)
DETACH = ("detach", INTERFACE, crafted.VHID)


@implementer(IMastershipObserver)
class Acting:
    """
    An observer that calls a function when the host gets a role.
    """

    def __init__(self, role: Role, act: Callable[[], object]) -> None:
        self.role = role
        self.act = act

    def roleChanged(self, change: Change) -> None:
        if change.role is self.role:
            self.act()


@implementer(IDiagnosisObserver)
class Complaining:
    """
    An observer that calls a function when a fault of the group is found.
    """

    def __init__(self, act: Callable[[], object]) -> None:
        self.act = act

    def found(self, diagnosis: Diagnosis) -> None:
        self.act()


@implementer(ITrace)
class FailingTrace:
    """
    A trace that raises an exception each time.
    """

    def happened(self, event: Event) -> None:
        raise ZeroDivisionError

    def decided(self, effect: Effect) -> None:
        raise ZeroDivisionError


def now(stage: Stage, ask: Callable[[], Deferred[None]]) -> Deferred[None]:
    """
    Call the host outside of any event.
    """
    return ask()


def inside(stage: Stage, ask: Callable[[], Deferred[None]]) -> Deferred[None]:
    """
    Call the host from an observer, while it handles an event.
    """
    asked: list[Deferred[None]] = []
    observer = Complaining(lambda: asked.append(ask()))
    stage.host.addDiagnosisObserver(observer)
    stage.deliver(crafted.packet(crafted.vrrp2(2)))
    return asked[0]


class StopTests(SynchronousTestCase):
    """
    The order of a stop, and stops from inside an event.
    """

    def test_bowOutBeforeDetach(self) -> None:
        """
        With C{releaseFirst}, the bow-out is sent before the sockets are closed and the seals are
        saved, even if an observer stops the host and no step takes time.
        """
        for act in (now, inside):
            disk = MemoryFile()
            stage = Stage(releaseFirst=True, disk=disk)
            stage.becomeMaster()
            self.successResultOf(act(stage, stage.host.stopService))
            self.assertEqual(stage.journal, [BOW_OUT, DETACH])
            last = stage.transport.advertisements[-1]
            stage.run(1)
            saved = disk.saved(f"{INTERFACE}:{crafted.VHID}")
            self.assertEqual(saved.tick, tickOf(last.counter))

    def test_outBeforeNext(self) -> None:
        """
        A run has left the election before the next run begins.
        """
        for act in (now, inside):
            stage = Stage(neutral=True)
            stage.start()
            run = stage.host._run
            timers: list[int] = []

            def count(clock: Clock = stage.clock, timers: list[int] = timers) -> None:
                timers.append(len(clock.getDelayedCalls()))

            stage.host.addObserver(Acting(Role.BACKUP, count))
            change = partial(stage.host.reconfigure, configured(broadcast=True))
            self.successResultOf(act(stage, change))
            self.assertIsNot(stage.host._run, run)
            self.assertEqual(timers, [0])

    def test_fromStart(self) -> None:
        """
        If an observer stops the host as soon as it has started, nothing is watched afterwards.
        """
        stage = Stage(neutral=True)
        done: list[Deferred[None]] = []
        stage.host.addObserver(
            Acting(Role.BACKUP, lambda: done.append(stage.host.stopService()))
        )
        stage.start()
        self.successResultOf(done[0])
        self.assertEqual(stage.links.observers, [])
        self.assertEqual(stage.clock.getDelayedCalls(), [])
        self.assertEqual(stage.journal, [DETACH])
        self.assertIs(stage.host.role, Role.INIT)

    def test_fromTakeOver(self) -> None:
        """
        If an observer stops the host as soon as it is master, the take-over is completed first.
        """
        stage = Stage(shutdown=True)
        done: list[Deferred[None]] = []
        stage.host.addObserver(
            Acting(Role.MASTER, lambda: done.append(stage.host.stopService()))
        )
        stage.becomeMaster()
        stage.run(0.5)
        self.successResultOf(done[0])
        self.assertEqual(
            [change.reason for change in stage.observer.changes],
            [Reason.STARTED, Reason.SILENCE, Reason.STOPPED],
        )
        self.assertEqual([one for one in stage.journal if one[0] != "script"], [DETACH])
        self.assertEqual(stage.transport.advertisements[-1].advbase, 255)
        self.assertEqual(stage.clock.getDelayedCalls(), [])

    def test_fault(self) -> None:
        """
        An exception while a host leaves is logged, and the host leaves nevertheless.
        """
        for name in ("watchFront", "deliverTo"):
            stage = Stage()
            stage.becomeMaster()

            def fail(*arguments: object) -> None:
                raise ZeroDivisionError

            self.patch(stage.transport, name, fail)
            done = stage.host.stopService()
            stage.run(0.5)
            self.successResultOf(done)
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
            self.assertIn(DETACH, stage.journal)


class DoorTests(SynchronousTestCase):
    """
    Tests for L{Participation.tell<txcarp.membership.participation.Participation.tell>}.
    """

    def test_failingTrace(self) -> None:
        """
        An exception of the trace is logged, and neither an event nor an effect is lost.
        """
        stage = Stage(neutral=True)
        stage.host.follow(FailingTrace())
        stage.start()
        stage.run(3)
        self.assertIs(stage.host.role, Role.MASTER)
        self.assertEqual(stage.journal[0], ("advertise", 1, 0))
        stage.host.resign()
        self.assertIn(BOW_OUT, stage.journal)
        self.assertGreater(len(self.flushLoggedErrors(ZeroDivisionError)), 5)

    def test_rehearsal(self) -> None:
        """
        A rehearsed take-over has no effect.  A backup makes a bow-out for that, unless there was a
        rehearsal just now; others do nothing.
        """
        for count, prepare in ((1, Stage.start), (0, Stage.becomeMaster)):
            stage = Stage()
            prepare(stage)
            stage.journal.clear()
            before = stage.host.status()
            advertiser = stage.host._run.parts.advertiser
            with patch.object(advertiser, "farewell", wraps=advertiser.farewell) as made:
                stage.host._run.tell(DeadlineNear())
                self.assertEqual(made.call_count, count)
                self.assertEqual((stage.journal, stage.host.status()), ([], before))
                stage.run(0.0078125)
                stage.host._run.tell(DeadlineNear())
                self.assertEqual(made.call_count, count)
                stage.run(0.0078125)
                stage.host._run.tell(DeadlineNear())
                self.assertEqual(made.call_count, 2 * count)

    def test_groupIsAhead(self) -> None:
        """
        A master that the group has refused until now advertises at once, if it remains master.
        If it yields, it is silent: another master with equal timing would yield to it.
        """
        for advskew, role in ((1, Role.MASTER), (0, Role.BACKUP)):
            stage = Stage(dialect="freebsd")
            stage.becomeMaster()
            stage.journal.clear()
            peer = Peer(Timing(1, advskew), bytes((10, 99, 0, 77)))
            stage.host._run.tell(Heard(peer, isAhead=True))
            self.assertIs(stage.host.role, role)
            self.assertEqual(stage.journal.count(("advertise", 1, 0)), role is Role.MASTER)


class UnlistedTests(SynchronousTestCase):
    """
    A host of the group that sends unicast, and is no peer.
    """

    def deliver(self, stage: Stage, **fields: Any) -> list[str]:
        """
        Deliver the advertisements of such a host for an hour.

        @return: What is logged about it.
        """
        with capturedLogs() as events:
            for counter in range(1800):
                fields = {"destination": crafted.OWN, "source": "10.99.0.44", **fields}
                stage.deliver(counter=counter + 1, **fields)
                stage.run(2)
        lines = [formatEvent(event) or "" for event in events]
        return [line for line in lines if "unlisted-peer" in line]

    def test_believed(self) -> None:
        """
        It is believed, and named once, whether this host has other peers or none.
        """
        for peers in (["10.99.0.1"], []):
            stage = Stage(neutral=True, peers=peers)
            stage.start()
            [line] = self.deliver(stage)
            self.assertTrue(line.startswith("10.99.0.44 sends its advertisements to this host"))
            status = stage.host.status()
            self.assertIs(stage.host.role, Role.BACKUP)
            self.assertEqual(status.received, 1800)
            self.assertEqual(status.findings[Finding.UNLISTED_PEER], 1800)

    def test_withoutPassword(self) -> None:
        """
        Nobody without the password can cause that line.
        """
        stage = Stage(neutral=True, peers=["10.99.0.1"])
        stage.start()
        self.assertEqual(self.deliver(stage, badDigest=True), [])
        self.assertEqual(stage.host.status().received, 0)

    def test_followed(self) -> None:
        """
        A host that follows all peers expects unknown ones.
        """
        stage = Stage(neutral=True, followPeers=True)
        stage.start()
        self.assertEqual(self.deliver(stage), [])
        self.assertEqual(stage.host.status().received, 1800)


class FrontTests(SynchronousTestCase):
    """
    Packets that arrive by both sockets when the watch in front of the firewall ends.
    """

    def packets(self) -> list[Any]:
        return [readPacket(crafted.packet(advbase=1, counter=n)) for n in (5, 6)]

    def test_frontFirst(self) -> None:
        """
        Two packets that the front receives first, and then the raw socket, are handled once each.
        """
        stage = Stage(neutral=True)
        stage.start()
        for packet in self.packets():
            stage.network.receiver.packetFiltered(packet)
        for packet in self.packets():
            stage.network.receiver.packetReceived(packet)
        stage.run(1)
        self.assertEqual(stage.host.status().received, 2)

    def test_rawFirst(self) -> None:
        """
        So are two packets that are still in the queue of the front when the watch ends.
        """
        stage = Stage(neutral=True)
        stage.start()
        for packet in self.packets():
            stage.network.receiver.packetReceived(packet)
        for packet in self.packets():
            stage.network.receiver.packetFiltered(packet)
        stage.run(1)
        self.assertEqual(stage.host.status().received, 2)


class ConfigurationTests(SynchronousTestCase):
    """
    Another configuration for the next run, and demotions between runs.
    """

    def test_sealsLater(self) -> None:
        """
        A host that begins to seal when it is reconfigured uses the state of an earlier process.
        """
        disk = MemoryFile()
        earlier = Stage(disk=disk)
        earlier.becomeMaster()
        earlier.run(5)
        last = tickOf(earlier.transport.advertisements[-1].counter)
        stage = Stage(disk=disk, verification=Verification.OFF)
        stage.becomeMaster()
        done = stage.host.reconfigure(configured())
        stage.run(0.5)
        self.successResultOf(done)
        stage.run(3)
        self.assertGreater(tickOf(stage.transport.advertisements[-1].counter), last)

    def test_sameWhileLeaving(self) -> None:
        """
        A second request for the same configuration is fulfilled together with the first.
        """
        stage = Stage()
        stage.becomeMaster()
        wanted = configured(broadcast=True)
        first, second = (stage.host.reconfigure(wanted) for _ in range(2))
        self.assertNoResult(second)
        stage.run(0.5)
        self.successResultOf(first)
        self.successResultOf(second)
        self.assertIs(stage.host.role, Role.BACKUP)

    def test_startWhileLeaving(self) -> None:
        """
        A start with another configuration, before a stop has ended, leaves the sockets to the run
        that still needs them.
        """
        stage = Stage(releaseFirst=True, shutdown=True)
        stage.becomeMaster()
        stage.scripts.hold = True
        stopped = stage.host.stopService()
        self.successResultOf(stage.host.reconfigure(configured(broadcast=True, neutral=True)))
        stage.start()
        self.assertNotIn(DETACH, stage.journal)
        stage.scripts.end()
        self.successResultOf(stopped)
        self.assertLess(stage.journal.index(BOW_OUT), stage.journal.index(DETACH))
        self.assertEqual([one[3] for one in stage.network.attached], [False, True])
        self.assertIs(stage.host.role, Role.BACKUP)

    def test_refused(self) -> None:
        """
        If the sockets for another configuration cannot be opened, the request fails, and can be
        repeated.
        """
        stage = Stage(neutral=True)
        stage.start()
        attach = stage.network.attach

        def refuse(*arguments: object) -> FakeTransport:
            raise PermissionError

        self.patch(stage.network, "attach", refuse)
        done = stage.host.reconfigure(configured(broadcast=True))
        self.failureResultOf(done, PermissionError)
        self.flushLoggedErrors(PermissionError)
        self.assertFalse(stage.host.status().running)
        self.patch(stage.network, "attach", attach)
        self.successResultOf(stage.host.reconfigure(configured(broadcast=True)))
        self.assertTrue(stage.host.status().running)

    def test_demotedWhileStopped(self) -> None:
        """
        A demotion of a stopped host is logged like any other.
        """
        stage = Stage()
        with capturedLogs() as events:
            stage.host.demote("slow disk", 20)
            stage.host.demote("slow disk", 20)
            stage.host.promote("slow disk")
            stage.host.promote("slow disk")
        self.assertEqual(len([formatEvent(event) for event in events]), 2)
