"""
C18: everything that can be wrong with a packet, in both families, is rejected for a reason of its
own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests import crafted
from tests.crafted import packed
from txcarp.protocol.authentication import Keyring
from txcarp.protocol.dialect import UCARP
from txcarp.protocol.envelope import Audience, readPacket, unwrap, wrap
from txcarp.protocol.family import Family, familyOf, isLinkLocal, isMulticast
from txcarp.protocol.rejection import Rejected, Rejection

_KEYRING = Keyring(crafted.VHID, UCARP, crafted.PASSWORD, [packed(crafted.ADDRESS)])

#: A peer that sends unicast, by family.
_LISTED = {Family.IPV4: "192.0.2.224", Family.IPV6: "2001:db8::224"}

_AUDIENCES = {
    Family.IPV4: Audience(
        crafted.VHID,
        packed(crafted.OWN),
        packed(crafted.GROUP),
        frozenset([packed(_LISTED[Family.IPV4])]),
    ),
    Family.IPV6: Audience(
        crafted.VHID,
        packed(crafted.OWN6),
        packed(crafted.GROUP6),
        frozenset([packed(_LISTED[Family.IPV6])]),
    ),
}

_OWN = {Family.IPV4: crafted.OWN, Family.IPV6: crafted.OWN6}
_OTHER_GROUP = {Family.IPV4: "224.0.0.19", Family.IPV6: "ff02::13"}
_CHECKSUM_AT = {Family.IPV4: 26, Family.IPV6: 46}


def make(family: Family, *, hops: int = 255, **more: Any) -> bytes:
    """
    Return a packet of a family.
    """
    if family is Family.IPV6:
        return crafted.packet6(hops=hops, **more)
    return crafted.packet(ttl=hops, **more)


def verdict(data: bytes, family: Family) -> Rejection | None:
    """
    Return why a host rejects a packet in a family; C{None} if it is accepted.
    """
    try:
        advertisement = unwrap(readPacket(data), _AUDIENCES[family])
        if _KEYRING.recognise(advertisement.counter, advertisement.digest) is None:
            raise Rejected(Rejection.DIGEST)
    except Rejected as rejected:
        return rejected.reason
    return None


Maker = Callable[[Family], bytes]

#: One packet for each fault that does not depend on earlier packets.
FAULTS: dict[str, tuple[Rejection | None, Maker]] = {
    "good": (None, make),
    "own source": (Rejection.OWN_ECHO, lambda family: make(family, source=_OWN[family])),
    "protocol 17": (Rejection.PROTOCOL, lambda family: make(family, protocol=17)),
    "protocol 0, extension header": (
        Rejection.PROTOCOL,
        lambda family: make(family, protocol=0),
    ),
    "no payload": (Rejection.SIZE, lambda family: make(family, body=b"")),
    "35 bytes": (Rejection.SIZE, lambda family: make(family, body=crafted.payload()[:35])),
    "cut in the header": (Rejection.SIZE, lambda family: make(family)[:19]),
    "hop limit 254": (Rejection.TTL, lambda family: make(family, hops=254)),
    "hop limit 0": (Rejection.TTL, lambda family: make(family, hops=0)),
    "version 1": (Rejection.VERSION, lambda family: make(family, version=1)),
    "version 4": (Rejection.VERSION, lambda family: make(family, version=4)),
    "version 3": (Rejection.VRRP, lambda family: make(family, version=3)),
    "VRRP version 2, short": (
        Rejection.VRRP,
        lambda family: make(family, body=crafted.vrrp2(1)),
    ),
    "VRRP version 2, long": (
        Rejection.VRRP,
        lambda family: make(family, body=crafted.vrrp2(9)),
    ),
    "vhid 11": (Rejection.VHID, lambda family: make(family, vhid=11)),
    "another group": (
        Rejection.DESTINATION,
        lambda family: make(family, destination=_OTHER_GROUP[family]),
    ),
    "to this host alone": (None, lambda family: make(family, destination=_OWN[family])),
    "checksum": (
        Rejection.CHECKSUM,
        lambda family: crafted.plusOne(make(family), _CHECKSUM_AT[family]),
    ),
    "digest": (Rejection.DIGEST, lambda family: make(family, badDigest=True)),
    "password": (Rejection.DIGEST, lambda family: make(family, password=b"other")),
    "addresses": (
        Rejection.DIGEST,
        lambda family: make(family, addresses=[crafted.ADDRESS, crafted.ADDRESS6]),
    ),
    "more bytes": (None, lambda family: make(family) + b"0123456789"),
    "type and authlen": (None, lambda family: make(family, kind=9, authlen=0)),
    "demotion": (None, lambda family: make(family, demotion=200)),
}


class FaultTests(SynchronousTestCase):
    """
    Each fault is reported.
    """

    def test_each(self) -> None:
        """
        In both families, each fault is rejected for its own reason.
        """
        for family in Family:
            for name, (expected, maker) in FAULTS.items():
                self.assertIs(verdict(maker(family), family), expected, (family, name))

    def test_complete(self) -> None:
        """
        The faults cover every reason that does not depend on earlier packets.
        """
        needHistory = {
            Rejection.OWN_SOURCE,
            Rejection.DUPLICATE,
            Rejection.BEHIND,
            Rejection.REPLAY,
            Rejection.UNSEALED,
        }
        named = {reason for reason, _ in FAULTS.values() if reason is not None}
        self.assertEqual(named, set(Rejection) - needHistory)

    def test_length(self) -> None:
        """
        The length field of the header is ignored in both families.
        """
        for family in Family:
            for length in (0, 20, 1500):
                self.assertIsNone(verdict(make(family, length=length), family))

    def test_ignored6(self) -> None:
        """
        The traffic class and the flow label are ignored: FreeBSD sets DSCP 56.
        """
        self.assertIsNone(verdict(crafted.packet6(flow=0xE0 << 20), Family.IPV6))
        self.assertIsNone(verdict(crafted.packet6(flow=0xFFFFF), Family.IPV6))

    def test_details(self) -> None:
        """
        A rejection contains the offending value.
        """
        for data, detail in (
            (crafted.packet6(hops=9), "9"),
            (crafted.packet6(vhid=11), "11"),
            (crafted.packet6(protocol=0), "0"),
            (crafted.packet6(version=1), "1"),
            (crafted.packet6(b"x"), "1 bytes"),
            (crafted.packet6(destination="ff02::13"), "ff02:0000:0000:0000:0000:0000:0000:0013"),
            (crafted.packet6()[:39], "39 bytes"),
        ):
            with self.assertRaises(Rejected) as raised:
                unwrap(readPacket(data), _AUDIENCES[Family.IPV6])
            error = raised.exception
            self.assertEqual(error.detail, detail)
            self.assertIn(detail, str(error))

    def test_order6(self) -> None:
        """
        A packet with every fault is rejected for the first one. Each fault that is removed
        reveals the next.
        """
        faults: dict[str, Any] = {
            "source": crafted.OWN6,
            "protocol": 1,
            "hops": 9,
            "version": 4,
            "vhid": 11,
            "destination": "ff02::13",
        }
        for reason in (
            Rejection.OWN_ECHO,
            Rejection.PROTOCOL,
            Rejection.TTL,
            Rejection.VERSION,
            Rejection.VHID,
            Rejection.DESTINATION,
            Rejection.CHECKSUM,
        ):
            data = crafted.plusOne(crafted.packet6(**faults), 46)
            self.assertIs(verdict(data, Family.IPV6), reason)
            if faults:
                faults.pop(next(iter(faults)))

    def test_flippedBits6(self) -> None:
        """
        A flipped bit in the advertisement is found by the checksum, or by an earlier check. In
        the header it is found where the header is checked.
        """
        good = crafted.packet6()
        # Class, label, length; source.  With the last ones the destination is no multicast group,
        # and the kernel delivers only what is for this host.
        ignored = {*range(4, 48), *range(64, 192), *range(192, 200)}
        for bit in range(len(good) * 8):
            data = bytearray(good)
            data[bit // 8] ^= 0x80 >> bit % 8
            found = verdict(bytes(data), Family.IPV6)
            if bit in ignored:
                self.assertIsNone(found, bit)
            else:
                self.assertIsNotNone(found, bit)

    def test_sourceUnknown(self) -> None:
        """
        A host that does not know its own address yet takes no packet for an echo.
        """
        for family in Family:
            audience = _AUDIENCES[family]
            unknown = Audience(audience.vhid, b"", audience.group)
            self.assertEqual(unwrap(readPacket(make(family)), unknown).vhid, crafted.VHID)


class PeerTests(SynchronousTestCase):
    """
    A listed peer may be behind a router.  All hosts may send unicast.
    """

    def test_listed(self) -> None:
        """
        A listed peer is accepted with any hop limit, in unicast and in multicast.
        """
        for family in Family:
            for hops in (1, 63, 254, 255):
                for destination in (
                    _OWN[family],
                    crafted.GROUP if family is Family.IPV4 else crafted.GROUP6,
                ):
                    data = make(
                        family, source=_LISTED[family], hops=hops, destination=destination
                    )
                    self.assertIsNone(verdict(data, family), (family, hops, destination))

    def test_followed(self) -> None:
        """
        A followed peer may send unicast. It was heard on this link, so it may not be behind a
        router.
        """
        for family, audience in _AUDIENCES.items():
            own = attrs.evolve(audience, peers=(), followed=audience.peers)
            group = crafted.GROUP if family is Family.IPV4 else crafted.GROUP6
            for destination in (_OWN[family], group):
                fields = {"source": _LISTED[family], "destination": destination}
                unwrap(readPacket(make(family, **fields)), own)
                far = make(family, hops=254, **fields)
                rejected = self.assertRaises(Rejected, unwrap, readPacket(far), own)
                self.assertIs(rejected.reason, Rejection.TTL)

    def test_others(self) -> None:
        """
        Other hosts may not be behind a router, even if their address is next to that of a listed
        peer.  On this link they may send unicast: kernels do so from the first address of their
        interface, whichever is listed.
        """
        for family, other in (
            (Family.IPV4, "192.0.2.225"),
            (Family.IPV6, "2001:db8::225"),
        ):
            self.assertIs(verdict(make(family, source=other, hops=254), family), Rejection.TTL)
            data = make(family, source=other, destination=_OWN[family])
            self.assertIsNone(verdict(data, family))
            self.assertFalse(_AUDIENCES[family].knows(readPacket(data).source))
            self.assertIsNone(verdict(make(family, source=other), family))

    def test_otherGroup(self) -> None:
        """
        Packets to another multicast group are rejected even from a listed peer.
        """
        for family in Family:
            data = make(family, source=_LISTED[family], destination=_OTHER_GROUP[family])
            self.assertIs(verdict(data, family), Rejection.DESTINATION)

    def test_everythingElse(self) -> None:
        """
        All other checks apply to a listed peer, too.
        """
        for family in Family:
            source = _LISTED[family]
            for expected, fields in (
                (Rejection.PROTOCOL, {"protocol": 1}),
                (Rejection.VERSION, {"version": 1}),
                (Rejection.VHID, {"vhid": 11}),
                (Rejection.SIZE, {"body": b""}),
                (Rejection.DIGEST, {"badDigest": True}),
            ):
                data = make(family, source=source, destination=_OWN[family], hops=60, **fields)
                self.assertIs(verdict(data, family), expected)

    def test_ownListed(self) -> None:
        """
        A host that lists itself rejects its own advertisements.
        """
        for family in Family:
            own = packed(_OWN[family])
            audience = Audience(crafted.VHID, own, _AUDIENCES[family].group, [own])
            error = self.assertRaises(
                Rejected, unwrap, readPacket(make(family, source=_OWN[family])), audience
            )
            self.assertIs(error.reason, Rejection.OWN_ECHO)


class HeaderTests(SynchronousTestCase):
    """
    Tests for the functions of L{txcarp.protocol.envelope} and L{txcarp.protocol.family}.
    """

    def test_fields(self) -> None:
        """
        All fields are read from a header of either family.
        """
        for family, source, destination in (
            (Family.IPV4, "192.0.2.7", "192.0.2.9"),
            (Family.IPV6, "2001:db8::7", "2001:db8::9"),
        ):
            data = make(family, source=source, destination=destination, hops=77)
            read = readPacket(data)
            self.assertEqual(read.source, packed(source))
            self.assertEqual(read.destination, packed(destination))
            self.assertEqual(read.hops, 77)
            self.assertIs(read.family, family)
            self.assertIs(familyOf(read.source), family)
            self.assertEqual(read.payload, crafted.payload())

    def test_headerLength6(self) -> None:
        """
        An incomplete header is rejected.
        """
        data = crafted.packet6()
        self.assertEqual(readPacket(data).payload, data[40:])
        self.assertEqual(readPacket(data[:40]).payload, b"")
        self.assertRaises(Rejected, readPacket, data[:39])

    @given(
        st.sampled_from(
            [
                (crafted.PEER, crafted.GROUP),
                (crafted.PEER, crafted.OWN),
                (crafted.PEER6, crafted.GROUP6),
            ]
        ),
        st.binary(min_size=36, max_size=36),
        st.integers(0, 65535),
    )
    def test_wrap(self, ends: tuple[str, str], body: bytes, identification: int) -> None:
        """
        Any payload is wrapped into a packet of the family of the addresses. The bytes are those
        of a second implementation.
        """
        source, destination = ends
        if ":" in source:
            expected = crafted.packet6(body, source=source, destination=destination)
        else:
            expected = crafted.packet(
                body, source=source, destination=destination, identification=identification
            )
        self.assertEqual(
            wrap(body, packed(source), packed(destination), identification), expected
        )

    def test_kinds(self) -> None:
        """
        Multicast and link-local addresses are recognised by their first bits.
        """
        for text, multicast, linkLocal in (
            ("223.255.255.255", False, False),
            ("224.0.0.0", True, False),
            ("239.255.255.255", True, False),
            ("240.0.0.0", False, False),
            ("254.128.0.1", False, False),
            ("ff02::12", True, False),
            ("feff::1", False, False),
            ("fe7f::1", False, False),
            ("fe80::1", False, True),
            ("febf:ffff::1", False, True),
            ("fec0::1", False, False),
            ("fd80::1", False, False),
        ):
            self.assertIs(isMulticast(packed(text)), multicast, text)
            self.assertIs(isLinkLocal(packed(text)), linkLocal, text)
