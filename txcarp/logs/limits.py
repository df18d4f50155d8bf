"""
Logging a recurring event now and then instead of each time.
"""

from __future__ import annotations

from collections.abc import Hashable

import attrs
from twisted.internet.interfaces import IReactorTime


@attrs.define
class _Line:
    until: float
    omitted: int = 0


class SayOnce:
    """
    Limits the rate of log lines: one line per key and interval, and no more than
    C{maximumKeys} lines of all keys together in that time.  Keys may thus come from the
    network: nothing that a host sends fills the log or the memory.
    """

    def __init__(self, clock: IReactorTime, interval: float = 60.0, maximumKeys: int = 256) -> None:
        """
        @param interval: Seconds after a line in which no other line has its key.
        @param maximumKeys: The number of keys to remember.  While all of them are in their
            interval, no line has a new key.
        """
        self._clock = clock
        self._interval = interval
        self._maximumKeys = maximumKeys
        # In the order of the lines, which is that of the ends of their intervals.
        self._lines: dict[Hashable, _Line] = {}

    def ready(self, key: Hashable) -> int | None:
        """
        Decide whether to log a line now.  The caller must log it unless the answer is
        C{None}.

        @return: C{None} to log nothing; otherwise how many times that was the answer since
            the last line with this key.
        """
        now = self._clock.seconds()
        if key not in self._lines and len(self._lines) >= self._maximumKeys:
            oldest = next(iter(self._lines))
            if now < self._lines[oldest].until:
                return None
            del self._lines[oldest]
        line = self._lines.get(key)
        if line is not None and now < line.until:
            line.omitted += 1
            return None
        self._lines.pop(key, None)
        self._lines[key] = _Line(now + self._interval)
        return 0 if line is None else line.omitted
