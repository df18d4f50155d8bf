"""
Tests for L{txcarp.protocol.timing}.
"""

from __future__ import annotations

import socket

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txcarp.protocol.timing import LEAVING, Timing, winsTie

_BYTES = st.integers(0, 255)
_TIMINGS = st.builds(Timing, _BYTES, _BYTES)
_ADDRESSES = st.binary(min_size=4, max_size=4)


class TimingTests(SynchronousTestCase):
    """
    Tests for L{Timing}.
    """

    def test_interval(self) -> None:
        """
        The interval is advbase seconds and advskew 256ths.
        """
        self.assertEqual(Timing(1, 0).interval, 1.0)
        self.assertEqual(Timing(0, 1).interval, 1 / 256)
        self.assertEqual(Timing(3, 128).interval, 3.5)
        self.assertEqual(Timing(255, 255).interval, 255 + 255 / 256)

    def test_deadTime(self) -> None:
        """
        The dead time is advbase times the ratio, plus advskew once.
        """
        self.assertEqual(Timing(1, 64).deadTime(3), 3.25)
        self.assertEqual(Timing(2, 255).deadTime(1), 2 + 255 / 256)
        self.assertEqual(Timing(0, 50).deadTime(3), 50 / 256)

    @given(_TIMINGS, _TIMINGS)
    def test_order(self, one: Timing, other: Timing) -> None:
        """
        The host that advertises more often is preferred.
        """
        self.assertEqual(one < other, one.interval < other.interval)
        self.assertEqual(one == other, one.interval == other.interval)

    @given(_TIMINGS, _TIMINGS, st.integers(1, 10))
    def test_missesBefore(self, own: Timing, peer: Timing, ratio: int) -> None:
        """
        A backup would miss a master if its dead time ends before the master's next advertisement.
        """
        self.assertEqual(own.missesBefore(peer, ratio), own.deadTime(ratio) < peer.interval)

    @given(_TIMINGS, _TIMINGS, st.integers(1, 10))
    def test_offer(self, own: Timing, peer: Timing, ratio: int) -> None:
        """
        Exactly the backups with a better timing take over on an offer, not those with the same.
        An advbase above 255 cannot be offered.
        """
        offer = own.offer(ratio)
        self.assertEqual(offer is None, own.advbase * ratio > 255)
        if offer is not None:
            self.assertEqual(peer.missesBefore(offer, ratio), peer < own)
            self.assertFalse(own.missesBefore(offer, ratio))

    def test_bowOut(self) -> None:
        """
        With an ordinary timing, every backup takes over on a bow-out.
        """
        self.assertTrue(Timing(1, 0).missesBefore(LEAVING, 3))
        self.assertTrue(Timing(84, 255).missesBefore(LEAVING, 3))
        self.assertTrue(Timing(85, 254).missesBefore(LEAVING, 3))
        self.assertFalse(Timing(85, 255).missesBefore(LEAVING, 3))


class WinsTieTests(SynchronousTestCase):
    """
    Tests for L{winsTie}.
    """

    def wins(self, own: str, peer: str) -> bool:
        return winsTie(socket.inet_aton(own), socket.inet_aton(peer))

    def test_lastOctet(self) -> None:
        """
        Within a /24 network the lower address wins.
        """
        self.assertTrue(self.wins("10.99.0.1", "10.99.0.2"))
        self.assertFalse(self.wins("10.99.0.2", "10.99.0.1"))

    def test_byteOrder(self) -> None:
        """
        The last octet counts most, as the real ucarp does it: 10.99.1.1 stays master, and
        10.99.0.2 does not.
        """
        self.assertTrue(self.wins("10.99.1.1", "10.99.0.2"))
        self.assertFalse(self.wins("10.99.0.2", "10.99.1.1"))

    @given(_ADDRESSES, _ADDRESSES)
    def test_oneWinner(self, one: bytes, other: bytes) -> None:
        """
        Of two different addresses exactly one wins: the smaller one as a little-endian integer.
        """
        expected = int.from_bytes(one, "little") < int.from_bytes(other, "little")
        self.assertEqual(winsTie(one, other), expected)
        if one != other:
            self.assertNotEqual(winsTie(one, other), winsTie(other, one))
