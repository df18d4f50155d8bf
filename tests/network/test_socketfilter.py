"""
Tests for L{txcarp.network.socketfilter}.
"""

from __future__ import annotations

import random
import socket
import struct

from twisted.trial.unittest import SynchronousTestCase

from tests import crafted
from tests.crafted import packed
from tests.network.scenery import awaitIPv6, ipv6Packet
from tests.testbed.fixture import makeTestbed
from txcarp.network.admission import MOST_GROUPS, Admission
from txcarp.network.frames import (
    arpQuestion,
    gratuitousARP,
    ipv4Frame,
    ipv6Frame,
    neighbourSolicitation,
    unsolicitedAdvertisement,
)
from txcarp.network.socketfilter import (
    MOST_ANSWERS,
    Beginning,
    answers,
    attach,
    program,
)

_INSTRUCTION = struct.Struct("=HBBI")


def verdict(code: bytes, packet: bytes, header: int = 0, luck: int = 0) -> int:
    """
    Return what the kernel's classic BPF machine would: how many bytes of a packet are kept.

    @param header: The bytes of the packet that are in front of what the socket sees.
    @param luck: The random number that the kernel draws.
    """
    instructions = list(_INSTRUCTION.iter_unpack(code))
    accumulator = index = position = stored = 0
    while True:
        operation, whenTrue, whenFalse, k = instructions[position]
        position += 1
        jump = {
            0x15: accumulator == k,
            0x25: accumulator > k,
            0x35: accumulator >= k,
            0x45: bool(accumulator & k),
        }.get(operation)
        if operation == 0x06:  # ret k
            return k
        if operation == 0x05:  # ja k
            position += k
        elif jump is not None:
            position += whenTrue if jump else whenFalse
        elif operation == 0x07:  # tax
            index = accumulator
        elif operation in (0x00, 0x02, 0x54, 0x60, 0x74, 0x7C, 0x1C, 0x80):
            if operation == 0x02:  # st
                stored = accumulator
            accumulator = {
                0x00: k,
                0x02: accumulator,
                0x54: accumulator & k,
                0x60: stored,
                0x74: accumulator >> (k & 31),
                0x7C: accumulator >> (index & 31),
                0x1C: (accumulator - index) & 0xFFFFFFFF,
                0x80: len(packet) - header,
            }[operation]
        elif k >= 0xFFFFF000:
            # The kernel's own knowledge: to this host.
            accumulator = luck if k == 0xFFFFF038 else 0
        else:
            if k >= 0xFFF00000:
                where = k - 0xFFF00000
            else:
                where = header + k + (index if operation == 0x50 else 0)
            size = {0x20: 4, 0x28: 2}.get(operation, 1)
            if where + size - 1 >= len(packet):
                return 0  # a load from beyond the end drops the packet
            if operation == 0xB1:  # ldx 4 * ([k] & 0xf)
                index = 4 * (packet[where] & 0xF)
            else:
                accumulator = int.from_bytes(packet[where : where + size], "big")


def seen(beginning: Beginning, vhid: int = crafted.VHID) -> bytes:
    """
    An advertisement as a filter sees it.
    """
    if beginning is Beginning.IPV4_HEADER:
        return crafted.packet(vhid=vhid)
    if beginning is Beginning.IPV6_HEADER:
        return ipv6Packet(vhid)
    return crafted.payload(vhid=vhid)


class ProgramTests(SynchronousTestCase):
    """
    Tests for L{program}.
    """

    def test_eachVhid(self) -> None:
        """
        A filter for one virtual host keeps the packets of that one whole, and no others.
        """
        for beginning in Beginning:
            packets = {vhid: seen(beginning, vhid) for vhid in range(1, 256)}
            for wanted in range(1, 256):
                code = program([wanted], beginning)
                for vhid in {wanted, wanted % 255 + 1, (wanted + 127) % 255 + 1}:
                    kept = verdict(code, packets[vhid])
                    self.assertEqual(kept >= 65535, vhid == wanted, (beginning, wanted, vhid))

    def test_all(self) -> None:
        """
        A filter for all virtual hosts keeps the packets of each: every jump reaches its target.
        """
        for beginning in Beginning:
            code = program(range(1, 256), beginning)
            for vhid in range(256):
                kept = verdict(code, seen(beginning, vhid))
                self.assertEqual(kept > 0, vhid > 0, (beginning, vhid))

    def test_none(self) -> None:
        """
        A filter for no virtual host keeps nothing.
        """
        for beginning in Beginning:
            self.assertEqual(verdict(program([], beginning), seen(beginning)), 0)

    def test_twice(self) -> None:
        """
        Order and repetition of the virtual hosts make no difference.
        """
        for beginning in Beginning:
            self.assertEqual(program([3, 1, 3], beginning), program([1, 3], beginning))

    def test_options(self) -> None:
        """
        The vhid is found behind IPv4 options.
        """
        code = program([crafted.VHID], Beginning.IPV4_HEADER)
        self.assertGreater(verdict(code, crafted.packet(options=b"\1" * 40)), 0)
        self.assertEqual(verdict(code, crafted.packet(vhid=11, options=b"\x0a" * 40)), 0)

    def test_protocol(self) -> None:
        """
        Other protocols are dropped.
        """
        code = program([crafted.VHID], Beginning.IPV4_HEADER)
        self.assertEqual(verdict(code, crafted.packet(protocol=17)), 0)
        code = program([crafted.VHID], Beginning.IPV6_HEADER)
        self.assertEqual(verdict(code, ipv6Packet(protocol=17)), 0)

    def test_garbage(self) -> None:
        """
        The filter never reads past the end of a packet, and always ends.
        """
        generator = random.Random(3)
        for beginning in Beginning:
            code = program([1, 2, 112], beginning)
            for size in range(60):
                for _ in range(20):
                    verdict(code, generator.randbytes(size))


class AnswersTests(SynchronousTestCase):
    """
    Tests for L{answers}.
    """

    def test_each(self) -> None:
        """
        A filter for as many addresses as possible keeps the answers for each, and no others: every
        jump reaches its target.
        """
        card = b"\2\0\0\0\0\1"
        for count in (1, MOST_ANSWERS):
            for families in ((4,), (16,), (4, 16)):
                addresses = [
                    bytes(families[number % len(families)] - 1) + bytes([number + 1])
                    for number in range(count)
                ]
                code = answers(addresses)
                for one in addresses:
                    for offset, wanted in ((0, True), (128, False)):
                        address = one[:-1] + bytes([one[-1] + offset])
                        if len(address) == 4:
                            frame = bytearray(gratuitousARP(card, address))
                            frame[21] = 2
                        else:
                            frame = bytearray(unsolicitedAdvertisement(card, address))
                        self.assertEqual(bool(verdict(code, bytes(frame))), wanted, address)
        self.assertEqual(verdict(answers([]), bytes(frame)), 0)

    def test_others(self) -> None:
        """
        Other packets about an address are dropped, and no packet is read past its end.
        """
        card, ipv4, ipv6 = b"\2\0\0\0\0\1", b"\x0a\0\0\1", b"\xfd" + bytes(15)
        code = answers([ipv4, ipv6])
        for frame in (
            gratuitousARP(card, ipv4),
            neighbourSolicitation(card, ipv6, ipv6),
            arpQuestion(card, ipv4, ipv4),
        ):
            self.assertEqual(verdict(code, frame), 0)
        generator = random.Random(5)
        kinds = [b"\x08\x06", b"\x86\xdd", b"\x08\x00"]
        for size in range(14, 90):
            for kind in kinds:
                self.assertEqual(verdict(code, card * 2 + kind + generator.randbytes(size)), 0)


class AttachTests(SynchronousTestCase):
    """
    Tests for L{attach}, with a socket that needs no capability.
    """

    def test_accepted(self) -> None:
        """
        The kernel accepts the filter for no, one and all virtual hosts, and replaces one by
        another.
        """
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for beginning in Beginning:
                for vhids in ([], [1], range(1, 256), [255]):
                    attach(sock, program(vhids, beginning))
                size = 4 if beginning is Beginning.IPV4_HEADER else 16
                for count in 1, MOST_GROUPS, MOST_GROUPS + 1, 255:
                    groups = {vhid: bytes(size - 1) + bytes([vhid % count]) for vhid in range(256)}
                    routed = frozenset(bytes(size - 1) + bytes([n]) for n in range(count))
                    attach(sock, Admission(groups, routed).good(beginning))

    def test_works(self) -> None:
        """
        The kernel drops what the filter does not keep.
        """
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with receiver, sender:
            receiver.bind(("127.0.0.1", 0))
            receiver.settimeout(10)
            sender.connect(receiver.getsockname())
            sender.send(b"before")
            self.assertEqual(receiver.recv(100), b"before")
            attach(receiver, program([1], Beginning.IPV4_HEADER))
            sender.send(b"dropped by the filter")
            receiver.settimeout(0.1)
            self.assertRaises(TimeoutError, receiver.recv, 100)

    def test_refused(self) -> None:
        """
        The kernel's error for a program without an end is raised.
        """
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            self.assertRaises(OSError, attach, sock, program([1], Beginning.PAYLOAD)[:8])


class KernelTests(SynchronousTestCase):
    """
    What each filter passes in the kernel, on the kinds of socket that it is for.
    """

    def setUp(self) -> None:
        """
        Make two hosts.
        """
        testbed = makeTestbed(self)
        self.sender = testbed.node("s")
        self.receiver = testbed.node("r", "10.99.0.2/24", "fd00::2/64")
        awaitIPv6(self.receiver)

    def heard(
        self,
        sock: socket.socket,
        beginning: Beginning,
        packets: list[bytes],
        ethertype: int = 0,
        code: bytes = b"",
    ) -> list[int]:
        """
        Return which of these packets, by number, arrive at a socket with a filter for one
        virtual host.

        @param ethertype: The Ethernet type to bind a packet socket to; it receives nothing before.
        @param code: Another filter, which passes the last packet, too.
        """
        self.addCleanup(sock.close)
        sock.settimeout(10)
        attach(sock, code or program([crafted.VHID], beginning))
        if ethertype:
            sock.bind(("eth0", ethertype))
        frames = self.sender.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.addCleanup(frames.close)
        frames.bind(("eth0", 0))
        frame = ipv4Frame if packets[0][0] >> 4 == 4 else ipv6Frame
        for packet in packets:
            frames.send(frame(self.receiver.link().address, self.sender.link().address, packet))
        bodies = [packet[-35:] for packet in packets]
        heard = []
        while not heard or heard[-1] != len(packets) - 1:
            heard.append(bodies.index(sock.recv(2048)[-35:]))
        return heard

    def packets4(self) -> list[bytes]:
        """
        Make packets of which the second and the last pass.
        """
        return [
            crafted.packet(vhid=vhid, counter=9, protocol=protocol, destination="10.99.0.2")
            for vhid, protocol in ((9, 112), (10, 112), (11, 112), (12, 113))
        ] + [crafted.packet(destination="10.99.0.2")]

    def packets6(self) -> list[bytes]:
        """
        Make packets of which the second and the last pass.
        """
        bodies = [crafted.payload(vhid=vhid, counter=9) for vhid in (9, 10, 11, 12)]
        return [
            ipv6Packet(body=body, protocol=protocol, source="fd00::1", destination="fd00::2")
            for body, protocol in zip(bodies, (112, 112, 112, 113), strict=True)
        ] + [ipv6Packet(source="fd00::1", destination="fd00::2")]

    def test_rawIPv4(self) -> None:
        """
        A raw IPv4 socket shows its filter the header.
        """
        sock = self.receiver.socket(socket.AF_INET, socket.SOCK_RAW, 112)
        self.assertEqual(self.heard(sock, Beginning.IPV4_HEADER, self.packets4()), [1, 4])

    def test_rawIPv6(self) -> None:
        """
        A raw IPv6 socket shows its filter the payload.
        """
        sock = self.receiver.socket(socket.AF_INET6, socket.SOCK_RAW, 112)
        self.assertEqual(self.heard(sock, Beginning.PAYLOAD, self.packets6()), [1, 4])

    def test_packetIPv4(self) -> None:
        """
        A packet socket without link header shows its filter the IPv4 header.
        """
        sock = self.receiver.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
        heard = self.heard(sock, Beginning.IPV4_HEADER, self.packets4(), 0x0800)
        self.assertEqual(heard, [1, 4])

    def test_packetIPv6(self) -> None:
        """
        The same for IPv6.
        """
        sock = self.receiver.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
        heard = self.heard(sock, Beginning.IPV6_HEADER, self.packets6(), 0x86DD)
        self.assertEqual(heard, [1, 4])

    def test_admission(self) -> None:
        """
        Each kind of socket passes good advertisements with one filter, and wrong ones with the
        other.
        """
        body, own4, own6 = crafted.payload(), "10.99.0.2", "fd00::2"
        changes = [{"counter": 5}, {"version": 3, "counter": 6}, {"vhid": 11, "counter": 7}]
        packets4 = [crafted.packet(destination=own4, **change) for change in changes]
        packets4.append(crafted.packet(crafted.payload(counter=8), destination=own4, ttl=254))
        packets4.append(crafted.packet(body[:35], destination=own4))
        packets4.append(
            crafted.packet(crafted.payload(counter=9), destination=own4, source="10.9.0.9", ttl=9)
        )
        packets6 = [
            ipv6Packet(body=crafted.payload(**change), source="fd00::1", destination=own6)
            for change in changes
        ]
        for body6, source, hops in (
            (crafted.payload(counter=8), "fd00::1", 254),
            (body[:35], "fd00::1", 255),
            (crafted.payload(counter=9), "2001:db8::9", 9),
        ):
            packets6.append(crafted.packet6(body6, source=source, destination=own6, hops=hops))
        wanted = Admission(
            {crafted.VHID: packed(crafted.GROUP)},
            frozenset((packed("10.9.0.9"), packed("2001:db8::9"))),
        )
        for beginning, family, kind, protocol, packets in (
            (Beginning.IPV4_HEADER, socket.AF_INET, socket.SOCK_RAW, 112, packets4),
            (Beginning.IPV4_HEADER, socket.AF_PACKET, socket.SOCK_DGRAM, 0x0800, packets4),
            (Beginning.PAYLOAD, socket.AF_INET6, socket.SOCK_RAW, 112, packets6),
            (Beginning.IPV6_HEADER, socket.AF_PACKET, socket.SOCK_DGRAM, 0x86DD, packets6),
        ):
            isPacket = family == socket.AF_PACKET
            last = crafted.payload(counter=10), crafted.payload(counter=11, version=1)
            make = crafted.packet if packets is packets4 else crafted.packet6
            to = own4 if packets is packets4 else own6
            for code, expected, end in (
                (wanted.good(beginning), [0, 5], last[0]),
                (wanted.wrong(beginning), [1, 3, 4], last[1]),
            ):
                sock = self.receiver.socket(family, kind, 0 if isPacket else protocol)
                sent = [
                    *packets,
                    make(end, source="fd00::1" if ":" in to else "10.99.0.1", destination=to),
                ]
                heard = self.heard(sock, beginning, sent, protocol if isPacket else 0, code)
                self.assertEqual(heard, [*expected, 6], (beginning, family))
