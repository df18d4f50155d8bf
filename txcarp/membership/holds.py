"""
What keeps a host out of the election, and for how long.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.membership.timers import cancel
from txcarp.protocol.events import Event, Held, HoldEnded, HoldReason, Released

#: Seconds until a host where a required step failed tries again.
HOLD_OFF = 10.0

#: The most that this grows to where it fails each time and others suffer, in seconds.
LONGEST_HOLD_OFF = 320.0


class Holds:
    """
    The reasons that keep a host out of the election now, each with an optional end.

    @ivar ends: The timer of each reason that holds; C{None} for one without an end.
    """

    def __init__(self, clock: IReactorTime, tell: Callable[[Event], None]) -> None:
        """
        @param tell: Called with L{Held} for each hold, L{HoldEnded} when the time of one is
            over, and L{Released} when none is left.
        """
        self._clock = clock
        self._tell = tell
        self.ends: dict[HoldReason, IDelayedCall | None] = {}

    def __contains__(self, reason: HoldReason) -> bool:
        return reason in self.ends

    def __iter__(self) -> Iterator[HoldReason]:
        return iter(self.ends)

    def __len__(self) -> int:
        return len(self.ends)

    def hold(
        self, reason: HoldReason, seconds: float | None = None, event: Event | None = None
    ) -> None:
        """
        Let a reason hold, with a new end if it holds already.

        @param seconds: The time until its end; C{None} for none.
        @param event: What to tell in place of L{Held}.
        """
        cancel(self.ends.get(reason))
        self.ends[reason] = (
            None
            if seconds is None
            else self._clock.callLater(seconds, self._tell, HoldEnded(reason))
        )
        self._tell(event or Held(reason))

    def release(self, reason: HoldReason) -> None:
        """
        Let a reason hold no more; it is no error if it did not.
        """
        if reason in self.ends:
            cancel(self.ends.pop(reason))
            if not self.ends:
                self._tell(Released())

    def endOf(self, reason: HoldReason) -> float | None:
        """
        When a reason that holds ends, in seconds of the clock; C{None} if it has no end.
        """
        call = self.ends.get(reason)
        return None if call is None or not call.active() else call.getTime()

    def stop(self) -> None:
        """
        Report no end any more.
        """
        for call in self.ends.values():
            cancel(call)


class Damping:
    """
    Decides how long a host stays out that became master again and again, or
    fails as master.
    """

    _log = Logger()

    def __init__(
        self, configuration: VirtualHostConfiguration, clock: IReactorTime, holds: Holds
    ) -> None:
        self._configuration = configuration
        self._clock = clock
        self._holds = holds
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

    def becameBackup(self) -> None:
        """
        A master became backup again: hold it back if that happens too often.
        """
        limit = self._configuration.flapLimit
        if limit is None:
            return
        now = self._clock.seconds()
        self._returns.append(now)
        while self._returns[0] < now - limit.seconds:
            self._returns.popleft()
        if len(self._returns) >= limit.changes:
            self._returns.clear()
            self._log.error(
                "This host became backup {changes} times within {seconds:.0f} s: it waits for "
                "{seconds:.0f} s before it takes part again (vhid {vhid} on {interface})",
                changes=limit.changes,
                seconds=limit.seconds,
                vhid=self._configuration.vhid,
                interface=self._configuration.interface,
            )
            self._holds.hold(HoldReason.FLAPPING, limit.seconds)

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
