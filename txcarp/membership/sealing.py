"""
The seals of one virtual host: makes its own, checks those of others, and has the store
remember both over a restart.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.interfaces import IStateStore
from txcarp.membership.memory import Memory, SealMemory
from txcarp.protocol.advertisement import Advertisement
from txcarp.protocol.authentication import Keyring
from txcarp.protocol.freshness import (
    FAR_AHEAD,
    LAG,
    Freshness,
    SealedSource,
    SealState,
    resumedTicks,
)
from txcarp.protocol.seal import EPOCH, PACE, TAG_BITS, Says, Verification
from txcarp.statefile import BadState

#: Seconds for which ticks are reserved in the store.
RESERVED = 60

#: Seconds before the end of the reserved ticks at which more are reserved.
RESERVE_EARLY = 5

#: Seconds between two saves of what a known peer seals.
SAVE_EVERY = 5.0


class Sealing:
    """
    Makes and checks sealed counters.

    No advertisement waits for the store.
    """

    _log = Logger()

    def __init__(
        self,
        configuration: VirtualHostConfiguration,
        keyring: Keyring,
        memory: Memory,
        *,
        running: Callable[[], float],
        wall: Callable[[], float] = time.time,
        store: IStateStore | None = None,
    ) -> None:
        """
        @param memory: Keeps what earlier runs in this process sealed and heard.
        @param running: Returns seconds on a clock that is never set and does not stop
            while the machine sleeps.
        @param wall: Returns seconds since 1970.
        @param store: Keeps the state over a restart of the process.
        """
        self._seals = configuration.verification is not Verification.OFF
        self._group = f"{configuration.interface}:{configuration.vhid}"
        self._keyring = keyring
        self._limits = memory.limits
        self._running = running
        self._wall = wall
        self._store = store if self._seals else None
        self._stopped = False
        self._saveAgain = float("-inf")
        lag = configuration.dialect.deadTime(configuration.timing, configuration.deadRatio)
        if memory.seals is None:
            state = self._recall()
            freshness = Freshness(
                configuration.verification, keyring.seals, lag=lag, sources=state.sources.items()
            )
            ticks = resumedTicks(state.tick, state.sources.values())
            memory.seals = SealMemory(ticks, freshness, state.tick)
        else:
            memory.seals.freshness.adopt(configuration.verification, keyring.seals, lag)
        self._memory = memory.seals

    def stop(self) -> Deferred[None]:
        """
        Save the state.

        @return: Fires when the state is saved, cannot be saved, or the disk does not
            answer.
        """
        self._stopped = True
        if self._store is None:
            return succeed(None)
        saved = self._store.save(self._group, self._snapshot)
        return saved.addErrback(lambda failure: None)  # the store has reported it

    def counter(self, says: Says, source: bytes) -> int | None:
        """
        A sealed counter for an advertisement; C{None} if this host does not seal.

        @param source: The packed address that the advertisement comes from.
        """
        if not self._seals:
            return None
        now = self._running()
        tick = self._memory.ticks.next(self._wall(), now)
        if tick is None:
            if self._limits.ready("ticks") is not None:
                self._log.error(
                    "Advertisements of {group} leave without a seal: the group has used the last "
                    "tick, because the clock of one of its hosts is wrong by centuries. Stop all "
                    "hosts of the group, set their clocks, and remove their state files",
                    group=self._group,
                )
            return None
        counter = self._keyring.seal.counter(tick, says, source)
        new = self._memory.freshness.sent(counter, says, source, now)
        if new or tick > self._memory.reserved - RESERVE_EARLY * PACE:
            self._changed()
        return counter

    def judge(self, advertisement: Advertisement, source: bytes) -> tuple[bool, bool]:
        """
        Judge an advertisement whose digest is good.

        @return: Whether the advertisement is sealed, and whether the ticks of the group
            turn out to be so far ahead that the group refused what this host sent until
            now.
        @raise txcarp.protocol.rejection.Rejected: If it must not be believed.
        """
        memory = self._memory
        sources = memory.freshness.sources
        before = source in sources
        now = self._running()
        if not memory.freshness.judge(advertisement, source, now):
            return False, False
        known = source in sources
        tick = advertisement.counter >> TAG_BITS
        isAhead = False
        # A counter that is sealed by chance must not move this host by centuries.
        if known or tick < (self._wall() - EPOCH + FAR_AHEAD) * PACE:
            isAhead = tick - memory.ticks.last > LAG * PACE
            memory.ticks.heard(tick, now)
        if known and (not before or now >= self._saveAgain):
            self._saveAgain = now + SAVE_EVERY
            self._changed()
        return True, isAhead

    def _recall(self) -> SealState:
        if self._store is None:
            return SealState()
        try:
            return self._store.load(self._group)
        except (OSError, BadState) as error:
            self._log.error(
                "The saved state of {group} cannot be read: {error}. Advertisements from before "
                "this start may be taken for new ones",
                group=self._group,
                error=error,
            )
        return SealState()

    def _changed(self) -> None:
        if self._store is not None:
            self._store.changed(self._group, self._snapshot, within=0.0)

    def _snapshot(self) -> SealState:
        """
        The state to save.  While this host runs, ticks are reserved ahead, so that it
        uses none twice if it crashes and its clock is set back.
        """
        self._memory.reserved = self._memory.ticks.last + (0 if self._stopped else RESERVED * PACE)
        return SealState(
            self._memory.reserved,
            {
                address: SealedSource(source.tick, source.offset, source.at, source.sayings)
                for address, source in self._memory.freshness.sources.items()
            },
        )
