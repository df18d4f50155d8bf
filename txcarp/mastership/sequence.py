"""
Acquiring and releasing the steps of a virtual host, in order.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks, maybeDeferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from txcarp.change import Change, Readiness
from txcarp.interfaces import IMastershipStep
from txcarp.protocol.effects import Role

#: The result of a step that failed.
_FAILED = object()


class MastershipSequence:
    """
    The steps of one virtual host.

    The sequence acquires the steps in order and releases them in reverse order, one at a
    time.  When a wish arrives while a step runs, the step ends or times out first; then the
    sequence follows the newest wish and forgets those between.  After a step was acquired,
    even if that failed, it is released once before it is acquired again.

    A new sequence regards all steps as acquired.  Its first wish, whose reason is
    L{Reason.STARTED<txcarp.protocol.effects.Reason.STARTED>}, thus releases whatever an
    earlier process may have left; each step decides what that means.

    @ivar readiness: How far the newest wish is fulfilled.
    """

    _log = Logger()

    def __init__(
        self,
        steps: Sequence[IMastershipStep],
        clock: IReactorTime,
        unfit: Callable[[str], None],
        tell: Callable[[Change, Readiness], None] = lambda change, readiness: None,
    ) -> None:
        """
        @param unfit: Called with the name of a required step that could not be acquired
            while the newest wish is still to be master.  It must lead to another wish.
        @param tell: Called with the newest wish when C{readiness} has changed.
        """
        self.readiness = Readiness.RELEASED
        self._steps = tuple(steps)
        self._clock = clock
        self._unfit = unfit
        self._tell = tell
        self._acquired = len(self._steps)
        self._wish: Change | None = None
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
        self._wish = change
        self._failed = False
        isMaster = change.role is Role.MASTER
        if self._running or self._acquired != (len(self._steps) if isMaster else 0):
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

    @inlineCallbacks
    def _run(self) -> Generator[Deferred[Any], Any, None]:
        while (change := self._wish) is not None:
            if change.role is Role.MASTER:
                if self._acquired == len(self._steps) or self._failed:
                    break
                step = self._steps[self._acquired]
                self._acquired += 1
                result = yield self._perform(step, "acquire", step.acquire, change)
                if result is _FAILED and step.required and self.wanted:
                    # The wish that follows may come after this call.  Until then no
                    # other step is acquired.
                    self._failed = True
                    self._unfit(step.name)
            else:
                if self._acquired == 0:
                    break
                self._acquired -= 1
                step = self._steps[self._acquired]
                yield self._perform(step, "release", step.release, change)
        self._ended()

    def _perform(
        self,
        step: IMastershipStep,
        what: str,
        method: Callable[[Change], Deferred[None] | None],
        change: Change,
    ) -> Deferred[Any]:
        """
        Acquire or release one step and wait for its end.

        @return: Fires with C{_FAILED} if that failed.  Does not fail.
        """

        def failed(failure: Failure) -> object:
            self._log.error(
                "Virtual host {vhid} on {interface} could not {what} {step}: {reason}",
                vhid=change.vhid,
                interface=change.interface,
                what=what,
                step=step.name,
                reason=failure.getErrorMessage(),
            )
            return _FAILED

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
        goal = len(self._steps) if isMaster else 0
        if wish is not None and self._acquired == goal and not self._failed:
            done = Readiness.READY if isMaster else Readiness.RELEASED
            self.readiness, before = done, self.readiness
            if before is not done:
                self._tell(wish, done)
        if self._running:
            return  # an observer has led to another wish
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.callback(None)
