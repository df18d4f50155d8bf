"""
Tests for L{txcarp.membership.timers}.

Exceptions inside a beat are also tested in L{tests.test_virtualhost_trouble}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import configured
from txcarp.clock.metronome import Metronome
from txcarp.membership.timers import MasterDown, MasterPauses, Rhythm, cancel
from txcarp.protocol.events import BeatDue, DeadlineNear, DeadlinePassed, Event, Slept
from txcarp.protocol.family import Family

_4, _6 = Family.IPV4, Family.IPV6
_BOTH = (_4, _6)


class Watched:
    """
    A deadline, and its events.

    @ivar expired: The time and the lateness of each event.
    @ivar waiting: Whether each event reported unread packets.
    @ivar silent: Each time when the master was heard while a family was silent, that family, and
        the family in which the master was heard.
    @ivar unread: Whether there are unread packets.
    @ivar reads: The number of times that the deadline had unread packets read.
    @ivar arrived: Whether the master has been heard, once they are read.
    @ivar asleep: Seconds for which the machine slept.
    @ivar hasLooked: Whether the last event said so.
    @ivar near: The time of each L{DeadlineNear}.
    @ivar slept: The time and the pause of each L{Slept}, after which the deadline is set to three
        seconds.
    """

    def __init__(
        self, *families: Family, any: bool = False, tolerated: float = 1000.0
    ) -> None:
        self.clock = Clock()
        self.expired: list[tuple[float, float]] = []
        self.waiting: list[bool] = []
        self.silent: list[tuple[float, Family, Family]] = []
        self.unread = False
        self.reads = 0
        self.arrived = False
        self.asleep = 0.0
        self.slept: list[tuple[float, float]] = []
        self.hasLooked = False
        self.near: list[float] = []
        self.deadline = MasterDown(
            self.clock,
            families,
            self._expired,
            lambda: self.unread,
            self._readUnread,
            lambda: self.clock.seconds() + self.asleep,
            tolerated=tolerated,
            anyFamily=any,
        )

    def heard(self, delay: float, family: Family) -> None:
        """
        Hear the master in a family.
        """
        self.deadline.arm(delay, family)
        for silent in self.deadline.silent:
            self.silent.append((self.clock.seconds(), silent, family))

    def _expired(self, event: Event) -> None:
        if isinstance(event, Slept):
            self.slept.append((self.clock.seconds(), event.pause))
            self.deadline.arm(3.0)
            return
        if isinstance(event, DeadlineNear):
            self.near.append(self.clock.seconds())
            return
        assert isinstance(event, DeadlinePassed)
        self.expired.append((self.clock.seconds(), event.lateness))
        self.waiting.append(event.unread)
        self.hasLooked = event.hasLooked

    def _readUnread(self) -> None:
        self.reads += 1
        if self.arrived:
            self.arrived = False
            self.deadline.arm(3.0, _4)

    def run(self, until: float) -> None:
        """
        Let time pass in small steps.
        """
        while self.clock.seconds() < until:
            self.clock.advance(0.125)


class OneFamilyTests(SynchronousTestCase):
    """
    Deadlines with one family.
    """

    def test_expires(self) -> None:
        """
        Silence is reported once, in time.
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
        Each advertisement sets a new deadline.
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
        A deadline that was never set does not pass.
        """
        watched = Watched(_4)
        watched.run(10)
        self.assertEqual((watched.expired, watched.clock.getDelayedCalls()), ([], []))

    def test_disarmed(self) -> None:
        """
        A removed deadline does not pass, and may be removed twice.
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
        The event says whether there are unread packets.
        """
        for unread in (False, True):
            watched = Watched(_4)
            watched.unread = unread
            watched.deadline.arm(3.0)
            watched.run(3)
            self.assertEqual((watched.expired, watched.waiting), ([(3.0, 0.0)], [unread]))

    def test_near(self) -> None:
        """
        With slow advertisements it is told once, a moment before, that the deadline is near.
        """
        for tolerated, near in ((1.0, [4.5]), (0.1, [4.5]), (0.05, [])):
            watched = Watched(_4, tolerated=tolerated)
            watched.deadline.arm(3.0)
            watched.run(1.5)
            watched.deadline.arm(3.0)
            while watched.clock.seconds() < 6:
                watched.clock.advance(1 / 1024)
            [(when, _)] = watched.expired
            self.assertLess(abs(when - 4.5), 1 / 1024)
            self.assertEqual([round(when, 2) for when in watched.near], near)
            self.assertTrue(all(when < 4.5 for when in watched.near))

    def test_since(self) -> None:
        """
        A deadline counts from when the advertisement was read.  The machine may have slept before,
        but not since.
        """
        for asleep in (0.0, 7.0):
            for before, due in ((1 / 32, 3.96875), (1 / 16, 4.0), (2.0, 4.0)):
                watched = Watched(_4)
                watched.asleep = asleep
                watched.run(1.0)
                watched.deadline.arm(3.0, _4, 1.0 - before + asleep)
                watched.clock.advance(due - 1.0 - 1 / 128)
                self.assertEqual(watched.expired, [])
                watched.clock.advance(1 / 128)
                self.assertEqual(watched.expired, [(due, 0.0)])

    def test_late(self) -> None:
        """
        The event says how late the deadline was noticed.
        """
        watched = Watched(_4)
        watched.deadline.arm(3.0)
        watched.clock.advance(8.5)
        self.assertEqual(watched.expired, [(8.5, 5.5)])


class SleepTests(SynchronousTestCase):
    """
    Deadlines of a host that does not run for a while.
    """

    def test_noticed(self) -> None:
        """
        A pause is noticed by the next timer, which is due within the tolerated time.  It is told
        once, and sets the deadline anew, with one family or two.
        """
        for families in ((_4,), _BOTH):
            for any in (False, True):
                for before, pause in ((0.0, 1.25), (0.5, 1.75), (2.75, 1.5), (2.0, 100.0)):
                    watched = Watched(*families, any=any, tolerated=0.25)
                    watched.deadline.arm(3.0)
                    watched.run(before)
                    watched.clock.advance(pause)
                    [(when, least)] = watched.slept
                    self.assertEqual(when, before + pause)
                    self.assertGreaterEqual(pause, least)
                    self.assertGreaterEqual(least, pause - 0.25)
                    watched.run(when + 2.875)
                    self.assertEqual(watched.expired, [])
                    watched.run(when + 20)
                    self.assertEqual(watched.expired[0], (when + 3.0, 0.0))

    def test_suspended(self) -> None:
        """
        The sleep of the machine counts, in which the clock of the timers stands still.
        """
        watched = Watched(_4, tolerated=1.0)
        watched.deadline.arm(3.0)
        watched.run(0.5)
        watched.asleep = 7.0
        watched.run(1.0)
        self.assertEqual(watched.slept, [(1.0, 7.0)])
        watched.run(20.0)
        self.assertEqual(watched.expired, [(4.0, 0.0)])

    def test_packetFirst(self) -> None:
        """
        It can be asked for before a timer notices it.
        """
        watched = Watched(_4, tolerated=1.0)
        watched.deadline.arm(3.0)
        watched.clock.rightNow = 9.0
        self.assertEqual(watched.deadline.slept(), 8.0)
        watched.deadline.arm(3.0)
        self.assertEqual(watched.deadline.slept(), 0.0)
        watched.run(20.0)
        self.assertEqual((watched.slept, watched.expired), ([], [(12.0, 0.0)]))

    def test_notArmed(self) -> None:
        """
        Without a deadline nothing is late.
        """
        watched = Watched(*_BOTH, tolerated=1.0)
        watched.clock.advance(100)
        self.assertEqual(watched.deadline.slept(), 0.0)
        watched.deadline.arm(3.0)
        watched.deadline.disarm()
        watched.clock.advance(100)
        self.assertEqual(watched.deadline.slept(), 0.0)

    def test_inSecondLook(self) -> None:
        """
        A pause in the second look is noticed, too.
        """
        watched = Watched(_4, tolerated=1.0)
        watched.deadline.arm(3.0)
        watched.run(3.0)
        watched.deadline.lookAgain(0.25)
        watched.clock.advance(5.25)
        self.assertEqual(watched.slept, [(8.25, 5.0)])
        watched.run(20.0)
        self.assertEqual(watched.expired, [(3.0, 0.0), (11.25, 0.0)])

    @given(st.lists(st.tuples(st.integers(1, 8), st.booleans()), max_size=40))
    def test_always(self, story: list[tuple[int, bool]]) -> None:
        """
        However the host runs and hears, nothing expires sooner than its dead time after it ran
        again.
        """
        watched = Watched(_4, tolerated=0.25)
        watched.deadline.arm(3.0)
        last = 0.0
        for steps, heard in story:
            watched.clock.advance(steps / 4)
            if steps > 2:
                last = watched.clock.seconds()
            if heard:
                watched.deadline.arm(3.0, _4)
            for when, _ in watched.expired:
                self.assertGreaterEqual(when, last + 3.0)
            if watched.expired:
                return


class BothFamiliesTests(SynchronousTestCase):
    """
    Deadlines with both families.
    """

    def setUp(self) -> None:
        self.watched = Watched(*_BOTH)
        self.watched.deadline.arm(3.0)

    def hear(self, family: Family, *seconds: int) -> None:
        """
        Hear the master at these times.
        """
        for second in seconds:
            self.watched.run(second)
            self.watched.heard(3.0, family)

    def test_allSilent(self) -> None:
        """
        The deadline has passed, and that is reported once, when the deadlines of both families
        have.
        """
        self.hear(_4, 1)
        self.hear(_6, 2)
        self.watched.run(30)
        self.assertEqual(self.watched.expired, [(5.0, 0.0)])
        self.assertEqual(self.watched.silent, [])

    def test_together(self) -> None:
        """
        It is also reported once if both pass at the same time.
        """
        self.watched.run(30)
        self.assertEqual(self.watched.expired, [(3.0, 0.0)])

    def test_oneSilent(self) -> None:
        """
        C23: the silence of one family alone has no effect.  It is known whenever the master is
        heard in the other family, from the deadline until the silent family is heard again.
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
        When the other family becomes silent, too, its deadline and its lateness are reported.
        """
        self.hear(_4, 1, 2, 3, 4)
        self.watched.clock.advance(3.25)
        self.assertEqual(self.watched.expired, [(7.25, 0.25)])

    def test_armAll(self) -> None:
        """
        When all deadlines are set again, no family is silent.
        """
        self.hear(_4, 1, 2, 3)
        self.watched.silent.clear()
        self.watched.deadline.arm(3.0)
        self.hear(_4, 4, 5)
        self.assertEqual(self.watched.silent, [])

    def test_disarm(self) -> None:
        """
        The same is true after the deadline was removed.
        """
        self.hear(_4, 1, 2, 3)
        self.watched.silent.clear()
        self.watched.deadline.disarm()
        self.watched.deadline.arm(3.0)
        self.hear(_4, 4)
        self.assertEqual(self.watched.silent, [])

    def test_any(self) -> None:
        """
        By the rule of the BSD kernels, the silence of one family is enough.
        """
        self.watched = Watched(*_BOTH, any=True)
        self.watched.deadline.arm(3.0)
        self.hear(_4, 1, 2)
        self.assertEqual(self.watched.expired, [])
        self.watched.run(3.5)
        self.assertEqual(self.watched.expired, [(3.0, 0.0)])

    def test_anyDeaf(self) -> None:
        """
        But the silence of a family in which no packet can arrive is not enough.  When packets can
        arrive, it must last for the full time again.
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
        When packets can arrive again, no deadline is set unless there was one.
        """
        self.watched.deadline.disarm()
        self.watched.deadline.deafen(frozenset([_4]), 3.0)
        self.watched.deadline.deafen(frozenset(), 3.0)
        self.watched.run(30)
        self.assertEqual(self.watched.expired, [])

    def test_anyTold(self) -> None:
        """
        By that rule, too, the silent family is known while the host has not taken over.
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
        Whatever is heard at whatever time, the first event comes when all families, or any of
        them, have been silent for the dead time.
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

    def test_silent(self) -> None:
        """
        What has arrived is read, and then the deadline is reported again, as if it was noticed in
        time.  In a flood, more packets wait by then.
        """
        for unread in (False, True):
            self.watched.unread = unread
            self.watched.deadline.lookAgain(0.25)
            self.watched.run(20)
            self.assertEqual(self.watched.expired, [(10.25, 0.0)])
            self.assertEqual((self.watched.waiting[-1:], self.watched.hasLooked), ([False], True))
            self.assertEqual(self.watched.reads, 1)
            self.setUp()

    def test_arrived(self) -> None:
        """
        The master may be heard in what has arrived.
        """
        self.watched.arrived = True
        self.watched.deadline.lookAgain(0.25)
        self.watched.run(13.125)
        self.assertEqual((self.watched.reads, self.watched.expired), (1, []))
        self.watched.run(20)
        self.assertEqual(self.watched.expired, [(13.25, 0.0)])
        self.assertFalse(self.watched.hasLooked)

    def test_over(self) -> None:
        """
        The look is over when the deadline is reported, so that it makes no later timer seem late.
        """
        self.watched = Watched(_4, tolerated=1.0)
        self.watched.deadline.arm(3.0)
        self.watched.run(3.0)
        self.watched.deadline.lookAgain(0.25)
        self.watched.run(30)
        self.assertEqual(self.watched.deadline.slept(), 0.0)

    def test_heard(self) -> None:
        """
        An advertisement of the master cancels it.
        """
        self.watched.deadline.lookAgain(0.25)
        self.watched.heard(3.0, _4)
        self.watched.run(12.875)
        self.assertEqual(self.watched.expired, [])
        self.watched.run(13)
        self.assertEqual(self.watched.expired, [(13.0, 0.0)])

    def test_forgotten(self) -> None:
        """
        It is removed with the deadline.
        """
        self.watched.deadline.lookAgain(0.25)
        self.watched.deadline.disarm()
        self.assertEqual(self.watched.clock.getDelayedCalls(), [])

    def test_twice(self) -> None:
        """
        A new second look replaces the present one.
        """
        self.watched.deadline.lookAgain(0.25)
        self.watched.deadline.lookAgain(0.5)
        self.watched.run(20)
        self.assertEqual(self.watched.expired, [(10.5, 0.0)])

    def test_anyNotHeard(self) -> None:
        """
        Where the silence of one family is enough, an advertisement in the other family does not
        cancel it.
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
        # An advertisement in the silent family does.
        watched.clock.advance(3.0)
        watched.deadline.lookAgain(0.25)
        watched.heard(3.0, _4)
        watched.heard(3.0, _6)
        before = len(watched.expired)
        watched.run(10)
        self.assertEqual(len(watched.expired), before)

    def test_oneFamilyHeard(self) -> None:
        """
        Otherwise an advertisement in one of the families cancels it.
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
        The call may be C{None}, waiting, made or cancelled.
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
        self.metronome = Metronome(self.clock)
        self.beats: list[float] = []
        self.rhythm = Rhythm(self.clock, self.metronome, self.beat, self.clock.seconds)

    def beat(self, event: Event) -> None:
        """
        Record a beat.
        """
        self.assertEqual(event, BeatDue())
        self.beats.append(self.clock.seconds())
        self.rhythm.beaten()

    def test_beats(self) -> None:
        """
        There is a beat after each interval.
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
        There is no beat after a stop, which may be repeated.
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
        The silence is measured from the last beat or from the start.
        """
        self.rhythm.start(4.0)
        self.clock.advance(3.0)
        self.assertEqual(self.rhythm.silence(), 3.0)
        self.clock.advance(1.0)
        self.clock.advance(0.5)
        self.assertEqual(self.rhythm.silence(), 0.5)

    def test_late(self) -> None:
        """
        A late beat begins a new rhythm, as in the kernels: the next one comes a whole interval
        after it.
        """
        self.rhythm.start(2.0)
        self.clock.advance(3.5)
        self.assertEqual(self.beats, [3.5])
        self.clock.pump([0.25] * 16)
        self.assertEqual(self.beats, [3.5, 5.5, 7.5])
        self.assertEqual(self.rhythm.interval, 2.0)

    def test_severalLate(self) -> None:
        """
        Beats that were missed are left out.
        """
        self.rhythm.start(1.0)
        self.clock.advance(2.75)
        self.clock.pump([0.25] * 8)
        self.assertEqual(self.beats, [2.75, 3.75, 4.75])

    def test_toldBefore(self) -> None:
        """
        A beat of an earlier rhythm, which is handled after the start of this one, does not hide
        that the next but one is late.
        """
        self.rhythm.start(1.0)
        self.rhythm.beaten()
        self.clock.advance(1.0)
        self.clock.advance(1.5)
        self.clock.pump([0.25] * 5)
        self.assertEqual(self.beats, [1.0, 2.5, 3.5])

    def test_hardlyLate(self) -> None:
        """
        A beat that is hardly late is followed by the next one in the same rhythm, however often
        that happens.
        """
        self.rhythm.start(1.0)
        for _ in range(10):
            self.clock.advance(1.0 - self.clock.seconds() % 1.0 + 0.03125)
        self.assertEqual(self.beats, [beat + 1.03125 for beat in range(10)])
        self.clock.pump([0.03125] * 64)
        self.assertEqual(self.beats[10:], [11.0, 12.0])

    def test_fastAndHardlyLate(self) -> None:
        """
        Without an advbase the interval may be shorter than what is tolerated.  The rhythm stays.
        """
        interval = 1 / 64
        self.rhythm.start(interval)
        self.clock.advance(3.5 * interval)
        self.clock.advance(0.5 * interval)
        for _ in range(100):
            self.clock.advance(interval)
        self.assertEqual(
            self.beats, [3.5 * interval, *(beat * interval for beat in range(4, 105))]
        )

    def test_changedByABeat(self) -> None:
        """
        A beat may start another rhythm, which replaces the present one.
        """
        def slower(event: Event) -> None:
            self.beats.append(self.clock.seconds())
            if self.rhythm.interval == 1.0:
                self.rhythm.start(2.0)

        self.rhythm = Rhythm(self.clock, self.metronome, slower, self.clock.seconds)
        self.rhythm.start(1.0)
        self.clock.pump([0.25] * 28)
        self.assertEqual(self.beats, [1.0, 3.0, 5.0, 7.0])

    def test_stoppedByABeat(self) -> None:
        """
        A beat may stop the rhythm.
        """
        def last(event: Event) -> None:
            self.beats.append(self.clock.seconds())
            self.rhythm.stop()

        self.rhythm = Rhythm(self.clock, self.metronome, last, self.clock.seconds)
        self.rhythm.start(1.0)
        self.clock.pump([0.25] * 28)
        self.assertEqual(self.beats, [1.0])

    def test_fault(self) -> None:
        """
        An exception in a beat is logged, and the rhythm continues.
        """
        def fails(event: Event) -> None:
            self.beats.append(self.clock.seconds())
            raise RuntimeError("broken")

        self.rhythm = Rhythm(self.clock, self.metronome, fails, self.clock.seconds)
        self.rhythm.start(1.0)
        self.clock.pump([0.25] * 12)
        self.assertEqual(self.beats, [1.0, 2.0, 3.0])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 3)

    def test_others(self) -> None:
        """
        In the slot of another master, the first beat comes no sooner than an interval after the
        start, and the others leave this one alone.
        """
        others: list[float] = []
        other = Rhythm(
            self.clock,
            self.metronome,
            lambda event: others.append(self.clock.seconds()),
            self.clock.seconds,
        )
        other.start(1.0)
        self.clock.advance(0.984375)
        self.rhythm.start(1.0)
        self.clock.pump([1 / 64] * 128)
        self.assertEqual(others, [1.0, 2.0])
        self.assertEqual(self.beats, [2.0])
        other.stop()
        self.clock.pump([1 / 64] * 64)
        self.assertEqual((len(others), self.beats), (2, [2.0, 3.0]))

    def test_lateUnshared(self) -> None:
        """
        A rhythm that does not share keeps to itself when a late beat begins it anew.
        """
        Rhythm(self.clock, self.metronome, str, self.clock.seconds).start(2.0)
        self.clock.advance(0.03125)
        self.rhythm.start(2.0, shares=False)
        self.clock.advance(3.5)
        self.clock.pump([1 / 64] * 256)
        self.assertEqual(self.beats, [3.53125, 5.53125, 7.53125])


class MasterPausesTests(SynchronousTestCase):
    """
    Tests for L{MasterPauses}.
    """

    def test_areLong(self) -> None:
        """
        A master whose peers wait for hardly more than one interval beats on time.
        """
        for ratio, advskew, shares in ((3, 0, True), (2, 100, True), (1, 0, False)):
            configuration = configured(deadRatio=ratio, advskew=advskew)
            interval = configuration.timing.interval
            self.assertIs(MasterPauses(configuration).areLong(interval), shares)
