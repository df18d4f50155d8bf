"""
Tests for L{txcarp.protocol.envelope}.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests import crafted
from tests.crafted import packet
from tests.vectors import load
from txcarp.addresses import parseIPv4
from txcarp.protocol.advertisement import Advertisement
from txcarp.protocol.authentication import Authenticator
from txcarp.protocol.envelope import Audience, readPacket, unwrap, wrap
from txcarp.protocol.ipv4 import GROUP
from txcarp.protocol.rejection import Rejected, Rejection

_OWN = socket.inet_aton(crafted.OWN)


def opened(data: bytes) -> Advertisement:
    """
    Open a packet as the virtual host of L{tests.crafted} does.
    """
    return unwrap(readPacket(data), Audience(crafted.VHID, _OWN, GROUP))


class VectorTests(SynchronousTestCase):
    """
    Packets that the real ucarp sent.
    """

    def test_wrap(self) -> None:
        """
        Wrapping the payload with the same addresses and identification gives the same packet.
        """
        for vector in load("advertisements")["vectors"]:
            data = bytes.fromhex(vector["packet_hex"])[14:]
            self.assertEqual(
                wrap(
                    data[20:],
                    parseIPv4(vector["srcip"]),
                    parseIPv4(vector["dstip"]),
                    int.from_bytes(data[4:6], "big"),
                ),
                data,
                vector["name"],
            )

    def test_unwrap(self) -> None:
        """
        A host of the group accepts every packet.
        """
        for vector in load("advertisements")["vectors"]:
            data = bytes.fromhex(vector["packet_hex"])[14:]
            audience = Audience(vector["vhid"], b"\xc0\0\2\1", parseIPv4(vector["dstip"]))
            read = readPacket(data)
            advertisement = unwrap(read, audience)
            self.assertEqual(f"{advertisement.counter:016x}", vector["counter_hex"])
            self.assertEqual(read.source, parseIPv4(vector["srcip"]))
            self.assertEqual(read.payload, data[20:])


def _changed(offset: int) -> Callable[[], bytes]:
    return lambda: crafted.plusOne(packet(), offset)


#: The frames that the real ucarp received, by their names in the vectors.  Differences in the
#: Ethernet header are not visible here: the program receives IP packets.
CASES: dict[str, Callable[[], bytes]] = {
    "good": packet,
    "good, trailing 10 bytes": lambda: packet() + b"0123456789",
    "ttl 254": lambda: packet(ttl=254),
    "ttl 1": lambda: packet(ttl=1),
    "version 3": lambda: packet(version=3),
    "version 3 and ttl 1": lambda: packet(version=3, ttl=1),
    "version 1": lambda: packet(version=1),
    "vhid 11": lambda: packet(vhid=11),
    "dst 224.0.0.19": lambda: packet(destination="224.0.0.19"),
    "dst 224.0.0.19 IP but CARP group MAC": lambda: packet(destination="224.0.0.19"),
    "dst 224.0.0.18 IP with bcast mac (as -M)": packet,
    "dst 224.0.0.18 IP with unicast mac of host": packet,
    "dst 224.0.0.18 IP with other unicast mac": packet,
    "bad CARP cksum": _changed(26),
    "bad IP cksum": _changed(10),
    "bad hmac": lambda: packet(badDigest=True),
    "authlen 0": lambda: packet(authlen=0),
    "authlen 255": lambda: packet(authlen=255),
    "pad/demote 200": lambda: packet(demotion=200),
    "tos 0": lambda: packet(tos=0),
    "DF clear": lambda: packet(fragment=0),
    "fragment offset 1": lambda: packet(fragment=1),
    "ip total length 20 (lie)": lambda: packet(length=20),
    "ip total length 1500 (lie)": lambda: packet(length=1500),
    "src mac BSD 00:00:5e:00:01:0a": packet,
    "src ip = vip": lambda: packet(source=crafted.ADDRESS),
    "src ip = own": lambda: packet(source=crafted.OWN),
    "truncated CARP 35 bytes": lambda: packet(crafted.payload()[:35]),
    "truncated CARP 8 bytes padded to 60 frame": lambda: packet(crafted.payload()[:8]),
    "VRRPv2 same vrid": lambda: packet(crafted.vrrp2(1)),
    "VRRPv2 same vrid, 8 addrs (48 byte)": lambda: packet(crafted.vrrp2(8)),
    "all-zero payload vhid 0": lambda: packet(b"\0" * 36),
    "replay of same counter x2": lambda: packet(counter=1),
    "counter goes backwards": lambda: packet(counter=0),
    # The tag is where the program expects the IP header.
    "802.1Q tagged good": lambda: b"\0\5\x08\0" + packet(),
    "IP checksum off by +1 and CARP checksum off by -1 (errors cancel)": lambda: (
        crafted.plusOne(crafted.plusOne(packet(), 10), 26, -1)
    ),
}

#: The rejection that corresponds to each message of ucarp.
_REASONS = {
    "Bad TTL": Rejection.TTL,
    "Bad version": Rejection.VERSION,
    "Ignoring vhid": Rejection.VHID,
    "Ignoring different multicast ip": Rejection.DESTINATION,
    "Bad IP checksum": Rejection.CHECKSUM,
    "Bad digest": Rejection.DIGEST,
    "Bogus size": Rejection.SIZE,
    "(dropped by the kernel BPF filter": Rejection.OWN_ECHO,
    "(frame reaches ucarp with the tag": Rejection.SIZE,  # there is no IP header
}

#: Deliberate differences: VRRP shares the protocol number and the multicast group, and a
#: neighbour that speaks it does nothing wrong.  ucarp logs a warning for each of its packets.
DELIBERATE = {
    "version 3": Rejection.VRRP,
    "VRRPv2 same vrid": Rejection.VRRP,
    "VRRPv2 same vrid, 8 addrs (48 byte)": Rejection.VRRP,
}


class AcceptanceTests(SynchronousTestCase):
    """
    The verdicts of the real ucarp on its crafted frames.
    """

    def verdict(self, name: str) -> Rejection | None:
        """
        Return why a case is rejected by all checks together; C{None} if it is accepted.
        """
        try:
            advertisement = opened(CASES[name]())
        except Rejected as rejected:
            return rejected.reason
        authenticator = Authenticator(
            crafted.PASSWORD, crafted.VHID, [parseIPv4(crafted.ADDRESS)]
        )
        if not authenticator.verify(advertisement.counter, advertisement.digest):
            return Rejection.DIGEST
        return None

    def test_allThere(self) -> None:
        """
        Exactly the cases of the vectors are crafted here.
        """
        self.assertEqual({case["case"] for case in load("receive-acceptance")["cases"]}, {*CASES})

    def test_verdicts(self) -> None:
        """
        A frame is accepted exactly if ucarp accepted it. Otherwise it is rejected for the same
        reason, except for the deliberate differences.
        """
        for case in load("receive-acceptance")["cases"]:
            name = case["case"]
            verdict = self.verdict(name)
            self.assertEqual(verdict is None, case["accepted"], name)
            if verdict is None:
                continue
            log = case["log"][0]
            theirs = next(reason for words, reason in _REASONS.items() if words in log)
            self.assertIs(verdict, DELIBERATE.get(name, theirs), (name, log))


class UnwrapTests(SynchronousTestCase):
    """
    Tests for L{unwrap}.
    """

    def rejection(self, data: bytes) -> Rejection:
        return self.assertRaises(Rejected, opened, data).reason

    def test_fields(self) -> None:
        """
        A good packet of a second implementation is read.
        """
        advertisement = opened(packet(advbase=3, advskew=7, counter=99))
        self.assertEqual(
            (advertisement.advbase, advertisement.advskew, advertisement.counter), (3, 7, 99)
        )

    def test_options(self) -> None:
        """
        IP options are skipped.
        """
        self.assertEqual(opened(packet(options=b"\1" * 8, advskew=5)).advskew, 5)
        self.assertEqual(readPacket(packet(b"abc", options=b"\1" * 40)).payload, b"abc")

    def test_headerLength(self) -> None:
        """
        A header length below 20 bytes, or beyond the end of the packet, is rejected.
        """
        good = packet()
        self.assertEqual(len(readPacket(good).header), 20)
        long = b"\x4f" + good[1:]  # 60 of 56 bytes
        for data in (b"", good[:20], b"\x44" + good[1:], long):
            self.assertRaises(Rejected, readPacket, data)
            self.assertIs(self.rejection(data), Rejection.SIZE)

    def test_padding(self) -> None:
        """
        What follows an IP packet in its Ethernet frame does not belong to it.  A length that
        the packet cannot have, or that would cut an advertisement, says nothing.
        """
        for whole in (packet(), packet(options=b"\1" * 8), crafted.packet6()):
            for padding in (b"\0", b"x" * 30):
                self.assertEqual(readPacket(whole + padding), readPacket(whole))
        size = len(packet())
        for length in (0, 19, 20, size - 1, size + 1, 65535):
            self.assertEqual(readPacket(packet(length=length)).payload, crafted.payload())
        long = crafted.packet6()
        for length in (0, 35, 37, 65535):
            told = long[:4] + length.to_bytes(2) + long[6:]
            self.assertEqual(readPacket(told), readPacket(long))

    def test_order(self) -> None:
        """
        A packet with every fault is rejected for the first one. Each fault that is removed
        reveals the next, in the order of the enumeration.
        """
        faults = {
            "source": crafted.OWN,
            "protocol": 1,
            "ttl": 9,
            "version": 4,
            "vhid": 11,
            "destination": "224.0.0.19",
        }
        reasons = [
            Rejection.OWN_ECHO,
            Rejection.PROTOCOL,
            Rejection.TTL,
            Rejection.VERSION,
            Rejection.VHID,
            Rejection.DESTINATION,
            Rejection.CHECKSUM,
        ]
        listed = list(Rejection)
        self.assertEqual(reasons, sorted(reasons, key=listed.index))
        for reason in reasons:
            data = crafted.plusOne(packet(**faults), 26)  # type: ignore[arg-type]
            self.assertIs(self.rejection(data), reason)
            if faults:
                faults.pop(next(iter(faults)))

    def test_shortBeforeTTL(self) -> None:
        """
        The size is checked before the time to live.
        """
        self.assertIs(self.rejection(packet(crafted.payload()[:30], ttl=1)), Rejection.SIZE)

    def test_vrrp(self) -> None:
        """
        VRRP routers in the same multicast group are recognised, with few and with many addresses,
        whatever their number is. (With five to seven addresses they have the size and the
        checksum of a CARP advertisement; then the digest is wrong.)
        """
        for data in (
            packet(crafted.vrrp2(1)),
            packet(crafted.vrrp2(8)),
            packet(crafted.vrrp2(255)),
            packet(crafted.vrrp2(1)) + b"\0" * 6,  # in the smallest Ethernet frame
            packet(crafted.vrrp2(8)) + b"\0" * 4,  # with the checksum of the frame
            packet(crafted.vrrp2(1, authentication=38)),
            packet(crafted.vrrp2(7, authentication=38)) + b"\0" * 4,
            packet(bytes((0x31, 10, 100, 1, 0, 100, 0, 0)) + b"\n\0\0\1"),
            packet(bytes((0x31, 10, 100, 9, 0, 100, 0, 0)) + b"\n\0\0\1" * 9),
        ):
            self.assertIs(self.rejection(data), Rejection.VRRP)

    def test_details(self) -> None:
        """
        A rejection contains the offending value.
        """
        for data, detail in (
            (packet(ttl=9), "9"),
            (packet(vhid=11), "11"),
            (packet(protocol=17), "17"),
            (packet(destination="224.0.0.19"), "224.0.0.19"),
            (packet(b"x"), "1 bytes"),
        ):
            self.assertEqual(self.assertRaises(Rejected, opened, data).detail, detail)

    def test_fiveAddresses(self) -> None:
        """
        VRRP with five addresses is taken for an advertisement, whose digest is wrong.
        """
        advertisement = opened(packet(crafted.vrrp2(5)))
        self.assertEqual((advertisement.advbase, advertisement.advskew), (1, 100))

    def test_flippedBits(self) -> None:
        """
        No packet with one flipped bit is accepted: the checksum covers what the digest does not.
        """
        good = packet()
        for bit in range(len(good) * 8):
            data = bytearray(good)
            data[bit // 8] ^= 1 << bit % 8
            self.rejection(bytes(data))

    @given(st.binary(max_size=120))
    def test_anything(self, data: bytes) -> None:
        """
        Any bytes are rejected, and nothing but L{Rejected} is raised.
        """
        self.assertIsInstance(self.rejection(data), Rejection)

    @given(
        st.lists(st.tuples(st.integers(0, 55), st.integers(0, 255)), max_size=4),
        st.integers(0, 60),
    )
    def test_mutated(self, changes: list[tuple[int, int]], size: int) -> None:
        """
        A good packet that is changed and truncated is accepted only if its checksum is still
        correct.
        """
        data = bytearray(packet())
        for offset, value in changes:
            data[offset] = value
        try:
            opened(bytes(data[:size]))
        except Rejected:
            return
        self.assertEqual(crafted.checksum(bytes(data)), 0)
