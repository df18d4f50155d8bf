"""
Makes honest stories by chance.
"""

from __future__ import annotations

import random

import attrs

from tests.simulation.machine import Standstill
from tests.simulation.plain import RULES
from tests.simulation.story import (
    Crash,
    Cut,
    Demote,
    Disk,
    Freeze,
    GoBack,
    Group,
    Member,
    Resign,
    SetClock,
    Slew,
    Step,
    Stop,
    Story,
    Unplug,
)

#: Seconds.
YEAR = 365 * 86400.0


class Narrator:
    """
    Makes a story by chance.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._busy: list[float] = []
        self._deaf: list[float] = []

    def group(self) -> Group:
        """
        A group.
        """
        chance = self._random
        dialect = chance.choice(sorted(RULES))
        base = chance.choices((1, 2, 0), (8, 2, 1))[0]
        count = chance.choice((2, 2, 3))
        if base == 0:
            # OpenBSD compares the skew of one host with three times that of the other.
            some = (60, 90, 120) if dialect == "openbsd" else (10, 40, 160)
            skews = sorted(chance.sample(some, count))
        else:
            skews = sorted(chance.sample((0, 10, 50, 100, 150, 200), count))
            # Three equal kernels may give way to each other for ever.
            if chance.random() < 0.15 and (count == 2 or dialect == "ucarp"):
                skews = [skews[0]] * count
        chance.shuffle(skews)
        preempts = chance.choice((True, False, None))
        apart = chance.choice((0.0, 0.5))
        members = tuple(
            Member(
                skew,
                chance.random() < 0.5 if preempts is None else preempts,
                self._error() if chance.random() < apart else 0.0,
                round(chance.random() * 4, 2),
            )
            for skew in skews
        )
        # The kernels have a ratio of 3.
        ratio = chance.choice((3, 3, 3, 2, 5, 10)) if dialect == "ucarp" and base == 1 else 3
        return Group(dialect, base, members, ratio)

    def _error(self) -> float:
        """
        By how many seconds a wall clock is wrong, or is set.
        """
        size = self._random.choice((0.3, 5.0, 11.0, 15.0, 20.0, 61.0, 3600.0, 20 * YEAR))
        return size * self._random.choice((1, -1))

    def story(self) -> Story:
        """
        A story.
        """
        group, chance = self.group(), self._random
        unit = max(group.deadTimes)
        at = 4 + 2 * unit + chance.random() * 2
        self._busy = [0.0] * len(group.members)
        self._deaf = [0.0] * len(group.members)
        steps: list[Step] = []
        for _ in range(chance.choice((1, 2, 2, 3, 4, 6))):
            more = self._steps(group, unit, at)
            steps += more
            end = max((step.ends for step in more), default=at)
            # The next thing happens meanwhile, soon afterwards, or when all is calm again.
            at = chance.choice(
                (
                    at + chance.random() * (end - at),
                    end + chance.random() * unit,
                    end + (2 + chance.random()) * unit + 2,
                    end + (2 + chance.random()) * unit + 2,
                )
            )
        end = max((step.ends for step in steps), default=at)
        ordered = sorted(steps, key=lambda step: (step.at, step.host))
        damped = any(isinstance(step, Unplug) and step.times > 3 for step in ordered)
        rest = 4 * unit + 8 + (60 if damped else 0)
        return Story(group, tuple(ordered), round(end + rest, 2))

    def _steps(self, group: Group, unit: float, at: float) -> list[Step]:
        chance = self._random
        at = round(at, 2)
        free = [host for host, until in enumerate(self._busy) if until <= at]
        if not free:
            return []
        host = chance.choice(free)
        long = round(unit * chance.uniform(1.5, 8), 2)
        kinds = (Crash, Stop, Freeze, Cut, Unplug, SetClock, Slew, Demote, Resign, GoBack)
        kind = chance.choices(kinds, (3, 2, 4, 4, 1, 2, 2, 3, 1, 2))[0]
        seconds = long
        others = [other for other in range(len(group.members)) if other != host]
        step: Step
        if kind is Crash:
            seconds = chance.choice((0.5, 1.5, long))
            disk, boots = chance.choice(list(Disk)), chance.random() < 0.5
            step = Crash(at=at, host=host, seconds=seconds, disk=disk, boots=boots)
        elif kind is Stop:
            seconds = chance.choice((1.0, long))
            step = Stop(at=at, host=host, seconds=seconds, disk=chance.choice(list(Disk)))
        elif kind is Freeze:
            # A host notices if it stands still for longer than an interval.
            shortly = round(group.intervalOf(host) * chance.uniform(0.2, 0.9), 2)
            seconds = chance.choice((shortly, long, self._minutes(group)))
            how = chance.choice(list(Standstill))
            room = chance.choice((2, 10, 200))
            step = Freeze(at=at, host=host, seconds=seconds, how=how, room=room)
        elif kind is Cut:
            other = chance.choice(others)
            seconds = chance.choice((self._shortly(group), long, self._minutes(group)))
            step = Cut(at=at, host=host, other=other, seconds=seconds)
            self._deaf[host] = max(self._deaf[host], step.ends)
            if chance.random() < 0.5:
                back = Cut(at=at, host=other, other=host, seconds=round(unit * 2, 2))
                if chance.random() < 0.5:
                    back = attrs.evolve(back, seconds=seconds)
                self._deaf[other] = max(self._deaf[other], back.ends)
                return [step, back]
            return [step]
        elif kind is Unplug:
            each, times = seconds, 1
            if chance.random() < 0.3:
                times = chance.choice((3, 12))
                each = chance.choice((0.2, unit * 0.5))
                seconds = round(times * (each + unit * chance.choice((0.7, 1.3))), 2)
            step = Unplug(at=at, host=host, seconds=seconds, times=times, each=round(each, 2))
        elif kind is SetClock:
            return [SetClock(at=at, host=host, by=self._error())]
        elif kind is Slew:
            rate = chance.choice((0.9, 1.1, 1.01, 0.99, 1.083))
            return [Slew(at=at, host=host, seconds=self._minutes(group), rate=rate)]
        elif kind is Demote:
            amount = chance.choice((1, 60, 120, 240))
            both = chance.random() < 0.2
            demoted = [
                one for one in ([host, *others] if both else [host]) if self._busy[one] <= at
            ]
            for one in demoted:
                self._busy[one] = at + long + 0.5
            return [Demote(at=at, host=one, seconds=long, amount=amount) for one in demoted]
        elif kind is Resign:
            return [Resign(at=at, host=host)]
        elif self._deaf[host] > at:
            # A plain host that hears nobody draws each counter anew.  Nothing tells its
            # advertisements from old ones.
            return []
        else:
            step = GoBack(at=at, host=host, seconds=seconds + 3)
        self._busy[host] = step.ends + 0.5
        return [step]

    def _shortly(self, group: Group) -> float:
        """
        Seconds after which nobody has taken over.
        """
        least = min(group.deadTimes) - group.interval
        return round(max(0.3 * min(group.deadTimes), least) * self._random.uniform(0.2, 0.8), 2)

    def _minutes(self, group: Group) -> float:
        """
        A minute or some; less if advertisements are frequent.
        """
        return round(self._random.uniform(60, 180) if group.base else 20.0, 2)


def tell(seed: int) -> Story:
    """
    The story with this number.
    """
    return Narrator(seed).story()
