"""
Tests for L{txcarp.protocol.advertisement}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests import crafted
from tests.vectors import load
from txcarp.protocol.advertisement import (
    SIZE,
    Advertisement,
    decode,
    encode,
    looksLikeVRRP,
)
from txcarp.protocol.checksum import internetChecksum
from txcarp.protocol.rejection import Rejected, Rejection

_BYTES = st.integers(0, 255)

ADVERTISEMENTS = st.builds(
    Advertisement,
    vhid=_BYTES,
    advbase=_BYTES,
    advskew=_BYTES,
    counter=st.integers(0, 2**64 - 1),
    digest=st.binary(min_size=20, max_size=20),
    demotion=_BYTES,
)


class VectorTests(SynchronousTestCase):
    """
    Advertisements that the real ucarp sent.
    """

    def test_there(self) -> None:
        """
        The vectors are not empty.
        """
        self.assertGreater(len(load("advertisements")["vectors"]), 200)

    def test_decode(self) -> None:
        """
        Every field is decoded as ucarp was configured.
        """
        for vector in load("advertisements")["vectors"]:
            self.assertEqual(
                decode(bytes.fromhex(vector["packet_hex"])[34:]),
                Advertisement(
                    vhid=vector["vhid"],
                    advbase=vector["advbase"],
                    advskew=vector["advskew"],
                    counter=int(vector["counter_hex"], 16),
                    digest=bytes.fromhex(vector["hmac_hex"]),
                ),
                vector["name"],
            )

    def test_encode(self) -> None:
        """
        Encoding the decoded fields gives the same bytes, including the checksum.
        """
        for vector in load("advertisements")["vectors"]:
            payload = bytes.fromhex(vector["packet_hex"])[34:]
            self.assertEqual(encode(decode(payload)), payload, vector["name"])


class DecodeTests(SynchronousTestCase):
    """
    Tests for L{decode} and L{encode}.
    """

    @given(ADVERTISEMENTS)
    def test_inverse(self, advertisement: Advertisement) -> None:
        """
        An encoded advertisement has the right size and a correct checksum, and decodes to the
        same fields.
        """
        payload = encode(advertisement)
        self.assertEqual(len(payload), SIZE)
        self.assertEqual(internetChecksum(payload), 0)
        self.assertEqual(decode(payload), advertisement)

    def test_layout(self) -> None:
        """
        Each field is at the offset that the table gives. The bytes come from a second
        implementation.
        """
        payload = crafted.payload(advbase=3, advskew=200, counter=2**63 + 9, demotion=4)
        advertisement = decode(payload)
        self.assertEqual(
            attributes(advertisement),
            (crafted.VHID, 3, 200, 2**63 + 9, payload[16:], 4),
        )
        self.assertEqual(encode(advertisement), payload)

    def test_tooShort(self) -> None:
        """
        35 bytes are rejected, and the text gives their number.
        """
        error = self.assertRaises(Rejected, decode, crafted.payload()[:35])
        self.assertIs(error.reason, Rejection.SIZE)
        self.assertIn("35", str(error))

    def test_moreBytes(self) -> None:
        """
        Bytes after the 36th are ignored.
        """
        self.assertEqual(
            decode(crafted.payload() + b"0123456789"), decode(crafted.payload())
        )

    def test_version(self) -> None:
        """
        Only version 2 is accepted.
        """
        for version in {*range(16)} - {2}:
            error = self.assertRaises(Rejected, decode, crafted.payload(version=version))
            self.assertIs(error.reason, Rejection.VERSION)
            self.assertEqual(error.detail, str(version))

    def test_ignored(self) -> None:
        """
        Type and authlen are ignored.
        """
        good = decode(crafted.payload())
        for other in (crafted.payload(kind=0), crafted.payload(authlen=255)):
            self.assertEqual(decode(other), good)

    @given(st.binary(max_size=80))
    def test_anything(self, data: bytes) -> None:
        """
        Any bytes are decoded or rejected.
        """
        try:
            advertisement = decode(data)
        except Rejected:
            return
        self.assertEqual(advertisement.digest, data[16:36])

    def test_bowOut(self) -> None:
        """
        Only 255 in both fields is a bow-out.
        """
        for advbase, advskew, expected in ((255, 255, True), (255, 0, False), (1, 255, False)):
            payload = crafted.payload(advbase=advbase, advskew=advskew)
            self.assertIs(decode(payload).isBowOut, expected)

    def test_repr(self) -> None:
        """
        The representation shows the digest in hexadecimal.
        """
        advertisement = decode(crafted.payload())
        self.assertIn(advertisement.digest.hex(), repr(advertisement))


def attributes(advertisement: Advertisement) -> tuple[object, ...]:
    """
    Return the fields in the order of the class.
    """
    return (
        advertisement.vhid,
        advertisement.advbase,
        advertisement.advskew,
        advertisement.counter,
        advertisement.digest,
        advertisement.demotion,
    )


class LooksLikeVRRPTests(SynchronousTestCase):
    """
    Tests for L{looksLikeVRRP}.
    """

    def test_version2(self) -> None:
        """
        Version 2 is recognised by its length, with any number of addresses.
        """
        for addresses in (0, 1, 5, 8, 255):
            self.assertTrue(looksLikeVRRP(crafted.vrrp2(addresses)))
        self.assertFalse(looksLikeVRRP(crafted.vrrp2(1) + b"\0"))

    def test_cisco(self) -> None:
        """
        The authentication data can have 30 bytes more.
        """
        for addresses in (1, 5, 7, 20):
            self.assertTrue(looksLikeVRRP(crafted.vrrp2(addresses, authentication=38)))
            self.assertFalse(looksLikeVRRP(crafted.vrrp2(addresses, authentication=37)))

    def test_version3(self) -> None:
        """
        Version 3 is recognised by its version.
        """
        self.assertTrue(looksLikeVRRP(bytes((0x31, 10, 100, 1, 0, 100, 0, 0))))

    def test_advertisement(self) -> None:
        """
        No CARP advertisement is taken for VRRP, even if it is truncated.
        """
        for size in range(SIZE + 1):
            self.assertFalse(looksLikeVRRP(crafted.payload()[:size]))
        for vector in load("advertisements")["vectors"]:
            self.assertFalse(looksLikeVRRP(bytes.fromhex(vector["packet_hex"])[34:]))
