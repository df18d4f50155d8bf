"""
The machine that virtual hosts run on.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorFDSet, IReactorSocket, IReactorTime
from zope.interface import implementer

from txcarp.clock.monotonic import MonotonicClock, bootSeconds
from txcarp.interfaces import (
    IAddressTable,
    ILinkMonitor,
    INetwork,
    IPlatform,
    IScriptRunner,
    IStateStore,
    IVirtualInterfaces,
)
from txcarp.mastership.scripts import ProcessRunner
from txcarp.netlink.client import Netlink
from txcarp.network.addresstable import AddressTable
from txcarp.network.linkmonitor import LinkMonitor
from txcarp.network.linux import LinuxNetwork
from txcarp.network.macvlans import Macvlans
from txcarp.statefile import StateFile
from txcarp.statestore import StateStore, inDaemonThread


@implementer(IPlatform)
class LinuxPlatform:
    """
    A Linux host, and this process on it.

    Nothing is opened before L{open}, so that a process can fork in between making this and
    opening it.
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
        pauseSeconds: Callable[[], float] | None = None,
        wallSeconds: Callable[[], float] = time.time,
        random: Callable[[int], int] = secrets.randbits,
    ) -> None:
        """
        A part that is not given is the real thing.

        @param reactor: The reactor of the application; the global one if it is
            not given.
        @param stateFile: The file that keeps, over a restart, what replays are told by;
            C{None} for none.
        @param pauseSeconds: See L{IPlatform.pauseSeconds}; the seconds of the clock, if one
            is given and this is not.
        """
        if reactor is None:
            from twisted.internet import reactor as installed

            reactor = installed
        self._netlink = Netlink(reactor)
        #: The parts that are made here, in the order of opening them.
        self._opened: list[Any] = []
        self._isOpen = False
        self._clock: MonotonicClock | None = None
        if clock is None:
            clock = self._clock = MonotonicClock(cast(IReactorFDSet, reactor))
            pauseSeconds = pauseSeconds or bootSeconds
        if links is None:
            links = LinkMonitor(self._netlink, clock)
            self._opened.append(links)
        if addresses is None:
            addresses = AddressTable(self._netlink, clock, links)
            self._opened.append(addresses)
        if network is None:
            network = LinuxNetwork(cast(IReactorSocket, reactor), clock, links)
        self.clock: IReactorTime = clock
        self.links: ILinkMonitor = links
        self.addresses: IAddressTable | None = addresses
        self.network: INetwork = network
        self.virtualInterfaces: IVirtualInterfaces | None = (
            virtualInterfaces or Macvlans(self._netlink)
        )
        self.scripts: IScriptRunner = scripts or ProcessRunner(reactor, clock)
        self.store: IStateStore | None = (
            None
            if stateFile is None
            else StateStore(StateFile(stateFile), clock, partial(inDaemonThread, reactor))
        )
        self.pauseSeconds = pauseSeconds or clock.seconds
        self.wallSeconds = wallSeconds
        self.random = random

    def open(self) -> None:
        """
        See L{IPlatform.open}.
        """
        self._isOpen = True
        if self._opened:
            self._netlink.start()
        for part in self._opened:
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
            return  # it was opened again meanwhile
        for part in self._opened:
            part.stop()
        self._netlink.stop()
        if self._clock is not None:
            self._clock.stop()
