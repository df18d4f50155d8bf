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

from txcarp.addresses import Holding, VirtualAddress
from txcarp.interfaces import IAddressObserver, IAddressTable, ILeaseObserver
from txcarp.links import InterfaceAddress
from txcarp.netlink.client import Netlink
from txcarp.netlink.conversation import ATTEMPTS, AnswerLost
from txcarp.netlink.format import Request
from txcarp.netlink.requests import (
    IFA_F_NODAD,
    IFA_F_NOPREFIXROUTE,
    delAddress,
    newAddress,
    promoteSecondaries,
)
from txcarp.network.presentaddresses import OURS, PresentAddresses, isOurs
from txcarp.network.sockets import MissingCapability

#: Seconds until a list that the kernel could not give is asked for again.
_RETRY = 0.5

_GONE = frozenset((errno.EADDRNOTAVAIL, errno.ENODEV, errno.ENXIO))

_Key = tuple[int, bytes, int]


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
        self._present = PresentAddresses()
        self._newer: dict[_Key, tuple[InterfaceAddress, bool]] = {}
        self._observers: list[tuple[str, ILeaseObserver]] = []
        #: The index of the interface on which an address was put, by its name then.
        self._heldOn: dict[tuple[str, bytes], int] = {}

    def start(self) -> None:
        """
        Begin to follow the addresses.
        """
        if not self._started:
            self._started = True
            # What was known before a stop says nothing: nobody listened since.
            self._present.clear()
            self._ready = self._ready or []
            self._netlink.addAddressObserver(self)
            self._list()

    def stop(self) -> None:
        """
        Follow them no more, and know nothing until the next L{start}.
        """
        if self._started:
            self._started = False
            self._ready = self._ready or []
            self._present.clear()
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
        found = self._present.on(index, address.packed)
        if not found:
            return Holding.NOBODY
        return Holding.OURS if all(map(isOurs, found)) else Holding.FOREIGN

    def isElsewhere(self, interface: str, address: VirtualAddress) -> bool:
        """
        See L{IAddressTable.isElsewhere}.
        """
        try:
            index = self._indexOf(interface)
        except OSError:
            return False
        return not all(map(isOurs, self._present.besides(index, address.packed)))

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
        self._heldOn.update({(interface, one.packed): index for one in addresses})
        settings = []
        if any(one.isIPv4 and not self._present.on(index, one.packed) for one in addresses):
            # The virtual address may have come first, after a restart of a network
            # manager: the host's own would go with it.
            settings.append(promoteSecondaries(index))
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

        def answered(everything: list[OSError | None]) -> None:
            results = everything[len(settings) :]
            for address, error in zip(addresses, results, strict=True):
                if error is None:
                    # The kernel tells of an IPv6 address some time after it
                    # answered, and meanwhile it may be removed again.
                    self.addressChanged(_ours(index, address, lease), True)
            _raiseFirst(results)

        return self._ask([*settings, *requests]).addCallback(answered)

    def drop(self, interface: str, addresses: Sequence[VirtualAddress]) -> Deferred[None]:
        """
        See L{IAddressTable.drop}.
        """
        try:
            named = self._indexOf(interface)
        except OSError:
            named = None
        requests = []
        for address in addresses:
            # They may have gone with their interface, or it has another name now.
            index = self._heldOn.pop((interface, address.packed), named)
            if index is None:
                continue
            found = self._present.on(index, address.packed)
            ours = {one.prefixLength for one in found if isOurs(one)}
            # It may be there without being known, if the answer to its addition
            # was lost or is still to come.
            for prefixLength in sorted(ours) or (address.prefixLength,):
                requests.append(delAddress(index, address.packed, prefixLength))
        if not requests:
            return succeed(None)

        def answered(results: list[OSError | None]) -> None:
            _raiseFirst(
                [error for error in results if error is None or error.errno not in _GONE]
            )

        return self._ask(requests).addCallback(answered)

    def addressChanged(self, address: InterfaceAddress, present: bool) -> None:
        """
        See L{IAddressObserver.addressChanged}.
        """
        if self._listing:
            key = (address.index, address.local, address.prefixLength)
            self._newer[key] = address, present
        before = self._present.believe(address, present)
        if before is None:
            return
        if not present:
            if not any(map(isOurs, self._present.on(address.index, address.local))):
                self._tell(address, lambda observer: observer.addressesGone([address.local]))
        elif isOurs(before) and not isOurs(address):
            self._tell(address, lambda observer: observer.addressesTaken([address.local]))

    def addressesUncertain(self) -> None:
        """
        See L{IAddressObserver.addressesUncertain}.
        """
        if self._listing:
            self._again = True
        else:
            self._list()

    def _ask(
        self, requests: Sequence[Request], attempts: int = ATTEMPTS
    ) -> Deferred[list[OSError | None]]:
        """
        Ask for several things that may be done twice; again if the answers
        were lost.
        """

        def answered(
            results: list[OSError | None],
        ) -> list[OSError | None] | Deferred[list[OSError | None]]:
            if attempts > 1 and any(isinstance(error, AnswerLost) for error in results):
                return self._ask(requests, attempts - 1)
            return results

        return self._netlink.requestAll(requests).addCallback(answered)

    def _tell(self, address: InterfaceAddress, tell: Callable[[ILeaseObserver], None]) -> None:
        for interface, observer in list(self._observers):
            try:
                if self._indexOf(interface) != address.index:
                    continue
            except OSError:
                continue
            tell(observer)

    def _list(self) -> None:
        self._listing = True
        self._again = False
        self._newer.clear()
        self._netlink.dumpAddresses().addCallbacks(self._listed, self._notListed)

    def _listed(self, addresses: list[InterfaceAddress]) -> None:
        self._listing = False
        if not self._started:
            return
        if self._again:
            self._list()
            return
        self._present.clear()
        for address in addresses:
            self._present.believe(address, True)
        for newer, present in self._newer.values():
            self._present.believe(newer, present)
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


def _ours(index: int, address: VirtualAddress, lease: int | None) -> InterfaceAddress:
    """
    What the kernel will say of an address that it just added.
    """
    return InterfaceAddress(
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
