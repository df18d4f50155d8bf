"""
The two timers of the election: the deadline of a backup, and the rhythm of a master.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import floor

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from txcarp.clock.metronome import Metronome, Slot
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.protocol.election import LEAST_INTERVALS, TOLERATED_LATENESS
from txcarp.protocol.events import BeatDue, DeadlineNear, DeadlinePassed, Event, Slept
from txcarp.protocol.family import Family
from txcarp.protocol.timing import Timing

_NEVER = float("inf")

#: Some peers look at their deadline only once per interval, as ucarp does.  They wait for up to
#: this many intervals even if their dead time is shorter.
_MOST_INTERVALS = 2.0

#: How many seconds before a deadline L{DeadlineNear} is told, and the least seconds between
#: advertisements with which it is: the caches of the processor are cold after so long.
_NEAR, _COLD = 0.002, 0.1

#: The highest skew of a peer.
_HIGHEST_SKEW = 255

#: The part of an interval by which a beat may seem early.
_ROUNDING = 1e-6

_BEAT_DUE = BeatDue()


def cancel(call: IDelayedCall | None) -> None:
    """
    Cancel a delayed call, unless it is C{None}, was made or was cancelled.
    """
    if call is not None and call.active():
        call.cancel()


def tolerated(configuration: VirtualHostConfiguration) -> float:
    """
    The most seconds that a timer of a backup may be late.  A living master advertises in this
    time.
    """
    return max(TOLERATED_LATENESS, configuration.timing.interval)


class MasterPauses:
    """
    For how long a master may be silent before its peers take over.
    """

    def __init__(self, configuration: VirtualHostConfiguration) -> None:
        base, ratio = configuration.advbase, configuration.deadRatio
        deadTime = configuration.dialect.deadTime
        # The skew of a silent backup is not known.  One without skew takes over first.
        self._shortestDeadTime = deadTime(Timing(base, 0), ratio)
        # With an advbase, that takes seconds, in which a busy host runs.  A host that did not run
        # for so long was stopped, and packets that arrived meanwhile may be lost: it cannot know
        # whether a peer has taken over.  Without an advbase, the dead time of a peer depends on
        # its skew alone, and only after that of the highest skew has a peer certainly taken over.
        self._longestDeadTime = deadTime(Timing(base, 0 if base else _HIGHEST_SKEW), ratio)

    def limits(self, interval: float) -> tuple[float, float]:
        """
        The longest pause after which this host is certainly the only master, and the shortest one
        after which it certainly is not, both in seconds.

        @param interval: Seconds between its advertisements.
        """
        return (
            max(self._shortestDeadTime, interval * LEAST_INTERVALS),
            max(self._longestDeadTime, interval * _MOST_INTERVALS),
        )

    def areLong(self, interval: float) -> bool:
        """
        Whether no peer takes over if a first advertisement is a small part of an interval late.

        @param interval: Seconds between the advertisements of this host.
        """
        return self._shortestDeadTime >= interval * LEAST_INTERVALS


class MasterDown:
    """
    The master-down deadlines, one for each family.

    A master that is heard in one family is alive: the deadline as a whole has passed when the
    deadline of every family has.  If one silent family is enough, it must be a family in which
    packets can arrive.

    @ivar silent: The families whose own deadline has passed.
    @ivar hasUnread: Returns whether unread packets wait, which may be from the master.
    @ivar readUnread: Handles the packets that have arrived by now, however many follow.
    @ivar armedAt: When the deadline was put off last, in seconds of the clock.
    """

    def __init__(
        self,
        clock: IReactorTime,
        families: Iterable[Family],
        tell: Callable[[Event], None],
        hasUnread: Callable[[], bool],
        readUnread: Callable[[], None],
        pauseSeconds: Callable[[], float],
        *,
        tolerated: float,
        anyFamily: bool = False,
    ) -> None:
        """
        @param tell: Called with L{DeadlinePassed}, shortly before with L{DeadlineNear}, or with
            L{Slept} if a timer shows that.
        @param pauseSeconds: Returns seconds on a clock that also counts while the machine sleeps.
        @param tolerated: The most seconds that a timer may be late.  As long as a deadline is
            set, timers are no further apart than this, so that no longer sleep is missed.
        @param anyFamily: Whether the silence of one family is enough, as in the BSD kernels.
        """
        self.silent: set[Family] = set()
        self.armedAt = float("-inf")
        self._clock = clock
        self._families = tuple(families)
        self._tell = tell
        self.hasUnread = hasUnread
        self.readUnread = readUnread
        self._pauseSeconds = pauseSeconds
        self._tolerated = tolerated
        #: How far that clock was ahead of the other one when a timer was set.
        self._ahead = 0.0
        self._anyFamily = anyFamily
        self._due: dict[Family, float] = {}
        self._calls: dict[Family, IDelayedCall] = {}
        self._wakes: dict[Family, float] = {}
        self._deaf: frozenset[Family] = frozenset()
        self._second: IDelayedCall | None = None

    def adopt(self, configuration: VirtualHostConfiguration) -> None:
        """
        Follow other settings.  If the silence of one family is enough from now on, the deadline
        may have passed already.
        """
        self._tolerated = tolerated(configuration)
        if configuration.anyFamily != self._anyFamily:
            self._anyFamily = configuration.anyFamily
            if self._due and self._second is None and self.hasPassed:
                self._tell(DeadlinePassed(0.0, self.hasUnread()))

    @property
    def deadline(self) -> float | None:
        """
        When this host takes over unless a master is heard, in seconds of the clock; C{None} if
        no deadline is set.
        """
        waiting = [due for family, due in self._due.items() if family not in self.silent]
        if not waiting:
            return None
        return min(waiting) if self._anyFamily else max(waiting)

    def slept(self, steady: float | None = None) -> float:
        """
        For how many seconds this host did not run, at least, because its next timer is as late
        as that; 0 if that is tolerable.  The sleep of the machine counts.

        @param steady: The seconds that C{pauseSeconds} has just returned; C{None} to ask it.
        """
        due = _NEVER if self._second is None else self._second.getTime()
        for wake in self._wakes.values():
            if wake < due:
                due = wake
        if steady is None:
            steady = self._pauseSeconds()
        late = steady - self._ahead - due
        return late if late > self._tolerated else 0.0

    def arm(
        self, delay: float, family: Family | None = None, steady: float | None = None
    ) -> None:
        """
        Set the deadline.

        @param delay: Seconds from now.
        @param family: The family in which the master was heard; C{None} to set all deadlines.
        @param steady: When it was heard, in seconds of C{pauseSeconds}, from which the delay counts
            then, unless this host has slept since; C{None} for now.
        """
        now = self._clock.seconds()
        if steady is not None:
            passed = self._pauseSeconds() - steady
            if passed <= TOLERATED_LATENESS:
                now -= passed
        self.armedAt = now
        if family is not None:
            self._wait(now, delay, family)
        else:
            self._wakes.clear()  # they may be over, if this host slept
            for one in self._families:
                self._wait(now, delay, one)
        if self._second is not None and not self.hasPassed:
            self._forgetSecondLook()

    def deafen(self, families: frozenset[Family], delay: float) -> None:
        """
        Set the families in which no packet can arrive.

        @param delay: Seconds from now to the new deadline of each family in which packets can
            arrive again.
        """
        before, self._deaf = self._deaf, families
        for one in before - families:
            if one in self._due:
                self._wait(self._clock.seconds(), delay, one)

    def disarm(self) -> None:
        """
        Remove the deadline.
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
        Tell L{DeadlinePassed} again, without lateness or unread packets, when packets that were
        on their way have had time to arrive, and all of them are read.

        @param delay: Seconds until then.
        """
        cancel(self._second)
        self._second = self._clock.callLater(delay, self._looked)
        self._ahead = self._pauseSeconds() - self._clock.seconds()

    def _wait(self, now: float, delay: float, family: Family) -> None:
        self.silent.discard(family)
        due = self._due[family] = now + delay
        if due < self._wakes.get(family, _NEVER):
            self._wakeBefore(due, family)
        # Otherwise the present timer expires early and is set again.  That is cheaper, as most
        # deadlines are extended again and again.

    def _wakeBefore(self, due: float, family: Family) -> None:
        cancel(self._calls.get(family))
        now = self._clock.seconds()
        delay = max(0.0, due - now)
        if delay > 2 * _NEAR and self._tolerated >= _COLD:
            delay -= _NEAR
        delay = min(delay, self._tolerated)
        self._calls[family] = self._clock.callLater(delay, self._woke, family)
        self._wakes[family] = now + delay
        self._ahead = self._pauseSeconds() - now

    def _forgetSecondLook(self) -> None:
        cancel(self._second)
        self._second = None

    def _woke(self, family: Family) -> None:
        if slept := self.slept():
            self._tell(Slept(slept))  # which sets all deadlines anew
            return
        del self._wakes[family], self._calls[family]
        due = self._due[family]
        lateness = self._clock.seconds() - due
        if lateness < 0:
            self._wakeBefore(due, family)
            if lateness >= -2 * _NEAR and self._tolerated >= _COLD:
                self._tell(DeadlineNear())
            return
        self.silent.add(family)
        if self.hasPassed:
            self._tell(DeadlinePassed(lateness, self.hasUnread()))

    @property
    def hasPassed(self) -> bool:
        """
        Whether the deadline has passed, and no master was heard since.
        """
        if self._anyFamily:
            return not self.silent <= self._deaf
        return len(self.silent) == len(self._families)

    def _looked(self) -> None:
        if slept := self.slept():
            self._tell(Slept(slept))
            return
        # In a flood packets wait at any time.  Those that follow the ones that are read here say
        # nothing about the time before the deadline.
        self.readUnread()
        if self._second is not None and self.hasPassed:
            self._forgetSecondLook()
            self._tell(DeadlinePassed(hasLooked=True))


class Rhythm:
    """
    The rhythm of a master's advertisements.

    @ivar interval: Seconds from one beat to the next; C{None} while it is stopped.
    """

    def __init__(
        self,
        clock: IReactorTime,
        metronome: Metronome,
        tell: Callable[[Event], None],
        pauseSeconds: Callable[[], float],
    ) -> None:
        """
        @param metronome: Beats on the same clock.
        @param tell: Called with L{BeatDue} at each beat.
        @param pauseSeconds: Returns seconds on a clock that also counts while the machine sleeps.
        """
        self._clock = clock
        self._metronome = metronome
        self._tell = tell
        self._pauseSeconds = pauseSeconds
        self.interval: float | None = None
        self._slot: Slot | None = None
        self._shares = True
        #: When the next beat is due, in seconds of the clock.
        self._due = 0.0
        self._last = 0.0
        self._looked = 0.0

    def start(self, interval: float, shares: bool = True) -> None:
        """
        Begin a new rhythm.

        @param interval: Seconds from now to the first beat, and from each beat to the next.
        @param shares: Whether the first beat may come a little later, together with those of
            others.
        """
        self.stop()
        self._shares = shares
        self.interval = interval
        self._last = self._pauseSeconds()
        self._slot, self._due = self._metronome.join(interval, self._beat, shares=shares)

    def stop(self) -> None:
        """
        Stop the rhythm.
        """
        slot, self._slot, self.interval = self._slot, None, None
        if slot is not None:
            slot.remove(self._beat)

    def _beat(self) -> None:
        # Before the first beat of this rhythm, there may be one of the others in the slot.
        if self.interval and self._clock.seconds() >= self._due - self.interval * _ROUNDING:
            self._tell(_BEAT_DUE)

    def silence(self) -> float:
        """
        Seconds since the last L{beaten} or L{start}.
        """
        return self._pauseSeconds() - self._last

    def beaten(self) -> None:
        """
        Measure L{silence} from now.  If this beat is late by more than L{TOLERATED_LATENESS},
        begin a new rhythm.

        The kernels and ucarp arm their timer with every advertisement.  In the old rhythm the next
        advertisement would follow too soon, and a group that has just changed its master could
        take it for another claim.  A beat that is hardly late does not count: if it did, the
        rhythm would lag behind a little more with each beat.
        """
        self._last = self._pauseSeconds()
        if self.interval is None:
            return
        late = self._clock.seconds() - self._due
        if late > TOLERATED_LATENESS:
            self.start(self.interval, self._shares)
        else:
            # As in LoopingCall, what was missed is left out.  A beat that was told before the
            # rhythm began is not one of its beats.
            passed = floor(late / self.interval + _ROUNDING) + 1
            self._due += self.interval * max(passed, 0)

    def mustLook(self, seconds: float) -> bool:
        """
        Whether the last L{beaten}, L{start}, or call of this that returned true, is longer ago.
        """
        now = self._pauseSeconds()
        if now - max(self._last, self._looked) <= seconds:
            return False
        self._looked = now
        return True
