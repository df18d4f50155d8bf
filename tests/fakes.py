"""
Fakes for everything that a virtual host needs, and a journal of what it did with them.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from zope.interface import implementer

from tests import crafted
from tests.crafted import payloadOf
from txcarp.addresses import parseIPv4
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.interfaces import (
    IAdvertisementTransport,
    IAnnouncer,
    INetwork,
    IPacketReceiver,
)
from txcarp.protocol.advertisement import Advertisement, decode
from txcarp.protocol.envelope import readPacket
from txcarp.protocol.family import Family, familyOf
from txcarp.protocol.sealstate import SealState
from txcarp.state.file import StateFile
from txcarp.state.format import Lines
from txcarp.state.store import StateStore
from txcarp.testing import SimulatedHost, transport
from txcarp.testing import fakes as testing
from txcarp.testing.fakes import (
    FakeAnnouncer,
    FakeObserver,
    FakeScripts,
    Journal,
    goodLink,
    runTo,
)
from txcarp.virtualhost import VirtualHost

INTERFACE = "eth7"

#: A link that works.
GOOD_LINK = goodLink(INTERFACE, 7)


class FakeTransport(transport.FakeTransport):
    """
    Records what is sent.

    @ivar error: The exception to raise instead of sending; C{None} for none.
    @ivar unread: The result of L{hasUnread}.
    @ivar waiting: The packets that L{readUnread} delivers.
    @ivar hearing: The result of L{hears}.
    @ivar linkLocalAddresses: The result of L{linkLocals}.
    @ivar missing: The addresses for which L{isLocal} is false.
    @ivar culprits: The results of L{whyDropped} by source.
    @ivar switchedOff: The result of L{isSwitchedOff}.
    """

    def __init__(self, journal: Journal, clock: Clock) -> None:
        super().__init__()
        self.journal = journal
        self.clock = clock
        self.packets: list[bytes] = []
        self.times: list[float] = []
        self.attempts: list[Advertisement] = []
        self.error: BaseException | None = None
        self.unread = False
        self.waiting: list[bytes] = []
        self.hearing = True
        self.front = False
        self.missingInFront: frozenset[bytes] = frozenset()
        self.routed: tuple[bytes, ...] = ()
        self.linkLocalAddresses = [socket.inet_pton(socket.AF_INET6, "fe80::1")]
        self.missing: set[bytes] = set()
        self.switchedOff = False
        self.culprits: dict[bytes, str] = {}

    def send(self, packet: bytes) -> None:
        advertisement = decode(payloadOf(packet))
        self.attempts.append(advertisement)
        if self.error is not None:
            raise self.error
        self.packets.append(packet)
        self.times.append(self.clock.seconds())
        self.journal.append(("advertise", advertisement.advbase, advertisement.advskew))

    def hears(self) -> bool:
        return self.hearing

    def hasUnread(self) -> bool:
        return self.unread

    def admitRouted(self, peers: Collection[bytes]) -> None:
        self.routed = tuple(peers)

    def linkLocals(self) -> Sequence[bytes]:
        return self.linkLocalAddresses

    def isLocal(self, address: bytes) -> bool:
        return address not in self.missing

    def isSwitchedOff(self) -> bool:
        return self.switchedOff

    def readUnread(self) -> None:
        waiting, self.waiting = self.waiting, []
        for packet in waiting:
            if self.receiver is not None:
                self.receiver.packetReceived(readPacket(packet))

    def whyDropped(self, source: bytes) -> str:
        return self.culprits.get(source, "")

    def watchFront(self, wanted: bool, missing: Collection[bytes] = ()) -> None:
        self.front = wanted
        self.missingInFront = frozenset(missing)

    @property
    def advertisements(self) -> list[Advertisement]:
        """
        The sent advertisements, decoded.
        """
        return [decode(payloadOf(packet)) for packet in self.packets]


@implementer(INetwork)
class FakeNetwork:
    """
    A network with one interface and at most one virtual host.

    @ivar transports: The transports by family. At first it is the same one for both.
    @ivar leaving: Whether the virtual host is marked as leaving.
    """

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self.journal = journal
        self.transport = FakeTransport(journal, clock)
        self.transports = dict.fromkeys(Family, self.transport)
        self.announcing = FakeAnnouncer(journal)
        self.open: list[FakeTransport] = []
        self.attached: list[tuple[Any, ...]] = []
        self.leaving = False

    def attach(
        self,
        interface: str,
        vhid: int,
        group: bytes,
        broadcast: bool,
        hardware: bytes | None,
    ) -> IAdvertisementTransport:
        self.attached.append((interface, vhid, group, broadcast, hardware))
        transport = self.transports[familyOf(group)]
        self.open.append(transport)
        return transport

    def detach(self, interface: str, vhid: int) -> None:
        self.journal.append(("detach", interface, vhid))
        self.open.clear()
        self.leaving = False

    def markLeaving(self, interface: str, vhid: int, leaving: bool) -> None:
        self.leaving = leaving

    @property
    def receiver(self) -> IPacketReceiver | None:
        """
        The packet receiver of the attached virtual host.
        """
        return self.open[0].receiver if self.open else None

    def announcer(self, interface: str, hardware: bytes | None) -> IAnnouncer:
        return self.announcing


class FakeLinks(testing.FakeLinks):
    """
    Links that a test can change.  At first there is one, which works.
    """

    def __init__(self) -> None:
        super().__init__(GOOD_LINK)

    def change(self, name: str = INTERFACE, **facts: Any) -> None:
        super().change(name, **facts)


class FakePlatform(testing.FakePlatform):
    """
    A platform with one link and at most one virtual host.
    """

    def __init__(self, clock: Clock, journal: Journal) -> None:
        super().__init__(clock, journal, FakeLinks(), FakeNetwork(journal, clock))


def simulated(host: SimulatedHost, **settings: Any) -> VirtualHostConfiguration:
    """
    Return the configuration of a simulated host in the group that a test of several hosts has.
    """
    whole: dict[str, Any] = {
        "interface": "eth0",
        "vhid": 1,
        "password": b"not a secret",
        "source": host.source,
        "addresses": ["10.1.1.252/24"],
        "assign": True,
        **settings,
    }
    return VirtualHostConfiguration(**whole)


def configured(**settings: Any) -> VirtualHostConfiguration:
    """
    Return the configuration of this host in the group of L{tests.crafted}, with scripts.
    """
    whole: dict[str, Any] = {
        "interface": INTERFACE,
        "vhid": crafted.VHID,
        "password": crafted.PASSWORD,
        "source": parseIPv4(crafted.OWN),
        "addresses": [crafted.ADDRESS],
        "upScript": "up",
        "downScript": "down",
    }
    return VirtualHostConfiguration(**{**whole, **settings})


class Stage:
    """
    A virtual host with everything that it needs.
    """

    def __init__(self, *, disk: MemoryFile | None = None, **settings: Any) -> None:
        """
        @param disk: Keeps the state over a restart.
        @param settings: See L{configured}.
        """
        self.clock = Clock()
        self.journal = Journal()
        self.platform = FakePlatform(self.clock, self.journal)
        self.network: FakeNetwork = self.platform.network
        self.transport = self.network.transport
        self.links: FakeLinks = self.platform.links
        self.scripts: FakeScripts = self.platform.scripts
        if disk is not None:
            self.platform.store = StateStore(disk, self.clock, maybeDeferred)
        self.equip()
        self.host = VirtualHost(configured(**settings), self.platform)
        self.observer = FakeObserver()
        self.host.addObserver(self.observer)

    @property
    def asleep(self) -> float:
        """
        Seconds for which the machine slept.
        """
        return self.platform.asleep

    @asleep.setter
    def asleep(self, seconds: float) -> None:
        self.platform.asleep = seconds

    def equip(self) -> None:
        """
        Change the platform before the host is made.
        """

    def start(self) -> None:
        """
        Start the host.
        """
        self.host.privilegedStartService()
        self.host.startService()

    def run(self, seconds: float) -> None:
        """
        Let some seconds pass.
        """
        runTo(self.clock, self.clock.seconds() + seconds)

    def jump(self, seconds: float) -> None:
        """
        Let some seconds pass while this process does not run, so that all calls are late.
        """
        self.clock.advance(seconds)

    def deliver(self, packet: bytes | None = None, **fields: Any) -> None:
        """
        Deliver a packet. The default is an advertisement of a peer with advbase 1.
        """
        assert self.network.receiver is not None
        if packet is None:
            packet = crafted.packet(**{"advbase": 1, **fields})
        self.network.receiver.packetReceived(readPacket(packet))

    def becomeMaster(self) -> None:
        """
        Start the host, let it become master, and clear the journal.
        """
        self.start()
        self.run(self.host.configuration.timing.deadTime(self.host.configuration.deadRatio))
        self.journal.clear()


def networkDown() -> OSError:
    """
    Return the error of a send while the interface is down.
    """
    return OSError(errno.ENETDOWN, os.strerror(errno.ENETDOWN))


class MemoryFile(StateFile):
    """
    A state file in memory, which outlives the process that wrote it.

    @ivar texts: The text of each file by its path.
    @ivar writes: The number of successful writes.
    @ivar readError: The exception that every read raises; C{None} for none.
    @ivar writeError: The exception that every write raises; C{None} for none.
    """

    def __init__(self) -> None:
        super().__init__("/memory/state.json")
        self.texts: dict[Path, str] = {}
        self.writes = 0
        self.readError: Exception | None = None
        self.writeError: Exception | None = None

    def claim(self) -> bool:
        return False

    def read(self, path: Path) -> str | None:
        if self.readError is not None:
            raise self.readError
        return self.texts.get(path)

    def write(self, text: str) -> None:
        if self.writeError is not None:
            raise self.writeError
        self.writes += 1
        self.texts[self.path] = text

    def saved(self, group: str) -> SealState:
        """
        Return the state that another process would load.
        """
        return StateStore(self, Clock(), maybeDeferred).load(group)


class FakeThreads:
    """
    Calls functions at once or, while the disk is slow, in L{finish}.
    """

    def __init__(self) -> None:
        self.slow = False
        self._unfinished: list[tuple[Callable[[], Lines], Deferred[Lines]]] = []

    def __call__(self, function: Callable[[], Lines]) -> Deferred[Lines]:
        if not self.slow:
            return maybeDeferred(function)
        self._unfinished.append((function, Deferred()))
        return self._unfinished[-1][1]

    @property
    def unfinished(self) -> int:
        """
        The number of calls that wait for L{finish}.
        """
        return len(self._unfinished)

    def finish(self) -> None:
        """
        Run the call that has waited for longest.
        """
        function, done = self._unfinished.pop(0)
        maybeDeferred(function).chainDeferred(done)
