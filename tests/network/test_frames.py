"""
Tests for L{txcarp.network.frames}.
"""

from __future__ import annotations

import random
import socket
import struct

from twisted.trial.unittest import SynchronousTestCase

from tests import crafted
from tests.vectors import load
from txcarp.addresses import parseIPv4
from txcarp.network.frames import (
    BROADCAST,
    gratuitousARP,
    groupAddress,
    ipv4Frame,
    ipv6Frame,
    readAnswer,
    unsolicitedAdvertisement,
)

CARD = bytes.fromhex("020000000007")


class AdvertisementTests(SynchronousTestCase):
    """
    The frames of advertisements.
    """

    def test_vectors(self) -> None:
        """
        Each frame of the real ucarp is made again from its packet and its group, except for the
        source: ucarp invents an address there, which nobody looks at and a switch may not like.
        """
        for vector in load("advertisements")["vectors"]:
            frame = bytes.fromhex(vector["packet_hex"])
            destination = (
                BROADCAST if vector["nomcast"] else groupAddress(parseIPv4(vector["dstip"]))
            )
            ours = ipv4Frame(destination, CARD, frame[14:])
            self.assertEqual(ours[:6], frame[:6], vector["name"])
            self.assertEqual(ours[6:12], CARD)
            self.assertEqual(frame[6:12], bytes((0, 0, 0x5E, 0, 0, vector["vhid"])))
            self.assertEqual(ours[12:], frame[12:], vector["name"])

    def test_groupAddress(self) -> None:
        """
        The low 23 bits of the group are in the address, so 32 groups share one.
        """
        for group, expected in (
            ("224.0.0.18", "01005e000012"),
            ("224.128.0.18", "01005e000012"),
            ("239.255.255.255", "01005e7fffff"),
        ):
            self.assertEqual(groupAddress(socket.inet_aton(group)).hex(), expected)

    def test_groupAddressIPv6(self) -> None:
        """
        The low 32 bits of an IPv6 group are in the address.
        """
        for group, expected in (
            ("ff02::12", "333300000012"),
            ("ff05::1:2345:6789", "333323456789"),
        ):
            packed = socket.inet_pton(socket.AF_INET6, group)
            self.assertEqual(groupAddress(packed).hex(), expected)

    def test_ipv6(self) -> None:
        """
        A frame around an IPv6 packet has its Ethernet type.
        """
        frame = ipv6Frame(bytes.fromhex("333300000012"), CARD, b"packet")
        self.assertEqual(frame, bytes.fromhex("33330000001202000000000786dd") + b"packet")


class GratuitousARPTests(SynchronousTestCase):
    """
    Tests for L{gratuitousARP}.
    """

    def test_vectors(self) -> None:
        """
        Each frame equals that of the real ucarp, byte by byte.
        """
        frames = load("gratuitous-arp")["frames"]
        self.assertGreater(len(frames), 20)
        for vector in frames:
            self.assertEqual(
                gratuitousARP(
                    bytes.fromhex(vector["iface_mac"]), socket.inet_aton(vector["vip"])
                ).hex(),
                vector["frame_hex"],
            )


class UnsolicitedAdvertisementTests(SynchronousTestCase):
    """
    Tests for L{unsolicitedAdvertisement}.
    """

    def setUp(self) -> None:
        """
        Make one.
        """
        self.address = socket.inet_pton(socket.AF_INET6, "2001:db8::7")
        self.frame = unsolicitedAdvertisement(CARD, self.address)

    def test_fields(self) -> None:
        """
        The advertisement goes to all nodes with hop limit 255.  It is not solicited and has the
        override flag, the address as source and target, and the hardware address as option.
        """
        allNodes = socket.inet_pton(socket.AF_INET6, "ff02::1")
        self.assertEqual(self.frame[:14].hex(), "33330000000102000000000786dd")
        header = struct.unpack("!IHBB16s16s", self.frame[14:54])
        self.assertEqual(header, (0x60000000, 32, 58, 255, self.address, allNodes))
        kind, code, _, flags, target = struct.unpack("!BBHI16s", self.frame[54:78])
        self.assertEqual((kind, code, flags, target), (136, 0, 0x20000000, self.address))
        self.assertEqual(self.frame[78:], b"\2\1" + CARD)

    def test_checksum(self) -> None:
        """
        The checksum is over pseudo header and message (RFC 8200, section
        8.1).
        """
        body = self.frame[54:]
        pseudo = self.frame[22:54] + struct.pack("!II", len(body), 58)
        self.assertEqual(crafted.checksum(pseudo + body), 0)


class AnswerTests(SynchronousTestCase):
    """
    Tests for L{readAnswer}.  L{tests.network.test_neighbours} has those with the kernel.
    """

    own = bytes.fromhex("020000000001")

    def frames(self) -> list[bytes]:
        """
        A right answer of each family.
        """
        head = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 2)
        body = head + CARD + b"\x0a\0\0\1" + self.own + bytes(4)
        return [
            self.own + CARD + b"\x08\x06" + body,
            self.own + unsolicitedAdvertisement(CARD, b"\xfd" + bytes(15))[6:],
        ]

    def test_right(self) -> None:
        """
        The address and who has it.
        """
        arp, discovery = self.frames()
        self.assertEqual(readAnswer(arp, self.own), (b"\x0a\0\0\1", CARD))
        self.assertEqual(readAnswer(arp + bytes(18), self.own), (b"\x0a\0\0\1", CARD))
        self.assertEqual(readAnswer(discovery, self.own), (b"\xfd" + bytes(15), CARD))

    def test_broken(self) -> None:
        """
        A frame that is cut off is no answer, and neither is one with another bit, unless that is
        in a field that says nothing.
        """
        for frame, free in zip(self.frames(), ({*range(6, 12), *range(38, 42)}, {6}), strict=True):
            for size in range(len(frame)):
                self.assertIsNone(readAnswer(frame[:size], self.own))
            right = readAnswer(frame, self.own)
            for place in range(len(frame)):
                changed = bytearray(frame)
                changed[place] ^= 0x10
                answer = readAnswer(bytes(changed), self.own)
                if answer == right:
                    self.assertTrue(place in free or frame[12:14] == b"\x86\xdd", place)

    def test_anything(self) -> None:
        """
        Nothing raises.
        """
        generator = random.Random(7)
        for kind in (b"\x08\x06", b"\x86\xdd", b"\x08\x00"):
            for size in range(120):
                head = self.own + CARD + kind
                self.assertIsNone(readAnswer((head + generator.randbytes(size))[:size], self.own))
