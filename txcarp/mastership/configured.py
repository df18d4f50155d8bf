"""
The steps that the configuration names: commands, and units of systemd.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txcarp.change import Change, ScriptResult
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.configuration.steps import START, ConfiguredStep
from txcarp.interfaces import IMastershipStep, IPlatform
from txcarp.mastership.scripts import GRACE, ScriptFailed, factsOf

#: The program that starts and stops units.  No library: it waits for the end of the job by itself,
#: and a process that hangs can be killed.
SYSTEMCTL = "/usr/bin/systemctl"

#: Seconds between two looks at a unit that was started.
LOOK_EVERY = 2.0

#: The number of looks in a row that find it inactive, after which it is lost.  One is not enough:
#: systemd starts some units again by itself.
MISSES = 3

#: The exit statuses of C{systemctl is-active} for a unit that is not active, and for one that does
#: not exist (systemctl(1)).  Others say that systemd gives no answer.
_INACTIVE = (3, 4)

#: Seconds beyond the time limit of a process after which it is not waited for: not even SIGKILL
#: ends one that waits for a disk.
_HOPELESS = GRACE + 1.0


class _Step:
    """
    What commands and units have in common.
    """

    _log = Logger()

    def __init__(self, settings: ConfiguredStep, title: str | None, platform: IPlatform) -> None:
        """
        @param title: The name of the group in the configuration file.
        """
        self._settings = settings
        self._title = title
        self._platform = platform

    @property
    def name(self) -> str:
        """
        See L{IMastershipStep}.
        """
        return f"step {self._settings.name}"

    @property
    def required(self) -> bool:
        """
        See L{IMastershipStep}.
        """
        return self._settings.required

    @property
    def timeLimit(self) -> float:
        """
        See L{IMastershipStep}.
        """
        return self._settings.timeout + _HOPELESS

    def adopt(self, settings: ConfiguredStep, title: str | None) -> None:
        """
        Do things in another way from the next time on.
        """
        self._settings = settings
        self._title = title

    def _run(self, words: Sequence[str], change: Change) -> Deferred[None]:
        path, *arguments = words
        settings = self._settings
        facts = {**factsOf(change, self._title), "TXCARP_STEP": settings.name}
        # The arguments may have secrets, and are not logged.
        self._log.info("Step {step}: running {path}", step=settings.name, path=path)
        begun = self._platform.clock.seconds()

        def ended(result: ScriptResult) -> None:
            if not result.good:
                raise ScriptFailed(f"{path}: {result.explain()}")
            self._log.info(
                "Step {step}: {path} ended after {seconds:.1f} s",
                step=settings.name,
                path=path,
                seconds=self._platform.clock.seconds() - begun,
            )

        running = self._platform.scripts.run(path, arguments, facts, settings.timeout, whole=True)
        waited: Deferred[None] = Deferred()  # its cancellation does not end the process


        def forward(result: Failure | None) -> None:
            if not waited.called:
                waited.callback(result)

        running.addCallback(ended).addBoth(forward)
        return waited


@implementer(IMastershipStep)
class CommandStep(_Step):
    """
    Runs a command when this host becomes master, and another one when it ceases to be.
    """

    def acquire(self, change: Change) -> Deferred[None] | None:
        command = self._settings.command
        return self._run(command, change) if command else None

    def release(self, change: Change) -> Deferred[None] | None:
        undo = self._settings.undo
        return self._run(undo, change) if undo else None


@implementer(IMastershipStep)
class UnitStep(_Step):
    """
    Starts a unit of systemd when this host becomes master, looks after it, and stops it when
    this host ceases to be.  Or restarts or reloads it when this host becomes master.
    """

    def __init__(
        self,
        settings: ConfiguredStep,
        title: str | None,
        platform: IPlatform,
        lost: Callable[[str], None],
    ) -> None:
        """
        @param lost: Called with the reason when a unit that was started is not active any more.
        """
        super().__init__(settings, title, platform)
        self._lost = lost
        self._look: IDelayedCall | None = None
        self._misses = 0
        #: Distinguishes the present acquisition from those before.
        self._acquisition = object()

    def acquire(self, change: Change) -> Deferred[None]:
        action = self._settings.action
        acquisition = self._acquisition = object()

        def done(result: None) -> None:
            if action == START:
                self._misses = 0
                self._lookLater(acquisition)

        return self._control(action, change).addCallback(done)

    def release(self, change: Change) -> Deferred[None] | None:
        self._acquisition = object()
        if self._look is not None and self._look.active():
            self._look.cancel()
        return self._control("stop", change) if self._settings.action == START else None

    def _control(self, what: str, change: Change) -> Deferred[None]:
        return self._run([SYSTEMCTL, "--no-ask-password", what, "--", self._settings.unit], change)

    def _lookLater(self, acquisition: object) -> None:
        self._look = self._platform.clock.callLater(LOOK_EVERY, self._lookNow, acquisition)

    def _lookNow(self, acquisition: object) -> None:
        arguments = ["is-active", "--quiet", "--", self._settings.unit]
        running = self._platform.scripts.run(SYSTEMCTL, arguments, {}, LOOK_EVERY, whole=True)
        running.addCallback(self._looked, acquisition)

    def _looked(self, result: ScriptResult, acquisition: object) -> None:
        if acquisition is not self._acquisition:
            return  # this host is not master any more
        if result.good:
            self._misses = 0
        elif result.status in _INACTIVE and not result.timedOut:
            self._misses += 1
        if self._misses < MISSES:
            self._lookLater(acquisition)
            return
        unit = self._settings.unit
        self._log.error(
            "Step {step}: {unit} was started and is not active any more; 'systemctl status "
            "{unit}' says why",
            step=self._settings.name,
            unit=unit,
        )
        self._lost(f"{unit} is not active any more")


class ConfiguredSteps:
    """
    The steps of one virtual host that its configuration names.
    """

    def __init__(
        self,
        configuration: VirtualHostConfiguration,
        platform: IPlatform,
        lost: Callable[[IMastershipStep, str], None],
    ) -> None:
        """
        @param lost: Called with a step that was acquired and has failed since, and the reason.
        """
        self._platform = platform
        self._lost = lost
        self._steps: dict[tuple[str, str], CommandStep | UnitStep] = {}
        self.adopt(configuration)

    def adopt(self, configuration: VirtualHostConfiguration) -> None:
        """
        Have other steps.  A step that keeps its name and its unit stays the same, and does things
        in another way from the next time on.
        """
        before, self._steps = self._steps, {}
        self._settings = configuration.steps
        for settings in configuration.steps:
            key = settings.name, settings.unit
            step = before.get(key) or self._make(settings, configuration.title)
            step.adopt(settings, configuration.title)
            self._steps[key] = step

    def at(self, moment: str) -> list[IMastershipStep]:
        """
        Those that come before or after the addresses, in order.

        @param moment: One of L{MOMENTS<txcarp.configuration.steps.MOMENTS>}.
        """
        return [self._steps[one.name, one.unit] for one in self._settings if one.when == moment]

    def _make(self, settings: ConfiguredStep, title: str | None) -> CommandStep | UnitStep:
        if not settings.unit:
            return CommandStep(settings, title, self._platform)
        lost = partial(self._unitLost, (settings.name, settings.unit))
        return UnitStep(settings, title, self._platform, lost)

    def _unitLost(self, key: tuple[str, str], why: str) -> None:
        if key in self._steps:
            self._lost(self._steps[key], why)
