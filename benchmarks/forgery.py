"""
What somebody makes of an advertisement who captured it and knows no password.
"""

from __future__ import annotations

from txcarp.protocol import ipv6
from txcarp.protocol.advertisement import SIZE
from txcarp.protocol.checksum import internetChecksum
from txcarp.protocol.envelope import headerLength, isIPv6

#: Where the fields are that the digest does not cover, in the bytes after the IP header.
ADVSKEW, DEMOTION, ADVBASE = 2, 4, 5

_CHECKSUM = slice(6, 8)


def mended(packet: bytes, *, pseudo: bool = False) -> bytes:
    """
    The same with the checksums right, of the advertisement and of an IPv4 header, so
    that it reaches the digest.

    @param pseudo: whether to sum the pseudo-header of IPv6, too, as newer NetBSD does.
    """
    length = headerLength(packet)
    if not length or len(packet) < length + SIZE:
        return packet  # nothing to mend
    changed = bytearray(packet)
    summed = changed[length : length + SIZE]
    summed[_CHECKSUM] = b"\0\0"
    before = b""
    if isIPv6(packet):
        before = ipv6.pseudoHeader(packet[8:24], packet[24:40], SIZE) if pseudo else b""
    else:
        changed[10:12] = b"\0\0"
        changed[10:12] = internetChecksum(changed[:length]).to_bytes(2, "big")
    summed[_CHECKSUM] = internetChecksum(before + summed).to_bytes(2, "big")
    changed[length : length + SIZE] = summed
    return bytes(changed)


def forged(
    packet: bytes,
    *,
    advbase: int | None = None,
    advskew: int | None = None,
    demotion: int | None = None,
    source: bytes | None = None,
) -> bytes:
    """
    An advertisement that says something else, or comes from somebody else; counter and
    digest are the captured ones.

    @param packet: a whole one, from its IP header on.
    @param source: a packed address of its family.
    """
    changed = bytearray(packet)
    start = headerLength(packet)
    for offset, value in ((ADVBASE, advbase), (ADVSKEW, advskew), (DEMOTION, demotion)):
        if value is not None:
            changed[start + offset] = value
    if source is not None:
        where = 8 if isIPv6(packet) else 12
        changed[where : where + len(source)] = source
    return mended(bytes(changed))
