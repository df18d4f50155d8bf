"""
Tests of L{txcarp.mastership.sequence}.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from txcarp.change import Change, Readiness, Runs, StepState
from txcarp.interfaces import IMastershipStep
from txcarp.mastership.sequence import MastershipSequence
from txcarp.protocol.effects import Reason, Role


def change(role: Role, reason: Reason = Reason.SILENCE) -> Change:
    """
    A wish for a role.
    """
    return Change(
        role=role,
        previous=Role.BACKUP,
        reason=reason,
        vhid=7,
        interface="eth7",
        addresses=("10.0.0.1",),
    )


STARTED = change(Role.BACKUP, Reason.STARTED)
MASTER = change(Role.MASTER)
BACKUP = change(Role.BACKUP, Reason.PREFERRED_MASTER)
STOPPED = change(Role.INIT, Reason.STOPPED)


@implementer(IMastershipStep)
class FakeStep:
    """
    A step that ends at once, or when a test ends it.

    @ivar pending: The L{Deferred} of the running call; C{None} if no call is running.
    """

    def __init__(
        self,
        name: str,
        journal: list[str],
        *,
        waits: bool = False,
        required: bool = False,
        timeLimit: float | None = None,
    ) -> None:
        self.name = name
        self.required = required
        self.timeLimit = timeLimit
        self.waits = waits
        self.error: Exception | None = None
        self.journal = journal
        self.pending: Deferred[None] | None = None
        self.changes: list[Change] = []

    def acquire(self, change: Change) -> Deferred[None] | None:
        return self._do("+", change)

    def release(self, change: Change) -> Deferred[None] | None:
        return self._do("-", change)

    def _do(self, what: str, change: Change) -> Deferred[None] | None:
        self.journal.append(what + self.name)
        self.changes.append(change)
        if self.error is not None:
            raise self.error
        if not self.waits:
            return None
        assert self.pending is None
        self.pending = Deferred(self._cancelled)
        return self.pending

    def _cancelled(self, pending: Deferred[None]) -> None:
        self.journal.append("x" + self.name)
        self.pending = None

    def end(self, error: Exception | None = None) -> None:
        """
        End the running call.
        """
        pending, self.pending = self.pending, None
        assert pending is not None
        if error is None:
            pending.callback(None)
        else:
            pending.errback(error)


class SequenceTests(SynchronousTestCase):
    """
    Tests of L{MastershipSequence}.
    """

    def setUp(self) -> None:
        """
        Make three steps.  The second one waits for the test.
        """
        self.clock = Clock()
        self.journal: list[str] = []
        self.unfit: list[str] = []
        self.steps = [
            FakeStep("a", self.journal),
            FakeStep("b", self.journal, waits=True, timeLimit=5),
            FakeStep("c", self.journal),
        ]
        self.sequence = MastershipSequence(self.steps, self.clock, self.unfit.append)

    def took(self) -> str:
        """
        The calls since the last call of this method.
        """
        text = " ".join(self.journal)
        self.journal.clear()
        return text

    def start(self) -> None:
        """
        Bring the sequence to where no step is acquired.
        """
        self.sequence.wish(STARTED)
        self.steps[1].end()
        self.took()

    def becomeMaster(self) -> None:
        """
        Bring the sequence to where all steps are acquired.
        """
        self.start()
        self.sequence.wish(MASTER)
        self.steps[1].end()
        self.took()

    def test_provided(self) -> None:
        """
        The fake steps are steps.
        """
        verifyObject(IMastershipStep, self.steps[0])

    def test_start(self) -> None:
        """
        The first wish releases all steps in reverse order, one after the other, because an
        earlier run may have left something.
        """
        self.sequence.wish(STARTED)
        self.assertEqual(self.took(), "-c -b")
        self.steps[1].end()
        self.assertEqual(self.took(), "-a")
        self.assertIs(self.steps[0].changes[0], STARTED)

    def test_masterWhileStarting(self) -> None:
        """
        A host that becomes master before all steps are released for the first time releases the
        others, too, and then acquires all of them.
        """
        self.sequence.wish(STARTED)
        self.assertEqual(self.took(), "-c -b")
        self.sequence.wish(MASTER)
        self.assertIs(self.sequence.readiness, Readiness.ACQUIRING)
        self.steps[1].end()
        self.assertEqual(self.took(), "-a +a +b")
        self.assertEqual(self.steps[0].changes, [STARTED, MASTER])
        self.sequence.wish(BACKUP)
        self.steps[1].end()
        self.assertEqual(self.took(), "-b")

    def test_acquire(self) -> None:
        """
        Steps are acquired in order.  Then the sequence is complete.
        """
        self.start()
        self.sequence.wish(MASTER)
        self.assertEqual(self.took(), "+a +b")
        self.assertIsNot(self.sequence.readiness, Readiness.READY)
        self.steps[1].end()
        self.assertEqual(self.took(), "+c")
        self.assertIs(self.sequence.readiness, Readiness.READY)

    def test_release(self) -> None:
        """
        Steps are released in reverse order.
        """
        self.becomeMaster()
        self.sequence.wish(BACKUP)
        self.assertIsNot(self.sequence.readiness, Readiness.READY)
        self.assertEqual(self.took(), "-c -b")
        self.steps[1].end()
        self.assertEqual(self.took(), "-a")
        self.assertIsNot(self.sequence.readiness, Readiness.READY)

    def test_runs(self) -> None:
        """
        Each step knows how often it was acquired and released, how long that took, and how often
        that failed.
        """
        self.start()
        self.sequence.wish(MASTER)
        self.clock.advance(1.5)
        self.steps[1].end()
        self.sequence.wish(BACKUP)
        self.clock.advance(5)
        self.assertEqual(self.took(), "+a +b +c -c -b xb -a")
        records = self.sequence.records
        self.assertEqual([one.acquired.seconds for one in records], [0.0, 1.5, 0.0])
        self.assertEqual([one.acquired.number for one in records], [1, 1, 1])
        self.assertEqual(records[1].released, Runs(2, 1, 5.0, 5.0))

    def test_sameAgain(self) -> None:
        """
        A wish that is already fulfilled has no effect.
        """
        self.becomeMaster()
        self.sequence.wish(MASTER)
        self.assertEqual(self.took(), "")
        self.sequence.wish(BACKUP)
        self.steps[1].end()
        self.took()
        self.sequence.wish(STOPPED)
        self.assertEqual(self.took(), "")

    def test_overtaken(self) -> None:
        """
        When a newer wish arrives, the running step ends.  Then the acquired steps are
        released, and no others.
        """
        self.start()
        self.sequence.wish(MASTER)
        self.sequence.wish(BACKUP)
        self.assertEqual(self.took(), "+a +b")
        self.steps[1].end()
        self.assertEqual(self.took(), "-b")
        self.steps[1].end()
        self.assertEqual(self.took(), "-a")

    def test_newestWins(self) -> None:
        """
        Wishes between the first and the newest are forgotten.
        """
        self.start()
        self.sequence.wish(MASTER)
        for wish in (BACKUP, MASTER, BACKUP, MASTER):
            self.sequence.wish(wish)
        self.steps[1].end()
        self.assertEqual(self.took(), "+a +b +c")
        self.assertIs(self.sequence.readiness, Readiness.READY)

    def test_turnsInTheMiddle(self) -> None:
        """
        A wish can also turn a release around.
        """
        self.becomeMaster()
        self.sequence.wish(BACKUP)
        self.sequence.wish(MASTER)
        self.steps[1].end()
        self.assertEqual(self.took(), "-c -b +b")
        self.steps[1].end()
        self.assertEqual(self.took(), "+c")

    def test_failure(self) -> None:
        """
        A failed step is logged, the next steps are acquired, and the failed step is
        released like the others.
        """
        self.start()
        with capturedLogs() as events:
            self.sequence.wish(MASTER)
            self.steps[1].end(ValueError("no luck"))
        self.assertEqual(
            [formatEvent(event) for event in events],
            ["Becoming master, this host failed at its b: no luck (vhid 7 on eth7)"],
        )
        self.assertEqual(self.took(), "+a +b +c")
        self.assertEqual(self.unfit, [])
        self.sequence.wish(BACKUP)
        self.steps[1].end(ValueError())
        self.assertEqual(self.took(), "-c -b -a")

    def test_raises(self) -> None:
        """
        A step that raises has failed.
        """
        self.steps[0].error = ZeroDivisionError()
        self.start()
        self.sequence.wish(MASTER)
        self.assertEqual(self.took(), "+a +b")

    def test_timeLimit(self) -> None:
        """
        A step that exceeds its time limit is cancelled and has failed.
        """
        self.start()
        self.sequence.wish(MASTER)
        self.clock.advance(4.9)
        self.assertEqual(self.took(), "+a +b")
        with capturedLogs() as events:
            self.clock.advance(0.1)
        self.assertEqual(self.took(), "xb +c")
        self.assertIn("this host failed at its b", formatEvent(events[0]) or "")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cannotBeCancelled(self) -> None:
        """
        The sequence does not wait for a step whose cancellation raises or has no effect.
        The late end of the step is ignored.
        """
        for raises in (True, False):
            with self.subTest(raises=raises):
                self.setUp()
                self.start()
                self.steps[1].required = True
                hanging: Deferred[None] = Deferred()

                def cancel(pending: Deferred[None], raises: bool = raises) -> None:
                    if raises:
                        raise ZeroDivisionError("not now")

                async def stubborn(
                    hanging: Deferred[None] = hanging,
                    cancel: Callable[[Deferred[None]], None] = cancel,
                ) -> None:
                    try:
                        await Deferred(cancel)
                    except CancelledError:
                        await hanging

                # The sequence makes a Deferred of this coroutine and cancels that.
                self.patch(self.steps[1], "acquire", lambda change, call=stubborn: call())
                with capturedLogs() as events:
                    self.sequence.wish(MASTER)
                    self.clock.advance(5.0)
                self.assertEqual(self.unfit, ["b"])
                self.assertIn(
                    "this host failed at its b: it took longer than 5 s", formatEvent(events[-1])
                )
                self.sequence.wish(BACKUP)
                self.assertEqual(self.took(), "+a -b")
                self.steps[1].end()
                self.assertEqual(self.took(), "-a")
                if not raises:
                    hanging.errback(ValueError("at last"))
                self.assertEqual(self.took(), "")
                self.flushLoggedErrors(ZeroDivisionError)

    def test_noTimerLeft(self) -> None:
        """
        A step that ends in time leaves no timer.
        """
        self.becomeMaster()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_required(self) -> None:
        """
        The failure of a required step is reported before another step is acquired.  The
        report leads to a new wish.
        """
        self.start()
        self.steps[1].required = True

        def unfit(name: str) -> None:
            self.unfit.append(name)
            self.sequence.wish(BACKUP)

        self.sequence = MastershipSequence(self.steps, self.clock, unfit)
        self.start()
        self.sequence.wish(MASTER)
        self.steps[1].end(ValueError())
        self.assertEqual(self.unfit, ["b"])
        self.assertEqual(self.took(), "+a +b -b")
        self.steps[1].end()
        self.assertEqual(self.took(), "-a")

    def test_faultOfOurs(self) -> None:
        """
        If the report raises, that is logged, and C{settled} still fires.
        """

        def unfit(name: str) -> None:
            raise ZeroDivisionError

        self.start()
        self.steps[1].required = True
        self.sequence = MastershipSequence(self.steps, self.clock, unfit)
        self.start()
        self.sequence.wish(MASTER)
        settled = self.sequence.settled()
        with capturedLogs():
            self.steps[1].end(ValueError())
        self.successResultOf(settled)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_requiredTooLate(self) -> None:
        """
        A failure is not reported if the newest wish is not to be master, or if the step
        failed to be released.
        """
        self.steps[1].required = True
        self.start()
        self.sequence.wish(MASTER)
        self.sequence.wish(BACKUP)
        self.steps[1].end(ValueError())
        self.steps[1].end(ValueError())
        self.assertEqual(self.unfit, [])

    def test_settled(self) -> None:
        """
        C{settled} fires when the newest wish is fulfilled.
        """
        self.successResultOf(self.sequence.settled())
        self.sequence.wish(STARTED)
        first, second = self.sequence.settled(), self.sequence.settled()
        self.assertNoResult(first)
        self.steps[1].end()
        self.successResultOf(first)
        self.successResultOf(second)
        self.successResultOf(self.sequence.settled())

    def test_wishInStep(self) -> None:
        """
        A step may make another wish while it runs.
        """
        self.start()
        step = self.steps[2]

        def acquire(change: Change) -> None:
            self.journal.append("+c")
            self.sequence.wish(BACKUP)

        self.patch(step, "acquire", acquire)
        self.sequence.wish(MASTER)
        self.steps[1].end()
        self.assertEqual(self.took(), "+a +b +c -c -b")

    def test_wishOnSettled(self) -> None:
        """
        A callback of C{settled} may make another wish.
        """
        self.sequence.wish(STARTED)
        self.sequence.settled().addCallback(lambda _: self.sequence.wish(MASTER))
        self.steps[1].end()
        self.assertEqual(self.took(), "-c -b -a +a +b")

    def test_empty(self) -> None:
        """
        A sequence without steps is complete as soon as the wish is to be master.
        """
        sequence = MastershipSequence([], self.clock, self.unfit.append)
        sequence.wish(STARTED)
        self.assertIs(sequence.readiness, Readiness.RELEASED)
        sequence.wish(MASTER)
        self.assertIs(sequence.readiness, Readiness.READY)


class ReplaceTests(SynchronousTestCase):
    """
    Tests of L{MastershipSequence.replace}.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.journal: list[str] = []
        self.unfit: list[str] = []
        self.told: list[Readiness] = []
        self.one = {name: FakeStep(name, self.journal) for name in "abcde"}
        self.sequence = MastershipSequence(
            self.named("abc"),
            self.clock,
            self.unfit.append,
            lambda change, readiness: self.told.append(readiness),
        )

    def named(self, names: str) -> list[FakeStep]:
        """
        The steps with these names.
        """
        return [self.one[name] for name in names]

    def took(self) -> str:
        """
        The calls since the last call of this method.
        """
        text = " ".join(self.journal)
        self.journal.clear()
        return text

    def begin(self, *wishes: Change) -> None:
        """
        Make some wishes.
        """
        for wish in (STARTED, *wishes):
            self.sequence.wish(wish)
        self.took()
        self.told.clear()

    def test_master(self) -> None:
        """
        A master releases what is gone in reverse order, then acquires what is new in order, and
        is ready after that.
        """
        self.begin(MASTER)
        self.sequence.replace(self.named("dbe"))
        self.assertEqual(self.took(), "-c -a +d +e")
        self.assertEqual(self.told, [Readiness.ACQUIRING, Readiness.READY])
        self.assertEqual([one.step.name for one in self.sequence.records], [*"dbe"])
        self.sequence.wish(BACKUP)
        self.assertEqual(self.took(), "-e -b -d")

    def test_same(self) -> None:
        """
        The same steps again, or in another order, are not touched.
        """
        self.begin(MASTER)
        self.sequence.replace(self.named("cab"))
        self.assertEqual((self.took(), self.told), ("", []))
        self.sequence.wish(BACKUP)
        self.assertEqual(self.took(), "-b -a -c")

    def test_backup(self) -> None:
        """
        A backup releases what is new once.
        """
        self.begin()
        self.sequence.replace(self.named("ade"))
        self.assertEqual(self.took(), "-e -d")
        self.sequence.wish(MASTER)
        self.assertEqual(self.took(), "+a +d +e")

    def test_neverStarted(self) -> None:
        """
        Before the first wish, nothing happens.
        """
        self.sequence.replace(self.named("e"))
        self.assertEqual(self.took(), "")
        self.begin(MASTER)
        self.assertEqual([one.state for one in self.sequence.records], [StepState.ACQUIRED])

    def test_leftBehind(self) -> None:
        """
        A host that becomes master before the start has released everything releases the rest
        first: nothing counts as acquired that was not.
        """
        self.one["c"].waits = True
        self.sequence.wish(STARTED)
        self.sequence.wish(MASTER)
        self.assertEqual(self.took(), "-c")
        self.one["c"].end()
        self.assertEqual(self.took(), "-b -a +a +b +c")

    def test_comesBack(self) -> None:
        """
        A step that is gone and comes back before it was released stays acquired.
        """
        self.begin(MASTER)
        self.one["c"].waits = True
        self.sequence.replace(self.named("b"))
        self.sequence.replace(self.named("ab"))
        self.assertEqual(self.took(), "-c")
        self.one["c"].end()
        self.assertEqual(self.took(), "")
        self.assertEqual([one.step.name for one in self.sequence.records], [*"ab"])

    def test_goneWhileReleased(self) -> None:
        """
        A backup that becomes master while what is gone is released acquires the others only.
        """
        self.begin(MASTER)
        self.one["b"].waits = True
        self.sequence.wish(BACKUP)
        self.sequence.replace(self.named("a"))
        self.sequence.wish(MASTER)
        self.assertEqual(self.took(), "-c -b")
        self.one["b"].end()
        self.assertEqual(self.took(), "")
        self.assertIs(self.sequence.readiness, Readiness.READY)

    def test_afterFailure(self) -> None:
        """
        After a required step has failed, nothing is acquired before the wish that follows.
        """
        self.begin()
        self.one["b"].required, self.one["b"].error = True, ValueError("no luck")
        self.sequence.wish(MASTER)
        self.assertEqual((self.took(), self.unfit), ("+a +b", ["b"]))
        self.sequence.replace(self.named("abd"))
        self.assertEqual(self.took(), "")
        self.sequence.wish(BACKUP)
        self.assertEqual(self.took(), "-b -a")

    def test_states(self) -> None:
        """
        Each step has a state, its beginning, and why it failed.
        """

        def states() -> str:
            return " ".join(one.state.value for one in self.sequence.records)

        self.begin()
        self.assertEqual(states(), "waiting waiting waiting")
        self.one["b"].waits = True
        self.clock.advance(5)
        self.sequence.wish(MASTER)
        self.assertEqual(states(), "acquired acquiring waiting")
        self.clock.advance(2)
        self.one["b"].end(ValueError("no luck"))
        self.assertEqual(states(), "acquired failed acquired")
        self.assertEqual([one.since for one in self.sequence.records], [5, 7, 7])
        self.assertEqual([one.text for one in self.sequence.records], ["", "no luck", ""])
        self.sequence.lost(self.one["c"], "gone")
        self.sequence.wish(BACKUP)
        self.assertEqual(states(), "acquired releasing waiting")
        self.one["b"].end()
        self.assertEqual(states(), "waiting waiting waiting")
        self.assertEqual({one.text for one in self.sequence.records}, {""})

    def test_lost(self) -> None:
        """
        A step that was lost has failed, unless it is released already.
        """
        self.begin(MASTER)
        self.sequence.lost(self.one["c"], "gone")
        record = self.sequence.records[2]
        self.assertEqual((record.state, record.text), (StepState.FAILED, "gone"))
        self.sequence.wish(BACKUP)
        self.sequence.lost(self.one["c"], "gone")
        self.assertEqual((record.state, record.text), (StepState.WAITING, ""))

    @settings(max_examples=100, deadline=None)
    @given(
        st.lists(
            st.one_of(
                st.sampled_from([MASTER, BACKUP, "end", "fail"]),
                st.permutations("abcde").map("".join).flatmap(
                    lambda order: st.integers(0, 5).map(lambda size: "=" + order[:size])
                ),
            ),
            max_size=12,
        )
    )
    def test_anyOrder(self, moves: list[Any]) -> None:
        """
        Whatever happens in whatever order, each step is acquired and released in turn, and in
        the end a master has all of its steps, and another host none.
        """
        self.setUp()
        for step in self.one.values():
            step.waits = True
        last, present = STARTED, "abc"
        self.sequence.wish(STARTED)

        def end(error: Exception | None = None) -> bool:
            running = [step for step in self.one.values() if step.pending is not None]
            for step in running:
                step.end(error)
            self.assertLessEqual(len(running), 1)
            return bool(running)

        for move in moves:
            if isinstance(move, Change):
                last = move
                self.sequence.wish(move)
            elif move[0] == "=":
                present = move[1:]
                self.sequence.replace(self.named(present))
            else:
                end(ValueError("no luck") if move == "fail" else None)
        while end():
            pass
        self.assertEqual([one.step.name for one in self.sequence.records], [*present])
        for name in "abcde":
            mine = "".join(entry[0] for entry in self.journal if entry[1] == name)
            self.assertNotIn("++", mine)
            isAcquired = mine.endswith("+")  # what the start has not released yet is not
            self.assertEqual(isAcquired, last is MASTER and name in present)
        done = Readiness.READY if last is MASTER else Readiness.RELEASED
        self.assertIs(self.sequence.readiness, done)


class SequenceMachine(RuleBasedStateMachine):
    """
    Wishes, ends, failures and time-outs in any order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.journal: list[str] = []
        self.steps: list[FakeStep] = []
        self.last = STARTED

    @initialize(facts=st.lists(st.tuples(st.booleans(), st.booleans()), max_size=4))
    def begin(self, facts: list[tuple[bool, bool]]) -> None:
        """
        Make the steps, and make the first wish of every host.
        """
        self.steps = [
            FakeStep("abcd"[index], self.journal, waits=waits, required=required, timeLimit=5)
            for index, (waits, required) in enumerate(facts)
        ]
        self.sequence = MastershipSequence(self.steps, self.clock, self.unfit, self.tell)
        self.told = [self.sequence.readiness]
        self.sequence.wish(STARTED)

    def tell(self, change: Change, readiness: Readiness) -> None:
        """
        Record the readiness.
        """
        self.told.append(readiness)

    def unfit(self, name: str) -> None:
        """
        React to the failure of a required step, as a virtual host does.
        """
        assert self.last is MASTER
        self.wish(BACKUP)

    @rule(wish=st.sampled_from([MASTER, BACKUP, STOPPED]))
    def wish(self, wish: Change) -> None:
        """
        Make a wish.
        """
        self.last = wish
        self.sequence.wish(wish)

    @property
    def running(self) -> list[FakeStep]:
        return [step for step in self.steps if step.pending is not None]

    @precondition(lambda self: self.running)
    @rule(good=st.booleans())
    def end(self, good: bool) -> None:
        """
        End the running step.
        """
        self.running[0].end(None if good else ValueError("no luck"))

    @rule(seconds=st.sampled_from([1.0, 5.0]))
    def time(self, seconds: float) -> None:
        """
        Let time pass, perhaps more than the time limit of a step.
        """
        self.clock.advance(seconds)

    @precondition(lambda self: self.steps)
    @rule(data=st.data(), raises=st.booleans(), waits=st.booleans())
    def change(self, data: Any, raises: bool, waits: bool) -> None:
        """
        Change what a step does from its next call on.
        """
        step = data.draw(st.sampled_from(self.steps))
        step.error = ZeroDivisionError() if raises else None
        step.waits = waits

    @invariant()
    def consistent(self) -> None:
        """
        No two steps run at once.  Each step is acquired and released in turn, and all steps
        in order.  When no step runs, the newest wish is fulfilled.
        """
        assert len(self.running) <= 1
        # At the beginning, all steps count as acquired.
        acquired = [step.name for step in self.steps]
        names = list(acquired)
        for what, name in self.journal:
            if what == "+":
                assert names[: len(acquired)] == acquired
                assert names[len(acquired)] == name
                acquired.append(name)
            elif what == "-":
                assert acquired.pop() == name
        if not self.running:
            expected = names if self.last is MASTER else []
            assert acquired == expected, (acquired, expected)
            done = Readiness.READY if self.last is MASTER else Readiness.RELEASED
            assert self.sequence.readiness is done
            settled: list[None] = []
            self.sequence.settled().addCallback(settled.append)
            assert settled == [None]
        assert self.told[-1] is self.sequence.readiness
        for one, other in pairwise(self.told):
            assert one is not other
            if self.steps:
                assert other is not Readiness.READY or one is Readiness.ACQUIRING
                assert other is not Readiness.RELEASED or one is Readiness.RELEASING

    def teardown(self) -> None:
        """
        After a stop, nothing is acquired and no timer is left.
        """
        if not self.steps:
            return
        self.wish(STOPPED)
        for _ in range(10):
            self.clock.advance(5)
        assert not self.running
        assert self.clock.getDelayedCalls() == []
        for step in self.steps:
            mine = [entry[0] for entry in self.journal if entry[1] == step.name]
            done = [what for what in mine if what != "x"]
            assert done[-1] == "-"
            assert done.count("-") == done.count("+") + 1


class AnyOrderTests(SynchronousTestCase):
    """
    Runs L{SequenceMachine} as a test.
    """

    def test_machine(self) -> None:
        """
        No order of events leaves a sequence inconsistent.
        """
        run_state_machine_as_test(
            SequenceMachine, settings=settings(max_examples=40, stateful_step_count=20)
        )
