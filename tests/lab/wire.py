"""
The advertisements and announcements on a test network, with the kernel's time of each.
"""

from __future__ import annotations

import ipaddress
import itertools
import socket
import struct
import time
from collections.abc import Iterator

import attrs
from twisted.internet.interfaces import IReactorFDSet

from txcarp.network import socketfilter
from txcarp.network.sockets import TIMESTAMP_SPACE, openRawSocket, requestTimestamps, waited
from txcarp.protocol.advertisement import Advertisement, decode
from txcarp.protocol.envelope import readPacket
from txcarp.protocol.rejection import Rejected
from txcarp.socketreader import SocketReader
from txcarp.testbed import Node, Switch

#: Frames whose source address begins with this are not recorded: a test that had to read a
#: flood would take the time from the daemon that the flood is for.
STRANGER = b"\x02\xf1"

_ALL = 0x0003
_IPV4, _ARP, _IPV6 = 0x0800, 0x0806, 0x86DD
_CARP, _ICMPV6 = 112, 58
_NEIGHBOUR_ADVERTISEMENT = 136
_ALL_NODES = b"\xff\x02" + bytes(13) + b"\x01"
_BUFFER = 4 * 1024 * 1024


@attrs.frozen
class Advert:
    """
    An advertisement as a host sent it.

    @ivar time: When, on the monotonic clock.
    @ivar port: The name of the switch's port that it came from.
    @ivar source: The address that it came from, as text.
    @ivar destination: The address that it was sent to, as text.
    @ivar said: The advertisement.
    @ivar frame: The whole Ethernet frame.
    """

    time: float
    port: str
    source: str
    destination: str
    said: Advertisement
    frame: bytes = attrs.field(repr=False)

    @property
    def hops(self) -> int:
        """
        Its time to live, or hop limit, at this switch.
        """
        return readPacket(self.frame[14:]).hops

    @property
    def isIPv6(self) -> bool:
        """
        Whether it is an IPv6 packet.
        """
        return ":" in self.source


@attrs.frozen
class Announcement:
    """
    A gratuitous ARP packet, or a neighbour advertisement to all nodes.

    @ivar time: When it was sent, on the monotonic clock.
    @ivar port: The name of the switch's port that it came from.
    @ivar hardware: The announced Ethernet address.
    @ivar address: The announced IP address, as text.
    """

    time: float
    port: str
    hardware: bytes
    address: str


def _program() -> bytes:
    """
    A socket filter that passes protocol 112, ARP and neighbour advertisements, but not from
    L{STRANGER}.
    """
    half, byte, equal, leave = 0x28, 0x30, 0x15, 0x06
    code = (
        (half, 0, 0, 6),
        (equal, 13, 0, int.from_bytes(STRANGER, "big")),
        (half, 0, 0, 12),
        (equal, 10, 0, _ARP),
        (equal, 2, 0, _IPV4),
        (equal, 3, 0, _IPV6),
        (leave, 0, 0, 0),
        (byte, 0, 0, 23),
        (equal, 5, 6, _CARP),
        (byte, 0, 0, 20),
        (equal, 3, 0, _CARP),
        (equal, 0, 3, _ICMPV6),
        (byte, 0, 0, 54),
        (equal, 0, 1, _NEIGHBOUR_ADVERTISEMENT),
        (leave, 0, 0, 0xFFFF),
        (leave, 0, 0, 0),
    )
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


class Wire(SocketReader[tuple[bytes, float, str]]):
    """
    Records the packets that come in at the ports of a switch: each packet once, even if the
    switch does not forward it.

    @ivar adverts: The advertisements of all hosts, oldest first.
    @ivar announcements: The announcements of all hosts, oldest first.
    """

    def __init__(self, reactor: IReactorFDSet, switch: Switch | Node) -> None:
        self.adverts: list[Advert] = []
        self.announcements: list[Announcement] = []
        with switch.inside():
            # A socket that is not bound receives from all interfaces, future ones as well.
            sock = openRawSocket(
                socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL), "a packet socket"
            )
        super().__init__(reactor, "wire", sock)
        socketfilter.attach(sock, _program())
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        requestTimestamps(sock)
        self.startReading()

    def of(self, source: str) -> list[Advert]:
        """
        The advertisements from one address.
        """
        return [advert for advert in self.adverts if advert.source == source]

    def since(self, source: str, when: float) -> list[Advert]:
        """
        The advertisements from one address after a time.
        """
        return [advert for advert in self.of(source) if advert.time > when]

    def gaps(self, source: str, since: float = 0.0) -> list[float]:
        """
        The seconds between consecutive advertisements from one address.
        """
        times = [advert.time for advert in self.since(source, since)]
        return [later - earlier for earlier, later in itertools.pairwise(times)]

    def claims(self, hardware: bytes, since: float = 0.0) -> list[Announcement]:
        """
        The announcements of one Ethernet address after a time.
        """
        return [a for a in self.announcements if a.hardware == hardware and a.time > since]

    def describe(self, newest: int = 40) -> Iterator[str]:
        """
        The newest packets, a line for each.
        """
        everything: list[Advert | Announcement] = [*self.adverts, *self.announcements]
        everything.sort(key=lambda said: said.time)
        for said in everything[-newest:]:
            if isinstance(said, Advert):
                yield (
                    f"{said.time:.3f} {said.source} vhid {said.said.vhid} "
                    f"advbase {said.said.advbase} advskew {said.said.advskew}"
                )
            else:
                yield f"{said.time:.3f} {said.address} is at {said.hardware.hex(':')}"

    def receive(self, sock: socket.socket) -> tuple[bytes, float, str] | None:
        frame, ancillary, _, (port, _, kind, *_) = sock.recvmsg(2048, TIMESTAMP_SPACE)
        if kind == socket.PACKET_OUTGOING or not port.startswith("port"):
            return None
        return frame, time.monotonic() - waited(ancillary, time.time()), port

    def messageReceived(self, message: tuple[bytes, float, str]) -> None:
        frame, arrival, port = message
        protocol = int.from_bytes(frame[12:14])
        if protocol == _ARP:
            hardware, address, target = frame[22:28], frame[28:32], frame[38:42]
            if address == target:
                self.announcements.append(
                    Announcement(arrival, port, hardware, socket.inet_ntoa(address))
                )
            return
        if protocol == _IPV6 and frame[20] == _ICMPV6:
            if frame[38:54] == _ALL_NODES:
                text = socket.inet_ntop(socket.AF_INET6, frame[62:78])
                self.announcements.append(Announcement(arrival, port, frame[80:86], text))
            return
        try:
            packet = readPacket(frame[14:])
            said = decode(packet.payload)
        except Rejected:
            return
        ends = packet.source, packet.destination
        source, destination = (str(ipaddress.ip_address(end)) for end in ends)
        self.adverts.append(Advert(arrival, port, source, destination, said, frame))
