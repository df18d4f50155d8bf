"""
The settings of one health check.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import attrs

from txcarp.checks.verdict import Health
from txcarp.configuration.values import notALimit, outside
from txcarp.interfaces import ICheck
from txcarp.protocol.demotion import FULL_DEMOTION

#: The most checks of one virtual host.
MAXIMUM_CHECKS = 32

#: The shortest interval and timeout, in seconds.
SHORTEST = 0.01

#: The name of a check: a word for log lines, commands and the file.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}")


@attrs.frozen
class HealthCheck:
    """
    A check, when to run it, and what follows if it fails.

    @ivar name: A word for people, such as C{haproxy}.
    @ivar check: What to run (L{ICheck}).
    @ivar interval: Seconds from the beginning of one run to that of the next.
    @ivar timeout: Seconds after which a run has failed.
    @ivar rise: How many good results in a row end the state bad.
    @ivar fall: How many bad results in a row end the state good.
    @ivar initial: The state before the first result.  C{Health.UNKNOWN} counts as bad when this
        host starts to take part in its group.  In a check that is added later, it counts as good.
    @ivar demote: How much this host is demoted while the check is bad, 1 to 240; C{None} if this
        host then must not be master.
    """

    name: str
    check: ICheck
    interval: float = attrs.field(default=1.0, kw_only=True)
    timeout: float = attrs.field(default=1.0, kw_only=True)
    rise: int = attrs.field(default=2, kw_only=True)
    fall: int = attrs.field(default=3, kw_only=True)
    initial: Health = attrs.field(default=Health.UNKNOWN, kw_only=True)
    demote: int | None = attrs.field(default=None, kw_only=True)

    def problems(self) -> Iterator[tuple[str, str]]:
        """
        Each setting that has a value that it cannot have, and what is wrong with that.
        """
        if not isinstance(self.name, str) or _NAME.fullmatch(self.name) is None:
            yield (
                "name",
                f"{self.name!r} cannot be the name of a check, which has 1 to 32 letters, digits "
                "or _, and then also . or -",
            )
        if not ICheck.providedBy(self.check):
            yield "check", f"{self.check!r} does not provide ICheck"
        if not isinstance(self.initial, Health):
            yield "initial", f"{self.initial!r} is not a member of Health"
        for setting in ("interval", "timeout"):
            value = getattr(self, setting)
            if problem := notALimit(0 if value is None else value):
                yield setting, problem
            elif value < SHORTEST:
                yield setting, f"{value!r} is less than {SHORTEST:g} s"
        for setting in ("rise", "fall"):
            if problem := outside(getattr(self, setting), 1, 1000):
                yield setting, problem
        if self.demote is not None and (problem := outside(self.demote, 1, FULL_DEMOTION)):
            yield "demote", problem

    @property
    def reason(self) -> str:
        """
        What a demotion because of this check is called.
        """
        return f"check {self.name}"

    @property
    def consequence(self) -> str:
        """
        What follows if the check fails, as a phrase.
        """
        return "unfit" if self.demote is None else f"demoted by {self.demote}"


def admit(check: HealthCheck, present: Sequence[str]) -> None:
    """
    Find out whether a check can run besides others.

    @param present: The names of the others.
    @raise ValueError: If a setting of the check is wrong, or another one has its name, or there are
        too many.
    """
    for setting, problem in check.problems():
        raise ValueError(f"{setting}: {problem}")
    if check.name in present:
        raise ValueError(f"two checks are called {check.name}")
    if len(present) >= MAXIMUM_CHECKS:
        raise ValueError(f"there are {MAXIMUM_CHECKS} checks already")
