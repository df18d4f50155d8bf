"""
Endpoints on which everybody may read, and nobody can change anything.
"""

from __future__ import annotations

from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IDelayedCall, IListeningPort
from twisted.logger import Logger
from twisted.python.failure import Failure

from txcarp.operate.connections import ACCEPTS, ControlFactory
from txcarp.operate.control import Control

#: Seconds until the next attempt to open an endpoint.
RETRY = 5.0


class ReadingService(Service):
    """
    Answers on an endpoint.

    What keeps it from being opened is logged once, and does not keep this process from its work.
    It is tried again: the address may come, or the other process that uses it may end.
    """

    _log = Logger()

    def __init__(self, control: Control, description: str, reactor: Any) -> None:
        """
        @param description: The endpoint, as in C{tcp:9112:interface=127.0.0.1}.
        """
        self._control = control
        self._description = description
        self._reactor = reactor
        self._port: IListeningPort | None = None
        self._retry: IDelayedCall | None = None
        self._tried = self._reported = False

    def privilegedStartService(self) -> None:
        """
        Open the endpoint while this process may still do that.
        """
        self._open()

    def startService(self) -> None:
        """
        Open the endpoint, unless that was tried.
        """
        Service.startService(self)
        if not self._tried:
            self._open()

    def stopService(self) -> Deferred[None]:
        """
        Close the endpoint, and end the streams of events.
        """
        Service.stopService(self)
        self._tried = self._reported = False
        if self._retry is not None and self._retry.active():
            self._retry.cancel()
        port, self._port = self._port, None
        if port is None:
            return succeed(None)
        closed = maybeDeferred(port.stopListening)
        return closed.addCallback(lambda _: self._control.streams.farewell())

    def _open(self) -> None:
        from twisted.internet.endpoints import serverFromString  # takes a while to load

        self._tried = True
        factory = ControlFactory(self._control, self._reactor, isPublic=True)
        opened = maybeDeferred(serverFromString, self._reactor, self._description)
        opened.addCallback(lambda endpoint: endpoint.listen(factory))
        opened.addCallbacks(self._opened, self._failed)

    def _opened(self, port: IListeningPort) -> None:
        self._port = port
        acceptFew(port)
        self._log.info(
            "Everybody who reaches {description} can read the state of all groups",
            description=self._description,
        )
        if not self._tried:  # stopped meanwhile
            self.stopService()

    def _failed(self, failure: Failure) -> None:
        if not self._reported:
            self._reported = True
            # Twisted wraps what the kernel says.
            reason = getattr(failure.value, "socketError", failure.value)
            self._log.warn(
                "Nobody can read the state of this process through {description}: it cannot be "
                "opened: {reason}. It is tried again every {retry:.0f} s",
                description=self._description,
                reason=getattr(reason, "strerror", None) or str(reason),
                retry=RETRY,
            )
        self._retry = self._reactor.callLater(RETRY, self._open)


def acceptFew(port: Any) -> None:
    """
    Let a port accept few connections in one turn of the reactor, in place of up to some hundred.
    An advertisement that is due would wait for all of them.
    """
    if not hasattr(port, "numberAccepts"):
        return  # it is no socket of Twisted's own
    read = port.doRead

    def doRead() -> object:
        port.numberAccepts = ACCEPTS
        return read()

    port.doRead = doRead
