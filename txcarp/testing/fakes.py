"""
The parts of a platform without a kernel.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import attrs
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import Clock
from zope.interface import implementer

from txcarp.addresses import Holding, VirtualAddress, textOf
from txcarp.change import Change, ScriptResult
from txcarp.checks.probes import Probes
from txcarp.checks.pulses import Pulses
from txcarp.clock.metronome import Metronome
from txcarp.interfaces import (
    IAddressTable,
    IAnnouncer,
    ILeaseObserver,
    ILinkMonitor,
    ILinkObserver,
    IMastershipObserver,
    INeighbours,
    INetwork,
    IPlatform,
    IPolling,
    IScriptRunner,
)
from txcarp.links import Link
from txcarp.protocol.family import Family
from txcarp.status.process import PlatformStatus


class Journal(list[tuple[Any, ...]]):
    """
    Records what happened, in order.
    """

    def take(self) -> list[tuple[Any, ...]]:
        """
        Return and remove everything recorded since the last call.
        """
        taken = list(self)
        self.clear()
        return taken


def _due(call: IDelayedCall) -> float:
    return call.getTime()


def runTo(clock: Clock, when: float) -> None:
    """
    Advance a clock to a time, running every call exactly at its own time.  C{Clock.advance} does
    not.
    """
    while (calls := clock.getDelayedCalls()) and (due := min(map(_due, calls))) <= when:
        clock.rightNow = max(clock.rightNow, due)
        clock.advance(0)
    clock.rightNow = max(clock.rightNow, when)


def goodLink(name: str, index: int = 2) -> Link:
    """
    Return a link that works.
    """
    hardware = b"\2\0\0\0\0" + bytes([index])
    return Link(index=index, name=name, up=True, running=True, address=hardware)


@implementer(ILinkMonitor)
class FakeLinks:
    """
    Links that a test can change.

    @ivar links: The present links by their names.
    @ivar observers: Each observer, after the name of the link that it watches.
    """

    def __init__(self, *links: Link) -> None:
        self.links = {link.name: link for link in links}
        self._first = dict(self.links)
        self.observers: list[tuple[str, ILinkObserver]] = []

    def watch(self, name: str, observer: ILinkObserver) -> None:
        self.observers.append((name, observer))
        observer.linkChanged(name, self.link(name))

    def unwatch(self, name: str, observer: ILinkObserver) -> None:
        self.observers.remove((name, observer))

    def known(self) -> Deferred[None]:
        return succeed(None)

    def link(self, name: str) -> Link | None:
        return self.links.get(name)

    def change(self, name: str, **facts: Any) -> None:
        """
        Change attributes of a link.  One that is missing appears as it was at first.

        @param facts: Attributes of L{Link<txcarp.links.Link>}; C{running=False} pulls the cable.
        """
        link = self.links.get(name) or self._first.get(name) or goodLink(name)
        self.set(name, attrs.evolve(link, **facts))

    def set(self, name: str, link: Link | None) -> None:
        """
        Replace or remove a link.
        """
        if link is None:
            self.links.pop(name, None)
        else:
            self.links[name] = link
        for watched, observer in list(self.observers):
            if watched == name:
                observer.linkChanged(name, link)


@implementer(IAnnouncer)
class FakeAnnouncer:
    """
    Records what is announced.

    @ivar error: The exception to raise instead; C{None} for none.
    """

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.error: OSError | None = None

    def announce(self, address: bytes) -> None:
        if self.error is not None:
            raise self.error
        self.journal.append(("announce", textOf(address)))


@implementer(IScriptRunner)
class FakeScripts:
    """
    Scripts that exit at once with status 0, or when a test ends them.

    @ivar hold: Whether scripts wait for L{end}.
    @ivar running: The scripts that wait, oldest first.
    @ivar environments: The environment of each script that was started.
    @ivar limits: The time limit of each script that was started, in seconds.
    """

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.hold = False
        self.running: list[Deferred[ScriptResult]] = []
        self.environments: list[dict[str, str]] = []
        self.limits: list[float | None] = []

    def run(
        self,
        path: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        timeLimit: float | None,
        *,
        whole: bool = False,
    ) -> Deferred[ScriptResult]:
        self.journal.append(("script", path, *arguments))
        self.environments.append(dict(environment))
        self.limits.append(timeLimit)
        if not self.hold:
            return succeed(ScriptResult(status=0))
        ended: Deferred[ScriptResult] = Deferred()
        self.running.append(ended)
        return ended

    def locate(self, path: str) -> str | None:
        return f"/{path}"

    def end(self, status: int = 0) -> None:
        """
        End the script that was started first.
        """
        self.journal.append(("script ended", status))
        self.running.pop(0).callback(ScriptResult(status=status))


@implementer(IAddressTable)
class FakeAddressTable:
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

    def __init__(self, journal: Journal, clock: IReactorTime) -> None:
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
        #: The interface that each address was added to, and the packed address.
        self._heldOn: dict[str, tuple[str, bytes]] = {}

    def watch(
        self, interface: str, addresses: Collection[bytes], observer: ILeaseObserver
    ) -> None:
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
            self._heldOn[address.text] = interface, address.packed
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
        gone = [self._heldOn[text] for text in texts]
        for interface, observer in list(self.observers):
            here = [packed for place, packed in gone if place == interface]
            if here:
                observer.addressesGone(here)

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


@implementer(INeighbours)
class FakeNeighbours:
    """
    Neighbours that answer as a test says.

    @ivar answering: The hardware address of each packed address that answers.
    @ivar hops: The packed addresses of the next hops of the default routes by interface.
    @ivar error: The exception to raise in place of asking; C{None} for none.
    @ivar asked: Each question: the interface, the packed address and the sources.
    @ivar silent: The questions that have no answer.
    @ivar polled: Each question of a L{FakePolling}: the packed address, and the hardware address
        that alone was asked; C{None} for all.
    """

    def __init__(self) -> None:
        self.polled: list[tuple[bytes, bytes | None]] = []
        self.answering: dict[bytes, bytes] = {}
        self.hops: dict[str, Sequence[bytes]] = {}
        self.error: OSError | None = None
        self.asked: list[tuple[str, bytes, Sequence[bytes]]] = []
        self.silent: list[Deferred[bytes]] = []

    def ask(self, interface: str, address: bytes, sources: Sequence[bytes]) -> Deferred[bytes]:
        self.asked.append((interface, address, sources))
        if self.error is not None:
            raise self.error
        if address in self.answering:
            return succeed(self.answering[address])
        answer: Deferred[bytes] = Deferred(self.silent.remove)
        self.silent.append(answer)
        return answer

    def poll(self, interface: str, family: Family) -> IPolling:
        if self.error is not None:
            raise self.error
        return FakePolling(self)

    def gateways(self, interface: str) -> Deferred[Sequence[bytes]]:
        return succeed(self.hops.get(interface, ()))

    def hardwareOf(self, address: bytes) -> bytes | None:
        """
        The hardware address that answers for a packed address now; C{None} if none does.
        """
        return self.answering.get(address)


@implementer(IPolling)
class FakePolling:
    """
    Questions to L{FakeNeighbours}, which are answered at once.
    """

    def __init__(self, neighbours: FakeNeighbours) -> None:
        self._neighbours = neighbours
        self._followers: Counter[bytes] = Counter()
        self._waiting: list[tuple[bytes, bytes]] = []
        self._seen: dict[bytes, tuple[int, bytes]] = {}

    @property
    def isIdle(self) -> bool:
        return not self._followers

    def follow(self, addresses: Iterable[bytes]) -> None:
        self._followers.update(addresses)

    def unfollow(self, addresses: Iterable[bytes]) -> None:
        self._followers.subtract(addresses)
        self._followers = +self._followers

    def ask(self, address: bytes, sources: Sequence[bytes], to: bytes | None = None) -> None:
        if self._neighbours.error is not None:
            raise self._neighbours.error
        self._neighbours.polled.append((address, to))
        hardware = self._neighbours.hardwareOf(address)
        if hardware is not None and to in (None, hardware):
            self._waiting.append((address, hardware))

    def refresh(self) -> None:
        pass

    def read(self) -> None:
        for address, hardware in self._waiting:
            if address in self._followers:
                self._seen[address] = self._seen.get(address, (0, b""))[0] + 1, hardware
        self._waiting.clear()

    def heard(self, address: bytes) -> tuple[int, bytes]:
        return self._seen.get(address, (0, b""))

    def close(self) -> None:
        pass


@implementer(IPlatform)
class FakePlatform:
    """
    A platform made of the other fakes.

    @ivar asleep: Seconds for which the machine slept.  The clock of the timers did not count them.
    @ivar opened: Whether it is open.
    @ivar draw: Returns a number with at most so many bits.
    """

    # A test replaces parts by others, and reaches into those that it made.
    clock: Any
    metronome: Any
    links: Any
    network: Any
    scripts: Any
    addresses: Any
    virtualInterfaces: Any
    neighbours: Any
    connections: Any
    store: Any
    guard: Any
    reactor: Any
    probes: Any
    pulses: Any

    def __init__(
        self, clock: IReactorTime, journal: Journal, links: FakeLinks, network: INetwork
    ) -> None:
        self.clock = clock
        self.metronome = Metronome(clock)
        self.links = links
        self.network = network
        self.scripts = FakeScripts(journal)
        self.addresses = None
        self.virtualInterfaces = None
        self.neighbours = FakeNeighbours()
        self.connections = None
        self.store = None
        self.guard = None
        self.reactor = None
        self.probes = Probes(self)
        self.pulses = Pulses(self)
        self.asleep = 0.0
        self.opened = False
        self.draw: Callable[[int], int] = lambda bits: 0x5A % 2**bits

    def status(self) -> PlatformStatus:
        return PlatformStatus()

    def random(self, bits: int) -> int:
        return self.draw(bits)

    def pauseSeconds(self) -> float:
        return float(self.clock.seconds()) + self.asleep

    def wallSeconds(self) -> float:
        return 1.8e9 + float(self.clock.seconds())

    def open(self) -> None:
        self.opened = True

    def close(self) -> Deferred[None]:
        self.opened = False
        return succeed(None)


@implementer(IMastershipObserver)
class FakeObserver:
    """
    Records changes of role.

    @ivar changes: The changes, oldest first.
    """

    def __init__(self) -> None:
        self.changes: list[Change] = []

    def roleChanged(self, change: Change) -> None:
        self.changes.append(change)
