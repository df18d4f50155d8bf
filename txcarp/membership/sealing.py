"""
The seals of one virtual host.  Its own and those of its peers are saved, so that they are known
after a restart of the process.
"""

from __future__ import annotations

import attrs
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from txcarp.addresses import textOf
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.interfaces import IPlatform
from txcarp.membership.memory import Memory, SealMemory
from txcarp.membership.record import Record
from txcarp.protocol.advertisement import Advertisement
from txcarp.protocol.authentication import Keyring
from txcarp.protocol.freshness import (
    LAG,
    Freshness,
    SealedSource,
)
from txcarp.protocol.seal import (
    EPOCH,
    FAR_AHEAD,
    LIKELY,
    PACE,
    TAG_BITS,
    TICKS,
    Fields,
    Seal,
    Verification,
)
from txcarp.protocol.sealstate import SealState, resumedTicks

#: Seconds for which ticks are reserved in the store.
RESERVED = 60

#: Seconds before the end of the reserved ticks at which more are reserved.
RESERVE_EARLY = 5

#: Seconds between two saves for advertisements of known peers.
SAVE_EVERY = 5.0


@attrs.frozen
class Judgement:
    """
    What the counter of a good advertisement shows.

    @ivar sealed: Whether it has a valid seal.
    @ivar isAhead: Whether its tick is so far ahead of those of this host that the group must
        have refused all advertisements of this host.
    @ivar hasLapsed: Whether its source sealed its advertisements before, and no longer does.
    """

    sealed: bool
    isAhead: bool = False
    hasLapsed: bool = False


#: That of nearly all advertisements of a group that seals.
_SEALED = Judgement(True)


class Sealing:
    """
    Makes and checks sealed counters.  No advertisement waits for the store.
    """

    _log = Logger()

    def __init__(
        self,
        configuration: VirtualHostConfiguration,
        keyring: Keyring,
        memory: Memory,
        platform: IPlatform,
        record: Record,
    ) -> None:
        """
        @param memory: Has the state of earlier runs in this process.
        @param platform: Has the clocks.
        @param record: Has the state of earlier processes.
        """
        self._seals = configuration.verification is not Verification.OFF
        self._group = record.group
        self._record = record
        self._limits = memory.limits
        self._running = platform.pauseSeconds
        self._wall = platform.wallSeconds
        self._stopped = False
        self._learns = configuration.verification is Verification.LEARN
        self._saveAgain = float("-inf")
        self._unsealed: tuple[int, ...] = ()
        lag = _lag(configuration)
        constantCounters = configuration.dialect.constantCounter
        if memory.seals is None:
            state = loaded = record.load()
            if not self._seals:
                state = SealState()
            freshness = Freshness(
                configuration.verification,
                keyring.seals,
                lag=lag,
                constantCounters=constantCounters,
                sources=state.sources.items(),
                unsealed=state.unsealed,
            )
            ticks = resumedTicks(state.tick, state.sources.values())
            self._memory = SealMemory(ticks, freshness, state.tick)
            if self._seals:
                memory.seals = self._memory
        else:
            self._memory = memory.seals
            self._memory.freshness.adopt(
                configuration.verification, keyring.seals, lag, constantCounters
            )
        if self._seals:
            record.saveSeals(self._snapshot, self.forget)
        elif memory.seals is None:
            record.saveSeals(lambda: loaded, None)  # what was known remains known
        else:
            record.saveSeals(self._snapshot, None)

    def adopt(self, configuration: VirtualHostConfiguration, keyring: Keyring) -> None:
        """
        Follow another timing of the group, seal with other keys, and demand other seals.  A host
        that does not seal does not begin to.
        """
        freshness = self._memory.freshness
        self._learns = configuration.verification is Verification.LEARN
        freshness.adopt(
            configuration.verification,
            keyring.seals,
            _lag(configuration),
            configuration.dialect.constantCounter,
        )

    def stop(self) -> Deferred[None]:
        """
        Save the state.

        @return: Fires when the state is saved, cannot be saved, or the disk does not respond.
        """
        self._stopped = True
        if not self._seals:
            return succeed(None)
        return self._record.save().addCallback(lambda _: None)

    def counter(self, seal: Seal, says: Fields, source: bytes) -> int | None:
        """
        Make a sealed counter for an advertisement.  Each one gets a tick of its own, whatever
        seal it has: a host that knows several passwords hears growing ticks.

        @param seal: The seal of the password with which the advertisement is signed.
        @param source: The packed source address of the advertisement.
        @return: The counter; C{None} if this host does not seal, or has no tick left.
        """
        if not self._seals:
            return None
        now = self._running()
        tick = self._memory.ticks.next(self._wall(), now)
        if tick is None:
            if self._limits.ready("ticks") is not None:
                self._log.error(
                    "Advertisements of {group} are sent without a seal: the group has used the "
                    "last tick, because the clock of one of its hosts is wrong by centuries. Stop "
                    "all hosts of the group, set their clocks, and remove their state files",
                    group=self._group,
                )
            return None
        counter = seal.counter(tick, says, source)
        new = self._memory.freshness.sent(counter, says, source, now)
        if new or tick > self._memory.reserved - RESERVE_EARLY * PACE:
            self._record.changed()
        return counter

    def following(self, seal: Seal, says: Fields, source: bytes, number: int) -> int | None:
        """
        Make a sealed counter that follows the last one, for a bow-out that another process may
        send.  It is not used up: the next advertisement has the same tick or a later one.

        @param seal: See L{counter}.
        @param source: The packed source address of the bow-out.
        @param number: 1 for the first form of the bow-out, 2 for the second, and so on.
        @return: As for L{counter}.
        """
        tick = self._memory.ticks.last + number
        if not self._seals or tick >= TICKS:
            return None
        return seal.counter(tick, says, source)

    def skip(self, count: int) -> None:
        """
        Do not use the ticks of L{following}: another process has.

        @param count: The number of forms.
        """
        self._memory.ticks.last += count

    def judge(self, counter: int, says: Fields, source: bytes, now: float) -> Judgement:
        """
        Judge an advertisement whose digest is correct.

        @param source: Its packed source address.
        @param now: The seconds of L{IPlatform.pauseSeconds
            <txcarp.interfaces.IPlatform.pauseSeconds>}.
        @raise txcarp.protocol.rejection.Rejected: If the advertisement is not to be accepted.
        """
        memory = self._memory
        sources = memory.freshness.sources
        before = source in sources
        if not memory.freshness.judge(counter, says, source, now):
            hasLapsed = before and self._learns
            unsealed = memory.freshness.unsealed[:1]
            if self._seals and (hasLapsed or unsealed != self._unsealed):
                self._unsealed = unsealed
                self._record.changed()
            return Judgement(False, hasLapsed=hasLapsed)
        known = source in sources
        tick = counter >> TAG_BITS
        isAhead = False
        # The tick of a counter that has a valid seal by chance may be centuries ahead.
        if known or tick < max(self._wall() - EPOCH + FAR_AHEAD, LIKELY) * PACE:
            isAhead = tick - memory.ticks.last > LAG * PACE
            memory.ticks.heard(tick, now)
        if known and (not before or now >= self._saveAgain):
            self._saveAgain = now + SAVE_EVERY
            self._record.changed()
        return Judgement(True, True) if isAhead else _SEALED

    def forget(self, source: bytes) -> bool:
        """
        Forget that a host seals, at the request of an operator.

        @param source: The packed source address of the host.
        @return: Whether that was known.
        """
        known = self._memory.freshness.forget(source)
        if known:
            self._log.warn(
                "{group} was asked to forget that {source} seals its advertisements: it believes "
                "them without a seal, until {source} seals again",
                group=self._group,
                source=textOf(source),
            )
            self._record.changed()
        return known

    def isOwn(self, advertisement: Advertisement, source: bytes) -> bool:
        """
        Whether this host sealed an advertisement, rather than another one with its source address.
        """
        return self._memory.freshness.isOwn(advertisement, source)

    def _snapshot(self) -> SealState:
        """
        The state to save.  While this host runs, ticks are reserved in advance, so that it uses
        none twice if it crashes and its clock is set back.
        """
        self._memory.reserved = self._memory.ticks.last + (0 if self._stopped else RESERVED * PACE)
        return SealState(
            self._memory.reserved,
            {
                address: SealedSource(source.tick, source.offset, source.at, source.sayings)
                for address, source in self._memory.freshness.sources.items()
            },
            self._memory.freshness.unsealed,
        )


def _lag(configuration: VirtualHostConfiguration) -> float:
    """
    How many seconds the advertisements of a group may be behind each other.
    """
    return configuration.dialect.deadTime(configuration.timing, configuration.deadRatio)
