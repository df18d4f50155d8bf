"""
The state of one health check of one group.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from txcarp.change import Runs
from txcarp.checks.health import HealthCheck
from txcarp.checks.probes import Probe
from txcarp.checks.verdict import Health, Outcome, Verdict
from txcarp.interfaces import IPlatform


class Runner:
    """
    Has one check run, and keeps its state and its last result.

    @ivar settings: The check.
    @ivar verdict: The present state.
    @ivar since: When the state began, in seconds of the clock.
    @ivar outcome: How the last run ended; C{None} if none has.
    @ivar text: What the last run said, as one line.
    @ivar runs: How often the check was run for this group, and how long that took.
    """

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
        self.runs = Runs()
        self._platform = platform
        self._changed = changed
        self._probe: Probe | None = None
        self._leave: Callable[[], None] = _nothing

    def start(self) -> None:
        """
        Run the check for the first time soon, and then at each interval.
        """
        self._probe, self._leave = self._platform.probes.join(self.settings, self, self._concluded)

    def stop(self) -> None:
        """
        Take note of no result any more.
        """
        self._probe = None
        self._leave()

    @property
    def next(self) -> float | None:
        """
        When the next run begins, in seconds of the clock; C{None} if the check is stopped.
        """
        return None if self._probe is None else self._probe.next

    def _concluded(self, outcome: Outcome, text: str) -> Callable[[], None] | None:
        """
        Take one result into account.

        @return: Tells that the state has changed, if it has.
        """
        self.outcome, self.text = outcome, text
        if self._probe is not None:
            self.runs = self.runs.plus(self._probe.took, outcome is not Outcome.PASSED)
        before = self.verdict
        self.verdict = before.after(outcome, self.settings.rise, self.settings.fall)
        if self.verdict.health is before.health:
            return None
        self.since = self._platform.clock.seconds()
        return partial(self._changed, self)


def beginning(settings: HealthCheck, isAdded: bool) -> Verdict:
    """
    The verdict that a check begins with.

    @param isAdded: Whether it is added while this host takes part in its group: a master that
        works must not bow out because it is not known yet whether it works.
    """
    isGood = isAdded and settings.initial is Health.UNKNOWN
    return Verdict(Health.GOOD if isGood else settings.initial)


def _nothing() -> None:
    pass
