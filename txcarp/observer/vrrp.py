"""
VRRP advertisements of versions 2 (RFC 3768) and 3 (RFC 9568), which share the IP protocol number
and the multicast group with CARP.

=======  ============================  ===================================
offset   version 2                     version 3
=======  ============================  ===================================
0        version and type              version and type
1        virtual router                virtual router
2        priority                      priority
3        number of addresses           number of addresses
4        kind of authentication        interval, the low 12 bits of 16,
5        interval, seconds             hundredths of a second
6        checksum, 16 bits             checksum, 16 bits
8        addresses, authentication     addresses
=======  ============================  ===================================
"""

from __future__ import annotations

import struct

import attrs

from txcarp.protocol.rejection import Rejected, Rejection

#: The priority in the last advertisement of a master that resigns.
LEAVING = 0

_ADVERTISEMENT = 1
_HEADER = struct.Struct("!BBBBH2x")
_HUNDREDTHS = 0x0FFF


@attrs.frozen
class VRRPClaim:
    """
    What a VRRP master claims.

    @ivar version: 2 or 3.
    @ivar priority: 1 to 255, of which the highest is preferred; 0 when the master resigns.
    @ivar interval: Seconds from one advertisement to the next.
    """

    version: int
    priority: int
    interval: float


def decode(payload: bytes, addressLength: int) -> tuple[int, VRRPClaim, tuple[bytes, ...]]:
    """
    Read an advertisement.

    @param payload: The bytes after the IP header.
    @param addressLength: The size of an address of the packet's family, in bytes: 4 or 16.
    @return: The virtual router, the claim, and the packed virtual addresses.
    @raise Rejected: If the bytes are not an advertisement.
    """
    if len(payload) < _HEADER.size:
        raise Rejected(Rejection.SIZE, f"{len(payload)} bytes")
    first, vrid, priority, count, rest = _HEADER.unpack_from(payload)
    version, kind = first >> 4, first & 0xF
    if version not in (2, 3) or kind != _ADVERTISEMENT:
        raise Rejected(Rejection.VERSION, f"VRRP version {version} type {kind}")
    end = _HEADER.size + count * addressLength
    if len(payload) < end:
        raise Rejected(Rejection.SIZE, f"{len(payload)} bytes")
    interval = float(rest & 0xFF) if version == 2 else (rest & _HUNDREDTHS) / 100
    addresses = (
        payload[start : start + addressLength]
        for start in range(_HEADER.size, end, addressLength)
    )
    return vrid, VRRPClaim(version, priority, interval), tuple(addresses)
