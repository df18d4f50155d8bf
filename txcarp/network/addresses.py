"""
The addresses of this host, as the kernel has them.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txcarp.addresses import VirtualAddress
from txcarp.interfaces import IAddressObserver, IAddressTable, ILeaseObserver
from txcarp.mastership.leases import Holding
from txcarp.network.netlink import Netlink
from txcarp.network.requests import IFA_F_NODAD, IFA_F_NOPREFIXROUTE, delAddress, newAddress
from txcarp.network.rtnetlink import Address
from txcarp.network.sockets import MissingCapability

#: How the kernel is told, and tells, who added an address (IFA_PROTO, since
#: Linux 5.18): the number of the protocol that moves it.
OURS = 112

#: Where the kernel does not say who added an address, one that will vanish
#: within this many seconds is taken for ours: nothing else leases that short.
_SHORT_LEASE = 60

#: Seconds until a list that the kernel could not give is asked for again.
_RETRY = 0.5

_GONE = frozenset((errno.EADDRNOTAVAIL, errno.ENODEV, errno.ENXIO))

_Key = tuple[int, bytes]


@implementer(IAddressTable, IAddressObserver)
class AddressTable:
    """
    Adds and removes addresses over rtnetlink, several in one message, and
    follows what the kernel and everybody else do with them.
    """

    _log = Logger()

    def __init__(
        self,
        netlink: Netlink,
        clock: IReactorTime,
        indexOf: Callable[[str], int] = socket.if_nametoindex,
    ) -> None:
        """
        @param netlink: Started by its owner, before L{start}.
        @param indexOf: The index of an interface; raises C{OSError} if there is
            none of this name.
        """
        self._netlink = netlink
        self._clock = clock
        self._indexOf = indexOf
        self._started = False
        self._listing = False
        self._again = False
        self._ready: list[Deferred[None]] | None = []
        self._present: dict[_Key, Address] = {}
        self._newer: dict[_Key, Address | None] = {}
        self._observers: list[tuple[str, ILeaseObserver]] = []

    def start(self) -> None:
        """
        Begin to follow the addresses.
        """
        if not self._started:
            self._started = True
            self._netlink.addAddressObserver(self)
            self._list()

    def stop(self) -> None:
        """
        Follow them no more.
        """
        if self._started:
            self._started = False
            self._netlink.removeAddressObserver(self)

    def watch(self, interface: str, observer: ILeaseObserver) -> None:
        """
        See L{IAddressTable.watch}.
        """
        self._observers.append((interface, observer))

    def unwatch(self, interface: str, observer: ILeaseObserver) -> None:
        """
        See L{IAddressTable.unwatch}.
        """
        self._observers = [entry for entry in self._observers if entry[1] is not observer]

    def known(self) -> Deferred[None]:
        """
        See L{IAddressTable.known}.
        """
        if self._ready is None:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._ready.append(waiting)
        return waiting

    def holding(self, interface: str, address: VirtualAddress) -> Holding:
        """
        See L{IAddressTable.holding}.
        """
        try:
            index = self._indexOf(interface)
        except OSError:
            return Holding.NOBODY
        present = self._present.get((index, address.packed))
        if present is None:
            return Holding.NOBODY
        if present.protocol is not None:
            return Holding.OURS if present.protocol == OURS else Holding.FOREIGN
        short = present.validLifetime is not None and present.validLifetime <= _SHORT_LEASE
        return Holding.OURS if short else Holding.FOREIGN

    def hold(
        self,
        interface: str,
        addresses: Sequence[VirtualAddress],
        lease: int | None,
        routed: bool,
    ) -> Deferred[None]:
        """
        See L{IAddressTable.hold}.
        """
        if not addresses:
            return succeed(None)
        try:
            index = self._indexOf(interface)
        except OSError:
            return fail(OSError(errno.ENODEV, f"there is no interface {interface}"))
        requests = [
            newAddress(
                index,
                address.packed,
                address.prefixLength,
                validLifetime=lease,
                # A virtual address answers those who ask for it; connections of
                # this host's own are not to begin from it in IPv6.
                preferredLifetime=lease if address.isIPv4 else 0,
                flags=(0 if address.isIPv4 else IFA_F_NODAD)
                | (0 if routed else IFA_F_NOPREFIXROUTE),
                protocol=OURS,
                replace=True,
            )
            for address in addresses
        ]

        def answered(results: list[OSError | None]) -> None:
            for address, error in zip(addresses, results, strict=True):
                if error is None:
                    # The kernel tells of an IPv6 address some time after it
                    # answered, and meanwhile it may be removed again.
                    self.addressChanged(_ours(index, address, lease), True)
            _raiseFirst(results)

        return self._netlink.requestAll(requests).addCallback(answered)

    def drop(self, interface: str, addresses: Sequence[VirtualAddress]) -> Deferred[None]:
        """
        See L{IAddressTable.drop}.
        """
        try:
            index = self._indexOf(interface)
        except OSError:
            return succeed(None)  # they went with it
        requests = []
        for address in addresses:
            # It may be there without being known, if the answer to its addition
            # was lost or is still to come.
            present = self._present.get((index, address.packed))
            prefixLength = (present or address).prefixLength
            requests.append(delAddress(index, address.packed, prefixLength))
        if not requests:
            return succeed(None)

        def answered(results: list[OSError | None]) -> None:
            _raiseFirst(
                [error for error in results if error is None or error.errno not in _GONE]
            )

        return self._netlink.requestAll(requests).addCallback(answered)

    def addressChanged(self, address: Address, present: bool) -> None:
        """
        See L{IAddressObserver.addressChanged}.
        """
        key = (address.index, address.local)
        if self._listing:
            self._newer[key] = address if present else None
        if present:
            self._present[key] = address
        elif self._present.pop(key, None) is not None:
            self._tellGone(address)

    def addressesUncertain(self) -> None:
        """
        See L{IAddressObserver.addressesUncertain}.
        """
        if self._listing:
            self._again = True
        else:
            self._list()

    def _tellGone(self, address: Address) -> None:
        for interface, observer in list(self._observers):
            try:
                if self._indexOf(interface) != address.index:
                    continue
            except OSError:
                continue
            observer.addressesGone([address.local])

    def _list(self) -> None:
        self._listing = True
        self._again = False
        self._newer.clear()
        self._netlink.dumpAddresses().addCallbacks(self._listed, self._notListed)

    def _listed(self, addresses: list[Address]) -> None:
        self._listing = False
        if not self._started:
            return
        if self._again:
            self._list()
            return
        self._present = {(address.index, address.local): address for address in addresses}
        for key, newer in self._newer.items():
            if newer is None:
                self._present.pop(key, None)
            else:
                self._present[key] = newer
        self._newer.clear()
        waiting, self._ready = self._ready, None
        for one in waiting or ():
            one.callback(None)
        if waiting is None:  # not the first list: something was lost before it
            for _, observer in list(self._observers):
                observer.addressesPossiblyGone()

    def _notListed(self, failure: Failure) -> None:
        self._listing = False
        if self._started:
            self._log.error(
                "The addresses of this host could not be listed: {reason}",
                reason=failure.getErrorMessage(),
            )
            self._clock.callLater(_RETRY, self._retry)

    def _retry(self) -> None:
        if self._started and not self._listing:
            self._list()


def _ours(index: int, address: VirtualAddress, lease: int | None) -> Address:
    """
    What the kernel will say of an address that it just added.
    """
    return Address(
        index=index,
        family=socket.AF_INET if address.isIPv4 else socket.AF_INET6,
        prefixLength=address.prefixLength,
        local=address.packed,
        validLifetime=lease,
        protocol=OURS,
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
