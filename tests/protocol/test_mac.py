"""
Tests for L{txcarp.protocol.mac}.
"""

from __future__ import annotations

import hashlib
import hmac

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txcarp.protocol.mac import prepareHMAC


class PrepareHMACTests(SynchronousTestCase):
    """
    Tests for L{prepareHMAC}.
    """

    @given(st.binary(max_size=130), st.binary(max_size=40), st.lists(st.binary(max_size=70)))
    def test_library(self, key: bytes, beginning: bytes, messages: list[bytes]) -> None:
        """
        Every message has the HMAC that the standard library computes, also after others, and with
        a key that is longer than the block of the hash.
        """
        for algorithm in (hashlib.sha1, hashlib.sha256):
            digest = prepareHMAC(key, algorithm, beginning)
            for message in messages:
                expected = hmac.digest(key, beginning + message, algorithm)
                self.assertEqual(digest(message), expected)

    def test_published(self) -> None:
        """
        The HMAC is that of a published example (RFC 2202, section 3, test case 2; RFC 4231, section
        4.3).
        """
        message = b"what do ya want for nothing?"
        self.assertEqual(
            prepareHMAC(b"Jefe", hashlib.sha1)(message).hex(),
            "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
        )
        self.assertEqual(
            prepareHMAC(b"Jefe", hashlib.sha256, message[:4])(message[4:]).hex(),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        )
