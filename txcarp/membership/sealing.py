"""
The seals of one virtual host while it runs: those that it makes, those that it
checks, and what it remembers of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from twisted.internet.defer import Deferred, TimeoutError, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.interfaces import IStateStore
from txcarp.membership.memory import Memory, SealMemory
from txcarp.membership.statefile import BadState
from txcarp.membership.timers import cancel
from txcarp.protocol.advertisement import Advertisement
from txcarp.protocol.authentication import Keyring
from txcarp.protocol.freshness import FAR_AHEAD, LAG, Freshness, State, resumedTicks
from txcarp.protocol.seal import EPOCH, PACE, Says, Verification, tickOf

#: Seconds for which ticks are reserved in the state file.
RESERVED = 60

#: Seconds between two writes of the state file that are not urgent.
SAVE_EVERY = 5.0

#: Seconds to wait for the last one.
LONGEST_SAVE = 5.0


class Sealing:
    """
    Makes and checks sealed counters.
    """

    _log = Logger()

    def __init__(
        self,
        configuration: VirtualHostConfiguration,
        keyring: Keyring,
        clock: IReactorTime,
        memory: Memory,
        *,
        running: Callable[[], float],
        wall: Callable[[], float] = time.time,
        store: IStateStore | None = None,
    ) -> None:
        """
        @param memory: Has what earlier runs in this process knew.
        @param running: Seconds on a clock that is never set and does not stop
            while the machine sleeps.
        @param wall: Seconds since 1970.
        @param store: Has what earlier processes knew; C{None} if nothing is kept over a
            restart of the process.
        """
        self._seals = configuration.verification is not Verification.OFF
        self._keyring = keyring
        self._clock = clock
        self._limits = memory.limits
        self._running = running
        self._wall = wall
        self._store = store if self._seals else None
        self._timer: IDelayedCall | None = None
        self._busy = False
        self._wanted: int | None = None
        self._waiting: list[Deferred[None]] = []
        lag = configuration.dialect.deadTime(configuration.timing, configuration.deadRatio)
        if memory.seals is None:
            state = self._recall()
            memory.seals = SealMemory(
                resumedTicks(state.tick, state.sources.values()),
                Freshness(
                    configuration.verification,
                    keyring.seals,
                    lag=lag,
                    sources=state.sources.items(),
                ),
                state.tick,
            )
        else:
            memory.seals.freshness.adopt(configuration.verification, keyring.seals, lag)
        self._memory = memory.seals

    def stop(self) -> Deferred[None]:
        """
        Remember what this run knows.

        @return: Fires when it is written, or could not be, or takes too long.
        """
        cancel(self._timer)
        self._timer = None
        if self._store is None:
            return succeed(None)
        # Another run may begin right away: nothing needs to be reserved.
        self._memory.reserved = self._memory.ticks.last
        saved = self._save(self._memory.reserved)
        return saved.addTimeout(LONGEST_SAVE, self._clock).addErrback(self._failed)

    def counter(self, says: Says, source: bytes) -> int | None:
        """
        A sealed counter for an advertisement; C{None} if none is wanted.

        @param source: The packed address that it comes from.
        """
        if not self._seals:
            return None
        now = self._running()
        tick = self._memory.ticks.next(self._wall(), now)
        if tick is None:
            if self._limits.ready("ticks") is not None:
                self._log.error(
                    "There are no ticks left to seal advertisements with: the clock of a host of "
                    "this group is wrong by centuries. They leave without a seal"
                )
            return None
        counter = self._keyring.seal.counter(tick, says, source)
        if self._memory.freshness.sent(counter, says, source, now) or tick > self._memory.reserved:
            self._saveNow()
        return counter

    def judge(self, advertisement: Advertisement, source: bytes) -> tuple[bool, bool]:
        """
        Decide about an advertisement whose digest is good.

        @return: Whether it is sealed, and whether the group is so far ahead of the ticks
            of this host that nobody believed what it sent until now.
        @raise txcarp.protocol.rejection.Rejected: If it must not be believed.
        """
        before = source in self._memory.freshness.sources
        now = self._running()
        if not self._memory.freshness.judge(advertisement, source, now):
            return False, False
        known = source in self._memory.freshness.sources
        tick = tickOf(advertisement.counter)
        # A seal by chance is not to carry this host away by centuries.
        isAhead = False
        if known or tick < (self._wall() - EPOCH + FAR_AHEAD) * PACE:
            isAhead = tick - self._memory.ticks.last > LAG * PACE
            self._memory.ticks.heard(tick, now)
        if before:
            self._saveLater()
        elif known:
            self._saveNow()
        return True, isAhead

    def _recall(self) -> State:
        if self._store is None:
            return State()
        try:
            return self._store.load()
        except FileNotFoundError:
            self._log.info("{store} does not exist yet: it is made", store=self._store)
        except (OSError, BadState) as error:
            self._log.error(
                "{store} cannot be read: {error}. Advertisements from before this start may be "
                "taken for new ones",
                store=self._store,
                error=error,
            )
        return State()

    def _saveLater(self) -> None:
        if self._store is not None and (self._timer is None or not self._timer.active()):
            self._timer = self._clock.callLater(SAVE_EVERY, self._saveNow)

    def _saveNow(self) -> None:
        if self._store is None:
            return
        cancel(self._timer)
        self._memory.reserved = self._memory.ticks.last + RESERVED * PACE
        self._save(self._memory.reserved)

    def _save(self, tick: int) -> Deferred[None]:
        """
        Write; if a write is under way, the newest state once it is done.
        """
        self._wanted = tick
        done: Deferred[None] = Deferred()
        self._waiting.append(done)
        if not self._busy:
            self._busy = True
            self._write()
        return done

    def _write(self) -> None:
        assert self._store is not None
        assert self._wanted is not None
        tick, self._wanted = self._wanted, None
        waiting, self._waiting = self._waiting, []
        saving = self._store.save(State(tick, dict(self._memory.freshness.sources)))
        saving.addErrback(self._failed).addCallback(lambda _: self._written(waiting))

    def _written(self, waiting: list[Deferred[None]]) -> None:
        if self._wanted is not None:
            self._write()
        else:
            self._busy = False
        for done in waiting:
            done.callback(None)

    def _failed(self, failure: Failure) -> None:
        if self._limits.ready("state") is not None:
            self._log.error(
                "{store} cannot be written: {reason}. After a restart of this program old "
                "advertisements may be taken for new ones",
                store=self._store,
                reason="the disk does not answer"
                if failure.check(TimeoutError)
                else failure.getErrorMessage(),
            )
