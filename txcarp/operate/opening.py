"""
Opens what this process is asked on, and tries again where that may help.
"""

from __future__ import annotations

from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IDelayedCall, IListeningPort

from txcarp.operate.control import Control

#: Seconds until the next attempt.
RETRY = 5.0


class Opening(Service):
    """
    A service that listens while it runs.  What keeps it from listening does not keep this process
    from its work.
    """

    def __init__(self, control: Control, reactor: Any) -> None:
        self._control = control
        self._reactor = reactor
        self._port: IListeningPort | None = None
        self._retry: IDelayedCall | None = None
        self._tried = self._reported = False

    def privilegedStartService(self) -> None:
        """
        Begin to listen while this process may still do that.
        """
        self._begin()

    def startService(self) -> None:
        """
        Begin to listen, unless that was tried.
        """
        Service.startService(self)
        if not self._tried:
            self._begin()

    def stopService(self) -> Deferred[None]:
        """
        Listen no more, and end the streams of events.
        """
        Service.stopService(self)
        self._tried = self._reported = False
        if self._retry is not None and self._retry.active():
            self._retry.cancel()
        port, self._port = self._port, None
        if port is None:
            return succeed(None)
        closed = maybeDeferred(port.stopListening).addCallback(lambda _: self._closed())
        return closed.addCallback(lambda _: self._control.streams.farewell())

    def _begin(self) -> None:
        self._tried = True
        self._open()

    def _open(self) -> None:
        """
        Listen, and set the port.
        """
        raise NotImplementedError

    def _closed(self) -> None:
        """
        Clean up after the port was closed.
        """

    def _again(self) -> None:
        """
        Try again later.
        """
        self._retry = self._reactor.callLater(RETRY, self._begin)
