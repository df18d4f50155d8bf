"""
What a virtual host must still know after a restart: the state of its seals, its drain, and who was
master when.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from txcarp.protocol.actor import Actor
from txcarp.protocol.freshness import SealedSource
from txcarp.protocol.periods import Period
from txcarp.protocol.seal import Ticks

#: How many periods are remembered.
PERIODS = 32


@attrs.frozen
class SavedDrain:
    """
    That a host is drained.

    @ivar until: When that ends, in seconds since 1970; C{None} for no end.
    @ivar left: Seconds that were left when this was saved.  A clock that is set back meanwhile
        makes the drain no longer than that.
    @ivar actor: Who asked for it; C{None} if it was a program that embeds txcarp.
    """

    until: float | None
    left: float | None
    actor: Actor | None

    def remaining(self, now: float) -> float | None:
        """
        The seconds that are left; C{None} for no end.

        @param now: Seconds since 1970.
        """
        if self.until is None or self.left is None:
            return None
        return max(0.0, min(self.until - now, self.left))


@attrs.frozen
class SealState:
    """
    What a virtual host must still know after a restart.

    @ivar tick: The last tick that this host may have used.
    @ivar sources: The sources known to seal, by packed address.
    @ivar unsealed: The last counters without a seal that were heard, where hosts draw one at their
        start.
    @ivar drain: Its drain; C{None} if it is not drained.
    @ivar periods: Who was master when, the newest at the end.
    @ivar saved: When this was saved, or until when it was so afterwards, in seconds since 1970.
    """

    tick: int = 0
    sources: Mapping[bytes, SealedSource] = attrs.field(factory=dict)
    unsealed: tuple[int, ...] = ()
    drain: SavedDrain | None = None
    periods: tuple[Period, ...] = ()
    saved: float = 0.0


def resumedTicks(last: int, sources: Iterable[SealedSource]) -> Ticks:
    """
    Return the ticks with which this host continues after a restart.

    They are later than all ticks that this host has heard.  A peer with earlier ticks is
    rejected at first; it then hears this host's later ticks, and catches up.

    They also stay as far ahead of this host's clock as before, because the peers expect that.
    If the wall clock has been set back meanwhile, the peers would reject anything less.

    @param last: The last tick that this host may have used.
    @param sources: The hosts known to seal, including this one.
    """
    known = tuple(sources)
    return Ticks(
        max([last, *(one.tick for one in known)]),
        max([float("-inf"), *(one.offset for one in known if one.offset is not None)]),
    )
