"""
The addresses that the kernel of a simulated host holds.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from zope.interface import implementer

from tests.simulation.localclock import LocalClock
from txcarp.addresses import Holding, VirtualAddress
from txcarp.interfaces import IAddressTable, ILeaseObserver


@implementer(IAddressTable)
class KernelAddresses:
    """
    The addresses that the kernel of one host holds for the virtual host.  They remain when the
    process dies, until their lifetimes end.

    @ivar spans: When the host held the address: from, to, in seconds of the segment's clock.
    """

    def __init__(self, clock: LocalClock, ended: Callable[[], None]) -> None:
        """
        @param clock: The clock of the kernel's timers, which is never slewed.
        @param ended: Called when a lifetime has ended.
        """
        self._tell = ended
        self.spans: list[tuple[float, float]] = []
        self.observers: list[ILeaseObserver] = []
        self._clock = clock
        self._since: float | None = None
        self._end = 0.0
        self._packed: list[bytes] = []
        self._unread = False
        self._timer: IDelayedCall | None = None

    def heldSpans(self) -> list[tuple[float, float]]:
        """
        All spans, including the present one.
        """
        now = self._clock.seconds()
        return [*self.spans, *([] if self._since is None else [(self._since, now)])]

    def watch(
        self, interface: str, addresses: Collection[bytes], observer: ILeaseObserver
    ) -> None:
        self.observers.append(observer)

    def unwatch(self, interface: str, observer: ILeaseObserver) -> None:
        self.observers.remove(observer)

    def known(self) -> Deferred[None]:
        return succeed(None)

    def holding(self, interface: str, address: VirtualAddress) -> Holding:
        return Holding.NOBODY if self._since is None else Holding.OURS

    def isElsewhere(self, interface: str, address: VirtualAddress) -> bool:
        return False

    def hold(
        self, interface: str, addresses: Sequence[VirtualAddress], lease: int | None, routed: bool
    ) -> Deferred[None]:
        assert lease is not None
        now = self._clock.seconds()
        self._end = now + lease
        self._packed = [address.packed for address in addresses]
        if self._since is None:
            self._since = now
        if self._timer is None:
            self._timer = self._clock.callLater(lease, self._ended)
        return succeed(None)

    def drop(self, interface: str, addresses: Sequence[VirtualAddress]) -> Deferred[None]:
        self.remove()
        return succeed(None)

    def remove(self) -> None:
        """
        Remove the address, as the program or a reboot does.
        """
        if self._since is not None:
            self.spans.append((self._since, self._clock.seconds()))
            self._since = None

    def stood(self, seconds: float) -> None:
        """
        Move the end of the lifetime, since the kernel did not run.
        """
        self._end += seconds

    def tell(self) -> None:
        """
        Tell the process that a lifetime has ended.
        """
        if self._unread:
            self._unread = False
            for observer in list(self.observers):
                observer.addressesGone(self._packed)

    def _ended(self) -> None:
        left = self._end - self._clock.seconds()
        self._timer = None
        if self._since is None:
            return
        if left > 0:
            self._timer = self._clock.callLater(left, self._ended)
        else:
            self.remove()
            self._unread = True
            self._tell()
