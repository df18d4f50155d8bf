"""
Going on until the successor is there.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: Seconds for which a master that bowed out goes on answering, unless it hears
#: its successor earlier.
LINGER = 0.5

#: Seconds for which it still does after it heard the successor's first
#: advertisement: that leaves before the successor has the addresses, and much
#: before the neighbours know.
FOLLOW = 0.05


class HandOver:
    """
    The moment between a bow-out and the release of what a master holds.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._call: IDelayedCall | None = None
        self._then: Callable[[], None] | None = None

    def begin(self, then: Callable[[], None]) -> None:
        """
        Call something L{FOLLOW} seconds after a successor is heard, or when
        none was for L{LINGER} seconds.
        """
        self.forget()
        self._then = then
        self._call = self._clock.callLater(LINGER, self.end)

    def successorHeard(self) -> None:
        """
        A successor is heard: go, as soon as it can have everything.
        """
        call = self._call
        if call is not None and call.active():
            remaining = call.getTime() - self._clock.seconds()
            call.reset(max(0.0, min(FOLLOW, remaining)))

    def end(self) -> None:
        """
        Go now.
        """
        then = self._then
        self.forget()
        if then is not None:
            then()

    def forget(self) -> None:
        """
        Something else happened that settles the matter.
        """
        self._then = None
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = None
