"""
Saying a thing once instead of as often as it happens.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

import attrs
from twisted.internet.interfaces import IReactorTime


@attrs.define
class _Said:
    until: float
    leftOut: int = 0


class SayOnce:
    """
    At most one log line per key and interval, and at most C{maximumKeys} lines
    of all keys together in that time: whoever makes the keys up, as a network
    may, neither fills the log nor the memory.
    """

    def __init__(self, clock: IReactorTime, interval: float = 60.0, maximumKeys: int = 256) -> None:
        """
        @param interval: Seconds of quiet after a line.
        @param maximumKeys: Keys to remember; while all of them are in their
            interval, a new key is not ready.
        """
        self._clock = clock
        self._interval = interval
        self._maximumKeys = maximumKeys
        # In the order in which they were said, which is that of their ends.
        self._said: OrderedDict[Hashable, _Said] = OrderedDict()

    def ready(self, key: Hashable) -> int | None:
        """
        Ask whether to say something now.  The answer other than C{None} counts
        as saying it.

        @return: C{None} to stay quiet; otherwise how many times that was the
            answer since the last line with this key.
        """
        now = self._clock.seconds()
        said = self._said.get(key)
        if said is not None and now < said.until:
            said.leftOut += 1
            return None
        if said is None and not self._hasRoom(now):
            return None
        self._said[key] = _Said(now + self._interval)
        self._said.move_to_end(key)
        return 0 if said is None else said.leftOut

    def _hasRoom(self, now: float) -> bool:
        if len(self._said) < self._maximumKeys:
            return True
        oldest, said = next(iter(self._said.items()))
        if now < said.until:
            return False
        del self._said[oldest]
        return True
