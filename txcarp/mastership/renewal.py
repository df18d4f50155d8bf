"""
When the lease of a master's addresses is renewed.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: An advertisement that comes sooner than this part of the lease after the last
#: renewal is no reason for another.
_NOT_BEFORE = 0.25

#: Seconds by which an advertisement may be late before the lease is over.
_LATE_ADVERTISEMENT = 0.4

#: Seconds from an advertisement to the renewal that follows it, and from that
#: to the next, where the advertisements come too seldom for the lease.
_FOLLOW_UP = 0.5

#: Seconds by which the kernel may end a lease early, so as not to wake twice
#: (C{ADDRCONF_TIMER_FUZZ_MINUS} is a fiftieth).
_EARLY = 0.05


class Renewal:
    """
    Renews a lease with the advertisements, and between two of them as often as
    needed, but not for ever.
    """

    def __init__(
        self,
        clock: IReactorTime,
        lease: int,
        interval: Callable[[], float],
        *,
        fit: Callable[[], bool],
        renew: Callable[[bool], None],
    ) -> None:
        """
        @param lease: Seconds.
        @param interval: Seconds from the advertisement that just left to the
            next: more while this host is demoted.
        @param fit: Whether this host is a master in good order; asked before
            what a timer causes.
        @param renew: Called to renew it, with whether it was over already.
        """
        self._clock = clock
        self._lease = lease
        self._fit = fit
        self._renew = renew
        self._running = False
        self._last = float("-inf")
        self._interval = interval
        self._due = 0
        self._timer: IDelayedCall | None = None

    @property
    def isOver(self) -> bool:
        """
        Whether the lease was not renewed for as long as it is.
        """
        return self._clock.seconds() - self._last >= self._lease - _EARLY

    def begin(self) -> None:
        """
        The lease begins now.
        """
        self._running = True
        self._last = self._clock.seconds()
        self._follow()

    def end(self) -> None:
        """
        Renew it no more.
        """
        self._running = False
        self._forgetFollowUps()

    def advertised(self) -> None:
        """
        An advertisement left, and this host is in good order.
        """
        if self._clock.seconds() - self._last >= self._lease * _NOT_BEFORE:
            self._extend()
        self._follow()

    def _extend(self) -> None:
        over = self.isOver
        self._last = self._clock.seconds()
        self._renew(over)

    def _follow(self) -> None:
        """
        Extend the lease a few times more until the next advertisement, if it
        comes too late for this one.
        """
        self._forgetFollowUps()
        # As few as possible: each makes the time longer for which a host that
        # died right after it keeps the addresses.
        shortfall = self._interval() + _LATE_ADVERTISEMENT - self._lease
        self._due = max(0, math.ceil(shortfall / _FOLLOW_UP))
        self._scheduleFollowUp()

    def _scheduleFollowUp(self) -> None:
        if self._due:
            self._due -= 1
            self._timer = self._clock.callLater(_FOLLOW_UP, self._between)

    def _between(self) -> None:
        if self._fit() and self._running:
            self._extend()
            self._scheduleFollowUp()

    def _forgetFollowUps(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
