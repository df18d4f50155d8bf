"""
What of a virtual host is saved, so that it is known after a restart of the process.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.interfaces import IPlatform
from txcarp.membership.memory import Drain, Memory
from txcarp.protocol.sealstate import PERIODS, SavedDrain, SealState
from txcarp.state.format import BadState


class Record:
    """
    The line of one virtual host in the state store: the state of its seals, its drain, and who was
    master when.
    """

    _log = Logger()

    def __init__(
        self, configuration: VirtualHostConfiguration, memory: Memory, platform: IPlatform
    ) -> None:
        """
        @param memory: Has the drain.
        @param platform: Has the store.
        """
        self.group = f"{configuration.interface}:{configuration.vhid}"
        self._memory = memory
        self._clock = platform.clock
        self._wall = platform.wallSeconds
        self._store = platform.store
        self._seals: Callable[[], SealState] = SealState

    def saveSeals(
        self, seals: Callable[[], SealState], forget: Callable[[bytes], bool] | None
    ) -> None:
        """
        Set what is saved about seals.

        @param seals: Returns their state.
        @param forget: See L{IStateStore.onForget<txcarp.interfaces.IStateStore.onForget>}; C{None}
            if this host does not seal.
        """
        self._seals = seals
        if self._store is not None and forget is not None:
            self._store.onForget(self.group, forget)

    def load(self) -> SealState:
        """
        Return the saved state, and recall the drain and the periods of an earlier process.
        """
        state = SealState()
        if self._store is None:
            return state
        try:
            state = self._store.load(self.group)
        except (OSError, BadState) as error:
            self._log.error(
                "The saved state of {group} cannot be read: {error}. This host may accept "
                "replays of advertisements from before this start, and does not know whether it "
                "was drained",
                group=self.group,
                error=error,
            )
        if not self._memory.isRecalled:
            self._memory.isRecalled = True
            self._recall(state.drain)
            self._memory.chronicle.timeline.recall(state.periods, state.saved)
        return state

    def changed(self, within: float = 0.0) -> None:
        """
        Save the state soon.

        @param within: Seconds until then, at most.
        """
        if self._store is not None:
            self._store.changed(self.group, self._snapshot, within)

    def save(self) -> Deferred[bool]:
        """
        Save the state now.

        @return: Fires with whether it is saved: there may be no store, or no answer from the
            disk.
        """
        if self._store is None:
            return succeed(False)
        saved = self._store.save(self.group, self._snapshot)
        return saved.addCallbacks(lambda _: True, lambda failure: False)  # the store has logged it

    def _recall(self, saved: SavedDrain | None) -> None:
        if saved is None:
            return
        left = saved.remaining(self._wall())
        until = None if left is None else self._clock.seconds() + left
        self._memory.drain = Drain(until, saved.actor)

    def _snapshot(self) -> SealState:
        drain, saved = self._memory.drain, None
        if drain is not None:
            left = None if drain.until is None else max(0.0, drain.until - self._clock.seconds())
            until = None if left is None else self._wall() + left
            saved = SavedDrain(until, left, drain.actor)
        periods = self._memory.chronicle.timeline.now()[-PERIODS:]
        return attrs.evolve(self._seals(), drain=saved, periods=periods, saved=self._wall())
