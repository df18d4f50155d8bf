"""
Reading one of the kernel's lists while it changes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

#: Seconds until a list that could not be read is requested again.
_RETRY = 0.5

_T = TypeVar("_T")


class Listing(Generic[_T]):
    """
    Reads a list, and brings it up to date with the events that arrive meanwhile.

    The kernel sends an event after the change, and events in order.  So the last event about
    something is at least as new as what the list says of it.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        what: str,
        dump: Callable[[], Deferred[list[_T]]],
        key: Callable[[_T], Hashable],
        listed: Callable[[list[_T]], None],
    ) -> None:
        """
        @param what: What log lines call the values.
        @param dump: Requests the list.
        @param key: Returns what tells one value from another.
        @param listed: Called with each complete list.
        """
        self._clock = clock
        self._what = what
        self._dump = dump
        self._key = key
        self._listed = listed
        self._answer: Deferred[list[_T]] | None = None
        self._again = False
        self._newer: dict[Hashable, _T | None] = {}
        self._retry: IDelayedCall | None = None

    def read(self) -> None:
        """
        Read the list, because it is not known or events were lost.
        """
        if self._answer is not None:
            self._again = True  # the lost events may be missing from this list, too
            return
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        self._again = False
        self._newer.clear()
        self._answer = self._dump()
        self._answer.addCallbacks(self._received, self._failed)

    def noteEvent(self, value: _T, present: bool) -> None:
        """
        Note an event: a value was added or changed, or (C{present} is false) removed.
        """
        if self._answer is not None:
            self._newer[self._key(value)] = value if present else None

    def stop(self) -> None:
        """
        Forget a list that is being read.
        """
        if self._answer is not None:
            # Otherwise the answer would be taken for that of the next L{read}.
            self._answer.cancel()
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def _received(self, values: list[_T]) -> None:
        self._answer = None
        if self._again:
            self.read()
            return
        current = {self._key(value): value for value in values} | self._newer
        self._listed([value for value in current.values() if value is not None])

    def _failed(self, failure: Failure) -> None:
        self._answer = None
        if failure.check(CancelledError) is None:
            self._log.warn(
                "Unable to list the {what} of this host: {reason}; trying again in {seconds} s",
                what=self._what,
                reason=failure.getErrorMessage(),
                seconds=_RETRY,
            )
            self._retry = self._clock.callLater(_RETRY, self._retryNow)

    def _retryNow(self) -> None:
        self._retry = None
        self.read()
