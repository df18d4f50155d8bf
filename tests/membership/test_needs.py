"""
Tests for L{txcarp.membership.needs} and L{txcarp.membership.channel}: what a host needs to take
part.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.logger import LogEvent, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests import crafted
from tests.crafted import packed
from tests.fakes import INTERFACE, FakeTransport, Stage
from txcarp.change import Change
from txcarp.interfaces import IMastershipStep
from txcarp.protocol.effects import Reason, Role
from txcarp.protocol.events import HoldReason
from txcarp.protocol.family import Family

IPV6 = {"addresses": ["fd00::100"]}
BOTH = {"addresses": [crafted.ADDRESS, "fd00::100"]}
OWN = [packed("fe80::1")]
BOW_OUT = ("advertise", 255, 255)


def said(events: list[LogEvent], *words: str) -> list[str]:
    """
    The lines that begin with one of some words.
    """
    return [line for event in events if (line := formatEvent(event) or "").startswith(words)]


@implementer(IMastershipStep)
class FailingStep:
    """
    A step that fails, as the addresses do without IPv6.
    """

    name = "addresses"
    required = True
    timeLimit = None

    def acquire(self, change: Change) -> Deferred[None]:
        return fail(OSError("no IPv6"))

    def release(self, change: Change) -> None:
        pass


class ReadyStage(Stage):
    """
    A host, and what its transports answer.

    @ivar ipv6: The transport of IPv6.
    """

    def equip(self) -> None:
        self.ipv6 = FakeTransport(self.journal, self.clock)
        self.network.transports[Family.IPV6] = self.ipv6

    def become(self, **answers: Any) -> None:
        """
        Change what the transport of IPv6 answers.
        """
        for name, value in answers.items():
            setattr(self.ipv6, name, value)
        self.changed()

    def changed(self) -> None:
        """
        Tell the host that an answer changed.
        """
        assert self.network.receiver is not None
        self.network.receiver.transportChanged()

    @property
    def waitsFor(self) -> str | None:
        """
        What the host waits for, as its status says; C{None} for nothing.
        """
        details = [
            hold.detail
            for hold in self.host.status().holds
            if hold.reason is HoldReason.NOT_READY
        ]
        return details[0] if details else None


class LinkLocalTests(SynchronousTestCase):
    """
    A host that advertises from the link-local address of its interface.
    """

    def test_missing(self) -> None:
        """
        Without a link-local address, the host waits and says why.  It sends nothing, and takes
        over after the ordinary wait once it has one.
        """
        stage = ReadyStage(**IPV6)
        stage.ipv6.linkLocalAddresses = []
        with capturedLogs() as events:
            stage.start()
            stage.run(60)
        self.assertIs(stage.host.role, Role.BACKUP)
        self.assertEqual(stage.ipv6.attempts, [])
        why = stage.waitsFor
        assert why is not None
        self.assertTrue(why.startswith(f"{INTERFACE} has no link-local IPv6 address"), why)
        self.assertIn(f"not ready ({why})", "\n".join(stage.host.status().lines()))
        self.assertEqual(len(said(events, f"Waiting: {why}")), 1)
        with capturedLogs() as events:
            stage.become(linkLocalAddresses=OWN)
            stage.run(2.9)
            self.assertIs(stage.host.role, Role.BACKUP)
            stage.run(0.2)
        self.assertIs(stage.host.role, Role.MASTER)
        self.assertEqual(len(said(events, "Ready: ")), 1)

    def test_virtual(self) -> None:
        """
        A virtual address is no source, not even the only link-local one.
        """
        stage = ReadyStage(addresses=["fd00::100", "fe80::100"])
        stage.ipv6.linkLocalAddresses = [packed("fe80::100")]
        stage.start()
        stage.run(60)
        self.assertIsNotNone(stage.waitsFor)
        stage.become(linkLocalAddresses=[packed("fe80::100"), *OWN])
        stage.run(4)
        self.assertEqual({packet[8:24] for packet in stage.ipv6.packets}, set(OWN))

    def test_same(self) -> None:
        """
        The source stays while the interface has it, whatever other addresses it gets.
        """
        stage = ReadyStage(**IPV6)
        stage.start()
        stage.run(4)
        stage.become(linkLocalAddresses=[packed("fe80::5"), *OWN])
        stage.run(4)
        self.assertEqual({packet[8:24] for packet in stage.ipv6.packets}, set(OWN))
        stage.ipv6.packets.clear()
        stage.become(linkLocalAddresses=[packed("fe80::5")])
        stage.run(4)
        self.assertEqual({packet[8:24] for packet in stage.ipv6.packets}, {packed("fe80::5")})

    def test_missingOnMaster(self) -> None:
        """
        A master that loses its address for less than the dead time stays master: its peers still
        wait for it.  After the dead time, it is backup.
        """
        stage = ReadyStage(**IPV6)
        stage.start()
        stage.run(4)
        self.assertIs(stage.host.role, Role.MASTER)
        for away, role in ((2.9, Role.MASTER), (3.1, Role.BACKUP)):
            with capturedLogs():
                stage.become(linkLocalAddresses=[])
                stage.run(away)
            self.assertIs(stage.host.role, role)
            self.assertEqual(stage.waitsFor is None, role is Role.MASTER)
            stage.become(linkLocalAddresses=OWN)
            self.assertIsNone(stage.waitsFor)
        last = stage.observer.changes[-1]
        self.assertIs(last.reason, Reason.NOT_READY)
        self.assertIn("no link-local", last.explain())
        stage.run(10)
        self.assertIs(stage.host.role, Role.MASTER)

    def test_otherFamily(self) -> None:
        """
        A host that can advertise in IPv4 takes part without a link-local address.
        """
        stage = ReadyStage(**BOTH)
        stage.ipv6.linkLocalAddresses = []
        with capturedLogs():
            stage.start()
            stage.run(10)
        self.assertIs(stage.host.role, Role.MASTER)
        self.assertIsNone(stage.waitsFor)

    def test_withoutLink(self) -> None:
        """
        When the link is lost, the address goes with it, and only the link is logged.  If the link
        is back and the address is not, that is logged.
        """
        stage = ReadyStage(**IPV6)
        stage.start()
        with capturedLogs() as events:
            stage.links.change(running=False)
            stage.become(linkLocalAddresses=[])
            stage.run(10)
        self.assertEqual(said(events, "Waiting"), [])
        with capturedLogs() as events:
            stage.links.change(running=True)
        self.assertEqual(len(said(events, "Waiting")), 1)

    def test_stopped(self) -> None:
        """
        A master that is stopped while it lacks its address leaves no timer behind.
        """
        stage = ReadyStage(**IPV6)
        stage.start()
        stage.run(4)
        stage.become(linkLocalAddresses=[])
        with capturedLogs():
            stage.host.stopService()
            stage.run(2)
        self.assertIs(stage.host.role, Role.INIT)
        self.assertEqual(stage.clock.getDelayedCalls(), [])


class SwitchedOffTests(SynchronousTestCase):
    """
    An interface on which IPv6 is switched off.
    """

    def test_master(self) -> None:
        """
        A master that cannot have its IPv6 addresses any more hands over at once, also if it can
        advertise in IPv4, and takes part again when IPv6 is switched on.
        """
        stage = ReadyStage(**BOTH)
        stage.becomeMaster()
        with capturedLogs() as events:
            stage.become(switchedOff=True, linkLocalAddresses=[])
        self.assertIs(stage.host.role, Role.BACKUP)
        self.assertIn(BOW_OUT, stage.journal)
        self.assertIs(stage.observer.changes[-1].reason, Reason.NOT_READY)
        self.assertEqual(len(said(events, f"Waiting: IPv6 is switched off on {INTERFACE}")), 1)
        stage.run(60)
        self.assertIs(stage.host.role, Role.BACKUP)
        stage.become(switchedOff=False)
        stage.run(4)
        self.assertIs(stage.host.role, Role.MASTER)

    def test_withoutEvent(self) -> None:
        """
        The kernel sends no event when IPv6 is switched off on an interface without IPv6 addresses.
        The first step that fails then shows it.
        """
        stage = ReadyStage(**BOTH)
        stage.host.addStep(FailingStep())
        stage.ipv6.linkLocalAddresses = []
        stage.start()
        stage.ipv6.switchedOff = True
        with capturedLogs() as events:
            stage.run(60)
        self.assertIs(stage.host.role, Role.BACKUP)
        self.assertEqual([one.role for one in stage.observer.changes].count(Role.MASTER), 1)
        self.assertEqual(len(said(events, "Waiting: IPv6 is switched off")), 1)

    def test_reasonChanges(self) -> None:
        """
        When IPv6 is switched on and the address is still missing, the host waits for that.
        """
        stage = ReadyStage(**IPV6)
        stage.ipv6.switchedOff, stage.ipv6.linkLocalAddresses = True, []
        with capturedLogs() as events:
            stage.start()
            stage.become(switchedOff=False)
        self.assertEqual(len(said(events, "Waiting")), 2)
        why = stage.waitsFor
        assert why is not None
        self.assertIn("no link-local", why)


class EnslavedTests(SynchronousTestCase):
    """
    An interface that becomes a port of another one.
    """

    def test_master(self) -> None:
        """
        A master hands over at once, and names the interface to use instead.  It takes part again
        when its interface is no port any more.
        """
        for settings in ({}, {"ignoreLink": True}):
            stage = Stage(**settings)
            stage.becomeMaster()
            with capturedLogs() as events:
                stage.links.change(master=9, portOf="bridge", masterName="br0")
            self.assertIs(stage.host.role, Role.BACKUP)
            self.assertIn(BOW_OUT, stage.journal)
            why = f"{INTERFACE} is enslaved to br0: configure br0 instead (-i)"
            self.assertEqual(len(said(events, f"Waiting: {why}")), 1)
            [hold] = stage.host.status().holds
            self.assertEqual((hold.reason, hold.detail), (HoldReason.NOT_READY, why))
            stage.run(60)
            self.assertIs(stage.host.role, Role.BACKUP)
            stage.links.change(master=None, portOf=None)
            stage.run(4)
            self.assertIs(stage.host.role, Role.MASTER)

    def test_vrf(self) -> None:
        """
        A port of a VRF hears all packets itself.
        """
        stage = Stage()
        stage.becomeMaster()
        stage.links.change(master=9, portOf="vrf", masterName="red")
        stage.run(10)
        self.assertIs(stage.host.role, Role.MASTER)
        self.assertEqual(list(stage.host.status().holds), [])


class SourceTests(SynchronousTestCase):
    """
    A host whose configured source is no address of this host.
    """

    def test_unicast(self) -> None:
        """
        A host whose peers send to its source only is deaf without it, and waits.
        """
        stage = Stage(peers=["10.99.0.1"])
        stage.transport.missing = {packed(crafted.OWN)}
        with capturedLogs() as events:
            stage.start()
            stage.run(60)
        self.assertIs(stage.host.role, Role.BACKUP)
        self.assertEqual(len(said(events, f"Waiting: no interface has {crafted.OWN}")), 1)
        self.assertEqual(said(events, "No interface"), [])
        stage.transport.missing.clear()
        assert stage.network.receiver is not None
        stage.network.receiver.transportChanged()
        stage.run(4)
        self.assertIs(stage.host.role, Role.MASTER)

    def test_multicast(self) -> None:
        """
        A host that hears its peers by multicast needs no address, as in ucarp.  It logs, once,
        that its source is gone, and that it is back.
        """
        stage = Stage()
        stage.becomeMaster()
        assert stage.network.receiver is not None
        with capturedLogs() as events:
            stage.transport.missing = {packed(crafted.OWN)}
            stage.network.receiver.transportChanged()
            stage.network.receiver.transportChanged()
            stage.run(10)
            self.assertEqual(len(said(events, f"No interface of this host has {crafted.OWN}")), 1)
            stage.transport.missing.clear()
            stage.network.receiver.transportChanged()
        self.assertEqual(len(said(events, f"{crafted.OWN}, the source (-s), is an address")), 1)
        self.assertIs(stage.host.role, Role.MASTER)
        self.assertEqual(len(stage.observer.changes), 2)
