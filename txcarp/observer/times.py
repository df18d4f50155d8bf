"""
Moments of a monotonic clock as people and other programs want them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

#: Seconds that are given in tenths.
_FINE = 10.0
_MINUTE = 60
_HOUR = 3600
_DAY = 86400


class Calendar:
    """
    What the wall clock showed at a moment, if it was right then as it is now.
    """

    def __init__(
        self,
        seconds: Callable[[], float],
        wall: Callable[[], float] = time.time,
        zone: timezone | None = None,
    ) -> None:
        """
        @param seconds: The monotonic clock.
        @param wall: Seconds since 1970.
        @param zone: Where the people are; C{None} for the local time.
        """
        self._seconds = seconds
        self._wall = wall
        self._zone = zone

    def now(self) -> float:
        """
        The moment that it is.
        """
        return self._seconds()

    def machine(self, when: float) -> str:
        """
        ISO 8601, UTC, milliseconds.
        """
        text = self._at(when).astimezone(UTC).isoformat(timespec="milliseconds")
        return text.replace("+00:00", "Z")

    def full(self, when: float) -> str:
        """
        Date and time of day, with milliseconds.
        """
        return self._at(when).replace(tzinfo=None).isoformat(" ", "milliseconds")

    def clock(self, when: float) -> str:
        """
        The time of day, with milliseconds.
        """
        return self._at(when).time().isoformat("milliseconds")

    def short(self, when: float) -> str:
        """
        The time of day; the date as well if it is another.
        """
        then = self._at(when)
        today = then.date() == self._at(self._seconds()).date()
        return then.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M:%S")

    def _at(self, when: float) -> datetime:
        wall = self._wall() - (self._seconds() - when)
        utc = datetime.fromtimestamp(0, UTC) + timedelta(seconds=wall)
        return utc.astimezone(self._zone)


def duration(seconds: float) -> str:
    """
    A length of time in few words.
    """
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < _FINE:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 2 * _MINUTE:
        return f"{whole} s"
    if whole < 2 * _HOUR:
        return f"{whole // _MINUTE} min"
    if whole < 2 * _DAY:
        return f"{whole // _HOUR} h"
    return f"{whole // _DAY} days"
