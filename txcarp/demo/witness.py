"""
What the client's network card sees: which host advertises, and which one answers.
"""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Callable, Mapping

import attrs
from twisted.internet.interfaces import IReactorFDSet

from txcarp.network.sockets import openRawSocket, requestTimestamps
from txcarp.observer import wire
from txcarp.protocol.advertisement import PROTOCOL
from txcarp.protocol.authentication import Authenticator
from txcarp.protocol.envelope import Audience, unwrap
from txcarp.protocol.ipv4 import GROUP
from txcarp.protocol.rejection import Rejected
from txcarp.protocol.timing import LEAVING, Timing
from txcarp.socketreader import SocketReader

_ETH_P_IP = 0x0800
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
    A non-blocking socket that receives all IPv4 packets on an interface, in the network namespace
    of this thread.
    """
    sock = openRawSocket(socket.AF_PACKET, socket.SOCK_DGRAM, 0, "a packet socket")
    requestTimestamps(sock)
    sock.bind((interface, _ETH_P_IP))
    return sock


class Witness(SocketReader[wire.Arrival]):
    """
    Reads every packet that reaches the client.

    @ivar adverts: The newest advertisements, oldest first.
    @ivar answering: The name of the host that sent the newest packet from the virtual address;
        empty before the first.
    @ivar advertised: Called with each advertisement.
    @ivar answered: Called with the name of a host for each of its packets from the virtual
        address.
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
        @param sock: A socket from L{openCapture}; C{stop} closes it.
        @param authenticator: Tells genuine advertisements from others.
        @param vhid: The number of the group.
        @param address: The virtual address.
        @param cards: The names of the hosts, by hardware address.
        """
        super().__init__(reactor, "witness", sock)
        self.adverts: deque[Advert] = deque(maxlen=_KEPT)
        self.answering = ""
        self.advertised: Callable[[Advert], object] = lambda advert: None
        self.answered: Callable[[str], object] = lambda host: None
        self._authenticator = authenticator
        self._audience = Audience(vhid, b"", GROUP)
        self._address = socket.inet_aton(address)
        self._cards = cards

    def latest(self, host: str) -> Advert | None:
        """
        The newest advertisement of a host.
        """
        return next((advert for advert in reversed(self.adverts) if advert.host == host), None)

    def receive(self, sock: socket.socket) -> wire.Arrival | None:
        return wire.receive(sock)

    def messageReceived(self, arrival: wire.Arrival) -> None:
        host, packet = self._cards.get(arrival.hardware), arrival.packet
        if host is None:
            return
        at = time.monotonic() - arrival.waited
        if packet.protocol == PROTOCOL:
            try:
                found = unwrap(packet, self._audience)
            except Rejected:
                return
            if self._authenticator.verify(found.counter, found.digest):
                advert = Advert(host, at, Timing(found.advbase, found.advskew))
                self.adverts.append(advert)
                self.advertised(advert)
        elif packet.source == self._address:
            self.answering = host
            self.answered(host)
