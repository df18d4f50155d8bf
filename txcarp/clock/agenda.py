"""
Calls in the order of their times, without a clock or a reactor: what
L{txcarp.clock.monotonic.MonotonicClock} keeps, and tests run on a time of their own.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping

from twisted.internet.error import AlreadyCalled, AlreadyCancelled
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.reflect import qual
from zope.interface import implementer

_log = Logger("txcarp.clock.monotonic")

#: Below this many, cancelled entries are not worth sweeping out.
_FEW = 50

_Entry = tuple[float, int, "ScheduledCall"]


@implementer(IDelayedCall)
class ScheduledCall:
    """
    One call that an L{Agenda} makes at its time.

    Its entry in the agenda's heap is at or before its time: a call that was
    put off stays where it was and is moved when its old place comes up.
    """

    __slots__ = (
        "_agenda",
        "_arguments",
        "_entry",
        "_function",
        "_keywords",
        "_order",
        "_outcome",
        "_time",
    )

    def __init__(
        self,
        agenda: Agenda,
        when: float,
        function: Callable[..., object],
        arguments: tuple[object, ...],
        keywords: Mapping[str, object],
    ) -> None:
        self._agenda = agenda
        self._function: Callable[..., object] | None = function
        self._arguments = arguments
        self._keywords = keywords
        self._time = when
        self._order = agenda._nextOrder()
        self._entry: _Entry | None = None
        self._outcome: type[AlreadyCalled] | type[AlreadyCancelled] | None = None

    def getTime(self) -> float:
        """
        When the call is due, in seconds of its clock.
        """
        return self._time

    def cancel(self) -> None:
        """
        Never make the call.

        @raise AlreadyCalled: if it was made.
        @raise AlreadyCancelled: if it was cancelled before.
        """
        self._checkActive()
        self._finish(AlreadyCancelled)
        self._agenda._cancelled(self)

    def delay(self, secondsLater: float) -> None:
        """
        Make the call that many seconds later than it was due.

        @raise AlreadyCalled: if it was made.
        @raise AlreadyCancelled: if it was cancelled before.
        """
        self._move(self._time + secondsLater)

    def reset(self, secondsFromNow: float) -> None:
        """
        Make the call that many seconds from now.

        @raise AlreadyCalled: if it was made.
        @raise AlreadyCancelled: if it was cancelled before.
        """
        self._move(self._agenda.seconds() + secondsFromNow)

    def active(self) -> bool:
        """
        Whether the call is still to be made.
        """
        return self._outcome is None

    def __repr__(self) -> str:
        """
        The function and the time, but no argument: those may be secret.
        """
        state = {None: "due", AlreadyCalled: "called", AlreadyCancelled: "cancelled"}
        name = "" if self._function is None else f" of {_nameOf(self._function)}"
        return f"<ScheduledCall{name} {state[self._outcome]} at {self._time:.6f}>"

    def _checkActive(self) -> None:
        if self._outcome is not None:
            raise self._outcome

    def _move(self, when: float) -> None:
        self._checkActive()
        if when != when:
            raise ValueError("the time of a call must be a number of seconds, not nan")
        self._time = when
        self._order = self._agenda._nextOrder()
        self._agenda._moved(self)

    def _finish(self, outcome: type[AlreadyCalled] | type[AlreadyCancelled]) -> None:
        self._outcome = outcome
        self._function = None
        self._arguments = ()
        self._keywords = {}

    def _run(self) -> None:
        function, arguments, keywords = self._function, self._arguments, self._keywords
        assert function is not None
        self._finish(AlreadyCalled)
        try:
            function(*arguments, **keywords)
        except BaseException:
            # Twisted's reactors let nothing out of a timed call either: what
            # escaped here would take the descriptor of all others with it.
            _log.failure("A timed call of {function} failed", function=_nameOf(function))


class Agenda:
    """
    Calls to make, soonest first; those with equal times in the order in which
    they were asked for.

    @ivar seconds: What time it is.
    """

    def __init__(self, seconds: Callable[[], float], becameSooner: Callable[[float], None]) -> None:
        """
        @param becameSooner: Told the time of a call that was added or moved and
            may be due before all others.  Not told while calls are being made:
            ask for L{nextTime} afterwards.
        """
        self.seconds = seconds
        self._becameSooner = becameSooner
        self._heap: list[_Entry] = []
        self._stale = 0
        self._fresh: list[ScheduledCall] = []
        self._running = False
        self._order = 0

    def add(
        self,
        delay: float,
        function: Callable[..., object],
        arguments: tuple[object, ...],
        keywords: Mapping[str, object],
    ) -> ScheduledCall:
        """
        Make a call C{delay} seconds from now.

        @raise ValueError: if C{delay} is negative or not finite.
        @raise TypeError: if C{function} cannot be called.
        """
        if not 0 <= delay < float("inf"):
            raise ValueError(f"the delay of a call must be 0 seconds or more, not {delay}")
        if not callable(function):
            raise TypeError(f"a function to call later was expected, not {function!r}")
        call = ScheduledCall(self, self.seconds() + delay, function, arguments, keywords)
        if self._running:
            self._fresh.append(call)
        else:
            self._push(call)
            self._becameSooner(call._time)
        return call

    def runDue(self, limit: int) -> int:
        """
        Make calls whose time has come, at most C{limit} of them.  Calls that
        these calls add wait for the next time, even if due at once.

        @return: How many were made.
        """
        now = self.seconds()
        made = 0
        outer, self._running = self._running, True
        try:
            while made < limit:
                when = self.nextTime()
                if when is None or when > now:
                    break
                call = heapq.heappop(self._heap)[2]
                call._entry = None
                call._run()
                made += 1
        finally:
            self._running = outer
            fresh, self._fresh = self._fresh, []
            for call in fresh:
                if call.active():
                    self._push(call)
        return made

    def nextTime(self) -> float | None:
        """
        When the soonest call is due, C{None} if there is none.
        """
        heap = self._heap
        while heap:
            entry = heap[0]
            when, order, call = entry
            if call._entry is not entry:
                heapq.heappop(heap)
                self._stale -= 1
            elif order != call._order:
                call._entry = (call._time, call._order, call)
                heapq.heapreplace(heap, call._entry)
            else:
                return when
        return None

    def calls(self) -> list[ScheduledCall]:
        """
        All calls that are still to be made, in no particular order.
        """
        waiting = [entry[2] for entry in self._heap if entry[2]._entry is entry]
        return waiting + [call for call in self._fresh if call.active()]

    def clear(self) -> None:
        """
        Cancel all calls.
        """
        for call in self.calls():
            call._finish(AlreadyCancelled)
            call._entry = None
        self._heap.clear()
        self._fresh.clear()
        self._stale = 0

    def _nextOrder(self) -> int:
        self._order += 1
        return self._order

    def _push(self, call: ScheduledCall) -> None:
        call._entry = (call._time, call._order, call)
        heapq.heappush(self._heap, call._entry)

    def _moved(self, call: ScheduledCall) -> None:
        entry = call._entry
        if entry is None:
            return  # fresh: it gets its place when the calls being made are done
        if call._time < entry[0]:
            self._push(call)
            self._becameStale()
            if not self._running:
                self._becameSooner(call._time)

    def _cancelled(self, call: ScheduledCall) -> None:
        if call._entry is not None:
            call._entry = None
            self._becameStale()

    def _becameStale(self) -> None:
        self._stale += 1
        if self._stale > _FEW and self._stale * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2]._entry is entry]
            heapq.heapify(self._heap)
            self._stale = 0


def _nameOf(function: Callable[..., object]) -> str:
    try:
        return qual(function)  # type: ignore[arg-type]
    except Exception:
        return type(function).__qualname__
