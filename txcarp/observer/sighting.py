"""
What one advertisement says, CARP or VRRP, to an observer without the password.
"""

from __future__ import annotations

import enum
import struct
from typing import TypeAlias

import attrs

from txcarp.observer import vrrp
from txcarp.observer.vrrp import VRRPClaim
from txcarp.protocol import ipv6
from txcarp.protocol.advertisement import PROTOCOL, SIZE, TTL, decode, looksLikeVRRP
from txcarp.protocol.checksum import internetChecksum
from txcarp.protocol.envelope import Packet, readPacket
from txcarp.protocol.family import Family, isMulticast
from txcarp.protocol.rejection import Rejected, Rejection
from txcarp.protocol.timing import Timing

_PSEUDO_IPV4 = struct.Struct("!4s4sxBH")
_FRAGMENT_OFFSET = 0x1FFF


class Protocol(enum.Enum):
    """
    The protocols that share IP protocol number 112.
    """

    CARP = "CARP"
    VRRP = "VRRP"


@attrs.frozen
class CARPClaim:
    """
    What a CARP master claims.

    @ivar timing: How often it advertises; the smaller timing is preferred.
    @ivar demotion: OpenBSD's demotion counter, which is compared before the
        timing.
    """

    timing: Timing
    demotion: int = 0

    @property
    def interval(self) -> float:
        """
        Seconds from one advertisement to the next.
        """
        return self.timing.interval


Claim: TypeAlias = CARPClaim | VRRPClaim


@attrs.frozen
class Sighting:
    """
    An advertisement.  Its digest was not verified.

    @ivar vhid: The number of the group, which VRRP calls virtual router.
    @ivar source: The packed source address.
    @ivar destination: The packed destination address.
    @ivar leaving: Whether it is a bow-out, or has VRRP priority 0.
    @ivar counter: The 64-bit counter of CARP.
    @ivar addresses: The packed virtual addresses; only VRRP has them.
    """

    protocol: Protocol
    vhid: int
    source: bytes
    destination: bytes
    claim: Claim
    leaving: bool
    counter: int | None = None
    addresses: tuple[bytes, ...] = ()


def look(data: bytes) -> Sighting:
    """
    Read a packet.

    @param data: A packet from its IP header on, perhaps padded by an Ethernet card.
    @raise Rejected: If every receiver would refuse it, whatever its group.
    """
    version = data[0] >> 4 if data else 0
    if version not in (4, 6):
        raise Rejected(Rejection.SIZE, f"{len(data)} bytes")
    packet = readPacket(data)
    if packet.protocol != PROTOCOL:
        raise Rejected(Rejection.PROTOCOL, str(packet.protocol))
    if version == 4 and int.from_bytes(data[6:8]) & _FRAGMENT_OFFSET:
        raise Rejected(Rejection.SIZE, "a later fragment")
    size = int.from_bytes(data[4:6])
    if version == 4:
        size = int.from_bytes(data[2:4]) - len(packet.header)
    if 0 < size < len(packet.payload):
        packet = attrs.evolve(packet, payload=packet.payload[:size])
    if packet.hops != TTL and isMulticast(packet.destination):
        # A router may be on the way to a single peer, and lowers the TTL.
        raise Rejected(Rejection.TTL, str(packet.hops))
    return (_readVRRP if looksLikeVRRP(packet.payload) else _readCARP)(packet)


def _readCARP(packet: Packet) -> Sighting:
    found = decode(packet.payload)
    _check(Protocol.CARP, found.vhid, packet, packet.payload[:SIZE])
    return Sighting(
        protocol=Protocol.CARP,
        vhid=found.vhid,
        source=packet.source,
        destination=packet.destination,
        claim=CARPClaim(Timing(found.advbase, found.advskew), found.demotion),
        leaving=found.isBowOut,
        counter=found.counter,
    )


def _readVRRP(packet: Packet) -> Sighting:
    vrid, claim, addresses = vrrp.decode(packet.payload, len(packet.source))
    _check(Protocol.VRRP, vrid, packet, packet.payload)
    return Sighting(
        protocol=Protocol.VRRP,
        vhid=vrid,
        source=packet.source,
        destination=packet.destination,
        claim=claim,
        leaving=claim.priority == vrrp.LEAVING,
        addresses=addresses,
    )


def _check(protocol: Protocol, vhid: int, packet: Packet, summed: bytes) -> None:
    """
    Check the number of the group, and the checksum with and without a
    pseudo-header.  NetBSD's CARP over IPv6 has one; VRRP version 3 has one, but
    over IPv4 not in every implementation.
    """
    if not vhid:
        raise Rejected(Rejection.VHID, "0")
    if not internetChecksum(summed):
        return
    ends = packet.source, packet.destination
    if packet.family is Family.IPV6:
        pseudo = ipv6.pseudoHeader(*ends, len(summed))
    else:
        pseudo = _PSEUDO_IPV4.pack(*ends, PROTOCOL, len(summed))
    if internetChecksum(pseudo + summed):
        raise Rejected(Rejection.CHECKSUM, f"{protocol.value} {vhid}")
