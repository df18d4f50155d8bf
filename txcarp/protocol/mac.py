"""
HMACs of many short messages under one key.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))


class _Hash(Protocol):
    """
    An object of C{hashlib}.
    """

    @property
    def block_size(self) -> int: ...

    def copy(self) -> _Hash: ...

    def digest(self) -> bytes: ...

    def update(self, data: bytes, /) -> None: ...


def prepareHMAC(
    key: bytes, algorithm: Callable[[bytes], _Hash], beginning: bytes = b""
) -> Callable[[bytes], bytes]:
    """
    Make a function that returns the HMAC (RFC 2104, section 2) of a message.

    C{hmac} of the standard library hashes the padded key again for each message, or passes each
    call on to a second object.  Both are a considerable part of the time that an advertisement
    takes.  Here both hashes of the padded key are made once (RFC 2104, section 4).

    @param algorithm: A function of C{hashlib}.
    @param beginning: What all messages begin with.  The function takes the rest.
    """
    block = algorithm(b"").block_size
    if len(key) > block:
        key = algorithm(key).digest()
    padded = key.ljust(block, b"\0")
    inner = algorithm(padded.translate(_INNER) + beginning).copy
    outer = algorithm(padded.translate(_OUTER)).copy

    def digest(message: bytes) -> bytes:
        inside, outside = inner(), outer()
        inside.update(message)
        outside.update(inside.digest())
        return outside.digest()

    return digest
