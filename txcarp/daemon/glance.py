"""
What a file says at the moment, without waiting for a disk that hangs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

#: Seconds that an answer may take.
PATIENCE = 0.5

#: Bytes that are read at most: more than a configuration file may have.
_LARGEST = 1 << 21


class Glance:
    """
    Reads one file in a thread.

    One thread is under way at most, however often the disk is asked while it hangs.
    """

    def __init__(
        self,
        path: str,
        clock: IReactorTime,
        inThread: Callable[[Callable[[], bytes]], Deferred[bytes]],
    ) -> None:
        self._path = path
        self._clock = clock
        self._inThread = inThread
        self._busy = False
        self._asked: dict[Deferred[bytes | OSError], IDelayedCall] = {}

    def read(self) -> Deferred[bytes | OSError]:
        """
        Read the file.

        @return: Fires with its contents, or why there are none.  Never fails.
        """
        done: Deferred[bytes | OSError] = Deferred()
        late = TimeoutError("the disk does not answer")
        self._asked[done] = self._clock.callLater(PATIENCE, self._answer, done, late)
        if not self._busy:
            self._busy = True
            maybeDeferred(self._inThread, self._read).addErrback(_reason).addCallback(self._ended)
        return done

    def _read(self) -> bytes:
        with open(self._path, "rb") as file:
            return file.read(_LARGEST)

    def _ended(self, result: bytes | OSError) -> None:
        self._busy = False
        for done in list(self._asked):
            self._answer(done, result)

    def _answer(self, done: Deferred[bytes | OSError], result: bytes | OSError) -> None:
        timer = self._asked.pop(done, None)
        if timer is not None:
            if timer.active():
                timer.cancel()
            done.callback(result)


def _reason(failure: Failure) -> OSError:
    error: Any = failure.value
    return error if isinstance(error, OSError) else OSError(str(error))
