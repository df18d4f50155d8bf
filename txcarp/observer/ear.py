"""
Listening to one interface on the reactor, whatever becomes of it.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import Protocol

from twisted.internet.interfaces import (
    IDelayedCall,
    IReactorFDSet,
    IReactorTime,
    IReadDescriptor,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from txcarp.observer import wire
from txcarp.observer.events import Kind

#: Packets that are read before the reactor has its next turn.
_PACKETS_A_TURN = 64

#: Seconds until an interface that is down or gone is looked at again.
_AGAIN = 1.0


class Listener(Protocol):
    """
    Whom an ear tells.
    """

    def arrived(self, interface: str, arrival: wire.Arrival) -> None:
        """
        A packet did.
        """

    def listens(self, interface: str) -> None:
        """
        Packets are heard from now on.
        """

    def deafened(self, interface: str, kind: Kind) -> None:
        """
        None are heard, because the interface is C{DOWN} or C{GONE}.  May be
        said repeatedly.
        """


@implementer(IReadDescriptor)
class Ear:
    """
    Hears an interface while it is up, and again when it is made again.
    """

    def __init__(
        self,
        reactor: IReactorFDSet,
        clock: IReactorTime,
        interface: str,
        listener: Listener,
        openSocket: Callable[[str], socket.socket] = wire.openSocket,
    ) -> None:
        self._reactor = reactor
        self._clock = clock
        self._interface = interface
        self._listener = listener
        self._openSocket = openSocket
        self._socket: socket.socket | None = None
        self._retry: IDelayedCall | None = None
        self._wanted = False

    def start(self) -> None:
        """
        Listen from now on.

        @raise txcarp.network.sockets.MissingCapability: If this process may
            not.
        @raise OSError: If there is no such interface; one that is down is
            waited for.
        """
        self._wanted = True
        try:
            self._open()
        except OSError as error:
            if error.errno != errno.ENETDOWN:
                self._wanted = False
                raise
            self._wait(error)

    def stop(self) -> None:
        """
        Listen no more.
        """
        self._wanted = False
        self._close()
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def fileno(self) -> int:
        return -1 if self._socket is None else self._socket.fileno()

    def logPrefix(self) -> str:
        return f"txcarp observe {self._interface}"

    def doRead(self) -> None:
        for _ in range(_PACKETS_A_TURN):
            if self._socket is None:
                return
            try:
                arrival = wire.receive(self._socket)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self._lost()
                return
            if arrival is not None:
                self._listener.arrived(self._interface, arrival)

    def connectionLost(self, reason: Failure) -> None:
        # An error waits in the socket: the interface went down.
        self._lost()

    def _open(self) -> None:
        self._socket = self._openSocket(self._interface)
        self._reactor.addReader(self)
        self._listener.listens(self._interface)

    def _close(self) -> None:
        sock, self._socket = self._socket, None
        if sock is not None:
            self._reactor.removeReader(self)
            sock.close()

    def _lost(self) -> None:
        self._close()
        if self._wanted:
            self._tryAgain()

    def _tryAgain(self) -> None:
        self._retry = None
        try:
            self._open()
        except OSError as error:
            self._wait(error)

    def _wait(self, error: OSError) -> None:
        kind = Kind.DOWN if error.errno == errno.ENETDOWN else Kind.GONE
        self._listener.deafened(self._interface, kind)
        self._retry = self._clock.callLater(_AGAIN, self._tryAgain)
