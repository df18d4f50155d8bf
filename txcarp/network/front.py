"""
Packets as they arrive at an interface, before a firewall drops them.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable

from twisted.internet.interfaces import IReactorFDSet, IReactorTime

from txcarp.network import socketfilter
from txcarp.network.admission import Admission
from txcarp.network.repeats import ALL, MORE, Repeats
from txcarp.network.socketfilter import Beginning
from txcarp.network.sockets import (
    MAXIMUM_PACKET,
    PACKET_IGNORE_OUTGOING,
    RECEIVE_BUFFER,
    SOL_PACKET,
    discardReceived,
    openRawSocket,
)
from txcarp.protocol.envelope import Packet, readPacket
from txcarp.protocol.family import Family
from txcarp.protocol.rejection import Rejected
from txcarp.socketreader import SocketReader

# linux/if_ether.h: not in the socket module.
_ETHER_TYPES = {Family.IPV4: 0x0800, Family.IPV6: 0x86DD}

#: PACKET_OTHERHOST, which a card in promiscuous mode receives for other hosts, and
#: PACKET_OUTGOING, which this host sends.
_NOT_FOR_US = frozenset((3, 4))

_BEGINNINGS = {Family.IPV4: Beginning.IPV4_HEADER, Family.IPV6: Beginning.IPV6_HEADER}


class FrontDoor(SocketReader[Packet]):
    """
    A packet socket beside the raw socket of one family on one interface.

    ucarp listens with a packet socket, in front of the firewall, and works on a host whose
    firewall drops protocol 112.  A raw socket is behind the firewall: on such a host txcarp
    in place of ucarp would hear nothing, and there would be two masters.

    @ivar repeats: Which packets are read twice, so that some of them are omitted here.
    """

    #: Fewer than the raw socket, whose packets are more important, reads in a turn of the reactor.
    messagesPerTurn = 16

    def __init__(
        self,
        reactor: IReactorFDSet,
        clock: IReactorTime,
        interface: str,
        family: Family,
        received: Callable[[Packet], None],
        changed: Callable[[], None],
        closed: Callable[[], None],
    ) -> None:
        """
        @param received: Called with each packet of a watched virtual host.
        @param changed: Called when L{watch} should be called again, because of L{repeats}.
        @param closed: Called if the reactor closes the socket, which it does when the
            interface goes down.
        @raise OSError: If the socket cannot be opened.
        """
        super().__init__(reactor, f"txcarp front {family.value}")
        self._beginning = _BEGINNINGS[family]
        self._received = received
        self.repeats = Repeats(clock, changed)
        self._closed = closed
        self._code = Admission().good(self._beginning)
        sock = openRawSocket(socket.AF_PACKET, socket.SOCK_DGRAM, 0, "a packet socket")
        try:
            socketfilter.attach(sock, self._code)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            # Linux before 4.20 does not know this; L{receive} looks, too.
            with contextlib.suppress(OSError):
                sock.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
            sock.bind((interface, _ETHER_TYPES[family]))
            discardReceived(sock)
        except BaseException:
            sock.close()
            raise
        self._socket = sock
        self.startReading()

    def watch(self, wanted: Admission, missing: frozenset[bytes] = frozenset()) -> None:
        """
        Report good advertisements of these virtual hosts from now on, and no others; none at
        first.

        @param missing: The packed sources of packets that do not pass the firewall.
        @raise OSError: If the kernel refuses the socket filter.
        """
        self.repeats.most = ALL + MORE * len(wanted.groups)
        code = wanted.good(self._beginning, self.repeats.omitted(missing))
        if code != self._code and self._socket is not None:
            socketfilter.attach(self._socket, code)
            self._code = code

    def receive(self, sock: socket.socket) -> Packet | None:
        data, sender = sock.recvfrom(MAXIMUM_PACKET)
        try:
            return None if sender[2] in _NOT_FOR_US else readPacket(data)
        except Rejected:
            return None

    def messageReceived(self, packet: Packet) -> None:
        if self.repeats.seen(packet.source, packet.payload[1]):
            self._received(packet)

    def stop(self) -> None:
        super().stop()
        self.repeats.stop()

    def lost(self) -> None:
        self._closed()
