"""
The groups that are explored, and what may happen to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import attrs

from tests.model.machine import OFF, Kind, Machine, Spec
from tests.model.plain import DemotableUcarp, FreeBSD, OldOpenBSD, OpenBSD, Ucarp
from tests.model.production import ProductionHost
from tests.model.space import Budget, Space
from txcarp.protocol.dialect import DIALECTS, OPENBSD_77

#: What makes the machine of a host, by the name of its rules.
RULES: dict[str, Callable[[int, Spec, frozenset[Kind]], Machine]] = {
    **{
        f"txcarp/{name}": partial(ProductionHost, dialect=dialect)
        for name, dialect in DIALECTS.items()
    },
    "ucarp": Ucarp,
    "ucarp, demotable": DemotableUcarp,
    "freebsd": FreeBSD,
    "openbsd": OpenBSD,
    "openbsd-7.7": OldOpenBSD,
}


@attrs.frozen
class Scenario:
    """
    A group, and what may happen to it.

    @ivar name: A name for the command line.
    @ivar hosts: The hosts.
    @ivar limits: How often each kind of fault and request may happen.
    @ivar overtaking: Whether packets of different senders may overtake each other.
    @ivar fromNothing: Whether everything begins with all hosts off, and not with a settled group.
    @ivar rules: What makes the machine of a host, by the name of its rules.
    """

    name: str
    hosts: tuple[Spec, ...]
    limits: Mapping[Kind, int]
    overtaking: bool = False
    fromNothing: bool = False
    rules: Mapping[str, Callable[[int, Spec, frozenset[Kind]], Machine]] = attrs.field(
        default=RULES, repr=False
    )

    def space(self) -> Space:
        """
        The states of this scenario, explored.
        """
        kinds = frozenset(kind for kind, limit in self.limits.items() if limit)
        machines = []
        for number, spec in enumerate(self.hosts):
            machine = self.rules[spec.rules](number, spec, kinds)
            machine.overtaking = self.overtaking
            machines.append(machine)
        space = Space(machines, Budget(self.limits))
        if self.fromNothing:
            space.begin(space.pack([OFF] * len(machines)))
        else:
            space.settle()
        space.explore()
        return space

    def plain(self) -> list[Scenario]:
        """
        The same with the plain protocol in place of this program.

        ucarp cannot be demoted on request.  Where hosts can, L{DemotableUcarp} takes its place.

        A demotion makes a master offer mastership to hosts that do not preempt.  That is compared
        with hosts that preempt, too, as they take over from a demoted master in the same way.
        """
        plain = {name: name.removeprefix("txcarp/") for name in self.rules}
        if self.limits.get(Kind.DEMOTE):
            plain["txcarp/ucarp"] = "ucarp, demotable"
        hosts = [attrs.evolve(spec, rules=plain[spec.rules]) for spec in self.hosts]
        compared = [attrs.evolve(self, hosts=tuple(hosts))]
        if self.limits.get(Kind.DEMOTE) and not all(spec.preempt for spec in hosts):
            hosts = [attrs.evolve(spec, preempt=True) for spec in hosts]
            compared.append(attrs.evolve(self, hosts=tuple(hosts)))
        return compared


def ranked(*rules: str, preempt: bool = False, **settings: Any) -> tuple[Spec, ...]:
    """
    Hosts with different skews.
    """
    return tuple(
        Spec(name, skew=64 * number, preempt=preempt, **settings)
        for number, name in enumerate(rules)
    )


#: What may happen to a pair, besides what the scenario is about.
_PAIR = {Kind.LOSS: 6, Kind.CRASH: 3}

#: What may happen to three hosts, besides what the scenario is about.
_THREE = {Kind.LOSS: 2, Kind.CRASH: 2}


def _pairs(dialect: str) -> Iterator[Scenario]:
    """
    The scenarios of one dialect with two hosts.
    """
    ours, plain = f"txcarp/{dialect}", dialect
    leaving = {Kind.STOP: 1, Kind.RESIGN: 1}
    for preempt, ending in ((False, ""), (True, "-preempt")):
        hosts = ranked(ours, ours, preempt=preempt)
        yield Scenario(f"pair-sleep-{dialect}{ending}", hosts, {**_PAIR, **leaving, Kind.SLEEP: 1})
        yield Scenario(f"pair-demote-{dialect}{ending}", hosts, {**_PAIR, Kind.DEMOTE: 2})
    yield Scenario(f"both-sleep-{dialect}", ranked(ours, ours), {**_PAIR, Kind.SLEEP: 2})
    yield Scenario(f"mixed-{dialect}-ours", ranked(ours, plain), {**_PAIR, Kind.DEMOTE: 2})
    yield Scenario(f"mixed-{dialect}-plain", ranked(plain, ours), {**_PAIR, Kind.DEMOTE: 2})


def _threes(dialect: str) -> Iterator[Scenario]:
    """
    The scenarios of one dialect with three hosts.
    """
    ours, plain = f"txcarp/{dialect}", dialect
    for preempt, ending in ((False, ""), (True, "-preempt")):
        hosts = ranked(ours, ours, ours, preempt=preempt)
        yield Scenario(f"three-sleep-{dialect}{ending}", hosts, {**_THREE, Kind.SLEEP: 1})
        yield Scenario(f"three-demote-{dialect}{ending}", hosts, {**_THREE, Kind.DEMOTE: 1})
        yield Scenario(f"three-resign-{dialect}{ending}", hosts, {**_THREE, Kind.RESIGN: 1})
        yield Scenario(
            f"three-stop-{dialect}{ending}",
            hosts,
            {**_THREE, Kind.STOP: 1},
            fromNothing=not preempt,  # with preemption this alone would take a minute
        )
    yield Scenario(
        f"overtaking-{dialect}",
        ranked(ours, ours, ours),
        {**_THREE, Kind.STOP: 1},
        overtaking=True,
    )
    for place in range(3):
        rules = [plain if number == place else ours for number in range(3)]
        yield Scenario(
            f"mixed-three-{dialect}-{place + 1}",
            ranked(*rules, preempt=place == 1),
            {**_THREE, Kind.STOP: 1},
        )


def _all() -> Iterator[Scenario]:
    for dialect in DIALECTS:
        # Those with three hosts take long.  The rules of OpenBSD 7.7 differ from the others in
        # their combination only: they have ucarp's dead time, and the decisions of OpenBSD 7.8.
        if dialect != OPENBSD_77.name:
            yield from _threes(dialect)
        yield from _pairs(dialect)
    # Only ucarp decides between hosts with the same timing.
    yield Scenario(
        "equal-ucarp",
        (Spec("txcarp/ucarp"), Spec("txcarp/ucarp")),
        {**_PAIR, Kind.STOP: 1, Kind.RESIGN: 1},
    )
    yield Scenario("equal-ucarp-mixed", (Spec("ucarp"), Spec("txcarp/ucarp")), _PAIR)
    yield Scenario("equal-ucarp-three", (Spec("txcarp/ucarp"),) * 3, _THREE)


#: All scenarios by their names.
SCENARIOS = {scenario.name: scenario for scenario in _all()}
