"""
Tests of two or more hosts on one segment.
"""

from __future__ import annotations

import itertools
import time
from random import Random
from typing import Any

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.simulation.segment import ADDRESS, LATENCY, Computer, Segment
from txcarp.interfaces import IAdvertisementTransport, INetwork
from txcarp.mastership.handover import FOLLOW
from txcarp.protocol import ipv4
from txcarp.protocol.effects import Role


def pair(one: dict[str, Any], other: dict[str, Any]) -> tuple[Segment, Computer, Computer]:
    """
    Two hosts, ten seconds after both were started.
    """
    segment = Segment()
    first, second = segment.add("10.99.0.1", **one), segment.add("10.99.0.2", **other)
    first.start()
    second.start()
    segment.run(10)
    return segment, first, second


class PairTests(SynchronousTestCase):
    """
    Two hosts.
    """

    def test_provided(self) -> None:
        """
        The simulated host and its transport provide their interfaces.
        """
        computer = Segment().add("10.99.0.1")
        verifyObject(INetwork, computer)
        way = computer.attach("eth0", 7, ipv4.GROUP, False, None)
        verifyObject(IAdvertisementTransport, way)

    def test_start(self) -> None:
        """
        When two hosts start together, the preferred one becomes master.  The other one
        never is.
        """
        segment, first, second = pair({"advskew": 10}, {"advskew": 20})
        self.assertEqual(segment.masters(), [first])
        self.assertEqual({reign.host for reign in segment.reigns}, {first.source})
        self.assertIs(second.role, Role.BACKUP)

    @settings(max_examples=20, deadline=None)
    @given(st.lists(st.permutations(range(2)), min_size=3, max_size=3))
    def test_newPassword(self, orders: list[list[int]]) -> None:
        """
        A password that is changed step by step on running hosts, in any order of the hosts in
        each step, is no interruption: the master remains the only one.
        """
        segment, *hosts = pair({"advskew": 10}, {"advskew": 20})
        old = hosts[0].virtualHost.configuration.password
        steps = ((old, (b"new",)), (b"new", (old,)), (b"new", ()))
        for (password, others), order in zip(steps, orders, strict=True):
            for number in order:
                host = hosts[number].virtualHost
                new = attrs.evolve(host.configuration, password=password, otherPasswords=others)
                self.successResultOf(host.reconfigure(new))
                segment.run(2.3)
        segment.run(10)
        self.assertEqual((segment.masters(), len(segment.reigns)), ([hosts[0]], 1))
        hosts[0].crash()
        segment.run(5)
        self.assertEqual(segment.masters(), [hosts[1]])

    @settings(max_examples=25, deadline=None)
    @given(st.integers(0, 2**32))
    def test_reloads(self, seed: int) -> None:
        """
        Whatever live settings change on running hosts, and when: a group has one master as soon
        as the hosts have heard each other, it is never without one for longer than the dead time,
        and two overlap no longer than a packet travels.
        """
        random = Random(seed)
        segment, *hosts = pair({"advskew": 10}, {"advskew": 20})
        began = segment.clock.seconds()
        for _ in range(40):
            host = random.choice(hosts).virtualHost
            change = random.choice(
                (
                    {"advskew": random.randrange(200)},
                    {"deadRatio": random.randrange(3, 6)},
                    {"preempt": random.random() < 0.5},
                    {"preemptDelay": random.choice((0.0, 2.0))},
                    {"upScript": random.choice((None, "up")), "announceEvery": 5.0},
                    {"trackedInterfaces": random.choice(((), ("eth7:100",)))},
                    {"releaseFirst": random.random() < 0.5, "title": str(random.random())},
                )
            )
            new = attrs.evolve(host.configuration, flapLimit=None, **change)
            self.successResultOf(host.reconfigure(new))
            segment.run(random.random() * 3)
            self.assertGreaterEqual(len(segment.masters()), 1)
        segment.run(5)
        self.assertEqual(len(segment.masters()), 1)
        self.assertLessEqual(segment.longestOverlap(began), 2 * LATENCY)

    def test_allSkews(self) -> None:
        """
        The preferred host becomes master however small the difference of the skews is.
        """
        for advskew in (*range(0, 255, 17), 254):
            segment = Segment()
            worse = segment.add("10.99.0.1", advskew=advskew + 1)
            better = segment.add("10.99.0.2", advskew=advskew)
            worse.start()
            better.start()
            segment.run(8)
            self.assertEqual(segment.masters(), [better])
            self.assertEqual(len(segment.reigns), 1, advskew)

    def test_crash(self) -> None:
        """
        When the master dies, the backup takes over exactly its dead time after the last
        advertisement.  When the new master dies, the first host takes over.
        """
        segment, first, second = pair({}, {"advskew": 100})
        first.crash()
        last = max(when for when, _ in segment.packets)
        segment.run(10)
        self.assertEqual(segment.masters(), [second])
        self.assertEqual(segment.reigns[-1].since, last + LATENCY + 3 + 100 / 256)
        first.start()
        segment.run(10)
        self.assertEqual(segment.masters(), [second])
        second.crash()
        segment.run(10)
        self.assertEqual(segment.masters(), [first])

    def test_stop(self) -> None:
        """
        When the master is stopped, the backup takes over as soon as it hears the bow-out.
        The old master keeps the address for the time that the successor needs to announce
        it.
        """
        segment, first, second = pair({"shutdown": True}, {"advskew": 100})
        first.journal.clear()
        first.stop()
        stopped = segment.clock.seconds()
        segment.run(2 * LATENCY)
        self.assertEqual(segment.masters(), [second])
        self.assertEqual(segment.reigns[-1].since, stopped + LATENCY)
        self.assertIn(("announce", ADDRESS), second.journal)
        self.assertNotIn(("script", "down"), [entry[:2] for entry in first.journal])
        segment.run(FOLLOW)
        self.assertEqual(first.journal[-1][:2], ("script", "down"))
        self.assertIsNone(first.virtualHost)

    def test_resign(self) -> None:
        """
        When the master is asked to hand over, the backup takes over as fast.  It stays
        master if no host preempts.
        """
        segment, first, second = pair({}, {"advskew": 100})
        assert first.virtualHost is not None
        first.virtualHost.resign()
        segment.run(2 * LATENCY)
        self.assertEqual(segment.masters(), [second])
        segment.run(30)
        self.assertEqual(segment.masters(), [second])

    def test_preempt(self) -> None:
        """
        A preferred host that returns takes over at the first advertisement that it hears if
        it preempts, and not at all otherwise.
        """
        for preempt in (True, False):
            segment, first, second = pair({"preempt": preempt}, {"advskew": 100})
            first.crash()
            segment.run(10)
            first.start()
            segment.run(1 + 100 / 256 + LATENCY)
            self.assertEqual(segment.masters()[0], first if preempt else second)
            segment.run(2)
            self.assertEqual(segment.masters(), [first if preempt else second])

    def test_preemptInVain(self) -> None:
        """
        A preferred host whose required step fails interrupts the master less and less
        often.  Once the step works, the host soon becomes master.  Without another host it
        tries as often as at first.
        """
        segment, first, second = pair({"preempt": True}, {"advskew": 100})
        assert first.work is not None
        first.work.broken = True
        first.plug(False)
        segment.run(5)
        first.plug(True)
        segment.run(1200)
        interruptions = [reign for reign in segment.reigns if reign.host == first.source]
        self.assertLess(len(interruptions), 12)
        second.crash()
        before = len(segment.reigns)
        segment.run(320 + 200)
        self.assertGreater(len(segment.reigns) - before, 10)
        second.start()
        segment.run(5)
        first.work.broken = False
        segment.run(25)
        self.assertEqual(segment.masters(), [first])

    def test_cable(self) -> None:
        """
        A host whose cable is disconnected is no longer master at once.  It is a backup when
        the cable is connected again.
        """
        segment, first, second = pair({}, {"advskew": 100})
        first.plug(False)
        self.assertEqual(segment.masters(), [])
        segment.run(4)
        self.assertEqual(segment.masters(), [second])
        first.plug(True)
        segment.run(20)
        self.assertEqual(segment.masters(), [second])

    def test_partition(self) -> None:
        """
        Two hosts that do not hear each other are both master.  Once they hear each other,
        only the preferred one is, within one of its intervals.
        """
        segment, first, second = pair({}, {"advskew": 100})
        for moment in (0.0, 0.3, 0.99):
            segment.cut(first, second)
            segment.run(20 + moment)
            self.assertEqual(segment.masters(), [first, second])
            segment.heal()
            segment.run(1 + LATENCY)
            self.assertEqual(segment.masters(), [first])
            segment.run(10)

    def test_tie(self) -> None:
        """
        A tie between equal timings is decided by the addresses, as in ucarp: 10.99.1.1
        stays master, whichever host starts first.
        """
        for order in (("10.99.1.1", "10.99.0.2"), ("10.99.0.2", "10.99.1.1")):
            segment = Segment()
            one, other = (segment.add(source) for source in order)
            one.start()
            other.start()
            segment.run(3 + 1 + LATENCY)
            self.assertEqual([each.source for each in segment.masters()], ["10.99.1.1"])
            segment.run(20)
            self.assertEqual([each.source for each in segment.masters()], ["10.99.1.1"])
            self.assertLessEqual(segment.longestOverlap(0), 1 + LATENCY)

    def test_noMargin(self) -> None:
        """
        Where the dead time is no longer than the interval of the master, a slightly late
        advertisement does not count as a dead master.  This is so with a dead ratio of one,
        without a base, and with the slowest master that is tolerated.  A master that really
        dies is soon replaced.
        """
        ratio = {"deadRatio": 1}
        for one, other in (
            (ratio, ratio),
            ({**ratio, "advskew": 9}, {**ratio, "advskew": 9}),
            ({"advbase": 0, "advskew": 100}, {"advbase": 0, "advskew": 100}),
            ({"advbase": 2}, {"deadRatio": 2}),
        ):
            segment = Segment()
            first = segment.add("10.99.0.1", **one)
            first.start()
            segment.run(5.3)
            second = segment.add("10.99.0.2", **other)
            second.start()
            host = first.virtualHost
            assert host is not None
            interval = host.configuration.timing.interval
            segment.jitter = interval / 8
            segment.run(100)
            self.assertEqual(segment.masters(), [first], one)
            self.assertEqual(len(segment.reigns), 1, one)
            first.crash()
            segment.run(interval * 1.5)
            self.assertEqual(segment.masters(), [second], one)

    def test_noMarginDemoted(self) -> None:
        """
        A demotion does not lengthen the dead time.  A demoted host still tolerates a master
        that is slower than its dead time by less than the demotion.
        """
        segment, first, second = pair({"deadRatio": 1}, {"deadRatio": 1, "advskew": 1})
        assert first.virtualHost is not None
        first.virtualHost.demote("slow disk", 30)
        segment.run(100)
        self.assertEqual(segment.masters(), [second])
        self.assertEqual(len(segment.reigns), 2)

    def test_noMarginAfterATie(self) -> None:
        """
        A host that has just lost a tie tolerates slightly late advertisements, too.
        """
        segment = Segment()
        segment.jitter = 1 / 8
        first, second = (segment.add(f"10.99.0.{n}", deadRatio=1) for n in (1, 2))
        segment.cut(first, second)
        first.start()
        second.start()
        segment.run(5)
        segment.heal()
        segment.run(100)
        self.assertEqual(segment.masters(), [first])
        self.assertEqual(len(segment.reigns), 2)

    def test_announcedAgain(self) -> None:
        """
        The winner announces the address again when it hears the last advertisement of the
        loser, so that the neighbours end up with the right host.
        """
        segment, first, second = pair({}, {"advskew": 100})
        segment.cut(first, second)
        segment.run(20)
        first.journal.clear()
        segment.heal()
        segment.run(2 + LATENCY)
        self.assertIn(("announce", ADDRESS), first.journal)

    def test_wallClock(self) -> None:
        """
        Setting the wall clock changes nothing.
        """

        def story() -> list[Any]:
            segment, first, second = pair({}, {"advskew": 100, "preempt": True})
            first.crash()
            segment.run(10)
            first.start()
            segment.run(10)
            second.stop()
            segment.run(10)
            return [segment.packets, segment.reigns]

        expected = story()
        steps = itertools.cycle((0.0, 3600.0, -3600.0, 1e9, -1e9))
        self.patch(time, "time", lambda: 1.7e9 + next(steps))
        self.assertEqual(story(), expected)


_ACTIONS = st.sampled_from(
    ["crash", "start", "stop", "resign", "cut", "heal", "unplug", "plug", "nothing"]
)
_SETTINGS = st.fixed_dictionaries(
    {
        "advbase": st.integers(1, 2),
        "advskew": st.sampled_from([0, 1, 100, 100, 200, 240, 255]),
        "preempt": st.booleans(),
        "releaseFirst": st.booleans(),
    }
)


class GroupTests(SynchronousTestCase):
    """
    Groups in which things go wrong.
    """

    @settings(max_examples=40)
    @given(
        st.lists(_SETTINGS, min_size=2, max_size=4),
        st.lists(
            st.tuples(_ACTIONS, st.integers(0, 3), st.integers(0, 3), st.integers(0, 6 * 64)),
            max_size=8,
        ),
    )
    def test_anything(
        self, group: list[dict[str, Any]], story: list[tuple[str, int, int, int]]
    ) -> None:
        """
        Hosts crash, stop, are cut off and return in any order.  Afterwards there is exactly
        one master if any host is left.  If all hosts preempt, it is the preferred one.
        Once all hosts hear each other, no two are master for longer than an interval.
        """
        segment = Segment()
        computers = [
            # The last octet is not the only one that differs.
            segment.add(f"10.99.{index % 2}.{7 - index}", **facts)
            for index, facts in enumerate(group)
        ]
        for computer in computers:
            computer.start()
        for action, index, otherIndex, ticks in story:
            one = computers[index % len(computers)]
            other = computers[otherIndex % len(computers)]
            match action:
                case "crash":
                    one.crash()
                case "start":
                    one.start()
                case "stop":
                    one.stop()
                case "resign" if one.virtualHost is not None:
                    one.virtualHost.resign()
                case "cut":
                    segment.cut(one, other)
                case "heal":
                    segment.heal()
                case "unplug" | "plug":
                    one.plug(action == "plug")
            segment.run(ticks / 64)
        segment.heal()
        for computer in computers:
            computer.plug(True)
        healed = segment.clock.seconds()
        segment.run(25)
        left = [computer for computer in computers if computer.virtualHost is not None]
        masters = segment.masters()
        self.assertEqual(len(masters), min(1, len(left)))
        interval = max(facts["advbase"] + facts["advskew"] / 256 for facts in group)
        self.assertLessEqual(segment.longestOverlap(healed), interval + 2 * LATENCY)
        if left and all(facts["preempt"] for facts in group):
            configurations = [
                computer.virtualHost.configuration.timing
                for computer in (*masters, *left)
                if computer.virtualHost is not None
            ]
            self.assertEqual(configurations[0], min(configurations))
