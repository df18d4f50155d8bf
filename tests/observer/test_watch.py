"""
Tests of L{txcarp.observer.watch}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests import crafted
from tests.observer.air import ALPHA, BETA, Air, vrrp
from txcarp.observer import records, words
from txcarp.observer.reports import Kind
from txcarp.observer.watch import Watch
from txcarp.observer.words import Calendar
from txcarp.protocol.envelope import readPacket
from txcarp.protocol.rejection import Rejected


class WatchTests(SynchronousTestCase):
    """
    Tests of L{Watch}.
    """

    def setUp(self) -> None:
        self.watch = Watch()

    def test_groups(self) -> None:
        """
        Groups differ in interface, protocol, number or family, and are listed in order.
        """
        bodies = (crafted.payload(vhid=10), crafted.payload(vhid=9), vrrp(vrid=9))
        for interface in ("eth1", "eth0"):
            self.watch.listens(0.0, interface)
            for body in bodies:
                for packet in (crafted.packet6(body), crafted.packet(body)):
                    if body is not bodies[2] or packet[0] >> 4 == 4:
                        self.watch.heard(1.0, interface, readPacket(packet))
        names = [(group.key.interface, words.name(group.key)) for group in self.watch.groups()]
        each = ["CARP 9", "CARP 9 IPv6", "CARP 10", "CARP 10 IPv6", "VRRP 9"]
        self.assertEqual(
            names, [("eth0", name) for name in each] + [("eth1", name) for name in each]
        )

    def test_interfaces(self) -> None:
        """
        Each change of an interface is reported once.
        """
        (report,) = self.watch.listens(0.0, "eth0")
        self.assertEqual((report.kind, report.detail), (Kind.LISTENING, ""))
        (report,) = self.watch.deafened(1.0, "eth0", Kind.DOWN)
        self.assertIs(report.kind, Kind.DOWN)
        self.assertEqual(self.watch.deafened(2.0, "eth0", Kind.DOWN), [])
        (report,) = self.watch.deafened(3.0, "eth0", Kind.GONE)
        self.assertIs(report.kind, Kind.GONE)
        self.assertEqual(self.watch.deaf, {"eth0": Kind.GONE})
        (report,) = self.watch.listens(4.0, "eth0")
        self.assertEqual((report.kind, report.detail), (Kind.LISTENING, "again"))
        self.assertEqual(self.watch.deaf, {})

    def test_otherInterface(self) -> None:
        """
        The loss of one interface does not affect groups on others.
        """
        air = Air()
        air.run(5, air.talker())
        air.take()
        air.watch.deafened(air.now, "eth1", Kind.DOWN)
        air.run(5)
        self.assertEqual(air.take(), [Kind.SILENT])

    def test_ignored(self) -> None:
        """
        A packet that every receiver refuses is reported with its sender and the reason, and
        makes no group.
        """
        (report,) = self.watch.heard(0.0, "eth0", readPacket(crafted.packet(ttl=3)))
        self.assertEqual((report.kind, report.group), (Kind.IGNORED, None))
        said = words.sentence(report, Calendar(Clock().seconds))
        self.assertEqual(
            said,
            f"{crafted.PEER} sent a packet that every receiver refuses: time to live is not 255: 3",
        )
        self.assertEqual(self.watch.groups(), [])

    def test_nothing(self) -> None:
        """
        Packets that the socket filter drops are not reported.
        """
        packet = readPacket(crafted.packet(protocol=17))
        self.assertEqual(self.watch.heard(0.0, "eth0", packet), [])

    def test_full(self) -> None:
        """
        The number of groups is limited; groups that have long had no master make room.
        """
        air = Air(Watch(maximumGroups=2))
        for vhid in (1, 2, 3):
            air.hear(air.carp(vhid=vhid))
        self.assertEqual(air.take(), [Kind.GROUP, Kind.GROUP, Kind.TOO_MANY_GROUPS])
        air.run(3700, air.talker(ALPHA, vhid=2))
        air.take()
        air.hear(air.carp(vhid=3))
        self.assertEqual(air.take(), [Kind.GROUP])
        self.assertEqual([group.key.vhid for group in air.watch.groups()], [2, 3])
        air.hear(air.carp(vhid=4))
        self.assertEqual(air.take(), [Kind.TOO_MANY_GROUPS])

    def test_here(self) -> None:
        """
        Packets that this machine sent are marked.
        """
        air = Air()
        air.hear(air.carp(), here=True)
        air.hear(air.carp(BETA, vhid=8))
        self.assertEqual([group.masters[0].here for group in air.watch.groups()], [True, False])

    def test_troubleFirst(self) -> None:
        """
        Groups with several masters come first.
        """
        air = Air()
        first, second = air.talker(vhid=3), air.talker(ALPHA, vhid=9)
        air.run(10, first, second, air.talker(BETA, vhid=9))
        self.assertEqual([one.key.vhid for one in air.watch.groups()], [9, 3])

    @given(st.lists(st.binary(max_size=80), max_size=5))
    def test_anything(self, packets: list[bytes]) -> None:
        """
        No packet raises an exception, and every report can be shown.
        """
        watch, clock = Watch(), Clock()
        calendar = Calendar(clock.seconds)
        for packet in packets:
            for start in (b"", bytes.fromhex("45100038123440 00ff70 0000 0a630001 e0000012")):
                try:
                    read = readPacket(start + packet)
                except Rejected:
                    continue
                for report in watch.heard(0.0, "eth0", read):
                    self.assertTrue(words.sentence(report, calendar))
                    self.assertTrue(records.ofReport(report, calendar))
        watch.tick(100.0)
