"""
Reading the raw sockets: whole IP packets of either family, a bounded number in
each turn of the reactor.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from typing import cast

from twisted.internet.interfaces import IReactorFDSet, IReactorSocket, IReadDescriptor
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.udp import Port
from twisted.python.failure import Failure
from zope.interface import implementer

from txcarp.network.sockets import MAXIMUM_PACKET, PACKETS_A_TURN
from txcarp.protocol.advertisement import PROTOCOL, SIZE
from txcarp.protocol.envelope import Packet, readPacket
from txcarp.protocol.family import Family
from txcarp.protocol.rejection import Rejected

#: An advertisement with an IPv4 header.  The default of Twisted lets a flood
#: keep every timer waiting for a quarter of a second.
_BYTES_A_TURN = PACKETS_A_TURN * (20 + SIZE)

_HOP_LIMIT = struct.Struct("=i")
_PACKET_INFO = struct.Struct("=16sI")  # struct in6_pktinfo, ipv6(7)
_ANCILLARY = socket.CMSG_SPACE(_HOP_LIMIT.size) + socket.CMSG_SPACE(_PACKET_INFO.size)


class IPv4Reader(DatagramProtocol):
    """
    Reads one raw IPv4 socket, as a datagram port of the reactor: the kernel
    gives whole packets.

    There is one for each socket: a port ends a turn of the reactor after it is told to, and
    by then the next one may be open, when an interface went and came in one moment.
    """

    def __init__(
        self,
        reactor: IReactorSocket,
        sock: socket.socket,
        interface: str,
        received: Callable[[Packet], None],
        closed: Callable[[], None],
    ) -> None:
        """
        @param sock: Stays the caller's; the port has a descriptor of its own.
        @param received: Called with each packet.
        @param closed: Called if the reactor gives the socket up.
        """
        self._interface = interface
        self._received = received
        self._closed = closed
        self._stopped = False
        port = reactor.adoptDatagramPort(sock.fileno(), socket.AF_INET, self, MAXIMUM_PACKET)
        self._port = cast(Port, port)
        self._port.maxThroughput = _BYTES_A_TURN

    def stop(self) -> None:
        """
        Read no more.
        """
        self._stopped = True
        self._port.stopListening()

    def datagramReceived(self, datagram: bytes, addr: object) -> None:
        if self._stopped:
            return
        try:
            packet = readPacket(datagram)
        except Rejected:
            return  # the kernel checked the header: this cannot be
        self._received(packet)

    def stopProtocol(self) -> None:
        if not self._stopped:
            self._stopped = True
            self._closed()

    def logPrefix(self) -> str:
        return f"txcarp {self._interface}"


@implementer(IReadDescriptor)
class IPv6Reader:
    """
    Reads one raw IPv6 socket.  The kernel keeps the header to itself, and a
    datagram port would not ask for what it says of it; so this does.
    """

    def __init__(
        self,
        reactor: IReactorFDSet,
        sock: socket.socket,
        interface: str,
        received: Callable[[Packet], None],
        closed: Callable[[], None],
    ) -> None:
        """
        @param sock: Stays the caller's, who closes it after L{stop}.
        @param received: Called with each packet.
        @param closed: Called if the reactor gives the socket up.
        """
        self._reactor = reactor
        self._socket = sock
        self._interface = interface
        self._received = received
        self._closed = closed
        self._stopped = False
        reactor.addReader(self)

    def stop(self) -> None:
        """
        Read no more.
        """
        self._stopped = True
        self._reactor.removeReader(self)

    def fileno(self) -> int:
        return self._socket.fileno()

    def logPrefix(self) -> str:
        return f"txcarp {self._interface} IPv6"

    def doRead(self) -> None:
        for _ in range(PACKETS_A_TURN):
            if self._stopped:
                return
            try:
                payload, ancillary, _, sender = self._socket.recvmsg(MAXIMUM_PACKET, _ANCILLARY)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                # The link went down; its monitor says when it is back.
                return
            self._received(_packet(payload, ancillary, sender[0]))

    def connectionLost(self, reason: Failure) -> None:
        if not self._stopped:
            self._stopped = True
            self._closed()


def _packet(payload: bytes, ancillary: list[tuple[int, int, bytes]], sender: str) -> Packet:
    """
    The packet around a payload.

    @param ancillary: The hop limit and the destination, as control messages.
    @param sender: The source, perhaps with a scope.
    """
    hops, destination = 0, bytes(16)
    for level, kind, data in ancillary:
        if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT):
            (hops,) = _HOP_LIMIT.unpack(data)
        elif (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
            destination, _ = _PACKET_INFO.unpack(data)
    source = socket.inet_pton(socket.AF_INET6, sender.partition("%")[0])
    return Packet(Family.IPV6, source, destination, hops, PROTOCOL, payload)
