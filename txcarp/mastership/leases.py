"""
Addresses that leave the host when txcarp dies.

The kernel removes an address at the end of its lifetime, also when the program that added
it was killed, was stopped or hangs.  The kernel may be late, as it uses a deferrable timer,
for which an idle processor does not wake; up to 1.1 s were measured (Linux 6.18, 250 ticks
a second).  A lease allows for that: its lifetime is a second shorter than the time after
which a backup takes over, and only a healthy master renews it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txcarp.addresses import Holding, VirtualAddress
from txcarp.change import Change
from txcarp.interfaces import IAddressTable, ILeaseObserver, IMastershipStep
from txcarp.logs.limits import SayOnce
from txcarp.mastership.renewal import Renewal

#: The kernel's shortest lifetime of an address, in seconds.
SHORTEST = 1

#: Seconds by which a lease is shorter than the dead time, since the kernel may be late.
_LATE_KERNEL = 1

#: The consequence of an address of another program on a master.
_STAYS = "txcarp uses it as it is, and it stays when txcarp dies"

#: The consequence of an address on a host that is not master.
_BACKUP_ANSWERS = "this host answers for it although it is not master"

#: What another program did to addresses that were put back.
DONE = {
    "removed": "removed them",
    "taken": "changed them",
    "promoted": "put them before this host's own address",
}

#: How many times per second at most an address is put back: two programs that do this at once
#: would keep a processor busy for ever.
_REPAIRS = 5

#: Seconds that the kernel may take to add or remove the addresses.
_TIME_LIMIT = 5.0


def leaseFor(advbase: int, deadRatio: int) -> int:
    """
    The lifetime of a leased address in whole seconds: a second less than a backup without
    skew, which takes over first, waits for the master.
    """
    return max(SHORTEST, advbase * deadRatio - _LATE_KERNEL)


@implementer(IMastershipStep, ILeaseObserver)
class AddressLeases:
    """
    Holds the addresses of one virtual host while it is master.

    @ivar renewal: Knows when the lease is renewed.
    @ivar restored: How many times an address was put back after another program had removed
        or changed it.
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
        unfit: Callable[[str], None] = lambda name: None,
        note: Callable[[str, str, str], None] = lambda reason, what, why: None,
        changed: Callable[[], None] = lambda: None,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        """
        @param lease: The lifetime of the addresses in seconds.
        @param interval: Returns the present interval, in seconds, of the advertisements that
            renew the lease.
        @param fit: Returns whether this host is a healthy master: it did not sleep, nothing
            holds it back, and its last advertisement left.
        @param routed: Whether the networks of the addresses are reached through the
            interface.
        @param restored: Called when an address was put back.
        @param unfit: Called with the name of this step when a healthy master cannot keep the
            addresses.
        @param note: Called, as often as it is logged, when addresses were lost: a word for that,
            what happened, and why.
        @param changed: Called when L{held} has changed, before an address is added.
        @param alive: Called when the lease was renewed between two advertisements.
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
        self._note = note
        self._tellChanged = changed
        self._held: dict[bytes, VirtualAddress] = {}
        self._active = False
        self._confirmed = float("-inf")
        self._lapsed = False
        #: When addresses were last put back.
        self._repairs: list[float] = []
        self._comparison: IDelayedCall | None = None
        self.renewal = Renewal(clock, lease, interval, fit=fit, renew=self._renew, alive=alive)

    @inlineCallbacks
    def acquire(self, change: Change) -> Generator[Deferred[Any], Any, None]:
        """
        Add the addresses.  An address that another program has added is logged and left as
        it is while it is there: the kernel would not remove it by itself.
        """
        yield self._table.known()
        self._table.watch(self._interface, self._addresses, self)
        self._active = True
        ours = self._notForeign(self._addresses.values(), _STAYS)
        self._held = {address.packed: address for address in ours}
        self._confirmed = self._clock.seconds()
        self.renewal.begin()
        self._tellChanged()
        yield self._hold(ours)

    @inlineCallbacks
    def release(self, change: Change) -> Generator[Deferred[Any], Any, None]:
        """
        Remove the addresses; at the start, those that an earlier process left.
        """
        if not self._active:
            yield self._table.known()
            yield self._table.drop(self._interface, self._oursAsBackup())
            return
        self._table.unwatch(self._interface, self)
        self._active = False
        self.renewal.end()
        if self._comparison is not None:
            self._comparison.cancel()
            self._comparison = None
        held, self._held = self._held, {}
        yield self._table.drop(self._interface, tuple(held.values()))
        self._oursAsBackup()

    def adopt(self, lease: int) -> None:
        """
        Hold the addresses for another time.  A healthy master does so at once: its successor may
        take over earlier from now on.

        @param lease: The lifetime of the addresses in seconds.
        """
        if lease != self._lease:
            self._lease = lease
            self.renewal.adopt(lease)

    @property
    def held(self) -> Collection[VirtualAddress]:
        """
        The addresses that are on lease, or are being added.
        """
        return self._held.values()

    def change(self, addresses: Sequence[VirtualAddress]) -> None:
        """
        Hold other addresses from now on.  A healthy master adds those that are new, and removes
        those that are gone, at once.  Nothing happens to the others.
        """
        before = self._addresses
        self._addresses = {address.packed: address for address in addresses}
        if not self._active:
            return
        self._table.unwatch(self._interface, self)
        self._table.watch(self._interface, self._addresses, self)
        gone = [one for packed, one in self._held.items() if self._addresses.get(packed) != one]
        for one in gone:
            del self._held[one.packed]
        if gone:
            # In this turn, another group may get an address that this one loses.
            self._clock.callLater(0.0, self._drop, gone)
        new = [one for packed, one in self._addresses.items() if before.get(packed) != one]
        added = self._notForeign(new, _STAYS)
        self._held.update((one.packed, one) for one in added)
        self._tellChanged()
        if added and self._fit():  # otherwise the next renewal by a healthy master adds them
            self._hold(added).addErrback(self._notBack)

    def _drop(self, gone: Sequence[VirtualAddress]) -> None:
        self._table.drop(self._interface, gone).addErrback(self._logFailure)

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
        return self.holdsAddress(address.packed)

    def holdsAddress(self, address: bytes) -> bool:
        return self._active and address in self._held

    def renew(self) -> None:
        """
        Extend the lease, since a healthy master has sent an advertisement.
        """
        if self._active:
            self.renewal.advertised()

    def addressesGone(self, addresses: Sequence[bytes]) -> None:
        """
        Put back the addresses that another program removed.  If instead the lease has
        ended, this host was not a healthy master: the next renewal by a healthy master
        brings the addresses back.
        """
        gone = [self._held[packed] for packed in addresses if packed in self._held]
        self._takeUp(addresses)
        if not self._active or not gone:
            return
        if self._lapsed or self.renewal.isOver or not self._fit():
            if self._sayOnce.ready("over") is not None:
                self._log.error(
                    "The lease of {names} on {interface} has ended, because this host slept, was "
                    "held back or could not advertise. If this host still is master, its next "
                    "advertisement renews the lease",
                    names=_names(gone),
                    interface=self._interface,
                )
                self._note(
                    "ended",
                    f"the lease of {_names(gone)} has ended",
                    "this host slept, was held back or could not advertise",
                )
            return
        self._putBack(
            gone,
            "removed",
            "Another program removed {names} from {interface}; txcarp reversed that ({times}"
            " so far). Network managers do this when they restart: set "
            "KeepConfiguration=static in systemd-networkd's file for {interface}, or make "
            "the device unmanaged in NetworkManager",
        )

    def addressesTaken(self, addresses: Sequence[bytes]) -> None:
        """
        Put held addresses on lease again that another program has changed: they would stay
        when txcarp dies.
        """
        taken = [self._held[packed] for packed in addresses if packed in self._held]
        if self._active and taken and self._fit():
            self._putBack(
                taken,
                "taken",
                "Another program changed {names} on {interface}, which would then stay when "
                "txcarp dies; txcarp reversed that ({times} so far). Remove {names} from "
                "the network configuration of this host",
            )

    def addressesPromoted(self, addresses: Sequence[bytes]) -> None:
        """
        Have the host's own address be the first of its network again.
        """
        promoted = [self._held[packed] for packed in addresses if packed in self._held]
        if self._active and promoted and self._fit():
            self._putBack(
                promoted,
                "promoted",
                "Another program removed this host's own address from {interface} and added it "
                "again, after {names}. What this host sends would leave from {names}; txcarp "
                "reversed that ({times} so far). Network managers do this when they "
                "restart",
            )

    def addressesPossiblyGone(self) -> None:
        """
        Compare the held addresses with the present ones.
        """
        found: dict[Holding, list[bytes]] = {holding: [] for holding in Holding}
        for address in self._addresses.values():
            found[self._table.holding(self._interface, address)].append(address.packed)
        self.addressesGone(found[Holding.NOBODY])
        self.addressesTaken(found[Holding.FOREIGN])

    def _takeUp(self, addresses: Sequence[bytes]) -> None:
        """
        Hold the addresses that another program had added and has removed.
        """
        mine = [packed for packed in addresses if packed in self._addresses]
        free = [
            address
            for address in (self._addresses[packed] for packed in mine if packed not in self._held)
            if self._table.holding(self._interface, address) is Holding.NOBODY
        ]
        if self._active and free:
            self._log.warn(
                "Another program had added {names} to {interface}, and has removed them: from "
                "now on txcarp holds them on lease",
                names=_names(free),
                interface=self._interface,
            )
            self._held.update((address.packed, address) for address in free)
            self._tellChanged()
            if self._fit():
                self._holdAgain(free).addErrback(self._notBack)

    def _putBack(self, addresses: Sequence[VirtualAddress], what: str, words: str) -> None:
        now = self._clock.seconds()
        if len(self._repairs) == _REPAIRS and now - self._repairs[0] < 1.0:
            self._compareLater(addresses)
            return
        self._repairs.append(now)
        del self._repairs[:-_REPAIRS]
        self.restored += len(addresses)
        if self._sayOnce.ready(what) is not None:
            self._log.warn(
                words,
                names=_names(addresses),
                interface=self._interface,
                times="once" if self.restored == 1 else f"{self.restored} times",
            )
            self._note(what, f"put back {_names(addresses)}", f"another program {DONE[what]}")
        self._holdAgain(addresses).addErrback(self._notBack)

    def _compareLater(self, addresses: Sequence[VirtualAddress]) -> None:
        if self._comparison is not None:
            return
        if self._sayOnce.ready("often") is not None:
            self._log.error(
                "{names} on {interface} changed more than {limit} times in a second; txcarp "
                "waits a second before it puts them back. Find the other program that manages "
                "them: 'ip monitor address' shows the changes",
                names=_names(addresses),
                interface=self._interface,
                limit=_REPAIRS,
            )
        self._comparison = self._clock.callLater(1.0, self._compare)

    def _compare(self) -> None:
        self._comparison = None
        self.addressesPossiblyGone()

    def _holdAgain(self, addresses: Sequence[VirtualAddress]) -> Deferred[None]:
        return self._hold(addresses).addCallback(lambda _: self._tellRestored())

    def _hold(self, addresses: Sequence[VirtualAddress]) -> Deferred[None]:
        return self._table.hold(self._interface, addresses, self._lease, self._routed)

    def _renew(self, over: bool) -> None:
        now = self._clock.seconds()
        held = tuple(self._held.values())
        if over:
            # This host did not run for a while.  The kernel's message that it removed the
            # addresses may still be unread; it is read before the answer to this request.
            self._lapsed = True
            done = self._holdAgain(held).addBoth(self._lapseEnded)
        else:
            done = self._hold(held)
        done.addCallbacks(self._renewed, self._notRenewed, (now,))

    def _lapseEnded(self, result: Any) -> Any:
        self._lapsed = False
        return result

    def _oursAsBackup(self) -> tuple[VirtualAddress, ...]:
        return self._notForeign(self._addresses.values(), _BACKUP_ANSWERS)

    def _notForeign(
        self, addresses: Iterable[VirtualAddress], consequence: str
    ) -> tuple[VirtualAddress, ...]:
        """
        Those of some addresses that no other program has added.  The others are logged.
        """
        ours = []
        for address in addresses:
            if self._table.holding(self._interface, address) is Holding.FOREIGN:
                self._log.error(
                    "{address} is on {interface} already, added by another program: "
                    "{consequence}. Remove it from the network configuration of this host",
                    address=address.text,
                    interface=self._interface,
                    consequence=consequence,
                )
                continue
            ours.append(address)
            if self._table.isElsewhere(self._interface, address):
                self._log.warn(
                    "{address} is on another interface than {interface}, added by another "
                    "program, such as a second txcarp: this host answers for it as backup, too, "
                    "unless arp_ignore forbids it",
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
        Report that the addresses are not here and cannot be put back, so that another host
        may take them.
        """
        if self._active and self._fit():
            self._tellUnfit(self.name)

    def _logFailure(self, failure: Failure) -> None:
        if self._sayOnce.ready("lease") is not None:
            self._log.error(
                "The lease of the addresses on {interface} could not be renewed: {reason}",
                interface=self._interface,
                reason=failure.getErrorMessage(),
            )
            self._note("failed", "the lease is not renewed", failure.getErrorMessage())


def _names(addresses: Sequence[VirtualAddress]) -> str:
    return ", ".join(address.text for address in addresses)
