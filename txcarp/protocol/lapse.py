"""
Recognises a host that no longer seals its advertisements, because it runs ucarp or a BSD kernel
now.

An unsealed advertisement of a host that is known to seal is usually a forgery: an old
advertisement, or one whose timing was altered.  Such a host is believed again after three
advertisements in a row that can only have been made just now:

  - ucarp and FreeBSD take over the counter of each advertisement that they hear, and count on
    from there.  A counter that is a few steps beyond a sealed one that this host has just sent
    or heard was signed after that, by somebody who knows the password.  No recording contains
    it.

  - OpenBSD draws one counter at its start, and sends no other.  That counter does not show its
    age.  It counts as new if it was never heard before, and if its upper bits, read as a tick,
    are years ahead, so that no host can have sealed it.  (One in twenty is not: the host must be
    started again, or be forgotten by hand.)

The three must come at the rhythm of the host.  A sealed advertisement of the same host between
them makes the count begin again.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import OrderedDict

import attrs

from txcarp.protocol.seal import Counters

#: The number of such advertisements after which a host is believed, the last one included.
BELIEVED_AFTER = 3

#: How many steps a counter may be beyond the one that it continues.  A host takes a step for each
#: family in which it advertises, and for each advertisement that is lost.
STRIDE = 64

#: How many of the last sealed counters an unsealed one may continue, if they are recent enough.
RECENT = 256

#: How many more there may be, until those that are too many or too old are forgotten at once.
SPARE = 32

#: How many unsealed counters are remembered at most, and at least half of them.  ucarp and FreeBSD
#: hosts use one for each advertisement, and those before the last few continue nothing.  An OpenBSD
#: host uses one from its start to its end.
REMEMBERED = 2048

#: How many of them are known after a restart, where a host draws one at its start.
SAVED = 64

#: How many hosts are observed at a time.
OBSERVED = 64

#: The least and the most intervals between two advertisements that count.
_SOONEST, _LATEST = 0.5, 3.0


@attrs.frozen
class Run:
    """
    Unsealed advertisements of one host, which may only just have been made.

    @ivar counter: The last counter that counted.
    @ivar at: When that one arrived, in seconds of the running clock.
    @ivar tick: The last tick with which the host sealed.
    @ivar length: How many have counted.
    """

    counter: int
    at: float
    tick: int
    length: int = 1

    def next(self, after: Run, interval: float, patience: float) -> Run:
        """
        Return the run that this advertisement makes of an earlier run of the same host.

        @param interval: Seconds between two advertisements of the host.
        @param patience: The least seconds after which the host counts as silent.
        """
        gap = self.at - after.at
        if after.tick != self.tick or gap > max(patience, _LATEST * interval):
            return self
        if gap < _SOONEST * interval:
            return after
        return attrs.evolve(self, length=after.length + 1)


@attrs.define
class Lapses:
    """
    Finds out which hosts no longer seal.
    """

    _recent: array[int] = attrs.field(init=False, factory=lambda: array("Q"))
    _times: array[float] = attrs.field(init=False, factory=lambda: array("d"))
    _used: Counters = attrs.field(init=False, factory=lambda: Counters(REMEMBERED))
    _last: list[int] = attrs.field(init=False, factory=list)
    _runs: OrderedDict[bytes, Run] = attrs.field(init=False, factory=OrderedDict)

    @property
    def last(self) -> tuple[int, ...]:
        """
        The last different counters that were recorded, the newest first.
        """
        return tuple(reversed(self._last))

    def sealed(self, counter: int, now: float, patience: float) -> None:
        """
        Record a sealed counter that this host sent or believed.

        @param now: Seconds of the running clock.
        @param patience: For how many seconds the counter is recent.
        """
        recent, times = self._recent, self._times
        recent.append(counter)
        times.append(now)
        if len(recent) % SPARE == 0:
            old = max(len(recent) - RECENT, bisect_left(times, now - patience))
            del recent[:old], times[:old]

    def used(self, counter: int) -> None:
        """
        Record the counter of an unsealed advertisement, so that it counts for no other.
        """
        if counter not in self._used:
            self._used.add(counter)
            self._last.append(counter)
            del self._last[:-SAVED]

    def counted(
        self, source: bytes, found: Run, interval: float, patience: float, future: int | None
    ) -> bool:
        """
        Count an unsealed advertisement of a host that is known to seal.

        @param source: Its packed source address.
        @param found: What it would be alone.
        @param interval: Seconds between two advertisements of the host.
        @param patience: For how many seconds a sealed counter is recent, and at least how many
            the host may be silent.
        @param future: Where the dialect of the group is that of OpenBSD, a tick that no host can
            have used yet; C{None} in the other dialects.
        @return: Whether the host is to be believed from now on.
        """
        counter = found.counter
        run = self._runs.get(source)
        if counter in self._used:
            return False
        if future is not None:
            goesOn = counter >= future
        else:
            goesOn = self._continues(counter, run, found.at - patience)
        if not goesOn:
            return False
        if future is None:
            self.used(counter)
        if run is not None and (future is None or counter == run.counter):
            found = found.next(run, interval, patience)
        self._runs[source] = found
        if len(self._runs) > OBSERVED:
            self._runs.popitem(last=False)
        return found.length >= BELIEVED_AFTER

    def _continues(self, counter: int, run: Run | None, since: float) -> bool:
        """
        Whether a counter is a few steps beyond the last one of a run, or beyond a sealed one that
        was sent or heard since a moment.
        """
        if run is not None and 0 < counter - run.counter <= STRIDE:
            return True
        return any(
            0 < counter - sealed <= STRIDE and when >= since
            for sealed, when in zip(self._recent, self._times, strict=True)
        )
