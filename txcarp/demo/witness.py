"""
What the client's network card sees: who advertises, and who answers.
"""

from __future__ import annotations

import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Mapping

import attrs
from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from txcarp.protocol.advertisement import PROTOCOL
from txcarp.protocol.authentication import Authenticator
from txcarp.protocol.envelope import Audience, headerLength, readPacket, sourceOf, unwrap
from txcarp.protocol.ipv4 import GROUP
from txcarp.protocol.rejection import Rejected
from txcarp.protocol.timing import LEAVING, Timing

_ETH_P_IP = 0x0800
_SO_TIMESTAMPNS = 35
_TIMESTAMP = struct.Struct("@ll")
_PACKETS_A_TURN = 64
_KEPT = 1000


@attrs.frozen
class Advert:
    """
    A genuine advertisement.

    @ivar host: the name of who sent it.
    @ivar at: when it reached the card, on the monotonic clock.
    @ivar timing: what it says.
    """

    host: str
    at: float
    timing: Timing

    @property
    def leaving(self) -> bool:
        """
        Whether it is the last one of a host that bows out.
        """
        return self.timing == LEAVING


def openSocket(interface: str) -> socket.socket:
    """
    A non-blocking socket for all IPv4 packets on an interface, in the network namespace
    of this thread.
    """
    sock = socket.socket(
        socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0
    )
    sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    sock.bind((interface, _ETH_P_IP))
    return sock


@implementer(IReadDescriptor)
class Witness:
    """
    Reads every packet that reaches the client.

    @ivar adverts: the newest advertisements, oldest first.
    @ivar answering: the name of the host whose card the newest packet from the virtual
        address came from; empty before the first.
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
        @param sock: from L{openSocket}; closed by L{stop}.
        @param authenticator: knows the genuine ones.
        @param address: the virtual address.
        @param cards: names of hosts by hardware address.
        """
        self.adverts: deque[Advert] = deque(maxlen=_KEPT)
        self.answering = ""
        self.advertised: Callable[[Advert], None] = lambda advert: None
        self.answered: Callable[[str, float], None] = lambda host, at: None
        self._reactor = reactor
        self._socket: socket.socket | None = sock
        self._authenticator = authenticator
        self._vhid = vhid
        self._address = socket.inet_aton(address)
        self._cards = cards

    def start(self) -> None:
        """
        Watch from now on.
        """
        self._reactor.addReader(self)

    def stop(self) -> None:
        """
        Watch no more.
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
        """
        See C{IReadDescriptor}.
        """
        return -1 if self._socket is None else self._socket.fileno()

    def logPrefix(self) -> str:
        """
        See C{IReadDescriptor}.
        """
        return "witness"

    def connectionLost(self, reason: Failure) -> None:
        """
        See C{IReadDescriptor}.
        """
        self.stop()

    def doRead(self) -> None:
        """
        Take packets, a bounded number at a time.
        """
        for _ in range(_PACKETS_A_TURN):
            if self._socket is None:
                return
            try:
                packet, ancillary, _, sender = self._socket.recvmsg(2048, socket.CMSG_SPACE(16))
            except (BlockingIOError, InterruptedError):
                return
            host = self._cards.get(bytes(sender[4]))
            if host is not None and headerLength(packet):
                self._saw(host, packet, _arrival(ancillary))

    def _saw(self, host: str, packet: bytes, at: float) -> None:
        if packet[9] == PROTOCOL:
            try:
                found = unwrap(readPacket(packet), Audience(self._vhid, b"", GROUP))
            except Rejected:
                return
            if self._authenticator.verify(found.counter, found.digest):
                advert = Advert(host, at, Timing(found.advbase, found.advskew))
                self.adverts.append(advert)
                self.advertised(advert)
        elif sourceOf(packet) == self._address:
            self.answering = host
            self.answered(host, at)


def _arrival(ancillary: list[tuple[int, int, bytes]]) -> float:
    """
    When a packet reached the card, on the monotonic clock, by the kernel's stamp: this
    process may read it later.
    """
    now, wall = time.monotonic(), time.time()
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS) and len(data) >= 16:
            seconds, nanoseconds = _TIMESTAMP.unpack_from(data)
            return float(now - max(0.0, wall - seconds - nanoseconds / 1e9))
    return now
