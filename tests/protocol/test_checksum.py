"""
Tests for L{txcarp.protocol.checksum}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests import crafted
from txcarp.protocol.checksum import internetChecksum


class InternetChecksumTests(SynchronousTestCase):
    """
    Tests for L{internetChecksum}.
    """

    def test_example(self) -> None:
        """
        The sum in the example of RFC 1071, section 3, is ddf2.
        """
        self.assertEqual(internetChecksum(bytes.fromhex("0001f203f4f5f6f7")), 0xFFFF - 0xDDF2)

    def test_zeros(self) -> None:
        """
        One's complement has two zeros: data that is all zeros sums to 0, other data to 65535.
        """
        self.assertEqual(internetChecksum(b""), 0xFFFF)
        self.assertEqual(internetChecksum(b"\0" * 6), 0xFFFF)
        self.assertEqual(internetChecksum(b"\xff" * 6), 0)

    def test_odd(self) -> None:
        """
        An odd last byte is the high byte of its word.
        """
        self.assertEqual(internetChecksum(b"\x12"), internetChecksum(b"\x12\x00"))
        self.assertEqual(internetChecksum(b"\x00\x01\x12"), 0xFFFF - 0x1201)

    @given(st.binary(max_size=90))
    def test_plainSum(self, data: bytes) -> None:
        """
        The result is that of adding word by word.
        """
        self.assertEqual(internetChecksum(data), crafted.checksum(data))

    @given(st.binary(max_size=60).filter(lambda data: len(data) % 2 == 0))
    def test_verifies(self, data: bytes) -> None:
        """
        Data that contains its checksum sums to zero.
        """
        whole = data + internetChecksum(data).to_bytes(2, "big")
        self.assertEqual(internetChecksum(whole), 0)
