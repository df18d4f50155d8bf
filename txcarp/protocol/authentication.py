"""
The digest of an advertisement: HMAC-SHA1 over the virtual host and a counter.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

from txcarp.protocol.advertisement import ADVERTISEMENT, VERSION

#: Bytes in a key (CARP_KEY_LEN in the BSD kernels); a shorter password is
#: filled up with zeros.
KEY_SIZE = 20

#: The longest password in bytes: everybody's tools keep the last byte of the
#: key for a terminating zero.
MAXIMUM_PASSWORD = KEY_SIZE - 1

_BLOCK = 64


class PasswordError(ValueError):
    """
    A password that no CARP group can use.  The text never holds it.
    """


class Authenticator:
    """
    Signs and verifies the advertisements of one virtual host.

    The message is C{02 01 vhid}, every IPv4 address in ascending order, every
    IPv6 address likewise, and the eight bytes of the counter; version and type
    are a byte each here although they share one on the wire.  Neither advbase
    nor advskew nor the demotion byte is covered.

    Everything but the counter is hashed once: an advertisement then costs two
    copies of a prepared SHA-1 state.
    """

    def __init__(
        self, password: bytes, vhid: int, addresses: Iterable[bytes], hardware: bytes = b""
    ) -> None:
        """
        @param password: The secret of the group, up to L{KEY_SIZE} bytes; none
            at all is the key that a BSD kernel starts with.
        @param vhid: The virtual host, 1 to 255.
        @param addresses: Its packed addresses, 4 or 16 bytes each, in any
            order; one that is given twice counts once.
        @param hardware: What OpenBSD puts in front of the vhid if the hardware
            address of a carp interface was set by hand: its six bytes.
        @raise PasswordError: If the password is too long.
        """
        if len(password) > KEY_SIZE:
            raise PasswordError(
                f"the password has {len(password)} bytes; a CARP key has {KEY_SIZE}"
            )
        key = password.ljust(_BLOCK, b"\0")
        message = bytes((VERSION, ADVERTISEMENT)) + hardware + bytes((vhid,))
        distinct = set(addresses)
        message += b"".join(sorted(address for address in distinct if len(address) == 4))
        message += b"".join(sorted(address for address in distinct if len(address) != 4))
        self._inner = hashlib.sha1(bytes(byte ^ 0x36 for byte in key) + message)
        self._outer = hashlib.sha1(bytes(byte ^ 0x5C for byte in key))

    def sign(self, counter: int) -> bytes:
        """
        The 20-byte digest for this 64-bit counter.
        """
        inner = self._inner.copy()
        inner.update(counter.to_bytes(8, "big"))
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.digest()

    def verify(self, counter: int, digest: bytes) -> bool:
        """
        Whether a digest is the one for this counter, in constant time.
        """
        return hmac.compare_digest(self.sign(counter), digest)
