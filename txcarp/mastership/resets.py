"""
The step that ends the TCP connections of addresses that leave.

It has two halves.  The kernel tells the peer of a connection that it ends only while this host has
the address (measured with Linux 6.18): the first half comes before the addresses leave.  A peer may
connect again before its packets go to another host, or the kernel may have removed the address at
the end of its lease: the second half comes after they have left, for the programs of this host.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.logger import Logger
from zope.interface import implementer

from txcarp.addresses import Holding, VirtualAddress
from txcarp.change import Change
from txcarp.interfaces import IAddressTable, IMastershipStep, IPlatform
from txcarp.protocol.effects import Reason

#: Seconds for which the addresses stay on this host at most because their connections are ended.
#: About fifty thousand are ended in this time.
BEFORE = 1.0

#: Seconds for which what remains of them is ended after that.
AFTER = 10.0


class ConnectionResets:
    """
    The two halves.

    @ivar first: Comes after the addresses, and therefore is released before them.
    @ivar last: Comes before the addresses, and therefore is released after them.
    """

    _log = Logger()

    def __init__(
        self,
        platform: IPlatform,
        table: IAddressTable,
        interface: str,
        addresses: Sequence[VirtualAddress],
        impossible: Callable[[str], None],
    ) -> None:
        """
        @param interface: The name of the interface that has the addresses.
        @param impossible: Called with the reason, once, if this host cannot end connections.
        """
        self._platform = platform
        self._table = table
        self._interface = interface
        self._addresses = addresses
        self._impossible = impossible
        self._isTold = False
        self.first: IMastershipStep = _Half("connections", BEFORE, self._acquire, self._before)
        self.last: IMastershipStep = _Half("old connections", AFTER, self._acquire, self._after)

    def change(self, addresses: Sequence[VirtualAddress]) -> None:
        """
        End the connections of other addresses when they leave.
        """
        self._addresses = addresses

    def _acquire(self, change: Change) -> Deferred[None] | None:
        """
        Find out whether connections can be ended, so that nobody learns at a fail-over that they
        cannot.  Nothing waits for that.
        """
        if not self._isTold:
            self._isTold = True
            connections = self._platform.connections
            if connections is None:
                self._impossible("this platform has nothing for that")
            else:
                connections.whyNot().addCallback(self._tell)
        return None

    def _tell(self, why: str) -> None:
        if why:
            self._impossible(why)

    def _before(self, change: Change) -> Deferred[None] | None:
        if change.reason is Reason.STARTED:
            return self._acquire(change)
        return self._reset((Holding.OURS, Holding.NOBODY))

    def _after(self, change: Change) -> Deferred[None] | None:
        return self._reset((Holding.NOBODY,))

    @inlineCallbacks
    def _reset(self, holdings: Sequence[Holding]) -> Generator[Deferred[Any], Any, None]:
        """
        End the connections of those addresses that nobody but this program adds.
        """
        connections = self._platform.connections
        if connections is None:
            return
        addresses = [
            address
            for address in self._addresses
            if self._table.holding(self._interface, address) in holdings
            and not self._table.isElsewhere(self._interface, address)
        ]
        if not addresses:
            return
        link = self._platform.links.link(self._interface)
        index = None if link is None else link.index
        count = yield connections.reset([one.packed for one in addresses], index)
        if count:
            self._log.info(
                "{count} TCP connections of {addresses} were ended: the addresses leave this host",
                count=count,
                addresses=", ".join(one.text for one in addresses),
            )


@implementer(IMastershipStep)
class _Half:
    required = False

    def __init__(
        self,
        name: str,
        timeLimit: float,
        acquire: Callable[[Change], Deferred[None] | None],
        release: Callable[[Change], Deferred[None] | None],
    ) -> None:
        self.name = name
        self.timeLimit = timeLimit
        self._acquire = acquire
        self._release = release

    def acquire(self, change: Change) -> Deferred[None] | None:
        return self._acquire(change)

    def release(self, change: Change) -> Deferred[None] | None:
        return self._release(change)
