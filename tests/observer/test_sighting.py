"""
Tests of L{txcarp.observer.sighting}, and of the ranking of claims.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests import crafted
from tests.crafted import packed
from tests.observer.air import vrrp
from tests.vectors import load
from txcarp.observer.group import advantage
from txcarp.observer.reports import Cause
from txcarp.observer.sighting import CARPClaim, Protocol, Sighting, look
from txcarp.observer.vrrp import VRRPClaim
from txcarp.protocol.envelope import readPacket
from txcarp.protocol.family import Family, familyOf
from txcarp.protocol.rejection import Rejected, Rejection
from txcarp.protocol.timing import Timing


def seenIn(data: bytes) -> Sighting:
    """
    What an observer reads in a packet.
    """
    return look(readPacket(data))


class LookTests(SynchronousTestCase):
    """
    Tests of L{look}.
    """

    def refused(self, packet: bytes, reason: Rejection) -> None:
        with self.assertRaises(Rejected) as caught:
            seenIn(packet)
        self.assertIs(caught.exception.reason, reason)

    def test_ucarp(self) -> None:
        """
        Packets of the real ucarp are read correctly.
        """
        vectors = load("advertisements")["vectors"]
        self.assertGreater(len(vectors), 200)
        for vector in vectors:
            seen = seenIn(bytes.fromhex(vector["packet_hex"])[14:])
            self.assertEqual((seen.protocol, seen.vhid), (Protocol.CARP, vector["vhid"]))
            self.assertEqual(
                seen.claim, CARPClaim(Timing(vector["advbase"], vector["advskew"])), vector["name"]
            )
            self.assertEqual(seen.counter, int(vector["counter_hex"], 16))

    def test_carp(self) -> None:
        """
        A sighting contains everything that a CARP packet says.
        """
        body = crafted.payload(vhid=3, advbase=2, advskew=9, counter=77, demotion=8)
        self.assertEqual(
            seenIn(crafted.packet(body)),
            Sighting(
                protocol=Protocol.CARP,
                vhid=3,
                source=packed(crafted.PEER),
                destination=packed(crafted.GROUP),
                claim=CARPClaim(Timing(2, 9), 8),
                leaving=False,
                counter=77,
                digest=body[16:36],
            ),
        )

    def test_carpIPv6(self) -> None:
        """
        Over IPv6 the checksum may cover a pseudo-header, as in NetBSD.
        """
        body = crafted.payload()
        seen = seenIn(crafted.packet6(body))
        self.assertEqual((familyOf(seen.source), seen.source), (Family.IPV6, packed("fe80::1")))
        pseudo = crafted.pseudoHeader("fe80::1", "ff02::12", 36)
        summed = crafted.checksum(pseudo + body[:6] + b"\0\0" + body[8:]).to_bytes(2, "big")
        self.assertEqual(seenIn(crafted.packet6(body[:6] + summed + body[8:])), seen)
        self.refused(crafted.packet6(crafted.plusOne(body, 6)), Rejection.CHECKSUM)

    def test_leaving(self) -> None:
        """
        A bow-out and a priority of 0 are recognized.
        """
        self.assertTrue(seenIn(crafted.packet(advbase=255, advskew=255)).leaving)
        self.assertFalse(seenIn(crafted.packet(advbase=255, advskew=254)).leaving)
        self.assertTrue(seenIn(crafted.packet(vrrp(priority=0))).leaving)

    def test_vrrp(self) -> None:
        """
        VRRP is told from CARP for any number of addresses, in both versions, even if an
        Ethernet card has padded the packet.
        """
        for count in range(20):
            addresses = tuple(f"10.99.0.{number + 1}" for number in range(count))
            for version, interval in ((2, 1), (3, 100)):
                body = vrrp(version=version, interval=interval, addresses=addresses)
                seen = seenIn(crafted.packet(body).ljust(46, b"\0"))
                self.assertEqual((seen.protocol, seen.vhid), (Protocol.VRRP, 51))
                self.assertEqual(seen.claim, VRRPClaim(version, 100, 1.0))
                self.assertEqual(seen.addresses, tuple(map(packed, addresses)))

    def test_vrrpOfCisco(self) -> None:
        """
        VRRP with MD5 authentication is VRRP, and no group of CARP.
        """
        for count in (1, 7):
            seen = seenIn(crafted.packet(crafted.vrrp2(count, authentication=38)))
            self.assertEqual((seen.protocol, len(seen.addresses)), (Protocol.VRRP, count))

    def test_vrrpChecksum(self) -> None:
        """
        A VRRP checksum is right with or without a pseudo-header, over IPv4 and IPv6.
        """
        ends = packed(crafted.PEER) + packed(crafted.GROUP)
        pseudo = ends + bytes((0, 112, 0, 12))
        plain, other = vrrp(), vrrp(pseudo=pseudo)
        self.assertNotEqual(plain, other)
        self.assertEqual(seenIn(crafted.packet(plain)), seenIn(crafted.packet(other)))
        self.refused(crafted.packet(crafted.plusOne(plain, 6)), Rejection.CHECKSUM)
        pseudo = crafted.pseudoHeader("fe80::1", "ff02::12", 24)
        seen = seenIn(crafted.packet6(vrrp(addresses=("fd00::1",), pseudo=pseudo)))
        self.assertEqual(seen.addresses, (packed("fd00::1"),))

    def test_router(self) -> None:
        """
        A packet that passed a router is refused unless it was sent to a single host.
        """
        self.refused(crafted.packet(ttl=254), Rejection.TTL)
        self.refused(crafted.packet6(crafted.payload(), hops=64), Rejection.TTL)
        seen = seenIn(crafted.packet(ttl=62, destination=crafted.OWN))
        self.assertEqual(seen.destination, packed(crafted.OWN))

    def test_refused(self) -> None:
        """
        Packets that every receiver refuses are refused.
        """
        self.refused(b"", Rejection.SIZE)
        self.refused(crafted.packet()[:19], Rejection.SIZE)
        self.refused(b"\x95" + crafted.packet()[1:], Rejection.SIZE)
        self.refused(crafted.packet(protocol=17), Rejection.PROTOCOL)
        self.refused(crafted.packet(fragment=0x0003), Rejection.SIZE)
        self.refused(crafted.packet(version=4), Rejection.VERSION)
        self.refused(crafted.packet(vhid=0), Rejection.VHID)
        self.refused(crafted.packet(vrrp(vrid=0)), Rejection.VHID)
        self.refused(crafted.packet(crafted.plusOne(crafted.payload(), 6)), Rejection.CHECKSUM)

    @given(st.binary(max_size=120))
    def test_anything(self, packet: bytes) -> None:
        """
        Any bytes are read or refused.
        """
        try:
            seen = seenIn(packet)
        except Rejected:
            return
        self.assertGreater(seen.vhid, 0)

    @given(st.data(), st.booleans())
    def test_damaged(self, data: st.DataObject, carp: bool) -> None:
        """
        Damaged and truncated packets are read or refused.
        """
        packet = bytearray(crafted.packet() if carp else crafted.packet(vrrp()))
        for _ in range(data.draw(st.integers(0, 4))):
            packet[data.draw(st.integers(0, len(packet) - 1))] = data.draw(st.integers(0, 255))
        cut = bytes(packet[: data.draw(st.integers(0, len(packet)))])
        try:
            self.assertIsInstance(seenIn(cut), Sighting)
        except Rejected as rejected:
            self.assertTrue(str(rejected).isprintable())


class AdvantageTests(SynchronousTestCase):
    """
    Tests of L{advantage}.
    """

    def test_carp(self) -> None:
        """
        Demotion counts before the base, and the base before the skew.
        """
        best, demoted = CARPClaim(Timing(1, 0)), CARPClaim(Timing(1, 0), 1)
        skewed, slow = CARPClaim(Timing(1, 200)), CARPClaim(Timing(2, 0))
        self.assertIs(advantage(best, skewed), Cause.TIMING)
        self.assertIs(advantage(skewed, slow), Cause.TIMING)
        self.assertIs(advantage(slow, demoted), Cause.DEMOTION)
        self.assertIsNone(advantage(demoted, slow))
        self.assertIsNone(advantage(best, best))
        self.assertIsNone(advantage(skewed, best))

    def test_vrrp(self) -> None:
        """
        The higher priority is better, whatever the interval.
        """
        high, low = VRRPClaim(3, 101, 10.0), VRRPClaim(2, 100, 0.1)
        self.assertIs(advantage(high, low), Cause.PRIORITY)
        self.assertIsNone(advantage(low, high))

    def test_mixed(self) -> None:
        """
        Claims of different protocols cannot be compared.
        """
        self.assertRaises(TypeError, advantage, CARPClaim(Timing(1, 0)), VRRPClaim(3, 101, 1.0))
