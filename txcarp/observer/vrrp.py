"""
VRRP advertisements, versions 2 (RFC 3768) and 3 (RFC 9568), which share the
protocol number and the group with CARP.

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

#: The priority of a master that gives up.
LEAVING = 0

_ADVERTISEMENT = 1
_HEADER = struct.Struct("!BBBBH2x")
_HUNDREDTHS = 0x0FFF


@attrs.frozen
class VRRPAdvertisement:
    """
    What one VRRP master says about itself.

    @ivar version: 2 or 3.
    @ivar vrid: The virtual router, what CARP calls vhid.
    @ivar priority: 1 to 255, the higher the better; 0 says good-bye.
    @ivar interval: Seconds between advertisements.
    @ivar addresses: The packed virtual addresses.
    """

    version: int
    vrid: int
    priority: int
    interval: float
    addresses: tuple[bytes, ...]


def decode(payload: bytes, addressLength: int) -> VRRPAdvertisement:
    """
    Read an advertisement from the bytes after the IP header.

    @param addressLength: The size of an address of the family that it came
        in, 4 or 16 bytes.
    @raise Rejected: If that is not what they are.
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
    return VRRPAdvertisement(
        version=version,
        vrid=vrid,
        priority=priority,
        interval=float(rest & 0xFF) if version == 2 else (rest & _HUNDREDTHS) / 100,
        addresses=tuple(
            payload[start : start + addressLength]
            for start in range(_HEADER.size, end, addressLength)
        ),
    )
