"""
Tests for L{txcarp.protocol.authentication}.
"""

from __future__ import annotations

import hashlib
import hmac
import socket

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.vectors import load
from txcarp.addresses import parseIPv4
from txcarp.protocol.authentication import MAXIMUM_PASSWORD, Authenticator, PasswordError

_COUNTER = 0x0123456789ABCDEF
_COUNTERS = st.integers(0, 2**64 - 1)
_GOAT = b"mekmitasdigoat"

#: Password, vhid, addresses, counter and digest by the rule of the BSD
#: kernels: all IPv4 addresses in ascending order, then all IPv6 addresses.
_KERNEL_VECTORS = (
    (b"s3cret", 7, ["10.77.0.100"], _COUNTER, "7c8fddfae8bf27a215acdea15d38a41a5e073edd"),
    (
        _GOAT,
        1,
        ["192.168.1.10", "192.168.1.9", "10.0.0.1"],
        _COUNTER,
        "87891abb7020478301c3a9caf6d931e989857969",
    ),
    (
        _GOAT,
        1,
        ["192.168.1.10", "2001:db8::1"],
        _COUNTER,
        "14cfccd965c6de6c5cea5b733e3844068c1d4365",
    ),
    (
        _GOAT,
        1,
        ["2001:db8::2", "2001:db8::1", "fd00::5"],
        _COUNTER,
        "cc814aa519616791a470dc57303c44a154142688",
    ),
    (
        _GOAT,
        1,
        ["192.168.1.10", "2001:db8::1", "fe80::200:5eff:fe00:101"],
        _COUNTER,
        "225c727345b2220c7b988e1a07d952bf1a5960af",
    ),
    (
        b"nineteencharacters!",
        255,
        ["192.0.2.1"],
        2**64 - 1,
        "002d0f985715e15bb5a86d6bffecddf935e764fd",
    ),
    (_GOAT, 1, ["2001:db8::1"], _COUNTER, "b335c1d7f0646c1503cc05f9d461e7a11c5e1bab"),
    (_GOAT, 1, ["192.168.1.10"], _COUNTER, "4a56e25fb9b79c9940542d9b83e21d4eaf46ae9a"),
)


def packed(address: str) -> bytes:
    """
    An address of either family as it goes into the digest.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.inet_pton(family, address)


class VectorTests(SynchronousTestCase):
    """
    What others sign.
    """

    def test_ucarp(self) -> None:
        """
        Every advertisement of the real ucarp is verified, and signed again
        with the same digest.
        """
        for vector in load("advertisements")["vectors"]:
            authenticator = Authenticator(
                bytes.fromhex(vector["password_hex"]), vector["vhid"], [parseIPv4(vector["vip"])]
            )
            counter = int(vector["counter_hex"], 16)
            digest = bytes.fromhex(vector["hmac_hex"])
            self.assertTrue(authenticator.verify(counter, digest), vector["name"])
            self.assertEqual(authenticator.sign(counter), digest, vector["name"])

    def test_kernels(self) -> None:
        """
        Several addresses and IPv6 are signed as the BSD kernels do it, in
        whatever order the addresses are given.
        """
        for password, vhid, addresses, counter, digest in _KERNEL_VECTORS:
            for order in (addresses, addresses[::-1], addresses * 2):
                authenticator = Authenticator(password, vhid, map(packed, order))
                self.assertEqual(authenticator.sign(counter).hex(), digest, addresses)


class AuthenticatorTests(SynchronousTestCase):
    """
    Tests for L{Authenticator}.
    """

    @given(
        st.binary(min_size=1, max_size=19),
        st.integers(1, 255),
        st.binary(min_size=4, max_size=4),
        _COUNTERS,
    )
    def test_library(self, password: bytes, vhid: int, address: bytes, counter: int) -> None:
        """
        The prepared states give what the library's HMAC gives.
        """
        message = bytes((2, 1, vhid)) + address + counter.to_bytes(8, "big")
        self.assertEqual(
            Authenticator(password, vhid, [address]).sign(counter),
            hmac.new(password, message, hashlib.sha1).digest(),
        )

    def test_repeatable(self) -> None:
        """
        Signing does not use the prepared states up.
        """
        authenticator = Authenticator(b"secret", 1, [b"\n\0\0\1"])
        first = authenticator.sign(1)
        authenticator.sign(2)
        self.assertEqual(authenticator.sign(1), first)

    def test_everythingCounts(self) -> None:
        """
        Another password, vhid, address or counter gives another digest, and a
        digest with one bit changed is not verified.
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
        1 to 19 bytes; the text says how many there are, and does not show
        them.
        """
        Authenticator(b"x" * MAXIMUM_PASSWORD, 1, [])
        self.assertRaises(PasswordError, Authenticator, b"", 1, [])
        error = self.assertRaises(PasswordError, Authenticator, b"hunter2" * 3, 1, [])
        self.assertIn("21", str(error))
        self.assertNotIn("hunter2", str(error))

    def test_notShown(self) -> None:
        """
        Neither form of an authenticator as text holds the password.
        """
        authenticator = Authenticator(b"hunter2", 1, [])
        self.assertNotIn("hunter2", repr(authenticator) + str(authenticator))
        self.assertNotIn("hunter2", repr(vars(authenticator)))
