"""
Hosts with an interface on each of several network segments, and a set of virtual hosts over all of
them.  Everything but the network and the kernel is production code.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import maybeDeferred
from zope.interface import implementer

from tests.simulation.localclock import LocalClock
from txcarp.addresses import parseIPv4
from txcarp.change import Change
from txcarp.checks.health import HealthCheck
from txcarp.configuration.model import SyncSettings, VirtualHostConfiguration
from txcarp.interfaces import (
    IAdvertisementTransport,
    IAnnouncer,
    ICheck,
    IMastershipObserver,
    INetwork,
    IPlatform,
    IWitness,
)
from txcarp.protocol.effects import Role
from txcarp.protocol.envelope import readPacket
from txcarp.service import CARPService
from txcarp.testing import FakeTransport
from txcarp.testing.fakes import (
    FakeAddressTable,
    FakeAnnouncer,
    FakeLinks,
    FakeNeighbours,
    FakePlatform,
    Journal,
    goodLink,
)

#: Seconds that a packet takes to arrive.
LATENCY = 1 / 8192

#: The most packets that wait while a process does not run.
_ROOM = 300

SET = SyncSettings("firewall")


def sideName(side: int) -> str:
    """
    The name of the interface, and of the virtual host, on a side.
    """
    return f"side{side}"


class Longest:
    """
    The longest time for which something was true without interruption.

    @ivar seconds: That time.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._since: float | None = None

    def note(self, now: float, isTrue: bool) -> None:
        """
        Note whether it is true from now on.
        """
        if self._since is not None:
            self.seconds = max(self.seconds, now - self._since)
        if not isTrue:
            self._since = None
        elif self._since is None:
            self._since = now

    def forget(self) -> None:
        """
        Begin again.
        """
        self.seconds, self._since = 0.0, None


class Sides:
    """
    The segments, and the hosts on them.

    @ivar changes: The time, the host, the side and the new role of each change of role.
    @ivar half: The longest time for which a host was master on some sides only.
    @ivar torn: The longest time for which different hosts had the addresses of different sides.
    @ivar doubled: The longest time for which two hosts had the address of one side.
    @ivar nobody: The longest time for which no host had the address of some side.
    """

    def __init__(self, number: int, seed: int = 0) -> None:
        """
        @param number: How many sides there are.
        """
        self.clock = LocalClock(0.0)
        self.number = number
        self.sites: list[Site] = []
        #: The sender, the receiver and the side of each way on which packets are lost.
        self.cuts: set[tuple[int, int, int]] = set()
        #: By how much longer packets take to a host on a side.
        self.slow: dict[tuple[int, int], float] = {}
        #: The hosts whose packets get lost on a side, and those that hear nothing there.
        self.mute: set[tuple[int, int]] = set()
        self.deaf: set[tuple[int, int]] = set()
        self.changes: list[tuple[float, int, int, Role]] = []
        self.half, self.torn = Longest(), Longest()
        self.doubled, self.nobody = Longest(), Longest()
        self.random = random.Random(seed)

    def add(self, **settings: Any) -> Site:
        """
        Connect a host, which is switched off.
        """
        site = Site(self, len(self.sites), settings)
        self.sites.append(site)
        return site

    def run(self, seconds: float) -> None:
        """
        Let time pass.
        """
        end = self.clock.seconds() + seconds
        while True:
            clocks = [self.clock, *(one.clock for one in self.sites if not one.frozen)]
            due = min(clock.due() for clock in clocks)
            for clock in clocks:
                clock.set(min(due, end))
            if due > end:
                self._measure()
                return
            for clock in clocks:
                clock.fire()
            self._measure()

    def measureAgain(self) -> None:
        """
        Forget what was measured.
        """
        self.changes.clear()
        for one in (self.half, self.torn, self.doubled, self.nobody):
            one.forget()

    def masters(self, side: int) -> list[int]:
        """
        The hosts that are master on a side.
        """
        return [site.number for site in self.sites if site.role(side) is Role.MASTER]

    def holders(self, side: int) -> list[int]:
        """
        The hosts that have the virtual address of a side.
        """
        text = f"10.{side}.0.100"
        return [site.number for site in self.sites if text in site.addresses.present]

    def _measure(self) -> None:
        now = self.clock.seconds()
        sides = range(self.number)
        self.half.note(now, any(0 < len(site.mastered) < self.number for site in self.sites))
        holders = [set(self.holders(side)) for side in sides]
        pairs = [(one, other) for one in holders for other in holders if one and other]
        self.torn.note(now, any(one != other for one, other in pairs))
        self.doubled.note(now, any(len(one) > 1 for one in holders))
        self.nobody.note(now, not all(holders))

    def carry(self, sender: Site, side: int, packet: bytes) -> None:
        """
        Deliver a packet, after its travel time, to all hosts that hear the sender.
        """
        for receiver in self.sites:
            if receiver is not sender and self.reaches(sender.number, receiver.number, side):
                delay = LATENCY + self.slow.get((receiver.number, side), 0.0)
                self.clock.callLater(delay, receiver.arrived, side, packet)

    def reaches(self, sender: int, receiver: int, side: int) -> bool:
        """
        Whether the packets of a host reach another one on a side.
        """
        return (
            (sender, receiver, side) not in self.cuts
            and (sender, side) not in self.mute
            and (receiver, side) not in self.deaf
            and all((one, side) not in self.sites[one].unplugged for one in (sender, receiver))
        )

    def answers(self, site: int, side: int) -> bool:
        """
        Whether the gateway of a side hears a host, and is heard by it.
        """
        plugged = (site, side) not in self.sites[site].unplugged
        return plugged and not {(site, side)} & (self.mute | self.deaf)


@implementer(IWitness)
class Gateway:
    """
    Whether the gateway of a side answers.
    """

    def __init__(self, site: Site, side: int) -> None:
        self._site = site
        self._side = side

    addresses: Sequence[bytes] = ()

    def on(self, interface: str, sources: Sequence[bytes]) -> ICheck:
        return self

    def run(self, platform: IPlatform, timeout: float) -> object:
        if not self._site.sides.answers(self._site.number, self._side):
            raise OSError("no answer")
        return "answers"


class _Neighbours(FakeNeighbours):
    """
    The other hosts, as one of them asks for them, and a gateway on each side.
    """

    def __init__(self, site: Site) -> None:
        super().__init__()
        self._site = site

    def hardwareOf(self, address: bytes) -> bytes | None:
        sides, own = self._site.sides, self._site.number
        side, number = address[1], address[3] - 1
        if number >= len(sides.sites):
            return b"\2\0" + address if sides.answers(own, side) else None
        answers = sides.reaches(own, number, side) and sides.reaches(number, own, side)
        return b"\2\0" + address if answers and sides.sites[number].isPowered else None


@implementer(INetwork, IMastershipObserver)
class Site:
    """
    A host, and the process on it.

    @ivar settings: C{sync}, C{gateways}, and settings of all its virtual hosts.  A list has one
        value for each side.
    """

    def __init__(self, sides: Sides, number: int, settings: dict[str, Any]) -> None:
        self.sides = sides
        self.number = number
        self.settings = settings
        self.clock = LocalClock(sides.clock.seconds())
        self.frozen = False
        #: Whether its kernel runs.
        self.isPowered = True
        self.service: CARPService | None = None
        self.unplugged: set[tuple[int, int]] = set()
        self.addresses = _Kernel(self)
        self.links = FakeLinks(*(goodLink(sideName(one), one + 2) for one in range(sides.number)))
        self.broken: set[int] = set()
        self._ways: dict[int, _Way] = {}
        self._unread: list[tuple[int, bytes]] = []
        self._random = random.Random(number)

    # The host.

    def configurations(self) -> list[VirtualHostConfiguration]:
        """
        The virtual hosts, one on each side.
        """
        return [self.configuration(side) for side in range(self.sides.number)]

    def configuration(self, side: int) -> VirtualHostConfiguration:
        """
        The virtual host on a side.
        """
        chosen = {
            key: value[side] if isinstance(value, list) else value
            for key, value in self.settings.items()
        }
        checks = [HealthCheck("works", _Works(self, side), interval=0.5, fall=2)]
        if chosen.pop("gateways", False):
            checks.append(HealthCheck("gateway", Gateway(self, side), interval=0.5, fall=2))
        return VirtualHostConfiguration(
            **{
                "interface": sideName(side),
                "title": sideName(side),
                "vhid": side + 1,
                "password": b"secret",
                "source": f"10.{side}.0.{self.number + 1}",
                "addresses": [f"10.{side}.0.100/24"],
                "assign": True,
                "sync": SET,
                "checks": checks,
                **chosen,
            }
        )

    def reconfigure(self, configurations: Sequence[VirtualHostConfiguration]) -> None:
        """
        Replace the configurations of the virtual hosts.
        """
        assert self.service is not None
        before = self.service.virtualHosts
        self.service.reconfigure(configurations)
        for host in self.service.virtualHosts:
            if host not in before:
                host.addObserver(self)

    def start(self) -> None:
        """
        Start the process, unless it is running.
        """
        if self.service is not None:
            return
        self.clock = self.clock.successor(self.sides.clock.seconds())
        self.frozen = False
        self.links.observers.clear()
        self.addresses.observers.clear()
        platform = FakePlatform(self.clock, Journal(), self.links, self)
        platform.addresses = self.addresses
        platform.neighbours = _Neighbours(self)
        platform.draw = self._random.getrandbits
        self.service = CARPService(self.configurations(), platform=platform)
        for host in self.service.virtualHosts:
            host.addObserver(self)
        self.service.privilegedStartService()
        self.service.startService()

    def stop(self) -> None:
        """
        Stop the process in good order.
        """
        service = self.service
        if service is not None:
            maybeDeferred(service.stopService).addCallback(lambda _: self._ended(service))

    def _ended(self, service: CARPService) -> None:
        if self.service is service:
            self.service = None

    def crash(self) -> None:
        """
        Kill the process.
        """
        self.clock = self.clock.successor(self.sides.clock.seconds())
        self.frozen = False
        self._unread.clear()
        self._ways.clear()
        self.addresses.observers.clear()
        self.service = None

    def powerOff(self) -> None:
        """
        Take the power away.
        """
        self.crash()
        self.isPowered = False
        self.addresses.present.clear()

    def freeze(self) -> None:
        """
        Keep the process from running.
        """
        self.frozen = self.service is not None

    def thaw(self) -> None:
        """
        Let the process run again.  As in a reactor, due timers run before packets are read.
        """
        if self.frozen:
            self.frozen = False
            self.clock.set(self.sides.clock.seconds())
            self.clock.fire()
            self._tellLinks()
            self.readUnread()

    def plug(self, side: int, plugged: bool) -> None:
        """
        Connect or disconnect a cable.
        """
        if plugged:
            self.unplugged.discard((self.number, side))
        else:
            self.unplugged.add((self.number, side))
        if not self.frozen:
            self._tellLinks()

    def _tellLinks(self) -> None:
        for side in range(self.sides.number):
            plugged = (self.number, side) not in self.unplugged
            self.links.change(sideName(side), running=plugged)

    def role(self, side: int) -> Role:
        """
        The role of the virtual host on a side.
        """
        if self.service is None:
            return Role.INIT
        name = f"{sideName(side)}:{side + 1}"
        found = [one.role for one in self.service.virtualHosts if one.name == name]
        return found[0] if found else Role.INIT

    @property
    def mastered(self) -> list[int]:
        """
        The sides on which this host is master.
        """
        return [side for side in range(self.sides.number) if self.role(side) is Role.MASTER]

    def arrived(self, side: int, packet: bytes) -> None:
        """
        Receive a packet.
        """
        if self.service is not None and len(self._unread) < _ROOM:
            self._unread.append((side, packet))
            if not self.frozen:
                self.readUnread()

    def readUnread(self) -> None:
        """
        Read the packets that have arrived.
        """
        while self._unread:
            side, packet = self._unread.pop(0)
            way = self._ways.get(side)
            if way is not None and way.receiver is not None:
                way.receiver.packetReceived(readPacket(packet))

    def hasUnread(self, side: int) -> bool:
        """
        Whether packets of a side have not been read.
        """
        return any(one == side for one, _ in self._unread)

    # The network as the process sees it.

    def roleChanged(self, change: Change) -> None:
        side = change.vhid - 1
        if change.role is not change.previous:
            now = self.sides.clock.seconds()
            self.sides.changes.append((now, self.number, side, change.role))

    def attach(
        self, interface: str, vhid: int, group: bytes, broadcast: bool, hardware: bytes | None
    ) -> IAdvertisementTransport:
        side = vhid - 1
        self._ways[side] = _Way(self, side)
        return self._ways[side]

    def detach(self, interface: str, vhid: int) -> None:
        self._ways.pop(vhid - 1, None)

    def markLeaving(self, interface: str, vhid: int, leaving: bool) -> None:
        pass

    def announcer(self, interface: str, hardware: bytes | None) -> IAnnouncer:
        return FakeAnnouncer(Journal())


class _Kernel(FakeAddressTable):
    """
    The addresses of a host, which outlive its process.
    """

    def __init__(self, site: Site) -> None:
        super().__init__(Journal(), site.sides.clock)
        self._site = site

    def remove(self, *texts: str) -> None:
        if not self._site.frozen:
            super().remove(*texts)
            return
        for text in texts:  # a process that does not run learns nothing
            del self.present[text]


@implementer(ICheck)
class _Works:
    """
    A check of something that a test can break.
    """

    def __init__(self, site: Site, side: int) -> None:
        self._site = site
        self._side = side

    def run(self, platform: IPlatform, timeout: float) -> object:
        if self._side in self._site.broken:
            raise OSError("broken")
        return "works"


class _Way(FakeTransport):
    """
    The transport of a host on one side.
    """

    def __init__(self, site: Site, side: int) -> None:
        super().__init__()
        self._site = site
        self._side = side

    def send(self, packet: bytes) -> None:
        if (self._site.number, self._side) in self._site.unplugged:
            raise OSError("no carrier")
        self._site.sides.carry(self._site, self._side, packet)

    def isLocal(self, address: bytes) -> bool:
        return address == parseIPv4(f"10.{self._side}.0.{self._site.number + 1}")

    def hasUnread(self) -> bool:
        return self._site.hasUnread(self._side)

    def readUnread(self) -> None:
        self._site.readUnread()
