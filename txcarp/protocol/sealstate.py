"""
What a virtual host must still know about seals after a restart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from txcarp.protocol.freshness import SealedSource
from txcarp.protocol.seal import Ticks


@attrs.frozen
class SealState:
    """
    What a virtual host must still know about seals after a restart.

    @ivar tick: The last tick that this host may have used.
    @ivar sources: The sources known to seal, by packed address.
    @ivar unsealed: The last counters without a seal that were heard, where hosts draw one at their
        start.
    """

    tick: int = 0
    sources: Mapping[bytes, SealedSource] = attrs.field(factory=dict)
    unsealed: tuple[int, ...] = ()


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
