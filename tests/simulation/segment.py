"""
A simulated network segment with hosts that can crash, lose their cable, freeze, sleep and
return.  Everything else about the hosts is production code.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Sequence
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
from tests.simulation.localclock import LocalClock
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
from txcarp.state.store import StateStore
from txcarp.testing import FakeTransport
from txcarp.testing.fakes import FakeNeighbours
from txcarp.virtualhost import VirtualHost

#: Seconds that a packet takes to arrive.
LATENCY = 1 / 8192


@attrs.frozen
class Moment:
    """
    A change of role, with what the host knew at that moment.

    @ivar when: The time in seconds of the segment's clock.
    @ivar change: The change.
    @ivar heard: The time and the content of the last accepted advertisement; C{None} if
        there was none.
    @ivar unread: The number of packets that the host had not read.
    @ivar held: The reasons that kept the host out of the election.
    """

    when: float
    change: Change
    heard: tuple[float, Advertisement] | None
    unread: int
    held: frozenset[HoldReason]


@attrs.frozen
class Reign:
    """
    A period in which a host was master.

    @ivar host: The source address of the host.
    @ivar since: The beginning, in seconds of the segment's clock.
    @ivar until: The end; C{None} if the host is still master.
    """

    host: str
    since: float
    until: float | None = None


class Segment:
    """
    Carries packets between all hosts that can hear each other.

    @ivar packets: The time and the source of each packet that was sent.
    """

    def __init__(self, seed: int = 0) -> None:
        """
        @param seed: Determines which packets are lost, if L{loss} is not zero.
        """
        self.clock = LocalClock(0.0)
        self.computers: list[Computer] = []
        self.packets: list[tuple[float, str]] = []
        self.reigns: list[Reign] = []
        #: Pairs of a receiver and a sender that it does not hear.
        self.cuts: set[tuple[str, str]] = set()
        #: The families whose packets are lost.
        self.lost: set[Family] = set()
        #: The share of all other packets that are lost, from 0.0 to 1.0.
        self.loss = 0.0
        #: The most seconds by which the travel times of packets differ.
        self.jitter = 0.0
        self._random = random.Random(seed)
        #: All packets that were sent.
        self.record: list[bytes] = []
        #: The last time at which a host became able or unable to hear another.
        self.changed = 0.0

    def add(self, source: str, /, **settings: Any) -> Computer:
        """
        Connect a computer, which is switched off.
        """
        computer = Computer(self, source, settings)
        self.computers.append(computer)
        return computer

    def run(self, seconds: float) -> None:
        """
        Let time pass on all clocks.
        """
        end = self.clock.seconds() + seconds
        while True:
            clocks = [self.clock, *(one.clock for one in self.computers if not one.frozen)]
            due = min(clock.due() for clock in clocks)
            for clock in clocks:
                clock.set(min(due, end))
            if due > end:
                return
            for clock in clocks:
                clock.fire()

    def cut(self, one: Computer, other: Computer) -> None:
        """
        Keep two hosts from hearing each other.
        """
        self.deafen(one, other)
        self.deafen(other, one)

    def deafen(self, receiver: Computer, sender: Computer) -> None:
        """
        Keep one host from hearing another.
        """
        self.cuts.add((receiver.source, sender.source))
        self.changed = self.clock.seconds()

    def heal(self) -> None:
        """
        Let all hosts hear each other again.
        """
        self.cuts.clear()
        self.changed = self.clock.seconds()

    def carry(self, sender: Computer, packet: bytes) -> None:
        """
        Deliver a packet, after its travel time, to all hosts that hear the sender.
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
        Whether the packets of a sender reach a receiver.
        """
        connected = (receiver.source, sender.source) not in self.cuts
        return receiver.plugged and sender.plugged and connected

    def masters(self) -> list[Computer]:
        """
        The computers that are master now.
        """
        return [computer for computer in self.computers if computer.role is Role.MASTER]

    def noteReign(self, source: str, begins: bool) -> None:
        """
        Note that a host became master, or no longer is.
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
        The longest time, in seconds, in which two hosts were master at once.

        @param since: Overlaps before this time do not count.
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
    A required step of mastership.

    @ivar broken: Whether the step fails.
    @ivar pace: Seconds that it takes to acquire or to release the step.
    @ivar done: Whether the step was acquired and not released since.
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


class Neighbours(FakeNeighbours):
    """
    The other computers of a segment, whose kernels answer.
    """

    def __init__(self, computer: Computer) -> None:
        super().__init__()
        self._computer = computer

    def hardwareOf(self, address: bytes) -> bytes | None:
        own = self._computer
        for other in own.segment.computers:
            if other is not own and address in other.addresses and other.powered:
                reaches = own.segment.hears(own, other) and own.segment.hears(other, own)
                return b"\2\0" + parseIPv4(other.source) if reaches else None
        return super().hardwareOf(address)


@implementer(IMastershipObserver, INetwork)
class Computer:
    """
    A host, which may run a process with one virtual host.
    """

    def __init__(self, segment: Segment, source: str, settings: dict[str, Any]) -> None:
        #: How many packets wait at most while the process does not run.  The newest are lost.
        self.room = 300
        self.segment = segment
        self.source = source
        self.plugged = True
        #: Whether its kernel runs, which answers for its addresses whatever the process does.
        self.powered = True
        self.deaf = False
        self.work: Work | None = None
        #: The families in which the kernel refuses the process a socket.
        self.deafIn: set[Family] = set()
        #: The state file of the process; C{None} if it keeps none.
        self.disk: MemoryFile | None = None
        #: The error of the wall clock in seconds.
        self.clockError = 0.0
        self.journal = Journal()
        self.links = FakeLinks()
        self.virtualHost: VirtualHost | None = None
        self.settings = settings
        #: The clock of the process's timers.  Each process has a new one.
        self.clock = LocalClock(segment.clock.seconds())
        #: Whether the interface has a link-local address.
        self.hasIPv6 = True
        #: Whether the process cannot run.
        self.frozen = False
        #: The time and the content of the last accepted advertisement.
        self.heard: tuple[float, Advertisement] | None = None
        #: The changes of role of the host.
        self.changes: list[Moment] = []
        self._unread: list[bytes] = []
        self.receiver: IPacketReceiver | None = None
        self._random = random.Random(source)

    @property
    def addresses(self) -> set[bytes]:
        """
        The packed addresses of the host itself.
        """
        return {parseIPv4(self.source), self.linkLocal()}

    @property
    def role(self) -> Role:
        """
        The role of the host in its group.
        """
        return self.virtualHost.role if self.virtualHost is not None else Role.INIT

    def start(self) -> None:
        """
        Start the process, unless it is running.
        """
        if self.virtualHost is not None:
            return
        self.clock = self.clock.successor(self.segment.clock.seconds())
        self.frozen = False
        self.heard = None
        self.links.observers.clear()
        self._tellLink()
        host = self.virtualHost = VirtualHost(
            configured(**{"source": parseIPv4(self.source), **self.settings}), self.platform()
        )
        host.addObserver(self)
        self.work = Work(self.clock)
        host.addStep(self.work)
        host.privilegedStartService()
        host.startService()

    def platform(self) -> FakePlatform:
        """
        The platform of a new process.
        """
        platform = FakePlatform(self.clock, self.journal)
        platform.network, platform.links = self, self.links
        platform.neighbours = Neighbours(self)
        if self.disk is not None:
            platform.store = StateStore(self.disk, self.clock, maybeDeferred)
        platform.draw = self._random.getrandbits
        platform.wallSeconds = (  # type: ignore[method-assign]
            lambda: 1.8e9 + self.segment.clock.seconds() + self.clockError
        )
        return platform

    def crash(self) -> None:
        """
        Kill the process.
        """
        self.clock = self.clock.successor(self.segment.clock.seconds())
        self.frozen = False
        self._unread.clear()
        self.links.observers.clear()
        self.virtualHost = self.receiver = None
        self.segment.noteReign(self.source, False)

    def powerOff(self) -> None:
        """
        Take the power away.  Nobody notices by a link.
        """
        self.crash()
        self.powered = False

    def stop(self) -> None:
        """
        Stop the process in good order.
        """
        host = self.virtualHost
        if host is not None:
            host.stopService().addCallback(lambda _: self._stopped(host))

    def _stopped(self, host: VirtualHost) -> None:
        if self.virtualHost is host and not host.running:
            self.virtualHost = None

    def restart(self) -> None:
        """
        Stop the virtual host and start it again at once in the same process.
        """
        self.stop()
        if self.virtualHost is not None:
            self.virtualHost.startService()

    def plug(self, plugged: bool) -> None:
        """
        Connect or disconnect the cable.
        """
        self.plugged = plugged
        self.segment.changed = self.segment.clock.seconds()
        if not self.frozen:  # a frozen process reads no netlink events
            self._tellLink()

    def _tellLink(self) -> None:
        self.links.set(INTERFACE, attrs.evolve(GOOD_LINK, running=self.plugged))

    def arrived(self, packet: bytes) -> None:
        """
        Receive a packet.
        """
        family = familyOf(destinationOf(packet))
        fits = not self.frozen or len(self._unread) < self.room
        if self.receiver is not None and not self.deaf and family not in self.deafIn and fits:
            self._unread.append(packet)
            if not self.frozen:
                self.readUnread()

    def readUnread(self) -> None:
        """
        Read the packets that have arrived.
        """
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
        Keep the process from running.  Packets that arrive wait.
        """
        self.frozen = self.virtualHost is not None

    def thaw(self) -> None:
        """
        Let the process run again.  As in a reactor, due timers run before packets are read.
        """
        if self.frozen:
            self.frozen = False
            self.clock.set(self.segment.clock.seconds())
            self.clock.fire()
            self._tellLink()
            self.deafen(*self.deafIn)
            self.readUnread()

    # The network as the process sees it.

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
        Make the process unable to hear in these families, and able to hear in all others.
        """
        self.deafIn = set(families)
        if not self.frozen and self.receiver is not None:
            self.receiver.transportChanged()

    def setIPv6(self, present: bool) -> None:
        """
        Give the interface its link-local address, or take it away.
        """
        self.hasIPv6 = present
        if not self.frozen and self.receiver is not None:
            self.receiver.transportChanged()

    def detach(self, interface: str, vhid: int) -> None:
        self.receiver = None

    def markLeaving(self, interface: str, vhid: int, leaving: bool) -> None:
        pass

    def announcer(self, interface: str, hardware: bytes | None) -> IAnnouncer:
        return FakeAnnouncer(self.journal)

    def send(self, packet: bytes) -> None:
        self.journal.append(("advertise", self.segment.clock.seconds()))
        self.segment.carry(self, packet)

    def hasUnread(self) -> bool:
        return bool(self._unread)

    def linkLocal(self) -> bytes:
        return socket.inet_pton(socket.AF_INET6, f"fe80::{self.source.rpartition('.')[2]}")


class _Way(FakeTransport):
    """
    The transport of a computer in one family.
    """

    def __init__(self, computer: Computer, family: Family) -> None:
        super().__init__()
        self._computer = computer
        self._family = family

    def send(self, packet: bytes) -> None:
        self._computer.send(packet)

    def deliverTo(self, receiver: IPacketReceiver | None) -> None:
        self._computer.receiver = receiver

    def linkLocals(self) -> Sequence[bytes]:
        return [self._computer.linkLocal()] if self._computer.hasIPv6 else []

    def parcel(self, packet: bytes) -> tuple[int, bytes, bytes] | None:
        return None

    def isLocal(self, address: bytes) -> bool:
        return address in self._computer.addresses

    def hears(self) -> bool:
        return self._family not in self._computer.deafIn

    def hasUnread(self) -> bool:
        return self._computer.hasUnread()

    def readUnread(self) -> None:
        self._computer.readUnread()


#: The shared address.
ADDRESS = crafted.ADDRESS
