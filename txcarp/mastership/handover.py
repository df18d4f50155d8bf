"""
The hand-over of a master to its successor.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: Seconds for which a master that bowed out keeps the addresses, unless it hears its successor
#: earlier.
LINGER = 0.5

#: Seconds for which it keeps them after the first advertisement of the successor, which is sent
#: before the successor has the addresses, and before the neighbours know that.
FOLLOW = 0.05

#: Seconds for which a drained master goes on answering while it waits for its successor.  In every
#: implementation a backup that obeys a bow-out does so at once, whatever its advbase and advskew
#: are.  But ucarp reads its packets once a second only, and runs its up script before it
#: advertises.
SUCCESSION = 1.5


class HandOver:
    """
    The time between the bow-out of a master and the release of its steps.

    @ivar isWaiting: Whether a hand-over is in progress.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._call: IDelayedCall | None = None
        self._then: Callable[[], None] | None = None
        self.isWaiting = False

    def begin(self, then: Callable[[], None], seconds: float = LINGER) -> None:
        """
        Begin a hand-over, in place of one that is in progress.

        @param then: Called L{FOLLOW} seconds after the successor is heard, or after the given
            seconds, whichever is earlier.
        """
        self.forget()
        self._then = then
        self.isWaiting = True
        self._call = self._clock.callLater(seconds, self.end)

    def successorHeard(self) -> None:
        """
        Handle that the successor advertises: end the hand-over when it has had time to take
        over.
        """
        call = self._call
        if call is not None and call.active():
            remaining = call.getTime() - self._clock.seconds()
            call.reset(max(0.0, min(FOLLOW, remaining)))

    def end(self) -> None:
        """
        End the hand-over now.
        """
        then = self._then
        self.forget()
        if then is not None:
            then()

    def forget(self) -> None:
        """
        Cancel the hand-over.
        """
        self._then = None
        self.isWaiting = False
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = None
