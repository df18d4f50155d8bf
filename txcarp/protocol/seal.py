"""
Seals: counters that authenticate what the digest leaves out.

The digest of CARP covers the vhid, the addresses and the counter, but neither advbase nor
advskew nor the demotion byte, and no implementation checks whether a counter was used
before.  ucarp and the BSD kernels therefore believe a captured advertisement that is sent
again with other values.  To them the counter is just 64 bits.  This program composes them::

    40 bits: a tick, strictly increasing      24 bits: a tag

The tag is a truncated HMAC-SHA256 over the tick, the header fields and the source address.
Its key is derived from the password.  A receiver that knows the password can thus recognise
a sealed advertisement.  C{docs/protocol.rst} describes what this protects against, and what it
does not.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import struct
from array import array
from bisect import bisect_left, insort

import attrs

from txcarp.protocol.advertisement import ADVERTISEMENT, VERSION, Advertisement
from txcarp.protocol.mac import prepareHMAC

#: How many bits the tag has.  They are the lower ones of the counter.
TAG_BITS = 24

#: The number of ticks: the largest one plus one.
TICKS = 1 << 40

#: Ticks per second.
PACE = 100

#: The time of tick 0 (2020-01-01 UTC) in seconds since 1970.  The last tick is in 2368.
EPOCH = 1577836800

#: A single advertisement may be at most this many seconds ahead of all others.  The counter of
#: a host that does not seal can have a valid tag by chance; its tick is then random, and nearly
#: always centuries ahead.
FAR_AHEAD = 10 * 365 * 86400

#: Ticks up to this many seconds after L{EPOCH} (until 2050) are likely to be true, also to a host
#: whose own clock was never set, and shows 1970.
LIKELY = 30 * 365 * 86400

_TAG_MASK = (1 << TAG_BITS) - 1
_PURPOSE = b"txcarp: sealed advertisements, version 1"
_COVERED = struct.Struct("!BBBBQ")


class Verification(enum.Enum):
    """
    How the seals of received advertisements are verified.

    @cvar OFF: Not at all; this host does not seal either.
    @cvar LEARN: Advertisements without a seal are accepted, except from sources known to seal.
    @cvar REQUIRE: Advertisements without a seal are rejected.
    """

    OFF = "off"
    LEARN = "learn"
    REQUIRE = "require"


@attrs.frozen
class Fields:
    """
    The header fields that vary from one advertisement of a host to the next, and that its seal
    covers.

    @ivar advbase: Whole seconds.
    @ivar advskew: 256ths of a second.
    @ivar demotion: OpenBSD's demotion counter.
    """

    advbase: int
    advskew: int
    demotion: int = 0


class Seal:
    """
    Seals and opens the counters of one virtual host under one password.
    """

    def __init__(self, password: bytes, vhid: int) -> None:
        key = hmac.digest(password, _PURPOSE, "sha256")
        self._mac = prepareHMAC(key, hashlib.sha256, bytes((VERSION << 4 | ADVERTISEMENT, vhid)))

    def counter(self, tick: int, says: Fields, source: bytes) -> int:
        """
        Return the counter of an advertisement.

        @param tick: A tick, less than L{TICKS}.
        @param source: The packed source address.
        """
        return tick << TAG_BITS | int.from_bytes(self._tag(tick, says, source))

    def opens(self, counter: int, says: Fields, source: bytes) -> bool:
        """
        Whether a counter has a valid seal for these fields and this packed source address.
        The comparison takes constant time.
        """
        tag = self._tag(counter >> TAG_BITS, says, source)
        return hmac.compare_digest(tag, (counter & _TAG_MASK).to_bytes(3))

    def _tag(self, tick: int, says: Fields, source: bytes) -> bytes:
        covered = _COVERED.pack(says.advbase, says.advskew, says.demotion, len(source), tick)
        return self._mac(covered + source)[:3]


def saidBy(advertisement: Advertisement) -> Fields:
    """
    Return the fields of an advertisement that a seal covers.
    """
    return Fields(advertisement.advbase, advertisement.advskew, advertisement.demotion)


_NO_COUNTERS = array("Q")


@attrs.define
class Counters:
    """
    The counters that were added last, eight bytes each.

    There are two sorted arrays, of half the limit each.  When the younger one is full, the older
    one is dropped, so that at least the last half of the limit is known.  (A set of numbers takes
    ten times the memory, and each garbage collection looks at every one of them.)

    @ivar limit: How many counters are known at most.
    """

    limit: int
    _young: array[int] = attrs.field(init=False, factory=lambda: array("Q"))
    _old: array[int] = attrs.field(init=False, default=_NO_COUNTERS)  # never changed

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def __contains__(self, counter: int) -> bool:
        for some in (self._young, self._old):
            at = bisect_left(some, counter)
            if at < len(some) and some[at] == counter:
                return True
        return False

    def add(self, counter: int) -> int:
        """
        Add a counter.

        @return: The highest of those that are no longer known; -1 if there are none.
        """
        young, highest = self._young, -1
        if young and counter < young[-1]:
            insort(young, counter)
        else:
            young.append(counter)
        if len(young) >= self.limit // 2:
            highest = self._old[-1] if self._old else -1
            self._old, self._young = young, array("Q")
        return highest


class Ticks:
    """
    The ticks of one sender.

    Normally a tick is the time of the wall clock.  Ticks never go back when the clock is set
    back, and they keep pace with the time that passes, so that receivers can distinguish old
    advertisements from fresh ones.  Every tick is also later than all ticks heard before: a
    host whose clock is wrong and that has lost its state is back in step as soon as it hears
    one other host.  If its wall clock is years ahead of the group that it has heard, it keeps the
    pace of the group, because receivers reject such a leap at first.

    @ivar last: The last tick used or heard.
    """

    def __init__(self, last: int = 0, ahead: float = float("-inf")) -> None:
        """
        @param last: The last tick that this host may have used.
        @param ahead: At least how many seconds the ticks have to be ahead of the running
            clock, to keep the pace of an earlier run.
        """
        self.last = last
        self._offset = ahead * PACE
        self._group = float("-inf")

    def next(self, wall: float, running: float) -> int | None:
        """
        Return the tick for the next advertisement; C{None} if all ticks have been used.

        @param wall: Seconds since 1970.
        @param running: Seconds on the running clock, which is never set.
        """
        paced = running * PACE + self._offset
        clock = int((wall - EPOCH) * PACE)
        group = running * PACE + self._group
        if float("-inf") < group < clock - FAR_AHEAD * PACE:
            clock = int(group)
        if paced > clock:
            clock = int(paced)
        tick = max(self.last + 1, clock)
        if tick >= TICKS:
            return None
        # Several ticks in one moment, as for two families, must not move the pace forward:
        # ticks would run away from every clock.
        hasPace = self._offset > float("-inf")
        ahead = PACE if hasPace and tick != clock else 0
        self.last = tick
        self._offset = max(self._offset, tick - ahead - running * PACE)
        return tick

    def heard(self, tick: int, running: float) -> None:
        """
        Make every further tick later than this one, which a peer used.
        """
        offset = tick - running * PACE
        if offset > self._group:
            self._group = offset
        if tick > self.last:
            self.last = tick
            if offset > self._offset:
                self._offset = offset
