"""
Plays a story once, with txcarp or with plain hosts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import attrs
from twisted.logger import LogEvent, globalLogPublisher

from tests.simulation.machine import Asked, Machine, Standstill
from tests.simulation.segment import Segment
from tests.simulation.story import (
    Crash,
    Cut,
    Demote,
    Disk,
    Freeze,
    GoBack,
    Member,
    Resign,
    SetClock,
    Slew,
    Step,
    Stop,
    Story,
    Unplug,
)

#: Seconds that are less than the time between any two events.
_JUST_BEFORE = 1e-6

#: Seconds by which txcarp may be late: it looks twice at a deadline, and offers mastership for a
#: while.
SLACK = 0.1

#: How many advertisements of a host that went back to the plain protocol may come before it is
#: believed.
BELIEVED_AFTER = 3

#: When the old copies of all state files are made, in seconds.
_COPIED = 3.0

#: Seconds from the end of one program to the start of another.
_CHANGING = 1.0

#: Seconds for which a host is out of the election that lost mastership too often.
_DAMPED = 60.0

#: How often that is, in as many seconds, less one for what happens at the limit.
_TOO_OFTEN = 9

#: Seconds by which two computations of a time may differ.
_ROUNDING = 1e-6

#: A time from, a time to.
Span = tuple[float, float]

#: When to do something, and what.
_Stroke = tuple[float, Callable[[], Any]]


@attrs.frozen
class Play:
    """
    What happened in one play.

    @ivar masters: For each host, when it was master.
    @ivar holders: For each host, when its kernel had the address.
    @ivar asked: What the hosts did that is not in the plain protocol.
    @ivar refusals: When a host did not believe a stranger that did not hear it, and the source of
        the stranger.
    @ivar errors: The internal errors that were logged.
    """

    masters: list[list[Span]]
    holders: list[list[Span]]
    asked: list[Asked]
    refusals: list[tuple[float, str]]
    errors: list[str]


class Player:
    """
    Plays a story once.
    """

    def __init__(self, story: Story, plainly: bool, asked: Sequence[Asked] = ()) -> None:
        """
        @param plainly: Whether all hosts are plain.
        @param asked: What txcarp did in the other play.
        """
        self._story = story
        self._plainly = plainly
        self._asked = asked
        self.segment = Segment()
        self.machines = [
            self._machine(number, member) for number, member in enumerate(story.group.members)
        ]
        self._copies = [self._copy(machine) for machine in self.machines]
        self._errors: list[str] = []

    def _machine(self, number: int, member: Member) -> Machine:
        group = self._story.group
        settings = {
            "dialect": group.dialect,
            "advbase": group.base,
            "advskew": member.skew,
            "deadRatio": group.ratio,
            "preempt": member.preempts,
            "assign": True,
            "upScript": None,
            "downScript": None,
        }
        machine = Machine(self.segment, f"10.99.0.{number + 1}", settings, self._plainly)
        machine.clockError = member.ahead
        self.segment.computers.append(machine)
        return machine

    def play(self) -> Play:
        """
        Play the story.
        """
        strokes: list[_Stroke] = [(_COPIED, self._copyAll)]
        for machine, member in zip(self.machines, self._story.group.members, strict=True):
            strokes.append((member.starts, machine.start))
        for step in self._story.steps:
            strokes += self._strokesOf(step)
        answers = {"offer": self._offer, "flaps": self._damp, "refused": self._refuse}
        for asked in self._asked:
            if asked.what in answers:
                # A limit holds before the advertisement that made it count is answered.
                at = asked.at - (_JUST_BEFORE if asked.what == "flaps" else 0.0)
                strokes.append((at, partial(answers[asked.what], asked)))
        globalLogPublisher.addObserver(self._logged)
        try:
            for at, stroke in sorted(strokes, key=lambda one: one[0]):
                self.segment.run(at - self.segment.clock.seconds())
                stroke()
            self.segment.run(self._story.lasts - self.segment.clock.seconds())
        finally:
            globalLogPublisher.removeObserver(self._logged)
        return self._result()

    def _result(self) -> Play:
        masters: list[list[Span]] = [[] for _ in self.machines]
        numbers = {machine.source: number for number, machine in enumerate(self.machines)}
        for reign in self.segment.reigns:
            until = self._story.lasts if reign.until is None else reign.until
            masters[numbers[reign.host]].append((reign.since, until))
        return Play(
            masters,
            [machine.kernel.heldSpans() for machine in self.machines],
            sorted((one for each in self.machines for one in each.asked), key=lambda one: one.at),
            [(at, source) for machine in self.machines for at, source in machine.refusals],
            self._errors,
        )

    def _logged(self, event: LogEvent) -> None:
        if event.get("log_failure") is not None:
            self._errors.append(event["log_failure"].getTraceback())

    def _copyAll(self) -> None:
        self._copies = [self._copy(machine) for machine in self.machines]

    @staticmethod
    def _copy(machine: Machine) -> tuple[dict[Path, str], Counter[str]]:
        """
        A copy of the state file of a machine, and whom the machine knows from it.
        """
        return dict(machine.disk.texts), Counter(machine.believed)

    def _strokesOf(self, step: Step) -> list[_Stroke]:
        """
        What to do when a step begins and ends.
        """
        machine, begin, end = self.machines[step.host], step.at, step.ends
        match step:
            case Crash():
                down = partial(self._crash, machine, step.boots)
                return [(begin, down), (end, partial(self._startWith, machine, step.disk))]
            case Stop():
                up = partial(self._startWith, machine, step.disk)
                return [(begin, machine.stop), (end, up)]
            case Freeze():
                halt = partial(machine.halt, step.how, step.room)
                return [(begin, halt), (end, partial(self._goOn, machine, step))]
            case Cut():
                cuts, pair = self.segment.cuts, (machine.source, self.machines[step.other].source)
                return [(begin, partial(cuts.add, pair)), (end, partial(cuts.discard, pair))]
            case Unplug():
                period = step.seconds / step.times
                begins = [begin + number * period for number in range(step.times)]
                return [
                    *((at, partial(machine.plug, False)) for at in begins),
                    *((at + step.each, partial(machine.plug, True)) for at in begins),
                ]
            case SetClock():
                return [(begin, partial(machine.setClock, step.by))]
            case Slew():
                slew = machine.slew
                return [(begin, partial(slew, step.rate)), (end, partial(slew, 1.0))]
            case Demote():
                demote = machine.demote
                return [(begin, partial(demote, step.amount)), (end, partial(demote, 0))]
            case Resign():
                return [(begin, machine.resign)]
            case GoBack():
                return [
                    (begin, machine.stop),
                    (begin + _CHANGING, partial(self._change, machine, True)),
                    (end - _CHANGING, machine.stop),
                    (end, partial(self._change, machine, self._plainly)),
                ]
        raise TypeError(f"unknown step {step!r}")

    @staticmethod
    def _crash(machine: Machine, boots: bool) -> None:
        machine.crash()
        if boots:
            machine.reboot()

    @staticmethod
    def _change(machine: Machine, plainly: bool) -> None:
        machine.plainly = plainly
        machine.start()

    def _startWith(self, machine: Machine, disk: Disk) -> None:
        number = self.machines.index(machine)
        if disk is not Disk.KEPT:
            machine.becomeStranger()
            copy = {}, Counter[str]()
            if disk is Disk.OLDER:
                copy = self._copies[number]
            elif disk is Disk.FOREIGN:
                copy = self._copy(self.machines[(number + 1) % len(self.machines)])
            machine.disk.texts, machine.believed = dict(copy[0]), Counter(copy[1])
        machine.start()

    def _goOn(self, machine: Machine, step: Freeze) -> None:
        machine.goOn(self._notices(machine, step))

    def _notices(self, machine: Machine, step: Freeze) -> bool:
        """
        Whether a plain host has a reason to know that it slept.
        """
        if machine.plain is None or step.how is Standstill.PAUSED:
            return False
        group = self._story.group
        interval = group.intervalOf(step.host)
        if not machine.plain.isMaster:
            return step.seconds > interval
        asked = any(
            one.what == "pause"
            and one.host == machine.source
            and -_ROUNDING < one.at - step.ends < interval + 1
            for one in self._asked
        )
        return asked and step.seconds + interval > group.peersWait(step.host)

    def _named(self, source: str) -> Machine:
        return next(machine for machine in self.machines if machine.source == source)

    def _offer(self, asked: Asked) -> None:
        """
        Let a plain master offer mastership.  Only better hosts accept.
        """
        machine = self._named(asked.host)
        if machine.plain is not None and not machine.frozen:
            machine.plain.offer()

    def _refuse(self, asked: Asked) -> None:
        """
        Let a plain host take over from another one that txcarp has a reason not to believe: the
        other one is a stranger, or has just gone back to the plain protocol.
        """
        machine, other = self._named(asked.host), self._named(asked.other)
        if machine.plain is None or other.plain is None:
            return
        number = self.machines.index(other)
        now = self.segment.clock.seconds()
        since = now - BELIEVED_AFTER * self._story.group.intervalOf(number) - SLACK
        hasLapsed = any(
            isinstance(step, GoBack)
            and step.host == number
            and step.at <= now <= step.ends
            and self._begins(other, machine) >= since
            for step in self._story.steps
        )
        if other.plain.isMaster and (hasLapsed or asked.stranger):
            machine.plain.takeOver()

    def _begins(self, other: Machine, machine: Machine) -> float:
        """
        When a machine began to hear a master, at the latest.
        """
        now, number = self.segment.clock.seconds(), self.machines.index(machine)
        reigns = [reign.since for reign in self.segment.reigns if reign.host == other.source]
        returns = [
            step.ends for step in self._story.steps if step.host == number and step.ends <= now
        ]
        return max(*reigns, *returns, self._story.group.members[number].starts)

    def _damp(self, asked: Asked) -> None:
        """
        Hold a plain host out of the election if it lost mastership too often, and another host can
        be master.
        """
        machine = self._named(asked.host)
        since = asked.at - _DAMPED
        # The limit is about the time in which the host was awake.
        since -= sum(
            step.seconds
            for step in self._story.steps
            if isinstance(step, Freeze) and self.machines[step.host] is machine
            if since <= step.ends <= asked.at
        )
        lost = sum(
            reign.host == machine.source and reign.until is not None and reign.until >= since
            for reign in self.segment.reigns
        )
        others = any(
            other is not machine and other.plain is not None and other.plugged and not other.frozen
            for other in self.machines
        )
        # Two masters that hear each other at once may count as one change here, and as two there.
        if machine.plain is not None and lost >= _TOO_OFTEN - 1 and others:
            machine.plain.restWhileLed(_DAMPED)
