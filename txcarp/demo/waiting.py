"""
Waiting for something to become true, on the reactor and not for ever.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime


class StoryFailed(Exception):
    """
    Something did not happen.  The message says what.
    """


@attrs.define(eq=False)
class _Wait:
    condition: Callable[[], object]
    done: Deferred[None]


class Waiting:
    """
    Those who wait for conditions, and are woken when something changed.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._waits: list[_Wait] = []

    def changed(self) -> None:
        """
        Something did that a condition may depend on.
        """
        for wait in list(self._waits):
            try:
                met = wait.condition()
            except StoryFailed as failed:
                self._waits.remove(wait)
                wait.done.errback(failed)
            else:
                if met:
                    self._waits.remove(wait)
                    wait.done.callback(None)

    async def until(self, condition: Callable[[], object], limit: float, complaint: str) -> None:
        """
        Wait until something is true.

        @param condition: may raise L{StoryFailed} when waiting is in vain.
        @param limit: seconds to wait at most.
        @param complaint: what to say when that was not enough.
        @raise StoryFailed: when it was not, or the condition said so.
        """
        if condition():
            return
        wait = _Wait(condition, Deferred(lambda done: self._waits.remove(wait)))
        self._waits.append(wait)
        late = self._clock.callLater(limit, self._late, wait, f"{complaint} within {limit:g} s")
        try:
            await wait.done
        finally:
            if late.active():
                late.cancel()

    async def pause(self, seconds: float) -> None:
        """
        Let time pass.
        """
        passed: Deferred[None] = Deferred(lambda done: late.cancel())
        late = self._clock.callLater(seconds, passed.callback, None)
        await passed

    def _late(self, wait: _Wait, complaint: str) -> None:
        self._waits.remove(wait)
        wait.done.errback(StoryFailed(complaint))
