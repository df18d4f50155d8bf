"""
What L{txcarp.protocol.freshness} does to a group of honest hosts whose clocks disagree, on a
network that loses and delays packets.
"""

from __future__ import annotations

import heapq
import itertools

import attrs
from hypothesis import given, note
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests import crafted
from tests.crafted import packed, tickOf
from txcarp.protocol.advertisement import Advertisement
from txcarp.protocol.family import Family
from txcarp.protocol.freshness import Freshness
from txcarp.protocol.rejection import Rejected
from txcarp.protocol.seal import Fields, Seal, Ticks, Verification, saidBy
from txcarp.protocol.sealstate import resumedTicks

_SEAL = Seal(crafted.PASSWORD, crafted.VHID)

#: The error of a quartz clock.
_RATES = st.floats(1 - 1e-4, 1 + 1e-4)

#: How chrony and others correct wall clocks: within days.
_SLEWS = st.sampled_from([0.0, -0.1, 0.1])

#: Seconds in which a slewed clock gains less than an advertisement may be late, even if the packet
#: itself is late.
_SOON = 60.0

#: The wall clocks of the hosts, in seconds since 1970: within a few years of each other.
_WALLS = st.floats(1.7e9, 1.9e9) | st.floats(1.8e9, 1.8e9 + 60)


@attrs.define
class Clock:
    """
    The two clocks of a host. They run at the same rate, except that the wall clock may be slewed.
    Both stop while the host is paused.

    @ivar wall: The time of the wall clock at the true time 0.
    @ivar running: The time of the running clock at the true time 0.
    @ivar rate: The seconds that they count in one true second.
    @ivar slew: By how many seconds per second the wall clock runs fast.
    """

    wall: float
    running: float
    rate: float
    slew: float = 0.0

    def wallAt(self, true: float) -> float:
        return self.wall + true * self.rate * (1 + self.slew)

    def runningAt(self, true: float) -> float:
        return self.running + true * self.rate

    def pause(self, seconds: float) -> None:
        """
        Pause the host, as when a virtual machine is migrated.
        """
        self.wall -= seconds
        self.running -= seconds


class Member:
    """
    A host that seals, and believes what is sealed.

    @ivar inStep: Whether it has heard the group since it started.
    @ivar heardAt: The true time at which it heard each source last.
    """

    def __init__(self, number: int, clock: Clock, families: list[Family]) -> None:
        addresses = {Family.IPV4: f"10.99.0.{number + 1}", Family.IPV6: f"fe80::{number + 1}"}
        self.sources = [packed(addresses[family]) for family in families]
        self.clock = clock
        self.inStep = False
        self.heardAt: dict[bytes, float] = {}
        self.paused = False
        self._ticks = Ticks()
        self._freshness = Freshness(Verification.LEARN, [_SEAL])

    def send(self, true: float, says: Fields) -> list[tuple[bytes, Advertisement]]:
        """
        Advertise in each family.
        """
        sent = []
        for source in self.sources:
            tick = self._ticks.next(self.clock.wallAt(true), self.clock.runningAt(true))
            assert tick is not None
            counter = _SEAL.counter(tick, says, source)
            self._freshness.sent(counter, says, source, self.clock.runningAt(true))
            heard = Advertisement(
                crafted.VHID, says.advbase, says.advskew, counter, b"", says.demotion
            )
            sent.append((source, heard))
        return sent

    def receive(self, true: float, source: bytes, heard: Advertisement) -> None:
        """
        @raise Rejected: If the advertisement is not believed.
        """
        now = self.clock.runningAt(true)
        assert self._freshness.judge(heard.counter, saidBy(heard), source, now)
        self._ticks.heard(tickOf(heard.counter), now)
        self.inStep = True
        self.heardAt[source] = true

    def hasHeard(self, other: Member, true: float) -> bool:
        """
        Whether it has heard another host a short while ago.
        """
        return any(true - self.heardAt.get(source, -_SOON) < _SOON for source in other.sources)

    def restart(self) -> None:
        """
        Restart the program in order, so that it keeps its state.
        """
        self._ticks = resumedTicks(self._ticks.last, self._freshness.sources.values())
        self._freshness = Freshness(
            Verification.LEARN, [_SEAL], sources=self._freshness.sources.items()
        )
        self.inStep = False


class Network:
    """
    Delivers packets from each source to each host in order.
    """

    def __init__(self, members: list[Member]) -> None:
        self.members = members
        self.refused: list[str] = []
        #: Those whose sender had not heard the host that refuses it for a while.
        self.excused: list[str] = []
        self.delivered = 0
        self._waiting: list[tuple[float, int, Member, bytes, Advertisement, bool]] = []
        self._order = itertools.count()
        self._last: dict[tuple[bytes, int], float] = {}

    def send(self, true: float, sender: Member, fates: list[float | None], says: Fields) -> None:
        """
        @param fates: For each host and family, the delay in seconds; C{None} if the packet is
            lost.
        """
        sent = sender.send(true, says)
        ways = [(to, one) for to in self.members if to is not sender for one in sent]
        for (to, (source, heard)), delay in zip(ways, itertools.cycle(fates), strict=False):
            if delay is not None:
                way = (source, id(to))
                arrival = max(true + delay, self._last.get(way, 0.0))
                self._last[way] = arrival
                isBelieved = sender.hasHeard(to, true)
                packet = arrival, next(self._order), to, source, heard, isBelieved
                heapq.heappush(self._waiting, packet)

    def run(self, until: float) -> None:
        """
        Deliver what arrives until this time.
        """
        while self._waiting and self._waiting[0][0] <= until:
            arrival, _, to, source, heard, isBelieved = heapq.heappop(self._waiting)
            try:
                to.receive(arrival, source, heard)
                self.delivered += 1
            except Rejected as rejected:
                refused = self.refused if isBelieved else self.excused
                refused.append(f"{arrival:.3f}: {source.hex()}: {rejected}")


_FATES = st.lists(st.none() | st.floats(0, 1), min_size=1, max_size=8)
_SAYS = st.sampled_from([Fields(1, 0), Fields(1, 100), Fields(1, 240, 1), Fields(255, 255)])
_EVENTS = (
    st.tuples(st.just("send"), _FATES, _SAYS)
    | st.tuples(st.just("pause"), st.floats(0, 5))
    | st.tuples(st.just("set back"), st.floats(0, 1e8))
    | st.tuples(st.just("restart"))
)
_GAPS = st.floats(0, 2) | st.floats(0, 120)


class HonestGroupTests(SynchronousTestCase):
    """
    No honest host is rejected.
    """

    @given(
        st.lists(
            st.builds(Clock, _WALLS, st.floats(0, 1e7), _RATES, _SLEWS),
            min_size=2,
            max_size=4,
        ),
        st.sampled_from([[Family.IPV4], [Family.IPV6], [Family.IPV4, Family.IPV6]]),
        st.lists(st.tuples(_GAPS, st.integers(0, 3), _EVENTS), max_size=60),
    )
    def test_group(
        self,
        clocks: list[Clock],
        families: list[Family],
        history: list[tuple[float, int, tuple[object, ...]]],
    ) -> None:
        """
        The clocks of the hosts may show anything, drift apart, be slewed, be set back and stop for
        5 s. Once each host has been heard by all others, every advertisement is believed by all
        hosts that it reaches, also after a restart, if it arrives within a second and its sender
        has heard the group since it started, and the host that it reaches within the last minute:
        in ten, a clock that is slewed gains one.
        """
        members = [Member(number, clock, families) for number, clock in enumerate(clocks)]
        network = Network(members)
        now = 0.0
        for member in members:
            network.send(now, member, [0.5], Fields(1, 0))
            now += 2
            network.run(now)
        # Hosts with slow clocks have now caught up with the fastest.
        network.refused.clear()
        for gap, number, (what, *facts) in history:
            now += gap
            network.run(now)
            member = members[number % len(members)]
            note(f"{now:.3f}: {what} {member.sources[0].hex()} {facts}")
            if what == "restart":
                member.restart()
            elif what == "set back":
                member.clock.wall -= facts[0]  # type: ignore[operator]
            elif what == "pause":
                if not member.paused:
                    member.paused = True
                    member.clock.pause(facts[0])  # type: ignore[arg-type]
            elif member.inStep:
                network.send(now, member, *facts)  # type: ignore[arg-type]
        network.run(now + 2)
        self.assertEqual(network.refused, [])

    def test_simulation(self) -> None:
        """
        In this simulation packets do arrive, and a host that never heard the others is rejected.
        """
        early, late = (Clock(wall, 5.0, 1.0) for wall in (1.8e9 + 100, 1.8e9))
        members = [Member(n, clock, [Family.IPV4]) for n, clock in enumerate((early, late))]
        network = Network(members)
        for second in range(20):
            network.send(float(second), members[0], [None], Fields(1, 0))
            network.send(float(second), members[1], [0.1], Fields(1, 0))
            network.run(second + 0.9)
        self.assertEqual((network.delivered, len(network.excused)), (0, 20))
        for second in range(20, 40):
            for start, member in zip((0.0, 0.5), members, strict=True):
                network.send(second + start, member, [0.1], Fields(1, 0))
                network.run(second + start + 0.4)
        self.assertEqual((network.delivered, len(network.excused)), (40, 20))
