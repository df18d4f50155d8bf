"""
Hosts on a simulated network segment.  Time passes only when a test says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

from twisted.application.service import IService, IServiceCollection
from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import Clock
from zope.interface import implementer

from txcarp.addresses import parseIPv4, textOf
from txcarp.interfaces import IAdvertisementTransport, IAnnouncer, INetwork
from txcarp.protocol.effects import Role
from txcarp.protocol.envelope import readPacket
from txcarp.protocol.family import Family, familyOf, isMulticast
from txcarp.testing.fakes import (
    FakeAddressTable,
    FakeAnnouncer,
    FakeLinks,
    FakeNeighbours,
    FakePlatform,
    Journal,
    goodLink,
    runTo,
)
from txcarp.testing.transport import FakeTransport
from txcarp.virtualhost import VirtualHost

#: Seconds that a packet takes to arrive.
LATENCY = 1 / 8192


class Segment:
    """
    A network segment.  Packets reach all hosts that are not cut off.

    @ivar clock: The clock of the network.  Advance it with L{advance} only.
    @ivar hosts: All hosts.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self.hosts: list[SimulatedHost] = []
        #: Pairs of a receiver and a sender that it does not hear.
        self._cuts: set[tuple[SimulatedHost, SimulatedHost]] = set()

    def host(self, address: str, *, interface: str = "eth0") -> SimulatedHost:
        """
        Connect one more host, on which nothing runs yet.

        @param address: Its IPv4 address, which is the C{source} of its virtual hosts.
        @param interface: The name of its interface.
        """
        host = SimulatedHost(self, address, interface)
        self.hosts.append(host)
        return host

    def advance(self, seconds: float) -> None:
        """
        Let time pass.  All timers of all hosts run at their own times.
        """
        runTo(self.clock, self.clock.seconds() + seconds)

    def cut(self, one: SimulatedHost, other: SimulatedHost) -> None:
        """
        Keep two hosts from hearing each other.
        """
        self.deafen(one, other)
        self.deafen(other, one)

    def deafen(self, receiver: SimulatedHost, sender: SimulatedHost) -> None:
        """
        Keep one host from hearing another.
        """
        self._cuts.add((receiver, sender))

    def heal(self) -> None:
        """
        Let all hosts hear each other again.
        """
        self._cuts.clear()

    def joins(self, one: SimulatedHost, other: SimulatedHost) -> bool:
        """
        Whether packets reach each of two hosts from the other.
        """
        isCut = (one, other) in self._cuts or (other, one) in self._cuts
        return one.isPlugged and other.isPlugged and not isCut

    def masters(self, vhid: int | None = None) -> list[SimulatedHost]:
        """
        The hosts that are master.

        @param vhid: The number of the group; C{None} for any group.
        """
        return [
            host
            for host in self.hosts
            if any(
                one.role is Role.MASTER and vhid in (None, one.configuration.vhid)
                for one in host.virtualHosts
            )
        ]

    def holders(self, address: str) -> list[SimulatedHost]:
        """
        The hosts that have a virtual address.  Only configurations with C{assign} add
        addresses.

        @param address: The address without its prefix length.
        """
        return [host for host in self.hosts if address in host.addresses.present]

    def carry(self, sender: SimulatedHost, packet: bytes, destination: bytes) -> None:
        """
        Deliver an IP packet, after its travel time, to all hosts that hear the sender.

        @param destination: The packed destination address.
        """
        for receiver in self.hosts:
            meant = isMulticast(destination) or textOf(destination) == receiver.source
            heard = receiver.isPlugged and sender.isPlugged
            if receiver is not sender and meant and heard and (receiver, sender) not in self._cuts:
                self.clock.callLater(LATENCY, receiver.arrived, packet)


@implementer(IReactorTime)
class _ProcessClock:
    """
    The clock of one process, whose calls end with it.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._calls: list[IDelayedCall] = []
        self._isOver = False

    def seconds(self) -> float:
        return float(self._clock.seconds())

    def callLater(self, delay: float, callable: Callable[..., Any], *args: Any, **kw: Any) -> Any:
        call = self._clock.callLater(delay, callable, *args, **kw)
        self._calls = [*self.getDelayedCalls(), call]
        if self._isOver:
            call.cancel()
        return call

    def getDelayedCalls(self) -> list[IDelayedCall]:
        return [call for call in self._calls if call.active()]

    def end(self) -> None:
        """
        Make no more calls.
        """
        self._isOver = True
        for call in self.getDelayedCalls():
            call.cancel()


@implementer(INetwork)
class SimulatedHost(FakePlatform):
    """
    A host of a L{Segment}, and the platform of the program that runs on it: give it to
    L{CARPService<txcarp.service.CARPService>} as C{platform}.

    The kernel of the host keeps its addresses when the program crashes, until their lease ends.

    @ivar source: The address of the host.
    @ivar journal: Scripts, announcements, and changes of addresses, oldest first.
    @ivar service: The program; C{None} if none runs.
    """

    def __init__(self, segment: Segment, source: str, interface: str) -> None:
        """
        See L{Segment.host}.
        """
        parseIPv4(source)
        self.segment = segment
        self.source = source
        self.interface = interface
        self.journal = Journal()
        self.service: IService | None = None
        links = FakeLinks(goodLink(interface))
        super().__init__(_ProcessClock(segment.clock), self.journal, links, self)
        self.addresses = FakeAddressTable(self.journal, segment.clock)
        self.neighbours = _Neighbours(self)
        self._transports: dict[tuple[int, Family], _Transport] = {}
        # Two hosts never draw the same, and a test is the same each time.
        self._random = Random(source)  # noqa: S311

    def start(self, service: IService) -> None:
        """
        Run a program.

        @param service: A service that was made with this host as the platform of its virtual
            hosts.
        @raise RuntimeError: If a program is running.
        """
        if self.service is not None:
            raise RuntimeError(f"a program is running on host {self.source}")
        self.service = service
        service.privilegedStartService()
        service.startService()

    def stop(self) -> None:
        """
        Stop the program in good order.  A master hands over, for which time has to pass.
        """
        if self.service is not None:
            maybeDeferred(self.service.stopService).addCallback(self._stopped, self.service)

    def _stopped(self, result: object, service: IService) -> None:
        if self.service is service:
            self.service = None

    def crash(self) -> None:
        """
        Kill the program.  Make a new service to start it again: the objects of the old one
        are of no use any more.
        """
        self.service = None
        self.clock.end()
        self.clock = _ProcessClock(self.segment.clock)
        self._transports.clear()
        self.links.observers.clear()
        self.addresses.observers.clear()

    def plug(self, plugged: bool) -> None:
        """
        Connect or disconnect the cable.
        """
        self.links.change(self.interface, running=plugged)

    @property
    def isPlugged(self) -> bool:
        """
        Whether the interface is up and has a carrier.
        """
        link = self.links.link(self.interface)
        return link is not None and link.up and link.running

    @property
    def virtualHosts(self) -> list[VirtualHost]:
        """
        The virtual hosts of the program.
        """
        return [] if self.service is None else list(_virtualHosts(self.service))

    def random(self, bits: int) -> int:
        return self._random.getrandbits(bits)

    def arrived(self, packet: bytes) -> None:
        """
        Receive an IP packet.
        """
        content = readPacket(packet)
        transport = self._transports.get((content.payload[1], familyOf(content.source)))
        if transport is not None and transport.receiver is not None:
            transport.receiver.packetReceived(content)

    # The network as the program sees it.

    def attach(
        self,
        interface: str,
        vhid: int,
        group: bytes,
        broadcast: bool,
        hardware: bytes | None,
    ) -> IAdvertisementTransport:
        if interface != self.interface:
            raise OSError(
                f"simulated host {self.source} has the interface {self.interface}, not {interface}"
            )
        transport = self._transports[vhid, familyOf(group)] = _Transport(self)
        return transport

    def detach(self, interface: str, vhid: int) -> None:
        for family in Family:
            self._transports.pop((vhid, family), None)

    def markLeaving(self, interface: str, vhid: int, leaving: bool) -> None:
        pass

    def announcer(self, interface: str, hardware: bytes | None) -> IAnnouncer:
        return FakeAnnouncer(self.journal)


class _Neighbours(FakeNeighbours):
    """
    The other hosts of the segment, as one of them asks for them.  Those that a test adds to
    C{answering} answer, too.
    """

    def __init__(self, host: SimulatedHost) -> None:
        super().__init__()
        self._host = host

    def hardwareOf(self, address: bytes) -> bytes | None:
        if not self._host.isPlugged:
            return None
        for other in self._host.segment.hosts:
            if parseIPv4(other.source) == address and self._host.segment.joins(self._host, other):
                return b"\2\0" + address
        return super().hardwareOf(address)


class _Transport(FakeTransport):
    """
    One virtual host's place on the network in one family.
    """

    def __init__(self, host: SimulatedHost) -> None:
        super().__init__()
        self._host = host

    def send(self, packet: bytes) -> None:
        self._host.segment.carry(self._host, packet, readPacket(packet).destination)

    def linkLocals(self) -> Sequence[bytes]:
        return [b"\xfe\x80" + bytes(10) + parseIPv4(self._host.source)]


def _virtualHosts(service: IService) -> Iterator[VirtualHost]:
    """
    Yield a service, if it is a virtual host, and all virtual hosts in it.
    """
    if isinstance(service, VirtualHost):
        yield service
    elif IServiceCollection.providedBy(service):
        for one in service:
            yield from _virtualHosts(one)
