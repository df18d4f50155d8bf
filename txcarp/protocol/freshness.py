"""
Distinguishes fresh advertisements from replayed ones, and from forgeries that reuse the
counter and digest of an earlier one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence

import attrs

from txcarp.protocol.advertisement import BOW_OUT, LEAVING_DEMOTION, Advertisement
from txcarp.protocol.lapse import Lapses, Run
from txcarp.protocol.rejection import Rejected, Rejection
from txcarp.protocol.seal import (
    FAR_AHEAD,
    PACE,
    TAG_BITS,
    Counters,
    Fields,
    Seal,
    Verification,
    saidBy,
)
from txcarp.protocol.timing import LEAVING, Timing

#: How many sealed counters of other hosts are remembered at most, and at least half of them.  A
#: master that advertises once a second in both families uses half of them in four minutes.
#:
#: The memory only adds to other rules, because it ends with the process, and whoever has a
#: recording can wait until it has forgotten a counter.  Each tick of a known source is believed
#: once, no host is believed that is late, and L{Freshness} finds out again what the known sources
#: have sealed.  The memory covers what these leave open for a while: sources that were forgotten,
#: and what a source said before its last L{SAYINGS}.
REMEMBERED = 1024

#: The same for the counters of this host.  They recognise an echo, which arrives at once.  What is
#: forgotten is refused for the reasons above.
REMEMBERED_OWN = 512

#: How many sources that seal are remembered.  A further one replaces the source that has been
#: silent for longest.
SOURCES = 64

#: How many different L{Fields} of one source are remembered.
SAYINGS = 8

#: For how many ticks the counters that the known sources can have sealed are kept.
_TICKS_KEPT = 16

#: An advertisement is believed if it arrives at most this many seconds later than the earlier
#: ones suggest.  The limit is higher where the dead time is.  The migration of a virtual machine
#: takes less.  An attacker who delays advertisements gains no more.
LAG = 10.0

#: How many seconds ahead of its pace an advertisement may be that continues the earlier ones of
#: its source.
_AHEAD = 1.0

#: How far the clocks of two hosts may drift apart, in seconds per second.
_DRIFT = 0.001


@attrs.define
class SealedSource:
    """
    A host that seals its advertisements.

    @ivar tick: The last tick heard from the host.
    @ivar offset: How many seconds its ticks are ahead of this host's clock; C{None} if that
        clock has restarted since.
    @ivar at: When C{offset} was measured, in seconds on that clock.
    @ivar sayings: What the last advertisements of the host said, without repetitions and the
        newest last.
    @ivar before: The tick heard before the last one; the last one if there is no other.  Ticks up
        to this one are not believed again.
    """

    tick: int
    offset: float | None = None
    at: float = 0.0
    sayings: tuple[Fields, ...] = ()
    before: int = attrs.field(init=False, eq=False)

    def __attrs_post_init__(self) -> None:
        self.before = self.tick

    @property
    def sayable(self) -> set[Fields]:
        """
        What the host said, and the bow-outs that it may have sent.
        """
        demotions = {0, LEAVING_DEMOTION, *(says.demotion for says in self.sayings)}
        return {*self.sayings, *(Fields(BOW_OUT, BOW_OUT, each) for each in demotions)}

    @property
    def interval(self) -> float:
        """
        Seconds between its advertisements, bow-outs left out; 0 if that is not known.
        """
        timings = [Timing(says.advbase, says.advskew) for says in self.sayings]
        return next((each.interval for each in reversed(timings) if each != LEAVING), 0.0)

    def lag(self, tick: int, now: float) -> float:
        """
        How many seconds an advertisement with this tick is late.
        """
        if self.offset is None:
            return 0.0
        expected = self.offset - _DRIFT * max(0.0, now - self.at)
        return expected - (tick / PACE - now)

    def lead(self, tick: int, now: float) -> float:
        """
        How many seconds an advertisement with this tick is ahead.
        """
        if self.offset is None:
            return 0.0
        return tick / PACE - now - self.offset

    def goesOn(self, tick: int, now: float, tolerance: float) -> bool:
        """
        Whether an advertisement with this tick continues those that were heard.  Either the host
        was heard just now, so that this one cannot be old; or it still keeps its pace.

        @param tolerance: How many seconds it may be late.
        """
        if self.offset is None:
            return False
        silence = max(0.0, now - self.at)
        drift = _DRIFT * silence
        ahead = self.lead(tick, now)
        return silence <= tolerance or -tolerance - drift < ahead <= _AHEAD + drift

    def continues(self, tick: int, now: float, tolerance: float) -> bool:
        """
        Whether an advertisement with this tick obviously continues those that were heard.  Nearly
        all do, so that only the others have to pass all of the checks.

        @param tolerance: How many seconds it may be late.
        """
        if self.offset is None or not 0 < tick - self.tick < FAR_AHEAD * PACE:
            return False
        return -tolerance < tick / PACE - now - self.offset <= _AHEAD

    def expect(self, offset: float, at: float) -> None:
        """
        Expect the ticks of the host to be at least this far ahead from now on.
        """
        if self.offset is not None and self.offset > offset:
            offset = max(offset, self.offset - _DRIFT * max(0.0, at - self.at))
        self.offset, self.at = offset, at

    def heard(self, tick: int, says: Fields, now: float) -> bool:
        """
        Record an advertisement.

        @return: Whether it says something new.
        """
        if tick > self.tick:
            self.before, self.tick = self.tick, tick
        else:
            self.before = max(self.before, tick)  # a bow-out that was overtaken
        self.expect(tick / PACE - now, now)
        # L{Reception<txcarp.membership.reception.Reception>} passes the same object each time.
        if self.sayings and (self.sayings[-1] is says or self.sayings[-1] == says):
            return False
        before = tuple(one for one in self.sayings if one != says)
        new = len(before) == len(self.sayings)
        self.sayings = (*before[-SAYINGS + 1 :], says)
        return new


class Freshness:
    """
    Judges advertisements whose digest is correct.

    A tag has 24 bits.  One in sixteen million of the random counters that ucarp draws has a
    valid tag by chance: at one per second, about two each year.  Unless seals are required, a
    source therefore counts as sealing only after two sealed advertisements in a row.

    @ivar sources: The sources known to seal, by packed address, including those of this host.
    """

    def __init__(
        self,
        verification: Verification,
        seals: Sequence[Seal],
        *,
        lag: float = LAG,
        constantCounters: bool = False,
        sources: Iterable[tuple[bytes, SealedSource]] = (),
        unsealed: Sequence[int] = (),
    ) -> None:
        """
        @param seals: One for each accepted password.
        @param lag: How many seconds an advertisement may be late, if more than L{LAG}.
        @param constantCounters: Whether hosts that do not seal send one counter until their next
            start, as OpenBSD does.
        @param sources: The sources that an earlier process knew.
        @param unsealed: Its L{unsealed}.
        """
        self.sources: OrderedDict[bytes, SealedSource] = OrderedDict(sources)
        #: All counters that the known sources can have sealed, by tick.
        self._sealable: dict[int, frozenset[int]] = {}
        self.adopt(verification, seals, lag, constantCounters)
        self._seen = Counters(REMEMBERED)
        self._own = Counters(REMEMBERED_OWN)
        # The highest counter that is or was in either of them.
        self._highest = -1
        # The latest tick and the largest offset of all sources in each family, by the length
        # of its addresses.
        self._latest = {4: SealedSource(0), 16: SealedSource(0)}
        # Where the group was when this host last went ahead of it, and when that was.
        self._overtaken: tuple[SealedSource, float] | None = None
        self._sealedOnce: OrderedDict[bytes, SealedSource] = OrderedDict()
        self._leaps: OrderedDict[bytes, int] = OrderedDict()
        self._lapses = Lapses()
        for counter in reversed(unsealed):
            self._lapses.used(counter)
        for address, source in sorted(self.sources.items(), key=lambda item: item[1].at):
            self._advance(source, len(address))
        # Own advertisements with later ticks are all in _own.
        self._ownBefore = max(each.tick for each in self._latest.values())

    def adopt(
        self,
        verification: Verification,
        seals: Sequence[Seal],
        lag: float,
        constantCounters: bool = False,
    ) -> None:
        """
        Change the settings, and keep what is known.  The parameters are those of the
        constructor.
        """
        self._verification = verification
        self._seals = tuple(seals)
        self._lag = max(lag, LAG)
        self._constantCounters = constantCounters
        self._sealable.clear()

    @property
    def unsealed(self) -> tuple[int, ...]:
        """
        The last counters without a seal, the newest first, where hosts draw one at their start.
        A host that later seals may not be believed with one of them.
        """
        return self._lapses.last if self._constantCounters else ()

    def forget(self, source: bytes) -> bool:
        """
        Forget that a source seals its advertisements.

        @return: Whether that was known.
        """
        once, known = self._sealedOnce.pop(source, None), self.sources.pop(source, None)
        if once is not None or known is not None:
            self._sealable.clear()
        return known is not None

    def sent(self, counter: int, says: Fields, source: bytes, now: float) -> bool:
        """
        Record an advertisement that this host has sealed.

        @param now: See L{judge}.
        @return: Whether it says something new.
        """
        forgotten = self._remember(counter, now, self._own)
        self._ownBefore = max(self._ownBefore, forgotten >> TAG_BITS)
        tick = counter >> TAG_BITS
        paced = [one for one in self._latest.values() if one.offset is not None]
        group = min(paced, key=lambda one: one.lead(tick, now), default=None)
        if group is not None and group.lead(tick, now) > self._lag:
            self._overtaken = attrs.evolve(group), now
        known = self.sources.get(source) or SealedSource(tick)
        new = known.heard(tick, says, now)
        if new:
            self._sealable.clear()
        self._know(source, known)
        return new

    def judge(self, counter: int, says: Fields, source: bytes, now: float) -> bool:
        """
        Judge an advertisement.

        @param source: Its packed source address.
        @param now: Seconds on a clock that is never set, and runs while the host sleeps.
        @return: Whether it is sealed.
        @raise Rejected: If it is not to be believed.
        """
        if self._verification is Verification.OFF:
            return False
        isLatest = counter > self._highest
        if not isLatest and counter in self._own:
            raise Rejected(Rejection.OWN_ECHO, "from another source address")
        sealed = False
        for seal in self._seals:  # any() with a generator takes longer for each packet
            if seal.opens(counter, says, source):
                sealed = True
                break
        if not isLatest and counter in self._seen:
            last = self._lastOf(source)
            if sealed and last is not None and last.tick == counter >> TAG_BITS:
                raise Rejected(Rejection.DUPLICATE)
            raise Rejected(Rejection.REPLAY, "its counter was heard before")
        if sealed:
            self._admit(counter >> TAG_BITS, says, source, now)
            self._remember(counter, now, self._seen)
            return True
        if self._verification is Verification.REQUIRE:
            raise Rejected(Rejection.UNSEALED)
        if source in self.sources and not self._hasLapsed(counter, says, source, now):
            raise Rejected(Rejection.UNSEALED, "this peer seals its advertisements")
        if self._sealedBefore(counter):
            raise Rejected(Rejection.REPLAY, "another host sealed its counter")
        self._lapses.used(counter)
        self.forget(source)
        return False

    def _hasLapsed(self, counter: int, says: Fields, source: bytes, now: float) -> bool:
        """
        Whether a source that is known to seal has shown by now that it no longer does.
        """
        timing = Timing(says.advbase, says.advskew)
        if timing == LEAVING:
            return False
        known, future = self.sources[source], None
        if self._constantCounters:
            if self._sealedBefore(counter):
                return False
            future = self._future << TAG_BITS
        interval = max(timing.interval, known.interval)
        found = Run(counter, now, known.tick)
        return self._lapses.counted(source, found, interval, self._lag, future)

    def isOwn(self, advertisement: Advertisement, source: bytes) -> bool:
        """
        Whether this host sent an advertisement, in this process or an earlier one, and not another
        host that has the same source address.

        @param source: The packed source address of both.
        """
        counter = advertisement.counter
        if counter in self._own:
            return True
        known = self.sources.get(source)
        if known is None or counter >> TAG_BITS > self._ownBefore:
            return False
        sayings = {saidBy(advertisement), *known.sayable}  # it may have been altered
        return any(seal.opens(counter, says, source) for says in sayings for seal in self._seals)

    def _admit(self, tick: int, says: Fields, source: bytes, now: float) -> None:
        known = self.sources.get(source)
        if known is not None and known.continues(tick, now, self._lag):
            if known.heard(tick, says, now):
                self._sealable.clear()
            self.sources.move_to_end(source)
            self._advance(known, len(source))
            return
        known = self._lastOf(source)
        latest = self._latest[len(source)]
        witness = self._witness(source, tick, now)
        floor = witness.tick - int(self._lag * PACE)
        if known is not None:
            # If a host dies after it has sent an advertisement, but before its guard has the
            # bow-out that follows it, the guard sends the one before.
            left = Timing(says.advbase, says.advskew) == LEAVING
            floor = max(floor, known.before if left else known.tick)
        lag = witness.lag(tick, now)
        isNew = known is None or tick > known.tick
        if (tick <= floor or lag > self._lag) and isNew and self._isBehind(tick, now):
            raise Rejected(Rejection.BEHIND)
        if tick <= floor:
            older = (max(witness.tick, floor) - tick) / PACE
            raise Rejected(Rejection.REPLAY, f"{older:.2f} s older than the last")
        certain = known is not None or self._verification is Verification.REQUIRE
        if known is None:
            known = SealedSource(tick)
        if lag > self._lag:
            raise Rejected(Rejection.REPLAY, f"sent {lag:.1f} s ago")
        leaps = 0 < latest.tick < tick - FAR_AHEAD * PACE
        if certain and leaps:
            before = self._leaps.pop(source, 0)
            self._leaps[source] = tick
            if len(self._leaps) > SOURCES:
                self._leaps.popitem(last=False)
            if not before < tick <= before + int(self._lag * PACE):
                # The clock of a living master may have been set.  A recording counts once.
                text = "years ahead of the group, perhaps by chance"
                raise Rejected(Rejection.UNSEALED, text, putsOff=tick > before)
        known.heard(tick, says, now)
        self._sealable.clear()
        if certain:
            self._know(source, known)
        else:
            self._sealedOnce[source] = known
            if len(self._sealedOnce) > SOURCES:
                self._sealedOnce.popitem(last=False)

    def _witness(self, source: bytes, tick: int, now: float) -> SealedSource:
        """
        Return what the next tick of a source is compared with.

        A known source that goes on is compared with itself alone.  The clocks of two hosts may
        show different times, and a host that hears nobody does not adapt its ticks.

        All others are compared with the group, because a host that hears the group keeps its
        ticks close to the latest of all.  Older ticks may be replays of a host that has been dead
        for a long time, or of one whose ticks leapt while this host could not hear it.
        """
        known = self.sources.get(source)
        if known is not None and known.goesOn(tick, now, self._lag):
            return known
        return self._latest[len(source)]

    def _isBehind(self, tick: int, now: float) -> bool:
        """
        Whether an advertisement seems old only because this host has just gone ahead of the group.

        This host does so after a crash, when it skips the ticks that it had reserved, and when its
        clock is set.  Until the others have heard it, they seal with the ticks of the group.
        """
        if self._overtaken is None:
            return False
        group, when = self._overtaken
        isRecent = now - when <= self._lag and group.lag(tick, now) <= self._lag
        return isRecent and tick > group.tick - self._lag * PACE

    def _lastOf(self, source: bytes) -> SealedSource | None:
        return self.sources.get(source) or self._sealedOnce.get(source)

    def _know(self, source: bytes, known: SealedSource) -> None:
        self._sealedOnce.pop(source, None)
        self.sources[source] = known
        self.sources.move_to_end(source)
        if len(self.sources) > SOURCES:
            self.sources.popitem(last=False)
        self._advance(known, len(source))

    def _sealedBefore(self, counter: int) -> bool:
        """
        Whether a known source has sealed this counter with something that it said.
        """
        tick = counter >> TAG_BITS
        if tick >= self._future:
            return False
        # A host that does not seal counts on from its first counter, so that the tick that its
        # counters seem to have stays the same.
        sealable = self._sealable.get(tick)
        if sealable is None:
            sealable = frozenset(
                seal.counter(tick, says, address)
                for address, source in (*self.sources.items(), *self._sealedOnce.items())
                for says in source.sayable
                for seal in self._seals
            )
            if len(self._sealable) >= _TICKS_KEPT:
                self._sealable.clear()
            self._sealable[tick] = sealable
        return counter in sealable

    @property
    def _future(self) -> int:
        """
        A tick that no host can have used yet.
        """
        return max(each.tick for each in self._latest.values()) + FAR_AHEAD * PACE

    def _advance(self, source: SealedSource, family: int) -> None:
        latest = self._latest[family]
        if source.tick > latest.tick:
            latest.tick = source.tick
        if source.offset is not None:
            latest.expect(source.offset, source.at)

    def _remember(self, counter: int, now: float, counters: Counters) -> int:
        self._lapses.sealed(counter, now, self._lag)
        if counter > self._highest:
            self._highest = counter
        return counters.add(counter)
