"""
The clock that txcarp's timers run on.

Twisted's reactors schedule calls by the wall clock.  When the wall clock is set, their
timers fire all at once, or not until it has caught up.  Everything in txcarp that waits
is therefore given an C{IReactorTime}: L{MonotonicClock} in a daemon,
C{twisted.internet.task.Clock} in a test.
"""

from __future__ import annotations

import builtins
import heapq
import itertools
import os
import time
from bisect import bisect_left
from collections.abc import Callable
from math import inf, isfinite

import attrs
from twisted.internet.base import DelayedCall
from twisted.internet.interfaces import IDelayedCall, IReactorFDSet, IReactorTime, IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txcarp.clock.timerfd import openTimer, setTimer

#: The most calls that are made in one turn of the reactor.  The other calls that are due
#: wait for the next turn, so that sockets are read in between.
CALLS_PER_TURN = 100

#: Up to this many stale entries stay in the heap.
_FEW = 50

#: The bounds, in seconds, between which the lateness of calls is counted.
LATENESS_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

_orders = itertools.count()


@attrs.define
class Lateness:
    """
    How late calls were made: at the beginning of the turn of the reactor in which each was made.

    @ivar counts: The number of calls up to each of L{LATENESS_BOUNDS}, and of those beyond the
        last one.  No call is in two of them.
    @ivar total: The sum of their lateness, in seconds.
    """

    counts: list[int] = attrs.field(factory=lambda: [0] * (len(LATENESS_BOUNDS) + 1))
    total: float = 0.0


class _Call(DelayedCall):
    """
    Twisted's timed call, with three differences.  Its representation hides the arguments,
    which may be secret.  It cannot be moved to a time that is not a finite number.  When it
    is moved, it goes behind the other calls that are due at the same time.

    C{time} is where its entry stands in the clock's heap.  A call that is put off keeps the
    entry; the clock moves it when that time has come.

    @ivar order: A number that is higher the later the call was requested or moved.
    """

    order = 0

    def reset(self, secondsFromNow: float) -> None:
        if not isfinite(secondsFromNow):
            raise ValueError(f"a call cannot be moved to {secondsFromNow} seconds from now")
        self.order = next(_orders)
        DelayedCall.reset(self, secondsFromNow)

    def delay(self, secondsLater: float) -> None:
        if not isfinite(secondsLater):
            raise ValueError(f"a call cannot be delayed by {secondsLater} seconds")
        self.order = next(_orders)
        DelayedCall.delay(self, secondsLater)

    def __repr__(self) -> str:
        when = f"{self.getTime():.6f}"
        if self.cancelled:  # Twisted has deleted the function
            return f"<cancelled call at {when}>"
        name = getattr(self.func, "__qualname__", type(self.func).__qualname__)
        return f"<call of {name}, {'called' if self.called else 'due'} at {when}>"


_Entry = tuple[float, int, _Call]


@implementer(IReactorTime)
class MonotonicClock:
    """
    Timed calls on CLOCK_MONOTONIC, for any reactor that can watch a descriptor.  The
    reactor's own timers stay as they are.

    L{start} or the first L{callLater} opens the timer descriptor.  A process that forks to
    become a daemon must fork before that: parent and child would share the timer, and each
    would miss the expiries that the other one reads.

    Like a reactor's, the methods are called in the reactor's thread only.

    @ivar seconds: Returns the seconds since an unspecified moment.  Setting the wall clock
        does not change them.
    @ivar lateness: How late the calls were that it has made.
    """

    _log = Logger()

    def __init__(
        self, reactor: IReactorFDSet, seconds: Callable[[], float] = time.monotonic
    ) -> None:
        """
        @param reactor: Watches the timer descriptor.
        @param seconds: Returns the seconds of CLOCK_MONOTONIC.
        """
        self._reactor = reactor
        self.seconds = seconds
        self.lateness = Lateness()
        self._timer: _Timer | None = None
        # An entry is stale when its call was cancelled, or was moved to sooner and thus has
        # another entry.  Stale entries are dropped when they come up or are the majority.
        self._heap: list[_Entry] = []
        self._stale = 0
        # Otherwise each call would have bound methods of its own.
        self._whenCancelled, self._whenMovedSooner = self._cancelled, self._movedSooner

    def start(self) -> None:
        """
        Open the timer descriptor, unless it is open, so that no later L{callLater} can fail
        for want of one.

        @raise OSError: If the process may not open another descriptor.
        """
        if self._timer is None:
            self._timer = _Timer(self._makeCalls, self._timerLost)
            self._reactor.addReader(self._timer)
            self._timer.expireBy(self._nextTime())

    def stop(self) -> None:
        """
        Cancel all calls and close the timer descriptor.  L{start} and L{callLater} open
        another one.
        """
        for call in self.getDelayedCalls():
            call.cancel()
        self._heap.clear()
        self._stale = 0
        timer, self._timer = self._timer, None
        if timer is not None:
            self._reactor.removeReader(timer)
            timer.close()

    def callLater(
        self, delay: float, callable: Callable[..., object], *args: object, **kw: object
    ) -> IDelayedCall:
        """
        Call C{callable} in C{delay} seconds, in a later turn of the reactor even if that is
        0.  Calls that are due at the same time are made in the order in which they were
        requested.  An exception that the call raises is logged.

        @raise ValueError: If C{delay} is negative or not finite.
        @raise TypeError: If C{callable} cannot be called.
        @raise OSError: If the timer descriptor cannot be opened.
        """
        if not 0 <= delay < inf:
            raise ValueError(f"the delay of a call must be 0 seconds or more, not {delay}")
        if not builtins.callable(callable):
            raise TypeError(f"a function to call later was expected, not {callable!r}")
        if self._timer is None:
            self.start()
        call = _Call(
            self.seconds() + delay,
            callable,
            args,
            kw,
            self._whenCancelled,
            self._whenMovedSooner,
            self.seconds,
        )
        call.order = next(_orders)
        self._push(call)
        return call

    def getDelayedCalls(self) -> list[IDelayedCall]:
        """
        The calls that are still to be made, in no particular order.
        """
        return list({call for _, _, call in self._heap if call.active()})

    def _push(self, call: _Call) -> None:
        if self._stale > _FEW and self._stale * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if _isCurrent(entry)]
            heapq.heapify(self._heap)
            self._stale = 0
        heapq.heappush(self._heap, (call.time, call.order, call))
        if self._timer is not None:
            self._timer.expireBy(call.time)

    def _cancelled(self, call: DelayedCall) -> None:
        self._stale += 1

    def _movedSooner(self, call: DelayedCall) -> None:
        assert isinstance(call, _Call)
        self._stale += 1
        self._push(call)

    def _nextTime(self) -> float:
        """
        When the soonest call is due, infinity if there is none.  That call's entry is the
        first of the heap then.
        """
        heap = self._heap
        while heap:
            when, order, call = entry = heap[0]
            if not _isCurrent(entry):
                heapq.heappop(heap)
                self._stale -= 1
            elif order != call.order:
                call.activate_delay()
                heapq.heapreplace(heap, (call.time, call.order, call))
            else:
                return when
        return inf

    def _makeCalls(self) -> float:
        """
        Make the calls that are due, except those that these calls request or move: they
        have higher orders and wait for the next turn.

        @return: When the next call is due.
        """
        now, newest, lateness = self.seconds(), next(_orders), self.lateness
        for _ in range(CALLS_PER_TURN):
            if self._nextTime() > now or self._heap[0][1] > newest:
                break
            when, _, call = heapq.heappop(self._heap)
            call.called = 1
            lateness.counts[bisect_left(LATENESS_BOUNDS, now - when)] += 1
            lateness.total += now - when
            try:
                call.func(*call.args, **call.kw)
            except BaseException:
                # As in Twisted's reactors.  A reactor that sees an exception of a
                # descriptor closes it, and with it every timer would be lost.
                self._log.failure("A timed call raised an exception: {call}", call=call)
        return self._nextTime()

    def _timerLost(self) -> None:
        self._timer = None


def _isCurrent(entry: _Entry) -> bool:
    when, _, call = entry
    return when == call.time and not (call.called or call.cancelled)


@implementer(IReadDescriptor)
class _Timer:
    """
    The timer descriptor as a reactor sees it.
    """

    def __init__(self, expired: Callable[[], float], lost: Callable[[], None]) -> None:
        """
        @param expired: Called when the timer has expired; returns when it shall expire next,
            in seconds of CLOCK_MONOTONIC, or infinity.
        @param lost: Called when the reactor has let go of the descriptor.
        """
        self._descriptor = openTimer()
        self._expired = expired
        self._lost = lost
        self._setTo = inf

    def expireBy(self, when: float) -> None:
        """
        Expire at that time, unless the timer is set to a sooner one.

        @param when: Seconds of CLOCK_MONOTONIC.
        """
        if when < self._setTo:
            setTimer(self._descriptor, when)
            self._setTo = when

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def fileno(self) -> int:
        return self._descriptor

    def doRead(self) -> None:
        try:
            os.read(self._descriptor, 8)
        except BlockingIOError:
            return
        # Calls requested meanwhile set nothing: they are due no sooner than the timer was set to.
        soonest = self._expired()
        if self._descriptor >= 0:  # no call has stopped the clock
            self._setTo = inf
            self.expireBy(soonest)

    def connectionLost(self, reason: Failure) -> None:
        # The reactor is shutting down, or a call has closed this descriptor.
        if self._descriptor >= 0:
            self.close()
            self._lost()

    def logPrefix(self) -> str:
        return "clock"
