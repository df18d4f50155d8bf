"""
A limit on what is said, that leaves out no last word.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable

import attrs

from txcarp.observer.events import Event

#: Events of one kind, about one group, that are said at once, and the seconds
#: in which one more may follow.
BURST = 4
INTERVAL = 5.0

#: The same for all events together.
TOTAL_BURST = 200
TOTAL_INTERVAL = 0.05

#: Kinds and groups that are remembered beyond those that wait.
_REMEMBERED = 10_000


@attrs.define
class _Allowance:
    """
    A token bucket.
    """

    burst: float
    interval: float
    left: float
    updated: float

    def hasSome(self, now: float) -> bool:
        """
        Whether something may be said.
        """
        passed = max(0.0, now - self.updated)
        self.left = min(self.burst, self.left + passed / self.interval)
        self.updated = max(now, self.updated)
        return self.left >= 1

    def take(self) -> None:
        """
        Something is said.
        """
        self.left -= 1


class Pace:
    """
    Lets events through until there are too many.  Then the newest of each kind
    and group waits, and says how many it stands for.
    """

    def __init__(self) -> None:
        self._allowances: dict[Hashable, _Allowance] = {}
        self._all: _Allowance | None = None
        self._waiting: dict[Hashable, Event] = {}

    def admit(self, events: Iterable[Event], now: float) -> list[Event]:
        """
        Which of these may be said now.
        """
        said = []
        for event in events:
            key = _keyOf(event)
            held = self._waiting.get(key)
            if held is not None:
                self._waiting[key] = attrs.evolve(event, omitted=held.omitted + 1)
            elif self._mayBeSaid(key, now):
                said.append(event)
            else:
                self._waiting[key] = event
        return said

    def release(self, now: float) -> list[Event]:
        """
        Which of those that wait may be said now.
        """
        said = []
        for key, event in list(self._waiting.items()):
            if self._mayBeSaid(key, now):
                del self._waiting[key]
                said.append(event)
        if len(self._allowances) > _REMEMBERED:
            self._forget(now)
        return said

    def _mayBeSaid(self, key: Hashable, now: float) -> bool:
        if self._all is None:
            self._all = _Allowance(TOTAL_BURST, TOTAL_INTERVAL, TOTAL_BURST, now)
        own = self._allowances.get(key)
        if own is None:
            own = self._allowances[key] = _Allowance(BURST, INTERVAL, BURST, now)
        if not own.hasSome(now) or not self._all.hasSome(now):
            return False
        own.take()
        self._all.take()
        return True

    def _forget(self, now: float) -> None:
        for key, allowance in list(self._allowances.items()):
            if allowance.hasSome(now) and allowance.left >= allowance.burst:
                del self._allowances[key]


def _keyOf(event: Event) -> Hashable:
    return event.kind, event.interface, event.group.key if event.group else None
