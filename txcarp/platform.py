"""
The machine that virtual hosts run on.
"""

from __future__ import annotations

import secrets
import time
from functools import partial
from typing import Any, cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorFDSet, IReactorSocket, IReactorTime
from zope.interface import implementer

from txcarp.checks.probes import Probes
from txcarp.checks.pulses import Pulses
from txcarp.clock.metronome import Metronome
from txcarp.clock.monotonic import MonotonicClock
from txcarp.clock.steady import SteadyClock
from txcarp.guard.guard import Guard
from txcarp.interfaces import (
    IAddressTable,
    IConnections,
    IGuard,
    ILinkMonitor,
    INeighbours,
    INetwork,
    IPlatform,
    IScriptRunner,
    IStateStore,
    IVirtualInterfaces,
)
from txcarp.mastership.scripts import ProcessRunner
from txcarp.netlink.client import Netlink
from txcarp.network.addresslist import AddressList
from txcarp.network.addresstable import AddressTable
from txcarp.network.connections import Connections
from txcarp.network.linkmonitor import LinkMonitor
from txcarp.network.linux import LinuxNetwork
from txcarp.network.macvlans import Macvlans
from txcarp.network.neighbours import Neighbours
from txcarp.state.file import StateFile
from txcarp.state.requests import listen
from txcarp.state.store import StateStore, inDaemonThread
from txcarp.state.writer import SeparateWriter
from txcarp.status.process import NetlinkStatus, PlatformStatus


@implementer(IPlatform)
class LinuxPlatform:
    """
    This process on a Linux host.

    Nothing is opened before L{open}, so the process can still fork after this object is made.
    """

    def __init__(
        self,
        reactor: Any = None,
        *,
        clock: IReactorTime | None = None,
        links: ILinkMonitor | None = None,
        network: INetwork | None = None,
        scripts: IScriptRunner | None = None,
        addresses: IAddressTable | None = None,
        virtualInterfaces: IVirtualInterfaces | None = None,
        stateFile: str | None = None,
        stateSocket: bool = True,
        guard: bool = True,
        facility: int | None = None,
    ) -> None:
        """
        Parts that are not given are made here.  A part that is given is not closed here.

        @param reactor: The reactor of the application; by default the global one.
        @param stateFile: The file that keeps over a restart what replayed advertisements are
            recognised by; C{None} for none.
        @param stateSocket: Whether C{txcarp forget} reaches this process through a socket beside
            that file.  A process with a control socket needs none.
        @param guard: Whether another process may give back what this one holds if it dies.  There
            is none if C{network} or C{addresses} is given: only this process can use them.
        @param facility: The number of the syslog facility to which that process writes what it
            did; C{None} for none.
        """
        if reactor is None:
            from twisted.internet import reactor as installed

            reactor = installed
        self.reactor = reactor
        self._netlink = Netlink(reactor)
        #: The parts to open, in this order.
        self._parts: list[Any] = []
        self._isOpen = False
        self._clock: MonotonicClock | None = None
        if clock is None:
            clock = self._clock = MonotonicClock(cast(IReactorFDSet, reactor))
        self.guard: IGuard | None = None
        if guard and network is None and addresses is None:
            record = None if stateFile is None else f"{stateFile}.guard"
            self.guard = Guard(cast(IReactorFDSet, reactor), clock, facility, record)
            self._parts.append(self.guard)
        known = AddressList(self._netlink, clock)
        if addresses is None or network is None:
            self._parts.append(known)
        if links is None:
            links = LinkMonitor(self._netlink, clock)
            self._parts.append(links)
        if addresses is None:
            addresses = AddressTable(self._netlink, known, links)
            self._parts.append(addresses)
        self.neighbours: INeighbours | None = None
        if network is None:
            network = LinuxNetwork(cast(IReactorSocket, reactor), clock, links, known)
            self.neighbours = Neighbours(network, links, known, self._netlink.nextHops)
        self.clock: IReactorTime = clock
        self.metronome = Metronome(clock, self._netlink.gathering)
        self.links: ILinkMonitor = links
        self.addresses: IAddressTable | None = addresses
        self.network: INetwork = network
        self.virtualInterfaces: IVirtualInterfaces | None = (
            virtualInterfaces or Macvlans(self._netlink)
        )
        self.connections: IConnections | None = Connections(cast(IReactorFDSet, reactor))
        self.scripts: IScriptRunner = scripts or ProcessRunner(reactor, clock)
        self.store: IStateStore | None = (
            None
            if stateFile is None
            else StateStore(
                StateFile(stateFile, SeparateWriter(stateFile)),
                clock,
                partial(inDaemonThread, reactor),
                partial(listen, reactor) if stateSocket else None,
            )
        )
        self.probes = Probes(self)
        self.pulses = Pulses(self)
        self.pauseSeconds = clock.seconds if self._clock is None else SteadyClock()
        self.wallSeconds = time.time
        self.random = secrets.randbits

    def status(self) -> PlatformStatus:
        """
        See L{IPlatform.status}.
        """
        netlink = self._netlink
        return PlatformStatus(
            NetlinkStatus(netlink.overruns, netlink.malformed, netlink.lists),
            None if self.guard is None else self.guard.status(),
        )

    def open(self) -> None:
        """
        See L{IPlatform.open}.
        """
        self._isOpen = True
        if self._parts:
            self._netlink.start()
        for part in self._parts:
            part.start()

    def close(self) -> Deferred[None]:
        """
        See L{IPlatform.close}.
        """
        self._isOpen = False
        closed = succeed(None) if self.store is None else self.store.close()
        return closed.addCallback(self._close)

    def _close(self, result: None) -> None:
        if self._isOpen:
            return  # opened again meanwhile
        for part in self._parts:
            part.stop()
        self._netlink.stop()
        if self._clock is not None:
            self._clock.stop()
