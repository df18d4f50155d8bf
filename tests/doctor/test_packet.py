"""
Tests for L{txcarp.doctor.packet}.
"""

from __future__ import annotations

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.doctor.case import GROUP, OTHER, said
from txcarp.doctor.packet import (
    MOST_ECHOES,
    Echo,
    Kind,
    Seen,
    Signer,
    decode,
    encode,
    isTestPacket,
    vhidIn,
)
from txcarp.observer.sighting import look
from txcarp.observer.vrrp import decode as decodeVRRP
from txcarp.protocol import advertisement, ipv4
from txcarp.protocol.checksum import internetChecksum
from txcarp.protocol.envelope import Audience, readPacket, unwrap, wrap
from txcarp.protocol.rejection import Rejected, Rejection

SIGNER = Signer(b"secret", 7)

ECHO = Echo(b"87654321", Seen.MULTICAST | Seen.UNICAST, 2**40, 2**41)

PACKET = said(kind=Kind.UNICAST, clock=2**50, mtu=9000, settings=b"settings", echoes=(ECHO,))


class FormTests(SynchronousTestCase):
    """
    The bytes.
    """

    def test_both(self) -> None:
        """
        What is encoded is decoded, with any number of echoes and any size.
        """
        for count in range(MOST_ECHOES + 1):
            packet = attrs.evolve(PACKET, echoes=(ECHO,) * count)
            for size in (0, 100, 101, 1480):
                payload = encode(packet, SIGNER, OTHER, size)
                self.assertGreaterEqual(len(payload), size)
                self.assertTrue(isTestPacket(payload))
                self.assertEqual(vhidIn(payload), 7)
                self.assertEqual(decode(payload, SIGNER, OTHER), packet)
        self.assertEqual(len(encode(PACKET, SIGNER, OTHER, 1480)), 1480)

    def test_tooMany(self) -> None:
        """
        Echoes beyond the most are left out.
        """
        packet = attrs.evolve(PACKET, echoes=(ECHO,) * (MOST_ECHOES + 1))
        found = decode(encode(packet, SIGNER, OTHER), SIGNER, OTHER)
        self.assertEqual(len(found.echoes), MOST_ECHOES)

    def test_signed(self) -> None:
        """
        Without the password, for another group and from another address nothing is believed, and
        no byte can be changed.
        """
        payload = encode(PACKET, SIGNER, OTHER)
        for signer, source in (
            (Signer(b"another", 7), OTHER),
            (Signer(b"secret", 8), OTHER),
            (SIGNER, b"\x0a\x01\x01\x03"),
        ):
            self.assertRaises(Rejected, decode, payload, signer, source)
        for place in range(len(payload) - 2):
            if place in (6, 7):
                continue  # a checksum, which is there for other programs
            changed = bytearray(payload)
            changed[place] ^= 1
            self.assertRaises(Rejected, decode, bytes(changed), SIGNER, OTHER)

    def test_malformed(self) -> None:
        """
        A packet that is signed and malformed is refused as well.
        """
        payload = encode(PACKET, SIGNER, OTHER)
        for place, value in ((59, 200), (4, 77)):
            changed = bytearray(payload)
            changed[place] = value
            plain = bytearray(changed)
            plain[6:8], plain[16:36], plain[-2:] = bytes(2), bytes(20), bytes(2)
            changed[16:36] = SIGNER.digest(bytes(plain), OTHER)
            self.assertRaises(Rejected, decode, bytes(changed), SIGNER, OTHER)
        self.assertRaises(Rejected, decode, payload + b"\0", SIGNER, OTHER)

    def test_marks(self) -> None:
        """
        A mark differs with each part, with where a part ends, and with the password.
        """
        marks = {
            SIGNER.mark([b"a", b"bc"]),
            SIGNER.mark([b"ab", b"c"]),
            SIGNER.mark([b"a", b"bd"]),
            Signer(b"another", 7).mark([b"a", b"bc"]),
        }
        self.assertEqual(len(marks), 4)
        self.assertEqual({len(mark) for mark in marks}, {8})

    @given(st.binary(max_size=200))
    def test_anything(self, payload: bytes) -> None:
        """
        Nothing but a refusal comes of other bytes.
        """
        beginning = encode(PACKET, SIGNER, OTHER)[:6]
        for one in (payload, beginning + payload):
            if isTestPacket(one):
                self.assertRaises(Rejected, decode, one, SIGNER, OTHER)


class HarmlessTests(SynchronousTestCase):
    """
    No other program does anything with a test packet.
    """

    def setUp(self) -> None:
        self.payload = encode(PACKET, SIGNER, OTHER, 300)

    def test_checksums(self) -> None:
        """
        The checksum is right over the first 36 bytes and over everything: no kernel complains.
        """
        self.assertEqual(internetChecksum(self.payload[: advertisement.SIZE]), 0)
        self.assertEqual(internetChecksum(self.payload), 0)

    def test_carp(self) -> None:
        """
        For txcarp and ucarp it is good CARP of another virtual host, whatever the own one is.
        """
        packet = readPacket(wrap(self.payload, OTHER, ipv4.GROUP, 1))
        for vhid in range(1, 256):
            audience = Audience(vhid, b"\x0a\x01\x01\x01", ipv4.GROUP)
            refused = self.assertRaises(Rejected, unwrap, packet, audience)
            self.assertIs(refused.reason, Rejection.VHID)
        self.assertIs(self.assertRaises(Rejected, look, packet).reason, Rejection.VHID)

    def test_vrrp(self) -> None:
        """
        It is no advertisement of VRRP.
        """
        self.assertFalse(advertisement.looksLikeVRRP(self.payload))
        self.assertRaises(Rejected, decodeVRRP, self.payload, 4)

    def test_advertisement(self) -> None:
        """
        No advertisement is taken for a test packet.
        """
        found = advertisement.Advertisement(GROUP.vhid, 1, 0, 5, bytes(20))
        payload = advertisement.encode(found)
        self.assertFalse(isTestPacket(payload + bytes(100)))
        self.assertEqual((vhidIn(payload), vhidIn(b""), vhidIn(b"!")), (GROUP.vhid, 0, 0))
