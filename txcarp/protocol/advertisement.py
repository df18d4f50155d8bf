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

#: The IP protocol number that CARP shares with VRRP.
PROTOCOL = 112

#: The only version of CARP there is.
VERSION = 2

#: The type of an advertisement; receivers do not look at it.
ADVERTISEMENT = 1

#: 32-bit words of counter and digest together; receivers do not look at it.
AUTHENTICATION_WORDS = 7

#: Bytes in an advertisement.
SIZE = 36

#: What a host that gives up says for both advbase and advskew: so slow that
#: every backup would time out before the next one, and so takes over now.
BOW_OUT = 255

#: The highest skew that a demoted host advertises (CARP_MAXSKEW in the BSD
#: kernels): values above it mean a configured last resort, or a bow-out.
MAXIMUM_DEMOTED_SKEW = 240

_LAYOUT = struct.Struct("!BBBBBBHQ20s")
_CHECKSUM = slice(6, 8)


@attrs.frozen
class Advertisement:
    """
    What one master says about itself.

    @ivar vhid: The virtual host, 1 to 255.
    @ivar advbase: Whole seconds between advertisements, 0 to 255.
    @ivar advskew: 256ths of a second added to that, 0 to 255.
    @ivar counter: 64 bits that make each digest different.
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
        Whether the sender says that it is leaving.
        """
        return self.advbase == BOW_OUT and self.advskew == BOW_OUT


def encode(advertisement: Advertisement) -> bytes:
    """
    The bytes that go on the wire, checksum included.
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
    checksum = internetChecksum(packed).to_bytes(2, "big")
    return packed[: _CHECKSUM.start] + checksum + packed[_CHECKSUM.stop :]


def decode(payload: bytes) -> Advertisement:
    """
    Read an advertisement from the bytes after the IP header.

    Only what gives the bytes their meaning is checked here: the size and the
    version.  The checksum belongs to the packet around them, because ucarp
    sums it together with the IP header.  Bytes after the 36th are ignored, as
    are type and authlen, which no receiver looks at.

    @raise Rejected: If they are too few, or of another version.
    """
    if len(payload) < SIZE:
        raise Rejected(Rejection.SIZE, f"{len(payload)} bytes")
    first, vhid, advskew, _, demotion, advbase, _, counter, digest = _LAYOUT.unpack_from(payload)
    version = first >> 4
    if version != VERSION:
        raise Rejected(Rejection.VERSION, str(version))
    return Advertisement(
        vhid=vhid,
        advbase=advbase,
        advskew=advskew,
        counter=counter,
        digest=digest,
        demotion=demotion,
    )


def looksLikeVRRP(payload: bytes) -> bool:
    """
    Whether a payload of protocol 112 that is no good as CARP is a VRRP
    advertisement, which shares the protocol number and the group.

    Version 3 (RFC 9568) has another version nibble.  Version 2 (RFC 3768)
    starts with the same byte as CARP, but its fourth byte counts addresses,
    and its length follows from that count: eight bytes, four for each
    address, and eight of authentication data.
    """
    if not payload:
        return False
    version = payload[0] >> 4
    if version == 3:
        return True
    return version == VERSION and len(payload) > 3 and len(payload) == 16 + 4 * payload[3]
