"""
Who was master of a group when, as this host sees it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.interfaces import IReactorTime

from txcarp.addresses import parseAddress, textOf
from txcarp.change import Change
from txcarp.membership.peers import Peers, Succession
from txcarp.protocol.effects import Reason, Role
from txcarp.protocol.events import HoldReason
from txcarp.protocol.periods import Period, Who
from txcarp.protocol.sealstate import PERIODS

#: Seconds of the longest time without a master that is no gap: a master that bows out goes on
#: answering until its successor advertises.
SEAMLESS = 0.05

#: Holds in which this host hears nobody.
_DEAF = frozenset(one.name.lower() for one in (HoldReason.NO_LINK, HoldReason.DEAF))


class Timeline:
    """
    The last periods of a group, in a table of limited size.

    Silence has no event of its own: the end of a master that fell silent is added when the next
    period begins, or when somebody looks.

    @ivar changed: Called after each new period.
    @ivar other: The packed address of the other host that is master in the last period; C{None} if
        none is.
    @ivar vacant: The seconds of all gaps that have ended in which nobody was master.
    """

    def __init__(
        self, clock: IReactorTime, wallSeconds: Callable[[], float], peers: Peers
    ) -> None:
        """
        @param wallSeconds: Returns the seconds since 1970.
        @param peers: The other hosts.
        """
        self.changed: Callable[[], object] = lambda: None
        self._clock = clock
        self._wall = wallSeconds
        self._peers = peers
        self._periods: list[Period] = []
        self.other: bytes | None = None
        self.vacant = 0.0
        #: When the last gap began, in seconds of the clock.
        self._vacantSince = 0.0

    def now(self) -> tuple[Period, ...]:
        """
        The periods, the present one at the end.
        """
        end = self._silence()
        return (*self._periods,) if end is None else (*self._periods, end)

    def recall(self, saved: Sequence[Period], until: float) -> None:
        """
        Begin with the periods of an earlier process.

        @param until: When they were saved, in seconds since 1970.
        """
        if not self._periods and saved:
            self._periods.extend(saved[-PERIODS:])
            if saved[-1].who is not Who.UNKNOWN:
                begin = max(min(until, self._wall()), saved[-1].begin)
                self._add(Period(begin, Who.UNKNOWN, "", "not-running"))

    def roleChanged(self, change: Change) -> None:
        """
        Note that this host has another role.
        """
        word = change.reason.token
        self._settle(change.reason is Reason.SILENCE)
        if change.role is Role.MASTER:
            self._begin(Who.OWN, word)
        elif change.reason is Reason.PREFERRED_MASTER and change.peer:
            self._begin(Who.OTHER, word, parseAddress(change.peer))
        elif change.previous is Role.MASTER and change.role is Role.BACKUP:
            isDeaf = change.reason in (Reason.LINK_LOST, Reason.PAUSED)
            self._begin(Who.UNKNOWN if isDeaf else Who.NOBODY, word)
        else:
            self._begin(Who.UNKNOWN, word)

    def heard(self, source: bytes, new: Succession | None) -> None:
        """
        Note an advertisement that this host heard as backup, of another host than L{other}.

        @param new: That the host is a new master; C{None} if it is not.
        """
        if self.other is None or new is not None:
            self._settle()
            self._begin(Who.OTHER, "unknown" if new is None else new.reason, source)

    def left(self, source: bytes) -> None:
        """
        Note that a host bowed out.
        """
        if source == self.other and self._periods[-1].who is Who.OTHER:
            self._begin(Who.NOBODY, "bow-out")

    def rival(self, source: bytes, seconds: float) -> None:
        """
        Note that this host is master together with another one.

        @param seconds: For how long that has been so.
        """
        self._settle()
        if source != self.other:
            self._begin(Who.BOTH, "rival", source, seconds)

    def held(self, reason: str) -> None:
        """
        Note that this host is held back from the election.

        @param reason: The word for the reason.
        """
        if reason in _DEAF and self._periods and self._periods[-1].who is not Who.OWN:
            self._settle()
            self._begin(Who.UNKNOWN, reason)

    def _settle(self, isSilent: bool = False) -> None:
        """
        End the last period if its other master fell silent.

        @param isSilent: Whether that is so, however short its silence is.
        """
        end = self._silence(isSilent)
        if end is not None:
            last = None if self.other is None else self._peers.last(self.other)
            self._vacantSince = self._clock.seconds() if last is None else last.heard
            self._add(end)
            self.other = None

    def _silence(self, isSilent: bool = False) -> Period | None:
        """
        The period that follows the last one, because the other master in it fell silent.
        """
        last = None if self.other is None else self._peers.last(self.other)
        if last is None:
            return None
        age = self._clock.seconds() - last.heard
        if not isSilent and age <= 3 * last.timing.interval:
            return None
        begin = max(self._wall() - age, self._periods[-1].begin)
        if self._periods[-1].who is Who.BOTH:
            return Period(begin, Who.OWN, "", "rival-silent")
        return Period(begin, Who.NOBODY, "", "silent")

    def _begin(
        self, who: Who, reason: str, source: bytes | None = None, age: float = 0.0
    ) -> None:
        """
        Add a period, unless it only goes on.

        @param source: The other host that is master.
        @param age: Seconds since it began.
        """
        periods, self.other = self._periods, source
        period = Period(self._wall() - age, who, "" if source is None else textOf(source), reason)
        last = periods[-1] if periods else None
        if last and last.who is Who.NOBODY and last.begin > period.begin - SEAMLESS:
            periods.pop()
            last = periods[-1] if periods else None
        if last:
            if (last.who, last.master) == (period.who, period.master):
                return
            if last.who is Who.NOBODY:
                self.vacant += self._clock.seconds() - self._vacantSince
            if period.begin < last.begin:  # the clock was set back, or it began before that
                period = Period(last.begin, who, period.master, reason)
        if who is Who.NOBODY:
            self._vacantSince = self._clock.seconds()
        self._add(period)

    def _add(self, period: Period) -> None:
        self._periods.append(period)
        del self._periods[:-PERIODS]
        self.changed()
