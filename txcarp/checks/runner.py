"""
Runs one health check at its times.

Runs of many checks are spread in time.  A run that takes too long is cancelled, and counts as
failed.  The next one begins only when the last one has ended.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from txcarp.checks.health import HealthCheck
from txcarp.checks.verdict import Health, Outcome, Verdict
from txcarp.interfaces import IPlatform

#: The first run of a check begins within this many seconds, however long its interval is.
FIRST_WITHIN = 1.0

#: The most characters of a result that are kept.
LONGEST_TEXT = 200

#: A timeout that is noticed this many seconds late says more about this host than about the check.
_TOLERATED_LATENESS = 0.5

#: The resolution of the random moment at which a check runs, in bits.
_BITS = 24


class Runner:
    """
    Runs one check, and keeps its last result.

    @ivar settings: The check.
    @ivar verdict: The present state.
    @ivar since: When the state began, in seconds of the clock.
    @ivar outcome: How the last run ended; C{None} if none has.
    @ivar text: What the last run said, as one line.
    """

    _log = Logger()

    def __init__(
        self,
        settings: HealthCheck,
        platform: IPlatform,
        verdict: Verdict,
        changed: Callable[[Runner], None],
    ) -> None:
        """
        @param verdict: The state to begin with.
        @param changed: Called when the state has changed.
        """
        self.settings = settings
        self.verdict = verdict
        self.since: float = platform.clock.seconds()
        self.outcome: Outcome | None = None
        self.text = "no result yet"
        self._platform = platform
        self._changed = changed
        self._due: IDelayedCall | None = None
        self._running: Deferred[object] | None = None
        self._deadline: IDelayedCall | None = None
        self._begun = 0.0
        self._isOver = False
        self._isForgiven = False
        #: What a run that took too long says about it.
        self._lastWords = ""

    def start(self) -> None:
        """
        Run the check for the first time soon, and then at each interval.

        The place in the interval is random, so that the runs of many checks are spread over it.
        If the interval is long, the first run comes earlier, and is the only one out of turn.
        """
        place = self._platform.random(_BITS) / 2**_BITS
        interval = self.settings.interval
        early = place * min(interval, FIRST_WITHIN)
        regular = place * interval
        self._due = self._platform.clock.callLater(
            early, self._run, interval if interval <= FIRST_WITHIN else regular - early
        )

    def stop(self) -> None:
        """
        Cancel the run that is going on, and do not begin another.
        """
        cancel(self._due)
        cancel(self._deadline)
        self._due = None
        running, self._running = self._running, None
        if running is not None:
            running.cancel()

    @property
    def next(self) -> float | None:
        """
        When the next run begins, in seconds of the clock; C{None} if the check is stopped.
        """
        return self._due.getTime() if self._due is not None and self._due.active() else None

    def _run(self, again: float) -> None:
        """
        @param again: Seconds until the next run.
        """
        clock, settings = self._platform.clock, self.settings
        if self._running is not None:
            self._due = clock.callLater(again, self._run, settings.interval)
            if self._isOver:
                self._conclude(Outcome.TIMEOUT, "timeout: the run was cancelled, and goes on")
            return
        self._isOver = False
        self._begun = self._platform.pauseSeconds()
        # First, so that a run that takes too long is over when the next one is due.
        self._deadline = clock.callLater(settings.timeout, self._tookTooLong)
        self._due = clock.callLater(again, self._run, settings.interval)
        running = self._running = maybeDeferred(_call, settings, self._platform)
        running.addBoth(self._ended, running)
        running.addErrback(self._broken)

    def _ended(self, result: object, running: Deferred[object]) -> None:
        if running is not self._running:
            return  # this check is stopped
        self._running = None
        if self._isOver:
            # This run is counted at its deadline, which may be now.
            if isinstance(result, Failure) and not result.check(CancelledError):
                self._lastWords = str(result.value)
            return
        cancel(self._deadline)
        self._isForgiven = False
        if isinstance(result, Failure):
            said = str(result.value) or result.value.__class__.__name__
            self._conclude(Outcome.FAILED, said)
        elif result is False:
            self._conclude(Outcome.FAILED, "failed")
        else:
            self._conclude(Outcome.PASSED, "passed" if result in (None, True) else str(result))

    def _tookTooLong(self) -> None:
        settings, running = self.settings, self._running
        self._isOver = True
        lateness = self._platform.pauseSeconds() - self._begun - settings.timeout
        # If this host did not run, the answer may wait in a socket.  But twice in a row, it is
        # the check that hangs.
        self._isForgiven = lateness > _TOLERATED_LATENESS and not self._isForgiven
        isForgiven = self._isForgiven
        self._lastWords = f"no result within {settings.timeout:g} s"
        if running is not None:
            running.cancel()
        if not isForgiven:
            self._conclude(Outcome.TIMEOUT, f"timeout: {self._lastWords}")

    def _conclude(self, outcome: Outcome, said: str) -> None:
        """
        Take one result into account.
        """
        self.outcome, self.text = outcome, _oneLine(said)
        before = self.verdict
        self.verdict = before.after(outcome, self.settings.rise, self.settings.fall)
        if self.verdict.health is not before.health:
            self.since = self._platform.clock.seconds()
            self._changed(self)

    def _broken(self, failure: Failure) -> None:
        self._log.failure("Internal error in check {name}", failure, name=self.settings.name)


def cancel(call: IDelayedCall | None) -> None:
    """
    Cancel a delayed call, unless it is C{None}, was made or was cancelled.
    """
    if call is not None and call.active():
        call.cancel()


def _call(settings: HealthCheck, platform: IPlatform) -> object:
    return settings.check.run(platform, settings.timeout)


def _oneLine(text: str) -> str:
    """
    A text of a checked server as a line that is harmless in a log.
    """
    line = "".join(one if one.isprintable() else " " for one in text[: LONGEST_TEXT + 1])
    return line if len(line) <= LONGEST_TEXT else f"{line[: LONGEST_TEXT - 3]}..."


def beginning(settings: HealthCheck, isAdded: bool) -> Verdict:
    """
    The verdict that a check begins with.

    @param isAdded: Whether it is added while this host takes part in its group: a master that
        works must not bow out because it is not known yet whether it works.
    """
    isGood = isAdded and settings.initial is Health.UNKNOWN
    return Verdict(Health.GOOD if isGood else settings.initial)
