"""
Listening to one interface, which may go down, vanish and return.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable

from twisted.internet.interfaces import (
    IDelayedCall,
    IReactorFDSet,
    IReactorTime,
    IReadDescriptor,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from txcarp.observer import wire
from txcarp.observer.events import Event, Kind
from txcarp.observer.watch import Watch

#: Packets to read in one turn of the reactor.
_PACKETS_A_TURN = 64

#: Seconds between attempts to listen to an interface that is down or gone.
_AGAIN = 1.0


@implementer(IReadDescriptor)
class Ear:
    """
    Passes the packets of an interface to a watch, whenever the interface exists
    and is up.
    """

    def __init__(
        self,
        reactor: IReactorFDSet,
        clock: IReactorTime,
        interface: str,
        watch: Watch,
        admit: Callable[[list[Event]], object],
        openSocket: Callable[[str], socket.socket] = wire.openListener,
    ) -> None:
        """
        @param admit: Called with the events that the watch returns.
        """
        self._reactor = reactor
        self._clock = clock
        self._interface = interface
        self._watch = watch
        self._admit = admit
        self._openSocket = openSocket
        self._socket: socket.socket | None = None
        self._retry: IDelayedCall | None = None
        self._wanted = False

    def start(self) -> None:
        """
        Start to listen.  If the interface is down, wait until it is up.

        @raise txcarp.network.sockets.MissingCapability: If this process may not
            open packet sockets.
        @raise OSError: If there is no such interface.
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
        Stop listening.
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
                self._heard(arrival)

    def connectionLost(self, reason: Failure) -> None:
        # The reactor saw an error on the socket: the interface went down.
        self._lost()

    def _heard(self, arrival: wire.Arrival) -> None:
        when = self._clock.seconds() - arrival.waited
        interface, hardware, here = self._interface, arrival.hardware, arrival.here
        self._admit(self._watch.heard(when, interface, arrival.packet, hardware, here))

    def _open(self) -> None:
        self._socket = self._openSocket(self._interface)
        self._reactor.addReader(self)
        self._admit(self._watch.listens(self._clock.seconds(), self._interface))

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
        self._admit(self._watch.deafened(self._clock.seconds(), self._interface, kind))
        self._retry = self._clock.callLater(_AGAIN, self._tryAgain)
