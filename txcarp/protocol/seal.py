"""
Counters that prove what the digest leaves open.

The digest of CARP covers the virtual host, its addresses and a counter, but
neither advbase nor advskew nor the demotion byte, and nobody looks whether a
counter comes back: one captured advertisement, sent again with other values,
is believed by every ucarp and every BSD kernel.  To them the counter is any 64
bits.  Hosts that run this program fill it like this::

    40 bits: a tick, strictly increasing      24 bits: a tag

The tag is a truncated HMAC-SHA256 over the tick, the header fields and the
source address, under a key derived from the password.  A receiver that knows
the password can therefore tell a sealed advertisement from an ordinary one,
and C{docs/protocol.rst} says what follows from that, and what does not.
"""

from __future__ import annotations

import enum
import hmac
import struct

import attrs

from txcarp.protocol.advertisement import ADVERTISEMENT, VERSION, Advertisement

#: Bits of the tag, the lower ones of the counter.
TAG_BITS = 24

#: The first tick that does not fit.
TICKS = 1 << 40

#: Ticks in a second.
PACE = 100

#: Seconds from 1970 to the tick zero, 2020-01-01 UTC.  The last tick is in the
#: year 2368.
EPOCH = 1577836800

_TAG_MASK = (1 << TAG_BITS) - 1
_PURPOSE = b"txcarp: sealed advertisements, version 1"
_COVERED = struct.Struct("!BBBBBB8s")


class Verification(enum.Enum):
    """
    What is demanded of the advertisements of others.
    """

    OFF = "off"
    LEARN = "learn"
    REQUIRE = "require"


@attrs.frozen
class Says:
    """
    What an advertisement says about its sender, and a seal covers.

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
        self._vhid = vhid
        self._key = hmac.digest(password, _PURPOSE, "sha256")

    def counter(self, tick: int, says: Says, source: bytes) -> int:
        """
        The counter of an advertisement.

        @param tick: Below L{TICKS}.
        @param source: The packed address that it comes from.
        """
        return tick << TAG_BITS | self._tag(tick, says, source)

    def opens(self, counter: int, says: Says, source: bytes) -> bool:
        """
        Whether a counter was sealed for exactly this, by somebody who knows
        the password.
        """
        tag = self._tag(tickOf(counter), says, source)
        return hmac.compare_digest(
            tag.to_bytes(3, "big"), (counter & _TAG_MASK).to_bytes(3, "big")
        )

    def _tag(self, tick: int, says: Says, source: bytes) -> int:
        covered = _COVERED.pack(
            VERSION << 4 | ADVERTISEMENT,
            self._vhid,
            says.advbase,
            says.advskew,
            says.demotion,
            len(source),
            tick.to_bytes(8, "big"),
        )
        return int.from_bytes(hmac.digest(self._key, covered + source, "sha256")[:3], "big")


def tickOf(counter: int) -> int:
    """
    The tick in a counter.
    """
    return counter >> TAG_BITS


def saidBy(advertisement: Advertisement) -> Says:
    """
    What of an advertisement a seal covers.
    """
    return Says(advertisement.advbase, advertisement.advskew, advertisement.demotion)


class Ticks:
    """
    The ticks of one sender.

    A tick is the wall clock if nothing speaks against it.  It never goes back
    when the clock does, and it always keeps pace with the time that passes, so
    that a receiver can tell old advertisements from new ones.  And it is later
    than every tick that was heard: a host whose clock is wrong, and that has
    forgotten what it sent, is back in step as soon as it hears one other.

    @ivar last: The last tick that was used or heard.
    """

    def __init__(self, last: int = 0, ahead: float = float("-inf")) -> None:
        """
        @param last: A tick that this host may have used already.
        @param ahead: By how many seconds the ticks have to be ahead, at least,
            of the clock that is never set, to keep the pace of an earlier run.
        """
        self.last = last
        self._offset = ahead * PACE

    def next(self, wall: float, running: float) -> int | None:
        """
        The tick for one more advertisement; C{None} if there is none left.

        @param wall: Seconds since 1970.
        @param running: Seconds on a clock that is never set.
        """
        paced = running * PACE + self._offset
        clock = int((wall - EPOCH) * PACE)
        if paced > clock:
            clock = int(paced)
        tick = max(self.last + 1, clock)
        if tick >= TICKS:
            return None
        # Several in one moment, as for two families, do not make the pace faster:
        # ticks would run away from every clock.
        hasPace = self._offset > float("-inf")
        self._use(tick, running, PACE if hasPace and tick != clock else 0)
        return tick

    def heard(self, tick: int, running: float) -> None:
        """
        Be later than this from now on.
        """
        if tick > self.last:
            self._use(tick, running)

    def _use(self, tick: int, running: float, ahead: int = 0) -> None:
        """
        @param ahead: By how many ticks this one may be ahead of the pace.
        """
        self.last = tick
        self._offset = max(self._offset, tick - ahead - running * PACE)
