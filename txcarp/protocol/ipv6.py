"""
The IPv6 header around an advertisement (RFC 8200), as the BSD kernels write
it: no traffic class, no flow label, hop limit 255.
"""

from __future__ import annotations

import struct

from txcarp.protocol.advertisement import PROTOCOL

#: The hop limit of every advertisement, as the TTL of IPv4.
HOP_LIMIT = 255

#: The group of CARP and VRRP, ff02::12.
GROUP = bytes((0xFF, 0x02, *bytes(13), 0x12))

#: Bytes in the header; extension headers do not occur.
HEADER = 40

_VERSION = 6 << 28
_HEADER = struct.Struct("!IHBB16s16s")
_PSEUDO = struct.Struct("!16s16sI3xB")


def header(source: bytes, destination: bytes, length: int, hopLimit: int = HOP_LIMIT) -> bytes:
    """
    The header before so many bytes of protocol 112.
    """
    return _HEADER.pack(_VERSION, length, PROTOCOL, hopLimit, source, destination)


def wrap(payload: bytes, source: bytes, destination: bytes) -> bytes:
    """
    An IPv6 packet with an advertisement in it.

    @param payload: The encoded advertisement, whose checksum covers nothing
        else: FreeBSD and OpenBSD have no pseudo-header in it.
    """
    return header(source, destination, len(payload)) + payload


def pseudoHeader(source: bytes, destination: bytes, length: int) -> bytes:
    """
    What newer NetBSD kernels sum together with an advertisement of so many
    bytes (RFC 8200, section 8.1).
    """
    return _PSEUDO.pack(source, destination, length, PROTOCOL)
