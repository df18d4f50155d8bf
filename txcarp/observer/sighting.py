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
from txcarp.protocol.advertisement import PROTOCOL, SIZE, decode, looksLikeVRRP
from txcarp.protocol.checksum import internetChecksum
from txcarp.protocol.envelope import (
    HOPS,
    destinationOf,
    headerLength,
    hopsOf,
    isIPv6,
    sourceOf,
)
from txcarp.protocol.family import isMulticast
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


def look(packet: bytes) -> Sighting:
    """
    Read a packet.

    @param packet: A packet from its IP header on, perhaps padded by an Ethernet
        card.
    @raise Rejected: If every receiver would refuse it, whatever its group.
    """
    length = _checkedHeader(packet)
    end = int.from_bytes(packet[4:6]) + length if isIPv6(packet) else int.from_bytes(packet[2:4])
    if not length < end <= len(packet):
        end = len(packet)
    payload = packet[length:end]
    if hopsOf(packet) != HOPS and isMulticast(destinationOf(packet)):
        # A router may be on the way to a single peer, and lowers the TTL.
        raise Rejected(Rejection.TTL, str(hopsOf(packet)))
    return (_readVRRP if looksLikeVRRP(payload) else _readCARP)(packet, payload)


def _checkedHeader(packet: bytes) -> int:
    """
    The length of the IP header, in bytes.
    """
    version = packet[0] >> 4 if packet else 0
    length = headerLength(packet)
    if version not in (4, 6) or not length:
        raise Rejected(Rejection.SIZE, f"{len(packet)} bytes")
    protocol = packet[6 if version == 6 else 9]
    if protocol != PROTOCOL:
        raise Rejected(Rejection.PROTOCOL, str(protocol))
    if version == 4 and int.from_bytes(packet[6:8]) & _FRAGMENT_OFFSET:
        raise Rejected(Rejection.SIZE, "a later fragment")
    return length


def _readCARP(packet: bytes, payload: bytes) -> Sighting:
    found = decode(payload)
    _check(Protocol.CARP, found.vhid, packet, payload[:SIZE])
    return Sighting(
        protocol=Protocol.CARP,
        vhid=found.vhid,
        source=sourceOf(packet),
        destination=destinationOf(packet),
        claim=CARPClaim(Timing(found.advbase, found.advskew), found.demotion),
        leaving=found.isBowOut,
        counter=found.counter,
    )


def _readVRRP(packet: bytes, payload: bytes) -> Sighting:
    source = sourceOf(packet)
    vrid, claim, addresses = vrrp.decode(payload, len(source))
    _check(Protocol.VRRP, vrid, packet, payload)
    return Sighting(
        protocol=Protocol.VRRP,
        vhid=vrid,
        source=source,
        destination=destinationOf(packet),
        claim=claim,
        leaving=claim.priority == vrrp.LEAVING,
        addresses=addresses,
    )


def _check(protocol: Protocol, vhid: int, packet: bytes, summed: bytes) -> None:
    """
    Check the number of the group, and the checksum with and without a
    pseudo-header.  NetBSD's CARP over IPv6 has one; VRRP version 3 has one, but
    over IPv4 not in every implementation.
    """
    if not vhid:
        raise Rejected(Rejection.VHID, "0")
    if not internetChecksum(summed):
        return
    if isIPv6(packet):
        pseudo = ipv6.pseudoHeader(packet[8:24], packet[24:40], len(summed))
    else:
        pseudo = _PSEUDO_IPV4.pack(sourceOf(packet), destinationOf(packet), PROTOCOL, len(summed))
    if internetChecksum(pseudo + summed):
        raise Rejected(Rejection.CHECKSUM, f"{protocol.value} {vhid}")
