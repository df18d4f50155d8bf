"""
Ordered, awaited steps; the newest wish wins.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks, maybeDeferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from txcarp.change import Change
from txcarp.interfaces import IMastershipStep
from txcarp.protocol.effects import Role


class MastershipSequence:
    """
    The steps of one virtual host.

    They are acquired in their order and released in reverse order, and never
    does one run beside another.  A wish that comes while a step runs lets it
    end (or time out); then the sequence heads for the newest wish, whatever
    was wished in between.  Each acquire that ran is followed by one release of
    the same step before that step is acquired again, also when it failed.

    A new sequence counts everything as acquired: what an earlier run of this
    program may have left is released with the first wish, whose reason is
    L{Reason.STARTED<txcarp.protocol.effects.Reason.STARTED>}.  Each step says
    what that means for it.
    """

    _log = Logger()

    def __init__(
        self,
        steps: Sequence[IMastershipStep],
        clock: IReactorTime,
        unfit: Callable[[str], None],
    ) -> None:
        """
        @param unfit: Called with a reason when a required step failed although
            this host is still to be master; it makes the host wish otherwise.
        """
        self._steps = tuple(steps)
        self._clock = clock
        self._unfit = unfit
        self._acquired = len(self._steps)
        self._wish: Change | None = None
        self._failed = False
        self._running = False
        self._waiting: list[Deferred[None]] = []

    @property
    def complete(self) -> bool:
        """
        Whether every step was acquired and none is being released.
        """
        return (
            not self._running
            and self.wanted
            and not self._failed
            and self._acquired == len(self._steps)
        )

    @property
    def wanted(self) -> bool:
        """
        Whether the newest wish is to have everything.
        """
        return self._wish is not None and self._wish.role is Role.MASTER

    def wish(self, change: Change) -> None:
        """
        Head for what this role means, beginning now if no step runs.
        """
        self._wish = change
        self._failed = False
        if not self._running:
            self._running = True
            self._run().addErrback(self._broken)

    def settled(self) -> Deferred[None]:
        """
        Wait until everything that was wished is done.
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
                good = yield self._perform(step, "acquire", step.acquire, change)
                if not good and step.required and self.wanted:
                    # The other wish may come only after this call; until then
                    # no more is done for this one.
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
    ) -> Deferred[bool]:
        """
        Run one step to its end.

        @return: Fires with whether it did what it should, and never fails.
        """

        def failed(failure: Failure) -> bool:
            self._log.error(
                "Virtual host {vhid} on {interface}: {what} of {step} failed: {reason}",
                vhid=change.vhid,
                interface=change.interface,
                what=what,
                step=step.name,
                reason=failure.getErrorMessage(),
            )
            return False

        running: Deferred[Any] = maybeDeferred(method, change)
        if step.timeLimit is not None:
            running = self._within(running, step.timeLimit)
        return running.addCallbacks(lambda _: True, failed)

    def _within(self, running: Deferred[Any], seconds: float) -> Deferred[Any]:
        """
        Wait for the end of something, but no longer than so many seconds; then
        cancel it, and wait no more, whatever it makes of that.
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
                self._log.failure("What took too long could not be cancelled")
            ended.errback(TimeoutError(f"it took longer than {seconds} s"))

        running.addBoth(finished)
        if not ended.called:
            timer = self._clock.callLater(seconds, late)
        return ended

    def _broken(self, failure: Failure) -> None:
        # Not reached by a step, whose failures end in _perform: a fault of ours.
        self._log.failure("The steps of a virtual host stopped", failure=failure)
        self._ended()

    def _ended(self) -> None:
        self._running = False
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.callback(None)
