"""
The health checks of one run, and what follows from them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
from twisted.logger import Logger

from txcarp.checks.health import HealthCheck
from txcarp.checks.runner import Runner, beginning
from txcarp.checks.verdict import Health, Verdict
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.interfaces import IPlatform, IWitness
from txcarp.membership.chronicle import Chronicle
from txcarp.membership.demotions import Demotions
from txcarp.membership.holds import Holds
from txcarp.occurrences import OccurrenceKind
from txcarp.protocol.events import CheckChanged, Event, HoldReason
from txcarp.status.parts import CheckStatus


class Fitness:
    """
    Holds this host back from the election, or demotes it, while a health check is bad.
    """

    _log = Logger()

    def __init__(
        self,
        configuration: VirtualHostConfiguration,
        platform: IPlatform,
        others: Sequence[HealthCheck],
        holds: Holds,
        demotions: Demotions,
        tell: Callable[[Event], None],
        resign: Callable[[HoldReason, float | None, str], None],
        chronicle: Chronicle,
    ) -> None:
        """
        @param others: Checks besides those of the configuration.  The caller may change the list.
        @param tell: Called with L{CheckChanged}.
        @param resign: Holds this host back for a reason, without an end, and with a text about
            it.  A master hands over.
        """
        self._configuration = configuration
        self._platform = platform
        self._others = others
        self._holds = holds
        self._demotions = demotions
        self._tell = tell
        self._resign = resign
        self._chronicle = chronicle
        self._runners: dict[str, Runner] = {}

    def start(self) -> None:
        """
        Begin to check.  What is not known to be good counts as bad.
        """
        for settings in self._wanted():
            self._begin(settings, beginning(settings, False))
        self.settle()

    def stop(self) -> None:
        """
        Stop all checks.
        """
        for runner in self._runners.values():
            runner.stop()
        self._runners.clear()

    def adopt(self, configuration: VirtualHostConfiguration) -> None:
        """
        Run other checks, or in another way.  A check keeps its state if it keeps its name.
        """
        self._configuration = configuration
        wanted = {settings.name: settings for settings in self._wanted()}
        for name, runner in list(self._runners.items()):
            before, after = runner.settings, wanted.get(name)
            if after == before:
                continue
            runner.stop()
            del self._runners[name]
            if before.demote is not None and (after is None or after.demote is None):
                self._demotions.promote(before.reason)
            if after is not None:
                self._begin(after, Verdict(runner.verdict.health), runner)
        for name, settings in wanted.items():
            if name not in self._runners:
                self._begin(settings, beginning(settings, True))
        self.settle()

    def changed(self, event: CheckChanged) -> None:
        """
        Handle that a check has another state.
        """
        runner = self._runners.get(event.name)
        if runner is None:
            return
        settings = runner.settings
        facts = {
            "name": event.name,
            "text": event.text,
            "vhid": self._configuration.vhid,
            "interface": self._configuration.interface,
        }
        if event.good:
            self._log.info(
                "Check {name} is good: {text} (vhid {vhid} on {interface})", **facts
            )
        else:
            self._log.error(
                "Check {name} is bad: {text}. This host is {consequence} until the check has "
                "passed {rise} times in a row (vhid {vhid} on {interface})",
                consequence=settings.consequence,
                rise=settings.rise,
                **facts,
            )
        health = "good" if event.good else "bad"
        self._chronicle.note(
            OccurrenceKind.CHECK,
            health,
            f'check "{event.name}" is {health}',
            event.text,
            check=event.name,
        )
        self._demote(runner)
        self.settle()

    def settle(self) -> None:
        """
        Hold this host back, or release it, depending on the checks.
        """
        detail = "; ".join(
            f"{name}: {runner.text}"
            for name, runner in self._runners.items()
            if runner.settings.demote is None and runner.verdict.health is not Health.GOOD
        )
        if not detail:
            self._holds.release(HoldReason.CHECK)
        elif (hold := self._holds.present.get(HoldReason.CHECK)) is not None:
            hold.detail = detail
        else:
            self._resign(HoldReason.CHECK, None, detail)

    def statuses(self) -> list[CheckStatus]:
        """
        The present state of each check.
        """
        now = self._platform.clock.seconds()
        return [
            CheckStatus(
                name=name,
                health=one.verdict.health.value,
                consequence=one.settings.consequence,
                since=now - one.since,
                outcome=one.outcome.value if one.outcome is not None else "",
                text=one.text,
                next=None if one.next is None else max(0.0, one.next - now),
                runs=one.runs,
            )
            for name, one in self._runners.items()
        ]

    @property
    def isWitnessed(self) -> bool | None:
        """
        Whether another host on the link answers this one (L{IWitness}); C{None} if no check asks,
        or none has a result.
        """
        found = [
            one.verdict.health is Health.GOOD
            for one in self._runners.values()
            if IWitness.providedBy(one.settings.check) and one.outcome is not None
        ]
        return any(found) if found else None

    def _wanted(self) -> list[HealthCheck]:
        """
        The checks, each for the link of this group.
        """
        own = self._configuration
        sources = [one for one in (own.source, own.source6) if one is not None]
        return [
            attrs.evolve(one, check=one.check.on(own.interface, sources))
            if IWitness.providedBy(one.check)
            else one
            for one in (*own.checks, *self._others)
        ]

    def _begin(
        self, settings: HealthCheck, verdict: Verdict, earlier: Runner | None = None
    ) -> None:
        """
        @param earlier: What has run the check until now.
        """
        runner = Runner(settings, self._platform, verdict, self._changed)
        if earlier is not None:
            runner.since, runner.outcome, runner.text = earlier.since, earlier.outcome, earlier.text
        self._runners[settings.name] = runner
        runner.start()
        self._demote(runner)

    def _changed(self, runner: Runner) -> None:
        good = runner.verdict.health is Health.GOOD
        self._tell(CheckChanged(runner.settings.name, good, runner.text))

    def _demote(self, runner: Runner) -> None:
        settings = runner.settings
        if settings.demote is None:
            return
        if runner.verdict.health is Health.GOOD:
            self._demotions.promote(settings.reason)
        else:
            self._demotions.demote(settings.reason, settings.demote)
