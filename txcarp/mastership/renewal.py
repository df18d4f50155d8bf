"""
When the lease of a master's addresses is renewed.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: An advertisement sooner after the last renewal than this part of the lease does not cause
#: another renewal.
_NOT_BEFORE = 0.25

#: Seconds by which an advertisement may be late before the lease ends.
_LATE_ADVERTISEMENT = 0.4

#: Seconds from an advertisement to the first follow-up, and from one follow-up to the next,
#: when the interval of the advertisements is too long for the lease.
_FOLLOW_UP = 0.5

#: Seconds by which the kernel may end a lease early: it joins expiries that are close to each
#: other (C{ADDRCONF_TIMER_FUZZ_MINUS}, a fiftieth of a second).
_EARLY = 0.05


class Renewal:
    """
    Renews a lease with each advertisement, and by follow-ups until the next advertisement
    is due.  A master that no longer advertises thus lets the lease end.
    """

    def __init__(
        self,
        clock: IReactorTime,
        lease: int,
        interval: Callable[[], float],
        *,
        fit: Callable[[], bool],
        renew: Callable[[bool], None],
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        """
        @param lease: The length of the lease in seconds.
        @param interval: Returns the seconds from the advertisement that just left to the
            next one.  They are more while this host is demoted.
        @param fit: Returns whether this host is a healthy master; asked before each
            follow-up.
        @param renew: Called to renew the lease, with whether the lease had ended.
        @param alive: Called after each follow-up.
        """
        self._clock = clock
        self._lease = lease
        self._fit = fit
        self._renew = renew
        self._alive = alive
        self._running = False
        self._last = float("-inf")
        self._interval = interval
        self._due = 0
        self._timer: IDelayedCall | None = None

    @property
    def isOver(self) -> bool:
        """
        Whether the lease has ended, since the last renewal is older than its length.
        """
        return self._clock.seconds() - self._last >= self._lease - _EARLY

    @property
    def expiry(self) -> float:
        """
        When the lease ends unless it is renewed, in seconds of the clock, as far as this process
        knows.
        """
        return self._last + self._lease

    @property
    def next(self) -> float:
        """
        Seconds from one renewal to the follow-up after it; infinite if there is none.
        """
        isWaiting = self._timer is not None and self._timer.active()
        return _FOLLOW_UP if isWaiting else math.inf

    def adopt(self, lease: int) -> None:
        """
        Change the length of the lease, and renew a running one.

        @param lease: The length of the lease in seconds.
        """
        isRunning = self._running and self._fit()
        over = self.isOver
        self._lease = lease
        if isRunning:
            self._extend(over)
            self._follow(0.0)

    def begin(self) -> None:
        """
        Begin the lease now.
        """
        self._running = True
        self._last = self._clock.seconds()
        self._follow(0.0)

    def end(self) -> None:
        """
        Stop renewing the lease.
        """
        self._running = False
        self._forgetFollowUps()

    def advertised(self) -> None:
        """
        Renew the lease, since a healthy master has sent an advertisement.
        """
        age = self._clock.seconds() - self._last
        if age >= self._lease * _NOT_BEFORE:
            self._extend(self.isOver)
            age = 0.0
        self._follow(age)

    def _extend(self, over: bool) -> None:
        self._last = self._clock.seconds()
        self._renew(over)

    def _follow(self, age: float) -> None:
        """
        Extend the lease by follow-ups until the next advertisement, if that would come too
        late.

        @param age: Seconds since the last renewal.
        """
        self._forgetFollowUps()
        # As few as possible: a host that dies right after the last of them keeps the
        # addresses for a whole lease.
        shortfall = age + self._interval() + _LATE_ADVERTISEMENT - self._lease
        self._due = max(0, math.ceil(shortfall / _FOLLOW_UP))
        self._scheduleFollowUp()

    def _scheduleFollowUp(self) -> None:
        if self._due:
            self._due -= 1
            self._timer = self._clock.callLater(_FOLLOW_UP, self._between)

    def _between(self) -> None:
        if self._fit() and self._running:
            self._extend(self.isOver)
            self._scheduleFollowUp()
            self._alive()

    def _forgetFollowUps(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
