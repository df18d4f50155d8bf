"""
The time that txcarp's timers run on.

Twisted's reactors count the wall clock, so that a correction of the host's time
makes every timer fire at once or none for as long.  Everything in txcarp that
waits does it on an C{IReactorTime} it was given; in a daemon that is
L{MonotonicClock}, in a test C{twisted.internet.task.Clock}.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from twisted.internet.interfaces import (
    IDelayedCall,
    IReactorFDSet,
    IReactorTime,
    IReadDescriptor,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from txcarp.clock.agenda import Agenda
from txcarp.clock.timerfd import openTimer, setTimer

#: Calls made in one turn of the reactor; more that are due wait for the next,
#: so that sockets are read in between.
CALLS_PER_TURN = 100

#: Seconds that the timer is set ahead at most, far from any limit of the
#: kernel's types.  Waking once a day for nothing is harmless.
_FARTHEST = 86400.0


def bootSeconds() -> float:
    """
    Seconds since the machine was started, those included that it was suspended,
    which L{MonotonicClock} does not count: the difference of the two tells how
    long it slept.
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@implementer(IReactorTime)
class MonotonicClock:
    """
    Timed calls on CLOCK_MONOTONIC, for any reactor that can watch a descriptor.
    The reactor's own timers stay as they are.

    The timer descriptor is opened by L{start} or the first L{callLater}.  A
    process that forks to become a daemon must do so before: a child that was
    forked later shares the timer with its parent, and the two steal each
    other's expiries.

    Calls of L{callLater} come from the reactor's thread, as with a reactor.
    """

    def __init__(
        self, reactor: IReactorFDSet, seconds: Callable[[], float] = time.monotonic
    ) -> None:
        """
        @param reactor: What watches the timer descriptor.
        @param seconds: Seconds of CLOCK_MONOTONIC.
        """
        self._reactor = reactor
        self._seconds = seconds
        self._agenda = Agenda(seconds, self._becameSooner)
        self._timer: _Timer | None = None

    def start(self) -> None:
        """
        Open the timer descriptor now, so that L{callLater} cannot fail later for
        want of one.  Nothing if it is open.

        @raise OSError: if the process may not open more descriptors.
        """
        if self._timer is None:
            self._timer = _Timer(self._expired, self._timerLost)
            self._reactor.addReader(self._timer)
            self._watchSoonest()

    def stop(self) -> None:
        """
        Cancel all calls and close the timer descriptor.  The clock can be used
        again and then opens another.
        """
        self._agenda.clear()
        timer, self._timer = self._timer, None
        if timer is not None:
            self._reactor.removeReader(timer)
            timer.close()

    def seconds(self) -> float:
        """
        Seconds since some moment before this process: no date, but never set.
        """
        return self._seconds()

    def callLater(
        self, delay: float, callable: Callable[..., object], *args: object, **kw: object
    ) -> IDelayedCall:
        """
        Call something C{delay} seconds from now, in a later turn of the reactor
        even if that is 0.  An exception it raises is logged.

        @raise ValueError: if C{delay} is negative or not finite.
        @raise OSError: if the timer descriptor cannot be opened.
        """
        self.start()
        return self._agenda.add(delay, callable, args, kw)

    def getDelayedCalls(self) -> list[IDelayedCall]:
        """
        The calls that are still to be made.
        """
        return list(self._agenda.calls())

    def _becameSooner(self, when: float) -> None:
        if self._timer is not None:
            self._timer.expireBy(min(when, self._seconds() + _FARTHEST))

    def _expired(self) -> None:
        self._agenda.runDue(CALLS_PER_TURN)
        self._watchSoonest()

    def _watchSoonest(self) -> None:
        when = self._agenda.nextTime()
        if when is not None:
            self._becameSooner(when)

    def _timerLost(self) -> None:
        self._timer = None


@implementer(IReadDescriptor)
class _Timer:
    """
    The timer descriptor as a reactor sees it.
    """

    def __init__(self, expired: Callable[[], None], lost: Callable[[], None]) -> None:
        """
        @param expired: Called when the time has come.
        @param lost: Called when the reactor let go of the descriptor.
        """
        self._descriptor = openTimer()
        self._expired = expired
        self._lost = lost
        self._setTo = float("inf")

    def expireBy(self, when: float) -> None:
        """
        Expire at that time, or before if it was set sooner.

        @param when: Seconds of CLOCK_MONOTONIC.
        """
        if when < self._setTo:
            setTimer(self._descriptor, when)
            self._setTo = when

    def close(self) -> None:
        """
        Close the descriptor, once.
        """
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def fileno(self) -> int:
        """
        The descriptor, -1 when closed.
        """
        return self._descriptor

    def doRead(self) -> None:
        """
        Take note of the expiry.
        """
        try:
            os.read(self._descriptor, 8)
        except BlockingIOError:
            return
        self._setTo = float("inf")
        self._expired()

    def connectionLost(self, reason: Failure) -> None:
        """
        The reactor shuts down and lets go of everything it watches, or has
        noticed that this was closed by a call it made.
        """
        if self._descriptor >= 0:
            self.close()
            self._lost()

    def logPrefix(self) -> str:
        """
        What log lines of calls are attributed to.
        """
        return "clock"
