"""
The status of all groups, made in short steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from txcarp.operate.documents import encoded
from txcarp.status import Status


class Gathering:
    """
    Makes the statuses of all groups as JSON.

    Between any two groups, and between any two clients that get the result, the reactor has a turn,
    so that hundreds of them do not make an advertisement late.  Requests that arrive meanwhile
    share one further pass, so that a hundred clients cost as much as two.  A pass for a request
    always begins after the request.
    """

    def __init__(
        self, reactor: IReactorTime, statuses: Callable[[], Iterable[Callable[[], Status]]]
    ) -> None:
        """
        @param statuses: Returns a function for each group, which returns its status.
        """
        self._reactor = reactor
        self._statuses = statuses
        self._busy = False
        self._waiting: list[Deferred[bytes]] = []

    def gather(self) -> Deferred[bytes]:
        """
        Make all statuses.

        @return: Fires with a JSON array.
        """
        result: Deferred[bytes] = Deferred()
        self._waiting.append(result)
        if not self._busy:
            self._begin()
        return result

    def _begin(self) -> None:
        self._busy = True
        waiting, self._waiting = self._waiting, []
        self._next(list(self._statuses())[::-1], [], waiting)

    def _next(
        self,
        left: list[Callable[[], Status]],
        made: list[bytes],
        waiting: list[Deferred[bytes]],
    ) -> None:
        """
        Make the status of one group.

        @param left: What is left to do, in reverse order.
        """
        try:
            if left:
                made.append(encoded(left.pop()()))
        except Exception:
            failure = Failure()
            self._hand(waiting, lambda one: one.errback(failure))
            return
        if left:
            self._reactor.callLater(0, self._next, left, made, waiting)
        else:
            whole = b"[" + b", ".join(made) + b"]"
            self._hand(waiting, lambda one: one.callback(whole))

    def _hand(
        self, waiting: list[Deferred[bytes]], fire: Callable[[Deferred[bytes]], Any]
    ) -> None:
        """
        Hand the result to those who wait for it, one for each turn: writing it takes time, too.
        """
        if waiting:
            self._reactor.callLater(0, self._hand, waiting[1:], fire)
            fire(waiting[0])
        elif self._waiting:
            self._begin()
        else:
            self._busy = False
