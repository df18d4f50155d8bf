"""
Which advertisements are new, and which were heard before or are made from
ones that were.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping, Sequence

import attrs

from txcarp.protocol.advertisement import BOW_OUT, Advertisement
from txcarp.protocol.rejection import Rejected, Rejection
from txcarp.protocol.seal import PACE, Says, Seal, Ticks, Verification, saidBy, tickOf

#: How many sealed counters are remembered, ours included; those of one master
#: that advertises once a second in both families for two hours and a quarter.
REMEMBERED = 16384

#: How many sealed sources are remembered; the one not heard for longest gives
#: way.
SOURCES = 64

#: How many different things one source has said that are remembered.
SAYINGS = 8

#: Seconds by which an advertisement may lag behind what its sender's earlier
#: ones promised, at least.  More than a virtual machine is moved in; what an
#: attacker gains who kept advertisements back.
LAG = 10.0

#: Seconds by which one advertisement alone may be ahead of all others.  A tag that
#: somebody guessed for a counter of a host that does not seal has any tick, which is
#: nearly always later by centuries.
FAR_AHEAD = 10 * 365 * 86400

#: By how much the clocks of two hosts may run apart, seconds in a second.
_DRIFT = 0.001


@attrs.define
class SealedSource:
    """
    A host that seals its advertisements.

    @ivar tick: The last tick that was heard from it.
    @ivar offset: By how many seconds its ticks were ahead of the clock of this
        host when they were; C{None} if that clock has begun anew.
    @ivar at: That clock, in seconds.
    @ivar sayings: What it said, newest last.
    """

    tick: int
    offset: float | None = None
    at: float = 0.0
    sayings: tuple[Says, ...] = ()

    @property
    def sayable(self) -> set[Says]:
        """
        What it said, and how it would say farewell.
        """
        demotions = {0, *(says.demotion for says in self.sayings)}
        return {*self.sayings, *(Says(BOW_OUT, BOW_OUT, each) for each in demotions)}

    def lag(self, tick: int, now: float) -> float:
        """
        How many seconds late an advertisement with this tick is.
        """
        if self.offset is None:
            return 0.0
        expected = self.offset - _DRIFT * max(0.0, now - self.at)
        return expected - (tick / PACE - now)

    def promise(self, offset: float, at: float) -> None:
        """
        Expect that its ticks are so far ahead from now on, if they are not expected to
        be further ahead anyway.
        """
        if self.offset is not None:
            offset = max(offset, self.offset - _DRIFT * max(0.0, at - self.at))
        self.offset, self.at = offset, at

    def heard(self, tick: int, says: Says, now: float) -> bool:
        """
        @return: Whether it said something that it had not said before.
        """
        self.tick = tick
        self.promise(tick / PACE - now, now)
        if self.sayings and self.sayings[-1] == says:
            return False
        before = tuple(one for one in self.sayings if one != says)
        new = len(before) == len(self.sayings)
        self.sayings = (*before[-SAYINGS + 1 :], says)
        return new


def resumedTicks(last: int, sources: Iterable[SealedSource]) -> Ticks:
    """
    The ticks of a host that begins anew, and remembers.

    They are later than all that it heard, so that whoever has to be refused at
    first, because his ticks look old, hears later ones from this host and is in
    step again.  And they keep the pace of before: what this host and its peers
    promised, others remember, and with the wall clock set back meanwhile nobody
    would believe it any more.

    @param last: A tick that this host may have used already.
    @param sources: The hosts that are known to seal, this one among them.
    """
    known = tuple(sources)
    return Ticks(
        max([last, *(one.tick for one in known)]),
        max([float("-inf"), *(one.offset for one in known if one.offset is not None)]),
    )


class Freshness:
    """
    Judges advertisements whose digest is good.

    A tag has 24 bits: of the counters that ucarp draws one in sixteen million
    is sealed by chance, one in half a year.  So, where hosts need not seal,
    only two sealed advertisements in a row make a host one that does.

    @ivar sources: The sources that are known to seal, by packed address; those
        of this host among them.
    """

    def __init__(
        self,
        verification: Verification,
        seals: Sequence[Seal],
        *,
        lag: float = LAG,
        sources: Iterable[tuple[bytes, SealedSource]] = (),
    ) -> None:
        """
        @param seals: One for each password that is accepted.
        @param lag: Seconds by which an advertisement may be late, at least
            L{LAG}; more where the dead time is longer.
        @param sources: What an earlier run knew.
        """
        self.sources: OrderedDict[bytes, SealedSource] = OrderedDict(sources)
        self.adopt(verification, seals, lag)
        self._order: deque[int] = deque()
        self._seen: set[int] = set()
        self._own: set[int] = set()
        # What may be expected of anybody: the latest of all that were heard.
        # By the length of an address, which says its family.
        self._anybody = {4: SealedSource(0), 16: SealedSource(0)}
        self._sealedOnce: OrderedDict[bytes, SealedSource] = OrderedDict()
        self._leaps: OrderedDict[bytes, int] = OrderedDict()
        for address, source in sorted(self.sources.items(), key=lambda item: item[1].at):
            self._advance(address, source)

    def adopt(self, verification: Verification, seals: Sequence[Seal], lag: float) -> None:
        """
        Judge by other settings from now on, with what is known.  The parameters are those
        of the constructor.
        """
        self._verification = verification
        self._seals = tuple(seals)
        self._lag = max(lag, LAG)

    def sent(self, counter: int, says: Says, source: bytes, now: float) -> bool:
        """
        Remember what this host sealed.

        @param now: As for L{judge}.
        @return: Whether it said something that it had not said before.
        """
        self._remember(counter)
        self._own.add(counter)
        tick = tickOf(counter)
        known = self.sources.get(source) or SealedSource(tick)
        new = known.heard(tick, says, now)
        self._know(source, known)
        return new

    def judge(self, advertisement: Advertisement, source: bytes, now: float) -> bool:
        """
        Decide about an advertisement.

        @param source: The packed address that it comes from.
        @param now: Seconds on a clock that is never set and does not stop
            while the host sleeps.
        @return: Whether it is sealed.
        @raise Rejected: If it must not be believed.
        """
        if self._verification is Verification.OFF:
            return False
        counter = advertisement.counter
        if counter in self._own:
            raise Rejected(Rejection.OWN_ECHO, "with another source")
        says = saidBy(advertisement)
        sealed = False
        for seal in self._seals:
            if seal.opens(counter, says, source):
                sealed = True
                break
        if counter in self._seen:
            last = self._lastOf(source)
            if sealed and last is not None and last.tick == tickOf(counter):
                raise Rejected(Rejection.DUPLICATE)
            raise Rejected(Rejection.REPLAY, "this counter was heard before")
        if sealed:
            self._admit(tickOf(counter), says, source, now)
            self._remember(counter)
            return True
        if self._verification is Verification.REQUIRE:
            raise Rejected(Rejection.UNSEALED)
        if source in self.sources:
            raise Rejected(Rejection.UNSEALED, "this peer seals its advertisements")
        if self._sealedByAnother(counter):
            raise Rejected(Rejection.REPLAY, "another host sealed this counter")
        self._sealedOnce.pop(source, None)
        return False

    def _admit(self, tick: int, says: Says, source: bytes, now: float) -> None:
        known = self._lastOf(source)
        # Whoever hears the group is about as late as the latest of it: a source
        # that is not may have been dead for long.
        anybody = self._anybody[len(source)]
        floor = anybody.tick - int(self._lag * PACE)
        if known is not None:
            floor = max(floor, known.tick)
        if tick <= floor:
            older = (anybody.tick - tick) / PACE
            raise Rejected(Rejection.REPLAY, f"{older:.2f} s older than the last")
        certain = known is not None or self._verification is Verification.REQUIRE
        if known is None:
            known = SealedSource(tick)
        lag = anybody.lag(tick, now)
        if lag > self._lag:
            raise Rejected(Rejection.REPLAY, f"sent {lag:.1f} s ago")
        leaps = 0 < anybody.tick < tick - FAR_AHEAD * PACE
        if certain and leaps and not self._goesOn(tick, source):
            raise Rejected(Rejection.UNSEALED, "years ahead of the group: perhaps by chance")
        known.heard(tick, says, now)
        if certain:
            self._know(source, known)
        else:
            self._sealedOnce[source] = known
            if len(self._sealedOnce) > SOURCES:
                self._sealedOnce.popitem(last=False)

    def _goesOn(self, tick: int, source: bytes) -> bool:
        """
        Whether a source that leaps ahead did so just before.
        """
        before = self._leaps.pop(source, 0)
        self._leaps[source] = tick
        if len(self._leaps) > SOURCES:
            self._leaps.popitem(last=False)
        return before < tick <= before + int(self._lag * PACE)

    def _lastOf(self, source: bytes) -> SealedSource | None:
        return self.sources.get(source) or self._sealedOnce.get(source)

    def _know(self, source: bytes, known: SealedSource) -> None:
        self._sealedOnce.pop(source, None)
        self.sources[source] = known
        self.sources.move_to_end(source)
        if len(self.sources) > SOURCES:
            self.sources.popitem(last=False)
        self._advance(source, known)

    def _sealedByAnother(self, counter: int) -> bool:
        """
        Whether a source that is known sealed this counter for something that
        it said before.
        """
        return any(
            seal.opens(counter, says, address)
            for address, source in (*self.sources.items(), *self._sealedOnce.items())
            for says in source.sayable
            for seal in self._seals
        )

    def _advance(self, address: bytes, source: SealedSource) -> None:
        anybody = self._anybody[len(address)]
        anybody.tick = max(anybody.tick, source.tick)
        if source.offset is not None:
            anybody.promise(source.offset, source.at)

    def _remember(self, counter: int) -> None:
        self._seen.add(counter)
        self._order.append(counter)
        if len(self._order) > REMEMBERED:
            oldest = self._order.popleft()
            self._seen.discard(oldest)
            self._own.discard(oldest)


@attrs.frozen
class SealState:
    """
    What a virtual host must still know of seals after a restart.

    @ivar tick: The last tick that this host may have used: later ones are unused.
    @ivar sources: The hosts that seal their advertisements, by packed address.
    """

    tick: int = 0
    sources: Mapping[bytes, SealedSource] = attrs.field(factory=dict)
