"""
Drains: simulated hosts are taken out of the election, and take part again.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from tests import crafted
from tests.fakes import MemoryFile, Stage, simulated
from tests.mastership.table import LeaseStage
from txcarp import (
    Actor,
    CARPService,
    Drained,
    Finding,
    HoldReason,
    NotDrained,
    Reason,
    Role,
    Verification,
    VirtualHost,
    VirtualHostConfiguration,
)
from txcarp.mastership.handover import FOLLOW, SUCCESSION
from txcarp.testing import FakeObserver, Segment, SimulatedHost

ADDRESS = "10.1.1.252"

#: Seconds between two looks at the addresses.
_STEP = 0.005


class DrainTestCase(SynchronousTestCase):
    """
    A group of simulated hosts.
    """

    #: Settings of all hosts.
    settings: dict[str, Any] = {}

    def setUp(self) -> None:
        self.segment = Segment()
        self.first = self.segment.host("10.1.1.1")
        self.second = self.segment.host("10.1.1.2")
        self.observer = FakeObserver()
        self.lost = self.twice = 0.0

    def start(self, *hosts: SimulatedHost, **settings: Any) -> None:
        """
        Start hosts, the first of which becomes master.
        """
        for skew, host in enumerate(hosts):
            own = {"advskew": 50 * skew, **self.settings, **settings}
            service = CARPService([self.configuration(host, **own)], platform=host)
            if host is self.first:
                service.virtualHosts[0].addObserver(self.observer)
            host.start(service)
        self.segment.advance(8)
        self.assertOnly(hosts[0])

    def configuration(self, host: SimulatedHost, **settings: Any) -> VirtualHostConfiguration:
        """
        The configuration of a host.
        """
        return simulated(host, **settings)

    def host(self, host: SimulatedHost) -> VirtualHost:
        """
        The virtual host of a simulated host.
        """
        return host.virtualHosts[0]

    def advance(self, seconds: float) -> None:
        """
        Let time pass, and note for how long nobody had the address, or two hosts had it.
        """
        for _ in range(round(seconds / _STEP)):
            self.segment.advance(_STEP)
            holders = self.segment.holders(ADDRESS)
            self.lost += _STEP * (not holders)
            self.twice += _STEP * (len(holders) > 1)

    def assertNothingLost(self) -> None:
        """
        Assert that one host always had the address, and two no longer than in a planned stop.
        """
        self.assertEqual(self.lost, 0.0)
        self.assertLessEqual(self.twice, FOLLOW + 2 * _STEP)

    def assertOnly(self, *hosts: SimulatedHost) -> None:
        """
        Assert that these hosts, and no others, are master and have the address.
        """
        self.assertEqual(self.segment.masters(), list(hosts))
        self.assertEqual(self.segment.holders(ADDRESS), list(hosts))

    def assertNotDrained(self, done: Deferred[Drained], word: str) -> str:
        """
        Assert that a host is not drained for a reason.

        @return: What the error says.
        """
        error = self.failureResultOf(done, NotDrained).value
        self.assertEqual(error.word, word)
        return str(error)


class MasterTests(DrainTestCase):
    """
    A master that is drained.
    """

    def test_successor(self) -> None:
        """
        A master bows out, keeps the address until its successor has it, and stays out.
        """
        self.start(self.first, self.second)
        done = self.host(self.first).drain(actor=Actor.signal("SIGTEST"))
        self.assertNoResult(done)
        self.advance(FOLLOW + 2 * _STEP)
        self.assertEqual(self.successResultOf(done), Drained("10.1.1.2"))
        self.assertOnly(self.second)
        self.assertNothingLost()
        [hold] = self.host(self.first).status().holds
        self.assertEqual(hold.reason, HoldReason.DRAINED)
        self.assertEqual((hold.remaining, hold.actor), (None, Actor.signal("SIGTEST")))
        change = self.observer.changes[-1]
        self.assertEqual((change.role, change.reason), (Role.BACKUP, Reason.DRAINED))
        self.advance(30)
        self.assertOnly(self.second)
        self.assertEqual(self.host(self.first).status().master, "10.1.1.2")

    def test_nobody(self) -> None:
        """
        Without a successor, the master takes the group back.  It had the address all the time.
        """
        self.start(self.first)
        with capturedLogs() as logs:
            done = self.host(self.first).drain()
            self.advance(SUCCESSION - 0.1)
            self.assertNoResult(done)
            self.advance(0.1 + _STEP)
        said = self.assertNotDrained(done, "no-successor")
        self.assertEqual(said, "Nobody took over eth0:1 within 1.5 s; this host is master again.")
        self.assertIn("Nobody took over within 1.5 s", "".join(map(str, map(formatEvent, logs))))
        self.assertOnly(self.first)
        self.assertEqual(self.host(self.first).status().holds, [])
        self.assertEqual(self.observer.changes[-1].reason, Reason.NO_SUCCESSOR)
        self.advance(10)
        self.assertNothingLost()

    def test_lease(self) -> None:
        """
        While a master waits for its successor, the lease of the address does not end.
        """
        for own in ({"advskew": 254}, {"deadRatio": 1}, {"advbase": 2, "deadRatio": 1}):
            self.setUp()
            self.start(self.first, **{"advskew": 10, **own})
            self.advance(0.9)
            self.host(self.first).drain().addErrback(lambda failure: None)
            self.advance(SUCCESSION + 5)
            self.assertNothingLost()

    def test_crash(self) -> None:
        """
        A master that dies while it waits for its successor loses the address soon.
        """
        self.start(self.first)
        self.host(self.first).drain()
        self.advance(1)
        self.first.crash()
        self.segment.advance(2)
        self.assertEqual(self.segment.holders(ADDRESS), [])

    def test_anyway(self) -> None:
        """
        A master stays out without a successor if it is told to.  The log says how to end that.
        """
        self.start(self.first)
        with capturedLogs() as logs:
            done = self.host(self.first).drain(anyway=True)
            self.advance(SUCCESSION + _STEP)
        self.assertEqual(self.successResultOf(done), Drained(""))
        self.assertEqual(self.segment.masters(), [])
        self.assertEqual(self.segment.holders(ADDRESS), [])
        self.assertIn("txcarp resume eth0:1", "".join(map(str, map(formatEvent, logs))))
        self.assertEqual(self.host(self.first).status().findings[Finding.NO_MASTER], 1)
        self.host(self.first).resume()
        self.segment.advance(4)
        self.assertOnly(self.first)

    def test_three(self) -> None:
        """
        Of several backups the best one is the successor, and nothing is lost.
        """
        third = self.segment.host("10.1.1.3")
        self.start(self.first, third, self.second)
        done = self.host(self.first).drain()
        self.advance(2)
        self.assertOnly(third)
        self.assertEqual(self.lost, 0)
        self.successResultOf(done)

    def test_demoted(self) -> None:
        """
        A successor with the highest skew takes over at once.
        """
        self.start(self.first, self.second)
        self.host(self.second).demote("test", 240)
        done = self.host(self.first).drain()
        self.advance(0.1)
        self.assertEqual(self.successResultOf(done).master, "10.1.1.2")

    def test_link(self) -> None:
        """
        A master whose link fails while it waits for a successor takes part again, but not before
        the link works.
        """
        self.start(self.first)
        done = self.host(self.first).drain()
        self.segment.advance(0.5)
        self.first.plug(False)
        self.segment.advance(SUCCESSION)
        said = self.assertNotDrained(done, "no-successor")
        self.assertTrue(said.endswith("this host takes part again as backup."), said)
        self.assertOnly()
        self.assertEqual(
            [one.reason for one in self.host(self.first).status().holds], [HoldReason.NO_LINK]
        )
        self.first.plug(True)
        self.segment.advance(4)
        self.assertOnly(self.first)

    def test_twoAdministrators(self) -> None:
        """
        Two administrators who drain a master at the same time get the same answer.  The last one
        sets the end.
        """
        self.start(self.first, self.second)
        one = self.host(self.first).drain(60)
        two = self.host(self.first).drain(600)
        self.advance(0.1)
        self.assertEqual(self.successResultOf(one), self.successResultOf(two))
        [hold] = self.host(self.first).status().holds
        self.assertEqual(round(hold.remaining or 0), 600)

    def test_oneAnyway(self) -> None:
        """
        If one of two administrators accepts that nobody is master, that is so.
        """
        self.start(self.first)
        one = self.host(self.first).drain(anyway=True)
        two = self.host(self.first).drain()
        self.advance(SUCCESSION + 0.1)
        self.assertEqual(self.successResultOf(one), Drained(""))
        self.assertEqual(self.successResultOf(two), Drained(""))
        self.assertOnly()

    def test_bothHosts(self) -> None:
        """
        Of two hosts that are drained at the same time, one remains master.
        """
        self.start(self.first, self.second)
        one = self.host(self.first).drain()
        two = self.host(self.second).drain()
        self.advance(SUCCESSION + 0.1)
        self.assertNotDrained(one, "no-successor")
        self.successResultOf(two)
        self.assertOnly(self.first)
        self.assertNothingLost()

    def test_oneAfterTheOther(self) -> None:
        """
        The last host of a group cannot be drained.
        """
        self.start(self.first, self.second)
        self.host(self.first).drain()
        self.advance(3)
        self.assertNotDrained(self.drained(self.second), "no-successor")
        self.assertOnly(self.second)
        self.assertNothingLost()

    def drained(self, host: SimulatedHost) -> Deferred[Drained]:
        """
        Drain a host, and wait for what follows.
        """
        done = self.host(host).drain()
        self.advance(SUCCESSION + 0.1)
        return done

    def test_successorDies(self) -> None:
        """
        A drained host stays out when its successor dies.  It says so, and how to end that.
        """
        self.start(self.first, self.second)
        self.drained(self.first)
        self.second.crash()
        with capturedLogs() as logs:
            self.segment.advance(3.5)
        self.assertOnly()
        self.assertIn("txcarp resume", "".join(map(str, map(formatEvent, logs))))
        status = self.host(self.first).status()
        self.assertEqual((status.findings[Finding.NO_MASTER], status.master), (1, ""))
        self.segment.advance(60)
        self.assertEqual(self.host(self.first).status().findings[Finding.NO_MASTER], 1)

    def test_successorLeaves(self) -> None:
        """
        The same holds for a successor that bows out.
        """
        self.start(self.first, self.second)
        self.drained(self.first)
        self.second.stop()
        self.segment.advance(SUCCESSION + 0.1)
        self.assertEqual(self.host(self.first).status().findings[Finding.NO_MASTER], 1)

    def test_stop(self) -> None:
        """
        A master that is stopped while it waits for its successor goes on answering as long as
        without the stop.
        """
        self.start(self.first)
        host = self.host(self.first)
        done = host.drain()
        self.segment.advance(0.1)
        stopped = host.stopService()
        self.segment.advance(SUCCESSION - 0.2)
        self.assertNoResult(stopped)
        self.assertEqual(self.segment.holders(ADDRESS), [self.first])
        self.segment.advance(0.2)
        self.successResultOf(stopped)
        self.assertNotDrained(done, "stopped")
        self.assertEqual(self.segment.holders(ADDRESS), [])
        self.assertEqual(self.first.clock.getDelayedCalls(), [])
        host.startService()
        self.segment.advance(4)
        self.assertOnly(self.first)

    def test_stopAfterSuccessor(self) -> None:
        """
        A master that is stopped right after it was drained is drained when it starts again.
        """
        self.start(self.first, self.second)
        host = self.host(self.first)
        done, stopped = host.drain(), host.stopService()
        self.advance(0.1)
        self.successResultOf(stopped)
        self.successResultOf(done)
        self.assertNothingLost()
        host.startService()
        self.assertEqual([one.reason for one in host.status().holds], [HoldReason.DRAINED])
        self.second.crash()
        self.segment.advance(10)
        self.assertOnly()

    def test_reconfigured(self) -> None:
        """
        A drain outlives a change of the configuration that makes this host leave its group.
        """
        self.start(self.first, self.second)
        self.drained(self.first)
        host = self.host(self.first)
        host.reconfigure(self.configuration(self.first, addresses=["10.1.1.252/25"]))
        self.second.crash()
        self.segment.advance(10)
        self.assertIn(HoldReason.DRAINED, [one.reason for one in host.status().holds])
        self.assertOnly()

    def test_cancelled(self) -> None:
        """
        Whoever stops waiting does not end the drain.
        """
        self.start(self.first, self.second)
        done = self.host(self.first).drain()
        done.addErrback(lambda failure: None)
        done.cancel()
        self.advance(0.1)
        self.assertOnly(self.second)
        self.assertEqual(self.host(self.first).status().holds[0].reason, HoldReason.DRAINED)


class AnyOrderTests(SynchronousTestCase):
    """
    Hosts that are drained and resumed by administrators who do not know of each other.
    """

    @settings(max_examples=25, deadline=None)
    @given(
        st.lists(st.booleans(), min_size=1, max_size=3),
        st.lists(
            st.tuples(
                st.integers(0, 2),
                st.sampled_from(["drain", "drain", "resume"]),
                st.sampled_from([0.0, 0.0001, 0.01, 0.1, 1.0, 1.5, 1.6, 3.0]),
            ),
            max_size=10,
        ),
    )
    def test_oneAnswers(self, hosts: list[bool], story: list[tuple[int, str, float]]) -> None:
        """
        Some host always has the address, whatever the order.  At the end there is one master.
        """
        segment = Segment()
        machines = [segment.host(f"10.1.1.{number}") for number in range(1, len(hosts) + 1)]
        for skew, (machine, preempt) in enumerate(zip(machines, hosts, strict=True)):
            own = VirtualHostConfiguration(
                interface="eth0",
                vhid=1,
                password=b"not a secret",
                source=machine.source,
                addresses=[f"{ADDRESS}/24"],
                assign=True,
                advskew=80 * skew,
                preempt=preempt,
            )
            machine.start(CARPService([own], platform=machine))
        segment.advance(6)
        done: list[Deferred[Any]] = []
        for number, action, seconds in story:
            [host] = machines[number % len(machines)].virtualHosts
            done.append(getattr(host, action)())
            done[-1].addErrback(lambda failure: failure.trap(NotDrained))
            for _ in range(max(1, round(seconds / 0.02))):
                segment.advance(min(seconds, 0.02))
                self.assertNotEqual(segment.holders(ADDRESS), [])
        segment.advance(4)
        self.assertEqual(len(segment.masters()), 1)
        self.assertEqual(segment.holders(ADDRESS), segment.masters())
        for one in done:
            self.assertTrue(one.called)


class UnicastTests(DrainTestCase):
    """
    Hosts that advertise to each other alone.
    """

    def configuration(self, host: SimulatedHost, **settings: Any) -> VirtualHostConfiguration:
        """
        The configuration of a host, whose peer is the other one.
        """
        other = self.second if host is self.first else self.first
        return super().configuration(host, peers=[other.source], **settings)

    def test_successor(self) -> None:
        """
        The peer takes over.
        """
        self.start(self.first, self.second)
        done = self.host(self.first).drain()
        self.advance(0.2)
        self.assertEqual(self.successResultOf(done), Drained("10.1.1.2"))
        self.assertOnly(self.second)
        self.assertNothingLost()

    def test_nobody(self) -> None:
        """
        Without it, nothing changes.
        """
        self.start(self.first)
        done = self.host(self.first).drain()
        self.advance(2)
        self.assertNotDrained(done, "no-successor")
        self.assertOnly(self.first)
        self.assertNothingLost()


class ReleaseFirstTests(DrainTestCase):
    """
    A master that releases everything before it bows out.
    """

    settings = {"releaseFirst": True}

    def test_successor(self) -> None:
        """
        The successor never has the address at the same time.
        """
        self.start(self.first, self.second)
        done = self.host(self.first).drain()
        self.advance(0.1)
        self.successResultOf(done)
        self.assertOnly(self.second)
        self.assertEqual(self.twice, 0)

    def test_nobody(self) -> None:
        """
        Without a successor, the master takes back everything.
        """
        self.start(self.first)
        done = self.host(self.first).drain()
        self.segment.advance(1)
        self.assertEqual(self.segment.holders(ADDRESS), [])
        self.segment.advance(1)
        self.assertNotDrained(done, "no-successor")
        self.assertOnly(self.first)

    def test_stop(self) -> None:
        """
        A stop at the same time ends in good order.
        """
        self.start(self.first)
        host = self.host(self.first)
        done, stopped = host.drain(), host.stopService()
        self.segment.advance(SUCCESSION + 0.1)
        self.successResultOf(stopped)
        self.assertNotDrained(done, "stopped")
        self.assertEqual(self.segment.holders(ADDRESS), [])

    def test_stopInBetween(self) -> None:
        """
        A stop while a drained master releases its addresses ends the drain.
        """
        self.start(self.first, self.second)
        dropping: Deferred[None] = Deferred()
        self.patch(self.first.addresses, "drop", lambda *given: dropping)
        host = self.host(self.first)
        done = host.drain()
        self.segment.advance(0.1)
        stopped = host.stopService()
        dropping.callback(None)
        self.segment.advance(1)
        self.assertNotDrained(done, "stopped")
        self.successResultOf(stopped)
        self.assertEqual(self.segment.masters(), [self.second])

    def test_resignation(self) -> None:
        """
        A drain that comes while a master releases its addresses for another reason is not lost.
        """
        self.start(self.first, self.second)
        table = self.first.addresses
        dropping: Deferred[None] = Deferred()
        self.patch(table, "drop", lambda *given: dropping)
        self.host(self.first).resign()
        done = self.host(self.first).drain(anyway=True)
        self.segment.advance(1)
        dropping.callback(None)
        self.segment.advance(1)
        self.successResultOf(done)
        self.segment.advance(20)
        self.assertEqual(self.segment.masters(), [self.second])


class BackupTests(DrainTestCase):
    """
    A backup that is drained.
    """

    def test_backup(self) -> None:
        """
        A backup that hears a master stays out, and does not take over any more.
        """
        self.start(self.first, self.second)
        done = self.host(self.second).drain()
        self.assertEqual(self.successResultOf(done), Drained("10.1.1.1"))
        self.assertOnly(self.first)
        self.first.crash()
        self.segment.advance(10)
        self.assertOnly()

    def test_noMaster(self) -> None:
        """
        A backup that hears no master refuses, unless it is told not to.
        """
        self.start(self.first, self.second)
        self.first.crash()
        self.segment.advance(2.05)
        self.assertNotDrained(self.host(self.second).drain(), "no-master")
        self.segment.advance(2)
        self.assertEqual(self.segment.masters(), [self.second])
        self.host(self.second).resign()
        done = self.host(self.second).drain(anyway=True)
        self.assertEqual(self.successResultOf(done), Drained(""))
        self.segment.advance(10)
        self.assertOnly()

    def test_startDelay(self) -> None:
        """
        A host that is held back for another reason is drained if it hears a master.
        """
        self.start(self.first)
        self.second.start(
            CARPService([self.configuration(self.second, startDelay=60)], platform=self.second)
        )
        self.assertNotDrained(self.host(self.second).drain(), "no-master")
        self.segment.advance(1)
        self.successResultOf(self.host(self.second).drain())
        reasons = {one.reason for one in self.host(self.second).status().holds}
        self.assertEqual(reasons, {HoldReason.STARTING, HoldReason.DRAINED})

    def test_notRunning(self) -> None:
        """
        A host that does not run begins drained if it must.
        """
        service = CARPService([self.configuration(self.first)], platform=self.first)
        [host] = service.virtualHosts
        self.assertNotDrained(host.drain(), "stopped")
        self.successResultOf(host.drain(anyway=True))
        self.first.start(service)
        self.segment.advance(10)
        self.assertOnly()
        host.resume()
        self.segment.advance(4)
        self.assertOnly(self.first)

    def test_bounds(self) -> None:
        """
        A drain has a sensible end.
        """
        host = CARPService(
            [self.configuration(self.first)], platform=self.first
        ).virtualHosts[0]
        for seconds in (0, -1, float("nan"), float("inf"), 1e9):
            self.assertRaises(ValueError, host.drain, seconds)


class ResumeTests(DrainTestCase):
    """
    The end of a drain.
    """

    def test_preempts(self) -> None:
        """
        A host that is preferred and preempts takes over again, and nothing is lost.
        """
        self.start(self.first, self.second, preempt=True)
        self.host(self.first).drain()
        self.advance(3)
        self.assertOnly(self.second)
        self.successResultOf(self.host(self.first).resume())
        self.advance(3)
        self.assertOnly(self.first)
        self.assertEqual(self.lost, 0)
        self.assertLessEqual(self.twice, 2 * (FOLLOW + 2 * _STEP))

    def test_end(self) -> None:
        """
        A drain ends by itself at its time.  Another drain may shorten it or make it longer.
        """
        self.start(self.first, self.second)
        self.host(self.second).drain(600)
        self.segment.advance(10)
        self.successResultOf(self.host(self.second).drain(60))
        self.segment.advance(59)
        self.assertEqual(len(self.host(self.second).status().holds), 1)
        self.segment.advance(2)
        self.assertEqual(self.host(self.second).status().holds, [])
        self.host(self.second).drain(60)
        self.host(self.second).drain()
        self.segment.advance(100)
        [hold] = self.host(self.second).status().holds
        self.assertIsNone(hold.remaining)

    def test_shortly(self) -> None:
        """
        A drain that ends while this host waits for its successor changes nothing.
        """
        self.start(self.first)
        done = self.host(self.first).drain(0.5)
        self.advance(SUCCESSION + 0.1)
        self.assertNotDrained(done, "withdrawn")
        self.assertOnly(self.first)
        self.assertNothingLost()

    def test_meanwhile(self) -> None:
        """
        A master that is resumed while it waits for its successor waits on: it returns if there is
        none, and takes part as backup if there is one.
        """
        self.start(self.first)
        done = self.host(self.first).drain(anyway=True)
        self.advance(0.1)
        resumed = self.host(self.first).resume()
        self.advance(1)
        self.assertNoResult(resumed)
        self.advance(0.5)
        self.successResultOf(resumed)
        self.assertNotDrained(done, "withdrawn")
        self.assertOnly(self.first)
        self.assertNothingLost()

    def test_meanwhileSuccessor(self) -> None:
        """
        If its successor takes over nevertheless, the host takes part as backup.
        """
        self.start(self.first, self.second)
        done = self.host(self.first).drain()
        resumed = self.host(self.first).resume()
        self.advance(0.1)
        self.successResultOf(resumed)
        self.assertNotDrained(done, "withdrawn")
        self.assertOnly(self.second)
        self.assertEqual(self.host(self.first).status().holds, [])
        self.first.plug(False)
        self.assertEqual(self.host(self.first).status().master, "")
        self.first.plug(True)
        self.second.crash()
        self.segment.advance(4)
        self.assertOnly(self.first)

    def test_drainedAgain(self) -> None:
        """
        The last of several requests counts.
        """
        self.start(self.first, self.second)
        one = self.host(self.first).drain()
        self.host(self.first).resume()
        two = self.host(self.first).drain()
        self.advance(0.1)
        self.successResultOf(one)
        self.successResultOf(two)
        self.assertOnly(self.second)

    def test_nothing(self) -> None:
        """
        It is no error to resume a host that is not drained.
        """
        self.start(self.first)
        self.successResultOf(self.host(self.first).resume())
        self.assertOnly(self.first)


class PauseTests(SynchronousTestCase):
    """
    A drained master that does not run while its successor may take over.
    """

    def setUp(self) -> None:
        self.stage = LeaseStage()
        self.stage.becomeMaster()
        self.host = self.stage.host

    def test_unread(self) -> None:
        """
        An advertisement of the successor that waits in the socket is read before anything is
        decided.
        """
        done = self.host.drain()
        self.stage.transport.waiting.append(crafted.packet(advbase=1))
        self.stage.jump(SUCCESSION + 0.2)
        self.assertEqual(self.successResultOf(done), Drained(crafted.PEER))
        self.assertIs(self.host.role, Role.BACKUP)

    def test_late(self) -> None:
        """
        A host that is only late returns.
        """
        done = self.host.drain()
        self.stage.jump(SUCCESSION + 0.2)
        self.failureResultOf(done, NotDrained)
        self.assertIs(self.host.role, Role.MASTER)

    def test_slept(self) -> None:
        """
        A host that slept may have missed its successor, so it claims nothing, and does not put
        the address back.
        """
        done = self.host.drain()
        self.stage.journal.clear()
        self.stage.jump(SUCCESSION + 20)
        self.assertEqual(self.stage.events("hold"), [])
        self.failureResultOf(done, NotDrained)
        self.assertIs(self.host.role, Role.BACKUP)
        self.assertEqual(self.host.status().holds, [])
        self.assertFalse(self.host.status().addresses[0].held)
        self.stage.run(3)
        self.assertIs(self.host.role, Role.MASTER)

    def test_silent(self) -> None:
        """
        A drained host that slept gives the master time to advertise again.
        """
        self.host.drain()
        self.stage.deliver()
        self.stage.run(1)
        self.stage.jump(20)
        self.assertEqual(self.host.status().findings[Finding.NO_MASTER], 0)
        self.stage.run(4)
        self.assertEqual(self.host.status().findings[Finding.NO_MASTER], 1)


class ServiceTests(DrainTestCase):
    """
    All groups of a process.
    """

    def test_all(self) -> None:
        """
        Each group has a result of its own.
        """
        configurations = [
            self.configuration(self.first),
            self.configuration(self.first, vhid=2, addresses=["10.1.1.253/24"]),
        ]
        service = CARPService(configurations, platform=self.first)
        self.first.start(service)
        self.second.start(
            CARPService([self.configuration(self.second, advskew=50)], platform=self.second)
        )
        self.segment.advance(8)
        done = service.drain()
        self.segment.advance(2)
        found = self.successResultOf(done)
        self.assertEqual(found["eth0:1"], Drained("10.1.1.2"))
        error = found["eth0:2"]
        assert isinstance(error, NotDrained)
        self.assertEqual(error.word, "no-successor")
        self.assertEqual([host.role for host in service.virtualHosts], [Role.BACKUP, Role.MASTER])
        self.successResultOf(service.resume())
        self.assertEqual([list(host.status().holds) for host in service.virtualHosts], [[], []])


class RestartTests(SynchronousTestCase):
    """
    A drain over a restart of the process.
    """

    #: Settings of the virtual host.
    settings: dict[str, Any] = {}

    def setUp(self) -> None:
        self.disk = MemoryFile()
        self.wall = 1.8e9
        self.stage = self.started()

    def started(self) -> LeaseStage:
        """
        Start a process at the present time of day.
        """
        stage = LeaseStage(disk=self.disk, **self.settings)
        begun = self.wall
        stage.platform.wallSeconds = lambda: begun + stage.clock.seconds()
        stage.start()
        self.stage = stage
        return stage

    def restarted(self, later: float) -> LeaseStage:
        """
        Kill the process, and start it again.

        @param later: Seconds that have passed, by the clock of the machine, since it was killed.
        """
        self.wall = self.stage.platform.wallSeconds() + later
        return self.started()

    def drain(self, seconds: float | None = None) -> Drained:
        """
        Drain a backup that hears a master.
        """
        self.stage.deliver()
        return self.successResultOf(self.stage.host.drain(seconds, actor=Actor(0, "root", 5)))

    def held(self) -> tuple[float | None, Actor | None] | None:
        """
        The remaining seconds of the drain, and who asked for it; C{None} if there is none.
        """
        for hold in self.stage.host.status().holds:
            if hold.reason is HoldReason.DRAINED:
                return hold.remaining, hold.actor
        return None

    def left(self) -> int:
        """
        The remaining seconds of the drain, which has an end.
        """
        held = self.held()
        assert held is not None
        assert held[0] is not None
        return round(held[0])

    def test_noEnd(self) -> None:
        """
        A drained host is drained after a crash, and says so.
        """
        self.assertTrue(self.drain().isKept)
        with capturedLogs() as logs:
            self.restarted(100)
        self.assertEqual(self.held(), (None, Actor(0, "root", 5)))
        said = "".join(map(str, map(formatEvent, logs)))
        self.assertIn("still drained by root, uid 0, process 5, and stays out", said)
        self.stage.run(60)
        self.assertIs(self.stage.host.role, Role.BACKUP)

    def test_resumed(self) -> None:
        """
        A resumed host is not drained after a crash.
        """
        self.drain()
        self.successResultOf(self.stage.host.resume())
        self.restarted(1)
        self.assertIsNone(self.held())

    def test_end(self) -> None:
        """
        The end of a drain is a time of day.
        """
        self.drain(600)
        self.stage.run(60)
        self.restarted(100)
        self.assertEqual(self.left(), 440)
        self.stage.run(439)
        self.assertIsNotNone(self.held())
        self.stage.run(2)
        self.assertIsNone(self.held())
        self.restarted(0)
        self.assertIsNone(self.held())

    def test_endedMeanwhile(self) -> None:
        """
        A drain can end while no process runs.
        """
        self.drain(600)
        self.restarted(601)
        self.assertIsNone(self.held())
        self.stage.run(4)
        self.assertIs(self.stage.host.role, Role.MASTER)

    def test_clockSetBack(self) -> None:
        """
        A clock that is set back does not prolong a drain beyond the time that it was to last, at
        however many restarts.
        """
        self.drain(600)
        self.restarted(-1e9)
        self.assertEqual(self.left(), 600)
        for left in (540, 480, 420):
            self.stage.run(60)
            self.restarted(0)
            self.assertEqual(self.left(), left)
        self.restarted(5e8)
        self.assertIsNone(self.held())

    def test_stopped(self) -> None:
        """
        A stop in good order keeps the drain, too.
        """
        self.drain(600)
        self.successResultOf(self.stage.host.stopService())
        self.restarted(10)
        self.assertEqual(self.left(), 590)

    def test_undecided(self) -> None:
        """
        A master that dies before it has heard a successor is not drained afterwards.
        """
        self.stage.run(4)
        done = self.stage.host.drain()
        self.stage.run(1)
        self.assertNoResult(done)
        self.restarted(1)
        self.assertIsNone(self.held())

    def test_refused(self) -> None:
        """
        Nor is one that has taken the group back.
        """
        self.stage.run(4)
        done = self.stage.host.drain()
        self.stage.run(2)
        self.failureResultOf(done, NotDrained)
        self.restarted(1)
        self.assertIsNone(self.held())

    def test_noDisk(self) -> None:
        """
        If it cannot be saved, the host is drained all the same, and the answer says so.
        """
        self.disk.writeError = OSError(28, "No space left on device")
        self.assertFalse(self.drain().isKept)
        self.assertIsNotNone(self.held())

    def test_damaged(self) -> None:
        """
        If the saved state is damaged, the host takes part, and the log says what may be lost.
        """
        self.drain()
        text = self.disk.texts[self.disk.path]
        for broken in ('"left": "x"', '"left": NaN', '"left": []', '"until": {}'):
            name = broken.partition(":")[0]
            self.disk.texts[self.disk.path] = text.replace(f"{name}: null", broken)
            with capturedLogs() as logs:
                self.restarted(1)
            said = "".join(map(str, map(formatEvent, logs)))
            self.assertIn("does not know whether it was drained", said)
            self.assertIsNone(self.held())

    def test_resumedBefore(self) -> None:
        """
        A host that is resumed before it starts is not drained.
        """
        self.drain()
        stage = LeaseStage(disk=self.disk, **self.settings)
        self.successResultOf(stage.host.resume())
        stage.start()
        self.stage = stage
        self.assertIsNone(self.held())


class UnsealedRestartTests(RestartTests):
    """
    The same for a host that does not seal.
    """

    settings = {"verification": Verification.OFF}

    def test_seals(self) -> None:
        """
        A host that does not seal any more forgets nothing about seals.
        """
        self.settings = {}
        self.restarted(1)
        self.stage.run(4)
        self.stage.host.stopService()
        self.stage.run(1)
        name = self.stage.host.name
        before = self.disk.saved(name)
        self.assertGreater(before.tick, 0)
        self.settings = {"verification": Verification.OFF}
        self.restarted(1)
        self.stage.run(4)
        done = self.stage.host.drain(anyway=True)
        self.stage.run(2)
        self.assertTrue(self.successResultOf(done).isKept)
        after = self.disk.saved(name)
        self.assertIsNotNone(after.drain)
        self.assertEqual((after.tick, after.sources), (before.tick, before.sources))


class NoStoreTests(SynchronousTestCase):
    """
    A process without a state file.
    """

    def test_said(self) -> None:
        """
        The answer says that the drain does not survive a restart.
        """
        stage = LeaseStage()
        stage.start()
        stage.deliver()
        self.assertFalse(self.successResultOf(stage.host.drain()).isKept)


class FamiliesTests(SynchronousTestCase):
    """
    A master of a group with IPv4 and IPv6 addresses that is drained.
    """

    def test_bothFamilies(self) -> None:
        """
        It bows out in both families.
        """
        stage = Stage(addresses=[crafted.ADDRESS, "2001:db8::1"])
        stage.becomeMaster()
        stage.host.drain().addErrback(lambda failure: None)
        said = [one for one in stage.transport.advertisements if one.advbase == 255]
        self.assertEqual(len(said), 2)
        stage.run(SUCCESSION)
        self.assertIs(stage.host.role, Role.MASTER)

    def test_scripts(self) -> None:
        """
        Scripts are not called when a master returns; with a successor, the down script is.
        """
        stage = Stage()
        stage.becomeMaster()
        done = stage.host.drain()
        stage.run(SUCCESSION)
        self.failureResultOf(done, NotDrained)
        self.assertEqual([entry for entry in stage.journal if entry[0] == "script"], [])
        done = stage.host.drain()
        stage.deliver()
        stage.run(FOLLOW)
        self.successResultOf(done)
        self.assertEqual(
            [entry[:2] for entry in stage.journal if entry[0] == "script"], [("script", "down")]
        )
