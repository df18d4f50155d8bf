"""
What the client's network card sees: which host advertises, and which one
answers.
"""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Callable, Mapping

import attrs
from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from txcarp.observer import wire
from txcarp.protocol.advertisement import PROTOCOL
from txcarp.protocol.authentication import Authenticator
from txcarp.protocol.envelope import Audience, headerLength, readPacket, sourceOf, unwrap
from txcarp.protocol.ipv4 import GROUP
from txcarp.protocol.rejection import Rejected
from txcarp.protocol.timing import LEAVING, Timing

_ETH_P_IP = 0x0800
_PACKETS_A_TURN = 64
_KEPT = 1000


@attrs.frozen
class Advert:
    """
    A genuine advertisement.

    @ivar host: The name of the host that sent it.
    @ivar at: When it reached the card, on the monotonic clock.
    @ivar timing: The timing in it.
    """

    host: str
    at: float
    timing: Timing

    @property
    def leaving(self) -> bool:
        """
        Whether it is a bow-out.
        """
        return self.timing == LEAVING


def openCapture(interface: str) -> socket.socket:
    """
    A non-blocking socket that receives all IPv4 packets on an interface, in the
    network namespace of this thread.
    """
    sock = socket.socket(
        socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0
    )
    wire.requestStamps(sock)
    sock.bind((interface, _ETH_P_IP))
    return sock


@implementer(IReadDescriptor)
class Witness:
    """
    Reads every packet that reaches the client.

    @ivar adverts: The newest advertisements, oldest first.
    @ivar answering: The name of the host that sent the newest packet from the
        virtual address; empty before the first.
    @ivar advertised: Called with each advertisement.
    @ivar answered: Called with the name of a host for each of its packets from
        the virtual address.
    """

    def __init__(
        self,
        reactor: IReactorFDSet,
        sock: socket.socket,
        authenticator: Authenticator,
        vhid: int,
        address: str,
        cards: Mapping[bytes, str],
    ) -> None:
        """
        @param sock: A socket from L{openCapture}; L{stop} closes it.
        @param authenticator: Tells genuine advertisements from others.
        @param vhid: The number of the group.
        @param address: The virtual address.
        @param cards: The names of the hosts, by hardware address.
        """
        self.adverts: deque[Advert] = deque(maxlen=_KEPT)
        self.answering = ""
        self.advertised: Callable[[Advert], object] = lambda advert: None
        self.answered: Callable[[str], object] = lambda host: None
        self._reactor = reactor
        self._socket: socket.socket | None = sock
        self._authenticator = authenticator
        self._audience = Audience(vhid, b"", GROUP)
        self._address = socket.inet_aton(address)
        self._cards = cards

    def start(self) -> None:
        """
        Start to read.
        """
        self._reactor.addReader(self)

    def stop(self) -> None:
        """
        Stop reading and close the socket.
        """
        if self._socket is not None:
            self._reactor.removeReader(self)
            self._socket.close()
            self._socket = None

    def latest(self, host: str) -> Advert | None:
        """
        The newest advertisement of a host.
        """
        return next((advert for advert in reversed(self.adverts) if advert.host == host), None)

    def fileno(self) -> int:
        return -1 if self._socket is None else self._socket.fileno()

    def logPrefix(self) -> str:
        return "witness"

    def connectionLost(self, reason: Failure) -> None:
        self.stop()

    def doRead(self) -> None:
        for _ in range(_PACKETS_A_TURN):
            if self._socket is None:
                return
            try:
                arrival = wire.receive(self._socket)
            except (BlockingIOError, InterruptedError):
                return
            if arrival is not None and headerLength(arrival.packet):
                host = self._cards.get(arrival.hardware)
                if host is not None:
                    self._saw(host, arrival.packet, time.monotonic() - arrival.waited)

    def _saw(self, host: str, packet: bytes, at: float) -> None:
        if packet[9] == PROTOCOL:
            try:
                found = unwrap(readPacket(packet), self._audience)
            except Rejected:
                return
            if self._authenticator.verify(found.counter, found.digest):
                advert = Advert(host, at, Timing(found.advbase, found.advskew))
                self.adverts.append(advert)
                self.advertised(advert)
        elif sourceOf(packet) == self._address:
            self.answering = host
            self.answered(host)
