"""
One host in one group, as far as it is heard.
"""

from __future__ import annotations

from txcarp.observer.claim import Claim
from txcarp.observer.events import HostView
from txcarp.observer.sealing import SealJudge
from txcarp.observer.sighting import Sighting

#: Intervals of silence after which a host is taken for silent, and seconds of
#: it in which none is.
_SILENCE = 3.0
_SHORTEST_SILENCE = 0.5

#: Intervals and seconds after which an advertisement is missed.
_MISSED = 1.25
_LATENESS = 0.05

#: Seconds for a host that says zero, as VRRP can.
_UNKNOWN_INTERVAL = 1.0

#: Intervals over which the average is taken, about.
_MEMORY = 8


class Rhythm:
    """
    The time between advertisements, on average.

    @ivar average: Seconds; C{None} before the second one.
    """

    def __init__(self) -> None:
        self.average: float | None = None
        self._count = 0
        self._last: float | None = None

    def beat(self, when: float) -> None:
        """
        One came.
        """
        if self._last is not None:
            gap = when - self._last
            self._count = min(self._count + 1, _MEMORY)
            average = gap if self.average is None else self.average
            self.average = average + (gap - average) / self._count
        self._last = when


class Host:
    """
    What is known of it.

    @ivar source: Its packed address.
    @ivar claim: What it says of itself.
    @ivar since: When it began to advertise.
    @ivar heard: When it was heard last.
    @ivar confirmed: Whether it is master, or one of several, beyond doubt.
    """

    def __init__(self, sighting: Sighting, when: float) -> None:
        self.source = sighting.source
        self.claim: Claim = sighting.claim
        self.since = self.heard = when
        self.confirmed = False
        self._witnessed = True
        self._sighting = sighting
        self._hardware = b""
        self._here = False
        self._looked = when
        self._rhythm = Rhythm()
        self._judge = SealJudge()

    @property
    def sealed(self) -> bool | None:
        """
        Whether its advertisements look sealed; C{None} if that cannot be said.
        """
        return self._judge.sealed

    def begin(self, sighting: Sighting, when: float, witnessed: bool) -> None:
        """
        It advertises from now on.

        @param witnessed: Whether this is its first advertisement indeed.
        """
        self.since = self.heard = when
        self.confirmed = False
        self._witnessed = witnessed
        self._measure(sighting)

    def hear(self, sighting: Sighting, when: float, hardware: bytes, here: bool) -> None:
        """
        It advertises.
        """
        when = max(when, self.heard)
        if sighting.claim.interval != self.claim.interval:
            self._measure(sighting)
        self.claim = sighting.claim
        self._hardware, self._here = hardware, here
        self.heard = when
        # It may send to several peers, each in its turn: look at one of them.
        if when - self._looked > self.patience():
            self._measure(sighting)
        if sighting.destination == self._sighting.destination:
            self._sighting = sighting
            self._looked = when
            self._rhythm.beat(when)
            if sighting.counter is not None:
                self._judge.saw(when, sighting.counter)

    def patience(self) -> float:
        """
        Seconds of silence after which it is taken for silent.
        """
        return max(_SILENCE * self._expected(), _SHORTEST_SILENCE)

    def isSilent(self, now: float, listening: float) -> bool:
        """
        Whether it is.

        @param listening: Since when it would have been heard.
        """
        return now - max(self.heard, listening) > self.patience()

    def missed(self, now: float, listening: float) -> bool:
        """
        Whether an advertisement of it is overdue.
        """
        return now - max(self.heard, listening) > _MISSED * self._expected() + _LATENESS

    def view(self) -> HostView:
        """
        What is reported of it.
        """
        return HostView(
            source=self.source,
            hardware=self._hardware,
            here=self._here,
            destination=self._sighting.destination,
            claim=self.claim,
            addresses=self._sighting.addresses,
            seen=self._rhythm.average,
            sealed=self.sealed,
            since=self.since,
            witnessed=self._witnessed,
            heard=self.heard,
        )

    def _expected(self) -> float:
        claimed = self.claim.interval or _UNKNOWN_INTERVAL
        return max(claimed, self._rhythm.average or 0.0)

    def _measure(self, sighting: Sighting) -> None:
        self._rhythm = Rhythm()
        self._sighting = sighting
