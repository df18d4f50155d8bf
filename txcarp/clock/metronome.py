"""
The beats of many virtual hosts in few turns of the reactor.

A thousand masters that advertise once a second, each at a moment of its own, wake the process a
thousand times a second, and each time the caches of the processor are cold.  Masters with the same
interval therefore beat in I{slots}.  A slot has one timer, and all of its members beat in the same
turn.  What they ask of the kernel meanwhile leaves in one datagram.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from math import ceil

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

#: The number of slots in an interval: a few groups share a slot if there are a hundred, and the
#: thirty in a slot of a thousand take two or three milliseconds.
SLOTS = 32

#: The most seconds between two slots, by which a first beat may be put off.
WIDEST = 0.05

#: Seconds after which the caches of the processor are cold.
_COLD = 0.01

#: The part of a slot by which two moments may differ that are the same.
_ROUNDING = 1e-6

_log = Logger()


class Slot:
    """
    Members that beat at the same moments.
    """

    def __init__(
        self,
        clock: IReactorTime,
        interval: float,
        delay: float,
        together: AbstractContextManager[object],
        emptied: Callable[[], None],
    ) -> None:
        """
        @param interval: Seconds from one beat to the next.
        @param delay: Seconds from now to the beginning of the first interval.
        @param together: Entered while the members beat.
        @param emptied: Called when the last member has left.
        """
        self._interval = interval
        self._members: dict[Callable[[], object], None] = {}
        self._together = together
        self._emptied = emptied
        self._loop = LoopingCall(self._beat)
        self._loop.clock = clock
        self._begin: IDelayedCall | None = None
        if delay > 0:
            self._begin = clock.callLater(delay + interval, self._start)
        else:
            self._loop.start(interval, now=False)

    def add(self, beat: Callable[[], object]) -> None:
        """
        Call C{beat} at each moment from now on.
        """
        self._members[beat] = None

    def remove(self, beat: Callable[[], object]) -> None:
        """
        Undo L{add}.
        """
        del self._members[beat]
        if not self._members:
            if self._begin is not None:
                self._begin.cancel()
            if self._loop.running:
                self._loop.stop()
            self._emptied()

    def _start(self) -> None:
        self._begin = None
        self._loop.start(self._interval)

    def _beat(self) -> None:
        with self._together:
            for beat in list(self._members):
                if beat in self._members:
                    try:
                        beat()
                    except Exception:
                        # A LoopingCall ends for good when its function raises.
                        _log.failure("Internal error in a beat; the rhythm continues")


class Metronome:
    """
    Divides each interval into slots.

    The first member of an interval beats exactly one interval after it has joined, and so do all
    members of the slots that follow from that.  Others wait for their slot: a first beat is late by
    less than the time between two slots, and never early.
    """

    def __init__(
        self, clock: IReactorTime, together: AbstractContextManager[object] | None = None
    ) -> None:
        """
        @param together: Entered while the members of a slot beat; C{None} for nothing.
        """
        self._clock = clock
        self._together = nullcontext() if together is None else together
        self._warm = float("-inf")
        #: By interval, when its slot 0 began, and its slots by their number.
        self._slots: dict[float, tuple[float, dict[int, Slot]]] = {}

    def join(
        self, interval: float, beat: Callable[[], object], *, shares: bool = True
    ) -> tuple[Slot, float]:
        """
        Beat from now on.

        @param interval: Seconds from one beat to the next.
        @param beat: Called at each beat, and perhaps at one before the first.
        @param shares: Whether the first beat may be put off, so that others beat along with it.
        @return: The slot, and when the first beat is due, in seconds of the clock.
        """
        now = self._clock.seconds()
        if not shares:
            slot = Slot(self._clock, interval, 0.0, self._together, lambda: None)
            slot.add(beat)
            return slot, now + interval
        origin, slots = self._slots.setdefault(interval, (now, {}))
        count = max(SLOTS, ceil(interval / WIDEST))
        width = interval / count
        number = ceil((now - origin) / width - _ROUNDING)
        begins = origin + number * width
        place = number % count
        found = slots.get(place)
        if found is None:
            emptied = partial(self._emptied, interval, place)
            slot = Slot(self._clock, interval, begins - now, self._together, emptied)
            found = slots[place] = slot
        found.add(beat)
        return found, begins + interval

    def mustRehearse(self) -> bool:
        """
        Whether the last call of this that returned true was so long ago that the code of a
        take-over has left the caches of the processor.
        """
        now = self._clock.seconds()
        if now - self._warm <= _COLD:
            return False
        self._warm = now
        return True

    def _emptied(self, interval: float, place: int) -> None:
        _, slots = self._slots[interval]
        del slots[place]
        if not slots:
            del self._slots[interval]
