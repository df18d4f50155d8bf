"""
Runs health checks at their times.

Runs of many checks are spread in time.  A run that takes too long is cancelled, and counts as
failed.  The next one begins only when the last one has ended.  Where several groups have the same
check, it is run once for all of them: a thousand groups ask a server no more often than one.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial

import attrs
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from txcarp.checks.health import HealthCheck
from txcarp.checks.verdict import Outcome
from txcarp.interfaces import IPlatform

#: The first run of a check begins within this many seconds, however long its interval is.
FIRST_WITHIN = 1.0

#: The most characters of a result that are kept.
LONGEST_TEXT = 200

#: A timeout that is noticed this many seconds late says more about this host than about the check.
_TOLERATED_LATENESS = 0.5

#: The resolution of the random moment at which a check runs, in bits.
_BITS = 24

#: The most listeners that act in one turn of the reactor.
AT_ONCE = 16

#: Gets a result: how a run ended, and what it said.  Returns what to do about it, or C{None}.
Listener = Callable[[Outcome, str], Callable[[], None] | None]


class Probe:
    """
    Runs one check, for one listener or more.

    @ivar name: The name of the check for the first listener.
    @ivar took: How long the last run took that ended or took too long, in seconds.
    """

    _log = Logger()

    def __init__(self, settings: HealthCheck, platform: IPlatform) -> None:
        """
        @param settings: The check, its interval and its timeout.
        """
        self.name = settings.name
        self.took = 0.0
        self._settings = settings
        self._platform = platform
        self._listeners: dict[object, Listener] = {}
        #: What listeners do about the last result, after the listener.
        self._pending: dict[object, Callable[[], None]] = {}
        self._telling: IDelayedCall | None = None
        self._due: IDelayedCall | None = None
        self._running: Deferred[object] | None = None
        self._deadline: IDelayedCall | None = None
        self._begun = 0.0
        self._isOver = False
        self._isForgiven = False
        #: What a run that took too long says about it.
        self._lastWords = ""

    @property
    def isIdle(self) -> bool:
        """
        Whether nobody listens.
        """
        return not self._listeners

    @property
    def next(self) -> float | None:
        """
        When the next run begins, in seconds of the clock; C{None} if the check is stopped.
        """
        return self._due.getTime() if self._due is not None and self._due.active() else None

    def add(self, key: object, listener: Listener) -> None:
        """
        Tell a listener each result from now on.  The first one comes soon, also if the interval
        is long.

        @param key: What L{remove} knows the listener by.
        """
        self._listeners[key] = listener
        due = self.next
        if due is None or due > self._platform.clock.seconds() + FIRST_WITHIN:
            self._begin()

    def remove(self, key: object) -> None:
        """
        Undo L{add}.  Without a listener, the run that is going on is cancelled, and no other
        begins.
        """
        self._listeners.pop(key, None)
        self._pending.pop(key, None)
        if not self._listeners:
            self._stop()

    def _begin(self) -> None:
        """
        Run the check soon, and then at each interval.

        The place in the interval is random, so that the runs of many checks are spread over it.
        If the interval is long, the first run comes earlier, and is the only one out of turn.
        """
        cancel(self._due)
        place = self._platform.random(_BITS) / 2**_BITS
        interval = self._settings.interval
        early = place * min(interval, FIRST_WITHIN)
        regular = place * interval
        self._due = self._platform.clock.callLater(
            early, self._run, interval if interval <= FIRST_WITHIN else regular - early
        )

    def _stop(self) -> None:
        for call in (self._due, self._deadline, self._telling):
            cancel(call)
        self._due = None
        running, self._running = self._running, None
        if running is not None:
            running.cancel()

    def _run(self, again: float) -> None:
        """
        @param again: Seconds until the next run.
        """
        clock, settings = self._platform.clock, self._settings
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
        settings, running = self._settings, self._running
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
        Tell all listeners a result.
        """
        text = _oneLine(said)
        self.took = self._platform.pauseSeconds() - self._begun
        for key, listener in list(self._listeners.items()):
            action = listener(outcome, text)
            if action is not None:
                self._pending[key] = action
        if self._telling is None or not self._telling.active():
            self._tell()

    def _tell(self) -> None:
        """
        Have some listeners act.  The others wait for the next turn, because a thousand groups that
        change at once would keep advertisements waiting.
        """
        for key in list(self._pending)[:AT_ONCE]:
            action = self._pending.pop(key, None)
            try:
                if action is not None:
                    action()
            except Exception:
                self._log.failure("Handling a change of check {name} failed", name=self.name)
        if self._pending:
            self._telling = self._platform.clock.callLater(0, self._tell)

    def _broken(self, failure: Failure) -> None:
        self._log.failure("Internal error in check {name}", failure, name=self.name)


class Probes:
    """
    The checks of all virtual hosts on one platform.
    """

    def __init__(self, platform: IPlatform) -> None:
        self._platform = platform
        self._probes: dict[Hashable, Probe] = {}

    def join(
        self, settings: HealthCheck, key: object, listener: Listener
    ) -> tuple[Probe, Callable[[], None]]:
        """
        Run a check for a listener, unless one that is equal and has the same interval and timeout
        is run already: the listener then gets the results of that one.

        @param key: What nobody else uses as a key.
        @return: What runs the check, and what ends that for this listener.
        """
        what: Hashable = settings.check, settings.interval, settings.timeout
        try:
            probe = self._probes.get(what)
        except TypeError:
            what, probe = _Unequal(), None  # a check of another program may have no hash
        if probe is None:
            probe = self._probes[what] = Probe(settings, self._platform)
        probe.add(key, listener)
        return probe, partial(self._leave, what, probe, key)

    def _leave(self, what: Hashable, probe: Probe, key: object) -> None:
        probe.remove(key)
        if probe.isIdle and self._probes.get(what) is probe:
            del self._probes[what]


@attrs.frozen(eq=False)
class _Unequal:
    """
    Equals nothing else.
    """


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
