"""
The clock of one simulated host.
"""

from __future__ import annotations

from twisted.internet.task import Clock

_NEVER = float("inf")

#: Seconds by which a time may differ after it was computed from another clock, and back.
_ROUNDING = 1e-9


class LocalClock(Clock):
    """
    The clock of one host, whose seconds may be longer or shorter than those of the segment's
    clock.

    @ivar rate: Seconds of this clock in one second of the segment's clock.
    """

    def __init__(self, now: float, rate: float = 1.0, reading: float | None = None) -> None:
        """
        @param now: The present time in seconds of the segment's clock.
        @param reading: The present time in seconds of this clock; C{None} if both are equal.
        """
        super().__init__()
        self.rate = rate
        self.rightNow = now if reading is None else reading
        #: A time of the segment's clock, and the time of this clock then.
        self._since, self._base = now, self.rightNow

    def due(self) -> float:
        """
        When the next call is due, in seconds of the segment's clock; infinity if there is none.
        """
        if not self.calls:
            return _NEVER
        first = min(call.time + call.delayed_time for call in self.calls)
        if self.rate == 1.0:
            return first + (self._since - self._base)
        return self._since + (first - self._base) / self.rate

    def set(self, now: float) -> None:
        """
        Show a later time.  No call is made.

        @param now: The time in seconds of the segment's clock.
        """
        if self.rate == 1.0:
            reading = now + (self._base - self._since)
        else:
            reading = self._base + (now - self._since) * self.rate
        if reading > self.rightNow:
            self.rightNow = reading

    def fire(self) -> None:
        """
        Make the calls that are due.
        """
        if not self.calls:
            return
        first = min(call.time + call.delayed_time for call in self.calls)
        if first <= self.rightNow + _ROUNDING:
            self.rightNow = max(self.rightNow, first)
            self.advance(0)

    def turn(self, now: float, rate: float) -> None:
        """
        Run at another rate from now on.
        """
        self.set(now)
        self.rate = rate
        self.skip(now)

    def skip(self, now: float) -> None:
        """
        Go on from the present reading, although more time has passed.
        """
        self._since, self._base = now, self.rightNow

    def successor(self, now: float) -> LocalClock:
        """
        A clock that shows the same time, and has no calls.
        """
        self.set(now)
        return LocalClock(now, self.rate, self.rightNow)
