"""
What is known of all groups, collected in short steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

#: What is made for a group.
_Part = TypeVar("_Part")


class Gathering(Generic[_Part]):
    """
    Makes something for each group.

    Between any two groups, and between any two clients that get the result, the reactor has a turn,
    so that hundreds of them do not make an advertisement late.  Requests that arrive meanwhile
    share one further pass, so that a hundred clients cost as much as two.  A pass for a request
    always begins after the request.
    """

    def __init__(
        self, reactor: IReactorTime, steps: Callable[[], Iterable[Callable[[], _Part]]]
    ) -> None:
        """
        @param steps: Returns a function for each group, which makes its part.
        """
        self._reactor = reactor
        self._steps = steps
        self._busy = False
        self._waiting: list[Deferred[tuple[_Part, ...]]] = []

    def gather(self) -> Deferred[tuple[_Part, ...]]:
        """
        Make all parts.

        @return: Fires with all of them.
        """
        result: Deferred[tuple[_Part, ...]] = Deferred()
        self._waiting.append(result)
        if not self._busy:
            self._begin()
        return result

    def _begin(self) -> None:
        self._busy = True
        waiting, self._waiting = self._waiting, []
        self._next(list(self._steps())[::-1], [], waiting)

    def _next(
        self,
        left: list[Callable[[], _Part]],
        made: list[_Part],
        waiting: list[Deferred[tuple[_Part, ...]]],
    ) -> None:
        """
        Make the part of one group.

        @param left: What is left to do, in reverse order.
        """
        try:
            if left:
                made.append(left.pop()())
        except Exception:
            failure = Failure()
            self._hand(waiting, lambda one: one.errback(failure))
            return
        if left:
            self._reactor.callLater(0, self._next, left, made, waiting)
        else:
            whole = tuple(made)
            self._hand(waiting, lambda one: one.callback(whole))

    def _hand(
        self,
        waiting: list[Deferred[tuple[_Part, ...]]],
        fire: Callable[[Deferred[tuple[_Part, ...]]], Any],
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
