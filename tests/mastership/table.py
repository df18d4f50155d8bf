"""
A virtual host with a fake address table.
"""

from __future__ import annotations

import errno
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from tests.fakes import FakeLinks, Journal, Stage
from txcarp.interfaces import IVirtualInterfaces
from txcarp.links import Link
from txcarp.testing.fakes import FakeAddressTable


def refused() -> OSError:
    """
    The error of a kernel that does not add an address.
    """
    return OSError(errno.ENOBUFS, "no room")


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
        self.table = self.platform.addresses = FakeAddressTable(self.journal, self.clock)
        self.platform.virtualInterfaces = FakeInterfaces(self.journal, self.links)

    def events(self, *kinds: str) -> list[tuple[Any, ...]]:
        """
        The entries of these kinds in the journal.
        """
        return [event for event in self.journal if event[0] in kinds]
