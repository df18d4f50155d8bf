"""
A change of the configuration that is undone unless somebody confirms it.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from txcarp.configuration.request import Configuration

#: Seconds until the next attempt to undo a change that could not be undone.
UNDO_AGAIN = 10.0


class Undoing:
    """
    Goes back to an earlier configuration after a time.

    That configuration is kept in memory, so that undoing a change needs no disk.  The time is that
    of a monotonic clock.  While the machine is suspended, when nobody can reach it, no time passes.

    @ivar confirmed: The last configuration that needs no confirmation, while a change waits to be
        confirmed; otherwise C{None}.
    @ivar undone: The text of the file that was undone, and when, if nothing has changed since then;
        otherwise C{None}.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        path: str,
        goBack: Callable[[Configuration], tuple[str, Deferred[None]]],
    ) -> None:
        """
        @param path: The path of the file.
        @param goBack: Puts an earlier configuration in effect.  It raises C{OSError} or
            C{ValueError} if nothing has changed.  It returns the text of the file that was in
            effect, and what fires when all is done, or fails with C{OSError} if only a part has
            changed.
        """
        self._clock = clock
        self._path = path
        self._goBack = goBack
        self._timer: IDelayedCall | None = None
        self._lock = DeferredLock()
        self.confirmed: Configuration | None = None
        self.undone: tuple[str, float] | None = None

    @property
    def left(self) -> float | None:
        """
        Seconds until the present change is undone; C{None} if it needs no confirmation.
        """
        if self.confirmed is None or self._timer is None:
            return None
        return max(0.0, self._timer.getTime() - self._clock.seconds())

    @property
    def undoneFor(self) -> float | None:
        """
        Seconds since a change was undone; C{None} if there is none, or something has changed since.
        """
        return None if self.undone is None else self._clock.seconds() - self.undone[1]

    def isUndone(self, text: str) -> bool:
        """
        Whether a file with this text was undone.
        """
        return self.undone is not None and self.undone[0] == text

    def begin(self, confirmed: Configuration, seconds: float) -> None:
        """
        Undo the present change after a time.

        @param confirmed: What to go back to.
        """
        self.settle()
        self.confirmed = confirmed
        self._timer = self._clock.callLater(seconds, self._late)
        self._log.warn(
            "This change is undone in {seconds:.0f} s, unless 'txcarp confirm' keeps it. If txcarp "
            "is started again before that, nothing is undone, because {path} then counts",
            seconds=seconds,
            path=self._path,
        )

    def settle(self) -> None:
        """
        Keep what runs now.
        """
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = self.confirmed = self.undone = None

    def whenIdle(self) -> Deferred[object]:
        """
        @return: Fires when no change is being undone.
        """
        return self._lock.acquire().addCallback(DeferredLock.release)

    def _late(self) -> None:
        self._log.warn("Nobody has confirmed the last change in time: it is undone")
        # Even if the change is not complete yet: a script that hangs may be the reason.
        self._lock.run(self._undo).addErrback(self._failed)

    def _undo(self) -> Deferred[None] | None:
        before = self.confirmed
        if before is None:
            return None
        try:
            text, done = self._goBack(before)
        except (OSError, ValueError) as error:
            self._log.error(
                "The last change cannot be undone: {error}. It is tried again in {seconds:.0f} s",
                error=getattr(error, "strerror", None) or error,
                seconds=UNDO_AGAIN,
            )
            self._timer = self._clock.callLater(UNDO_AGAIN, self._late)
            return None
        self.confirmed = None
        self.undone = text, self._clock.seconds()
        return done.addCallback(self._isBack)

    def _isBack(self, nothing: None) -> None:
        self._log.warn(
            "The last change is undone. {path} is not what runs: correct it, or try it again with "
            "'txcarp reload --confirm'",
            path=self._path,
        )

    def _failed(self, failure: Failure) -> None:
        if failure.check(OSError):
            self._log.error(
                "The last change is undone only in part: {reason}",
                reason=failure.getErrorMessage(),
            )
        else:
            self._log.failure("Internal error while a change was undone", failure)
