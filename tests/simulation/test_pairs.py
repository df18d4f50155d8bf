"""
Two and more hosts on one segment.
"""

from __future__ import annotations

import itertools
import time
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.simulation.segment import ADDRESS, LATENCY, Computer, Segment
from txcarp.interfaces import IAdvertisementTransport, INetwork
from txcarp.mastership.mastership import FOLLOW
from txcarp.protocol import ipv4
from txcarp.protocol.effects import Role


def pair(one: dict[str, Any], other: dict[str, Any]) -> tuple[Segment, Computer, Computer]:
    """
    Two hosts that run, ten seconds after both were started.
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
        The simulation has all that a host needs.
        """
        computer = Segment().add("10.99.0.1")
        verifyObject(INetwork, computer)
        way = computer.attach("eth0", 7, ipv4.GROUP, False, None)
        verifyObject(IAdvertisementTransport, way)

    def test_start(self) -> None:
        """
        Of two hosts that are started together the better one is master, and
        the other one never was.
        """
        segment, first, second = pair({"advskew": 10}, {"advskew": 20})
        self.assertEqual(segment.masters(), [first])
        self.assertEqual({reign.host for reign in segment.reigns}, {first.source})
        self.assertIs(second.role, Role.BACKUP)

    def test_allSkews(self) -> None:
        """
        That is so for every difference of skew, down to one 256th.
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
        When the master dies the other one takes over exactly its dead time
        after the last advertisement; when that dies, the first one does.
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
        When the master is stopped the other one takes over as soon as the
        bow-out has arrived, and the old one lets go when the new one has had time
        to announce the addresses.
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
        Handing over on request is as fast, and lasts where nobody preempts.
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
        A better host that returns takes the mastership back with preempt, at
        the first advertisement that it hears, and without it does not.
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
        A better host that cannot do what a master has to interrupts the other one less and
        less often; once it can, it soon becomes master. Alone it tries as often as ever.
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
        A host whose cable is pulled is no master at once, and a backup when it
        is back.
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
        Two that do not hear each other are both master; once they do, only
        the better one is, within one of its intervals.
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
        With equal timing the address decides as it does for ucarp: 10.99.1.1
        stays. Neither order of starting changes that.
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
        Where the dead time is no longer than the interval of the master (a dead ratio of
        one; no base; a master as slow as can be borne) an advertisement that is a little
        late is no dead master. A dead one is missed soon, all the same.
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
        A demoted host that waits as long as it would without the demotion bears a master
        that is slower than that by less than the demotion.
        """
        segment, first, second = pair({"deadRatio": 1}, {"deadRatio": 1, "advskew": 1})
        assert first.virtualHost is not None
        first.virtualHost.demote("slow disk", 30)
        segment.run(100)
        self.assertEqual(segment.masters(), [second])
        self.assertEqual(len(segment.reigns), 2)

    def test_noMarginAfterATie(self) -> None:
        """
        Nor is it one for a master that has just given way.
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
        The winner announces again when it hears the loser's farewell, so that
        the neighbours end with the right one.
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
        The wall clock may be set as anybody likes: nothing changes.
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
        Whatever crashes, stops, is cut off and comes back: afterwards there is
        exactly one master if any host is left, and it is the preferred one
        where all preempt. From the moment from which all can hear each other
        no two are master for longer than an interval.
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
