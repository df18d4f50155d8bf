"""
C17: digests, headers and checksums that the BSD kernels and ucarp make of given values. They were
worked out and written down independently of this program.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs
from twisted.trial.unittest import SynchronousTestCase

from tests import crafted
from tests.crafted import packed
from txcarp.protocol.advertisement import Advertisement, decode, encode
from txcarp.protocol.authentication import CURRENT, MAXIMUM_PASSWORD, Authenticator, Keyring
from txcarp.protocol.dialect import DIALECTS, FREEBSD, OPENBSD, UCARP, Dialect
from txcarp.protocol.envelope import Audience, readPacket, unwrap, wrap
from txcarp.protocol.rejection import Rejected, Rejection

_C = 0x0123456789ABCDEF
_GOAT = b"mekmitasdigoat"
_LINK_LOCAL = "fe80::200:5eff:fe00:101"
_MIXED = ("192.168.1.10", "2001:db8::1")


@attrs.frozen
class Golden:
    """
    The digest for some values.

    @ivar hardware: The hardware address of an OpenBSD interface, if it was set by hand.
    """

    name: str
    password: bytes
    vhid: int
    addresses: Sequence[str]
    counter: int
    digest: str
    hardware: bytes = b""


#: The digest of A4, and of A7, which leaves the link-local address out.
_WITHOUT_LINK_LOCAL = "14cfccd965c6de6c5cea5b733e3844068c1d4365"
_WITH_LINK_LOCAL = "225c727345b2220c7b988e1a07d952bf1a5960af"

GOLDEN = (
    Golden(
        "A1", b"s3cret", 7, ["10.77.0.100"], _C, "7c8fddfae8bf27a215acdea15d38a41a5e073edd"
    ),
    Golden("A2", b"", 1, ["192.0.2.1"], 1, "d82c3cfde0ce97846dffaa2e3f83079962834367"),
    Golden(
        "A3",
        _GOAT,
        1,
        ["192.168.1.10", "192.168.1.9", "10.0.0.1"],
        _C,
        "87891abb7020478301c3a9caf6d931e989857969",
    ),
    Golden("A4", _GOAT, 1, _MIXED, _C, _WITHOUT_LINK_LOCAL),
    Golden(
        "A5",
        _GOAT,
        1,
        ["2001:db8::2", "2001:db8::1", "fd00::5"],
        _C,
        "cc814aa519616791a470dc57303c44a154142688",
    ),
    Golden("A6", _GOAT, 1, [*_MIXED, _LINK_LOCAL], _C, _WITH_LINK_LOCAL),
    Golden(
        "A8",
        _GOAT,
        1,
        ["192.168.1.10"],
        _C,
        "2e771ddf3130d855dad451e43a092cd3d64e0a0f",
        hardware=bytes.fromhex("02000000002a"),
    ),
    Golden(
        "A9",
        b"nineteencharacters!extra"[:MAXIMUM_PASSWORD],
        255,
        ["192.0.2.1"],
        2**64 - 1,
        "002d0f985715e15bb5a86d6bffecddf935e764fd",
    ),
    Golden("A10", _GOAT, 1, ["2001:db8::1"], _C, "b335c1d7f0646c1503cc05f9d461e7a11c5e1bab"),
)

#: Complete headers: password, vhid, address, advbase, advskew, counter, bytes.
HEADERS = {
    "base 1, skew 100": (
        (_GOAT, 1, "192.168.1.10", 1, 100, _C),
        "210164070001ecc70123456789abcdef4a56e25fb9b79c9940542d9b83e21d4eaf46ae9a",
    ),
    "bow-out": (
        (_GOAT, 1, "192.168.1.10", 255, 255, _C),
        "2101ff0700ff50c90123456789abcdef4a56e25fb9b79c9940542d9b83e21d4eaf46ae9a",
    ),
    "A10, plain checksum": (
        (_GOAT, 1, "2001:db8::1", 1, 100, _C),
        "2101640700010d770123456789abcdefb335c1d7f0646c1503cc05f9d461e7a11c5e1bab",
    ),
    "a real ucarp": (
        (b"s3cret", 7, "10.77.0.100", 1, 10, 0x232DE2A49B70939A),
        "21070a07000121a7232de2a49b70939aa0504f02a4a9c929fff19e9b03920e23c1fcaf06",
    ),
}


def keyring(golden: Golden, dialect: Dialect) -> Keyring:
    """
    Return the keyring of a host in that group.
    """
    return Keyring(
        golden.vhid,
        dialect,
        golden.password,
        map(packed, golden.addresses),
        hardware=golden.hardware,
    )


class DigestTests(SynchronousTestCase):
    """
    A1 to A10.
    """

    def orders(self, addresses: Sequence[str]) -> Iterable[list[bytes]]:
        """
        Yield the same addresses in other orders, and with duplicates.
        """
        binary = [packed(address) for address in addresses]
        yield binary
        yield binary[::-1]
        yield binary * 2

    def test_authenticator(self) -> None:
        """
        Each digest is the one that is signed and verified, whatever the order of the addresses.
        """
        for golden in GOLDEN:
            for addresses in self.orders(golden.addresses):
                authenticator = Authenticator(
                    golden.password, golden.vhid, addresses, golden.hardware
                )
                self.assertEqual(
                    authenticator.sign(golden.counter).hex(), golden.digest, golden.name
                )
                self.assertTrue(
                    authenticator.verify(golden.counter, bytes.fromhex(golden.digest))
                )

    def test_secondImplementation(self) -> None:
        """
        The second implementation, which other tests use, gives the same digests.
        """
        for golden in GOLDEN:
            digest = crafted.digest(
                golden.counter,
                golden.password,
                golden.vhid,
                *golden.addresses,
                hardware=golden.hardware,
            )
            self.assertEqual(digest.hex(), golden.digest, golden.name)

    def test_keyring(self) -> None:
        """
        Without link-local addresses, all dialects sign the same digest.
        """
        for golden in GOLDEN:
            if _LINK_LOCAL in golden.addresses:
                continue
            for dialect in DIALECTS.values():
                keys = keyring(golden, dialect)
                digest = keys.forms[0].authenticator.sign(golden.counter)
                self.assertEqual(digest.hex(), golden.digest, golden.name)
                self.assertEqual(
                    keys.recognise(golden.counter, bytes.fromhex(golden.digest)), CURRENT
                )

    def test_linkLocal(self) -> None:
        """
        A6 and A7: FreeBSD signs link-local addresses. OpenBSD signs without them, and accepts
        both digests.
        """
        a6 = next(golden for golden in GOLDEN if golden.name == "A6")
        without, within = map(bytes.fromhex, (_WITHOUT_LINK_LOCAL, _WITH_LINK_LOCAL))
        for dialect in (UCARP, FREEBSD):
            keys = keyring(a6, dialect)
            self.assertEqual(keys.forms[0].authenticator.sign(_C), within)
            self.assertEqual(keys.recognise(_C, within), CURRENT)
            self.assertIsNone(keys.recognise(_C, without))
        keys = keyring(a6, OPENBSD)
        self.assertEqual(keys.forms[0].authenticator.sign(_C), without)
        self.assertEqual(keys.recognise(_C, without), CURRENT)
        self.assertEqual(keys.recognise(_C, within), CURRENT)


class HeaderTests(SynchronousTestCase):
    """
    All 36 bytes.
    """

    def test_encode(self) -> None:
        """
        They are encoded byte by byte.
        """
        for name, (values, expected) in HEADERS.items():
            password, vhid, address, advbase, advskew, counter = values
            digest = Authenticator(password, vhid, [packed(address)]).sign(counter)
            written = encode(Advertisement(vhid, advbase, advskew, counter, digest))
            self.assertEqual(written.hex(), expected, name)

    def test_decode(self) -> None:
        """
        They are decoded from a packet of their family, and the digest verifies.
        """
        for name, (values, text) in HEADERS.items():
            password, vhid, address, advbase, advskew, counter = values
            body = bytes.fromhex(text)
            if ":" in address:
                data = crafted.packet6(body)
                audience = Audience(vhid, packed(crafted.OWN6), packed(crafted.GROUP6))
            else:
                data = crafted.packet(body)
                audience = Audience(vhid, packed(crafted.OWN), packed(crafted.GROUP))
            read = unwrap(readPacket(data), audience)
            self.assertEqual(
                (read.vhid, read.advbase, read.advskew, read.counter, read.demotion),
                (vhid, advbase, advskew, counter, 0),
                name,
            )
            self.assertTrue(
                Authenticator(password, vhid, [packed(address)]).verify(counter, read.digest)
            )

    def test_bowOut(self) -> None:
        """
        The digest of a bow-out is that of any other advertisement with its counter, because it
        does not cover the timing.
        """
        first, last = (bytes.fromhex(HEADERS[name][1]) for name in ("base 1, skew 100", "bow-out"))
        self.assertEqual(first[8:], last[8:])
        self.assertTrue(decode(last).isBowOut)
        self.assertFalse(decode(first).isBowOut)


class IPv6ChecksumTests(SynchronousTestCase):
    """
    FreeBSD and OpenBSD sum the 36 bytes. Newer NetBSD also sums the pseudo-header.
    """

    _SOURCE, _GROUP = packed("fe80::1"), packed("ff02::12")
    _AUDIENCE = Audience(1, packed("fe80::2"), _GROUP)

    def body(self, checksum: str) -> bytes:
        """
        Return the advertisement of A10 with this checksum.
        """
        body = bytes.fromhex(HEADERS["A10, plain checksum"][1])
        return body[:6] + bytes.fromhex(checksum) + body[8:]

    def test_both(self) -> None:
        """
        Both are accepted, and decode to the same fields.
        """
        plain, pseudo = (
            unwrap(readPacket(crafted.packet6(self.body(checksum))), self._AUDIENCE)
            for checksum in ("0d77", "0f4c")
        )
        self.assertEqual(plain, pseudo)
        self.assertEqual((plain.advbase, plain.advskew, plain.counter), (1, 100, _C))

    def test_noOther(self) -> None:
        """
        No other checksum is accepted, not even that over the pseudo-header of other addresses.
        """
        for checksum in ("0d76", "0d78", "0f4b", "0f4d", "0000", "ffff"):
            data = crafted.packet6(self.body(checksum))
            error = self.assertRaises(Rejected, unwrap, readPacket(data), self._AUDIENCE)
            self.assertIs(error.reason, Rejection.CHECKSUM)
        data = crafted.packet6(self.body("0f4c"), source="fe80::3")
        error = self.assertRaises(Rejected, unwrap, readPacket(data), self._AUDIENCE)
        self.assertIs(error.reason, Rejection.CHECKSUM)

    def test_secondImplementation(self) -> None:
        """
        The crafted packets of other tests have these checksums.
        """
        fields = {"vhid": 1, "advbase": 1, "advskew": 100, "counter": _C, "password": _GOAT}
        addresses = ["2001:db8::1"]
        for pseudo, checksum in ((False, "0d77"), (True, "0f4c")):
            data = crafted.packet6(pseudo=pseudo, addresses=addresses, **fields)  # type: ignore[arg-type]
            self.assertEqual(data[40:], self.body(checksum))

    def test_sent(self) -> None:
        """
        The checksum without a pseudo-header is sent, in a packet as the kernels build it: no
        traffic class, no flow label, no extension header, hop limit 255.
        """
        advertisement = decode(self.body("0d77"))
        data = wrap(encode(advertisement), self._SOURCE, self._GROUP, 0x1234)
        self.assertEqual(
            data.hex(),
            "60000000" + "0024" + "70" + "ff" + self._SOURCE.hex() + self._GROUP.hex()
            + self.body("0d77").hex(),
        )
        self.assertEqual(data, crafted.packet6(self.body("0d77")))
        self.assertEqual(readPacket(data).payload, self.body("0d77"))
