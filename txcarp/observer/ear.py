"""
Listening to one interface, which may go down, vanish and return.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorFDSet, IReactorTime

from txcarp.observer import wire
from txcarp.observer.reports import Kind, Report
from txcarp.observer.watch import Watch
from txcarp.socketreader import SocketReader

#: Seconds between attempts to listen to an interface that is down or gone.
_AGAIN = 1.0


class Ear(SocketReader[wire.Arrival]):
    """
    Passes the packets of an interface to a watch, whenever the interface exists and is up.
    """

    def __init__(
        self,
        reactor: IReactorFDSet,
        clock: IReactorTime,
        interface: str,
        watch: Watch,
        admit: Callable[[list[Report]], object],
        openSocket: Callable[[str], socket.socket] = wire.openListener,
    ) -> None:
        """
        @param admit: Called with the reports that the watch returns.
        """
        super().__init__(reactor, f"txcarp observe {interface}")
        self._clock = clock
        self._interface = interface
        self._watch = watch
        self._admit = admit
        self._openSocket = openSocket
        self._retry: IDelayedCall | None = None

    def start(self) -> None:
        """
        Start to listen.  If the interface is down, wait until it is up.

        @raise txcarp.network.sockets.MissingCapability: If this process may not open packet
            sockets.
        @raise OSError: If there is no such interface.
        """
        try:
            self._open()
        except OSError as error:
            if error.errno != errno.ENETDOWN:
                raise
            self._wait(Kind.DOWN)

    def stop(self) -> None:
        """
        Stop listening.
        """
        super().stop()
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def receive(self, sock: socket.socket) -> wire.Arrival | None:
        return wire.receive(sock)

    def messageReceived(self, arrival: wire.Arrival) -> None:
        when = self._clock.seconds() - arrival.waited
        interface, hardware, here = self._interface, arrival.hardware, arrival.here
        self._admit(self._watch.heard(when, interface, arrival.packet, hardware, here))

    def readFailed(self, error: OSError) -> None:
        self.stop()
        self._tryAgain()

    def lost(self) -> None:
        # The reactor saw an error on the socket: the interface went down.
        self._tryAgain()

    def _open(self) -> None:
        self._socket = self._openSocket(self._interface)
        self.startReading()
        self._admit(self._watch.listens(self._clock.seconds(), self._interface))

    def _tryAgain(self) -> None:
        self._retry = None
        try:
            self._open()
        except OSError as error:
            self._wait(Kind.DOWN if error.errno == errno.ENETDOWN else Kind.GONE)

    def _wait(self, kind: Kind) -> None:
        self._admit(self._watch.deafened(self._clock.seconds(), self._interface, kind))
        self._retry = self._clock.callLater(_AGAIN, self._tryAgain)
