"""
Tests for L{txcarp.clock.monotonic}: when calls are made and in what order, with a time that
the tests set.
"""

from __future__ import annotations

import math
from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.error import AlreadyCalled, AlreadyCancelled
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.clock.manual import ManualTime
from txcarp.clock import monotonic


class CallTests(SynchronousTestCase):
    """
    Calls and the order in which they are made.
    """

    def setUp(self) -> None:
        """
        Make a clock and a list of the calls that were made.
        """
        self.time = ManualTime(self)
        self.made: list[object] = []

    def later(self, delay: float, name: object) -> IDelayedCall:
        """
        Request a call that adds its name to the list.
        """
        return self.time.callLater(delay, self.made.append, name)

    def test_interface(self) -> None:
        """
        A call provides the interface that callers of C{callLater} expect.
        """
        verifyObject(IDelayedCall, self.later(1, "a"))

    def test_arguments(self) -> None:
        """
        Positional and keyword arguments reach the function.
        """
        self.time.callLater(0, lambda *a, **k: self.made.append((a, k)), 1, two=2)
        self.time.advance(0)
        self.assertEqual(self.made, [((1,), {"two": 2})])

    def test_notBeforeItsTime(self) -> None:
        """
        A call is made at its time and not before, once.
        """
        call = self.later(2, "a")
        self.assertEqual(call.getTime(), 2)
        self.time.advance(1.75)
        self.assertEqual(self.made, [])
        self.assertTrue(call.active())
        self.time.advance(0.25)
        self.time.advance(5)
        self.assertEqual(self.made, ["a"])
        self.assertFalse(call.active())

    def test_equalTimes(self) -> None:
        """
        Calls with equal times are made in the order of the requests.  Moving a call
        is another request.
        """
        first = self.later(3, "first")
        self.later(3, "second")
        self.later(3, "third")
        first.reset(3)
        self.time.advance(3)
        self.assertEqual(self.made, ["second", "third", "first"])

    def test_inactive(self) -> None:
        """
        A call that was made or cancelled can neither be cancelled nor moved; the
        errors are Twisted's.
        """
        called, cancelled = self.later(0, "a"), self.later(9, "b")
        cancelled.cancel()
        self.time.advance(0)
        for call, error in ((called, AlreadyCalled), (cancelled, AlreadyCancelled)):
            self.assertRaises(error, call.cancel)
            self.assertRaises(error, call.reset, 1)
            self.assertRaises(error, call.delay, 1)
        self.assertEqual(self.made, ["a"])

    def test_ownCallIsCalled(self) -> None:
        """
        A function cannot cancel the call that is running it.
        """
        call = self.time.callLater(0, lambda: self.assertRaises(AlreadyCalled, call.cancel))
        self.time.advance(0)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_putOffForNothing(self) -> None:
        """
        A deadline that is put off all the time, as the master-down timer is, has one
        entry and does not set the timer.  It is due at the last time it was given.
        """
        call = self.later(3, "down")
        self.later(1000, "other")
        for _ in range(500):
            self.time.advance(1)
            settings = len(self.time.set)
            call.reset(3)
            self.assertEqual(len(self.time.set), settings)
        self.assertEqual(len(self.time.clock._heap), 2)
        self.time.advance(2.875)
        self.assertEqual(self.made, [])
        self.time.advance(0.125)
        self.assertEqual(self.made, ["down"])

    def test_sooner(self) -> None:
        """
        A call that is moved to sooner sets the timer, and is made then and not again.
        """
        call = self.later(9, "a")
        call.reset(5)
        call.delay(-3)
        self.assertEqual(self.time.set, [9, 5, 2])
        self.time.advance(20)
        self.assertEqual(self.made, ["a"])

    def test_delay(self) -> None:
        """
        C{delay} counts from the time of the call, C{reset} from now.
        """
        delayed, reset = self.later(4, "delayed"), self.later(4, "reset")
        self.time.advance(1)
        delayed.delay(2)
        reset.reset(2)
        self.assertEqual((delayed.getTime(), reset.getTime()), (6, 3))

    def test_cancelledDoNotAccumulate(self) -> None:
        """
        The memory stays in proportion to the waiting calls, however many are cancelled
        or moved to sooner.
        """
        waiting = [self.later(1000 + number, number) for number in range(10)]
        for number in range(1000):
            self.later(2000, "cancelled").cancel()
            waiting[number % 10].reset(1000 - number / 10)
        self.assertLess(len(self.time.clock._heap), 150)
        self.assertEqual(len(self.time.clock.getDelayedCalls()), 10)

    def test_cancelReleases(self) -> None:
        """
        A cancelled call does not keep its arguments alive.
        """
        call = self.later(9, "a")
        call.cancel()
        self.assertFalse(hasattr(call, "func") or hasattr(call, "args") or hasattr(call, "kw"))

    def test_addedWhileCalling(self) -> None:
        """
        A call that is requested by another one waits for the next turn, even with a
        delay of 0.  So a call that always requests another does not occupy the
        reactor.
        """

        def again() -> None:
            self.made.append("again")
            self.time.callLater(0, again)

        self.time.callLater(0, again)
        for turn in range(1, 4):
            self.time.expire()
            self.assertEqual(len(self.made), turn)
        self.assertEqual(len(self.time.clock.getDelayedCalls()), 1)

    def test_addedAndChangedWhileCalling(self) -> None:
        """
        A call that is requested during a turn can be moved and cancelled in it.
        """

        def add() -> None:
            self.later(0, "cancelled").cancel()
            self.later(0, "moved").reset(7)
            self.later(9, "sooner").reset(0)
            self.assertEqual(len(self.time.clock.getDelayedCalls()), 2)

        self.time.callLater(0, add)
        self.time.expire()
        self.assertEqual(self.made, [])
        self.time.advance(0)
        self.assertEqual(self.made, ["sooner"])
        self.time.advance(7)
        self.assertEqual(self.made, ["sooner", "moved"])

    def test_changedByAnEarlierCall(self) -> None:
        """
        A call that is due can be cancelled or put off by another one that is made
        before it.
        """
        cancelled, putOff = self.later(2, "cancelled"), self.later(2, "putOff")
        self.time.callLater(1, cancelled.cancel)
        self.time.callLater(1, putOff.reset, 1)
        self.time.advance(2)
        self.assertEqual(self.made, [])
        self.time.advance(1)
        self.assertEqual(self.made, ["putOff"])

    def test_limit(self) -> None:
        """
        One turn makes no more calls than the limit.  The next turns make the rest, in
        order.
        """
        for number in range(7):
            self.later(number, number)
        self.patch(monotonic, "CALLS_PER_TURN", 3)
        self.time.now = 10
        for made in (3, 6, 7):
            self.assertLessEqual(self.time.armed, 10)
            self.time.expire()
            self.assertEqual(self.made, list(range(made)))
        self.assertEqual(self.time.armed, math.inf)

    def test_exception(self) -> None:
        """
        A call that raises anything is logged with its name but without its arguments,
        and the others are made.
        """

        def fail(secret: str) -> None:
            raise KeyboardInterrupt

        self.time.callLater(0, fail, "hunter2")
        self.later(0, "a")
        with capturedLogs() as events:
            self.time.advance(0)
        self.assertEqual(self.made, ["a"])
        self.assertEqual(len(self.flushLoggedErrors(KeyboardInterrupt)), 1)
        (event,) = events
        self.assertIn("fail, called at 0.0", formatEvent(event))
        self.assertNotIn("hunter2", formatEvent(event))

    def test_representation(self) -> None:
        """
        The representation of a call has its function, its state and its time, but no
        argument.
        """
        call = self.later(4, "hunter2")
        self.assertEqual(repr(call), "<call of list.append, due at 4.000000>")
        call.reset(3)
        self.time.advance(3)
        self.assertEqual(repr(call), "<call of list.append, called at 3.000000>")
        call = self.time.callLater(1, partial(str, "hunter2"))
        self.assertEqual(repr(call), "<call of partial, due at 4.000000>")
        call.cancel()
        self.assertEqual(repr(call), "<cancelled call at 4.000000>")

    def test_badRequests(self) -> None:
        """
        A delay that is negative or not finite, and a function that cannot be called,
        are refused at once; the error has the value.
        """
        for delay in (-0.001, math.inf, math.nan):
            error = self.assertRaises(ValueError, self.later, delay, "a")
            self.assertIn(str(delay), str(error))
        error = self.assertRaises(TypeError, self.time.callLater, 1, "function")
        self.assertIn("'function'", str(error))
        call = self.later(1, "a")
        for seconds in (-math.inf, math.inf, math.nan):
            for move in (call.reset, call.delay):
                error = self.assertRaises(ValueError, move, seconds)
                self.assertIn(str(seconds), str(error))
        self.assertEqual(call.getTime(), 1)

    def test_stop(self) -> None:
        """
        Stopping the clock cancels all calls, also when a call does it, and also those
        which that call requested.
        """
        calls = [self.later(0, "a"), self.later(5, "b")]

        def stop() -> None:
            calls.append(self.later(0, "c"))
            self.time.clock.stop()

        calls[0].cancel()
        self.time.callLater(0, stop)
        calls.append(self.later(0, "d"))
        self.time.advance(9)
        self.assertEqual(self.made, [])
        self.assertEqual(self.time.clock.getDelayedCalls(), [])
        for call in calls:
            self.assertRaises(AlreadyCancelled, call.cancel)


# Whole numbers of quarters, made unique by far smaller binary fractions, so that
# no two calls are due at the same moment and sums are exact.
_QUARTERS = st.integers(0, 40)
_ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("call"), _QUARTERS, st.just(0)),
        st.tuples(st.just("cancel"), st.integers(0, 60), st.just(0)),
        st.tuples(st.just("reset"), st.integers(0, 60), _QUARTERS),
        st.tuples(st.just("delay"), st.integers(0, 60), _QUARTERS),
        st.tuples(st.just("nested"), _QUARTERS, st.integers(0, 60)),
    ),
    max_size=60,
)


class _Script:
    """
    Carries out actions on a clock and records what happens.
    """

    def __init__(self, clock: ManualTime | Clock) -> None:
        self.clock = clock
        self.calls: list[IDelayedCall] = []
        self.told: list[object] = []

    def unique(self, quarters: int) -> float:
        self.told.append(None)
        return quarters / 4 + len(self.told) / 2**20

    def play(self, what: str, one: int, two: int) -> None:
        if what == "call":
            name = len(self.calls)
            self.calls.append(self.clock.callLater(self.unique(one), self.called, name))
        elif what == "nested":
            delay = self.unique(one)
            self.calls.append(self.clock.callLater(delay, self.nested, two))
        elif self.calls:
            call = self.calls[one % len(self.calls)]
            arguments = () if what == "cancel" else (self.unique(two),)
            try:
                getattr(call, what)(*arguments)
            except (AlreadyCalled, AlreadyCancelled) as error:
                self.told.append((what, one, type(error)))

    def called(self, name: int) -> None:
        self.told.append(("called", name))

    def nested(self, two: int) -> None:
        self.told.append(("nested", two))
        self.play(("call", "cancel", "reset", "delay")[two % 4], two, two % 7)


class SameAsTwistedTests(SynchronousTestCase):
    """
    Random histories have the same result as on L{Clock}.
    """

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.tuples(_ACTIONS, _QUARTERS), max_size=8), st.sampled_from([1, 2, 1000]))
    def test_order(self, history: list[tuple[list[tuple[str, int, int]], int]], limit: int) -> None:
        """
        Whatever is requested, cancelled and moved, from outside and by calls, the same
        calls are made in the same order, and the same calls are active and due at the
        same times.
        """
        self.patch(monotonic, "CALLS_PER_TURN", limit)
        time = ManualTime(self)
        ours, theirs = _Script(time), _Script(Clock())
        for actions, advance in [*history, ([], 1000)]:
            for script in (ours, theirs):
                for action in actions:
                    script.play(*action)
                script.clock.advance(advance / 4)
            self.assertEqual(ours.told, theirs.told)
            self.assertEqual(
                [call.active() for call in ours.calls], [call.active() for call in theirs.calls]
            )
            self.assertEqual(
                [call.getTime() for call in ours.calls if call.active()],
                [call.getTime() for call in theirs.calls if call.active()],
            )
            soonest = min(
                (call.getTime() for call in time.clock.getDelayedCalls()), default=math.inf
            )
            self.assertLessEqual(time.armed, soonest)
            self.assertEqual(time.clock._nextTime(), soonest)
        time.clock.stop()
