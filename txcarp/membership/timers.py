"""
The two timers of the election: when a master is missed, and when it speaks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from txcarp.protocol.events import BeatDue, DeadlinePassed, Event
from txcarp.protocol.family import Family

_NEVER = float("inf")

#: How often a deadline waits for the socket to be read, at most.
_MAXIMUM_LOOKS = 100


def cancel(call: IDelayedCall | None) -> None:
    """
    Cancel a delayed call, if it is one that still waits.
    """
    if call is not None and call.active():
        call.cancel()


class MasterDown:
    """
    The master-down deadlines, one for each family.

    A master that is heard in one family is not dead: the deadline has passed
    when that of every family has.  The silence of a family in which nobody can
    be heard is never enough.

    @ivar silent: The families whose own deadline has passed.
    """

    def __init__(
        self,
        clock: IReactorTime,
        families: Iterable[Family],
        tell: Callable[[Event], None],
        hasUnread: Callable[[], bool],
        *,
        anyFamily: bool = False,
    ) -> None:
        """
        @param tell: Called with L{DeadlinePassed}.
        @param hasUnread: Whether packets wait that may speak for the master.
        @param anyFamily: Whether the silence of one family is enough, as in the BSD
            kernels.
        """
        self.silent: set[Family] = set()
        self._clock = clock
        self._families = tuple(families)
        self._tell = tell
        self._hasUnread = hasUnread
        self._anyFamily = anyFamily
        self._due: dict[Family, float] = {}
        self._calls: dict[Family, IDelayedCall] = {}
        self._wakes: dict[Family, float] = {}
        self._deaf: frozenset[Family] = frozenset()
        self._second: IDelayedCall | None = None
        self._looks = 0

    @property
    def deadline(self) -> float | None:
        """
        When this host takes over if nothing is heard until then, in seconds of the
        clock; C{None} if no deadline is set.
        """
        waiting = [due for family, due in self._due.items() if family not in self.silent]
        if not waiting:
            return None
        return min(waiting) if self._anyFamily else max(waiting)

    def arm(self, delay: float, family: Family | None = None) -> None:
        """
        Set the deadline to so many seconds from now.

        @param family: The family in which the master was heard; C{None} for all.
        """
        if family is not None:
            self._wait(delay, family)
        else:
            for one in self._families:
                self._wait(delay, one)
        if self._second is not None and not self._passed():
            self._forgetSecondLook()

    def deafen(self, families: frozenset[Family], delay: float) -> None:
        """
        Nobody can be heard in these families, and in no others.

        @param delay: Seconds from now that the master has to be heard in a family in which
            it can be heard again.
        """
        before, self._deaf = self._deaf, families
        for one in before - families:
            if one in self._due:
                self._wait(delay, one)

    def disarm(self) -> None:
        """
        Forget it.
        """
        if self._second is not None:
            self._forgetSecondLook()
        for call in self._calls.values():
            cancel(call)
        self._calls.clear()
        self._wakes.clear()
        self._due.clear()
        self.silent.clear()

    def lookAgain(self, delay: float) -> None:
        """
        Report it once more, as if in time and with nothing unread, after the
        reactor had so many seconds to read what waits; and longer, within
        reason, if that was not enough.
        """
        cancel(self._second)
        self._second = self._clock.callLater(delay, self._looked, delay)

    def _wait(self, delay: float, family: Family) -> None:
        self.silent.discard(family)
        due = self._due[family] = self._clock.seconds() + delay
        if due < self._wakes.get(family, _NEVER):
            self._wakeAfter(delay, family)
        # Otherwise the timer that is set finds out that it was too soon: most deadlines
        # are put off again and again.

    def _wakeAfter(self, delay: float, family: Family) -> None:
        cancel(self._calls.get(family))
        self._calls[family] = self._clock.callLater(delay, self._woke, family)
        self._wakes[family] = self._clock.seconds() + delay

    def _forgetSecondLook(self) -> None:
        cancel(self._second)
        self._second = None
        self._looks = 0

    def _woke(self, family: Family) -> None:
        del self._wakes[family]
        lateness = self._clock.seconds() - self._due[family]
        if lateness < 0:
            self._wakeAfter(-lateness, family)
            return
        self.silent.add(family)
        if self._passed():
            self._tell(DeadlinePassed(lateness, self._hasUnread()))

    def _passed(self) -> bool:
        if self._anyFamily:
            return not self.silent <= self._deaf
        return len(self.silent) == len(self._families)

    def _looked(self, delay: float) -> None:
        self._looks += 1
        if self._looks < _MAXIMUM_LOOKS and self._hasUnread():
            self.lookAgain(delay)
        else:
            self._tell(DeadlinePassed())


class Rhythm:
    """
    The beat of a master's advertisements.

    @ivar interval: Seconds from one beat to the next; C{None} while there is no beat.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        tell: Callable[[Event], None],
        pauseSeconds: Callable[[], float],
    ) -> None:
        """
        @param tell: Called with L{BeatDue} at each beat.
        @param pauseSeconds: Seconds on a clock that also counts while the
            machine sleeps.
        """
        self._clock = clock
        self._tell = tell
        self._pauseSeconds = pauseSeconds
        self.interval: float | None = None
        self._loop: LoopingCall | None = None
        self._last = 0.0

    def start(self, interval: float) -> None:
        """
        Beat after each interval of so many seconds from now, in place of another rhythm.
        """
        self.stop()
        # A new one each time: one that is stopped and started again within its
        # own call would be scheduled twice.
        self._loop = LoopingCall(self._call)
        self._loop.clock = self._clock
        self.interval = interval
        self._last = self._pauseSeconds()
        self._loop.start(interval, now=False).addErrback(self._failed)

    def stop(self) -> None:
        """
        Beat no more.
        """
        loop, self._loop, self.interval = self._loop, None, None
        if loop is not None and loop.running:
            loop.stop()

    def silence(self) -> float:
        """
        Seconds since the last beat.
        """
        return self._pauseSeconds() - self._last

    def beaten(self) -> None:
        """
        Count the silence from now.
        """
        self._last = self._pauseSeconds()

    def _call(self) -> None:
        self._tell(BeatDue())

    def _failed(self, failure: Failure) -> None:
        # A LoopingCall ends for good when its function raises.
        self._log.failure("Advertising failed and goes on", failure=failure)
        if self.interval is not None:
            self.start(self.interval)
