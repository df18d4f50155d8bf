"""
Ethernet frames that an IP socket cannot send.
"""

from __future__ import annotations

import struct

from txcarp.protocol.checksum import internetChecksum

BROADCAST = b"\xff" * 6

_IPV4 = 0x0800
_ARP = 0x0806
_ETHERNET = struct.Struct("!6s6sH")
_ARP_BODY = struct.Struct("!HHBBH6s4s6s4s")
_ARP_REQUEST = 1

_IPV6 = 0x86DD
_ICMPV6 = 58
_ALL_NODES = bytes((0xFF, 0x02, *bytes(13), 1))
_NEIGHBOUR_ADVERTISEMENT = struct.Struct("!BBHI16sBB6s")
_OVERRIDE = 0x20000000


def groupAddress(group: bytes) -> bytes:
    """
    Map a packed multicast group to its Ethernet address: 01:00:5e and the low 23 bits for
    IPv4 (RFC 1112, section 6.4), 33:33 and the low 32 bits for IPv6 (RFC 2464, section 7).
    """
    if len(group) == 16:
        return b"\x33\x33" + group[12:]
    return b"\x01\x00\x5e" + bytes((group[1] & 0x7F,)) + group[2:4]


def ipv4Frame(destination: bytes, source: bytes, packet: bytes) -> bytes:
    """
    Put an IPv4 packet into an Ethernet frame.
    """
    return _ETHERNET.pack(destination, source, _IPV4) + packet


def ipv6Frame(destination: bytes, source: bytes, packet: bytes) -> bytes:
    """
    Put an IPv6 packet into an Ethernet frame.
    """
    return _ETHERNET.pack(destination, source, _IPV6) + packet


def gratuitousARP(hardware: bytes, address: bytes) -> bytes:
    """
    Make the frame of an ARP request for the sender's own address, from which all neighbours
    that know the address learn its new hardware address.  As in the frames of ucarp and the
    BSD kernels, the target's hardware address is filled in, too.

    @param hardware: The six bytes of the Ethernet address.
    @param address: The packed IPv4 address.
    """
    return _ETHERNET.pack(BROADCAST, hardware, _ARP) + _ARP_BODY.pack(
        1, _IPV4, 6, 4, _ARP_REQUEST, hardware, address, hardware, address
    )


def unsolicitedAdvertisement(hardware: bytes, address: bytes) -> bytes:
    """
    Make the frame of an unsolicited neighbour advertisement to all nodes.  It has the
    override flag: all neighbours that know the address learn its new hardware address
    (RFC 4861, section 7.2.6).

    @param hardware: The six bytes of the Ethernet address.
    @param address: The packed IPv6 address.
    """
    body = _NEIGHBOUR_ADVERTISEMENT.pack(136, 0, 0, _OVERRIDE, address, 2, 1, hardware)
    pseudo = address + _ALL_NODES + struct.pack("!I3xB", len(body), _ICMPV6)
    checksum = internetChecksum(pseudo + body).to_bytes(2, "big")
    header = struct.pack("!IHBB", 6 << 28, len(body), _ICMPV6, 255)
    packet = header + address + _ALL_NODES + body[:2] + checksum + body[4:]
    return ipv6Frame(groupAddress(_ALL_NODES), hardware, packet)
