"""
The addresses of all interfaces of this host, as the kernel has them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import Interface, implementer

from txcarp.interfaces import IAddressObserver
from txcarp.links import InterfaceAddress
from txcarp.netlink.client import Netlink
from txcarp.network.listing import Listing
from txcarp.protocol.family import isLinkLocal


class IAddressListObserver(Interface):
    """
    Observes the addresses of this host.
    """

    def addressNoted(
        address: InterfaceAddress, before: InterfaceAddress | None, present: bool
    ) -> None:
        """
        Handle that an address was added, changed or removed.

        @param before: The address as it was; C{None} if it was not present.
        @param present: Whether it is present now.
        """

    def addressesListed(again: bool) -> None:
        """
        Handle that all addresses are known.

        @param again: Whether they were known before, and events were lost since then.
        """

    def ipv6Changed(index: int) -> None:
        """
        Handle that the kernel begins to do IPv6 on an interface.
        """


@implementer(IAddressObserver)
class AddressList:
    """
    Follows the kernel's events about addresses, and lists the addresses again when events were
    lost.
    """

    _log = Logger()

    def __init__(self, netlink: Netlink, clock: IReactorTime) -> None:
        """
        @param netlink: The owner starts it before L{start}.
        """
        self._netlink = netlink
        self._listing = Listing(
            clock,
            "addresses",
            netlink.dumpAddresses,
            lambda address: (address.index, address.local, address.prefixLength),
            self._listed,
        )
        self._started = False
        #: What waits for the first list; C{None} when it is known.
        self._untilKnown: list[Deferred[None]] | None = []
        #: By index, packed address and prefix length: an interface can have an IPv4 address
        #: several times.
        self._present: dict[int, dict[bytes, dict[int, InterfaceAddress]]] = {}
        #: What L{linkLocals} found, by index.
        self._linkLocals: dict[int, list[bytes]] = {}
        self._observers: list[IAddressListObserver] = []

    def start(self) -> None:
        """
        Begin to follow the addresses.
        """
        if not self._started:
            self._started = True
            self._present.clear()  # an answer may have come after stop()
            self._netlink.addAddressObserver(self)
            self._listing.read()

    def stop(self) -> None:
        """
        Forget the addresses until the next L{start}.
        """
        if self._started:
            self._started = False
            self._netlink.removeAddressObserver(self)
            self._listing.stop()
            self._untilKnown = self._untilKnown or []
            self._present.clear()
            self._linkLocals.clear()

    def watch(self, observer: IAddressListObserver) -> None:
        """
        Report every change from now on to an observer.
        """
        self._observers.append(observer)

    def unwatch(self, observer: IAddressListObserver) -> None:
        """
        Undo L{watch}.
        """
        self._observers.remove(observer)

    def known(self) -> Deferred[None]:
        """
        Wait until the present addresses are known.
        """
        if self._untilKnown is None:
            return succeed(None)
        known: Deferred[None] = Deferred()
        self._untilKnown.append(known)
        return known

    def of(self, index: int) -> Iterator[InterfaceAddress]:
        """
        Iterate over the addresses of an interface.
        """
        for found in self._present.get(index, {}).values():
            yield from found.values()

    def at(self, index: int, packed: bytes) -> dict[int, InterfaceAddress]:
        """
        Return one packed address of an interface by its prefix lengths.
        """
        return self._present.get(index, {}).get(packed, {})

    def everywhere(self, packed: bytes) -> Iterator[InterfaceAddress]:
        """
        Iterate over one packed address of all interfaces.
        """
        for found in self._present.values():
            yield from found.get(packed, {}).values()

    def linkLocals(self, index: int) -> list[bytes]:
        """
        Return the packed IPv6 link-local addresses that an interface can send from, the best
        ones first.
        """
        found = self._linkLocals.get(index)
        if found is None:
            usable = [one for one in self.of(index) if isLinkLocal(one.local) and one.isUsable]
            usable.sort(key=lambda one: one.isDeprecated)
            found = self._linkLocals[index] = [one.local for one in usable]
        return found

    def isLocal(self, packed: bytes, index: int) -> bool:
        """
        Whether a packet to this packed address that arrives on an interface is for this host.
        A host has most addresses on all of its interfaces, whichever has it.
        """
        return any(
            one.isUsable and (one.index == index or not isLinkLocal(packed))
            for one in self.everywhere(packed)
        )

    def indexes(self) -> Iterable[int]:
        """
        Return the indexes of the interfaces that have addresses.
        """
        return list(self._present)

    def addressChanged(self, address: InterfaceAddress, present: bool) -> None:
        self._listing.noteEvent(address, present)
        before = self._put(address) if present else self._take(address)
        self._linkLocals.pop(address.index, None)
        self._notify(lambda observer: observer.addressNoted(address, before, present))

    def addressesUncertain(self) -> None:
        self._listing.read()

    def ipv6Changed(self, index: int) -> None:
        self._notify(lambda observer: observer.ipv6Changed(index))

    def _listed(self, addresses: list[InterfaceAddress]) -> None:
        self._present.clear()
        self._linkLocals.clear()
        for address in addresses:
            self._put(address)
        waiting, self._untilKnown = self._untilKnown, None
        self._notify(lambda observer: observer.addressesListed(waiting is None))
        for known in waiting or ():
            known.callback(None)

    def _put(self, address: InterfaceAddress) -> InterfaceAddress | None:
        """
        Note that an address is present.

        @return: The same address as it was noted before.
        """
        found = self._present.setdefault(address.index, {}).setdefault(address.local, {})
        before = found.get(address.prefixLength)
        found[address.prefixLength] = address
        return before

    def _take(self, address: InterfaceAddress) -> InterfaceAddress | None:
        """
        Undo L{_put}.
        """
        onLink = self._present.get(address.index, {})
        found = onLink.get(address.local, {})
        before = found.pop(address.prefixLength, None)
        if not found:
            onLink.pop(address.local, None)
        if not onLink:
            self._present.pop(address.index, None)
        return before

    def _notify(self, call: Callable[[IAddressListObserver], None]) -> None:
        for observer in list(self._observers):
            if observer in self._observers:
                try:
                    call(observer)
                except Exception:
                    self._log.failure("The observer {observer!r} failed", observer=observer)
