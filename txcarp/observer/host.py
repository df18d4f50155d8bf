"""
One host of a group, as its advertisements show it.

All times are seconds of the observer's monotonic clock.
"""

from __future__ import annotations

import attrs

from txcarp.observer.sealjudge import SealJudge
from txcarp.observer.sighting import Claim, Sighting
from txcarp.observer.verification import NOTHING, Proof

#: Intervals, and seconds at least, without an advertisement after which a host is silent.
_SILENCE = 3.0
_SHORTEST_SILENCE = 0.5

#: Intervals plus seconds after which an advertisement is overdue.
_MISSED = 1.25
_LATENESS = 0.05

#: Seconds that are assumed for a claimed interval of zero, which VRRP allows.
_UNKNOWN_INTERVAL = 1.0

#: Seconds within which the advertisements arrive that a host sends at one moment, while its group
#: changes the password or the addresses.
TOGETHER = 0.1

#: Intervals over which the average is taken, approximately.
_MEMORY = 8


@attrs.define
class ObservedHost:
    """
    A host that advertises in a group, or once did.  Reports carry copies of it.

    @ivar sighting: Its newest advertisement.  Of a host that sends to several peers in turn, the
        newest one to the peer that is measured.
    @ivar claim: The rank that it claims.
    @ivar since: When it began to advertise.
    @ivar heard: When its last advertisement arrived.
    @ivar witnessed: Whether the observer heard it begin; otherwise it began before C{since}.
    @ivar confirmed: Whether it is certainly master, or one of several.
    @ivar hardware: Its link-layer address; may be empty.
    @ivar here: Whether it runs on this machine.
    @ivar seen: The average time between its advertisements as they arrive, in seconds; C{None}
        before the second one.
    @ivar sealed: Whether its advertisements look sealed; C{None} if that is not known.
    @ivar verified: Whether its advertisements are made with the password and for the addresses
        that the observer knows; C{None} if it knows none, or those of another group.
    """

    sighting: Sighting
    claim: Claim
    since: float
    heard: float
    witnessed: bool = True
    confirmed: bool = False
    hardware: bytes = b""
    here: bool = False
    seen: float | None = None
    sealed: bool | None = None
    verified: bool | None = None
    _measured: int = 0
    _measuredAt: float = 0.0
    _judge: SealJudge = attrs.field(factory=SealJudge)

    @property
    def source(self) -> bytes:
        """
        Its packed address.
        """
        return self.sighting.source

    def begin(self, sighting: Sighting, when: float, witnessed: bool) -> None:
        """
        Note that the host starts to advertise, for the first time or again.

        @param witnessed: Whether this is its first advertisement, rather than the first that was
            heard.
        """
        self.since = self.heard = when
        self.confirmed = False
        self.witnessed = witnessed
        self._measure(sighting)

    def hear(
        self,
        sighting: Sighting,
        when: float,
        hardware: bytes,
        here: bool,
        proof: Proof = NOTHING,
    ) -> None:
        """
        Take in an advertisement.

        @param proof: What is known for certain about it.
        """
        when = max(when, self.heard)
        changed = sighting.claim.interval != self.claim.interval
        self.claim, self.hardware, self.here, self.heard = sighting.claim, hardware, here, when
        if changed or when - self._measuredAt > self.patience():
            self._measure(sighting)
        if sighting.destination != self.sighting.destination:
            return
        self.verified = proof.verified
        if proof.sealed is not None:
            self.sealed = proof.sealed
        elif sighting.counter is not None:
            self.sealed = self._judge.saw(when, sighting.counter)
        gap = when - self._measuredAt
        if self._measured and gap < min(TOGETHER, self.claim.interval / 4):
            return  # it says the same with another password or for other addresses
        if self._measured:
            average = gap if self.seen is None else self.seen
            self.seen = average + (gap - average) / min(self._measured, _MEMORY)
        self.sighting = sighting
        self._measured += 1
        self._measuredAt = when

    def patience(self) -> float:
        """
        Seconds without an advertisement after which the host is silent.
        """
        return max(_SILENCE * self._expected(), _SHORTEST_SILENCE)

    def isSilent(self, now: float, listening: float) -> bool:
        """
        Whether the host has stopped advertising.

        @param listening: Since when its advertisements could be heard.
        """
        return now - max(self.heard, listening) > self.patience()

    def missed(self, now: float, listening: float) -> bool:
        """
        Whether its next advertisement is overdue.

        @param listening: Since when its advertisements could be heard.
        """
        return now - max(self.heard, listening) > _MISSED * self._expected() + _LATENESS

    def _expected(self) -> float:
        return max(self.claim.interval or _UNKNOWN_INTERVAL, self.seen or 0.0)

    def _measure(self, sighting: Sighting) -> None:
        """
        Start to measure the time between advertisements.
        """
        self.sighting, self.seen, self._measured = sighting, None, 0
