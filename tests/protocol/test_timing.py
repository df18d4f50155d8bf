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
        Base seconds and 256ths.
        """
        self.assertEqual(Timing(1, 0).interval, 1.0)
        self.assertEqual(Timing(0, 1).interval, 1 / 256)
        self.assertEqual(Timing(3, 128).interval, 3.5)
        self.assertEqual(Timing(255, 255).interval, 255 + 255 / 256)

    def test_deadTime(self) -> None:
        """
        The base counts as often as the ratio says, the skew once.
        """
        self.assertEqual(Timing(1, 64).deadTime(3), 3.25)
        self.assertEqual(Timing(2, 255).deadTime(1), 2 + 255 / 256)
        self.assertEqual(Timing(0, 50).deadTime(3), 50 / 256)

    @given(_TIMINGS, _TIMINGS)
    def test_order(self, one: Timing, other: Timing) -> None:
        """
        Preferred is who speaks more often.
        """
        self.assertEqual(one < other, one.interval < other.interval)
        self.assertEqual(one == other, one.interval == other.interval)

    @given(_TIMINGS, _TIMINGS, st.integers(1, 10))
    def test_missesBefore(self, own: Timing, peer: Timing, ratio: int) -> None:
        """
        A backup misses its master if its dead time ends before the next
        advertisement.
        """
        self.assertEqual(own.missesBefore(peer, ratio), own.deadTime(ratio) < peer.interval)

    def test_bowOut(self) -> None:
        """
        Everybody with an ordinary timing misses a host that leaves.
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
        In one network of 256 addresses the lower one wins.
        """
        self.assertTrue(self.wins("10.99.0.1", "10.99.0.2"))
        self.assertFalse(self.wins("10.99.0.2", "10.99.0.1"))

    def test_byteOrder(self) -> None:
        """
        The last octet counts most, as seen with the real ucarp: 10.99.1.1
        stays and 10.99.0.2 goes.
        """
        self.assertTrue(self.wins("10.99.1.1", "10.99.0.2"))
        self.assertFalse(self.wins("10.99.0.2", "10.99.1.1"))

    @given(_ADDRESSES, _ADDRESSES)
    def test_oneWinner(self, one: bytes, other: bytes) -> None:
        """
        Of two different addresses exactly one wins, as their little-endian
        numbers say.
        """
        expected = int.from_bytes(one, "little") < int.from_bytes(other, "little")
        self.assertEqual(winsTie(one, other), expected)
        if one != other:
            self.assertNotEqual(winsTie(one, other), winsTie(other, one))
