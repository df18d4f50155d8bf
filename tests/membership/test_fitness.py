"""
What follows from health checks: the simulated hosts of a group hand over and come back.
"""

from __future__ import annotations

import socket
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.checks.scripted import Scripted
from tests.fakes import simulated
from txcarp import (
    CARPService,
    Change,
    ConfigurationError,
    GatewayCheck,
    Health,
    HealthCheck,
    HoldReason,
    IMastershipStep,
    Reason,
    Role,
    VirtualHost,
)
from txcarp.testing import FakeObserver, Segment, SimulatedHost

REFUSED = OSError("connection refused")


@implementer(IMastershipStep)
class SlowRelease:
    """
    A step that takes time to release.
    """

    name, required, timeLimit = "slow", False, None

    def __init__(self) -> None:
        self.waiting: list[Deferred[None]] = []

    def acquire(self, change: Change) -> None:
        pass

    def release(self, change: Change) -> Deferred[None] | None:
        if change.previous is not Role.MASTER:
            return None
        self.waiting.append(Deferred())
        return self.waiting[-1]


class FitnessTestCase(SynchronousTestCase):
    """
    Two hosts.  The first one is preferred and preempts, and has a health check.
    """

    def setUp(self) -> None:
        self.segment = Segment()
        self.first = self.segment.host("10.1.1.1")
        self.second = self.segment.host("10.1.1.2")
        self.check = Scripted("3 ms")
        self.observer = FakeObserver()

    def prepare(self, host: VirtualHost) -> None:
        """
        Prepare the virtual host with the check before it starts.
        """
        host.addObserver(self.observer)

    def start(self, *checks: HealthCheck, **settings: Any) -> None:
        """
        Start both hosts, and let a master be elected.
        """
        for host, own in (
            (self.first, {"preempt": True, "checks": checks, **settings}),
            (self.second, {"advskew": 100, "preempt": True}),
        ):
            service = CARPService([simulated(host, **own)], platform=host)
            if host is self.first:
                self.prepare(service.virtualHosts[0])
            host.start(service)
        self.segment.advance(8)

    @property
    def host(self) -> VirtualHost:
        """
        The virtual host with the check.
        """
        return self.first.virtualHosts[0]

    def assertMaster(self, *hosts: SimulatedHost) -> None:
        """
        Assert that these hosts, and no others, are master and have the address.
        """
        self.assertEqual(self.segment.masters(), list(hosts))
        self.assertEqual(self.segment.holders("10.1.1.252"), list(hosts))


class UnfitTests(FitnessTestCase):
    """
    A host that must not be master while a check is bad.
    """

    def test_bowOut(self) -> None:
        """
        A master whose check has failed often enough bows out.  It takes over again when the check
        has passed often enough.
        """
        self.start(HealthCheck("haproxy", self.check))
        self.assertMaster(self.first)
        self.check.result = REFUSED
        self.segment.advance(1.9)
        self.assertMaster(self.first)
        with capturedLogs() as logs:
            self.segment.advance(1.6)
        self.assertMaster(self.second)
        change = self.observer.changes[-1]
        self.assertEqual(change.reason, Reason.CHECK)
        self.assertEqual(change.detail, "haproxy: connection refused")
        said = [formatEvent(one) for one in logs]
        self.assertIn(
            "Check haproxy is bad: connection refused. This host is unfit until the check has "
            "passed 2 times in a row (vhid 1 on eth0)",
            said,
        )
        # The bow-out made the other host master, not the dead time.
        taken = self.second.virtualHosts[0].status().changes[-1]
        self.assertEqual(taken.change.reason, Reason.BOW_OUT)
        self.check.result = None
        self.segment.advance(4)
        self.assertMaster(self.first)

    def test_start(self) -> None:
        """
        A host does not become master before its check has passed once.
        """
        self.check.result = REFUSED
        self.start(HealthCheck("haproxy", self.check))
        self.assertMaster(self.second)
        [hold] = self.host.status().holds
        self.assertEqual(hold.explain(), "a health check is not good (haproxy: connection refused)")
        self.check.result = None
        self.segment.advance(3)
        self.assertMaster(self.first)

    def test_initial(self) -> None:
        """
        A check without a result keeps a host back, unless it is good from the beginning.
        """
        self.check.result = Deferred
        slow = HealthCheck("a", self.check, interval=100.0, timeout=50.0)
        for initial in (Health.UNKNOWN, Health.BAD):
            self.start(attrs.evolve(slow, initial=initial))
            self.assertMaster(self.second)
            self.setUp()
        self.start(attrs.evolve(slow, initial=Health.GOOD))
        self.assertMaster(self.first)

    def test_timeout(self) -> None:
        """
        A check that hangs is a check that fails.
        """
        self.start(HealthCheck("haproxy", self.check, timeout=0.5))
        self.check.result = Deferred
        self.segment.advance(4)
        self.assertMaster(self.second)
        [status] = self.host.status().checks
        self.assertEqual((status.outcome, status.health), ("timeout", "bad"))

    def test_several(self) -> None:
        """
        All checks must be good.
        """
        other = Scripted()
        self.start(HealthCheck("haproxy", self.check), HealthCheck("other", other))
        self.check.result = other.result = REFUSED
        self.segment.advance(4)
        self.check.result = None
        self.segment.advance(4)
        self.assertMaster(self.second)
        [hold] = self.host.status().holds
        self.assertEqual(hold.detail, "other: connection refused")
        other.result = None
        self.segment.advance(4)
        self.assertMaster(self.first)

    def test_claim(self) -> None:
        """
        An unfit host does not take over on request, nor when it is alone.
        """
        self.check.result = REFUSED
        self.start(HealthCheck("haproxy", self.check))
        self.host.claim()
        self.second.crash()
        self.segment.advance(10)
        self.assertEqual(self.segment.masters(), [])

    def test_releaseFirst(self) -> None:
        """
        With C{releaseFirst}, a master releases everything before it bows out.  It does so even if
        the check is good again meanwhile, and takes part again then.
        """
        step = SlowRelease()
        self.patch(self, "prepare", lambda host: host.addStep(step))
        self.start(HealthCheck("haproxy", self.check), releaseFirst=True)
        self.assertMaster(self.first)
        self.check.result = REFUSED
        self.segment.advance(4)
        self.assertEqual(len(step.waiting), 1)
        self.assertEqual(self.segment.masters(), [self.first])
        self.check.result = None
        self.segment.advance(4)
        step.waiting[0].callback(None)
        self.segment.advance(6)
        self.assertMaster(self.first)
        self.assertEqual(self.host.status().holds, [])

    def test_stop(self) -> None:
        """
        No check runs after the host has left its group.
        """
        self.start(HealthCheck("haproxy", self.check))
        self.first.stop()
        self.segment.advance(2)
        before = len(self.check.runs)
        self.segment.advance(5)
        self.assertEqual(len(self.check.runs), before)


class HistoryTests(FitnessTestCase):
    """
    What the history says about a check.
    """

    def test_unfit(self) -> None:
        """
        A check that fails comes before the hold, and that before the change of role.
        """
        self.start(HealthCheck("haproxy", self.check))
        self.check.result = REFUSED
        self.segment.advance(4)
        lines = [line[16:] for line in self.host.explain().lines() if line.startswith("  ")]
        self.assertEqual(
            [line for line in lines if "haproxy" in line][-3:],
            [
                'check "haproxy" is bad: connection refused',
                "held back from the election: a health check is not good (haproxy: connection "
                "refused)",
                "MASTER -> BACKUP: a health check fails (haproxy: connection refused)",
            ],
        )

    def test_demoted(self) -> None:
        """
        A check that demotes comes before the demotion, and that before the change of role.
        """
        self.start(HealthCheck("haproxy", self.check, demote=200))
        self.check.result = REFUSED
        self.segment.advance(6)
        lines = [line[16:] for line in self.host.explain().lines() if line.startswith("  ")]
        check, demoted, change = lines[-3:]
        self.assertEqual(check, 'check "haproxy" is bad: connection refused')
        self.assertEqual(demoted, "demoted by 200 (in all, by 200): check haproxy")
        self.assertTrue(change.startswith("MASTER -> BACKUP: a preferred master"), change)


class DemotionTests(FitnessTestCase):
    """
    A host that is demoted while a check is bad.
    """

    def test_demotion(self) -> None:
        """
        The demotion lasts as long as the check is bad.
        """
        self.start(HealthCheck("resolver", self.check, demote=150))
        self.assertMaster(self.first)
        self.check.result = REFUSED
        self.segment.advance(5)
        self.assertMaster(self.second)
        self.assertEqual(self.host.status().demotions, {"check resolver": 150})
        self.assertEqual(self.host.status().holds, [])
        self.check.result = None
        self.segment.advance(5)
        self.assertMaster(self.first)
        self.assertEqual(self.host.status().demotions, {})

    def test_alone(self) -> None:
        """
        A demoted host without a better one stays master.
        """
        self.start(HealthCheck("resolver", self.check, demote=240))
        self.second.crash()
        self.check.result = REFUSED
        self.segment.advance(10)
        self.assertEqual(self.segment.masters(), [self.first])


class ChangedTests(FitnessTestCase):
    """
    Checks that are added, changed and removed while the host runs.
    """

    def reconfigure(self, *checks: HealthCheck) -> None:
        """
        Give the host other checks, without an interruption.
        """
        run = self.host._run
        self.host.reconfigure(attrs.evolve(self.host.configuration, checks=checks))
        self.assertIs(self.host._run, run)

    def test_added(self) -> None:
        """
        A master that gets a check remains master until that has failed often enough.
        """
        self.start()
        self.check.result = REFUSED
        self.reconfigure(HealthCheck("haproxy", self.check))
        self.segment.advance(1.5)
        self.assertMaster(self.first)
        self.segment.advance(3)
        self.assertMaster(self.second)

    def test_removed(self) -> None:
        """
        What followed from a check ends with it.
        """
        self.check.result = REFUSED
        self.start(
            HealthCheck("haproxy", self.check), HealthCheck("resolver", self.check, demote=150)
        )
        self.assertMaster(self.second)
        self.reconfigure()
        self.segment.advance(3)
        self.assertMaster(self.first)
        self.assertEqual(self.host.status().demotions, {})

    def test_changed(self) -> None:
        """
        A check with other settings keeps its state.  What follows from it changes at once.
        """
        self.check.result = REFUSED
        self.start(HealthCheck("haproxy", self.check))
        self.reconfigure(HealthCheck("haproxy", self.check, demote=150, rise=5))
        status = self.host.status()
        self.assertEqual((status.holds, status.demotions), ([], {"check haproxy": 150}))
        self.assertEqual(status.checks[0].health, "bad")
        self.reconfigure(HealthCheck("haproxy", self.check))
        status = self.host.status()
        self.assertEqual([one.reason for one in status.holds], [HoldReason.CHECK])
        self.assertEqual(status.demotions, {})

    def test_undisturbed(self) -> None:
        """
        A check that is the same goes on as it was.
        """
        check = HealthCheck("haproxy", self.check, interval=10.0)
        self.start(check)
        before = self.host.status().checks[0].next
        self.reconfigure(check, HealthCheck("other", Scripted()))
        self.assertEqual(self.host.status().checks[0].next, before)

    def test_ofProgram(self) -> None:
        """
        A program adds a check of its own, at any time.  It is there beside those of the
        configuration, whatever that is, until the program removes it.
        """
        self.start()
        self.check.result = REFUSED
        self.host.addCheck(HealthCheck("queue", self.check))
        self.assertRaises(ValueError, self.host.addCheck, HealthCheck("queue", self.check))
        self.assertRaises(ValueError, self.host.addCheck, HealthCheck("a b", self.check))
        self.reconfigure()
        self.segment.advance(5)
        self.assertMaster(self.second)
        self.host.removeCheck("queue")
        self.assertRaises(ValueError, self.host.removeCheck, "queue")
        self.segment.advance(3)
        self.assertMaster(self.first)


class StatusTests(FitnessTestCase):
    """
    What the status says about checks.
    """

    def test_status(self) -> None:
        """
        The status has each check with its last result, and the lines those that are not good.
        """
        self.start(HealthCheck("haproxy", self.check, interval=10.0, fall=1))
        [status] = self.host.status().checks
        self.assertEqual((status.name, status.health), ("haproxy", "good"))
        self.assertEqual((status.outcome, status.text), ("passed", "3 ms"))
        self.assertEqual(status.consequence, "unfit")
        self.assertEqual(status.since, self.segment.clock.seconds() - self.check.runs[0])
        assert status.next is not None
        self.assertTrue(0 < status.next <= 10)
        self.check.result = REFUSED
        self.segment.advance(10)
        self.assertIn(
            "Check haproxy is bad (unfit): connection refused", list(self.host.status().lines())
        )
        plain = attrs.asdict(self.host.status().checks[0])
        self.assertEqual({type(value) for value in plain.values()}, {str, float, dict})
        number = len(self.check.runs)
        runs = {"number": number, "failures": 1, "seconds": 0.0, "last": 0.0}
        self.assertEqual(plain["runs"], runs)


class WitnessTests(FitnessTestCase):
    """
    Checks that ask other hosts on the link.
    """

    def test_ofGroup(self) -> None:
        """
        A witness is asked on the interface of the group, from the host's own address.  A host that
        it does not answer hands over.
        """
        witness, neighbours = socket.inet_aton("10.1.1.9"), self.first.neighbours
        neighbours.answering[witness] = b"\2\0\0\0\0\5"
        self.start(HealthCheck("gateway", GatewayCheck(["10.1.1.9"])))
        self.assertMaster(self.first)
        source = socket.inet_aton("10.1.1.1")
        self.assertEqual(set(neighbours.asked), {("eth0", witness, (source,))})
        self.assertIs(self.isWitnessed(), True)
        neighbours.answering.clear()
        self.segment.advance(5)
        self.assertMaster(self.second)
        self.assertIs(self.isWitnessed(), False)
        [status] = self.host.status().checks
        self.assertEqual(status.text, "timeout: no answer from 10.1.1.9")

    def test_none(self) -> None:
        """
        Without a check that asks others, nothing is known.
        """
        self.start(HealthCheck("haproxy", self.check))
        self.assertIs(self.isWitnessed(), None)

    def test_itself(self) -> None:
        """
        An address of the group or of the host is refused.
        """
        for address in ("10.1.1.252", "10.1.1.1"):
            error = self.assertRaises(
                ConfigurationError,
                simulated,
                self.first,
                checks=[HealthCheck("gateway", GatewayCheck([address]))],
            )
            self.assertIn("cannot be its own witness", str(error))

    def isWitnessed(self) -> bool | None:
        """
        What the host with the check knows.
        """
        run: Any = self.host._run
        known: bool | None = run.parts.fitness.isWitnessed
        return known
