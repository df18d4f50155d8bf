"""
Advertisements on the wire: one raw protocol-112 socket for each interface,
shared by all its virtual hosts.
"""

from __future__ import annotations

import errno
import os
import select
import socket
from collections.abc import Callable
from typing import cast

from twisted.internet.interfaces import IReactorFDSet, IReactorSocket, IReactorTime
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.udp import Port
from twisted.logger import Logger
from zope.interface import implementer

from txcarp.interfaces import (
    IAdvertisementTransport,
    IAnnouncer,
    ILinkMonitor,
    ILinkObserver,
    INetwork,
    IPacketReceiver,
)
from txcarp.network import filter as socketFilter
from txcarp.network import sockets
from txcarp.network.frames import BROADCAST, groupAddress, ipv4Frame
from txcarp.network.front import FrontDoor
from txcarp.network.neighbours import Announcer
from txcarp.network.rtnetlink import Link
from txcarp.protocol.envelope import headerLength

#: Bytes that are read before the reactor has its next turn, 64 packets.  The
#: default of Twisted lets a flood keep every timer waiting for a quarter of a
#: second.
_BYTES_A_TURN = 64 * 56

#: Seconds until a socket that was lost is opened again, when no event of the
#: link says so earlier.
_REOPEN = 1.0


@implementer(IAdvertisementTransport)
class GroupTransport:
    """
    The way out for one virtual host.
    """

    def __init__(
        self,
        port: InterfacePort,
        vhid: int,
        group: bytes,
        broadcast: bool,
        hardware: bytes | None,
    ) -> None:
        self._port = port
        self._vhid = vhid
        self._group = group
        self._hardwareGroup = BROADCAST if broadcast else groupAddress(group)
        self._hardware = hardware
        self._framed = broadcast or hardware is not None

    def send(self, packet: bytes) -> None:
        if self._framed:
            self._port.sendFrame(self._hardwareGroup, packet, self._hardware)
            return
        try:
            self._port.sendPacket(self._group, packet)
        except PermissionError:
            # A firewall that drops what leaves.  ucarp writes frames, which no
            # firewall sees: so does this, or nobody would hear a master.
            self._port.sendFrame(self._hardwareGroup, packet)
            self._port.reportFilteredOutput()

    def hasUnread(self) -> bool:
        return self._port.hasUnread()

    def watchFront(self, wanted: bool) -> None:
        self._port.watchFront(self._vhid, wanted)


class _Reader(DatagramProtocol):
    """
    Reads one socket of an interface.

    There is one for each: a port ends a turn of the reactor after it is told to, and
    by then the next one may be open, when an interface went and came in one moment.
    """

    def __init__(
        self,
        interface: str,
        received: Callable[[bytes], None],
        closed: Callable[[_Reader], None],
    ) -> None:
        """
        @param closed: Called at the end, whoever asked for it.
        """
        self._interface = interface
        self._received = received
        self._closed = closed

    def datagramReceived(self, datagram: bytes, addr: object) -> None:
        self._received(datagram)

    def stopProtocol(self) -> None:
        self._closed(self)

    def logPrefix(self) -> str:
        return f"txcarp {self._interface}"


@implementer(ILinkObserver)
class InterfacePort:
    """
    The sockets of one interface, as long as it exists; opened anew when it is
    made anew.  A socket that is bound to an interface that was deleted hears
    nothing for ever, without any error.
    """

    _log = Logger()

    def __init__(
        self, reactor: IReactorSocket, clock: IReactorTime, links: ILinkMonitor, interface: str
    ) -> None:
        self._reactor = reactor
        self._clock = clock
        self._links = links
        self._interface = interface
        self._index: int | None = None
        self._link: Link | None = None
        self._port: Port | None = None
        self._reader: _Reader | None = None
        self._front: FrontDoor | None = None
        self._frames: socket.socket | None = None
        self._receivers: dict[int, IPacketReceiver] = {}
        self._groups: dict[int, bytes] = {}
        self._watched: set[int] = set()
        self._wanted = False
        self._saidFiltered = False

    def add(self, vhid: int, group: bytes, receiver: IPacketReceiver) -> None:
        """
        Deliver the packets of a virtual host, and be a member of its group.
        """
        self._receivers[vhid] = receiver
        self._groups[vhid] = group
        if self._port is not None and self._index is not None:
            self._configure(self._port.socket, self._index)
        self._refreshFront()

    def remove(self, vhid: int) -> bool:
        """
        Deliver nothing more for a virtual host.

        @return: Whether nobody is left.
        """
        self._receivers.pop(vhid, None)
        group = self._groups.pop(vhid, None)
        self._watched.discard(vhid)
        if self._port is not None and self._index is not None:
            socketFilter.attach(self._port.socket, socketFilter.program(self._receivers))
            if group is not None and group not in self._groups.values():
                sockets.leaveGroup(self._port.socket, group, self._index)
        self._refreshFront()
        return not self._receivers

    def start(self) -> None:
        """
        Open the sockets now if the interface exists, and whenever it does.

        @raise txcarp.network.sockets.MissingCapability: If this process may
            not open them.
        """
        self._wanted = True
        try:
            self._open()
        except BaseException:
            self._wanted = False
            self._close()
            raise
        self._links.watch(self._interface, self)

    def stop(self) -> None:
        """
        Close everything.
        """
        self._wanted = False
        self._links.unwatch(self._interface, self)
        self._close()

    def linkChanged(self, name: str, link: Link | None) -> None:
        self._link = link
        if link is None or link.index != self._index:
            self._close()
        if link is not None:
            self._reopen()

    def sendPacket(self, group: bytes, packet: bytes) -> None:
        """
        Send an IPv4 packet with its header.

        @raise OSError: If it did not leave.
        """
        if self._port is None:
            raise self._gone()
        self._port.write(packet, (socket.inet_ntoa(group), 0))

    def sendFrame(
        self, destination: bytes, packet: bytes, source: bytes | None = None
    ) -> None:
        """
        Send an IPv4 packet in a frame to an Ethernet address.

        @param source: The Ethernet address it comes from; the card's own if it
            is not given.
        @raise OSError: If it did not leave.
        """
        self.sendRaw(ipv4Frame(destination, source or self.hardwareAddress(), packet))

    def sendRaw(self, frame: bytes) -> None:
        """
        Send a frame.

        @raise OSError: If it did not leave.
        """
        if self._frames is None:
            raise self._gone()
        self._frames.send(frame)

    def hardwareAddress(self) -> bytes:
        """
        The Ethernet address of the interface.

        @raise OSError: If the interface is gone.
        """
        if self._frames is None:
            raise self._gone()
        address = bytes(self._frames.getsockname()[4])
        if len(address) != 6:
            raise OSError(
                errno.EPFNOSUPPORT, f"{self._interface} has no Ethernet address", self._interface
            )
        return address

    def hasUnread(self) -> bool:
        """
        Whether the raw socket has packets that nobody has read.
        """
        if self._port is None:
            return False
        poller = select.poll()
        poller.register(self._port.socket, select.POLLIN)
        return bool(poller.poll(0))

    def watchFront(self, vhid: int, wanted: bool) -> None:
        """
        Whether to report the packets of a virtual host in front of the
        firewall.
        """
        (self._watched.add if wanted else self._watched.discard)(vhid)
        self._refreshFront()

    def reportFilteredOutput(self) -> None:
        """
        Say, once, that the firewall does not let advertisements out.
        """
        if not self._saidFiltered:
            self._saidFiltered = True
            self._log.error(
                "The firewall of this host drops outgoing protocol 112 on {interface}; "
                "advertisements are sent around it. Allow them, for example with: "
                'nft add rule inet filter output oifname "{interface}" ip protocol 112 accept',
                interface=self._interface,
            )

    def _gone(self) -> OSError:
        if self._link is None:
            return OSError(errno.ENODEV, os.strerror(errno.ENODEV), self._interface)
        return OSError(errno.ENETDOWN, os.strerror(errno.ENETDOWN), self._interface)

    def _receiverOf(self, packet: bytes) -> IPacketReceiver | None:
        length = headerLength(packet)
        if not length or len(packet) < length + 2:
            return None
        return self._receivers.get(packet[length + 1])

    def _received(self, packet: bytes) -> None:
        receiver = self._receiverOf(packet)
        if receiver is not None:
            receiver.packetReceived(packet)

    def _closed(self, reader: _Reader) -> None:
        if reader is self._reader:  # nobody asked for it
            self._log.warn("The socket on {interface} was closed", interface=self._interface)
            self._port = self._reader = None
            self._close()
            self._reopenLater()

    def _frontReceived(self, packet: bytes) -> None:
        receiver = self._receiverOf(packet)
        if receiver is not None:
            receiver.packetFiltered(packet)

    def _frontClosed(self) -> None:
        self._front = None
        self._reopenLater()

    def _refreshFront(self) -> None:
        if self._front is not None:
            self._front.watch(self._watched)

    def _reopenLater(self) -> None:
        if self._wanted:
            self._clock.callLater(_REOPEN, self._reopen)

    def _reopen(self) -> None:
        if not self._wanted:
            return
        try:
            self._open()
        except OSError as error:
            self._log.error(
                "Unable to open interface [{interface}]: {reason}",
                interface=self._interface,
                reason=error.strerror,
            )
            self._reopenLater()

    def _open(self) -> None:
        if self._link is not None:
            index = self._link.index
        else:  # at the start, before the links are known
            try:
                index = socket.if_nametoindex(self._interface)
            except OSError:
                return  # waited for
        if self._index != index:
            self._close()
        self._index = index
        if self._port is None:
            self._openPort(index)
        if self._frames is None:
            self._frames = sockets.openFrameSocket(self._interface)
        if self._front is None:
            self._front = FrontDoor(
                cast(IReactorFDSet, self._reactor),
                self._interface,
                self._frontReceived,
                self._frontClosed,
            )
            self._front.watch(self._watched)

    def _openPort(self, index: int) -> None:
        sock = sockets.openAdvertisementSocket(self._interface, index)
        try:
            self._configure(sock, index)
            reader = _Reader(self._interface, self._received, self._closed)
            port = self._reactor.adoptDatagramPort(
                sock.fileno(), socket.AF_INET, reader, sockets.MAXIMUM_PACKET
            )
        finally:
            sock.close()  # the port has a descriptor of its own
        self._port, self._reader = cast(Port, port), reader
        self._port.maxThroughput = _BYTES_A_TURN

    def _configure(self, sock: socket.socket, index: int) -> None:
        socketFilter.attach(sock, socketFilter.program(self._receivers))
        for group in set(self._groups.values()):
            if group[0] >> 4 == 0xE:  # others arrive without being asked for
                sockets.joinGroup(sock, group, index)

    def _close(self) -> None:
        self._index = None
        port, self._port, self._reader = self._port, None, None
        if port is not None:
            port.stopListening()
        if self._front is not None:
            self._front.close()
            self._front = None
        if self._frames is not None:
            self._frames.close()
            self._frames = None


@implementer(INetwork)
class LinuxNetwork:
    """
    The real network.
    """

    def __init__(self, reactor: IReactorSocket, clock: IReactorTime, links: ILinkMonitor) -> None:
        """
        @raise TypeError: If the reactor cannot adopt sockets.
        """
        if not IReactorSocket.providedBy(reactor):
            raise TypeError(f"{reactor!r} does not provide IReactorSocket, which txcarp needs")
        self._reactor = reactor
        self._clock = clock
        self._links = links
        self._ports: dict[str, InterfacePort] = {}
        self._attached: set[tuple[str, int]] = set()

    def attach(
        self,
        interface: str,
        vhid: int,
        group: bytes,
        broadcast: bool,
        hardware: bytes | None,
        receiver: IPacketReceiver,
    ) -> IAdvertisementTransport:
        if (interface, vhid) in self._attached:
            raise ValueError(f"virtual host {vhid} is configured twice on {interface}")
        port = self._ports.get(interface)
        if port is None:
            port = InterfacePort(self._reactor, self._clock, self._links, interface)
            port.add(vhid, group, receiver)
            port.start()
            self._ports[interface] = port
        else:
            port.add(vhid, group, receiver)
        self._attached.add((interface, vhid))
        return GroupTransport(port, vhid, group, broadcast, hardware)

    def detach(self, interface: str, vhid: int) -> None:
        self._attached.discard((interface, vhid))
        port = self._ports.get(interface)
        if port is not None and port.remove(vhid):
            port.stop()
            del self._ports[interface]

    def announcer(self, interface: str, hardware: bytes | None) -> IAnnouncer:
        return Announcer(self._ports[interface], hardware)
