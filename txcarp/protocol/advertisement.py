"""
The 36 bytes of a CARP advertisement.

=======  ====  ==========================================================
offset   size  field
=======  ====  ==========================================================
0        1     version 2 (high nibble), type 1 (low nibble)
1        1     vhid
2        1     advskew, 1/256 s
3        1     authlen: 7, the 32-bit words of counter and digest
4        1     demotion (OpenBSD); zero elsewhere
5        1     advbase, seconds
6        2     checksum over these 36 bytes
8        8     counter
16       20    HMAC-SHA1 digest
=======  ====  ==========================================================
"""

from __future__ import annotations

import struct

import attrs

from txcarp.protocol.checksum import internetChecksum
from txcarp.protocol.rejection import Rejected, Rejection

#: The IP protocol number, which CARP shares with VRRP.
PROTOCOL = 112

#: The time to live (IPv4) or hop limit (IPv6) of every advertisement.  Routers decrement it,
#: so an advertisement that arrives with this value was sent on this link.
TTL = 255

#: The only version of CARP.
VERSION = 2

#: The packet type of an advertisement.  Receivers ignore it.
ADVERTISEMENT = 1

#: The length of counter and digest in 32-bit words.  Receivers ignore it.
AUTHENTICATION_WORDS = 7

#: The size of an advertisement in bytes.
SIZE = 36

#: The advbase and advskew of a bow-out.  No master advertises more slowly, so every backup
#: concludes that it would time out before the next advertisement, and takes over at once.
BOW_OUT = 255

#: The demotion in a bow-out, where OpenBSD's rules compare it.  A lower one would be a claim to
#: mastership: a successor that is demoted itself yields to the bow-out in the second family.
LEAVING_DEMOTION = 255

#: The highest skew that a demoted host advertises (CARP_MAXSKEW in the BSD kernels).  Higher
#: values are left for hosts configured as a last resort, and for bow-outs.
MAXIMUM_DEMOTED_SKEW = 240

_LAYOUT = struct.Struct("!BBBBBBHQ20s")

#: The counter and the digest, which begin at L{AUTHENTICATION_OFFSET}.
AUTHENTICATION = struct.Struct("!Q20s")
AUTHENTICATION_OFFSET = 8


@attrs.frozen
class Advertisement:
    """
    The fields of an advertisement that vary.

    @ivar vhid: The virtual host ID, 1 to 255.
    @ivar advbase: Whole seconds between advertisements, 0 to 255.
    @ivar advskew: 256ths of a second added to advbase, 0 to 255.
    @ivar counter: A 64-bit number that makes each digest different.
    @ivar digest: The 20 bytes that prove knowledge of the password.
    @ivar demotion: OpenBSD's demotion counter, 0 to 255.
    """

    vhid: int
    advbase: int
    advskew: int
    counter: int
    digest: bytes = attrs.field(repr=lambda digest: digest.hex())
    demotion: int = 0

    @property
    def isBowOut(self) -> bool:
        """
        Whether the sender is giving up mastership.
        """
        return self.advbase == BOW_OUT and self.advskew == BOW_OUT


def encode(advertisement: Advertisement) -> bytes:
    """
    Encode an advertisement, including its checksum.
    """
    packed = _LAYOUT.pack(
        VERSION << 4 | ADVERTISEMENT,
        advertisement.vhid,
        advertisement.advskew,
        AUTHENTICATION_WORDS,
        advertisement.demotion,
        advertisement.advbase,
        0,
        advertisement.counter,
        advertisement.digest,
    )
    return packed[:6] + internetChecksum(packed).to_bytes(2, "big") + packed[8:]


def decode(payload: bytes) -> Advertisement:
    """
    Decode an advertisement.

    Only the size and the version are checked.  The checksum is left to the caller, because
    ucarp computes it together with the IP header.  The type, authlen and any bytes after the
    36th are ignored, as every implementation does.

    @param payload: The bytes after the IP header.
    @raise Rejected: If there are fewer than 36 bytes, or the version is not 2.
    """
    if len(payload) < SIZE:
        raise Rejected(Rejection.SIZE, f"{len(payload)} bytes")
    first, vhid, advskew, _, demotion, advbase, _, counter, digest = _LAYOUT.unpack_from(payload)
    version = first >> 4
    if version != VERSION:
        raise Rejected(Rejection.VERSION, str(version))
    return Advertisement(vhid, advbase, advskew, counter, digest, demotion)


def looksLikeVRRP(payload: bytes) -> bool:
    """
    Whether a payload of protocol 112 that is not valid CARP is a VRRP advertisement.

    VRRP version 3 (RFC 9568) has another version nibble.  Version 2 (RFC 3768) starts with
    the same byte as CARP, but its fourth byte is a number of addresses, and its length
    follows from that: eight bytes, four for each address, and the authentication data.  That
    has eight bytes, and 30 more with the MD5 authentication of Cisco's routers.

    @param payload: The payload without the padding of an Ethernet frame.
    """
    if not payload:
        return False
    version = payload[0] >> 4
    if version == 3:
        return True
    return version == VERSION and len(payload) > 3 and len(payload) - 4 * payload[3] in (16, 46)
