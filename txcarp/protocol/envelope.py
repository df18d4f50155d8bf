"""
The IPv4 packet around an advertisement: written as ucarp writes it, and
accepted by the rules of ucarp in their order.
"""

from __future__ import annotations

import struct

from txcarp.protocol.advertisement import PROTOCOL, SIZE, Advertisement, decode, looksLikeVRRP
from txcarp.protocol.checksum import internetChecksum
from txcarp.protocol.rejection import Rejected, Rejection

#: The time to live of every advertisement.  A router would have lowered it:
#: whoever sends 255 that arrives as 255 is on this link.
TTL = 255

#: The group of CARP and VRRP, 224.0.0.18.
GROUP = bytes((224, 0, 0, 18))

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


def payloadOf(packet: bytes) -> bytes:
    """
    What follows the header of an IPv4 packet.  It is empty if there is no
    header that makes sense.
    """
    length = headerLength(packet)
    return packet[length:] if length else b""


def headerLength(packet: bytes) -> int:
    """
    The length of the header of an IPv4 packet in bytes, or zero if there is
    no header that makes sense.
    """
    if len(packet) <= _HEADER.size:
        return 0
    length = (packet[0] & 0xF) * 4
    return length if _HEADER.size <= length <= len(packet) else 0


def sourceOf(packet: bytes) -> bytes:
    """
    The packed source address of an IPv4 packet.
    """
    return packet[12:16]


def unwrap(packet: bytes, vhid: int, source: bytes, group: bytes) -> Advertisement:
    """
    The advertisement in an IPv4 packet, if this virtual host may look at it.
    The digest remains to be verified.

    What ucarp does not look at is not looked at here either: type, authlen,
    fragment bits, the total length, bytes after the advertisement.

    @param packet: The packet from its IP header on.
    @param vhid: Our virtual host.
    @param source: The packed address that our own advertisements come from.
    @param group: The packed address that advertisements must be sent to.
    @raise Rejected: If it is not an advertisement for us.
    """
    length = headerLength(packet)
    if not length:
        raise Rejected(Rejection.SIZE, f"{len(packet)} bytes")
    if sourceOf(packet) == source:
        raise Rejected(Rejection.OWN_ECHO)
    if packet[9] != PROTOCOL:
        raise Rejected(Rejection.PROTOCOL, str(packet[9]))
    payload = packet[length:]
    if len(payload) < SIZE:
        if looksLikeVRRP(payload):
            raise Rejected(Rejection.VRRP)
        raise Rejected(Rejection.SIZE, f"{len(payload)} bytes")
    if packet[8] != TTL:
        raise Rejected(Rejection.TTL, str(packet[8]))
    try:
        advertisement = decode(payload)
    except Rejected:
        if looksLikeVRRP(payload):
            raise Rejected(Rejection.VRRP) from None
        raise
    if advertisement.vhid != vhid:
        raise Rejected(Rejection.VHID, str(advertisement.vhid))
    if packet[16:20] != group:
        raise Rejected(Rejection.DESTINATION, ".".join(map(str, packet[16:20])))
    # One sum over both parts, as ucarp does it.
    if internetChecksum(packet[: length + SIZE]) != 0:
        # VRRP sums all of its payload, which with many addresses is longer.
        raise Rejected(Rejection.VRRP if looksLikeVRRP(payload) else Rejection.CHECKSUM)
    return advertisement
