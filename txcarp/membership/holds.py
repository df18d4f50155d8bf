"""
What keeps a host out of the election, and for how long.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from txcarp.configuration.model import FlapLimit
from txcarp.membership.timers import cancel
from txcarp.protocol.events import Event, HoldEnded, HoldReason

#: Seconds until a host where a required step failed tries again.
HOLD_OFF = 10.0

#: The most that this grows to where it fails each time and others suffer, in seconds.
LONGEST_HOLD_OFF = 320.0


class Holds:
    """
    The reasons that keep a host out of the election now, each with an optional end.
    """

    def __init__(self, clock: IReactorTime, tell: Callable[[Event], None]) -> None:
        """
        @param tell: Called with L{HoldEnded} when the time of a hold is over.
        """
        self._clock = clock
        self._tell = tell
        self._ends: dict[HoldReason, IDelayedCall | None] = {}

    def __contains__(self, reason: HoldReason) -> bool:
        return reason in self._ends

    def __iter__(self) -> Iterator[HoldReason]:
        return iter(self._ends)

    def __len__(self) -> int:
        return len(self._ends)

    def hold(self, reason: HoldReason, seconds: float | None = None) -> None:
        """
        Let a reason hold, with a new end if it holds already.

        @param seconds: The time until its end; C{None} for none.
        """
        cancel(self._ends.get(reason))
        self._ends[reason] = (
            None
            if seconds is None
            else self._clock.callLater(seconds, self._tell, HoldEnded(reason))
        )

    def release(self, reason: HoldReason) -> bool:
        """
        Let a reason hold no more.

        @return: Whether it did, and no other does.
        """
        if reason not in self._ends:
            return False
        cancel(self._ends.pop(reason))
        return not self._ends

    def endOf(self, reason: HoldReason) -> float | None:
        """
        When a reason that holds ends, in seconds of the clock; C{None} if it has no end.
        """
        call = self._ends.get(reason)
        return None if call is None or not call.active() else call.getTime()

    def stop(self) -> None:
        """
        Report no end any more.
        """
        for call in self._ends.values():
            cancel(call)


class Damping:
    """
    Decides how long a host stays out that became master again and again, or
    fails as master.
    """

    def __init__(self, clock: IReactorTime, limit: FlapLimit | None) -> None:
        """
        @param limit: How often a master may become backup; C{None} for any number of times.
        """
        self._clock = clock
        self._limit = limit
        self._returns: deque[float] = deque()
        self._masterSince = float("-inf")
        self._displaced = False
        self._holdOff = 0.0

    def becameMaster(self, displaced: bool) -> None:
        """
        A backup became master.

        @param displaced: Whether it took the place of a master that goes on.
        """
        self._masterSince = self._clock.seconds()
        self._displaced = displaced

    def becameBackup(self) -> bool:
        """
        A master became backup again.

        @return: Whether that happened too often, so that it is to stay out for the
            seconds of the limit.
        """
        limit = self._limit
        if limit is None:
            return False
        now = self._clock.seconds()
        self._returns.append(now)
        while self._returns[0] < now - limit.seconds:
            self._returns.popleft()
        if len(self._returns) < limit.changes:
            return False
        self._returns.clear()
        return True

    def failed(self) -> float:
        """
        A required step failed.

        @return: The seconds to stay out.  They double each time where this host takes the
            place of a master that works, only to fail again soon; where no other host is
            master they stay as short as ever.
        """
        lasted = self._clock.seconds() - self._masterSince
        soon = self._displaced and lasted < self._holdOff
        self._holdOff = min(self._holdOff * 2, LONGEST_HOLD_OFF) if soon else HOLD_OFF
        return self._holdOff
