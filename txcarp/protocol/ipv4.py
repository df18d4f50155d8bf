"""
The IPv4 header around an advertisement, as ucarp writes it.
"""

from __future__ import annotations

import struct

from txcarp.protocol.advertisement import PROTOCOL
from txcarp.protocol.checksum import internetChecksum

#: The time to live of every advertisement.  A router would have lowered it:
#: whoever sends 255 that arrives as 255 is on this link.
TTL = 255

#: The group of CARP and VRRP, 224.0.0.18.
GROUP = bytes((224, 0, 0, 18))

#: Bytes in a header without options.
HEADER = 20

_VERSION_AND_LENGTH = 0x45
_LOW_DELAY = 0x10
_DONT_FRAGMENT = 0x4000
_HEADER = struct.Struct("!BBHHHBBH4s4s")


def wrap(payload: bytes, source: bytes, destination: bytes, identification: int) -> bytes:
    """
    An IPv4 packet with an advertisement in it.

    @param payload: The encoded advertisement.
    @param source: The packed address it comes from.
    @param destination: The packed address of the group.
    @param identification: 16 bits, random for each packet.
    """
    header = _HEADER.pack(
        _VERSION_AND_LENGTH,
        _LOW_DELAY,
        _HEADER.size + len(payload),
        identification,
        _DONT_FRAGMENT,
        TTL,
        PROTOCOL,
        0,
        source,
        destination,
    )
    checksum = internetChecksum(header).to_bytes(2, "big")
    return header[:10] + checksum + header[12:] + payload
