"""
Waiting until something becomes true, for a limited time.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime


class StoryFailed(Exception):
    """
    Something did not happen.  The message says what.
    """


class Progress:
    """
    Wakes the story whenever something happened that it may be waiting for.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._change: Deferred[None] | None = None

    def made(self) -> None:
        """
        Have the condition checked that is waited for.
        """
        change, self._change = self._change, None
        if change is not None:
            change.callback(None)

    async def until(self, condition: Callable[[], object], limit: float, complaint: str) -> None:
        """
        Wait until a condition is true.  Only one can be waited for at a time.

        @param condition: May raise L{StoryFailed} to give up.
        @param limit: Seconds to wait at most.
        @param complaint: What to say if that was not enough.
        @raise StoryFailed: If the condition did not become true in time.
        """
        end = self._clock.seconds() + limit
        while not condition():
            left = end - self._clock.seconds()
            if left <= 0:
                raise StoryFailed(f"{complaint} within {limit:g} s")
            self._change = Deferred()
            try:
                await self._change.addTimeout(left, self._clock)
            except TimeoutError:
                pass
            finally:
                self._change = None
