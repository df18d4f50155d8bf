"""
Tests for L{txcarp.membership.timers}; for faults inside the rhythm see
L{tests.test_virtualhost_trouble}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from txcarp.membership.timers import MasterDown, Rhythm, cancel
from txcarp.protocol.events import BeatDue, DeadlinePassed, Event
from txcarp.protocol.family import Family

_4, _6 = Family.IPV4, Family.IPV6
_BOTH = (_4, _6)


class Watched:
    """
    A deadline, and what it reports.

    @ivar expired: When it was reported, and how late it said it was.
    @ivar waiting: What it said, then, of unread packets.
    @ivar silent: When a family was reported to be silent, that family, and the
        one in which the master was heard.
    @ivar unread: Whether packets wait.
    """

    def __init__(self, *families: Family, any: bool = False) -> None:
        self.clock = Clock()
        self.expired: list[tuple[float, float]] = []
        self.waiting: list[bool] = []
        self.silent: list[tuple[float, Family, Family]] = []
        self.unread = False
        self.looks = 0
        self.deadline = MasterDown(
            self.clock,
            families,
            self._expired,
            self._hasUnread,
            anyFamily=any,
        )

    def heard(self, delay: float, family: Family) -> None:
        """
        Have the master heard in a family.
        """
        self.deadline.arm(delay, family)
        for silent in self.deadline.silent:
            self.silent.append((self.clock.seconds(), silent, family))

    def _expired(self, event: Event) -> None:
        assert isinstance(event, DeadlinePassed)
        self.expired.append((self.clock.seconds(), event.lateness))
        self.waiting.append(event.unread)

    def _hasUnread(self) -> bool:
        self.looks += 1
        return self.unread

    def run(self, until: float) -> None:
        """
        Let time pass in small steps.
        """
        while self.clock.seconds() < until:
            self.clock.advance(0.125)


class OneFamilyTests(SynchronousTestCase):
    """
    A virtual host with addresses of one family.
    """

    def test_expires(self) -> None:
        """
        Nobody spoke: that is reported once, in time.
        """
        for family in _BOTH:
            watched = Watched(family)
            watched.deadline.arm(3.0)
            watched.run(2.875)
            self.assertEqual(watched.expired, [])
            watched.run(20)
            self.assertEqual(watched.expired, [(3.0, 0.0)])
            self.assertEqual(watched.silent, [])

    def test_heard(self) -> None:
        """
        Each advertisement sets it anew.
        """
        watched = Watched(_4)
        watched.deadline.arm(3.0)
        for second in range(1, 11):
            watched.run(second)
            watched.heard(3.0, _4)
        watched.run(30)
        self.assertEqual(watched.expired, [(13.0, 0.0)])
        self.assertEqual(watched.silent, [])

    def test_notArmed(self) -> None:
        """
        Without being set it never passes.
        """
        watched = Watched(_4)
        watched.run(10)
        self.assertEqual((watched.expired, watched.clock.getDelayedCalls()), ([], []))

    def test_disarmed(self) -> None:
        """
        Forgotten is forgotten, also twice.
        """
        watched = Watched(*_BOTH)
        watched.deadline.arm(3.0)
        watched.deadline.disarm()
        watched.deadline.disarm()
        self.assertEqual(watched.clock.getDelayedCalls(), [])
        watched.run(10)
        self.assertEqual(watched.expired, [])
        watched.deadline.arm(3.0)
        watched.run(20)
        self.assertEqual(watched.expired, [(13.0, 0.0)])

    def test_unread(self) -> None:
        """
        It is told whether packets wait when it has passed.
        """
        for unread in (False, True):
            watched = Watched(_4)
            watched.unread = unread
            watched.deadline.arm(3.0)
            watched.run(3)
            self.assertEqual((watched.expired, watched.waiting), ([(3.0, 0.0)], [unread]))

    def test_late(self) -> None:
        """
        How late it was noticed is said.
        """
        watched = Watched(_4)
        watched.deadline.arm(3.0)
        watched.clock.advance(8.5)
        self.assertEqual(watched.expired, [(8.5, 5.5)])


class BothFamiliesTests(SynchronousTestCase):
    """
    A virtual host with addresses of both.
    """

    def setUp(self) -> None:
        self.watched = Watched(*_BOTH)
        self.watched.deadline.arm(3.0)

    def hear(self, family: Family, *seconds: int) -> None:
        """
        The master is heard at these moments.
        """
        for second in seconds:
            self.watched.run(second)
            self.watched.heard(3.0, family)

    def test_allSilent(self) -> None:
        """
        It has passed when that of each family has, which is reported once.
        """
        self.hear(_4, 1)
        self.hear(_6, 2)
        self.watched.run(30)
        self.assertEqual(self.watched.expired, [(5.0, 0.0)])
        self.assertEqual(self.watched.silent, [])

    def test_together(self) -> None:
        """
        If they pass at the same moment that is one report.
        """
        self.watched.run(30)
        self.assertEqual(self.watched.expired, [(3.0, 0.0)])

    def test_oneSilent(self) -> None:
        """
        C23: one alone moves nothing. It is told with each advertisement in the
        other, and not before it is silent, nor when it is heard again.
        """
        for silent, heard in ((_6, _4), (_4, _6)):
            self.setUp()
            self.hear(heard, 1, 2)
            self.assertEqual(self.watched.silent, [])
            self.hear(heard, 3, 4, 5)
            told = [(3.0, silent, heard), (4.0, silent, heard), (5.0, silent, heard)]
            self.assertEqual(self.watched.silent, told)
            self.hear(silent, 6)
            self.hear(heard, 7, 8)
            self.assertEqual(self.watched.silent, told)
            self.assertEqual(self.watched.expired, [])
            self.watched.run(30)
            self.assertEqual(self.watched.expired, [(11.0, 0.0)])

    def test_silentFamilyFirst(self) -> None:
        """
        When the other becomes silent, too, the master is missed, as late as that
        one.
        """
        self.hear(_4, 1, 2, 3, 4)
        self.watched.clock.advance(3.25)
        self.assertEqual(self.watched.expired, [(7.25, 0.25)])

    def test_armAll(self) -> None:
        """
        A new beginning is one for both: nobody is silent yet.
        """
        self.hear(_4, 1, 2, 3)
        self.watched.silent.clear()
        self.watched.deadline.arm(3.0)
        self.hear(_4, 4, 5)
        self.assertEqual(self.watched.silent, [])

    def test_disarm(self) -> None:
        """
        Also after it was forgotten.
        """
        self.hear(_4, 1, 2, 3)
        self.watched.silent.clear()
        self.watched.deadline.disarm()
        self.watched.deadline.arm(3.0)
        self.hear(_4, 4)
        self.assertEqual(self.watched.silent, [])

    def test_any(self) -> None:
        """
        The BSD kernels take over when one is silent.
        """
        self.watched = Watched(*_BOTH, any=True)
        self.watched.deadline.arm(3.0)
        self.hear(_4, 1, 2)
        self.assertEqual(self.watched.expired, [])
        self.watched.run(3.5)
        self.assertEqual(self.watched.expired, [(3.0, 0.0)])

    def test_anyDeaf(self) -> None:
        """
        The silence of one in which nobody can be heard is not enough, and has to last its
        full time again once somebody can.
        """
        self.watched = Watched(*_BOTH, any=True)
        self.watched.deadline.deafen(frozenset([_6]), 3.0)
        self.watched.deadline.arm(3.0)
        self.hear(_4, *range(1, 10))
        self.assertEqual(self.watched.expired, [])
        self.watched.deadline.deafen(frozenset(), 3.0)
        self.hear(_4, 10, 11)
        self.assertEqual(self.watched.expired, [])
        self.watched.run(12)
        self.assertEqual(self.watched.expired, [(12.0, 0.0)])

    def test_deafDisarmed(self) -> None:
        """
        What is heard again begins no deadline where none was.
        """
        self.watched.deadline.disarm()
        self.watched.deadline.deafen(frozenset([_4]), 3.0)
        self.watched.deadline.deafen(frozenset(), 3.0)
        self.watched.run(30)
        self.assertEqual(self.watched.expired, [])

    def test_anyTold(self) -> None:
        """
        They are told as well, as long as nothing comes of it.
        """
        self.watched = Watched(*_BOTH, any=True)
        self.watched.deadline.arm(3.0)
        self.hear(_4, 1, 2, 3, 4)
        self.assertEqual(self.watched.silent, [(3.0, _6, _4), (4.0, _6, _4)])

    @given(
        st.lists(st.tuples(st.sampled_from(_BOTH), st.integers(0, 16)), max_size=30),
        st.booleans(),
    )
    def test_anyOrder(self, history: list[tuple[Family, int]], any: bool) -> None:
        """
        Whatever is heard when, the first report comes at the moment at which all
        families, or any, have been silent for the dead time.
        """
        watched = Watched(*_BOTH, any=any)
        watched.deadline.arm(3.0)
        last = dict.fromkeys(_BOTH, 0.0)
        expected: float | None = None
        choose = min if any else max
        for family, eighths in history:
            watched.clock.pump([0.125] * eighths)
            due = choose(last.values()) + 3.0
            if due <= watched.clock.seconds():
                expected = due
                break
            watched.heard(3.0, family)
            last[family] = watched.clock.seconds()
        if expected is None:
            expected = choose(last.values()) + 3.0
            watched.run(expected)
        self.assertEqual(watched.expired[0], (expected, 0.0))


class SecondLookTests(SynchronousTestCase):
    """
    Tests for L{MasterDown.lookAgain}.
    """

    def setUp(self) -> None:
        self.watched = Watched(_4)
        self.watched.deadline.arm(3.0)
        self.watched.clock.advance(10.0)
        self.watched.expired.clear()

    def test_nothingThere(self) -> None:
        """
        If nothing waits it is reported once more, as if in time.
        """
        self.watched.deadline.lookAgain(0.25)
        self.watched.run(20)
        self.assertEqual(self.watched.expired, [(10.25, 0.0)])

    def test_unread(self) -> None:
        """
        As long as something waits it is put off.
        """
        self.watched.unread = True
        self.watched.deadline.lookAgain(0.25)
        self.watched.run(12)
        self.assertEqual(self.watched.expired, [])
        self.watched.unread = False
        self.watched.run(20)
        self.assertEqual(self.watched.expired, [(12.25, 0.0)])
        self.assertEqual(self.watched.waiting[-1:], [False])

    def test_notForEver(self) -> None:
        """
        A flood does not put it off for ever.
        """
        self.watched.unread = True
        self.watched.deadline.lookAgain(0.25)
        self.watched.run(60)
        self.assertEqual(self.watched.expired, [(10 + 100 * 0.25, 0.0)])
        self.assertLess(self.watched.looks, 101)

    def test_countedAnew(self) -> None:
        """
        Each second look has the same patience.
        """
        self.watched.unread = True
        for _ in range(3):
            self.watched.deadline.lookAgain(0.25)
            self.watched.run(self.watched.clock.seconds() + 20)
            self.watched.heard(1.0, _4)
            self.watched.clock.advance(5.0)
            self.assertEqual(self.watched.expired.pop()[1], 4.0)
            self.assertEqual(self.watched.expired, [])

    def test_heard(self) -> None:
        """
        What was read spoke for the master.
        """
        self.watched.deadline.lookAgain(0.25)
        self.watched.heard(3.0, _4)
        self.watched.run(12.875)
        self.assertEqual(self.watched.expired, [])
        self.watched.run(13)
        self.assertEqual(self.watched.expired, [(13.0, 0.0)])

    def test_forgotten(self) -> None:
        """
        It ends with the deadline.
        """
        self.watched.deadline.lookAgain(0.25)
        self.watched.deadline.disarm()
        self.assertEqual(self.watched.clock.getDelayedCalls(), [])

    def test_twice(self) -> None:
        """
        Two at a time are one.
        """
        self.watched.deadline.lookAgain(0.25)
        self.watched.deadline.lookAgain(0.5)
        self.watched.run(20)
        self.assertEqual(self.watched.expired, [(10.5, 0.0)])

    def test_anyNotHeard(self) -> None:
        """
        Where the silence of any is enough, hearing the other does not end the
        second look.
        """
        watched = Watched(*_BOTH, any=True)
        watched.deadline.arm(3.0)
        watched.run(2)
        watched.heard(3.0, _4)
        watched.clock.advance(2.0)
        self.assertEqual(watched.expired, [(4.0, 1.0)])
        watched.deadline.lookAgain(0.25)
        watched.heard(3.0, _4)
        watched.run(5)
        self.assertEqual(watched.expired[1:], [(4.25, 0.0)])
        # Unless that family is heard, too.
        watched.clock.advance(3.0)
        watched.deadline.lookAgain(0.25)
        watched.heard(3.0, _4)
        watched.heard(3.0, _6)
        before = len(watched.expired)
        watched.run(10)
        self.assertEqual(len(watched.expired), before)

    def test_oneFamilyHeard(self) -> None:
        """
        With two families, one that is heard in time is enough.
        """
        watched = Watched(*_BOTH)
        watched.deadline.arm(3.0)
        watched.clock.advance(10.0)
        self.assertEqual(watched.expired, [(10.0, 7.0)])
        watched.deadline.lookAgain(0.25)
        watched.heard(3.0, _6)
        self.assertEqual(watched.silent, [(10.0, _4, _6)])
        watched.run(30)
        self.assertEqual(watched.expired[1:], [(13.0, 0.0)])


class CancelTests(SynchronousTestCase):
    """
    Tests for L{cancel}.
    """

    def test_each(self) -> None:
        """
        Nothing, a call that waits, one that was made, and one that was
        cancelled before.
        """
        cancel(None)
        clock = Clock()
        done: list[int] = []
        waiting = clock.callLater(2, done.append, 2)
        made = clock.callLater(1, done.append, 1)
        clock.advance(1)
        for call in (waiting, made, waiting):
            cancel(call)
        clock.advance(5)
        self.assertEqual(done, [1])


class RhythmTests(SynchronousTestCase):
    """
    Tests for L{Rhythm}.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.beats: list[float] = []
        self.rhythm = Rhythm(self.clock, self.beat, self.clock.seconds)

    def beat(self, event: Event) -> None:
        """
        Note a beat.
        """
        self.assertEqual(event, BeatDue())
        self.beats.append(self.clock.seconds())
        self.rhythm.beaten()

    def test_beats(self) -> None:
        """
        One after each interval.
        """
        self.rhythm.start(1.25)
        self.clock.pump([0.25] * 20)
        self.assertEqual(self.beats, [1.25, 2.5, 3.75, 5.0])
        self.assertEqual(self.rhythm.interval, 1.25)
        self.rhythm.start(2.0)
        self.clock.pump([0.25] * 20)
        self.assertEqual(self.beats[4:], [7.0, 9.0])

    def test_stop(self) -> None:
        """
        None after it was stopped, once or twice.
        """
        self.rhythm.start(1.0)
        self.clock.pump([0.25] * 4)
        self.rhythm.stop()
        self.rhythm.stop()
        self.clock.pump([0.25] * 20)
        self.assertEqual(self.beats, [1.0])
        self.assertIsNone(self.rhythm.interval)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_silence(self) -> None:
        """
        Counted from the last beat, or from the start.
        """
        self.rhythm.start(4.0)
        self.clock.advance(3.0)
        self.assertEqual(self.rhythm.silence(), 3.0)
        self.clock.advance(1.0)
        self.clock.advance(0.5)
        self.assertEqual(self.rhythm.silence(), 0.5)

    def test_changedByABeat(self) -> None:
        """
        A beat may set another rhythm, and there is one.
        """
        def slower(event: Event) -> None:
            self.beats.append(self.clock.seconds())
            if self.rhythm.interval == 1.0:
                self.rhythm.start(2.0)

        self.rhythm = Rhythm(self.clock, slower, self.clock.seconds)
        self.rhythm.start(1.0)
        self.clock.pump([0.25] * 28)
        self.assertEqual(self.beats, [1.0, 3.0, 5.0, 7.0])

    def test_stoppedByABeat(self) -> None:
        """
        Or end it.
        """
        def last(event: Event) -> None:
            self.beats.append(self.clock.seconds())
            self.rhythm.stop()

        self.rhythm = Rhythm(self.clock, last, self.clock.seconds)
        self.rhythm.start(1.0)
        self.clock.pump([0.25] * 28)
        self.assertEqual(self.beats, [1.0])

    def test_fault(self) -> None:
        """
        A beat that fails is logged, and the next one comes.
        """
        def fails(event: Event) -> None:
            self.beats.append(self.clock.seconds())
            raise RuntimeError("broken")

        self.rhythm = Rhythm(self.clock, fails, self.clock.seconds)
        self.rhythm.start(1.0)
        self.clock.pump([0.25] * 12)
        self.assertEqual(self.beats, [1.0, 2.0, 3.0])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 3)
