"""
Honest schedules: what can happen to a group without an attacker, as values.

A L{Story} is a group and a list of things that happen to it.  Each of them ends by itself, and
none depends on another, so a story remains one when some are deleted.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator

import attrs

from tests.simulation.machine import Standstill
from tests.simulation.plain import RULES

#: The names of the hosts in a story.
NAMES = "abc"


class Disk(enum.Enum):
    """
    What a host finds in its state file when it starts.  The values are phrases for stories.
    """

    KEPT = "its state is kept"
    LOST = "its state is lost"
    OLDER = "its state is that of an old copy"
    FOREIGN = "its state is that of another host"


@attrs.frozen
class Member:
    """
    A host of a group.

    @ivar skew: Its advskew.
    @ivar preempts: Whether it takes over from a master that is less preferred.
    @ivar ahead: Seconds by which its wall clock is ahead.
    @ivar starts: When it starts, in seconds.
    """

    skew: int
    preempts: bool = False
    ahead: float = 0.0
    starts: float = 0.0


@attrs.frozen
class Group:
    """
    A group of hosts.

    @ivar base: The advbase of all hosts.
    @ivar ratio: How many times the advbase a master may be silent.
    """

    dialect: str
    base: int
    members: tuple[Member, ...]
    ratio: int = 3

    @property
    def interval(self) -> float:
        """
        The longest interval of an advertisement without demotions, in seconds.
        """
        return max(map(self.intervalOf, range(len(self.members))))

    def intervalOf(self, host: int) -> float:
        """
        The interval of one host without demotions, in seconds.
        """
        return self.base + self.members[host].skew / 256

    @property
    def deadTimes(self) -> list[float]:
        """
        The dead time of each host in seconds.
        """
        dead = RULES[self.dialect].dead
        return [dead(self.base, member.skew, self.ratio) for member in self.members]

    def peersWait(self, host: int) -> float:
        """
        For how many seconds the peers of a host wait for it at least, as far as it can know.
        """
        if self.base == 0:
            return min(time for other, time in enumerate(self.deadTimes) if other != host)
        return RULES[self.dialect].dead(self.base, 0, self.ratio)


@attrs.frozen(kw_only=True)
class Step:
    """
    Something that happens to a host.

    @ivar at: When it begins, in seconds.
    @ivar host: The number of the host.
    @ivar seconds: How long it lasts.
    """

    at: float
    host: int
    seconds: float = 0.0

    @property
    def ends(self) -> float:
        """
        When it ends.
        """
        return self.at + self.seconds


@attrs.frozen(kw_only=True)
class Crash(Step):
    """
    A host is down for a while.

    @ivar disk: What it finds in its state file afterwards.
    @ivar boots: Whether the machine is booted again, and not only the program.
    """

    disk: Disk = Disk.KEPT
    boots: bool = False

    def __str__(self) -> str:
        how = "loses its power" if self.boots else "is killed"
        return f"{how}, and starts again after {self.seconds:.2f} s; {self.disk.value}"


@attrs.frozen(kw_only=True)
class Stop(Step):
    """
    A host is stopped in good order, and started again.

    @ivar disk: What it finds in its state file afterwards.
    """

    disk: Disk = Disk.KEPT

    def __str__(self) -> str:
        return f"is stopped, and starts again after {self.seconds:.2f} s; {self.disk.value}"


@attrs.frozen(kw_only=True)
class Freeze(Step):
    """
    A host stands still.

    @ivar how: How.
    @ivar room: How many packets its socket keeps meanwhile.
    """

    how: Standstill = Standstill.STOPPED
    room: int = 200

    def __str__(self) -> str:
        return (
            f"stands still for {self.seconds:.2f} s ({self.how.value}); its socket keeps "
            f"{self.room} packets"
        )


@attrs.frozen(kw_only=True)
class Cut(Step):
    """
    A host does not hear another.

    @ivar other: The number of the other host.
    """

    other: int

    def __str__(self) -> str:
        return f"does not hear {NAMES[self.other]} for {self.seconds:.2f} s"


@attrs.frozen(kw_only=True)
class Unplug(Step):
    """
    A host has no link, once or several times in the same intervals.

    @ivar times: How often.
    @ivar each: How many seconds it has no link each time.
    """

    times: int = 1
    each: float

    def __str__(self) -> str:
        if self.times == 1:
            return f"has no link for {self.each:.2f} s"
        return f"has no link for {self.each:.2f} s, {self.times} times within {self.seconds:.2f} s"


@attrs.frozen(kw_only=True)
class SetClock(Step):
    """
    The wall clock of a host is set.

    @ivar by: Seconds to add.
    """

    by: float

    def __str__(self) -> str:
        return f"has its wall clock set by {self.by:+.2f} s"


@attrs.frozen(kw_only=True)
class Slew(Step):
    """
    All clocks of a host but the raw one run at another rate.

    @ivar rate: Their seconds per second.
    """

    rate: float

    def __str__(self) -> str:
        return f"has its clocks slewed by {self.rate - 1:+.1%} for {self.seconds:.2f} s"


@attrs.frozen(kw_only=True)
class Demote(Step):
    """
    A host is demoted.

    @ivar amount: By how much.
    """

    amount: int

    def __str__(self) -> str:
        return f"is demoted by {self.amount} for {self.seconds:.2f} s"


@attrs.frozen(kw_only=True)
class Resign(Step):
    """
    A host is asked to hand over.
    """

    def __str__(self) -> str:
        return "is asked to hand over"


@attrs.frozen(kw_only=True)
class GoBack(Step):
    """
    A host runs ucarp, or the kernel's CARP, in place of txcarp.
    """

    def __str__(self) -> str:
        return f"goes back to the plain protocol for {self.seconds:.2f} s"


@attrs.frozen
class Story:
    """
    A group, and what happens to it.

    @ivar lasts: When the story ends, in seconds.
    """

    group: Group
    steps: tuple[Step, ...]
    lasts: float

    def __str__(self) -> str:
        group = self.group
        lines = [
            f"A group with {group.dialect}'s rules, an advbase of {group.base} and a dead ratio of "
            f"{group.ratio}."
        ]
        for name, member in zip(NAMES, group.members, strict=False):
            preempts = "preempts" if member.preempts else "does not preempt"
            ahead = f"; its wall clock is {member.ahead:+.2f} s ahead" if member.ahead else ""
            lines.append(
                f"Host {name}: skew {member.skew}, {preempts}; starts at "
                f"{member.starts:.2f}{ahead}."
            )
        lines += [f"{step.at:8.2f} s  {NAMES[step.host]} {step}." for step in self.steps]
        return "\n".join([*lines, f"{self.lasts:8.2f} s  The end."])

    def shorter(self) -> Iterator[Story]:
        """
        The stories with one thing less.
        """
        for index in range(len(self.steps)):
            rest = self.steps[:index] + self.steps[index + 1 :]
            yield attrs.evolve(self, steps=rest)
        last = len(self.group.members) - 1
        used = {step.host for step in self.steps}
        used |= {step.other for step in self.steps if isinstance(step, Cut)}
        if last > 1 and last not in used:
            members = self.group.members[:-1]
            yield attrs.evolve(self, group=attrs.evolve(self.group, members=members))
        for index, member in enumerate(self.group.members):
            simple = attrs.evolve(member, ahead=0.0)
            if simple != member:
                members = tuple(
                    simple if number == index else one
                    for number, one in enumerate(self.group.members)
                )
                yield attrs.evolve(self, group=attrs.evolve(self.group, members=members))

    def shrunk(self, fails: Callable[[Story], bool]) -> Story:
        """
        The shortest story that still fails.
        """
        story = self
        while True:
            for shorter in story.shorter():
                if fails(shorter):
                    story = shorter
                    break
            else:
                return story
