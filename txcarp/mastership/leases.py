"""
Addresses that a dead daemon cannot keep.

The kernel removes an address at the end of its lifetime, also when the program
that added it was killed, hangs or was stopped.  It may be late: its check is a
deferrable timer, which an idle processor does not wake for, and was up to
1.1 s late here (Linux 6.18, 250 ticks a second).  A lifetime that is a second
shorter than the time in which a backup takes over, and that is renewed only by
a master in good order, makes up for that.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txcarp.addresses import Holding, VirtualAddress
from txcarp.change import Change
from txcarp.interfaces import IAddressTable, ILeaseObserver, IMastershipStep
from txcarp.logs.limits import SayOnce
from txcarp.mastership.renewal import Renewal

#: The shortest lifetime that the kernel has, in seconds.
SHORTEST = 1

#: Seconds that a lease is shorter than the dead time, for a late kernel.
_LATE_KERNEL = 1

#: What it means when a host that is not master has an address.
_BACKUP_ANSWERS = "this host answers for it although it is not master"

#: Seconds within which the kernel has to have added an address.
_TIME_LIMIT = 5.0


def leaseFor(advbase: int, deadRatio: int) -> int:
    """
    Whole seconds for which an address is leased: a second less than the most
    eager backup, one without skew, waits for the master.
    """
    return max(SHORTEST, advbase * deadRatio - _LATE_KERNEL)


@implementer(IMastershipStep, ILeaseObserver)
class AddressLeases:
    """
    Holds the addresses of one virtual host while it is master.

    @ivar restored: How many times an address was put back that somebody else
        had removed.
    """

    name = "address"
    required = True
    timeLimit = _TIME_LIMIT
    _log = Logger()

    def __init__(
        self,
        table: IAddressTable,
        interface: str,
        addresses: Sequence[VirtualAddress],
        lease: int,
        clock: IReactorTime,
        *,
        fit: Callable[[], bool],
        sayOnce: SayOnce,
        interval: Callable[[], float],
        routed: bool = True,
        restored: Callable[[], None] = lambda: None,
        unfit: Callable[[], None] = lambda: None,
    ) -> None:
        """
        @param lease: Seconds.
        @param interval: Seconds between the advertisements that renew it, as it
            is now.
        @param fit: Whether this host is a master in good order.
        @param routed: Whether the networks of the addresses are reached by
            this interface.
        @param restored: Called when an address was put back.
        @param unfit: Called when the addresses cannot be kept, although this
            host is a master in good order.
        """
        self.restored = 0
        self._table = table
        self._interface = interface
        self._addresses = {address.packed: address for address in addresses}
        self._lease = lease
        self._clock = clock
        self._fit = fit
        self._sayOnce = sayOnce
        self._routed = routed
        self._tellRestored = restored
        self._tellUnfit = unfit
        self._held: dict[bytes, VirtualAddress] = {}
        self._active = False
        self._confirmed = float("-inf")
        self._lapsed = False
        self._renewal = Renewal(clock, lease, interval, fit=fit, renew=self._renew)

    @inlineCallbacks
    def acquire(self, change: Change) -> Generator[Deferred[Any], Any, None]:
        """
        Add the addresses.  One that somebody else put on this host is left as
        it is, as long as it is there, and said: it cannot leave by itself.
        """
        yield self._table.known()
        self._table.watch(self._interface, self)
        self._active = True
        ours = self._notForeign("it is used as it is, and stays when this host dies")
        self._held = {address.packed: address for address in ours}
        self._confirmed = self._clock.seconds()
        self._renewal.begin()
        yield self._hold(ours)

    @inlineCallbacks
    def release(self, change: Change) -> Generator[Deferred[Any], Any, None]:
        """
        Remove the addresses; at the start, what an earlier run left of them.
        """
        if not self._active:
            yield self._table.known()
            yield self._table.drop(self._interface, self._notForeign(_BACKUP_ANSWERS))
            return
        self._table.unwatch(self._interface, self)
        self._active = False
        self._renewal.end()
        held, self._held = self._held, {}
        yield self._table.drop(self._interface, tuple(held.values()))
        self._notForeign(_BACKUP_ANSWERS)

    @property
    def end(self) -> float:
        """
        When the lease ends unless it is renewed, in seconds of the clock.
        """
        return self._confirmed + self._lease

    def holds(self, address: VirtualAddress) -> bool:
        """
        Whether an address is on lease here now.
        """
        return self._active and address.packed in self._held

    def renew(self) -> None:
        """
        Extend the lease: an advertisement left, and this host is in good order.
        """
        if self._active:
            self._renewal.advertised()

    def addressesGone(self, addresses: Sequence[bytes]) -> None:
        """
        Put back what somebody took away, unless it left because its time was
        over: then this host was not in good order, and the next renewal by
        one that is brings it back.
        """
        gone = [self._held[packed] for packed in addresses if packed in self._held]
        self._takeUp(addresses)
        if not self._active or not gone:
            return
        if self._lapsed or self._renewal.isOver or not self._fit():
            if self._sayOnce.ready("over") is not None:
                self._log.error(
                    "The lease of {names} on {interface} is over: this master was not in good "
                    "order",
                    names=_names(gone),
                    interface=self._interface,
                )
            return
        self._putBack(
            gone,
            "removed",
            "Somebody removed {names} from {interface}; it is put back ({count} times so "
            "far). A restart of a network manager does this: systemd-networkd unless its "
            "file for {interface} has KeepConfiguration=static, NetworkManager unless the "
            "device is unmanaged",
        )

    def addressesTaken(self, addresses: Sequence[bytes]) -> None:
        """
        Put what is held on lease again: it would stay when this host dies.
        """
        taken = [self._held[packed] for packed in addresses if packed in self._held]
        if self._active and taken and self._fit():
            self._putBack(
                taken,
                "taken",
                "Somebody changed {names} on {interface}, and it could not leave by itself; it "
                "is on lease again ({count} times so far). Remove it from the host's own "
                "configuration",
            )

    def addressesPossiblyGone(self) -> None:
        """
        Compare what is held with what is there.
        """
        found: dict[Holding, list[bytes]] = {holding: [] for holding in Holding}
        for address in self._addresses.values():
            found[self._table.holding(self._interface, address)].append(address.packed)
        self.addressesGone(found[Holding.NOBODY])
        self.addressesTaken(found[Holding.FOREIGN])

    def _takeUp(self, addresses: Sequence[bytes]) -> None:
        """
        Hold what somebody else had put on this host, and took away.
        """
        mine = [packed for packed in addresses if packed in self._addresses]
        free = [
            address
            for address in (self._addresses[packed] for packed in mine if packed not in self._held)
            if self._table.holding(self._interface, address) is Holding.NOBODY
        ]
        if self._active and free:
            self._log.warn(
                "{names} on {interface} is held by this program from now on: who put it there "
                "took it away",
                names=_names(free),
                interface=self._interface,
            )
            self._held.update((address.packed, address) for address in free)
            if self._fit():
                self._holdAgain(free).addErrback(self._notBack)

    def _putBack(self, addresses: Sequence[VirtualAddress], what: str, words: str) -> None:
        self.restored += len(addresses)
        if self._sayOnce.ready(what) is not None:
            self._log.warn(
                words, names=_names(addresses), interface=self._interface, count=self.restored
            )
        self._holdAgain(addresses).addErrback(self._notBack)

    def _holdAgain(self, addresses: Sequence[VirtualAddress]) -> Deferred[None]:
        return self._hold(addresses).addCallback(lambda _: self._tellRestored())

    def _hold(self, addresses: Sequence[VirtualAddress]) -> Deferred[None]:
        return self._table.hold(self._interface, addresses, self._lease, self._routed)

    def _renew(self, over: bool) -> None:
        now = self._clock.seconds()
        held = tuple(self._held.values())
        if over:
            # This host did not run for a while. What the kernel says of that may still
            # be unread; it comes before the answer to this.
            self._lapsed = True
            done = self._holdAgain(held).addBoth(self._lapseEnded)
        else:
            done = self._hold(held)
        done.addCallbacks(self._renewed, self._notRenewed, (now,))

    def _lapseEnded(self, result: Any) -> Any:
        self._lapsed = False
        return result

    def _notForeign(self, consequence: str) -> tuple[VirtualAddress, ...]:
        ours = []
        for address in self._addresses.values():
            if self._table.holding(self._interface, address) is Holding.FOREIGN:
                self._log.error(
                    "{address} is on {interface} already, and not by this program: "
                    "{consequence}. Remove it from the host's own configuration",
                    address=address.text,
                    interface=self._interface,
                    consequence=consequence,
                )
                continue
            ours.append(address)
            if self._table.isElsewhere(self._interface, address):
                self._log.warn(
                    "{address} is on another interface of this host than {interface}, and not "
                    "by this program: this host answers for it as backup, too, unless its "
                    "arp_ignore forbids it",
                    address=address.text,
                    interface=self._interface,
                )
        return tuple(ours)

    def _renewed(self, result: None, when: float) -> None:
        self._confirmed = when

    def _notRenewed(self, failure: Failure) -> None:
        self._logFailure(failure)
        if self._clock.seconds() - self._confirmed >= self._lease:
            self._giveUp()

    def _notBack(self, failure: Failure) -> None:
        self._logFailure(failure)
        self._giveUp()

    def _giveUp(self) -> None:
        """
        The addresses are not here and do not come back: somebody else may have
        them.
        """
        if self._active and self._fit():
            self._tellUnfit()

    def _logFailure(self, failure: Failure) -> None:
        if self._sayOnce.ready("lease") is not None:
            self._log.error(
                "The addresses on {interface} could not be renewed: {reason}",
                interface=self._interface,
                reason=failure.getErrorMessage(),
            )


def _names(addresses: Sequence[VirtualAddress]) -> str:
    return ", ".join(address.text for address in addresses)
