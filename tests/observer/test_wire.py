"""
Tests of L{txcarp.observer.wire} on test networks.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests import crafted
from tests.observer.air import vrrp
from tests.testbed.fixture import makeTestbed
from txcarp.network import sockets
from txcarp.network.sockets import MissingCapability
from txcarp.observer import wire
from txcarp.protocol import ipv6
from txcarp.protocol.envelope import Packet, readPacket

_IPV4, _IPV6, _VLAN = 0x0800, 0x86DD, 0x8100
_GROUP = bytes.fromhex("01005e000012")


class WireTests(SynchronousTestCase):
    """
    Tests of L{wire.openListener} and L{wire.receive}.
    """

    def setUp(self) -> None:
        # Packets that are sent on two processors overtake each other.
        processors = os.sched_getaffinity(0)
        self.addCleanup(os.sched_setaffinity, 0, processors)
        os.sched_setaffinity(0, {min(processors)})
        testbed = makeTestbed(self)
        self.speaker, self.observer = testbed.node("speaker"), testbed.node("observer")
        with self.observer.inside():
            self.socket = wire.openListener("eth0")
        self.addCleanup(self.socket.close)
        self.frames = self.speaker.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.addCleanup(self.frames.close)
        self.frames.bind(("eth0", 0))
        self.warmUp()

    def warmUp(self) -> None:
        """
        Wait until packets pass, which is a moment after the kernel shows a carrier.
        """
        end = time.monotonic() + 10
        first = crafted.packet(vhid=254)
        while time.monotonic() < end:
            self.send(first)
            if select.select([self.socket], [], [], 0.05)[0]:
                self.heard()
                return
        self.fail("nothing passes")

    def send(self, packet: bytes, ethertype: int = _IPV4, tag: int | None = None) -> None:
        header = _GROUP + self.speaker.link().address
        if tag is not None:
            header += struct.pack("!HH", _VLAN, tag)
        self.frames.send(header + struct.pack("!H", ethertype) + packet)

    def heard(self) -> list[Packet]:
        """
        All packets that arrive before a last one, which this sends.
        """
        sent = crafted.packet(vhid=255)
        self.send(sent)
        last, packets = readPacket(sent), list[Packet]()
        end = time.monotonic() + 10
        while last not in packets and time.monotonic() < end:
            try:
                arrival = wire.receive(self.socket)
            except BlockingIOError:
                time.sleep(0.001)
            else:
                if arrival is not None:
                    packets.append(arrival.packet)
        self.assertEqual(packets[-1:], [last])
        return packets[:-1]

    def test_advertisements(self) -> None:
        """
        CARP and VRRP of both families arrive, whichever group they are sent to.
        """
        packets = [
            crafted.packet(),
            crafted.packet(options=b"\1" * 40),
            crafted.packet(vrrp(addresses=("10.0.0.1",) * 255)),
            crafted.packet6(crafted.payload()),
            crafted.packet(destination="239.1.2.3"),
        ]
        for packet in packets:
            self.send(packet, _IPV6 if packet[0] >> 4 == 6 else _IPV4)
        self.assertEqual(self.heard(), list(map(readPacket, packets)))

    def test_others(self) -> None:
        """
        Other protocols, VLAN packets and other ethertypes do not arrive.
        """
        for packet in (
            crafted.packet(protocol=17),
            crafted.packet6(b"")[:6] + b"\x11" + crafted.packet6(b"")[7:],
            crafted.packet()[:9],
            b"\x50" + crafted.packet()[1:],
        ):
            self.send(packet)
        self.send(crafted.packet(), tag=12)
        self.send(crafted.packet(), 0x88B5)
        self.assertEqual(self.heard(), [])

    def test_untagged(self) -> None:
        """
        A tag with a priority and no VLAN is accepted.
        """
        self.send(crafted.packet(), tag=0xE000)
        self.assertEqual(self.heard(), [readPacket(crafted.packet())])

    def test_sender(self) -> None:
        """
        A packet has the hardware address of its sender, and the time for which it waited.
        """
        end = time.monotonic() + 10
        arrival = None
        # The kernel begins to note when packets arrive a moment after it was asked to.
        while (arrival is None or arrival.waited < 0.04) and time.monotonic() < end:
            self.send(crafted.packet())
            select.select([self.socket], [], [], 10)
            time.sleep(0.05)
            arrival = wire.receive(self.socket)
        assert arrival is not None
        self.assertEqual((arrival.hardware, arrival.here), (self.speaker.link().address, False))
        self.assertGreaterEqual(arrival.waited, 0.04)
        self.assertRaises(BlockingIOError, wire.receive, self.socket)

    def test_here(self) -> None:
        """
        Packets that this machine sends arrive once, and are marked.
        """
        with self.speaker.inside():
            own = wire.openListener("eth0")
        self.addCleanup(own.close)
        self.send(crafted.packet())
        arrival = wire.receive(own)
        assert arrival is not None
        self.assertEqual((arrival.packet, arrival.here), (readPacket(crafted.packet()), True))
        self.assertRaises(BlockingIOError, wire.receive, own)

    def groups(self) -> str:
        """
        The groups that the observing host is a member of.
        """
        with self.observer.inside():
            return Path("/proc/net/igmp").read_text() + Path("/proc/net/igmp6").read_text()

    def test_joinsNothing(self) -> None:
        """
        No multicast group is joined.
        """
        groups = {
            socket.AF_INET: (bytes((224, 0, 0, 18)), "120000E0"),
            socket.AF_INET6: (ipv6.GROUP, "ff020000000000000000000000000012"),
        }
        for _, shown in groups.values():
            self.assertNotIn(shown, self.groups())
        index = struct.pack("=i", self.observer.link().index)
        for family, (group, shown) in groups.items():
            with self.observer.socket(family, socket.SOCK_DGRAM) as member:
                if family is socket.AF_INET:
                    request = group + bytes(4) + index
                    member.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
                else:
                    member.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group + index)
                self.assertIn(shown, self.groups())

    def test_down(self) -> None:
        """
        The errors for an interface that is down and for a missing one differ.
        """
        self.observer.setInterface(False)
        self.assertRaises(OSError, wire.receive, self.socket)
        with self.observer.inside():
            for name, number in (("eth0", errno.ENETDOWN), ("eth9", errno.ENODEV)):
                with self.assertRaises(OSError) as caught:
                    wire.openListener(name)
                self.assertEqual(caught.exception.errno, number)


class CapabilityTests(SynchronousTestCase):
    """
    Tests without the capability.
    """

    def test_missing(self) -> None:
        """
        The error names the missing capability.
        """

        def refuse(*arguments: object) -> None:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

        self.patch(sockets.socket, "socket", refuse)
        with self.assertRaises(MissingCapability) as caught:
            wire.openListener("eth0")
        self.assertIn("CAP_NET_RAW", str(caught.exception))
