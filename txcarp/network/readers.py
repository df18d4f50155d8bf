"""
Reading the raw sockets: each IP packet of either family becomes a
L{Packet<txcarp.protocol.envelope.Packet>}.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from typing import cast

from twisted.internet.interfaces import IReactorFDSet, IReactorSocket
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.udp import Port

from txcarp.network.sockets import MAXIMUM_PACKET
from txcarp.protocol.advertisement import PROTOCOL, SIZE
from txcarp.protocol.envelope import Packet, readPacket
from txcarp.protocol.family import Family
from txcarp.protocol.rejection import Rejected
from txcarp.socketreader import SocketReader

#: Bytes that a port of the reactor reads in one turn: as many advertisements, with an IPv4
#: header, as a L{SocketReader} reads.  The default of Twisted lets a flood keep every timer
#: waiting for a quarter of a second.
_BYTES_PER_TURN = SocketReader.messagesPerTurn * (20 + SIZE)

_HOP_LIMIT = struct.Struct("=i")
_PACKET_INFO = struct.Struct("=16sI")  # struct in6_pktinfo, ipv6(7)
_ANCILLARY = socket.CMSG_SPACE(_HOP_LIMIT.size) + socket.CMSG_SPACE(_PACKET_INFO.size)


def readIPv6(sock: socket.socket, size: int = MAXIMUM_PACKET) -> Packet:
    """
    Read a packet from a raw IPv6 socket.  The kernel gives the payload alone, and says in control
    messages what the header was.

    @param size: The most bytes to read.
    @raise OSError: If no packet waits, or the socket cannot be read.
    """
    payload, ancillary, _, sender = sock.recvmsg(size, _ANCILLARY)
    # Values that no advertisement may have, if the kernel does not say the true ones.
    hops, destination = 0, bytes(16)
    for level, kind, value in ancillary:
        if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT):
            (hops,) = _HOP_LIMIT.unpack(value)
        elif (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
            destination, _ = _PACKET_INFO.unpack(value)
    source = socket.inet_pton(socket.AF_INET6, sender[0].partition("%")[0])
    return Packet(Family.IPV6, source, destination, hops, PROTOCOL, payload)


class IPv4Reader(DatagramProtocol):
    """
    Reads one raw IPv4 socket as a datagram port of the reactor; the kernel gives whole
    packets.

    Each socket needs a reader of its own.  A port of Twisted closes one turn of the reactor
    after it is told to, and the next socket may be open by then, when an interface was
    deleted and made again at once.
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
        @param sock: Stays the caller's; the port duplicates its descriptor.
        @param received: Called with each packet.
        @param closed: Called if the reactor gives the socket up.
        """
        self._interface = interface
        self._received = received
        self._closed = closed
        self._stopped = False
        port = reactor.adoptDatagramPort(sock.fileno(), socket.AF_INET, self, MAXIMUM_PACKET)
        self._port = cast(Port, port)
        self._port.maxThroughput = _BYTES_PER_TURN

    def stop(self) -> None:
        """
        Stop reading.
        """
        if not self._stopped:
            self._stopped = True
            self._port.stopListening()

    def doRead(self) -> None:
        """
        Read some of the packets that wait, as the reactor does.
        """
        if not self._stopped:
            self._port.doRead()

    def datagramReceived(self, datagram: bytes, addr: object) -> None:
        if self._stopped:
            return
        try:
            packet = readPacket(datagram)
        except Rejected:
            return  # the kernel delivers no packet with a broken header
        self._received(packet)

    def stopProtocol(self) -> None:
        if not self._stopped:
            self._stopped = True
            self._closed()

    def logPrefix(self) -> str:
        return f"txcarp {self._interface}"


class IPv6Reader(SocketReader[Packet]):
    """
    Reads one raw IPv6 socket.  A datagram port of the reactor does not read control messages.
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
        @param sock: Stays the caller's; its descriptor is duplicated.
        @param received: Called with each packet.
        @param closed: Called if the reactor gives the socket up.
        """
        super().__init__(reactor, f"txcarp {interface} IPv6", sock.dup())
        self._received = received
        self._closed = closed
        self.startReading()

    def receive(self, sock: socket.socket) -> Packet:
        return readIPv6(sock)

    def messageReceived(self, packet: Packet) -> None:
        self._received(packet)

    def lost(self) -> None:
        self._closed()
