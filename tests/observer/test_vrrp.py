"""
Tests of L{txcarp.observer.vrrp}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests import crafted
from tests.crafted import packed
from tests.observer.air import vrrp
from txcarp.observer.vrrp import VRRPClaim, decode
from txcarp.protocol.rejection import Rejected, Rejection


class DecodeTests(SynchronousTestCase):
    """
    Tests of L{decode}.
    """

    def test_version2(self) -> None:
        """
        The interval is in seconds, and authentication data may follow.
        """
        self.assertEqual(
            decode(crafted.vrrp2(2, vrid=9), 4),
            (9, VRRPClaim(2, 100, 1.0), (bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2)))),
        )

    def test_version3(self) -> None:
        """
        The interval is in hundredths of a second, in twelve bits.
        """
        body = vrrp(interval=0xF000 | 25, addresses=("fe80::1", "fd00::1"))
        self.assertEqual(
            decode(body, 16),
            (51, VRRPClaim(3, 100, 0.25), (packed("fe80::1"), packed("fd00::1"))),
        )

    def test_refused(self) -> None:
        """
        Truncated payloads, and other versions or types, are refused.
        """
        whole = vrrp(addresses=("10.0.0.1",))
        for length in range(len(whole)):
            with self.assertRaises(Rejected) as caught:
                decode(whole[:length], 4)
            self.assertIs(caught.exception.reason, Rejection.SIZE)
        for first in (0x11, 0x41, 0x32, 0x22):
            with self.assertRaises(Rejected) as caught:
                decode(bytes((first,)) + whole[1:], 4)
            self.assertIs(caught.exception.reason, Rejection.VERSION)

    @given(st.binary(max_size=80), st.sampled_from((4, 16)))
    def test_anything(self, payload: bytes, length: int) -> None:
        """
        Any bytes are read or refused.
        """
        try:
            _, _, addresses = decode(payload, length)
        except Rejected:
            return
        self.assertEqual(len(addresses), payload[3])
        self.assertTrue(all(len(address) == length for address in addresses))
