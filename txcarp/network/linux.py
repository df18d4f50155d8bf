"""
Advertisements on the wire: one raw protocol-112 socket for each interface and
family, shared by all virtual hosts there.
"""

from __future__ import annotations

from twisted.internet.interfaces import IReactorSocket, IReactorTime
from zope.interface import implementer

from txcarp.interfaces import (
    IAdvertisementTransport,
    IAnnouncer,
    ILinkMonitor,
    INetwork,
)
from txcarp.network.interfaceport import InterfacePort
from txcarp.network.neighbours import Announcer
from txcarp.network.transport import AdvertisementTransport
from txcarp.protocol.family import Family, familyOf


@implementer(INetwork)
class LinuxNetwork:
    """
    The real network.
    """

    def __init__(self, reactor: IReactorSocket, clock: IReactorTime, links: ILinkMonitor) -> None:
        """
        @param reactor: Reads the sockets; provides C{IReactorFDSet} as well.
        @raise TypeError: If the reactor cannot adopt sockets.
        """
        if not IReactorSocket.providedBy(reactor):
            raise TypeError(f"{reactor!r} does not provide IReactorSocket, which txcarp needs")
        self._reactor = reactor
        self._clock = clock
        self._links = links
        self._ports: dict[str, InterfacePort] = {}
        self._attached: set[tuple[str, int, Family]] = set()

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
        port = self._ports.get(interface)
        if port is not None:
            family = port.add(vhid, group)
        else:
            port = InterfacePort(self._reactor, self._clock, self._links, interface)
            family = port.add(vhid, group)
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

    def announcer(self, interface: str, hardware: bytes | None) -> IAnnouncer:
        return Announcer(self._ports[interface], hardware)
