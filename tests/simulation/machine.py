"""
Hosts that can run either program, whose clocks run fast or slow, whose sockets overflow, and whose
kernel holds addresses on lease.
"""

from __future__ import annotations

import enum
import time
from collections import Counter
from typing import Any

import attrs
from twisted.internet.defer import maybeDeferred

from tests.crafted import payloadOf, sourceOf
from tests.fakes import FakePlatform, MemoryFile
from tests.simulation.kernel import KernelAddresses
from tests.simulation.plain import PlainHost
from tests.simulation.segment import Computer, Segment
from txcarp.addresses import textOf
from txcarp.change import Change
from txcarp.clock.steady import SteadyClock
from txcarp.membership.sealing import RESERVED
from txcarp.protocol.effects import Reason, Role
from txcarp.protocol.envelope import readPacket
from txcarp.protocol.events import HoldReason
from txcarp.protocol.freshness import LAG
from txcarp.state.store import StateStore


class Standstill(enum.Enum):
    """
    How a host can stand still.  The values are phrases for stories.
    """

    STOPPED = "its process is stopped"
    SUSPENDED = "the machine is suspended"
    PAUSED = "the virtual machine is paused"


@attrs.frozen
class Asked:
    """
    Something that a txcarp host did, and a plain host does not do.

    @ivar at: When, in seconds of the segment's clock.
    @ivar host: The source address of the host.
    @ivar what: C{"offer"}: it offered mastership.  C{"pause"}: it slept.  C{"flaps"}: it lost
        mastership too often.  C{"refused"}: it took over from a master that it did not believe.
    @ivar other: The source address of that master.
    @ivar stranger: Whether it does not know that master, whose clock is behind.
    """

    at: float
    host: str
    what: str
    other: str = ""
    stranger: bool = False


class Machine(Computer):
    """
    A host that runs txcarp or a plain program.

    @ivar plainly: Whether the next process is a plain one.
    @ivar plain: The plain process; C{None} if there is none.
    @ivar kernel: The addresses.
    @ivar asked: What the process did that the plain protocol does not.
    @ivar believed: How many advertisements of each source the host has believed since its boot, as
        far as its state file can tell.
    @ivar refusals: When it did not believe the advertisement of a stranger, and the source.
    @ivar lead: By how many seconds its wall clock, or its ticks after a restart, were ahead of the
        right time at most.
    """

    def __init__(
        self, segment: Segment, source: str, settings: dict[str, Any], plainly: bool
    ) -> None:
        super().__init__(segment, source, settings)
        self.plainly = plainly
        self.plain: PlainHost | None = None
        self.kernel = KernelAddresses(segment.clock, self._leaseEnded)
        self.disk: MemoryFile = MemoryFile()
        self.standstill: Standstill | None = None
        self.asked: list[Asked] = []
        self.believed: Counter[str] = Counter()
        self.refusals: list[tuple[float, str]] = []
        self.lead = float("-inf")
        self._refused: tuple[float, str] = (float("-inf"), "")
        self._damped = False
        self._stoodSince = 0.0
        self._starts = 0
        #: Seconds of the machine's life that CLOCK_MONOTONIC does not count.
        self._asleep = 0.0
        #: Seconds that no clock of the machine counts.
        self._lost = 0.0
        self._boots = 0
        self._bootedAt = 0.0
        self._processes = 0

    @property
    def role(self) -> Role:
        if self.plain is not None:
            return Role.MASTER if self.plain.isMaster else Role.BACKUP
        return super().role

    def monotonic(self) -> float:
        """
        Seconds on CLOCK_BOOTTIME of the machine, as if it was never booted again.
        """
        return self.clock.seconds() + self._asleep

    def read(self, clock: int) -> float:
        """
        Seconds on a clock of the machine, as C{time.clock_gettime} returns them.
        """
        if clock == time.CLOCK_MONOTONIC:
            return self.clock.seconds()
        if clock == time.CLOCK_BOOTTIME:
            return self.monotonic()
        return self.segment.clock.seconds() - self._asleep - self._lost - self._bootedAt

    @property
    def ahead(self) -> float:
        """
        By how many seconds its wall clock is ahead of the right time.
        """
        self.clock.set(self.segment.clock.seconds())
        return self.monotonic() + self.clockError - self.segment.clock.seconds()

    def setClock(self, by: float) -> None:
        """
        Set the wall clock.

        @param by: Seconds to add.
        """
        self.clockError += by
        self.noteLead()

    def noteLead(self, reserved: float = 0.0) -> None:
        """
        Note by how much the wall clock is ahead.

        @param reserved: Seconds by which the ticks may be ahead of it.
        """
        self.lead = max(self.lead, self.ahead + reserved)

    def becomeStranger(self) -> None:
        """
        Note that the others cannot know any more which ticks this host will use, because it lost
        its state or some time.
        """
        for other in self.segment.computers:
            if isinstance(other, Machine):
                other.believed[self.source] = 0

    def slew(self, rate: float) -> None:
        """
        Let all clocks run at another rate.  The kernel's own timers do not change.
        """
        self.clock.turn(self.segment.clock.seconds(), rate)

    def reboot(self) -> None:
        """
        Let the clocks that count from the boot begin again.
        """
        self._boots += 1
        self._bootedAt = self.segment.clock.seconds() - self._asleep - self._lost
        self.believed = Counter()
        self.kernel.remove()

    def platform(self) -> FakePlatform:
        platform = super().platform()
        platform.addresses = self.kernel
        platform.pauseSeconds = SteadyClock(self.read)  # type: ignore[method-assign]
        platform.wallSeconds = (  # type: ignore[method-assign]
            lambda: 1.8e9 + self.monotonic() + self.clockError
        )
        store = StateStore(self.disk, self.clock, maybeDeferred)
        store._boot = f"boot {self.source} {self._boots}"
        platform.store = store
        return platform

    def start(self) -> None:
        if self.plain is not None or self.virtualHost is not None:
            return
        self._starts += 1
        self.noteLead(RESERVED if self._starts > 1 else 0.0)
        if not self.plainly:
            super().start()
            return
        self._processes += 1
        self.clock = self.clock.successor(self.segment.clock.seconds())
        own = self.settings
        self.plain = PlainHost(
            self,
            own["dialect"],
            own["advbase"],
            own["advskew"],
            own["deadRatio"],
            own["preempt"],
            f"{self.source} {self._processes}",
        )
        self.plain.connect(self.plugged)

    def crash(self) -> None:
        self.plain = None
        self.kernel.observers.clear()
        super().crash()

    def stop(self) -> None:
        if self.plain is not None:
            self.plain.stop()
            self.plain = None
        else:
            super().stop()

    def plug(self, plugged: bool) -> None:
        super().plug(plugged)
        if self.plain is not None and not self.frozen:
            self.plain.connect(plugged)

    def demote(self, amount: int) -> None:
        """
        Demote the host; an amount of 0 ends that.
        """
        if self.plain is not None:
            self.plain.demote(amount)
        elif self.virtualHost is not None:
            if amount:
                self.virtualHost.demote("story", amount)
            else:
                self.virtualHost.promote("story")

    def resign(self) -> None:
        """
        Ask the host to hand over.
        """
        process = self.plain or self.virtualHost
        if process is not None:
            process.resign()

    # Standing still.

    def halt(self, how: Standstill, room: int) -> None:
        """
        Stand still.

        @param room: How many packets the socket keeps meanwhile.
        """
        self.standstill, self.room = how, room
        self._stoodSince = self.segment.clock.seconds()
        self.clock.set(self._stoodSince)
        self.frozen = True

    def goOn(self, noticed: bool = False) -> None:
        """
        End a standstill.  Timers of txcarp come before the packets, as in a reactor at its worst.
        Plain hosts read their packets first.

        @param noticed: Whether a plain host knows that it slept.
        """
        now = self.segment.clock.seconds()
        stood = now - self._stoodSince
        how, self.standstill = self.standstill, None
        if how is not Standstill.STOPPED:
            self.clock.skip(now)
            self.kernel.stood(stood)
            if how is Standstill.SUSPENDED:
                self._asleep += stood
            else:
                self._lost += stood
                self.becomeStranger()
        if self.plain is None:
            believed = self.believed.copy()
            self.thaw()
            self.believed = believed  # what waited says nothing about now
            return
        self.frozen = False
        self.clock.set(now)
        if noticed:
            self.plain.slept()
            self._unread.clear()  # what waited says nothing about now
        self.plain.connect(self.plugged)
        self.readUnread()
        self.clock.fire()

    def thaw(self) -> None:
        super().thaw()
        self.kernel.tell()

    def _leaseEnded(self) -> None:
        if not self.frozen:
            self.kernel.tell()

    # The network as the process sees it.

    def arrived(self, packet: bytes) -> None:
        if self.standstill is Standstill.SUSPENDED:
            return
        if self.plain is None:
            super().arrived(packet)
        elif not self.frozen or len(self._unread) < self.room:
            self._unread.append(packet)
            if not self.frozen:
                self.readUnread()

    def readUnread(self) -> None:
        unread = self._unread
        while unread:
            packet = unread.pop(0)
            if self.plain is not None:
                self.plain.heard(packet)
            elif self.receiver is not None and self.virtualHost is not None:
                memory = self.virtualHost._memory
                before = memory.received
                self.receiver.packetReceived(readPacket(packet))
                self._read(textOf(sourceOf(packet)), memory.received > before)

    def _read(self, source: str, believed: bool) -> None:
        """
        Note what the process did with an advertisement.
        """
        self._noteDamping()
        if believed:
            self.believed[source] += 1
            return
        now = self.segment.clock.seconds()
        before, self._refused = self._refused, (now, source)
        sender = next(one for one in self.segment.computers if one.source == source)
        inVain = self.role is not Role.MASTER or not self.segment.hears(sender, self)
        isFirst = now - before[0] > 2 * (self.settings["advbase"] + 1)
        if (inVain or isFirst) and self._isStranger(source):
            self.refusals.append((now, source))

    def _isStranger(self, source: str) -> bool:
        """
        Whether the process has a reason not to believe another host, because it does not know
        that host, and the clock of that host is behind.
        """
        machines = [one for one in self.segment.computers if isinstance(one, Machine)]
        other = next(one for one in machines if one.source == source)
        lead = max(one.lead for one in machines)
        # A host is known after two advertisements.
        return self.believed[source] < 2 and lead - other.ahead > LAG / 2

    def _noteDamping(self) -> None:
        run = self.virtualHost._run if self.virtualHost is not None else None
        damped = run is not None and HoldReason.FLAPPING in run.parts.holds
        if damped and not self._damped:
            self._ask("flaps")
        self._damped = damped

    def send(self, packet: bytes) -> None:
        isSlow = payloadOf(packet)[5] > self.settings["advbase"]
        if isSlow and self.virtualHost is not None and self.role is Role.MASTER:
            self._ask("offer")  # otherwise it leaves
        self.segment.carry(self, packet)

    def noteMaster(self, isMaster: bool) -> None:
        """
        Note that the plain process became master, or no longer is.
        """
        self.segment.noteReign(self.source, isMaster)

    def roleChanged(self, change: Change) -> None:
        if change.role is Role.MASTER or change.previous is Role.MASTER:
            self.segment.noteReign(self.source, change.role is Role.MASTER)
        if change.reason is Reason.PAUSED:
            self._ask("pause")
        elif change.reason is Reason.SILENCE:
            when, source = self._refused
            if self.segment.clock.seconds() - when < self.settings["advbase"] + 1:
                self._ask("refused", source, self._isStranger(source))
        self._noteDamping()

    def _ask(self, what: str, other: str = "", stranger: bool = False) -> None:
        now = self.segment.clock.seconds()
        self.asked.append(Asked(now, self.source, what, other, stranger))
