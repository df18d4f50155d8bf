"""
Tests of the comparison of txcarp with the plain protocol, and the comparison itself.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.simulation import honest
from tests.simulation.kernel import KernelAddresses
from tests.simulation.localclock import LocalClock
from tests.simulation.machine import Asked, Standstill
from tests.simulation.narrator import YEAR, tell
from tests.simulation.player import Play, Player
from tests.simulation.segment import Segment
from tests.simulation.story import (
    Crash,
    Cut,
    Demote,
    Disk,
    Freeze,
    GoBack,
    Group,
    Member,
    Resign,
    SetClock,
    Slew,
    Step,
    Stop,
    Story,
    Unplug,
)
from tests.simulation.twice import Verdict, compare, judge
from txcarp.addresses import parseVirtualAddress
from txcarp.interfaces import IAddressTable

#: How many stories to play.
_STORIES = int(os.environ.get("TXCARP_STORIES", "200"))


def story(*steps: Step, lasts: float = 80.0, **facts: Any) -> Story:
    """
    A story of two hosts, of which the first one is preferred and starts first.  None preempts.
    """
    members = facts.pop("members", (Member(0), Member(100, starts=1.7)))
    group = Group(facts.pop("dialect", "ucarp"), facts.pop("base", 1), members, **facts)
    return Story(group, steps, lasts)


def both(kind: type[Step], **facts: Any) -> tuple[Step, Step]:
    """
    The same for the first two hosts.
    """
    return kind(host=0, **facts), kind(host=1, **facts)


def apart(at: float, seconds: float) -> tuple[Step, Step]:
    """
    Two hosts that do not hear each other.
    """
    return (
        Cut(at=at, host=0, other=1, seconds=seconds),
        Cut(at=at, host=1, other=0, seconds=seconds),
    )


_THREE = (Member(0, True), Member(50, True, starts=0.3), Member(100, True, starts=0.7))

_EQUAL = (Member(50), Member(50, starts=1.7))

#: Stories in which an earlier txcarp was worse than the plain protocol.
_STORIES_BY_NAME = {
    "a host that goes back to ucarp": story(
        GoBack(at=20, host=0, seconds=60), members=(Member(0, True), Member(100)), lasts=110
    ),
    "a host that goes back to OpenBSD": story(
        GoBack(at=20, host=0, seconds=60),
        members=(Member(0, True), Member(100)),
        dialect="openbsd",
        lasts=110,
    ),
    "clocks 20 s apart, and a master that does not hear the other": story(
        Cut(at=20, host=0, other=1, seconds=60),
        Cut(at=20, host=1, other=0, seconds=5),
        members=(Member(0), Member(100, ahead=20.0, starts=1.7)),
        lasts=110,
    ),
    "a backup with a fast clock": story(Slew(at=20, host=1, seconds=270, rate=1.083), lasts=310),
    "a master with a slow clock": story(Slew(at=20, host=0, seconds=270, rate=0.917), lasts=310),
    "a slow clock and a long dead time": story(
        Slew(at=20, host=1, seconds=200, rate=0.9),
        Crash(at=50, host=0, seconds=100),
        members=(Member(0), Member(5, starts=1.7)),
        ratio=10,
        lasts=260,
    ),
    "a preferred backup whose socket overflows": story(
        Freeze(at=20, host=1, seconds=60, room=10),
        members=(Member(100), Member(0, starts=10)),
        lasts=110,
    ),
    "a backup that is suspended while the other resigns": story(
        Freeze(at=34.29, host=0, seconds=3.87, how=Standstill.SUSPENDED),
        Resign(at=38.03, host=1),
        members=(Member(100, starts=1.93), Member(200, True, starts=1.15)),
        ratio=10,
    ),
    "a clock that is decades ahead": story(
        members=(Member(50, True, starts=2.92), Member(200, True, 20 * YEAR, 0.24)), lasts=36
    ),
    "a clock that is set decades ahead": story(
        SetClock(at=11.93, host=0, by=20 * YEAR),
        dialect="freebsd",
        members=(Member(150, starts=1.18), Member(10, starts=3.33)),
        lasts=36,
    ),
    "a flapping host when the other one dies": story(
        Unplug(at=13.35, host=1, seconds=61.39, times=12, each=0.2),
        Crash(at=90, host=0, seconds=60),
        members=(Member(200, True, starts=3.92), Member(150, True, starts=0.79)),
        lasts=180,
    ),
    "three hosts, and the master is demoted (freebsd)": story(
        Demote(at=20, host=0, seconds=30, amount=240), members=_THREE, dialect="freebsd"
    ),
    "three hosts, and the master is demoted (ucarp)": story(
        Demote(at=20, host=0, seconds=30, amount=240), members=_THREE
    ),
    "a partition of equal hosts": story(*apart(20, 20), members=_EQUAL, dialect="freebsd"),
    "all hosts are demoted (ucarp)": story(*both(Demote, at=20, seconds=30, amount=240)),
    "all hosts are demoted (freebsd)": story(
        *both(Demote, at=20, seconds=30, amount=240), dialect="freebsd"
    ),
    "all hosts are demoted (openbsd)": story(
        *both(Demote, at=20, seconds=30, amount=240), dialect="openbsd"
    ),
    "a busy master without an advbase": story(
        *(Freeze(at=20 + number / 10, host=0, seconds=0.013) for number in range(30)),
        base=0,
        members=(Member(2), Member(160, starts=1.7)),
    ),
    "a lone host whose link flaps": story(
        Crash(at=20, host=1, seconds=100),
        Unplug(at=25, host=0, seconds=48, times=12, each=0.3),
        lasts=140,
    ),
}


class HonestTests(SynchronousTestCase):
    """
    A group of txcarp hosts has the same masters as one of plain hosts.
    """

    def test_named(self) -> None:
        """
        In the stories in which it once did not.
        """
        for name, told in _STORIES_BY_NAME.items():
            with self.subTest(name=name):
                verdict = judge(told)
                self.assertEqual(verdict.faults, [], f"{name}\n{verdict}")

    def test_anything(self) -> None:
        """
        In many others.
        """
        for seed in range(_STORIES):
            verdict = judge(tell(seed))
            self.assertEqual(
                verdict.faults, [], f"python -m tests.simulation.honest 1 --seed {seed}"
            )


class CompareTests(SynchronousTestCase):
    """
    What L{compare} finds.
    """

    def setUp(self) -> None:
        self.story = story()
        span = (3.0, 80.0)
        self.good = Play([[span], []], [[span], []], [], [], [])

    def faults(self, told: Story | None = None, plain: Play | None = None, **facts: Any) -> str:
        """
        The faults of a play that differs from a good one.
        """
        safe = attrs.evolve(self.good, **facts)
        return " ".join(compare(told or self.story, safe, plain or self.good).faults)

    def test_equal(self) -> None:
        """
        Equal plays have no faults.
        """
        self.assertEqual(self.faults(), "")

    def test_late(self) -> None:
        """
        A master may be late by one interval, which is 1.39 s with a skew of 100.
        """
        for late, good in ((1.39, True), (1.6, False)):
            spans = [[(3.0 + late, 80.0)], []]
            found = self.faults(masters=spans, holders=spans)
            self.assertEqual(found == "", good, late)

    def test_another(self) -> None:
        """
        The master is the same one, unless both have the same timing.
        """
        spans = [[], [(3.0, 80.0)]]
        self.assertIn("the masters have", self.faults(masters=spans, holders=spans))
        equal = story(members=_EQUAL)
        self.assertEqual(self.faults(equal, masters=spans, holders=spans), "")

    def test_better(self) -> None:
        """
        One master is no fault where the plain protocol has two or none.
        """
        for spans in ([[], []], [[(3.0, 80.0)], [(30.0, 60.0)]]):
            plain = attrs.evolve(self.good, masters=spans)
            self.assertNotIn("the masters have", self.faults(plain=plain))

    def test_often(self) -> None:
        """
        A second mastership is a fault, however short it is, unless another host became master at
        the same moment, or the first advertisement of a host is refused for a reason.
        """
        masters = [[(3.0, 80.0)], [(50.0, 50.0001)]]
        self.assertIn("Hosts become master 2 times", self.faults(masters=masters))
        apartNow = story(SetClock(at=40, host=1, by=30))
        self.assertEqual(self.faults(apartNow, masters=masters), "")
        atOnce = [[(3.0, 80.0)], [(3.0, 3.0001)]]
        self.assertEqual(self.faults(masters=atOnce), "")

    def test_total(self) -> None:
        """
        Many short differences are a fault.
        """
        masters = [[(time, time + 3.0) for time in range(3, 80, 4)], []]
        self.assertIn("The masters differ for 19.00 s", self.faults(masters=masters))

    def test_shared(self) -> None:
        """
        The address is not on two hosts, unless there are two plain masters.
        """
        holders = [[(3.0, 80.0)], [(20.0, 22.2)]]
        self.assertIn("From 20.00 to 22.20 s, two hosts", self.faults(holders=holders))
        plain = attrs.evolve(self.good, masters=[[(3.0, 80.0)], [(20.0, 22.0)]])
        self.assertNotIn("two hosts have", self.faults(plain=plain, holders=holders))

    def test_lease(self) -> None:
        """
        The address is gone two seconds after its host was master, which is its lease, and at the
        end the master has it.
        """
        spans = [[(3.0, 40.0)], [(43.0, 80.0)]]
        plain = attrs.evolve(self.good, masters=spans)
        for until, good in ((42.0, True), (42.9, False)):
            holders = [[(3.0, until)], [(43.0, 80.0)]]
            found = self.faults(plain=plain, masters=spans, holders=holders)
            self.assertEqual(found == "", good, until)
        found = self.faults(holders=[[(3.0, 79.0)], []])
        self.assertIn("At the end the master has skew [0], and [] have", found)

    def test_still(self) -> None:
        """
        A host that stands still is no master.  If it is suspended, it has no address.
        """
        spans = [[(3.0, 80.0)], [(23.0, 80.0)]]
        for how, good in ((Standstill.STOPPED, False), (Standstill.SUSPENDED, True)):
            told = story(Freeze(at=20, host=0, seconds=60, how=how))
            plain = attrs.evolve(self.good, masters=[[(3.0, 20.0)], [(23.0, 80.0)]])
            found = self.faults(told, plain=plain, masters=spans, holders=spans)
            self.assertEqual(found == "", good, found)

    def test_doubts(self) -> None:
        """
        A host that went back to the plain protocol may be disbelieved for three intervals.
        """
        told = story(GoBack(at=20, host=0, seconds=60))
        plain = attrs.evolve(self.good, masters=[[(23.0, 80.0)], [(3.0, 23.0)]])
        for until, good in ((26.0, True), (28.0, False)):
            spans = [[(23.0, 80.0)], [(3.0, until)]]
            found = self.faults(told, plain=plain, masters=spans, holders=spans)
            self.assertEqual(found == "", good, found)

    def test_errors(self) -> None:
        """
        An internal error is a fault.
        """
        self.assertIn("ZeroDivisionError", self.faults(errors=["ZeroDivisionError"]))


class AskedTests(SynchronousTestCase):
    """
    What plain hosts do because txcarp did it: only with a reason.
    """

    def played(self, told: Story, *asked: Asked) -> list[int]:
        """
        The hosts that were master in a play of plain hosts, in their order.
        """
        play = Player(told, True, asked).play()
        begins = [(begin, host) for host, spans in enumerate(play.masters) for begin, _ in spans]
        return [host for _, host in sorted(begins)]

    def test_offer(self) -> None:
        """
        An offer is for a better host.
        """
        asked = Asked(20.1, "10.99.0.1", "offer")
        demotion = Demote(at=20, host=0, seconds=60, amount=150)
        self.assertEqual(self.played(story(demotion), asked), [0, 1])
        self.assertEqual(self.played(story(demotion)), [0])
        self.assertEqual(self.played(story(), asked), [0])

    def test_pause(self) -> None:
        """
        A master yields if it slept for longer than its peers wait.
        """
        for seconds, how, masters in (
            (30.0, Standstill.STOPPED, [0, 1]),
            (1.0, Standstill.STOPPED, [0]),
        ):
            told = story(Freeze(at=20, host=0, seconds=seconds, how=how))
            asked = Asked(20 + seconds, "10.99.0.1", "pause")
            self.assertEqual(self.played(told, asked), masters)
        frozen = Freeze(at=20, host=0, seconds=30, how=Standstill.PAUSED)
        play = Player(story(frozen), True, [Asked(50.0, "10.99.0.1", "pause")]).play()
        self.assertEqual(play.masters[0], [(3.0, 80.0)])

    def test_flaps(self) -> None:
        """
        A host is held out of the election if it lost mastership often, and there is another.
        """
        asked = Asked(60.0, "10.99.0.1", "flaps")
        self.assertEqual(self.played(story(), asked), [0])
        often = Unplug(at=10, host=0, seconds=48, times=12, each=0.1)
        self.assertEqual(self.played(story(often, lasts=90), asked)[-1], 1)
        alone = story(often, Crash(at=5, host=1, seconds=100), lasts=90)
        self.assertEqual(self.played(alone, asked)[-1], 0)

    def test_refused(self) -> None:
        """
        A host takes over from a stranger, and from one that has just gone back.
        """
        told = story(members=(Member(0, starts=10), Member(100)))
        stranger = Asked(30.0, "10.99.0.1", "refused", "10.99.0.2", True)
        self.assertEqual(self.played(told, stranger), [1, 0])
        self.assertEqual(self.played(told, attrs.evolve(stranger, stranger=False)), [1])


class MachineTests(SynchronousTestCase):
    """
    The simulated machines.
    """

    def test_clock(self) -> None:
        """
        A slewed clock makes its calls early or late, shows what it should, and can stand still.
        """
        segment = Segment()
        clock = segment.add("10.99.0.1").clock
        calls: list[float] = []
        clock.turn(0.0, 1.25)
        clock.callLater(10, lambda: calls.append(segment.clock.seconds()))
        segment.run(9)
        self.assertEqual(calls, [8.0])
        self.assertEqual(clock.seconds(), 11.25)
        clock.turn(9.0, 1.0)
        clock.skip(19.0)
        segment.run(11)
        self.assertEqual(clock.seconds(), 12.25)
        self.assertEqual(clock.successor(21.0).seconds(), 13.25)

    def test_addresses(self) -> None:
        """
        The kernel removes an address at the end of its lease, whatever the process does.
        """
        clock, ended = LocalClock(0.0), []
        kernel = KernelAddresses(clock, lambda: ended.append(clock.seconds()))
        verifyObject(IAddressTable, kernel)
        address = [parseVirtualAddress("10.99.0.100")]
        kernel.hold("eth7", address, 2, True)
        clock.advance(1)
        kernel.hold("eth7", address, 2, True)
        for _ in range(4):
            clock.advance(0.5)
        self.assertEqual(kernel.spans, [(0.0, 3.0)])
        self.assertEqual(ended, [3.0])

    def test_overflow(self) -> None:
        """
        While a process does not read, its socket keeps the oldest packets.  A suspended machine
        keeps none.
        """
        for how, unread in ((Standstill.STOPPED, 2), (Standstill.SUSPENDED, 0)):
            player = Player(story(), plainly=False)
            one, other = player.machines
            one.start()
            other.start()
            player.segment.run(10)
            other.halt(how, 2)
            player.segment.run(10)
            self.assertEqual(len(other._unread), unread)
            [last, *_] = other._unread or [None]
            other.goOn()
            self.assertEqual(other._unread, [])
            self.assertEqual(last is None, unread == 0)

    def knows(self, disk: Disk) -> bool:
        """
        Whether a host that starts again knows the other one from its state file.
        """
        player = Player(story(Stop(at=20, host=1, seconds=1, disk=disk)), plainly=False)
        machine = player.machines[1]
        start, found = machine.start, [False]

        def started() -> None:
            found.append("10.99.0.1" in "".join(machine.disk.texts.values()))
            start()

        machine.start = started  # type: ignore[method-assign]
        player.play()
        return found[-1]

    def test_restarts(self) -> None:
        """
        A host starts with the state that the story gives it.
        """
        for disk, known in (
            (Disk.KEPT, True),
            (Disk.LOST, False),
            (Disk.OLDER, False),
            (Disk.FOREIGN, True),
        ):
            self.assertEqual(self.knows(disk), known, disk)


class StoryTests(SynchronousTestCase):
    """
    Stories as values.
    """

    def test_same(self) -> None:
        """
        A number always tells the same story, others tell others.
        """
        self.assertEqual(tell(5), tell(5))
        self.assertNotEqual(tell(5), tell(6))

    def test_kinds(self) -> None:
        """
        All that can happen does happen, in every dialect.
        """
        stories = [tell(seed) for seed in range(300)]
        for dialect in ("ucarp", "freebsd", "openbsd"):
            steps = [
                step for told in stories if told.group.dialect == dialect for step in told.steps
            ]
            self.assertEqual({type(step) for step in steps}, set(Step.__subclasses__()))
        self.assertEqual({len(told.group.members) for told in stories}, {2, 3})
        self.assertEqual({told.group.base for told in stories}, {0, 1, 2})
        freezes = [step for told in stories for step in told.steps if isinstance(step, Freeze)]
        self.assertEqual({step.how for step in freezes}, set(Standstill))

    def test_readable(self) -> None:
        """
        A story can be read, and pasted into a test.
        """
        told = tell(5)
        self.assertEqual(len(str(told).splitlines()), len(told.group.members) + len(told.steps) + 2)
        self.assertIn("stands still for 2.00 s", str(Freeze(at=1, host=0, seconds=2)))
        self.assertTrue(repr(told).startswith("Story(group=Group(dialect="))

    def test_shrunk(self) -> None:
        """
        The shortest story that fails has nothing that does not matter.
        """
        told = next(told for told in map(tell, range(50)) if len(told.steps) > 3)
        needed = told.steps[2]
        shrunk = told.shrunk(lambda story: needed in story.steps)
        self.assertEqual(shrunk.steps, (needed,))
        self.assertTrue(all(member.ahead == 0.0 for member in shrunk.group.members))


class CommandTests(SynchronousTestCase):
    """
    C{python -m tests.simulation.honest}.
    """

    def ran(self, *arguments: str) -> tuple[int, str]:
        """
        The exit status of the command, and what it prints.
        """
        output = io.StringIO()
        self.patch(sys, "stdout", output)
        return honest.main(arguments), output.getvalue()

    def test_good(self) -> None:
        """
        If no schedule fails, it says so.
        """
        status, output = self.ran("3", "--processes", "1")
        self.assertEqual(status, 0)
        self.assertIn("3 schedules, each played twice", output)
        self.assertIn("the masters are the same", output)

    def test_bad(self) -> None:
        """
        It shows a story that fails, and names the others.
        """

        def condemn(told: Story) -> Verdict:
            verdict = Verdict(told, Play([], [], [], [], []), Play([], [], [], [], []), [])
            return attrs.evolve(verdict, faults=["It is bad."] if told.steps else [])

        self.patch(honest, "judge", condemn)
        status, output = self.ran("7", "--seed", "100", "--processes", "1")
        self.assertEqual(status, 1)
        self.assertIn("Schedule 100:\nA group with", output)
        self.assertIn("It is bad.\nStory(", output)
        self.assertIn("These fail as well: 105, 106", output)
        self.assertIn("7 fail", output)
