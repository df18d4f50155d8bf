"""
Adding and removing the virtual addresses.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from txcarp.addresses import Holding, VirtualAddress
from txcarp.interfaces import IAddressTable, ILeaseObserver, ILinkMonitor
from txcarp.links import InterfaceAddress
from txcarp.netlink.client import Netlink
from txcarp.netlink.conversation import ATTEMPTS, AnswerLost
from txcarp.netlink.format import Request
from txcarp.netlink.messages import IFA_F_SECONDARY
from txcarp.netlink.requests import (
    IFA_F_NODAD,
    IFA_F_NOPREFIXROUTE,
    delAddress,
    newAddress,
    promoteSecondaries,
)
from txcarp.network.addresslist import AddressList, IAddressListObserver
from txcarp.network.sockets import MissingCapability

#: The mark of addresses that this program added (IFA_PROTO, since Linux 5.18): the number of
#: the protocol.
OURS = 112

#: Seconds.  Where the kernel keeps no mark, an address that this process did not add is taken
#: for one of an earlier run if its lifetime is at most this: nothing else leases that short.
_SHORT_LEASE = 60

_GONE = frozenset((errno.EADDRNOTAVAIL, errno.ENODEV, errno.ENXIO))


@implementer(IAddressTable, IAddressListObserver)
class AddressTable:
    """
    Adds and removes addresses over rtnetlink, several in one message, and notices which of them
    are lost.
    """

    def __init__(self, netlink: Netlink, addresses: AddressList, links: ILinkMonitor) -> None:
        """
        @param netlink: The owner starts it before L{start}.
        @param addresses: The owner starts it before L{start}, too.
        @param links: Knows the index of each interface.
        """
        self._netlink = netlink
        self._addresses = addresses
        self._links = links
        self._started = False
        #: The interface and the addresses of each observer.
        self._observers: dict[ILeaseObserver, tuple[str, Collection[bytes]]] = {}
        #: The observers of a packed address, on all interfaces.
        self._watching: dict[bytes, list[ILeaseObserver]] = {}
        #: The index of the interface to which an address was added, by its name then.
        self._heldOn: dict[tuple[str, bytes], int] = {}
        #: By index and packed address, the lifetime in seconds with which this process added it.
        self._leases: dict[tuple[int, bytes], int] = {}
        #: The index and the packed address of all that this process added, until they are gone.
        self._own: set[tuple[int, bytes]] = set()
        #: The indexes of the interfaces that promote secondary addresses.
        self._promoting: set[int] = set()
        #: By index, what L{_noteRoles} found: packed addresses and prefix lengths.
        self._promoted: dict[int, set[tuple[bytes, int]]] = {}

    def start(self) -> None:
        """
        Begin to follow the addresses.
        """
        if not self._started:
            self._started = True
            self._addresses.watch(self)

    def stop(self) -> None:
        """
        Call no observer until the next L{start}.
        """
        if self._started:
            self._started = False
            self._addresses.unwatch(self)

    def watch(
        self, interface: str, addresses: Collection[bytes], observer: ILeaseObserver
    ) -> None:
        self._observers[observer] = interface, tuple(addresses)
        for packed in addresses:
            self._watching.setdefault(packed, []).append(observer)

    def unwatch(self, interface: str, observer: ILeaseObserver) -> None:
        _, addresses = self._observers.pop(observer, (interface, ()))
        for packed in addresses:
            watching = self._watching[packed]
            watching.remove(observer)
            if not watching:
                del self._watching[packed]

    def known(self) -> Deferred[None]:
        # The other methods need the index of the interface.
        return self._addresses.known().addCallback(lambda _: self._links.known())

    def holding(self, interface: str, address: VirtualAddress) -> Holding:
        found = self._on(self._indexOf(interface), address)
        if not found:
            return Holding.NOBODY
        return Holding.OURS if all(map(self._isOurs, found)) else Holding.FOREIGN

    def isElsewhere(self, interface: str, address: VirtualAddress) -> bool:
        index = self._indexOf(interface)
        return index is not None and any(
            one.index != index and (one.index, one.local) not in self._own
            for one in self._addresses.everywhere(address.packed)
        )

    def hold(
        self,
        interface: str,
        addresses: Sequence[VirtualAddress],
        lease: int | None,
        routed: bool,
    ) -> Deferred[None]:
        if not addresses:
            return succeed(None)
        index = self._indexOf(interface)
        if index is None:
            return fail(OSError(errno.ENODEV, f"there is no interface {interface}"))
        self._heldOn.update({(interface, one.packed): index for one in addresses})
        self._own.update((index, one.packed) for one in addresses)
        if lease is not None:
            self._leases.update({(index, one.packed): lease for one in addresses})
        settings, rest = [], []
        first = self._promoted.get(index, ())
        promoted = [one for one in addresses if (one.packed, one.prefixLength) in first]
        adds = any(one.isIPv4 and not self._on(index, one) for one in addresses)
        if promoted or (adds and index not in self._promoting):
            # After a restart of a network manager the virtual address may be the first of
            # its network.  The host's own address would be removed with it.
            settings.append(promoteSecondaries(index))
            self._promoting.add(index)
        for address in promoted:
            # A new address is behind those of its network.  Meanwhile the host answers for it
            # because it has it with another prefix length.
            settings.append(_addition(index, address.packed, 32, lease, False))
            settings.append(delAddress(index, address.packed, address.prefixLength))
            rest.append(delAddress(index, address.packed, 32))
        requests = [
            _addition(index, one.packed, one.prefixLength, lease, routed) for one in addresses
        ]

        def answered(everything: list[OSError | None]) -> None:
            results = everything[len(settings) : len(settings) + len(requests)]
            for address, error in zip(addresses, results, strict=True):
                if error is None and not self._isAsAdded(index, address, lease):
                    # The kernel sends the event of an IPv6 address some time after the
                    # answer, and the address may be removed meanwhile.
                    added = self._added(index, address, lease)
                    self._addresses.addressChanged(added, True)
            _raiseFirst(results)

        return self._ask([*settings, *requests, *rest]).addCallback(answered)

    def drop(self, interface: str, addresses: Sequence[VirtualAddress]) -> Deferred[None]:
        named = self._indexOf(interface)
        requests = []
        for address in addresses:
            if self._isHeld(interface, address.packed):
                continue  # it has moved to another group
            # The interface may have been deleted, or renamed.
            index = self._heldOn.pop((interface, address.packed), named)
            if index is None:
                continue
            present = self._on(index, address)
            ours = {one.prefixLength for one in present if self._isOurs(one)}
            self._leases.pop((index, address.packed), None)
            # An address that is not known may be there: the answer to its addition may have
            # been lost, or be still to come.
            for prefixLength in sorted(ours) or (address.prefixLength,):
                requests.append(delAddress(index, address.packed, prefixLength))
        if not requests:
            return succeed(None)
        return self._ask(requests).addCallback(
            lambda results: _raiseFirst(
                [error for error in results if error is None or error.errno not in _GONE]
            )
        )

    def _isHeld(self, interface: str, packed: bytes) -> bool:
        return any(
            self._observers[observer][0] == interface and observer.holdsAddress(packed)
            for observer in self._watching.get(packed, ())
        )

    def addressNoted(
        self, address: InterfaceAddress, before: InterfaceAddress | None, present: bool
    ) -> None:
        isOurs = self._isOurs(address)
        if present:
            newRole = before is None or before.flags != address.flags
            if isOurs and address.flags & IFA_F_SECONDARY and address.index not in self._promoted:
                newRole = False  # the usual place of ours
        else:
            # When one of ours goes, the event about the next first address is still to come.
            newRole = not isOurs
        promoted = self._noteRoles(address.index) if newRole else []
        if promoted:
            for observer, found in self._affected(address.index, promoted).items():
                observer.addressesPromoted(found)
        if before is None:
            return
        if not present:
            if not any(self._addresses.of(address.index)):
                self._promoting.discard(address.index)  # the interface may have been deleted
            left = self._addresses.at(address.index, address.local)
            if not left:
                self._own.discard((address.index, address.local))
            if not any(map(self._isOurs, left.values())):
                for observer, gone in self._affected(address.index, [address.local]).items():
                    observer.addressesGone(gone)
        elif self._isOurs(before) and not isOurs:
            for observer, taken in self._affected(address.index, [address.local]).items():
                observer.addressesTaken(taken)

    def addressesListed(self, again: bool) -> None:
        self._promoted.clear()
        self._promoting.clear()
        for index in self._addresses.indexes():
            self._noteRoles(index)
        if again:
            for observer in list(self._observers):
                observer.addressesPossiblyGone()

    def ipv6Changed(self, index: int) -> None:
        pass  # its addresses have events of their own

    def _on(self, index: int | None, address: VirtualAddress) -> list[InterfaceAddress]:
        """
        Return an address as an interface has it, with any prefix lengths.
        """
        return list(self._addresses.at(index, address.packed).values()) if index else []

    def _isOurs(self, address: InterfaceAddress) -> bool:
        """
        Whether this program, or an earlier run of it, added an address.
        """
        if address.protocol is not None:
            return address.protocol == OURS
        longest = max(_SHORT_LEASE, self._leases.get((address.index, address.local), 0))
        return address.validLifetime is not None and address.validLifetime <= longest

    def _noteRoles(self, index: int) -> list[bytes]:
        """
        Find our IPv4 addresses on an interface in the networks of which one of ours is the first,
        before one that is not ours.  The kernel promotes the next address of the network when
        the first one goes, which may be ours, too.

        @return: The packed addresses that were not found before.
        """
        ipv4 = [one for one in self._addresses.of(index) if one.family == socket.AF_INET]
        others = [one for one in ipv4 if one.flags & IFA_F_SECONDARY and not self._isOurs(one)]
        before = self._promoted.pop(index, set())
        ours = [one for one in ipv4 if self._isOurs(one)] if others else []
        firsts = [
            one
            for one in ours
            if not one.flags & IFA_F_SECONDARY and any(map(one.sharesNetwork, others))
        ]
        promoted = {
            (one.local, one.prefixLength) for one in ours if any(map(one.sharesNetwork, firsts))
        }
        if promoted:
            self._promoted[index] = promoted
        return [local for local, _ in promoted - before]

    def _isAsAdded(self, index: int, address: VirtualAddress, lease: int | None) -> bool:
        """
        Whether an address is known as this program adds it, as nearly always when it is renewed.
        """
        known = self._addresses.at(index, address.packed).get(address.prefixLength)
        return known is not None and known.protocol == OURS and known.validLifetime == lease

    def _added(self, index: int, address: VirtualAddress, lease: int | None) -> InterfaceAddress:
        """
        Return what the kernel's event about an address that it just added is.
        """
        known = self._addresses.at(index, address.packed).get(address.prefixLength)
        return InterfaceAddress(
            index=index,
            family=socket.AF_INET if address.isIPv4 else socket.AF_INET6,
            prefixLength=address.prefixLength,
            local=address.packed,
            flags=0 if known is None else known.flags,
            validLifetime=lease,
            protocol=OURS,
        )

    def _indexOf(self, interface: str) -> int | None:
        link = self._links.link(interface)
        return None if link is None else link.index

    def _ask(
        self, requests: Sequence[Request], attempts: int = ATTEMPTS
    ) -> Deferred[list[OSError | None]]:
        """
        Send requests that may be carried out twice; again if an answer was lost.
        """

        def answered(
            results: list[OSError | None],
        ) -> list[OSError | None] | Deferred[list[OSError | None]]:
            if attempts > 1 and any(isinstance(error, AnswerLost) for error in results):
                return self._ask(requests, attempts - 1)
            return results

        return self._netlink.requestAll(requests).addCallback(answered)

    def _affected(
        self, index: int, addresses: Iterable[bytes]
    ) -> dict[ILeaseObserver, list[bytes]]:
        """
        Return the observers of some packed addresses on an interface, each with its own ones.
        """
        affected: dict[ILeaseObserver, list[bytes]] = {}
        for packed in addresses:
            for observer in self._watching.get(packed, ()):
                if self._indexOf(self._observers[observer][0]) == index:
                    affected.setdefault(observer, []).append(packed)
        return affected


@lru_cache(maxsize=4096)
def _addition(
    index: int, packed: bytes, prefixLength: int, lease: int | None, routed: bool
) -> Request:
    """
    Request to add an address, or to renew it, which a master does again and again.
    """
    isIPv4 = len(packed) == 4
    return newAddress(
        index,
        packed,
        prefixLength,
        validLifetime=lease,
        # A deprecated IPv6 address answers, but this host opens no connections from it.
        preferredLifetime=lease if isIPv4 else 0,
        flags=(0 if isIPv4 else IFA_F_NODAD) | (0 if routed else IFA_F_NOPREFIXROUTE),
        protocol=OURS,
        replace=True,
    )


def _raiseFirst(results: list[OSError | None]) -> None:
    """
    Raise the first error of several requests.
    """
    for error in results:
        if isinstance(error, PermissionError) and error.errno == errno.EPERM:
            raise MissingCapability("change addresses", "CAP_NET_ADMIN")
        if error is not None:
            raise error
