"""
The way out for the advertisements of one virtual host.
"""

from __future__ import annotations

from zope.interface import implementer

from txcarp.interfaces import IAdvertisementTransport, IPacketReceiver
from txcarp.network.familyport import FamilyPort
from txcarp.network.frames import BROADCAST, groupAddress, ipv4Frame, ipv6Frame
from txcarp.network.interfaceport import InterfacePort
from txcarp.protocol.envelope import destinationOf
from txcarp.protocol.family import Family, isMulticast


@implementer(IAdvertisementTransport)
class AdvertisementTransport:
    """
    Sends in one family: in frames what an IP socket could not send as asked
    for, and everything else by the raw socket.
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
        @param interface: Sends frames.
        @param port: Sends packets.
        """
        self._interface = interface
        self._port = port
        self._vhid = vhid
        self._group = group
        self._broadcast = broadcast
        self._hardware = hardware
        self._frame = ipv4Frame if port.family is Family.IPV4 else ipv6Frame

    def deliverTo(self, receiver: IPacketReceiver | None) -> None:
        self._port.deliverTo(self._vhid, receiver)

    def send(self, packet: bytes) -> None:
        destination = destinationOf(packet)
        # With -M the group of ucarp may be any address at all.
        if not isMulticast(destination) and destination != self._group:
            self._port.send(packet, destination)
        elif self._broadcast or self._hardware is not None:
            self._sendFrame(packet, destination)
        else:
            try:
                self._port.send(packet, destination)
            except PermissionError:
                # A firewall that drops what leaves.  ucarp writes frames, which no
                # firewall sees: so does this, or nobody would hear a master.
                self._sendFrame(packet, destination)
                self._port.reportFilteredOutput()

    def linkLocal(self) -> bytes:
        return self._port.linkLocal()

    def hears(self) -> bool:
        return self._port.hears(self._vhid)

    def hasUnread(self) -> bool:
        return self._port.hasUnread()

    def watchFront(self, wanted: bool) -> None:
        self._port.watchFront(self._vhid, wanted)

    def _sendFrame(self, packet: bytes, group: bytes) -> None:
        destination = BROADCAST if self._broadcast else groupAddress(group)
        source = self._hardware or self._interface.hardwareAddress()
        self._interface.sendFrame(self._frame(destination, source, packet))
