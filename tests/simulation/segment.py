"""
A network segment that exists only in memory, and hosts on it that can crash,
lose their cable, stand still, sleep and come back.  Everything else about them
is what runs in production.
"""

from __future__ import annotations

import random
import socket
from typing import Any

import attrs
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock, deferLater
from zope.interface import implementer

from tests import crafted
from tests.crafted import destinationOf, payloadOf
from tests.fakes import (
    GOOD_LINK,
    INTERFACE,
    FakeAnnouncer,
    FakeLinks,
    FakePlatform,
    Journal,
    MemoryFile,
    configured,
)
from txcarp.addresses import parseIPv4
from txcarp.change import Change
from txcarp.interfaces import (
    IAdvertisementTransport,
    IAnnouncer,
    IMastershipObserver,
    IMastershipStep,
    INetwork,
    IPacketReceiver,
)
from txcarp.protocol.advertisement import Advertisement, decode
from txcarp.protocol.effects import Role
from txcarp.protocol.envelope import readPacket
from txcarp.protocol.events import HoldReason
from txcarp.protocol.family import Family, familyOf, isMulticast
from txcarp.statestore import StateStore
from txcarp.virtualhost import VirtualHost

#: Seconds that a packet travels.
LATENCY = 1 / 8192


@attrs.frozen
class Moment:
    """
    A change of role, and what the host knew then.

    @ivar when: Seconds of the segment's clock.
    @ivar change: The change.
    @ivar heard: What it believed last: when, and what that said.
    @ivar unread: How many packets waited for it.
    @ivar held: What held it back.
    """

    when: float
    change: Change
    heard: tuple[float, Advertisement] | None
    unread: int
    held: frozenset[HoldReason]


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

    def __init__(self, seed: int = 0) -> None:
        """
        @param seed: Says which packets are lost, if some are.
        """
        self.clock = Clock()
        self.computers: list[Computer] = []
        self.packets: list[tuple[float, str]] = []
        self.reigns: list[Reign] = []
        #: Who does not hear whom: receivers and senders.
        self.cuts: set[tuple[str, str]] = set()
        #: Families whose packets are lost.
        self.lost: set[Family] = set()
        #: How many of all other packets are lost, from 0.0 to 1.0.
        self.loss = 0.0
        #: By how many seconds a packet may be later than another, at most.
        self.jitter = 0.0
        self._random = random.Random(seed)
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
        end = self.clock.seconds() + seconds
        while True:
            clocks = [self.clock, *(one.clock for one in self.computers if not one.frozen)]
            calls = [call.getTime() for clock in clocks for call in clock.getDelayedCalls()]
            due = min((when for when in calls if when <= end), default=end)
            for clock in clocks:
                clock.rightNow = max(clock.rightNow, due)
            if not any(when <= end for when in calls):
                return
            for clock in clocks:
                clock.advance(0)

    def cut(self, one: Computer, other: Computer) -> None:
        """
        Let two hosts not hear each other any more.
        """
        self.deafen(one, other)
        self.deafen(other, one)

    def deafen(self, receiver: Computer, sender: Computer) -> None:
        """
        Let a host not hear another one any more.
        """
        self.cuts.add((receiver.source, sender.source))
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
        if familyOf(destination) in self.lost or self._random.random() < self.loss:
            return
        for receiver in self.computers:
            meant = isMulticast(destination) or destination in receiver.addresses
            if receiver is not sender and meant and self.hears(receiver, sender):
                delay = LATENCY + self._random.random() * self.jitter
                self.clock.callLater(delay, receiver.arrived, packet)

    def hears(self, receiver: Computer, sender: Computer) -> bool:
        """
        Whether what a host sends reaches another one.
        """
        connected = (receiver.source, sender.source) not in self.cuts
        return receiver.plugged and sender.plugged and connected

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


@implementer(IMastershipStep)
class Work:
    """
    What a host does as master, and has to.

    @ivar broken: Whether it cannot.
    @ivar pace: Seconds that its begin and its end take.
    @ivar done: Whether it is begun, and not ended.
    """

    name = "work"
    required = True
    timeLimit = 1.0

    def __init__(self, clock: Clock) -> None:
        self.broken = self.done = False
        self.pace = 0.0
        self._clock = clock

    def acquire(self, change: Change) -> Deferred[None]:
        if self.broken:
            raise OSError("broken")
        self.done = True
        return deferLater(self._clock, self.pace, lambda: None)

    def release(self, change: Change) -> Deferred[None]:
        self.done = False
        return deferLater(self._clock, self.pace, lambda: None)


@implementer(IMastershipObserver, INetwork)
class Computer:
    """
    One host, which may run a process with a virtual host in it.
    """

    def __init__(self, segment: Segment, source: str, settings: dict[str, Any]) -> None:
        self.segment = segment
        self.source = source
        self.plugged = True
        self.deaf = False
        self.work: Work | None = None
        #: In which families the kernel gives it no socket that hears.
        self.deafIn: set[Family] = set()
        #: What is left of the process on disk.
        self.disk: MemoryFile | None = None
        #: Seconds by which its wall clock is wrong.
        self.clockError = 0.0
        self.journal = Journal()
        self.links = FakeLinks()
        self.virtualHost: VirtualHost | None = None
        self.settings = settings
        #: What the process's timers run on; a new one for each process.
        self.clock = Clock()
        #: Whether the process gets no turn.
        self.frozen = False
        #: What was last believed: when, and what it said.
        self.heard: tuple[float, Advertisement] | None = None
        #: Its changes of role.
        self.changes: list[Moment] = []
        self._unread: list[bytes] = []
        self.receiver: IPacketReceiver | None = None
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
        self.clock = Clock()
        self.clock.rightNow = self.segment.clock.seconds()
        self.frozen = False
        self.heard = None
        self.links.observers.clear()
        self._tellLink()
        platform = FakePlatform(self.clock, self.journal)
        platform.network, platform.links = self, self.links
        if self.disk is not None:
            platform.store = StateStore(self.disk, self.clock, maybeDeferred)
        platform.draw = self._random.getrandbits
        platform.wallSeconds = (  # type: ignore[method-assign]
            lambda: 1.8e9 + self.segment.clock.seconds() + self.clockError
        )
        host = self.virtualHost = VirtualHost(
            configured(**{"source": parseIPv4(self.source), **self.settings}), platform
        )
        host.addObserver(self)
        self.work = Work(self.clock)
        host.addStep(self.work)
        host.privilegedStartService()
        host.startService()

    def crash(self) -> None:
        """
        Kill the process.
        """
        self.clock = Clock()
        self.frozen = False
        self._unread.clear()
        self.links.observers.clear()
        self.virtualHost = self.receiver = None
        self.segment.noteReign(self.source, False)

    def stop(self) -> None:
        """
        Stop the process in good order.
        """
        platform = FakePlatform(self.clock, self.journal)
        platform.network, platform.links = self, self.links
        if self.disk is not None:
            platform.store = StateStore(self.disk, self.clock, maybeDeferred)
        platform.draw = self._random.getrandbits
        platform.wallSeconds = (  # type: ignore[method-assign]
            lambda: 1.8e9 + self.segment.clock.seconds() + self.clockError
        )
        host = self.virtualHost
        if host is not None:
            host.stopService().addCallback(lambda _: self._stopped(host))

    def _stopped(self, host: VirtualHost) -> None:
        if self.virtualHost is host and not host.running:
            self.virtualHost = None

    def restart(self) -> None:
        """
        Stop what runs, and start it again at once in the same process.
        """
        self.stop()
        if self.virtualHost is not None:
            self.virtualHost.startService()

    def plug(self, plugged: bool) -> None:
        """
        Pull the cable, or put it back.
        """
        self.plugged = plugged
        self.segment.changed = self.segment.clock.seconds()
        if not self.frozen:  # netlink waits, too
            self._tellLink()

    def _tellLink(self) -> None:
        self.links.set(INTERFACE, attrs.evolve(GOOD_LINK, running=self.plugged))

    def arrived(self, packet: bytes) -> None:
        """
        A packet has travelled to here.
        """
        family = familyOf(destinationOf(packet))
        if self.receiver is not None and not self.deaf and family not in self.deafIn:
            self._unread.append(packet)
            if not self.frozen:
                self._read()

    def _read(self) -> None:
        while self._unread and self.receiver is not None and self.virtualHost is not None:
            packet = self._unread.pop(0)
            before = self.virtualHost, self.heard
            self.heard = (self.segment.clock.seconds(), decode(payloadOf(packet)))
            received = self.virtualHost.status().received
            self.receiver.packetReceived(readPacket(packet))
            if before[0].status().received == received:
                self.heard = before[1]  # it was refused
        self._unread.clear()

    def freeze(self) -> None:
        """
        Give the process no turn any more; what arrives waits.
        """
        self.frozen = self.virtualHost is not None

    def thaw(self) -> None:
        """
        Let it go on: as in a reactor, timers come first, then what arrived.
        """
        if self.frozen:
            self.frozen = False
            self.clock.advance(self.segment.clock.seconds() - self.clock.seconds())
            self._tellLink()
            self.deafen(*self.deafIn)
            self._read()

    # The process's view of the network.

    def roleChanged(self, change: Change) -> None:
        now = self.segment.clock.seconds()
        held: frozenset[HoldReason] = frozenset()
        if self.virtualHost is not None:
            held = frozenset(hold.reason for hold in self.virtualHost.status().holds)
        self.changes.append(Moment(now, change, self.heard, len(self._unread), held))
        if change.role is Role.MASTER or change.previous is Role.MASTER:
            self.segment.noteReign(self.source, change.role is Role.MASTER)

    def attach(
        self,
        interface: str,
        vhid: int,
        group: bytes,
        broadcast: bool,
        hardware: bytes | None,
    ) -> IAdvertisementTransport:
        return _Way(self, familyOf(group))

    def deafen(self, *families: Family) -> None:
        """
        Let the process know that it hears nothing in these families, and in no others.
        """
        self.deafIn = set(families)
        if not self.frozen and self.receiver is not None:
            self.receiver.hearingChanged()

    def detach(self, interface: str, vhid: int) -> None:
        self.receiver = None

    def announcer(self, interface: str, hardware: bytes | None) -> IAnnouncer:
        return FakeAnnouncer(self.journal)

    def send(self, packet: bytes) -> None:
        self.journal.append(("advertise", self.segment.clock.seconds()))
        self.segment.carry(self, packet)

    def hasUnread(self) -> bool:
        return bool(self._unread)

    def linkLocal(self) -> bytes:
        return socket.inet_pton(socket.AF_INET6, f"fe80::{self.source.rpartition('.')[2]}")


@implementer(IAdvertisementTransport)
class _Way:
    """
    How one process sends and hears in one family.
    """

    def __init__(self, computer: Computer, family: Family) -> None:
        self._computer = computer
        self._family = family

    def send(self, packet: bytes) -> None:
        self._computer.send(packet)

    def deliverTo(self, receiver: IPacketReceiver | None) -> None:
        self._computer.receiver = receiver

    def linkLocal(self) -> bytes:
        return self._computer.linkLocal()

    def hears(self) -> bool:
        return self._family not in self._computer.deafIn

    def hasUnread(self) -> bool:
        return self._computer.hasUnread()

    def watchFront(self, wanted: bool) -> None:
        pass


#: The address that all share.
ADDRESS = crafted.ADDRESS
