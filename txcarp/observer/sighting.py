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
from txcarp.protocol.envelope import Packet
from txcarp.protocol.family import Family, isMulticast
from txcarp.protocol.rejection import Rejected, Rejection
from txcarp.protocol.timing import Timing

#: Of an IPv4 header: version and length, and the place of a fragment.
_HEADER = struct.Struct("!BxxxxxH")
_FRAGMENT_OFFSET = 0x1FFF
_PSEUDO_HEADER = struct.Struct("!4s4sxBH")


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
    @ivar demotion: OpenBSD's demotion counter, which is compared before the timing.
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
    An advertisement, as anybody can read it.

    @ivar vhid: The number of the group, which VRRP calls virtual router.
    @ivar source: The packed source address.
    @ivar destination: The packed destination address.
    @ivar leaving: Whether it is a bow-out, or has VRRP priority 0.
    @ivar counter: The 64-bit counter of CARP.
    @ivar addresses: The packed virtual addresses; only VRRP has them.
    @ivar digest: The digest of CARP.
    """

    protocol: Protocol
    vhid: int
    source: bytes
    destination: bytes
    claim: Claim
    leaving: bool
    counter: int | None = None
    addresses: tuple[bytes, ...] = ()
    digest: bytes = b""


def look(packet: Packet) -> Sighting:
    """
    Read the advertisement in a packet.

    @raise Rejected: If every receiver would refuse it, whatever its group.
    """
    payload, source, destination = packet.payload, packet.source, packet.destination
    if packet.protocol != PROTOCOL:
        raise Rejected(Rejection.PROTOCOL, str(packet.protocol))
    if packet.family is Family.IPV4:
        version, fragment = _HEADER.unpack_from(packet.header)
        if version >> 4 != 4:
            raise Rejected(Rejection.SIZE, f"version {version >> 4} of IP")
        if fragment & _FRAGMENT_OFFSET:
            raise Rejected(Rejection.SIZE, "a later fragment")
    if packet.hops != TTL and isMulticast(destination):
        # A router may be on the way to a single peer, and lowers the TTL.
        raise Rejected(Rejection.TTL, str(packet.hops))
    if looksLikeVRRP(payload):
        vhid, claim, addresses = vrrp.decode(payload, len(source))
        leaving = claim.priority == vrrp.LEAVING
        seen = Sighting(
            Protocol.VRRP, vhid, source, destination, claim, leaving, addresses=addresses
        )
    else:
        found = decode(payload)
        seen = Sighting(
            protocol=Protocol.CARP,
            vhid=found.vhid,
            source=source,
            destination=destination,
            claim=CARPClaim(Timing(found.advbase, found.advskew), found.demotion),
            leaving=found.isBowOut,
            counter=found.counter,
            digest=found.digest,
        )
        payload = payload[:SIZE]
    if not seen.vhid:
        raise Rejected(Rejection.VHID, "0")
    # The checksum of NetBSD's CARP over IPv6 covers a pseudo-header; so does that of VRRP version
    # 3, though over IPv4 not in every implementation.
    if internetChecksum(payload) and internetChecksum(_pseudoHeader(packet, payload) + payload):
        raise Rejected(Rejection.CHECKSUM, f"{seen.protocol.value} {seen.vhid}")
    return seen


def _pseudoHeader(packet: Packet, payload: bytes) -> bytes:
    if packet.family is Family.IPV6:
        return ipv6.pseudoHeader(packet.source, packet.destination, len(payload))
    return _PSEUDO_HEADER.pack(packet.source, packet.destination, PROTOCOL, len(payload))
