"""
Acquiring and releasing the steps of a virtual host, in order.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

import attrs
from twisted.internet.defer import Deferred, inlineCallbacks, maybeDeferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from txcarp.change import NO_RUNS, Change, Readiness, Runs, StepState
from txcarp.interfaces import IMastershipStep
from txcarp.protocol.effects import Role

#: What a host does with its steps, for log lines.
_TAKING, _GIVING_BACK = "Becoming master", "Undoing what belongs to a master"


@attrs.frozen
class _Failed:
    """
    The result of a step that failed, and the reason.
    """

    why: str


@attrs.define(eq=False)
class StepRecord:
    """
    A step in a sequence.

    @ivar since: When C{state} began, in seconds of the clock.
    @ivar isAcquired: Whether it must be released before it is acquired again.
    @ivar isOld: Whether it was acquired by an earlier process, if at all.  A master, too, releases
        it first.
    @ivar isGone: Whether it is gone from the sequence.  A master, too, releases it first, and it
        is forgotten after that.
    @ivar text: Why it failed, if that is how it last ended; empty otherwise.
    @ivar acquired: How often it was acquired, and how long that took.
    @ivar released: How often it was released, and how long that took.
    """

    step: IMastershipStep
    since: float
    isAcquired: bool = True
    isOld: bool = True
    isGone: bool = False
    state: StepState = StepState.WAITING
    text: str = ""
    acquired: Runs = NO_RUNS
    released: Runs = NO_RUNS


class MastershipSequence:
    """
    The steps of one virtual host.

    The sequence acquires the steps in order and releases them in reverse order, one at a
    time.  When a wish arrives while a step runs, the step ends or times out first; then the
    sequence follows the newest wish and forgets those between.  After a step was acquired,
    even if that failed, it is released once before it is acquired again.

    A new sequence regards all steps as acquired by an earlier process, and releases whatever that
    may have left; each step decides what that means.  The first wish, whose reason is
    L{Reason.STARTED<txcarp.protocol.effects.Reason.STARTED>}, leads to this.  If a wish to be
    master arrives meanwhile, the others are released first, because this process has acquired none.

    @ivar readiness: How far the newest wish is fulfilled.
    @ivar records: The steps in order.
    """

    _log = Logger()

    def __init__(
        self,
        steps: Sequence[IMastershipStep],
        clock: IReactorTime,
        unfit: Callable[[str], None] = lambda name: None,
        tell: Callable[[Change, Readiness], None] = lambda change, readiness: None,
    ) -> None:
        """
        @param unfit: Called with the name of a required step that could not be acquired
            while the newest wish is still to be master.  It must lead to another wish.
        @param tell: Called with the newest wish when C{readiness} has changed.
        """
        self.readiness = Readiness.RELEASED
        now = clock.seconds()
        self.records = [StepRecord(step, now) for step in steps]
        self._clock = clock
        self._unfit = unfit
        self._tell = tell
        # The numbers of steps that are acquired, and of those that a master releases first.
        self._acquired = self._first = len(self.records)
        self._wish: Change | None = None
        #: The first wish, which is why steps of an earlier process are released.
        self._start: Change | None = None
        self._failed = False
        self._running = False
        self._waiting: list[Deferred[None]] = []

    @property
    def wanted(self) -> bool:
        """
        Whether the newest wish is to be master.
        """
        return self._wish is not None and self._wish.role is Role.MASTER

    def wish(self, change: Change) -> None:
        """
        Acquire or release the steps, as the new role demands, from now on or from the end
        of the step that runs.
        """
        if self._wish is None:
            self._start = change
        self._wish = change
        self._failed = False
        isMaster = change.role is Role.MASTER
        goal = len(self.records) if isMaster else 0
        if self._running or self._acquired != goal or self._first:
            begun = Readiness.ACQUIRING if isMaster else Readiness.RELEASING
            self.readiness, before = begun, self.readiness
            if before is not begun:
                self._tell(change, begun)
        if not self._running:
            self._running = True
            self._run().addErrback(self._broken)

    def settled(self) -> Deferred[None]:
        """
        Wait until the newest wish is fulfilled.
        """
        if not self._running:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        return waiting

    def replace(self, steps: Sequence[IMastershipStep]) -> None:
        """
        Have other steps.  Those that are in the sequence already stay as they are.  A master
        releases those that are gone, in reverse order, and then acquires those that are new.
        Another host releases the new ones once, as at the start.
        """
        now = self._clock.seconds()
        before = {id(one.step): one for one in self.records}
        records = []
        for step in steps:
            record = before.pop(id(step), None)
            if record is None:
                record = StepRecord(step, now, not self.wanted, not self.wanted)
            record.isGone = False
            records.append(record)
        for record in before.values():
            if record.isAcquired:
                record.isGone = True
                # It stays behind the steps that it was acquired after.
                earlier = self.records[: self.records.index(record)]
                place = max((n for n, one in enumerate(records, 1) if one in earlier), default=0)
                records.insert(place, record)
        self.records = records
        self._acquired = sum(one.isAcquired for one in records)
        self._first = sum(one.isOld or one.isGone for one in records)
        if self._wish is not None and not self._failed:
            self.wish(self._wish)

    def lost(self, step: IMastershipStep, why: str) -> None:
        """
        Note that an acquired step has failed since.
        """
        for record in self.records:
            if record.step is step and record.state is StepState.ACQUIRED:
                record.state, record.since = StepState.FAILED, self._clock.seconds()
                record.text = why

    @inlineCallbacks
    def _run(self) -> Generator[Deferred[Any], Any, None]:
        # This is on the way of a take-over.  It therefore calls as little as possible.
        while (change := self._wish) is not None:
            isMaster = change.role is Role.MASTER
            record = None
            if isMaster and self._failed:
                break
            if isMaster and not self._first:
                for one in self.records:
                    if not one.isAcquired:
                        record = one
                        break
            else:
                for one in reversed(self.records):
                    if one.isAcquired and (one.isOld or one.isGone or not isMaster):
                        record = one
                        break
            if record is None:
                break
            step, record.since = record.step, self._clock.seconds()
            if record.isAcquired:
                if record.isOld and isMaster and self._start is not None:
                    change = self._start
                self._acquired -= 1
                self._first -= record.isOld or record.isGone
                record.isAcquired = record.isOld = False
                record.state, then = StepState.RELEASING, StepState.WAITING
                result = yield self._perform(step, _GIVING_BACK, step.release, change)
                if record.isGone and record in self.records:
                    self.records.remove(record)
            else:
                record.isAcquired = True
                self._acquired += 1
                record.state, then = StepState.ACQUIRING, StepState.ACQUIRED
                result = yield self._perform(step, _TAKING, step.acquire, change)
            hasFailed = isinstance(result, _Failed)
            record.state = StepState.FAILED if hasFailed else then
            record.text = result.why if hasFailed else ""
            began, record.since = record.since, self._clock.seconds()
            took = record.since - began
            if record.isAcquired:
                record.acquired = record.acquired.plus(took, hasFailed)
            else:
                record.released = record.released.plus(took, hasFailed)
            if hasFailed and record.isAcquired and step.required and self.wanted:
                # The wish that follows may come after this call.  Until then no other step is
                # acquired.
                self._failed = not record.isGone
                if self._failed:
                    self._unfit(step.name)
        self._ended()

    def _perform(
        self,
        step: IMastershipStep,
        doing: str,
        method: Callable[[Change], Deferred[None] | None],
        change: Change,
    ) -> Deferred[Any]:
        """
        Acquire or release one step and wait for its end.

        @param doing: Which of both, for people.
        @return: Fires with L{_Failed} if that failed.  Does not fail.
        """

        def failed(failure: Failure) -> _Failed:
            why = failure.getErrorMessage()
            self._log.error(
                "{doing}, this host failed at its {step}: {reason} (vhid {vhid} on {interface})",
                doing=doing,
                step=step.name,
                reason=why,
                vhid=change.vhid,
                interface=change.interface,
            )
            return _Failed(why)

        running: Deferred[Any] = maybeDeferred(method, change)
        if step.timeLimit is not None:
            running = self._within(running, step.timeLimit)
        return running.addErrback(failed)

    def _within(self, running: Deferred[Any], seconds: float) -> Deferred[Any]:
        """
        Wait for a step, but no longer than that many seconds.  Then cancel the step, and
        ignore what becomes of it.
        """
        ended: Deferred[Any] = Deferred()
        timer: IDelayedCall | None = None
        expired = False

        def finished(result: Any) -> None:
            if not expired:
                if timer is not None:
                    timer.cancel()
                ended.callback(result)

        def late() -> None:
            nonlocal expired
            expired = True
            try:
                running.cancel()
            except Exception:
                self._log.failure("A step that took too long could not be cancelled")
            ended.errback(TimeoutError(f"it took longer than {seconds} s"))

        running.addBoth(finished)
        if not ended.called:
            timer = self._clock.callLater(seconds, late)
        return ended

    def _broken(self, failure: Failure) -> None:
        # The failures of steps end in _perform: this is a bug of the sequence.
        self._log.failure(
            "Internal error: the steps of a virtual host have stopped", failure=failure
        )
        self._ended()

    def _ended(self) -> None:
        self._running = False
        wish = self._wish
        isMaster = wish is not None and wish.role is Role.MASTER
        goal = len(self.records) if isMaster else 0
        if wish is not None and self._acquired == goal and not (self._failed or self._first):
            done = Readiness.READY if isMaster else Readiness.RELEASED
            self.readiness, before = done, self.readiness
            if before is not done:
                self._tell(wish, done)
        if self._running:
            return  # an observer has led to another wish
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.callback(None)
