"""
Tests for L{txcarp.protocol.authentication}.
"""

from __future__ import annotations

import hashlib
import hmac

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.vectors import load
from txcarp.addresses import parseIPv4
from txcarp.protocol.authentication import KEY_SIZE, MAXIMUM_PASSWORD, Authenticator

_COUNTERS = st.integers(0, 2**64 - 1)


class VectorTests(SynchronousTestCase):
    """
    Digests of the real ucarp. For those of the kernels see L{tests.protocol.test_golden}.
    """

    def test_ucarp(self) -> None:
        """
        Every digest of the real ucarp verifies, and signing again gives the same digest.
        """
        for vector in load("advertisements")["vectors"]:
            authenticator = Authenticator(
                bytes.fromhex(vector["password_hex"]), vector["vhid"], [parseIPv4(vector["vip"])]
            )
            counter = int(vector["counter_hex"], 16)
            digest = bytes.fromhex(vector["hmac_hex"])
            self.assertTrue(authenticator.verify(counter, digest), vector["name"])
            self.assertEqual(authenticator.sign(counter), digest, vector["name"])


class AuthenticatorTests(SynchronousTestCase):
    """
    Tests for L{Authenticator}.
    """

    @given(
        st.binary(max_size=20),
        st.integers(1, 255),
        st.binary(min_size=4, max_size=4),
        _COUNTERS,
    )
    def test_library(self, password: bytes, vhid: int, address: bytes, counter: int) -> None:
        """
        The prepared HMAC gives the same digest as one HMAC over the whole message.
        """
        message = bytes((2, 1, vhid)) + address + counter.to_bytes(8, "big")
        self.assertEqual(
            Authenticator(password, vhid, [address]).sign(counter),
            hmac.new(password, message, hashlib.sha1).digest(),
        )

    def test_repeatable(self) -> None:
        """
        An authenticator can sign any number of times.
        """
        authenticator = Authenticator(b"secret", 1, [b"\n\0\0\1"])
        first = authenticator.sign(1)
        authenticator.sign(2)
        self.assertEqual(authenticator.sign(1), first)

    def test_everythingCounts(self) -> None:
        """
        Another password, vhid, address or counter gives another digest, and a digest with one
        flipped bit does not verify.
        """
        own = Authenticator(b"secret", 1, [b"\n\0\0\1"])
        others = (
            Authenticator(b"secreT", 1, [b"\n\0\0\1"]),
            Authenticator(b"secret", 2, [b"\n\0\0\1"]),
            Authenticator(b"secret", 1, [b"\n\0\0\2"]),
        )
        digest = own.sign(5)
        self.assertTrue(own.verify(5, digest))
        self.assertFalse(own.verify(6, digest))
        for other in others:
            self.assertFalse(other.verify(5, digest))
        for bit in range(160):
            changed = (int.from_bytes(digest, "big") ^ (1 << bit)).to_bytes(20, "big")
            self.assertFalse(own.verify(5, changed))

    def test_passwordSize(self) -> None:
        """
        A password has up to 20 bytes. The error for a longer one gives its length, and does not
        show it.
        """
        Authenticator(b"x" * KEY_SIZE, 1, [])
        self.assertEqual(MAXIMUM_PASSWORD, KEY_SIZE - 1)
        error = self.assertRaises(ValueError, Authenticator, b"hunter2" * 3, 1, [])
        self.assertIn("21", str(error))
        self.assertNotIn("hunter2", str(error))

    def test_noPassword(self) -> None:
        """
        An empty password is a key of zeros, as for BSD groups without a password. A short
        password is padded with zeros.
        """
        for short, full in ((b"", bytes(20)), (b"secret", b"secret" + bytes(14))):
            self.assertEqual(
                Authenticator(short, 1, [b"\n\0\0\1"]).sign(5),
                Authenticator(full, 1, [b"\n\0\0\1"]).sign(5),
            )

    def test_hardware(self) -> None:
        """
        The hardware address of OpenBSD is signed in front of the vhid.
        """
        plain, other, own = (
            Authenticator(b"secret", 1, [b"\n\0\0\1"], hardware).sign(5)
            for hardware in (b"", b"\2\0\0\0\0\1", b"\2\0\0\0\0\2")
        )
        self.assertEqual(len({plain, other, own}), 3)
        message = b"\2\1" + b"\2\0\0\0\0\2" + b"\1" + b"\n\0\0\1" + (5).to_bytes(8, "big")
        self.assertEqual(own, hmac.new(b"secret", message, hashlib.sha1).digest())

    def test_notShown(self) -> None:
        """
        Neither str() nor repr() of an authenticator shows the password.
        """
        authenticator = Authenticator(b"hunter2", 1, [])
        self.assertNotIn("hunter2", repr(authenticator) + str(authenticator))
        self.assertNotIn("hunter2", repr(vars(authenticator)))
