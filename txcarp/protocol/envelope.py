"""
The IP packet around an advertisement, of either family: what it says, and
whether a virtual host may look at it, by the rules of ucarp in their order.
"""

from __future__ import annotations

from collections.abc import Collection

import attrs

from txcarp.protocol import ipv4, ipv6
from txcarp.protocol.advertisement import PROTOCOL, SIZE, Advertisement, decode, looksLikeVRRP
from txcarp.protocol.checksum import internetChecksum
from txcarp.protocol.family import Family, isMulticast
from txcarp.protocol.rejection import Rejected, Rejection

#: What a router would have lowered: whoever sends 255 that arrives as 255 is
#: on this link.
HOPS = 255


@attrs.frozen
class Packet:
    """
    An IP packet as it arrived, read once.

    @ivar family: The family of its addresses.
    @ivar source: The packed address that it comes from.
    @ivar destination: The packed address that it was sent to.
    @ivar hops: Its time to live, or hop limit.
    @ivar protocol: The number of the protocol of its payload.
    @ivar payload: What follows the IP header.
    @ivar header: The IPv4 header, which ucarp sums together with the payload; empty for IPv6.
    """

    family: Family
    source: bytes
    destination: bytes
    hops: int
    protocol: int
    payload: bytes
    header: bytes = b""


@attrs.define
class Audience:
    """
    The packets that a virtual host accepts, in one family.

    @ivar vhid: The virtual host.
    @ivar own: The packed address that its own advertisements come from; empty
        if it is not known yet.
    @ivar group: The packed address that advertisements are sent to.
    @ivar peers: Packed addresses of hosts that may send to this host alone,
        and from behind a router.
    @ivar followed: Packed addresses of hosts on this link that may send to
        this host alone.
    """

    vhid: int
    own: bytes
    group: bytes
    peers: Collection[bytes] = ()
    followed: list[bytes] = attrs.field(factory=list)


def wrap(payload: bytes, source: bytes, destination: bytes, identification: int = 0) -> bytes:
    """
    An IP packet with an advertisement in it, of the family of its addresses.

    @param payload: The encoded advertisement.
    @param source: The packed address it comes from.
    @param destination: The packed address of the group, or of a peer.
    @param identification: 16 bits, random for each packet; IPv4 only.
    """
    if len(destination) == 4:
        return ipv4.wrap(payload, source, destination, identification)
    return ipv6.wrap(payload, source, destination)


def readPacket(data: bytes) -> Packet:
    """
    Read the IP header of a packet of either family.

    This runs once for each packet that arrives, so it calls no other function.

    @raise Rejected: If there is no header that makes sense.
    """
    size = len(data)
    if size > ipv4.HEADER:
        if data[0] >> 4 != 6:
            length = (data[0] & 0xF) * 4
            if ipv4.HEADER <= length <= size:
                return Packet(
                    Family.IPV4,
                    data[12:16],
                    data[16:20],
                    data[8],
                    data[9],
                    data[length:],
                    data[:length],
                )
        elif size >= ipv6.HEADER:
            return Packet(
                Family.IPV6, data[8:24], data[24:40], data[7], data[6], data[ipv6.HEADER :]
            )
    raise Rejected(Rejection.SIZE, f"{size} bytes")


def unwrap(packet: Packet, audience: Audience) -> Advertisement:
    """
    The advertisement in a packet, if this virtual host may look at it.  The
    digest remains to be verified.

    What ucarp does not look at is not looked at here either: type, authlen,
    fragment bits, the total length, bytes after the advertisement.  The checksum of IPv4 is
    one sum over both headers, as ucarp does it; that of IPv6 may cover the pseudo-header.

    @raise Rejected: If it is not an advertisement for us.
    """
    source, payload = packet.source, packet.payload
    if source == audience.own:
        raise Rejected(Rejection.OWN_ECHO)
    if packet.protocol != PROTOCOL:
        raise Rejected(Rejection.PROTOCOL, str(packet.protocol))
    if len(payload) < SIZE:
        if looksLikeVRRP(payload):
            raise Rejected(Rejection.VRRP)
        raise Rejected(Rejection.SIZE, f"{len(payload)} bytes")
    listed = source in audience.peers
    if packet.hops != HOPS and not listed:
        raise Rejected(Rejection.TTL, str(packet.hops))
    try:
        advertisement = decode(payload)
    except Rejected:
        if looksLikeVRRP(payload):
            raise Rejected(Rejection.VRRP) from None
        raise
    if advertisement.vhid != audience.vhid:
        raise Rejected(Rejection.VHID, str(advertisement.vhid))
    destination = packet.destination
    alone = listed or source in audience.followed
    if destination != audience.group and (not alone or isMulticast(destination)):
        text = ".".join(map(str, destination)) if len(destination) == 4 else destination.hex(":", 2)
        raise Rejected(Rejection.DESTINATION, text)
    summed = packet.header + payload[:SIZE]
    # The checksum is right if the words add up to zero in one's complement, which makes the
    # number that they spell a multiple of 65535 (L{internetChecksum}).
    if int.from_bytes(summed) % 0xFFFF and not _sumsUpWithPseudoHeader(packet):
        # VRRP sums all of its payload, which with many addresses is longer.
        raise Rejected(Rejection.VRRP if looksLikeVRRP(payload) else Rejection.CHECKSUM)
    return advertisement


def _sumsUpWithPseudoHeader(packet: Packet) -> bool:
    """
    Whether the checksum of an IPv6 packet covers the pseudo-header, too.
    """
    if packet.header:
        return False
    pseudo = ipv6.pseudoHeader(packet.source, packet.destination, SIZE)
    return internetChecksum(pseudo + packet.payload[:SIZE]) == 0
