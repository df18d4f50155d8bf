"""
Tests for L{txcarp.mastership.sequence}.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import settings
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

from txcarp.change import Change
from txcarp.interfaces import IMastershipStep
from txcarp.mastership.sequence import MastershipSequence
from txcarp.protocol.effects import Reason, Role


def change(role: Role, reason: Reason = Reason.SILENCE) -> Change:
    """
    A wish for what a role means.
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
    A step that ends when a test says so, or at once.

    @ivar running: Those of all steps that run now.
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
        What runs here is done.
        """
        pending, self.pending = self.pending, None
        assert pending is not None
        if error is None:
            pending.callback(None)
        else:
            pending.errback(error)


class SequenceTests(SynchronousTestCase):
    """
    Tests for L{MastershipSequence}.
    """

    def setUp(self) -> None:
        """
        Make three steps, the second of which waits.
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
        What happened since the last call.
        """
        text = " ".join(self.journal)
        self.journal.clear()
        return text

    def start(self) -> None:
        """
        Bring the sequence to where nothing is acquired.
        """
        self.sequence.wish(STARTED)
        self.steps[1].end()
        self.took()

    def becomeMaster(self) -> None:
        """
        Bring it to where everything is.
        """
        self.start()
        self.sequence.wish(MASTER)
        self.steps[1].end()
        self.took()

    def test_provided(self) -> None:
        """
        The steps here are steps.
        """
        verifyObject(IMastershipStep, self.steps[0])

    def test_start(self) -> None:
        """
        The first wish releases everything, in reverse order, each step after
        the one before has ended: an earlier run may have left it.
        """
        self.sequence.wish(STARTED)
        self.assertEqual(self.took(), "-c -b")
        self.steps[1].end()
        self.assertEqual(self.took(), "-a")
        self.assertIs(self.steps[0].changes[0], STARTED)

    def test_acquire(self) -> None:
        """
        Steps are acquired in their order; then the sequence is complete.
        """
        self.start()
        self.sequence.wish(MASTER)
        self.assertEqual(self.took(), "+a +b")
        self.assertFalse(self.sequence.complete)
        self.steps[1].end()
        self.assertEqual(self.took(), "+c")
        self.assertTrue(self.sequence.complete)

    def test_release(self) -> None:
        """
        They are released in reverse order.
        """
        self.becomeMaster()
        self.sequence.wish(BACKUP)
        self.assertFalse(self.sequence.complete)
        self.assertEqual(self.took(), "-c -b")
        self.steps[1].end()
        self.assertEqual(self.took(), "-a")
        self.assertFalse(self.sequence.complete)

    def test_sameAgain(self) -> None:
        """
        A wish for what is there already does nothing.
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
        A newer wish lets the running step end, and then only what was acquired
        is released.
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
        What was wished in between does not happen.
        """
        self.start()
        self.sequence.wish(MASTER)
        for wish in (BACKUP, MASTER, BACKUP, MASTER):
            self.sequence.wish(wish)
        self.steps[1].end()
        self.assertEqual(self.took(), "+a +b +c")
        self.assertTrue(self.sequence.complete)

    def test_turnsInTheMiddle(self) -> None:
        """
        A release can be overtaken as well.
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
        A step that fails is reported, the next ones run, and it is released
        like the others.
        """
        self.start()
        with capturedLogs() as events:
            self.sequence.wish(MASTER)
            self.steps[1].end(ValueError("no luck"))
        self.assertEqual(
            [formatEvent(event) for event in events],
            ["Virtual host 7 on eth7 could not acquire b: no luck"],
        )
        self.assertEqual(self.took(), "+a +b +c")
        self.assertEqual(self.unfit, [])
        self.sequence.wish(BACKUP)
        self.steps[1].end(ValueError())
        self.assertEqual(self.took(), "-c -b -a")

    def test_raises(self) -> None:
        """
        So is one that raises.
        """
        self.steps[0].error = ZeroDivisionError()
        self.start()
        self.sequence.wish(MASTER)
        self.assertEqual(self.took(), "+a +b")

    def test_timeLimit(self) -> None:
        """
        A step that takes too long is cancelled and has failed.
        """
        self.start()
        self.sequence.wish(MASTER)
        self.clock.advance(4.9)
        self.assertEqual(self.took(), "+a +b")
        with capturedLogs() as events:
            self.clock.advance(0.1)
        self.assertEqual(self.took(), "xb +c")
        self.assertIn("could not acquire b", formatEvent(events[0]) or "")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cannotBeCancelled(self) -> None:
        """
        One whose cancellation raises, or changes nothing, is not waited for either; when
        it ends at last, nobody cares.
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

                # A Deferred is made of it, with what that does about cancelling.
                self.patch(self.steps[1], "acquire", lambda change, call=stubborn: call())
                with capturedLogs() as events:
                    self.sequence.wish(MASTER)
                    self.clock.advance(5.0)
                self.assertEqual(self.unfit, ["b"])
                self.assertIn(
                    "could not acquire b: it took longer than 5 s", formatEvent(events[-1])
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
        One that ends in time leaves no timer.
        """
        self.becomeMaster()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_required(self) -> None:
        """
        A required step that fails is told, before another step is acquired;
        who is told wishes otherwise.
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
        If who is told raises, that is logged, and nobody waits for ever.
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
        Nobody is told who wishes otherwise anyway, nor of a failed release.
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
        Who waits is told when all that was wished is done.
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
        A step may lead to another wish while it runs.
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
        So may who waits for the end.
        """
        self.sequence.wish(STARTED)
        self.sequence.settled().addCallback(lambda _: self.sequence.wish(MASTER))
        self.steps[1].end()
        self.assertEqual(self.took(), "-c -b -a +a +b")

    def test_empty(self) -> None:
        """
        A sequence without steps is complete when it is wished.
        """
        sequence = MastershipSequence([], self.clock, self.unfit.append)
        sequence.wish(STARTED)
        self.assertFalse(sequence.complete)
        sequence.wish(MASTER)
        self.assertTrue(sequence.complete)


class SequenceMachine(RuleBasedStateMachine):
    """
    Any order of wishes, ends, failures and time-outs.
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
        Make the steps and wish what every host begins with.
        """
        self.steps = [
            FakeStep("abcd"[index], self.journal, waits=waits, required=required, timeLimit=5)
            for index, (waits, required) in enumerate(facts)
        ]
        self.sequence = MastershipSequence(self.steps, self.clock, self.unfit)
        self.sequence.wish(STARTED)

    def unfit(self, name: str) -> None:
        """
        As a virtual host does it.
        """
        assert self.last is MASTER
        self.wish(BACKUP)

    @rule(wish=st.sampled_from([MASTER, BACKUP, STOPPED]))
    def wish(self, wish: Change) -> None:
        """
        A new role.
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
        What runs ends.
        """
        self.running[0].end(None if good else ValueError("no luck"))

    @rule(seconds=st.sampled_from([1.0, 5.0]))
    def time(self, seconds: float) -> None:
        """
        Time passes, maybe more than a step has.
        """
        self.clock.advance(seconds)

    @precondition(lambda self: self.steps)
    @rule(data=st.data(), raises=st.booleans(), waits=st.booleans())
    def change(self, data: Any, raises: bool, waits: bool) -> None:
        """
        A step behaves otherwise from its next call on.
        """
        step = data.draw(st.sampled_from(self.steps))
        step.error = ZeroDivisionError() if raises else None
        step.waits = waits

    @invariant()
    def consistent(self) -> None:
        """
        Never two at once; each step is acquired and released in turns; all in
        order; and whatever was wished last is reached when nothing runs.
        """
        assert len(self.running) <= 1
        # Everything counts as acquired at the beginning.
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
            assert self.sequence.complete == (self.last is MASTER)
            settled: list[None] = []
            self.sequence.settled().addCallback(settled.append)
            assert settled == [None]

    def teardown(self) -> None:
        """
        In the end nothing is left.
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
    L{SequenceMachine} as a test.
    """

    def test_machine(self) -> None:
        """
        Nothing that can happen leaves a sequence in disorder.
        """
        run_state_machine_as_test(
            SequenceMachine, settings=settings(max_examples=40, stateful_step_count=20)
        )
