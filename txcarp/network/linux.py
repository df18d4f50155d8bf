"""
The network on Linux: advertisements and announcements of all virtual hosts.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from twisted.internet.interfaces import IReactorSocket, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from txcarp.interfaces import (
    IAdvertisementTransport,
    IAnnouncer,
    ILinkMonitor,
    INetwork,
    IPacketReceiver,
)
from txcarp.network.addresslist import AddressList
from txcarp.network.familyport import FamilyPort
from txcarp.network.frames import (
    BROADCAST,
    gratuitousARP,
    groupAddress,
    ipv4Frame,
    ipv6Frame,
    unsolicitedAdvertisement,
)
from txcarp.network.hostlock import HostLock
from txcarp.network.interfaceport import InterfacePort, NoHardwareAddress
from txcarp.protocol.family import Family, familyOf, isMulticast


@implementer(IAdvertisementTransport)
class AdvertisementTransport:
    """
    Sends the advertisements of one virtual host in one family: as Ethernet frames if they
    need an Ethernet address that the kernel would not choose, and through the raw socket
    otherwise.
    """

    def __init__(
        self,
        interface: InterfacePort,
        port: FamilyPort,
        vhid: int,
        group: bytes,
        broadcast: bool,
        hardware: bytes | None,
    ) -> None:
        """
        See L{INetwork.attach} for the parameters that are not described here.

        @param interface: Sends the frames.
        @param port: Owns the raw socket.
        """
        self._interface = interface
        self._port = port
        self._vhid = vhid
        self._group = group
        self._broadcast = broadcast
        self._hardware = hardware
        self._isIPv4 = port.family is Family.IPV4
        self._frame = ipv4Frame if self._isIPv4 else ipv6Frame

    def deliverTo(self, receiver: IPacketReceiver | None) -> None:
        self._port.deliverTo(self._vhid, receiver)

    def send(self, packet: bytes) -> None:
        destination = packet[16:20] if self._isIPv4 else packet[24:40]
        # With ucarp's -M the group may be any address at all.
        if destination != self._group and not isMulticast(destination):
            self._port.send(packet, destination)
        elif self._broadcast or self._hardware is not None:
            self._sendFrame(packet, destination)
        else:
            try:
                self._port.send(packet, destination)
            except PermissionError:
                # A firewall drops outgoing packets.  ucarp writes frames, which no firewall
                # sees.  txcarp must do the same, or nobody would hear this master.
                self._sendFrame(packet, destination)
                self._port.reportFilteredOutput()

    def parcel(self, packet: bytes) -> tuple[int, bytes, bytes] | None:
        index = self._interface.index
        if index is None:
            return None
        destination = packet[16:20] if self._isIPv4 else packet[24:40]
        if destination != self._group and not isMulticast(destination):
            return index, destination, packet
        # As a frame it passes a firewall that drops outgoing packets.
        hardware = BROADCAST if self._broadcast else groupAddress(destination)
        if self._hardware is None:
            return index, hardware, packet
        return index, b"", self._frame(hardware, self._hardware, packet)

    def admitRouted(self, peers: Collection[bytes]) -> None:
        self._port.admitRouted(self._vhid, peers)

    def linkLocals(self) -> Sequence[bytes]:
        return self._port.linkLocals()

    def isLocal(self, address: bytes) -> bool:
        return self._port.isLocal(address)

    def isSwitchedOff(self) -> bool:
        return self._port.isSwitchedOff()

    def hears(self) -> bool:
        return self._port.hears(self._vhid)

    def hasUnread(self) -> bool:
        return self._port.hasUnread()

    def readUnread(self) -> None:
        self._port.readUnread()

    def whyDropped(self, source: bytes) -> str:
        return self._port.whyDropped(source)

    def watchFront(self, wanted: bool, missing: Collection[bytes] = ()) -> None:
        self._port.watchFront(self._vhid, wanted, missing)

    def _sendFrame(self, packet: bytes, group: bytes) -> None:
        destination = BROADCAST if self._broadcast else groupAddress(group)
        source = self._hardware or self._interface.hardwareAddress()
        self._interface.sendFrame(self._frame(destination, source, packet))


@implementer(IAnnouncer)
class Announcer:
    """
    Sends gratuitous ARP and unsolicited neighbour advertisements on one interface.
    """

    _log = Logger()

    def __init__(self, interface: InterfacePort, hardware: bytes | None = None) -> None:
        """
        @param hardware: The Ethernet address to announce; C{None} for the interface's own.
        """
        self._interface = interface
        self._hardware = hardware
        self._reportedNoAddress = False

    def announce(self, address: bytes) -> None:
        try:
            hardware = self._hardware or self._interface.hardwareAddress()
        except NoHardwareAddress as error:
            # A tunnel: no neighbour on it has a table of Ethernet addresses.
            if not self._reportedNoAddress:
                self._reportedNoAddress = True
                self._log.info("{reason}: nothing is announced", reason=error.strerror)
            return
        frame = gratuitousARP if len(address) == 4 else unsolicitedAdvertisement
        self._interface.sendFrame(frame(hardware, address))


@implementer(INetwork)
class LinuxNetwork:
    """
    Shares one L{InterfacePort} among the virtual hosts of each interface, and holds a lock for
    each virtual host.
    """

    def __init__(
        self,
        reactor: IReactorSocket,
        clock: IReactorTime,
        links: ILinkMonitor,
        addresses: AddressList,
    ) -> None:
        """
        @param reactor: Reads the sockets; must provide C{IReactorFDSet} as well.
        @raise TypeError: If the reactor cannot adopt sockets.
        """
        if not IReactorSocket.providedBy(reactor):
            raise TypeError(f"{reactor!r} does not provide IReactorSocket, which txcarp needs")
        self._reactor = reactor
        self._clock = clock
        self._links = links
        self._addresses = addresses
        self._ports: dict[str, InterfacePort] = {}
        self._attached: set[tuple[str, int, Family]] = set()
        self._locks: dict[tuple[str, int], HostLock] = {}

    def attach(
        self,
        interface: str,
        vhid: int,
        group: bytes,
        broadcast: bool,
        hardware: bytes | None,
    ) -> IAdvertisementTransport:
        key = interface, vhid, familyOf(group)
        if key in self._attached:
            raise ValueError(f"virtual host {vhid} is configured twice on {interface}")
        lock = self._locks.get((interface, vhid)) or HostLock(interface, vhid)
        port = self._ports.get(interface)
        if port is None:
            port = InterfacePort(
                self._reactor, self._clock, self._links, self._addresses, interface
            )
        try:
            family = port.add(vhid, group)
        except BaseException:
            if (interface, vhid) not in self._locks:
                lock.release()
            raise
        self._locks[interface, vhid] = lock
        if interface not in self._ports:
            port.start()
            self._ports[interface] = port
        self._attached.add(key)
        return AdvertisementTransport(port, family, vhid, group, broadcast, hardware)

    def detach(self, interface: str, vhid: int) -> None:
        self._attached -= {(interface, vhid, family) for family in Family}
        port = self._ports.get(interface)
        if port is not None and port.remove(vhid):
            port.stop()
            del self._ports[interface]
        lock = self._locks.pop((interface, vhid), None)
        if lock is not None:
            lock.release()

    def markLeaving(self, interface: str, vhid: int, leaving: bool) -> None:
        self._locks[interface, vhid].markLeaving(leaving)

    def port(self, interface: str) -> InterfacePort | None:
        """
        Return the sockets of an interface; C{None} if no virtual host is attached to it.
        """
        return self._ports.get(interface)

    def announcer(self, interface: str, hardware: bytes | None) -> IAnnouncer:
        return Announcer(self._ports[interface], hardware)
