"""
A limit on the rate of events that never drops the last one.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable

import attrs

from txcarp.observer.events import Event

#: Events of one kind about one group that pass at once, and the seconds after
#: which one more may follow.
BURST = 4
INTERVAL = 5.0

#: The same for all events together.
TOTAL_BURST = 200
TOTAL_INTERVAL = 0.05

#: Seconds by which rounding may change a sum of intervals.
_ROUNDING = 1e-6

#: Kinds and groups to remember beyond those that wait.
_REMEMBERED = 10_000


class RateLimiter:
    """
    Lets events pass until there are too many.  Then the newest event of each
    kind and group waits, and counts those that it stands for.

    This is the generic cell rate algorithm: each event uses up one interval,
    and passes if no more than a burst of intervals lies ahead.
    """

    def __init__(self) -> None:
        self._usedUp: dict[Hashable, float] = {}
        self._allUsedUp = float("-inf")
        self._waiting: dict[Hashable, Event] = {}

    def admit(self, events: Iterable[Event], now: float) -> list[Event]:
        """
        Take in new events.

        @return: The events that pass now.
        """
        passed = []
        for event in events:
            key = _keyOf(event)
            held = self._waiting.get(key)
            if held is not None:
                self._waiting[key] = attrs.evolve(event, omitted=held.omitted + 1)
            elif self._passes(key, now):
                passed.append(event)
            else:
                self._waiting[key] = event
        return passed

    def release(self, now: float) -> list[Event]:
        """
        Let waiting events pass.

        @return: The events that pass now.
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


def _keyOf(event: Event) -> Hashable:
    return event.kind, event.interface, event.group.key if event.group else None
