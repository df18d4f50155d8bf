"""
The IPv6 header around an advertisement (RFC 8200), as the BSD kernels write it: without
traffic class and flow label.
"""

from __future__ import annotations

import struct

from txcarp.protocol.advertisement import PROTOCOL, TTL

#: The multicast group of CARP and VRRP, ff02::12.
GROUP = bytes((0xFF, 0x02, *bytes(13), 0x12))

#: The size of the header in bytes.  Advertisements have no extension headers.
HEADER = 40

_VERSION = 6 << 28
_HEADER = struct.Struct("!IHBB16s16s")
_PSEUDO = struct.Struct("!16s16sI3xB")


def wrap(payload: bytes, source: bytes, destination: bytes) -> bytes:
    """
    Put an encoded advertisement into an IPv6 packet.  The checksum of the advertisement does
    not cover a pseudo-header, as in FreeBSD and OpenBSD.
    """
    return _HEADER.pack(_VERSION, len(payload), PROTOCOL, TTL, source, destination) + payload


def pseudoHeader(source: bytes, destination: bytes, length: int) -> bytes:
    """
    Return the pseudo-header (RFC 8200, section 8.1) that newer NetBSD kernels include in the
    checksum of an advertisement.

    @param length: The size of the payload in bytes.
    """
    return _PSEUDO.pack(source, destination, length, PROTOCOL)
