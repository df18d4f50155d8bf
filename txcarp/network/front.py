"""
What arrives in front of the firewall.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from typing import cast

from twisted.internet.interfaces import IReactorFDSet, IReactorFromThreads, IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from txcarp.network.packetsockets import admitFront, openFrontSocket
from txcarp.network.sockets import MAXIMUM_PACKET, PACKETS_A_TURN
from txcarp.protocol.envelope import Packet, readPacket
from txcarp.protocol.family import Family
from txcarp.protocol.rejection import Rejected

# linux/if_packet.h: what a card that listens to everything hears for others,
# and what this host sends.
_PACKET_OTHERHOST = 3
_PACKET_OUTGOING = 4
_NOT_FOR_US = frozenset((_PACKET_OTHERHOST, _PACKET_OUTGOING))


@implementer(IReadDescriptor)
class FrontDoor:
    """
    A packet socket beside the raw one, for one family.

    ucarp listens with a packet socket, in front of the firewall, and works
    where the firewall drops protocol 112.  A raw socket sits behind it: put
    in ucarp's place it would hear nothing, and there would be two masters.
    """

    def __init__(
        self,
        reactor: IReactorFDSet,
        interface: str,
        family: Family,
        received: Callable[[Packet], None],
        closed: Callable[[], None],
    ) -> None:
        """
        @param received: Called with each packet.
        @param closed: Called if the reactor closes the socket, which it does
            when the interface goes down.
        @raise OSError: If the socket cannot be opened.
        """
        self._reactor = reactor
        self._family = family
        self._received = received
        self._closed = closed
        self._socket: socket.socket | None = openFrontSocket(interface, family)
        self._vhids: frozenset[int] = frozenset()
        reactor.addReader(self)

    def watch(self, vhids: Iterable[int]) -> None:
        """
        Report the packets of these virtual hosts from now on, and no others.
        """
        wanted = frozenset(vhids)
        if wanted != self._vhids and self._socket is not None:
            admitFront(self._socket, self._family, wanted)
            self._vhids = wanted

    def close(self) -> None:
        """
        Report nothing more.
        """
        if self._socket is not None:
            self._reactor.removeReader(self)
            closing, self._socket = self._socket, None
            # In the next turn of the reactor: whoever opened a socket in this one would
            # get this one's number, and with it the error of this one (ENETDOWN) that
            # poll(2) may have reported already.
            cast(IReactorFromThreads, self._reactor).callFromThread(closing.close)

    def fileno(self) -> int:
        return -1 if self._socket is None else self._socket.fileno()

    def logPrefix(self) -> str:
        return f"txcarp front {self._family.value}"

    def doRead(self) -> None:
        for _ in range(PACKETS_A_TURN):
            if self._socket is None:
                return
            try:
                packet, sender = self._socket.recvfrom(MAXIMUM_PACKET)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                # ENETDOWN: the link went down; its monitor says when it is back.
                return
            if sender[2] in _NOT_FOR_US:
                continue
            try:
                read = readPacket(packet)
            except Rejected:
                continue
            self._received(read)

    def connectionLost(self, reason: Failure) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            self._closed()
