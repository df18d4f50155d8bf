"""
Times for which a host is kept out of the election.
"""

from __future__ import annotations

from collections import deque

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.membership.candidate import Candidate
from txcarp.membership.timers import cancel

#: Seconds until a host where a required step failed tries again.
HOLD_OFF = 10.0

#: The most that becomes of that where it fails each time and others suffer.
LONGEST_HOLD_OFF = 320.0

_RESIGNED = "handed over a moment ago"
_STARTING = "just started"
_FLAPPING = "backup too often"


class Holds:
    """
    Keeps a candidate back for a while: after a resignation, after the start,
    and when it changes its role too often.
    """

    _log = Logger()

    def __init__(
        self, configuration: VirtualHostConfiguration, clock: IReactorTime, candidate: Candidate
    ) -> None:
        self._configuration = configuration
        self._clock = clock
        self._candidate = candidate
        self._ends: dict[str, IDelayedCall] = {}
        self._returns: deque[float] = deque()
        self._masterSince = float("-inf")
        self._displaced = False
        self._holdOff = 0.0

    def stop(self) -> None:
        """
        The candidate is leaving: nothing is to bring it back.
        """
        for call in self._ends.values():
            cancel(call)
        self._ends.clear()

    def starting(self) -> None:
        """
        This host has just been started, and may have services that are not
        ready yet.
        """
        delay = self._configuration.startDelay
        if delay is not None:
            self._candidate.hold(_STARTING)
            self._release(_STARTING, delay)

    def resign(self, seconds: float, *, unfit: bool) -> None:
        """
        Hand over, and take no part for so many seconds.

        @param unfit: Whether this host cannot do what a master has to.
        """
        self._candidate.resign(_RESIGNED, unfit=unfit)
        self._release(_RESIGNED, seconds)

    def unfit(self) -> float:
        """
        A required step failed: how many seconds to take no part.  Twice as long
        each time where this host takes the place of a master that works, only to
        fail again soon; as long as ever where nobody else is master.
        """
        lasted = self._clock.seconds() - self._masterSince
        soon = self._displaced and lasted < self._holdOff
        self._holdOff = min(self._holdOff * 2, LONGEST_HOLD_OFF) if soon else HOLD_OFF
        return self._holdOff

    def becameMaster(self, displaced: bool) -> None:
        """
        A backup became master.

        @param displaced: Whether it took the place of another that goes on.
        """
        self._masterSince = self._clock.seconds()
        self._displaced = displaced

    def becameBackup(self) -> None:
        """
        A master became backup again: keep it back if that happens too often.
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
            self._candidate.hold(_FLAPPING)
            self._release(_FLAPPING, limit.seconds)

    def _release(self, why: str, seconds: float) -> None:
        cancel(self._ends.get(why))
        self._ends[why] = self._clock.callLater(seconds, self._candidate.resume, why)
