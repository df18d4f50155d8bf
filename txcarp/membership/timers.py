"""
The two timers of the election: when a master is missed, and when it speaks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from txcarp.protocol.family import Family

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
    when that of every family has.  One that has passed alone is told when the
    master is next heard in another.  The silence of a family in which nobody can
    be heard is never enough.
    """

    def __init__(
        self,
        clock: IReactorTime,
        families: Iterable[Family],
        expired: Callable[[float, bool], None],
        hasUnread: Callable[[], bool],
        *,
        silent: Callable[[Family, Family], None] = lambda silent, heard: None,
        any: bool = False,
    ) -> None:
        """
        @param expired: Called when the deadline passed, with how many seconds
            late this was noticed, and whether packets wait.
        @param hasUnread: Whether packets wait that may speak for the master.
        @param silent: Called with a family that is silent, and one in which
            the master is heard.
        @param any: Whether the silence of one family is enough, as in the BSD
            kernels.
        """
        self._clock = clock
        self._families = tuple(families)
        self._tellExpired = expired
        self._tellSilent = silent
        self._hasUnread = hasUnread
        self._any = any
        self._calls: dict[Family, IDelayedCall] = {}
        self._silent: set[Family] = set()
        self._deaf: frozenset[Family] = frozenset()
        self._second: IDelayedCall | None = None
        self._looks = 0

    def arm(self, delay: float, family: Family | None = None) -> None:
        """
        Set the deadline to so many seconds from now.

        @param family: In what the master was heard; C{None} for all.
        """
        for one in self._families if family is None else (family,):
            self._wait(delay, one)
        if not self._passed():
            self._forgetSecondLook()
        if family is not None:
            for other in self._silent:
                self._tellSilent(other, family)

    def deafen(self, families: Iterable[Family], delay: float) -> None:
        """
        Nobody can be heard in these families, and in no others.  Where somebody can be
        again, the master has so many seconds from now to be heard.
        """
        before, self._deaf = self._deaf, frozenset(families)
        for one in before - self._deaf:
            if one in self._calls:
                self._wait(delay, one)

    def disarm(self) -> None:
        """
        Forget it.
        """
        self._forgetSecondLook()
        for call in self._calls.values():
            cancel(call)
        self._calls.clear()
        self._silent.clear()

    def lookAgain(self, delay: float) -> None:
        """
        Report it once more, as if in time and with nothing unread, after the
        reactor had so many seconds to read what waits; and longer, within
        reason, if that was not enough.
        """
        cancel(self._second)
        self._second = self._clock.callLater(delay, self._looked, delay)

    def _wait(self, delay: float, family: Family) -> None:
        cancel(self._calls.get(family))
        self._silent.discard(family)
        self._calls[family] = self._clock.callLater(
            delay, self._expired, family, self._clock.seconds() + delay
        )

    def _forgetSecondLook(self) -> None:
        cancel(self._second)
        self._second = None
        self._looks = 0

    def _expired(self, family: Family, due: float) -> None:
        self._silent.add(family)
        if self._passed():
            self._tellExpired(self._clock.seconds() - due, self._hasUnread())

    def _passed(self) -> bool:
        if self._any:
            return not self._silent <= self._deaf
        return len(self._silent) == len(self._families)

    def _looked(self, delay: float) -> None:
        self._looks += 1
        if self._looks < _MAXIMUM_LOOKS and self._hasUnread():
            self.lookAgain(delay)
        else:
            self._tellExpired(0.0, False)


class Rhythm:
    """
    The beat of a master's advertisements.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        beat: Callable[[], None],
        pauseSeconds: Callable[[], float],
    ) -> None:
        """
        @param beat: Called at each beat.
        @param pauseSeconds: Seconds on a clock that also counts while the
            machine sleeps.
        """
        self._clock = clock
        self._beat = beat
        self._pauseSeconds = pauseSeconds
        self._loop: LoopingCall | None = None
        self._interval = 0.0
        self._last = 0.0

    @property
    def running(self) -> bool:
        """
        Whether there is a beat.
        """
        return self._loop is not None

    @property
    def interval(self) -> float:
        """
        Seconds from one beat to the next.
        """
        return self._interval

    def start(self, interval: float, *, now: bool) -> None:
        """
        Beat after each interval of so many seconds, in place of another rhythm.

        @param now: Whether to begin with a beat.
        """
        self.stop()
        # A new one each time: one that is stopped and started again within its
        # own call would be scheduled twice.
        self._loop = LoopingCall(self._call)
        self._loop.clock = self._clock
        self._interval = interval
        self._last = self._pauseSeconds()
        self._loop.start(interval, now=now).addErrback(self._failed)

    def stop(self) -> None:
        """
        Beat no more.
        """
        loop, self._loop = self._loop, None
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
        self._beat()

    def _failed(self, failure: Failure) -> None:
        # A LoopingCall ends for good when its function raises.
        self._log.failure("Advertising failed and goes on", failure=failure)
        if self._loop is not None:
            self.start(self._interval, now=False)
