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
_ARP_REQUEST, _ARP_REPLY = 1, 2

#: Where the body of an ARP packet, and of a neighbour advertisement, begins in a frame.
_ARP_START, _ADVERTISEMENT_START = _ETHERNET.size, _ETHERNET.size + 40

_IPV6 = 0x86DD
_ICMPV6 = 58
_ALL_NODES = bytes((0xFF, 0x02, *bytes(13), 1))
_NEIGHBOUR = struct.Struct("!BBHI16sBB6s")
_SOLICITATION, _ADVERTISEMENT = 135, 136
_OVERRIDE = 0x20000000
#: The beginning of the group of all addresses with the same last three bytes (RFC 4291, section
#: 2.7.1).
_SOLICITED_NODE = bytes.fromhex("ff0200000000000000000001ff")


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
    body = _NEIGHBOUR.pack(_ADVERTISEMENT, 0, 0, _OVERRIDE, address, 2, 1, hardware)
    return _discovery(hardware, address, _ALL_NODES, body)


def arpQuestion(
    hardware: bytes, source: bytes, address: bytes, to: bytes | None = None
) -> bytes:
    """
    Make the frame of an ARP request: who has an address?

    @param hardware: The six bytes of the Ethernet address to answer to.
    @param source: The packed IPv4 address of this host, which neighbours note with its hardware
        address; C{0.0.0.0} for a probe, from which they note nothing (RFC 5227, section 2.1.1).
    @param address: The packed IPv4 address.
    @param to: The hardware address to which alone the question goes (RFC 1122, section 2.3.2.1);
        C{None} for all hosts on the link.
    """
    return _ETHERNET.pack(to or BROADCAST, hardware, _ARP) + _ARP_BODY.pack(
        1, _IPV4, 6, 4, _ARP_REQUEST, hardware, source, bytes(6), address
    )


def neighbourSolicitation(
    hardware: bytes, source: bytes, address: bytes, to: bytes | None = None
) -> bytes:
    """
    Make the frame of a neighbour solicitation: who has an address (RFC 4861, section 4.3)?

    @param hardware: The six bytes of the Ethernet address to answer to.
    @param source: A packed IPv6 address of this host alone.
    @param address: The packed IPv6 address.
    @param to: The hardware address to which alone the question goes (RFC 4861, section 7.3.3);
        C{None} for all hosts whose addresses end in the same three bytes.
    """
    body = _NEIGHBOUR.pack(_SOLICITATION, 0, 0, 0, address, 1, 1, hardware)
    if to is not None:
        return _discovery(hardware, source, address, body, to)
    return _discovery(hardware, source, _SOLICITED_NODE + address[13:], body)


def readAnswer(frame: bytes, hardware: bytes) -> tuple[bytes, bytes] | None:
    """
    Read the answer to L{arpQuestion} or L{neighbourSolicitation}.

    @param hardware: The Ethernet address that asked.
    @return: The packed address, and the hardware address that has it; C{None} if this is no answer
        to this host, or comes from this host.
    """
    if len(frame) < _ETHERNET.size or frame[:6] != hardware or frame[6:12] == hardware:
        return None
    kind = _ETHERNET.unpack_from(frame)[2]
    if kind == _ARP and len(frame) >= _ARP_START + _ARP_BODY.size:
        *head, sender, address, target, _ = _ARP_BODY.unpack_from(frame, _ARP_START)
        isGood = head == [1, _IPV4, 6, 4, _ARP_REPLY] and target == hardware
    elif kind == _IPV6 and len(frame) >= _ADVERTISEMENT_START + 24:
        sender, address = frame[6:12], frame[_ADVERTISEMENT_START + 8 :][:16]
        isGood = _isAdvertisement(frame[_ETHERNET.size :])
    else:
        return None
    return (address, sender) if isGood and sender != hardware else None


def _isAdvertisement(packet: bytes) -> bool:
    """
    Whether an IPv6 packet, of 64 bytes at least, is a neighbour advertisement that a receiver must
    not ignore (RFC 4861, section 7.1.2).
    """
    start, length, protocol, hops = struct.unpack_from("!IHBB", packet)
    body = packet[40 : 40 + length]
    isWhole = start >> 28 == 6 and len(body) == length >= 24
    if not isWhole or (protocol, hops, *body[:2]) != (_ICMPV6, 255, _ADVERTISEMENT, 0):
        return False
    return not internetChecksum(packet[8:40] + struct.pack("!I3xB", length, _ICMPV6) + body)


def _discovery(
    hardware: bytes, source: bytes, destination: bytes, body: bytes, to: bytes | None = None
) -> bytes:
    """
    Make the frame of a message of neighbour discovery.

    @param to: The hardware address of the receiver; C{None} for that of a multicast group.
    """
    pseudo = source + destination + struct.pack("!I3xB", len(body), _ICMPV6)
    checksum = internetChecksum(pseudo + body).to_bytes(2, "big")
    header = struct.pack("!IHBB", 6 << 28, len(body), _ICMPV6, 255)
    packet = header + source + destination + body[:2] + checksum + body[4:]
    return ipv6Frame(to or groupAddress(destination), hardware, packet)
