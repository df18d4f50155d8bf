"""
The test packets of doctors: what they say, and their bytes.

A test packet travels exactly as an advertisement does: IP protocol 112, the group's destination,
TTL 255.  It is made so that no implementation of CARP or VRRP does anything with it:

  - Its vhid is 0, which no group can have: ucarp, txcarp and the BSD kernels drop it as one of
    another group, after its version, its TTL and its checksum have passed.
  - Its packet type is 15.  CARP does not look at it; VRRP discards unknown types (RFC 9568,
    section 5.2.2), and the virtual router 0 does not exist.
  - Its checksum is right, whether a receiver sums up the first 36 bytes, as ucarp does, or the
    whole payload, as the BSD kernels do.

=======  ====  ==========================================================
offset   size  field
=======  ====  ==========================================================
0        1     version 2 (high nibble), type 15 (low nibble)
1        1     0, in the place of the vhid
2        1     the vhid of the group
3        1     7, in the place of authlen
4        1     the kind of the packet
5        1     the version of this format
6        2     checksum over the first 36 bytes
8        8     the number of this run of the doctor, random
16       20    HMAC-SHA256 of everything, cut off
36       8     the wall clock of the sender, microseconds since 1970
44       4     the MTU of its interface
48       8     what identifies its settings
56       1     advbase
57       1     advskew
58       1     whether it has all that it waits for
59       1     the number of echoes
60       25    each echo: its run, what arrived, its clock, the own clock
last     2     makes the sum of all that follows the first 36 bytes zero
=======  ====  ==========================================================

Each packet is signed with a key made of the group's password, so that nobody without it can have a
doctor say that a path is fine, or is not.  Somebody can send old packets again.  A doctor therefore
believes what a packet says only if the packet echoes the number of its own present run.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import struct
from collections.abc import Iterable

import attrs

from txcarp.protocol.advertisement import AUTHENTICATION_WORDS, SIZE, VERSION
from txcarp.protocol.checksum import internetChecksum
from txcarp.protocol.rejection import Rejected, Rejection

#: The number in the place of the vhid.
NO_GROUP = 0

#: The type of CARP and VRRP that nobody uses.
TYPE = 15

#: The version of the format.
FORMAT = 1

#: The most echoes in a packet.
MOST_ECHOES = 8

_FIRST = VERSION << 4 | TYPE
_HEAD = struct.Struct("!BBBBBBH8s20s")
_BODY = struct.Struct("!QI8sBBBB")
_ECHO = struct.Struct("!8sBQQ")
_END = 2
_PURPOSE = b"txcarp doctor 1"
_DIGEST = slice(16, 36)
_CHECKSUM = slice(6, 8)


class Kind(enum.IntEnum):
    """
    How a test packet was sent.
    """

    MULTICAST = 0
    UNICAST = 1
    LARGE = 2


class Seen(enum.IntFlag):
    """
    What a host has seen of the packets of another one: each kind at the interface, in front of the
    firewall, and behind it.
    """

    NOTHING = 0
    MULTICAST_AT_INTERFACE = 1
    MULTICAST = 2
    UNICAST_AT_INTERFACE = 4
    UNICAST = 8
    LARGE_AT_INTERFACE = 16
    LARGE = 32


@attrs.frozen
class Echo:
    """
    What the sender of a packet has seen of another doctor.

    @ivar run: The number of the other doctor's run.
    @ivar seen: What arrived.
    @ivar theirs: The clock in the last packet that arrived, microseconds since 1970.
    @ivar own: The clock of the sender when that packet arrived.
    """

    run: bytes
    seen: Seen
    theirs: int
    own: int


@attrs.frozen
class TestPacket:
    """
    A test packet.

    @ivar vhid: The number of the group, 1 to 255.
    @ivar run: The number of the run that sent it, 8 bytes.
    @ivar clock: The wall clock of the sender, microseconds since 1970.
    @ivar mtu: The MTU of its interface.
    @ivar settings: What identifies the settings of its sender (L{Signer.mark}).
    @ivar isDone: Whether the sender waits for nothing any more.
    """

    __test__ = False

    vhid: int
    kind: Kind
    run: bytes
    clock: int
    mtu: int
    settings: bytes
    advbase: int
    advskew: int
    isDone: bool
    echoes: tuple[Echo, ...] = ()


class Signer:
    """
    Signs and verifies the test packets of one group.
    """

    def __init__(self, password: bytes, vhid: int) -> None:
        self._key = hmac.digest(password, _PURPOSE + bytes((vhid,)), "sha256")

    def mark(self, parts: Iterable[bytes]) -> bytes:
        """
        Eight bytes that identify some settings to those who know the password, and tell others
        nothing.
        """
        text = hashlib.sha256()
        for part in parts:
            text.update(len(part).to_bytes(4, "big") + part)
        return hmac.digest(self._key, b"settings" + text.digest(), "sha256")[:8]

    def digest(self, payload: bytes, source: bytes) -> bytes:
        """
        The signature of a payload, whose own bytes for it and for the checksums are zero.

        @param source: The packed address that sends it.
        """
        return hmac.digest(self._key, source + payload, "sha256")[:20]


def encode(packet: TestPacket, signer: Signer, source: bytes, size: int = 0) -> bytes:
    """
    The payload of a test packet.

    @param source: The packed address that will send it.
    @param size: Bytes that it has to have at least.
    """
    echoes = packet.echoes[:MOST_ECHOES]
    rest = _BODY.pack(
        packet.clock,
        packet.mtu,
        packet.settings,
        packet.advbase,
        packet.advskew,
        packet.isDone,
        len(echoes),
    )
    for echo in echoes:
        rest += _ECHO.pack(echo.run, echo.seen, echo.theirs, echo.own)
    rest += bytes(max(0, size - SIZE - len(rest) - _END))
    rest += bytes(len(rest) % 2 + _END)
    head = _head(packet.vhid, packet.kind, packet.run)
    digest = signer.digest(head + rest, source)
    head = head[:16] + digest
    head = head[:6] + internetChecksum(head).to_bytes(2, "big") + head[8:]
    return head + rest[:-_END] + internetChecksum(rest).to_bytes(2, "big")


def isTestPacket(payload: bytes) -> bool:
    """
    Whether a payload of protocol 112 looks like a test packet.
    """
    return (
        len(payload) >= SIZE + _BODY.size + _END
        and payload[0] == _FIRST
        and payload[1] == NO_GROUP
        and payload[5] == FORMAT
    )


def vhidIn(payload: bytes) -> int:
    """
    The vhid of the group that a payload of protocol 112 is about; 0 if it is too short.
    """
    if isTestPacket(payload):
        return payload[2]
    return payload[1] if len(payload) > 1 else 0


def decode(payload: bytes, signer: Signer, source: bytes) -> TestPacket:
    """
    Read a payload for which L{isTestPacket} holds.

    @param source: The packed address that sent it.
    @raise Rejected: If it is not signed with the password of the group, or is malformed.
    """
    if len(payload) % 2:
        raise Rejected(Rejection.SIZE, f"{len(payload)} bytes")
    _, _, vhid, _, kind, _, _, run, digest = _HEAD.unpack_from(payload)
    plain = bytearray(payload)
    plain[_CHECKSUM] = bytes(2)
    plain[_DIGEST] = bytes(20)
    plain[-_END:] = bytes(_END)
    if not hmac.compare_digest(signer.digest(bytes(plain), source), digest):
        raise Rejected(Rejection.DIGEST)
    clock, mtu, settings, advbase, advskew, isDone, count = _BODY.unpack_from(payload, SIZE)
    start = SIZE + _BODY.size
    if kind not in Kind.__members__.values() or len(payload) < start + count * _ECHO.size + _END:
        raise Rejected(Rejection.SIZE, f"{len(payload)} bytes, kind {kind}, {count} echoes")
    echoes = []
    for number in range(count):
        other, seen, theirs, own = _ECHO.unpack_from(payload, start + number * _ECHO.size)
        echoes.append(Echo(other, Seen(seen), theirs, own))
    return TestPacket(
        vhid,
        Kind(kind),
        run,
        clock,
        mtu,
        settings,
        advbase,
        advskew,
        bool(isDone),
        tuple(echoes),
    )


def _head(vhid: int, kind: Kind, run: bytes) -> bytes:
    return _HEAD.pack(_FIRST, NO_GROUP, vhid, AUTHENTICATION_WORDS, kind, FORMAT, 0, run, bytes(20))
