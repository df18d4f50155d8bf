"""
Waits until this host is master, and ready.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from zope.interface import implementer

from txcarp.change import Change, Readiness
from txcarp.interfaces import IMastershipObserver, IReadinessObserver


@implementer(IReadinessObserver)
class UntilReady:
    """
    An observer that leaves when this host is master and has acquired everything that belongs to it.

    @ivar done: Fires then.  Cancelling it ends the observation.
    """

    def __init__(
        self, observers: list[IMastershipObserver], isReady: Callable[[], bool]
    ) -> None:
        """
        @param observers: The observers of the virtual host, to which this one is added.
        @param isReady: Returns whether the moment has come.
        """
        self.done: Deferred[None] = Deferred(lambda done: self._leave())
        self._observers = observers
        self._isReady = isReady
        observers.append(self)

    def roleChanged(self, change: Change) -> None:
        # A drained master that nobody replaced has everything still.
        self._check()

    def readinessChanged(self, change: Change, readiness: Readiness) -> None:
        self._check()

    def _check(self) -> None:
        if self._isReady():
            self._leave()
            self.done.callback(None)

    def _leave(self) -> None:
        self._observers.remove(self)
