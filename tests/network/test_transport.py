"""
Tests for L{txcarp.network.linux.AdvertisementTransport}.
"""

from __future__ import annotations

import errno
import os
from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests import crafted
from tests.network.scenery import GROUP4, GROUP6, FakeReceiver, ipv6Packet, packed
from txcarp.interfaces import IAdvertisementTransport
from txcarp.network.linux import AdvertisementTransport
from txcarp.protocol.family import Family, familyOf

CARD = bytes.fromhex("020000000007")
VIRTUAL = bytes.fromhex("00005e00010a")
BROADCAST = b"\xff" * 6


class FakeInterface:
    """
    Keeps frames.
    """

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.index: int | None = 7

    def hardwareAddress(self) -> bytes:
        return CARD

    def sendFrame(self, frame: bytes) -> None:
        self.frames.append(frame)


class FakeFamilyPort:
    """
    Keeps packets, or fails.
    """

    def __init__(self, family: Family) -> None:
        self.family = family
        self.error: OSError | None = None
        self.packets: list[tuple[bytes, bytes]] = []
        self.watched: list[tuple[int, bool, object]] = []
        self.routed: list[tuple[int, object]] = []
        self.receivers: list[tuple[int, object]] = []
        self.reports = self.reads = 0

    def send(self, packet: bytes, destination: bytes) -> None:
        if self.error is not None:
            raise self.error
        self.packets.append((packet, destination))

    def deliverTo(self, vhid: int, receiver: object) -> None:
        self.receivers.append((vhid, receiver))

    def admitRouted(self, vhid: int, peers: object) -> None:
        self.routed.append((vhid, peers))

    def linkLocals(self) -> list[bytes]:
        return [packed("fe80::7")]

    def isLocal(self, address: bytes) -> bool:
        return address == packed("10.99.0.1")

    def whyDropped(self, source: bytes) -> str:
        return f"{len(source)} bytes"

    def isSwitchedOff(self) -> bool:
        return True

    def hears(self, vhid: int) -> bool:
        return self.error is None

    def hasUnread(self) -> bool:
        return True

    def readUnread(self) -> None:
        self.reads += 1

    def watchFront(self, vhid: int, wanted: bool, missing: object) -> None:
        self.watched.append((vhid, wanted, missing))

    def reportFilteredOutput(self) -> None:
        self.reports += 1


class AdvertisementTransportTests(SynchronousTestCase):
    """
    Tests for L{AdvertisementTransport}.
    """

    def make(
        self, group: bytes = GROUP4, broadcast: bool = False, hardware: bytes | None = None
    ) -> AdvertisementTransport:
        """
        Make a transport of a group.
        """
        self.interface: Any = FakeInterface()
        self.port: Any = FakeFamilyPort(familyOf(group))
        return AdvertisementTransport(
            self.interface, self.port, crafted.VHID, group, broadcast, hardware
        )

    def assertFramed(self, packet: bytes, destination: bytes, source: bytes) -> None:
        """
        Check that one frame was sent, and nothing else.
        """
        kind = b"\x08\x00" if packet[0] >> 4 == 4 else b"\x86\xdd"
        self.assertEqual(self.interface.frames, [destination + source + kind + packet])
        self.assertEqual(self.port.packets, [])

    def test_provided(self) -> None:
        """
        It provides its interface.
        """
        transport = self.make()
        verifyObject(IAdvertisementTransport, transport)
        self.assertEqual(transport.linkLocals(), [packed("fe80::7")])
        self.assertTrue(transport.isLocal(packed("10.99.0.1")))
        self.assertTrue(transport.isSwitchedOff())
        self.assertEqual(transport.whyDropped(b"1234"), "4 bytes")
        self.assertTrue(transport.hears())
        self.assertTrue(transport.hasUnread())
        transport.readUnread()
        self.assertEqual(self.port.reads, 1)
        self.assertTrue(transport.hears())
        receiver = FakeReceiver()
        transport.deliverTo(receiver)
        transport.deliverTo(None)
        self.assertEqual(
            self.port.receivers, [(crafted.VHID, receiver), (crafted.VHID, None)]
        )
        transport.admitRouted([packed("10.99.0.7")])
        self.assertEqual(self.port.routed, [(crafted.VHID, [packed("10.99.0.7")])])
        transport.watchFront(True, [packed("10.99.0.7")])
        transport.watchFront(False)
        self.assertEqual(
            self.port.watched,
            [(crafted.VHID, True, [packed("10.99.0.7")]), (crafted.VHID, False, ())],
        )

    def test_group(self) -> None:
        """
        What is for the group is sent as a packet.
        """
        for group, packet in (GROUP4, crafted.packet()), (GROUP6, ipv6Packet()):
            self.make(group).send(packet)
            self.assertEqual(self.port.packets, [(packet, group)])
            self.assertEqual(self.interface.frames, [])

    def test_broadcast(self) -> None:
        """
        With broadcast it is sent in a frame to all hosts, also if the group is no multicast
        address.
        """
        anybody = packed("255.255.255.255")
        for group, packet in (
            (GROUP4, crafted.packet()),
            (GROUP6, ipv6Packet()),
            (anybody, crafted.packet(destination="255.255.255.255")),
        ):
            self.make(group, broadcast=True).send(packet)
            self.assertFramed(packet, BROADCAST, CARD)

    def test_hardware(self) -> None:
        """
        With another hardware address it is sent in a frame from that address.
        """
        for group, packet, destination in (
            (GROUP4, crafted.packet(), "01005e000012"),
            (GROUP6, ipv6Packet(), "333300000012"),
        ):
            self.make(group, hardware=VIRTUAL).send(packet)
            self.assertFramed(packet, bytes.fromhex(destination), VIRTUAL)
        self.make(broadcast=True, hardware=VIRTUAL).send(crafted.packet())
        self.assertFramed(crafted.packet(), BROADCAST, VIRTUAL)

    def test_parcel(self) -> None:
        """
        Another process gets the frame, or the packet and where to send it.
        """
        packet, group = crafted.packet(), bytes.fromhex("01005e000012")
        transport = self.make()
        self.assertEqual(transport.parcel(packet), (7, group, packet))
        self.assertEqual(self.make(broadcast=True).parcel(packet), (7, BROADCAST, packet))
        frame = group + VIRTUAL + b"\x08\x00" + packet
        self.assertEqual(self.make(hardware=VIRTUAL).parcel(packet), (7, b"", frame))
        unicast = crafted.packet(destination="10.99.0.9")
        self.assertEqual(
            self.make(hardware=VIRTUAL).parcel(unicast), (7, packed("10.99.0.9"), unicast)
        )
        six = bytes.fromhex("333300000012")
        self.assertEqual(self.make(GROUP6).parcel(ipv6Packet()), (7, six, ipv6Packet()))
        self.interface.index = None
        transport = AdvertisementTransport(
            self.interface, self.port, crafted.VHID, GROUP6, False, None
        )
        self.assertIsNone(transport.parcel(ipv6Packet()))

    def test_peers(self) -> None:
        """
        What is for one host is always sent as a packet.
        """
        for group, packet, destination in (
            (GROUP4, crafted.packet(destination="10.98.0.2"), "10.98.0.2"),
            (GROUP6, ipv6Packet(destination="fe80::2"), "fe80::2"),
            (GROUP6, ipv6Packet(destination="2001:db8::2"), "2001:db8::2"),
        ):
            self.make(group, True, VIRTUAL).send(packet)
            self.assertEqual(self.port.packets, [(packet, packed(destination))])
            self.assertEqual(self.interface.frames, [])

    def test_firewall(self) -> None:
        """
        If a firewall drops an outgoing packet for the group, it is sent in a frame, and that is
        reported.
        """
        for group, packet, destination in (
            (GROUP4, crafted.packet(), "01005e000012"),
            (GROUP6, ipv6Packet(), "333300000012"),
        ):
            transport = self.make(group)
            self.port.error = PermissionError(errno.EPERM, os.strerror(errno.EPERM))
            transport.send(packet)
            self.assertFramed(packet, bytes.fromhex(destination), CARD)
            self.assertEqual(self.port.reports, 1)

    def test_firewallAndPeer(self) -> None:
        """
        If a firewall drops an outgoing packet for one host, the error is raised.
        """
        transport = self.make()
        self.port.error = PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        packet = crafted.packet(destination="10.98.0.2")
        self.assertRaises(PermissionError, transport.send, packet)
        self.assertEqual((self.interface.frames, self.port.reports), ([], 0))

    def test_errors(self) -> None:
        """
        Any other error of the kernel is raised.
        """
        transport = self.make()
        self.port.error = OSError(errno.ENETDOWN, os.strerror(errno.ENETDOWN))
        for packet in crafted.packet(), crafted.packet(destination="10.98.0.2"):
            error = self.assertRaises(OSError, transport.send, packet)
            self.assertEqual(error.errno, errno.ENETDOWN)
        self.assertEqual(self.interface.frames, [])
