"""
Tests for L{txcarp.testing.segment}.
"""

from __future__ import annotations

from typing import Any

from twisted.application.service import MultiService
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from txcarp import CARPService, Role, VirtualHostConfiguration
from txcarp.interfaces import (
    IAddressTable,
    IAdvertisementTransport,
    IAnnouncer,
    ILinkMonitor,
    IMastershipObserver,
    INetwork,
    IPlatform,
    IScriptRunner,
)
from txcarp.testing import FakeObserver, Segment, SimulatedHost

_VIRTUAL = "10.1.1.252"


def program(host: SimulatedHost, **settings: Any) -> CARPService:
    """
    Return a program with one virtual host.
    """
    whole = {
        "interface": "eth0",
        "vhid": 1,
        "password": b"not a secret",
        "source": host.source,
        "addresses": [f"{_VIRTUAL}/24"],
        "assign": True,
        **settings,
    }
    return CARPService([VirtualHostConfiguration(**whole)], platform=host)


class SegmentTests(SynchronousTestCase):
    """
    Two hosts, the first of which is preferred.
    """

    def setUp(self) -> None:
        self.segment = Segment()
        self.first = self.segment.host("10.1.1.1")
        self.second = self.segment.host("10.1.1.2")

    def start(self, **settings: Any) -> None:
        """
        Start both programs, and let a master be elected.
        """
        self.first.start(program(self.first, **settings))
        self.second.start(program(self.second, advskew=100, **settings))
        self.segment.advance(4)

    def assertMaster(self, *hosts: SimulatedHost) -> None:
        """
        Assert that these hosts, and no others, are master and have the address.
        """
        self.assertEqual(self.segment.masters(), list(hosts))
        self.assertEqual(self.segment.holders(_VIRTUAL), list(hosts))

    def test_interfaces(self) -> None:
        """
        The doubles provide the interfaces of what they replace.
        """
        verifyObject(IPlatform, self.first)
        verifyObject(INetwork, self.first)
        verifyObject(IReactorTime, self.first.clock)
        verifyObject(ILinkMonitor, self.first.links)
        verifyObject(IAddressTable, self.first.addresses)
        verifyObject(IScriptRunner, self.first.scripts)
        verifyObject(IMastershipObserver, FakeObserver())
        verifyObject(IAnnouncer, self.first.announcer("eth0", None))
        transport = self.first.attach("eth0", 1, b"\xe0\0\0\x12", False, None)
        verifyObject(IAdvertisementTransport, transport)

    def test_crash(self) -> None:
        """
        The other host takes over from one that crashes.  The address of the dead program stays
        until its lease ends, before that.
        """
        self.start()
        self.assertMaster(self.first)
        self.first.crash()
        self.assertEqual(self.segment.masters(), [])
        self.assertEqual(self.segment.holders(_VIRTUAL), [self.first])
        self.segment.advance(2)
        self.assertEqual(self.segment.holders(_VIRTUAL), [])
        self.segment.advance(2)
        self.assertMaster(self.second)

    def test_crashEndsTimers(self) -> None:
        """
        No timer of a crashed program runs, whenever it was set.  The next program has a clock of
        its own.
        """
        ran: list[str] = []
        before = self.first.clock
        before.callLater(1, ran.append, "set before the crash")
        self.first.crash()
        before.callLater(1, ran.append, "set after it")
        self.first.clock.callLater(1, ran.append, "of the next program")
        self.segment.advance(2)
        self.assertEqual(ran, ["of the next program"])

    def test_restart(self) -> None:
        """
        A program that was killed can be started again, and a running one cannot.
        """
        self.start(preempt=True)
        self.assertRaises(RuntimeError, self.first.start, program(self.first))
        self.first.crash()
        self.segment.advance(4)
        self.first.start(program(self.first, preempt=True))
        self.segment.advance(2)
        self.assertMaster(self.first)

    def test_stop(self) -> None:
        """
        A master that is stopped hands over.  While it does, its program runs.
        """
        self.start()
        self.first.stop()
        self.segment.advance(0.01)
        self.assertEqual(self.segment.masters(), [self.second])
        self.assertEqual(self.segment.holders(_VIRTUAL), [self.first, self.second])
        self.assertRaises(RuntimeError, self.first.start, program(self.first))
        self.segment.advance(1)
        self.assertMaster(self.second)
        self.assertIsNone(self.first.service)

    def test_cut(self) -> None:
        """
        Two hosts that do not hear each other are both master, until they do.
        """
        self.start()
        self.segment.cut(self.first, self.second)
        self.segment.advance(4)
        self.assertMaster(self.first, self.second)
        self.segment.heal()
        self.segment.advance(2)
        self.assertMaster(self.first)

    def test_deafen(self) -> None:
        """
        A cut in one direction: the host that hears nobody becomes master, too, and the master
        that hears a less preferred one remains.
        """
        self.start()
        self.segment.deafen(self.second, self.first)
        self.segment.advance(4)
        self.assertEqual(self.second.virtualHosts[0].role, Role.MASTER)
        self.assertMaster(self.first, self.second)

    def test_plug(self) -> None:
        """
        A host without a carrier is not master.
        """
        self.start()
        self.first.plug(False)
        self.segment.advance(4)
        self.assertMaster(self.second)

    def test_groups(self) -> None:
        """
        Several groups on one segment, and virtual hosts deep inside a program.
        """
        whole = MultiService()
        for vhid in (1, 2):
            program(self.first, vhid=vhid).setServiceParent(whole)
        self.first.start(whole)
        self.second.start(program(self.second, vhid=3))
        self.segment.advance(4)
        self.assertEqual(len(self.first.virtualHosts), 2)
        for vhid, host in ((1, self.first), (2, self.first), (3, self.second)):
            self.assertEqual(self.segment.masters(vhid), [host])
        self.assertEqual(self.segment.masters(), [self.first, self.second])

    def test_unicast(self) -> None:
        """
        An advertisement for one host reaches only that host.
        """
        third = self.segment.host("10.1.1.3")
        third.start(program(third, advskew=200))
        self.first.start(program(self.first, peers=[self.second.source]))
        self.second.start(program(self.second, advskew=100, peers=[self.first.source]))
        self.segment.advance(5)
        self.assertEqual(self.segment.masters(), [self.first, third])

    def test_wrongInterface(self) -> None:
        """
        A configuration with an interface that the host does not have is an error.
        """
        service = program(self.first, interface="eth1")
        error = self.assertRaises(OSError, self.first.start, service)
        self.assertIn("eth0, not eth1", str(error))

    def test_looping(self) -> None:
        """
        A loop of the program on the clock of its host runs at its own times.
        """
        times: list[float] = []
        loop = LoopingCall(lambda: times.append(self.segment.clock.seconds()))
        loop.clock = self.first.clock
        loop.start(0.5)
        self.segment.advance(1.6)
        self.assertEqual(times, [0.0, 0.5, 1.0, 1.5])
