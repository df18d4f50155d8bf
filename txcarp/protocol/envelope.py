"""
The IP packet around an advertisement, and whether a virtual host accepts it.  The checks and
their order are ucarp's.
"""

from __future__ import annotations

from collections.abc import Collection

import attrs

from txcarp.protocol import ipv4, ipv6
from txcarp.protocol.advertisement import PROTOCOL, SIZE, TTL, Advertisement, decode, looksLikeVRRP
from txcarp.protocol.checksum import internetChecksum
from txcarp.protocol.family import Family, isMulticast
from txcarp.protocol.rejection import Rejected, Rejection


@attrs.frozen
class Packet:
    """
    A received IP packet.

    @ivar source: The packed source address.
    @ivar destination: The packed destination address.
    @ivar hops: The time to live or hop limit on arrival.
    @ivar protocol: The IP protocol number of the payload.
    @ivar payload: Everything after the IP header.
    @ivar header: The IPv4 header, which ucarp's checksum covers; empty for IPv6.
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
    The packets that a virtual host accepts in one family.

    @ivar vhid: The virtual host ID.
    @ivar own: The packed source address of this host's advertisements; empty while it is not
        known.
    @ivar group: The packed address that advertisements are sent to.
    @ivar peers: The packed addresses of the hosts that send unicast, also through routers.
    @ivar followed: The packed addresses of the hosts on this link that are known to send unicast.
    """

    vhid: int
    own: bytes
    group: bytes
    peers: Collection[bytes] = ()
    followed: list[bytes] = attrs.field(factory=list)

    def knows(self, source: bytes) -> bool:
        """
        Whether a host is known to send unicast.
        """
        return source in self.peers or source in self.followed


def wrap(payload: bytes, source: bytes, destination: bytes, identification: int = 0) -> bytes:
    """
    Put an encoded advertisement into an IP packet of the family of the addresses.

    @param source: A packed address.
    @param destination: The packed address of the group or of a peer.
    @param identification: 16 bits, random for each packet; IPv4 only.
    """
    if len(destination) == 4:
        return ipv4.wrap(payload, source, destination, identification)
    return ipv6.wrap(payload, source, destination)


def readPacket(data: bytes) -> Packet:
    """
    Read the IP header of a packet of either family.  The padding of an Ethernet frame is cut
    off.  A length in the header that the packet cannot have, or that would cut an advertisement,
    is ignored, as by ucarp.

    This runs once for every received packet, so it calls no other function.

    @raise Rejected: If the header is incomplete or has an impossible length.
    """
    size = len(data)
    if size > ipv4.HEADER:
        if data[0] >> 4 != 6:
            length = (data[0] & 0xF) * 4
            if ipv4.HEADER <= length <= size:
                end = data[2] << 8 | data[3]
                whole = length + SIZE
                if length < end < size and (end >= whole or size < whole):
                    data = data[:end]
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
            end = ipv6.HEADER + (data[4] << 8 | data[5])
            whole = ipv6.HEADER + SIZE
            if ipv6.HEADER < end < size and (end >= whole or size < whole):
                data = data[:end]
            return Packet(
                Family.IPV6, data[8:24], data[24:40], data[7], data[6], data[ipv6.HEADER :]
            )
    raise Rejected(Rejection.SIZE, f"{size} bytes")


def unwrap(packet: Packet, audience: Audience) -> Advertisement:
    """
    Return the advertisement in a packet, if this virtual host accepts it.  The digest is not
    verified here.

    What ucarp does not check is not checked here: type, authlen, fragmentation and bytes after
    the advertisement.  The checksum of an IPv4 packet covers the IP header and the
    advertisement in one sum, as in ucarp.  That of an IPv6 packet may cover the pseudo-header.

    @raise Rejected: If this virtual host does not accept the packet.
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
    if packet.hops != TTL and source not in audience.peers:
        raise Rejected(Rejection.TTL, str(packet.hops))
    try:
        advertisement = decode(payload)
    except Rejected:
        if looksLikeVRRP(payload):
            raise Rejected(Rejection.VRRP) from None
        raise
    if advertisement.vhid != audience.vhid:
        raise Rejected(Rejection.VHID, str(advertisement.vhid))
    # Unicast to this host is accepted from any source, because kernels send it from the first
    # address of their interface, which need not be the one that this host knows.
    destination = packet.destination
    if destination != audience.group and isMulticast(destination):
        text = ".".join(map(str, destination)) if len(destination) == 4 else destination.hex(":", 2)
        raise Rejected(Rejection.DESTINATION, text)
    summed = packet.header + payload[:SIZE]
    # A correct checksum makes the sum of the words zero in one's complement, and the number
    # that they spell a multiple of 65535 (L{internetChecksum}).
    if int.from_bytes(summed) % 0xFFFF and not _coversPseudoHeader(packet):
        # The checksum of VRRP covers the whole payload, which many addresses make longer.
        raise Rejected(Rejection.VRRP if looksLikeVRRP(payload) else Rejection.CHECKSUM)
    return advertisement


def _coversPseudoHeader(packet: Packet) -> bool:
    """
    Whether the checksum in an IPv6 packet is correct if it covers the pseudo-header.
    """
    if packet.header:
        return False
    pseudo = ipv6.pseudoHeader(packet.source, packet.destination, SIZE)
    return internetChecksum(pseudo + packet.payload[:SIZE]) == 0
