"""
A fake address table, and a virtual host that uses it.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from zope.interface import implementer

from tests.fakes import INTERFACE, FakeLinks, Journal, Stage
from txcarp.addresses import Holding, VirtualAddress
from txcarp.interfaces import IAddressTable, ILeaseObserver, IVirtualInterfaces
from txcarp.links import Link


def refused() -> OSError:
    """
    The error of a kernel that does not add an address.
    """
    return OSError(errno.ENOBUFS, "no room")


@implementer(IAddressTable)
class FakeTable:
    """
    The addresses of a host, with lifetimes on a test's clock.

    @ivar present: The end of the lifetime of each address; C{None} for one that stays.
    @ivar foreign: The addresses that another program added.
    @ivar elsewhere: The addresses that another program added to another interface.
    @ivar error: The error of L{hold}; C{None} if L{hold} succeeds.
    @ivar slow: Whether L{hold} and L{drop} wait for L{answer}.
    @ivar waiting: The unanswered calls of L{hold} and L{drop}.
    @ivar unknown: The unanswered calls of L{known}; C{None} if it answers at once.
    """

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self.journal = journal
        self.clock = clock
        self.present: dict[str, float | None] = {}
        self.foreign: set[str] = set()
        self.elsewhere: set[str] = set()
        self.error: OSError | None = None
        self.slow = False
        self.waiting: list[Deferred[None]] = []
        self.unknown: list[Deferred[None]] | None = None
        self.observers: list[tuple[str, ILeaseObserver]] = []
        self._packed: dict[str, bytes] = {}

    def watch(self, interface: str, observer: ILeaseObserver) -> None:
        self.observers.append((interface, observer))

    def unwatch(self, interface: str, observer: ILeaseObserver) -> None:
        self.observers.remove((interface, observer))

    def known(self) -> Deferred[None]:
        if self.unknown is None:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self.unknown.append(waiting)
        return waiting

    def holding(self, interface: str, address: VirtualAddress) -> Holding:
        if address.text in self.foreign:
            return Holding.FOREIGN
        return Holding.OURS if address.text in self.present else Holding.NOBODY

    def isElsewhere(self, interface: str, address: VirtualAddress) -> bool:
        return address.text in self.elsewhere

    def hold(
        self,
        interface: str,
        addresses: Sequence[VirtualAddress],
        lease: int | None,
        routed: bool,
    ) -> Deferred[None]:
        self.journal.append(("hold", lease, *(address.text for address in addresses)))
        if self.error is not None:
            return fail(self.error)
        for address in addresses:
            self._packed[address.text] = address.packed
            self.present[address.text] = None if lease is None else self.clock.seconds() + lease
            if lease is not None:
                self.clock.callLater(lease, self._ended, address.text)
        return self._answer()

    def drop(self, interface: str, addresses: Sequence[VirtualAddress]) -> Deferred[None]:
        self.journal.append(("drop", *(address.text for address in addresses)))
        for address in addresses:
            self.present.pop(address.text, None)
        return self._answer()

    def remove(self, *texts: str) -> None:
        """
        Remove addresses, as another program or the end of their lifetimes does.
        """
        for text in texts:
            del self.present[text]
        for interface, observer in list(self.observers):
            assert interface.endswith(INTERFACE)
            observer.addressesGone([self._packed[text] for text in texts])

    def answer(self) -> None:
        """
        Answer the first unanswered call.
        """
        self.waiting.pop(0).callback(None)

    def _answer(self) -> Deferred[None]:
        if not self.slow:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self.waiting.append(waiting)
        return waiting

    def _ended(self, text: str) -> None:
        end = self.present.get(text)
        if end is not None and self.clock.seconds() >= end:
            self.remove(text)


@implementer(IVirtualInterfaces)
class FakeInterfaces:
    """
    Notes which interfaces are created and removed.

    @ivar error: The error of L{create}; C{None} if L{create} succeeds.
    """

    def __init__(self, journal: Journal, links: FakeLinks) -> None:
        self.journal = journal
        self.links = links
        self.error: OSError | None = None

    def create(self, name: str, parent: str, hardware: bytes, ipv6: bool) -> Deferred[None]:
        self.journal.append(("create", name, parent, hardware, ipv6))
        if self.error is not None:
            return fail(self.error)
        self.links.set(
            name,
            Link(index=9, name=name, up=True, running=True, address=hardware, kind="macvlan"),
        )
        return succeed(None)

    def remove(self, name: str, parent: str) -> Deferred[None]:
        self.journal.append(("remove", name, parent))
        self.links.set(name, None)
        return succeed(None)


class LeaseStage(Stage):
    """
    A virtual host that assigns its addresses.

    @ivar table: The addresses.
    """

    def __init__(self, **settings: Any) -> None:
        settings = {"assign": True, "upScript": None, "downScript": None, **settings}
        super().__init__(**settings)

    def equip(self) -> None:
        self.table = self.platform.addresses = FakeTable(self.journal, self.clock)
        self.platform.virtualInterfaces = FakeInterfaces(self.journal, self.links)

    def events(self, *kinds: str) -> list[tuple[Any, ...]]:
        """
        The entries of these kinds in the journal.
        """
        return [event for event in self.journal if event[0] in kinds]
