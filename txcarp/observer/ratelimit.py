"""
A limit on the rate of reports that never drops the last one.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable

import attrs

from txcarp.observer.reports import Report

#: Reports of one kind about one group that pass at once, and the seconds after which one more may
#: follow.
BURST = 4
INTERVAL = 5.0

#: The same for all reports together.
TOTAL_BURST = 200
TOTAL_INTERVAL = 0.05

#: Seconds by which rounding may change a sum of intervals.
_ROUNDING = 1e-6

#: Kinds and groups to remember beyond those that wait.
_REMEMBERED = 10_000


class RateLimiter:
    """
    Lets reports pass until there are too many.  Then the newest report of each kind and group
    waits, and counts those that it stands for.

    This is the generic cell rate algorithm: each report uses up one interval, and passes if no
    more than a burst of intervals lies ahead.
    """

    def __init__(self) -> None:
        self._usedUp: dict[Hashable, float] = {}
        self._allUsedUp = float("-inf")
        self._waiting: dict[Hashable, Report] = {}

    def admit(self, reports: Iterable[Report], now: float) -> list[Report]:
        """
        Take in new reports.

        @return: The reports that pass now.
        """
        passed = []
        for report in reports:
            key = (report.kind, report.interface, report.group and report.group.key)
            held = self._waiting.get(key)
            if held is not None:
                self._waiting[key] = attrs.evolve(report, omitted=held.omitted + 1)
            elif self._passes(key, now):
                passed.append(report)
            else:
                self._waiting[key] = report
        return passed

    def release(self, now: float) -> list[Report]:
        """
        Let waiting reports pass.

        @return: The reports that pass now.
        """
        keys = [key for key in self._waiting if self._passes(key, now)]
        if len(self._usedUp) > _REMEMBERED:
            self._usedUp = {key: end for key, end in self._usedUp.items() if end > now}
        return [self._waiting.pop(key) for key in keys]

    def _passes(self, key: Hashable, now: float) -> bool:
        own, total = max(self._usedUp.get(key, now), now), max(self._allUsedUp, now)
        ownLimit, totalLimit = (BURST - 1) * INTERVAL, (TOTAL_BURST - 1) * TOTAL_INTERVAL
        if own - now > ownLimit + _ROUNDING or total - now > totalLimit + _ROUNDING:
            return False
        self._usedUp[key] = own + INTERVAL
        self._allUsedUp = total + TOTAL_INTERVAL
        return True
