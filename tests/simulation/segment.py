"""
A network segment that exists only in memory, and hosts on it that can crash,
lose their cable, sleep and come back.  Everything else about them is what runs
in production.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import Clock
from zope.interface import implementer

from tests import crafted
from tests.fakes import (
    GOOD_LINK,
    INTERFACE,
    FakeAnnouncer,
    FakeLinks,
    FakeScripts,
    Journal,
    configured,
    runTo,
)
from txcarp.addresses import parseIPv4
from txcarp.change import Change
from txcarp.interfaces import (
    IAdvertisementTransport,
    IAnnouncer,
    IMastershipObserver,
    INetwork,
    IPacketReceiver,
    IStateStore,
)
from txcarp.protocol.election import Role
from txcarp.protocol.envelope import destinationOf
from txcarp.protocol.family import Family, familyOf, isMulticast
from txcarp.virtualhost import VirtualHost

#: Seconds that a packet travels.
LATENCY = 1 / 8192


@implementer(IReactorTime)
class MortalClock:
    """
    The part of a shared clock that belongs to one run of a process: when that
    is killed, none of its calls is made.
    """

    def __init__(self, clock: Clock) -> None:
        self.alive = True
        self._clock = clock

    def seconds(self) -> float:
        return self._clock.seconds()

    def callLater(
        self, delay: float, callable: Callable[..., object], *args: object, **kw: object
    ) -> IDelayedCall:
        def call() -> None:
            if self.alive:
                callable(*args, **kw)

        return self._clock.callLater(delay, call)

    def getDelayedCalls(self) -> list[IDelayedCall]:
        return self._clock.getDelayedCalls()


@attrs.frozen
class Reign:
    """
    A time in which a host was master.
    """

    host: str
    since: float
    until: float | None = None


class Segment:
    """
    Carries packets between all hosts that can hear each other.

    @ivar packets: Who sent when.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self.computers: list[Computer] = []
        self.packets: list[tuple[float, str]] = []
        self.reigns: list[Reign] = []
        self.cuts: set[frozenset[str]] = set()
        #: Families whose packets are lost.
        self.lost: set[Family] = set()
        #: Everything that was sent.
        self.record: list[bytes] = []
        #: When anybody last became able or unable to hear somebody.
        self.changed = 0.0

    def add(self, source: str, /, **settings: Any) -> Computer:
        """
        Connect a computer, switched off.
        """
        computer = Computer(self, source, settings)
        self.computers.append(computer)
        return computer

    def run(self, seconds: float) -> None:
        """
        Let time pass.
        """
        runTo(self.clock, self.clock.seconds() + seconds)

    def cut(self, one: Computer, other: Computer) -> None:
        """
        Let two hosts not hear each other any more.
        """
        self.cuts.add(frozenset((one.source, other.source)))
        self.changed = self.clock.seconds()

    def heal(self) -> None:
        """
        Everybody hears everybody again.
        """
        self.cuts.clear()
        self.changed = self.clock.seconds()

    def carry(self, sender: Computer, packet: bytes) -> None:
        """
        Deliver a packet, after its time, to all who hear the sender.
        """
        self.packets.append((self.clock.seconds(), sender.source))
        self.record.append(packet)
        destination = destinationOf(packet)
        if familyOf(destination) in self.lost:
            return
        for receiver in self.computers:
            meant = isMulticast(destination) or destination in receiver.addresses
            if receiver is not sender and meant and self.hears(receiver, sender):
                self.clock.callLater(LATENCY, receiver.arrived, packet)

    def hears(self, one: Computer, other: Computer) -> bool:
        """
        Whether two hosts are connected.
        """
        pair = frozenset((one.source, other.source))
        return one.plugged and other.plugged and pair not in self.cuts

    def masters(self) -> list[Computer]:
        """
        Who is master now.
        """
        return [computer for computer in self.computers if computer.role is Role.MASTER]

    def noteReign(self, source: str, begins: bool) -> None:
        """
        Somebody became master or ceased to be.
        """
        now = self.clock.seconds()
        if begins:
            self.reigns.append(Reign(source, now))
            return
        for index, reign in enumerate(self.reigns):
            if reign.host == source and reign.until is None:
                self.reigns[index] = attrs.evolve(reign, until=now)

    def longestOverlap(self, since: float) -> float:
        """
        Seconds for which two hosts were master at the same time, at most.
        """
        end = self.clock.seconds()
        longest = 0.0
        spans = [
            (max(reign.since, since), end if reign.until is None else reign.until)
            for reign in self.reigns
        ]
        for index, (begin, over) in enumerate(spans):
            for otherBegin, otherOver in spans[:index]:
                longest = max(longest, min(over, otherOver) - max(begin, otherBegin))
        return longest


@implementer(IMastershipObserver, INetwork, IAdvertisementTransport)
class Computer:
    """
    One host, which may run a process with a virtual host in it.
    """

    def __init__(self, segment: Segment, source: str, settings: dict[str, Any]) -> None:
        self.segment = segment
        self.source = source
        self.plugged = True
        self.deaf = False
        self.store: IStateStore | None = None
        #: Seconds by which its wall clock is wrong.
        self.clockError = 0.0
        self.journal = Journal()
        self.links = FakeLinks()
        self.virtualHost: VirtualHost | None = None
        self.settings = settings
        self._clock = MortalClock(segment.clock)
        self._receiver: IPacketReceiver | None = None
        self._random = random.Random(source)

    @property
    def addresses(self) -> set[bytes]:
        """
        Its own packed addresses.
        """
        return {parseIPv4(self.source), self.linkLocal()}

    @property
    def role(self) -> Role:
        """
        What it is in the group.
        """
        return self.virtualHost.role if self.virtualHost is not None else Role.INIT

    def start(self) -> None:
        """
        Start the process, if it does not run.
        """
        if self.virtualHost is not None:
            return
        self._clock = MortalClock(self.segment.clock)
        self.links.observers.clear()
        host = self.virtualHost = VirtualHost(
            configured(**{"source": parseIPv4(self.source), **self.settings}),
            network=self,
            links=self.links,
            clock=self._clock,
            scripts=FakeScripts(self.journal),
            store=self.store,
            random=self._random.getrandbits,
            wallSeconds=lambda: 1.8e9 + self.segment.clock.seconds() + self.clockError,
        )
        host.addObserver(self)
        host.privilegedStartService()
        host.startService()

    def crash(self) -> None:
        """
        Kill the process.
        """
        self._clock.alive = False
        self.links.observers.clear()
        self.virtualHost = self._receiver = None
        self.segment.noteReign(self.source, False)

    def stop(self) -> None:
        """
        Stop the process in good order.
        """
        host = self.virtualHost
        if host is not None:
            host.stopService().addCallback(lambda _: self._stopped(host))

    def _stopped(self, host: VirtualHost) -> None:
        if self.virtualHost is host:
            self.virtualHost = None

    def plug(self, plugged: bool) -> None:
        """
        Pull the cable, or put it back.
        """
        self.plugged = plugged
        self.segment.changed = self.segment.clock.seconds()
        self.links.set(INTERFACE, attrs.evolve(GOOD_LINK, running=plugged))

    def arrived(self, packet: bytes) -> None:
        """
        A packet has travelled to here.
        """
        if self._receiver is not None and not self.deaf:
            self._receiver.packetReceived(packet)

    # The process's view of the network.

    def roleChanged(self, change: Change) -> None:
        if change.role is Role.MASTER or change.previous is Role.MASTER:
            self.segment.noteReign(self.source, change.role is Role.MASTER)

    def attach(
        self,
        interface: str,
        vhid: int,
        group: bytes,
        broadcast: bool,
        hardware: bytes | None,
        receiver: IPacketReceiver,
    ) -> IAdvertisementTransport:
        self._receiver = receiver
        return self

    def detach(self, interface: str, vhid: int) -> None:
        self._receiver = None

    def announcer(self, interface: str, hardware: bytes | None) -> IAnnouncer:
        return FakeAnnouncer(self.journal)

    def send(self, packet: bytes) -> None:
        self.journal.append(("advertise", self.segment.clock.seconds()))
        self.segment.carry(self, packet)

    def hears(self) -> bool:
        return True

    def hasUnread(self) -> bool:
        return False

    def linkLocal(self) -> bytes:
        return socket.inet_pton(socket.AF_INET6, f"fe80::{self.source.rpartition('.')[2]}")

    def watchFront(self, wanted: bool) -> None:
        pass


#: The address that all share.
ADDRESS = crafted.ADDRESS
