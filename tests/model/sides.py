"""
The exhaustive model of sets: two hosts with a group on each of two sides, whatever fails.

C{python -m tests.model.sides} explores all orders in which anything can happen: packets are lost,
a way between the hosts is cut in one direction and healed, a group cannot be master for a while,
and hosts crash, start and hand over.  The decisions are those of L{txcarp.protocol.election} and
L{txcarp.protocol.together}.  This module does what L{txcarp.sets} does around them.

Time passes in whole seconds, which are the interval, and packets are faster.  In every state a host
is master of both sides or of none.  Whatever follows without another fault comes to rest: the set
is on one host, and roles change no more.
"""

from __future__ import annotations

import itertools
import math
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import attrs

from tests.model.graph import components, isCircle
from txcarp.protocol import effects, events, together
from txcarp.protocol.effects import Reason, Role
from txcarp.protocol.election import BACKUP, INIT, MASTER, WAITING, ICARPState, Standing
from txcarp.protocol.events import Event, Heard, HoldReason
from txcarp.protocol.timing import LEAVING, Peer, Timing
from txcarp.protocol.together import Answer, Hold

_STATES: dict[str, ICARPState] = {
    "off": INIT,
    "backup": BACKUP,
    "waiting": WAITING,
    "master": MASTER,
}
_NAMES = {id(state): name for name, state in _STATES.items()}
_SIDES = (0, 1)


class Member(NamedTuple):
    """
    A virtual host.  Times are in ticks from now.

    @ivar state: The state of its election.
    @ivar deadline: When it takes over; C{None} if that has passed, or does not matter.
    @ivar beats: Whether its next advertisement is due.
    @ivar living: For how long the other host is taken for alive.
    @ivar preferred: Whether it would take over from the master that it heard last.
    @ivar winning: For how long it expects that the other master yields.
    @ivar rival: For how long that one is taken for alive.
    @ivar lack: Whether it cannot be master for a reason of its own.
    @ivar held: Why it is held back by the other one; C{None} if it is not.
    """

    state: str = "off"
    deadline: int | None = None
    beats: bool = False
    living: int = 0
    preferred: bool = False
    winning: int = 0
    rival: int = 0
    lack: bool = False
    held: str | None = None


class World(NamedTuple):
    """
    A state.

    @ivar hosts: The members of each host.
    @ivar crossing: Whether each host was master in this tick, and does not believe bow-outs.
    @ivar ways: The packets on their way to each host on each side: true for a bow-out.
    @ivar cut: The receiver and the side of a way on which packets are lost; C{None} for none.
    @ivar left: How many faults of each kind may still happen.
    """

    hosts: tuple[tuple[Member, ...], ...]
    crossing: tuple[bool, ...] = (False, False)
    ways: tuple[tuple[tuple[bool, ...], ...], ...] = (((), ()), ((), ()))
    cut: tuple[int, int] | None = None
    left: tuple[int, ...] = ()


@attrs.frozen
class Scenario:
    """
    What is explored.

    @ivar skews: The skews of each host on each side.
    @ivar preempt: Whether the hosts preempt.
    @ivar faults: How many packets are lost, ways are cut or healed, members lack something or no
        longer do, hosts crash or start, and hosts hand over.
    """

    skews: tuple[tuple[int, int], tuple[int, int]]
    preempt: bool
    faults: tuple[int, int, int, int, int]


LOSS, CUT, LACK, CRASH, RESIGN = range(5)

_PAIRS = {
    "ordered": ((0, 0), (100, 100)),
    "equal": ((0, 0), (0, 0)),
    "crossed": ((0, 100), (100, 0)),
}

#: The scenarios, by their names.
SCENARIOS = {
    f"{name}{' preempting' if preempt else ''}, {what}": Scenario(skews, preempt, faults)
    for (name, skews), preempt, (what, faults) in itertools.product(
        _PAIRS.items(),
        (False, True),
        (
            ("losses", (4, 0, 0, 2, 0)),
            ("a cut", (2, 2, 0, 1, 0)),
            ("a lack", (2, 0, 3, 1, 0)),
            ("requests", (2, 1, 0, 0, 2)),
            ("everything", (0, 2, 1, 1, 1)),
        ),
    )
}


class _Host:
    """
    One host while something happens to it.
    """

    def __init__(self, scenario: Scenario, number: int, world: World) -> None:
        self.number = number
        self.members = list(world.hosts[number])
        self.crossing = world.crossing[number]
        self.sent: list[tuple[int, bool]] = []
        self._scenario = scenario
        self._left = False
        self._taking = False

    def standing(self, side: int) -> Standing:
        """
        The facts for the election on a side.
        """
        return Standing(
            timing=Timing(1, self._scenario.skews[self.number][side]),
            deadRatio=3,
            preempt=self._scenario.preempt,
            # One host wins the ties of one side, and the other one those of the other side.
            source=bytes([10, side, 0, 1 + (self.number ^ side)]),
            held=self.members[side].lack or self.members[side].held is not None,
        )

    def peer(self, side: int, leaves: bool) -> Peer:
        """
        The other host as it is heard.
        """
        other = 1 - self.number
        timing = LEAVING if leaves else Timing(1, self._scenario.skews[other][side])
        return Peer(timing, bytes([10, side, 0, 1 + (other ^ side)]))

    def tell(self, side: int, event: Event) -> None:
        """
        Let something happen, and whatever follows.
        """
        self._tell(side, event)
        self.settle()

    def settle(self) -> None:
        """
        Carry out what the set decides.
        """
        for _ in range(10):
            decisions = together.settle(self._facts())
            if not decisions:
                return
            for one in decisions:
                side = int(one.name)
                if isinstance(one, Hold):
                    wasMaster = self.members[side].state == "master"
                    self._change(side, held=one.detail)
                    reason = HoldReason.SYNC
                    self._tell(side, events.Resigned(reason) if wasMaster else events.Held(reason))
                else:
                    self._change(side, held=None)
                    if not self.members[side].lack:
                        self._tell(side, events.Released())
        raise AssertionError("the set does not settle")

    def _change(self, side: int, **facts: object) -> None:
        self.members[side] = self.members[side]._replace(**facts)  # type: ignore[arg-type]

    def _facts(self) -> list[together.Side]:
        return [
            together.Side(
                name=str(side),
                rank=(side, ()),
                isMaster=one.state == "master",
                lack="off" if one.state == "off" else "no link" if one.lack else "",
                held=one.held,
                isSilent=one.state == "backup" and one.deadline is None,
                hears=one.living > 0,
                isPreferred=one.preferred,
                isWinning=one.state == "master" and one.winning > 0,
            )
            for side, one in enumerate(self.members)
        ]

    def _tell(self, side: int, event: Event) -> None:
        member = self.members[side]
        state = _STATES[member.state]
        standing = self.standing(side)
        following, ordered = state.decide(standing, event)
        if isinstance(event, Heard):
            self._heard(side, event.peer, state, following)
        if state is MASTER and following is not MASTER:
            self.crossing = True
            self._change(side, living=0)
        if state is BACKUP and following is MASTER and not self._taking:
            change = next(one for one in ordered if isinstance(one, effects.ChangeRole))
            if self._agrees(side, change.reason):
                self._taking = True
                for other in _SIDES:
                    if other != side:
                        self._tell(other, events.SetTakesOver(Reason.SYNC))
                self._taking = False
            elif isinstance(event, Heard) and event.peer.timing != LEAVING:
                following = BACKUP
                ordered = (effects.ArmMasterDown(standing.patience(event.peer)),)
            else:
                following, ordered = BACKUP, ()
        yields = state is MASTER and following is BACKUP and isinstance(event, Heard)
        if yields and not together.mayYield(self._facts(), str(side)):
            following, ordered = MASTER, ()
        self._change(side, state=_NAMES[id(following)])
        for effect in ordered:
            self._carryOut(side, effect)

    def _agrees(self, side: int, reason: Reason) -> bool:
        if reason is Reason.BOW_OUT and not self._left:
            return False
        return together.mayTakeOver(self._facts(), str(side), reason) is Answer.YES

    def _heard(self, side: int, peer: Peer, state: ICARPState, following: ICARPState) -> None:
        member = self.members[side]
        self._left = peer.timing == LEAVING and member.living > 0
        patience = math.ceil(self.standing(side).patience(peer))
        isLiving = peer.timing != LEAVING and (state is MASTER or not self.crossing)
        winning, rival = member.winning, member.rival
        if peer.timing != LEAVING and state is MASTER and following is MASTER:
            winning = winning if rival else math.ceil(self.standing(side).deadTime)
            rival = patience
        self._change(
            side,
            living=patience if isLiving else 0,
            preferred=peer.timing != LEAVING and state is BACKUP and following is MASTER,
            winning=winning,
            rival=rival,
        )

    def _carryOut(self, side: int, effect: effects.Effect) -> None:
        match effect:
            case effects.ArmMasterDown(delay=delay):
                self._change(side, deadline=math.ceil(delay))
            case effects.DisarmMasterDown():
                self._change(side, deadline=None)
            case effects.StartAdvertising() | effects.Advertise():
                self.sent.append((side, False))
            case effects.BowOut():
                self.sent.append((side, True))
            case effects.StopAdvertising():
                self._change(side, beats=False)
            case effects.ChangeRole(role=Role.BACKUP):
                self._change(side, winning=0, rival=0)

    # What can happen.

    def start(self) -> None:
        """
        Start both members.
        """
        for side in _SIDES:
            lack = self.members[side].lack
            self.members[side] = Member(lack=lack)
            self._tell(side, events.Started())
        self.settle()

    def lack(self, side: int, lacks: bool) -> None:
        """
        Lose the link of a side, or get it back.
        """
        self._change(side, lack=lacks)
        if lacks:
            self._tell(side, events.Held(HoldReason.NO_LINK))
        elif self.members[side].held is None:
            self._tell(side, events.Released())
        self.settle()

    def resign(self) -> None:
        """
        Hand over.  The hold that follows is left out.
        """
        for side in _SIDES:
            self._tell(side, events.Resigned(HoldReason.RESIGNED))
        for side in _SIDES:
            self._tell(side, events.Released())
        self.settle()


def _after(
    world: World, host: _Host, taken: tuple[int, int] | None = None, spent: int | None = None
) -> World:
    """
    The world after something happened to a host.

    @param taken: The receiver and the side of a packet that is gone.
    @param spent: The kind of fault.
    """
    ways = [list(sides) for sides in world.ways]
    if taken is not None:
        receiver, side = taken
        ways[receiver][side] = ways[receiver][side][1:]
    other = 1 - host.number
    for side, leaves in host.sent:
        isCut = world.cut == (other, side)
        isDead = host.members[side].lack or world.hosts[other][side].lack
        if not isCut and not isDead and world.hosts[other][side].state != "off":
            ways[other][side] = (*ways[other][side], leaves)
    hosts, crossing = list(world.hosts), list(world.crossing)
    hosts[host.number], crossing[host.number] = tuple(host.members), host.crossing
    return World(
        tuple(hosts),
        tuple(crossing),
        tuple(map(tuple, ways)),
        world.cut,
        _spend(world.left, spent),
    )


def _spend(left: tuple[int, ...], kind: int | None) -> tuple[int, ...]:
    return tuple(number - (one == kind) for one, number in enumerate(left))


def free(scenario: Scenario, world: World) -> Iterator[World]:
    """
    Yield what can follow without another fault.
    """
    isStill = True
    for number, members in enumerate(world.hosts):
        for side, member in enumerate(members):
            waiting = world.ways[number][side]
            if waiting:
                isStill = False
                host = _Host(scenario, number, world)
                if member.state != "off":
                    host.tell(side, Heard(host.peer(side, waiting[0])))
                yield _after(world, host, (number, side))
            if member.beats:
                isStill = False
                host = _Host(scenario, number, world)
                host._change(side, beats=False)
                host.sent.append((side, False))
                yield _after(world, host)
            if member.deadline == 0 and member.state == "backup":
                isStill = False
                if not any(world.ways[number]):  # the host would read them first
                    host = _Host(scenario, number, world)
                    host._change(side, deadline=None)
                    host.tell(side, events.DeadlinePassed())
                    yield _after(world, host)
    if isStill:
        yield world._replace(
            hosts=tuple(tuple(_tick(one) for one in members) for members in world.hosts),
            crossing=(False, False),
        )


def _tick(member: Member) -> Member:
    return member._replace(
        deadline=None if member.deadline is None else member.deadline - 1,
        beats=member.state == "master",
        living=max(0, member.living - 1),
        winning=max(0, member.winning - 1),
        rival=max(0, member.rival - 1),
    )


def faults(scenario: Scenario, world: World) -> Iterator[World]:
    """
    Yield what follows from another fault, or the end of one.
    """
    for number, members in enumerate(world.hosts):
        isOff = members[0].state == "off"
        for side in _SIDES:
            if world.left[LOSS] and world.ways[number][side]:
                host = _Host(scenario, number, world)
                yield _after(world, host, (number, side), LOSS)
            if world.left[CUT] and world.cut in (None, (number, side)):
                cut = (number, side) if world.cut is None else None
                yield world._replace(cut=cut, left=_spend(world.left, CUT))
            if world.left[LACK] and not isOff:
                host = _Host(scenario, number, world)
                host.lack(side, not members[side].lack)
                yield _after(world, host, None, LACK)
        if isOff:
            host = _Host(scenario, number, world)
            host.start()
            yield _after(world, host)
        elif world.left[CRASH]:
            host = _Host(scenario, number, world)
            host.members = [Member(lack=one.lack) for one in members]
            gone = _after(world, host, None, CRASH)
            ways = list(gone.ways)
            ways[number] = ((), ())
            yield gone._replace(ways=tuple(ways))
        if world.left[RESIGN] and members[0].state == "master":
            host = _Host(scenario, number, world)
            host.resign()
            yield _after(world, host, None, RESIGN)


def rolesOf(world: World) -> tuple[tuple[bool, ...], ...]:
    """
    Which members are master.
    """
    return tuple(tuple(one.state == "master" for one in members) for members in world.hosts)


class Explored(NamedTuple):
    """
    What came of a scenario.

    @ivar states: How many states can be reached.
    @ivar rests: How many of them are in a circle, in which only time passes.
    @ivar problems: What is wrong.
    """

    states: int
    rests: int
    problems: list[str]


def explore(scenario: Scenario) -> Explored:
    """
    Explore everything that can happen.
    """
    first = World(((Member(), Member()), (Member(), Member())), left=scenario.faults)
    numbers = {first: 0}
    worlds = [first]
    edges: list[list[int]] = []
    queue = deque([first])
    problems: list[str] = []
    while queue:
        world = queue.popleft()
        following = []
        for isFree, several in ((True, free(scenario, world)), (False, faults(scenario, world))):
            for after in several:
                if after not in numbers:
                    numbers[after] = len(worlds)
                    worlds.append(after)
                    queue.append(after)
                    if any(len(set(one)) > 1 for one in rolesOf(after)):
                        problems.append(f"half a set is master: {after}")
                if isFree:
                    following.append(numbers[after])
        edges.append(following)
    rests = 0
    for component in components(range(len(worlds)), edges.__getitem__):
        if isCircle(component, edges.__getitem__):
            rests += len(component)
            problems += _wrongAtRest([worlds[number] for number in component])
    return Explored(len(worlds), rests, problems)


def _wrongAtRest(circle: Sequence[World]) -> Iterator[str]:
    """
    Yield what is wrong with states that follow each other again and again.
    """
    roles = {rolesOf(world) for world in circle}
    if len(roles) > 1:
        yield f"roles change for ever: {circle[:4]}"
        return
    able = [
        all(one.state != "off" and not one.lack for one in members) for members in circle[0].hosts
    ]
    masters = sum(all(one) for one in roles.pop())
    if masters != (1 if any(able) else 0):
        yield f"{masters} hosts are master for ever: {circle[0]}"


def main(names: Sequence[str]) -> int:
    """
    Explore the scenarios whose names begin so, and print the figures.

    @return: The exit status.
    """
    failed = False
    for name, scenario in SCENARIOS.items():
        if names and not any(name.startswith(one) for one in names):
            continue
        began = time.monotonic()
        found = explore(scenario)
        failed |= bool(found.problems)
        seconds = time.monotonic() - began
        print(
            f"{name:34} {found.states:8} states, {found.rests:7} at rest, "
            f"{len(found.problems):5} problems, {seconds:6.1f} s",
            flush=True,
        )
        for problem in found.problems[:3]:
            print(f"    {problem}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
