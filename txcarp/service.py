"""
The virtual hosts of one process as a Twisted service.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Generator, Iterable
from typing import Any, cast

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, inlineCallbacks, maybeDeferred
from twisted.internet.interfaces import IReactorFDSet, IReactorSocket, IReactorTime

from txcarp.clock.monotonic import MonotonicClock, bootSeconds
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.interfaces import (
    IAddressTable,
    ILinkMonitor,
    INetwork,
    IScriptRunner,
    IVirtualInterfaces,
)
from txcarp.mastership.scripts import ProcessRunner
from txcarp.membership.statefile import StateFile
from txcarp.netlink.client import Netlink
from txcarp.network.addresstable import AddressTable
from txcarp.network.links import LinkMonitor
from txcarp.network.linux import LinuxNetwork
from txcarp.network.macvlans import Macvlans
from txcarp.virtualhost import VirtualHost


class CARPService(MultiService):
    """
    Virtual hosts that share a clock, a link monitor and sockets.

    Any Twisted application can hold one::

        service = CARPService([VirtualHostConfiguration(...)])
        service.setServiceParent(application)

    Nothing is opened before L{privilegedStartService} or L{startService}, so
    that a process can fork in between making and starting it.
    """

    def __init__(
        self,
        configurations: Iterable[VirtualHostConfiguration],
        *,
        reactor: Any = None,
        clock: IReactorTime | None = None,
        links: ILinkMonitor | None = None,
        network: INetwork | None = None,
        scripts: IScriptRunner | None = None,
        addresses: IAddressTable | None = None,
        virtualInterfaces: IVirtualInterfaces | None = None,
    ) -> None:
        """
        What is not given is the real thing.

        @param reactor: The reactor of the application; the global one if it is
            not given.
        @param clock: What all timers run on.
        @param links: What knows the interfaces.
        @param network: What sends and receives.
        @param scripts: What runs scripts.
        @param addresses: What adds and removes addresses.
        @param virtualInterfaces: What makes interfaces with virtual hardware
            addresses.
        @raise ValueError: If two virtual hosts have the same interface and
            vhid.
        """
        MultiService.__init__(self)
        if reactor is None:
            from twisted.internet import reactor as installed

            reactor = installed
        pauseSeconds: Callable[[], float] | None = None
        self._ownClock: MonotonicClock | None = None
        if clock is None:
            clock = self._ownClock = MonotonicClock(cast(IReactorFDSet, reactor))
            pauseSeconds = bootSeconds
        self._netlink = Netlink(reactor)
        self._ownLinks: LinkMonitor | None = None
        if links is None:
            links = self._ownLinks = LinkMonitor(self._netlink, clock)
        self._ownAddresses: AddressTable | None = None
        if addresses is None:
            addresses = self._ownAddresses = AddressTable(self._netlink, clock, _indexes(links))
        if virtualInterfaces is None:
            virtualInterfaces = Macvlans(self._netlink)
        if network is None:
            network = LinuxNetwork(cast(IReactorSocket, reactor), clock, links)
        if scripts is None:
            scripts = ProcessRunner(reactor, clock)
        self.virtualHosts: list[VirtualHost] = []
        seen = set()
        for configuration in configurations:
            key = (configuration.interface, configuration.vhid)
            if key in seen:
                raise ValueError(f"virtual host {key[1]} is configured twice on {key[0]}")
            seen.add(key)
            path = configuration.stateFile
            host = VirtualHost(
                configuration,
                store=None if path is None else StateFile(path, reactor),
                network=network,
                links=links,
                clock=clock,
                scripts=scripts,
                addresses=addresses,
                virtualInterfaces=virtualInterfaces,
                pauseSeconds=pauseSeconds,
            )
            host.setServiceParent(self)  # type: ignore[no-untyped-call]
            self.virtualHosts.append(host)

    def privilegedStartService(self) -> None:
        """
        Open what needs privileges.

        @raise OSError: If this process may not.
        """
        self._open()
        MultiService.privilegedStartService(self)

    def startService(self) -> None:
        """
        Take part in all groups.
        """
        self._open()
        MultiService.startService(self)

    @inlineCallbacks
    def stopService(self) -> Generator[Deferred[Any], Any, None]:
        """
        Leave all groups; fires when everything was given back.
        """
        yield maybeDeferred(MultiService.stopService, self)
        if self.running:
            return  # started again meanwhile
        for own in (self._ownLinks, self._ownAddresses):
            if own is not None:
                own.stop()
        self._netlink.stop()
        if self._ownClock is not None:
            self._ownClock.stop()

    def _open(self) -> None:
        owned = [own for own in (self._ownLinks, self._ownAddresses) if own is not None]
        if owned:
            self._netlink.start()
        for own in owned:
            own.start()


def _indexes(links: ILinkMonitor) -> Callable[[str], int]:
    """
    The index of an interface, from what is known anyway.
    """

    def indexOf(name: str) -> int:
        link = links.link(name)
        if link is None:
            raise OSError(errno.ENODEV, f"there is no interface {name}")
        return link.index

    return indexOf
