"""
The IPv4 header around an advertisement, as ucarp writes it.
"""

from __future__ import annotations

import struct

from txcarp.protocol.advertisement import PROTOCOL, TTL
from txcarp.protocol.checksum import internetChecksum

#: The multicast group of CARP and VRRP, 224.0.0.18.
GROUP = bytes((224, 0, 0, 18))

#: The size of a header without options, in bytes.
HEADER = 20

_VERSION_AND_LENGTH = 0x45
_LOW_DELAY = 0x10
_DONT_FRAGMENT = 0x4000
_HEADER = struct.Struct("!BBHHHBBH4s4s")


def wrap(payload: bytes, source: bytes, destination: bytes, identification: int) -> bytes:
    """
    Put an encoded advertisement into an IPv4 packet.

    @param identification: 16 bits, random for each packet.
    """
    header = _HEADER.pack(
        _VERSION_AND_LENGTH,
        _LOW_DELAY,
        HEADER + len(payload),
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
