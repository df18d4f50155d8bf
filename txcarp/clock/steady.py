"""
A clock that nobody sets or slews.
"""

from __future__ import annotations

import time
from collections.abc import Callable

#: The most by which a clock is slewed, in seconds per second.  The kernel allows 10 percent
#: (adjtimex(2)); chrony's default is 8.3 percent.  This is that of two clocks against each other.
_FASTEST_SLEW = 0.2

#: A shorter sleep, in seconds, is not counted: the clocks are not read at the same moment.
_SHORTEST_SLEEP = 1.0


class SteadyClock:
    """
    Counts the seconds since the machine was started, those included in which it slept.

    C{CLOCK_MONOTONIC} and C{CLOCK_BOOTTIME} are never set, but they are slewed: a program that
    corrects the wall clock lets them run up to 10 percent fast or slow, for hours.
    C{CLOCK_MONOTONIC_RAW} is not slewed, but stands still while the machine sleeps.
    C{CLOCK_BOOTTIME} goes on then, so its lead over C{CLOCK_MONOTONIC} tells for how long the
    machine slept.

    Both are slewed alike.  If the lead grows no faster than a clock is slewed, the machine did
    not sleep: something slews one of them alone.
    """

    def __init__(self, read: Callable[[int], float] | None = None) -> None:
        """
        @param read: Returns the seconds of a clock of the machine, as C{time.clock_gettime} does.
        """
        self._read = read or time.clock_gettime
        self._raw = self._read(time.CLOCK_MONOTONIC_RAW)
        self._lead = self._slept = self._read(time.CLOCK_BOOTTIME) - self._read(
            time.CLOCK_MONOTONIC
        )

    def __call__(self) -> float:
        """
        Return the seconds.
        """
        read = self._read
        # In this order, a pause between both makes the lead shorter, not longer.
        lead = read(time.CLOCK_BOOTTIME) - read(time.CLOCK_MONOTONIC)
        raw = read(time.CLOCK_MONOTONIC_RAW)
        slept = lead - self._lead
        explained = _SHORTEST_SLEEP + _FASTEST_SLEW * (raw - self._raw)
        if slept > explained:
            self._slept += slept
        if slept > -explained:  # otherwise this process paused between two readings
            self._lead = lead
        self._raw = raw
        return raw + self._slept
