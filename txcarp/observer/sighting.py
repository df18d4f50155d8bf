"""
What one packet says, CARP or VRRP, to somebody who takes no part.
"""

from __future__ import annotations

import enum
import struct

import attrs

from txcarp.observer import vrrp
from txcarp.observer.claim import CARPClaim, Claim, VRRPClaim
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
from txcarp.protocol.family import Family, familyOf, isMulticast
from txcarp.protocol.rejection import Rejected, Rejection
from txcarp.protocol.timing import Timing

_PSEUDO_IPV4 = struct.Struct("!4s4sxBH")
_FRAGMENT_OFFSET = 0x1FFF


class Protocol(enum.Enum):
    """
    Who speaks protocol 112.
    """

    CARP = "CARP"
    VRRP = "VRRP"


@attrs.frozen
class Sighting:
    """
    An advertisement, believed as it stands.

    @ivar vhid: The number of the group, which VRRP calls virtual router.
    @ivar source: The packed address it comes from.
    @ivar destination: The packed address it was sent to.
    @ivar leaving: Whether it says good-bye.
    @ivar counter: The 64 bits of CARP.
    @ivar addresses: The packed virtual addresses, which only VRRP tells.
    """

    protocol: Protocol
    vhid: int
    source: bytes
    destination: bytes
    claim: Claim
    leaving: bool
    counter: int | None = None
    addresses: tuple[bytes, ...] = ()

    @property
    def family(self) -> Family:
        """
        The family of the packet.
        """
        return familyOf(self.source)


def look(packet: bytes) -> Sighting:
    """
    Read a packet.  Refused is what every receiver would refuse, whatever group
    it is in.

    @param packet: The packet from its IP header on; an Ethernet card may have
        padded it.
    @raise Rejected: If nobody would listen to it.
    """
    length = _checkedHeader(packet)
    end = int.from_bytes(packet[4:6]) + length if isIPv6(packet) else int.from_bytes(packet[2:4])
    if not length < end <= len(packet):
        end = len(packet)
    payload = packet[length:end]
    if hopsOf(packet) != HOPS and isMulticast(destinationOf(packet)):
        # One that is sent to a peer alone may have come by a router.
        raise Rejected(Rejection.TTL, str(hopsOf(packet)))
    sighting = _readVRRP if looksLikeVRRP(payload) else _readCARP
    return sighting(packet, length, payload)


def _checkedHeader(packet: bytes) -> int:
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


def _readCARP(packet: bytes, length: int, payload: bytes) -> Sighting:
    found = decode(payload)
    if not found.vhid:
        raise Rejected(Rejection.VHID, "0")
    if internetChecksum(payload[:SIZE]) and internetChecksum(
        _pseudoHeader(packet, SIZE) + payload[:SIZE]
    ):
        raise Rejected(Rejection.CHECKSUM, f"CARP {found.vhid}")
    return Sighting(
        protocol=Protocol.CARP,
        vhid=found.vhid,
        source=sourceOf(packet),
        destination=destinationOf(packet),
        claim=CARPClaim(Timing(found.advbase, found.advskew), found.demotion),
        leaving=found.isBowOut,
        counter=found.counter,
    )


def _readVRRP(packet: bytes, length: int, payload: bytes) -> Sighting:
    source = sourceOf(packet)
    found = vrrp.decode(payload, len(source))
    if not found.vrid:
        raise Rejected(Rejection.VHID, "0")
    # Version 3 sums a pseudo-header as well, but not everybody's over IPv4.
    if internetChecksum(payload) and internetChecksum(
        _pseudoHeader(packet, len(payload)) + payload
    ):
        raise Rejected(Rejection.CHECKSUM, f"VRRP {found.vrid}")
    return Sighting(
        protocol=Protocol.VRRP,
        vhid=found.vrid,
        source=source,
        destination=destinationOf(packet),
        claim=VRRPClaim(found.version, found.priority, found.interval),
        leaving=found.priority == vrrp.LEAVING,
        addresses=found.addresses,
    )


def _pseudoHeader(packet: bytes, length: int) -> bytes:
    if isIPv6(packet):
        return ipv6.pseudoHeader(packet[8:24], packet[24:40], length)
    return _PSEUDO_IPV4.pack(sourceOf(packet), destinationOf(packet), PROTOCOL, length)
