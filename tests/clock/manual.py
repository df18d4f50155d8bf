"""
A L{MonotonicClock} whose time and timer are the test's.
"""

from __future__ import annotations

import math
import select
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.trial.unittest import SynchronousTestCase

from txcarp.clock import monotonic, timerfd
from txcarp.clock.monotonic import MonotonicClock


class ManualTime:
    """
    A clock, its time, and the part of a reactor that it needs.

    @ivar now: The time.
    @ivar readers: The descriptors that the clock has the reactor watch.
    @ivar set: The times that its timer was set to.
    @ivar armed: The time that its timer is set to, infinity when it is not set.
    """

    def __init__(self, case: SynchronousTestCase, now: float = 0.0) -> None:
        self.now = now
        self.readers: list[Any] = []
        self.set: list[float] = []
        self.armed = math.inf
        self.clock = MonotonicClock(self, lambda: self.now)  # type: ignore[arg-type]
        self.callLater = self.clock.callLater
        case.patch(monotonic, "setTimer", self._setTimer)
        case.addCleanup(self.clock.stop)

    def addReader(self, reader: IReadDescriptor) -> None:
        self.readers.append(reader)

    def removeReader(self, reader: IReadDescriptor) -> None:
        self.readers.remove(reader)

    def _setTimer(self, descriptor: int, when: float) -> None:
        self.set.append(when)
        self.armed = when

    def expire(self) -> None:
        """
        Let the timer expire.
        """
        self.armed = math.inf
        (timer,) = self.readers
        timerfd.setTimer(timer.fileno(), 0)
        select.select([timer], [], [])
        timer.doRead()

    def advance(self, amount: float) -> None:
        """
        Let that many seconds pass at once, and the timer expire as often as it is due.
        """
        self.now += amount
        while self.armed <= self.now:
            self.expire()
