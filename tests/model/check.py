"""
Whether a scenario is as good as the plain protocol.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import attrs

from tests.model.continuation import Ends, byBudget, judge
from tests.model.machine import TICK, Kind, Spec, ticks
from tests.model.paths import around, fromTheStart, longest
from tests.model.scenarios import SCENARIOS, Scenario
from tests.model.space import Budget, Space, Step
from tests.model.story import steps, tell
from txcarp.protocol.advertisement import MAXIMUM_DEMOTED_SKEW
from txcarp.protocol.election import LEAST_INTERVALS


@attrs.frozen
class Counterexample:
    """
    What is wrong with a scenario.

    @ivar title: What it is, in a sentence.
    @ivar text: The story that leads there, and what follows without another fault.
    @ivar steps: Its moves, from the start of the hosts.
    """

    title: str
    text: str
    steps: list[Step]


@attrs.frozen
class Report:
    """
    What was found out about a scenario.

    @ivar name: The name of the scenario.
    @ivar states: The number of states, without those of the plain protocol.
    @ivar seconds: The processor time that it took.
    @ivar none: The longest time without a master after the last fault, in seconds.
    @ivar several: The longest time with several masters after the last fault, in seconds.
    @ivar plain: The same two numbers for the plain protocol.
    @ivar found: What is wrong.
    """

    name: str
    states: int
    seconds: float
    none: float
    several: float
    plain: tuple[float, float]
    found: list[Counterexample]


def bound(budget: Budget, longest: Sequence[Sequence[int]]) -> list[int]:
    """
    The bounds by the faults that are left, in ticks: more faults allow what fewer allow.

    @param longest: See L{byBudget}; one for each way to have the plain protocol.
    """
    bounds = [max(some) for some in zip(*longest, strict=True)]
    for kind, stride in budget.strides.items():
        for index in reversed(range(budget.size)):
            if budget.left(index)[kind] < budget.limits[kind]:
                bounds[index] = max(bounds[index], bounds[index + stride])
    return bounds


def _longestDeadTime(spec: Spec) -> int:
    """
    The longest dead time of a host by any rules (those of OpenBSD), in ticks.
    """
    return ticks(3 * (1 + spec.skew / 256))


def _longestPatience(spec: Spec) -> int:
    """
    How long a host waits for a master that made the longest offer, in ticks.
    """
    return ticks((3 + MAXIMUM_DEMOTED_SKEW / 256) * LEAST_INTERVALS)


def check(scenario: Scenario) -> Report:
    """
    Explore a scenario, and compare it with the plain protocol.
    """
    began = time.process_time()
    none, several = [], []
    for plain in scenario.plain():
        space = plain.space()
        ends = judge(space)
        none.append(byBudget(space, ends.none))
        several.append(byBudget(space, ends.several))
    del space
    space = scenario.space()
    ends = judge(space)
    budget = space.budget
    noneBound, severalBound = bound(budget, none), bound(budget, several)
    for index in range(budget.size):
        spent = budget.spent(index)
        if spent.get(Kind.CRASH, 0) > 1 and spent.get(Kind.DEMOTE, 0) > 1:
            # A host that starts in the milliseconds before an offer cannot tell it from the
            # advertisement of a slow master, and waits for longer if that crashes at once.
            noneBound[index] = max(noneBound[index], *map(_longestPatience, scenario.hosts))
        if spent.get(Kind.SLEEP):
            # On purpose: a host of this program that slept behaves as if it had just started,
            # because another one may be master by now.
            noneBound[index] = max(noneBound[index], *map(_longestDeadTime, scenario.hosts))
    if scenario.overtaking:
        # A bow-out that arrives after the advertisement of its heir makes another heir.
        noneBound = [max(noneBound)] * budget.size
        severalBound = [max(severalBound)] * budget.size
    found = _unsettled(space, ends)
    if not found:  # otherwise it lasts for ever
        found += _tooLong(space, ends.none, noneBound, "nobody is master")
        found += _tooLong(space, ends.several, severalBound, "several hosts are master")
    return Report(
        scenario.name,
        space.size,
        time.process_time() - began,
        max(byBudget(space, ends.none)) * TICK,
        max(byBudget(space, ends.several)) * TICK,
        (max(noneBound) * TICK, max(severalBound) * TICK),
        found,
    )


def checkNamed(name: str) -> Report:
    """
    Check a scenario of L{tests.model.scenarios.SCENARIOS}.
    """
    return check(SCENARIOS[name])


def _unsettled(space: Space, ends: Ends) -> list[Counterexample]:
    if not ends.unsettled:
        return []
    bad = {number for circle in ends.unsettled for number in circle}
    way = fromTheStart(space, lambda number, index: number in bad)
    [circle] = [one for one in ends.unsettled if way[-1] in one]
    circle = [way[-1], *(number for number in circle if number != way[-1])]
    onward = around(space, circle)
    return [_counterexample(space, "the group never settles", way, onward)]


def _tooLong(
    space: Space, lasts: dict[int, int], bounds: list[int], what: str
) -> list[Counterexample]:
    budget = space.budget
    worse = [
        (sum(budget.spent(index).values()), -index)
        for index, time in enumerate(byBudget(space, lasts))
        if time > bounds[index]
    ]
    if not worse:
        return []
    best = -min(worse)[1]
    way = fromTheStart(
        space, lambda number, index: index == best and lasts.get(number, 0) > bounds[best]
    )
    title = (
        f"{what} for {lasts[way[-1]] * TICK:.2f} s, and in the plain protocol for "
        f"{bounds[best] * TICK:.2f} s at most"
    )
    return [_counterexample(space, title, way, longest(space, way[-1], lasts))]


def _counterexample(space: Space, title: str, way: list[int], onward: list[int]) -> Counterexample:
    whole = [*way, *onward]
    return Counterexample(title, tell(space, whole, len(way) - 1), steps(space, whole))
