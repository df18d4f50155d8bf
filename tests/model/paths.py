"""
The shortest ways to states of a space.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from tests.model.space import LIMITED, Space, isTick, kindOf, target


def fromTheStart(space: Space, isWanted: Callable[[int, int], bool]) -> list[int]:
    """
    The shortest way to a state: the numbers of all states on it.

    @param isWanted: Whether a state is wanted, by its number and the index of the faults that are
        left.
    @raise LookupError: If no state that can be reached is wanted.
    """
    budget = space.budget
    came: dict[tuple[int, int], tuple[int, int] | None]
    came = {(number, budget.full): None for number in space.initial}
    queue = deque(came)
    while queue:
        place = number, index = queue.popleft()
        if isWanted(number, index):
            way = []
            back: tuple[int, int] | None = place
            while back is not None:
                way.append(back[0])
                back = came[back]
            return [*_before(space, way[-1]), *reversed(way)]
        left = budget.left(index)
        for edge in space.edges(number):
            kind = kindOf(edge)
            cost = 0
            if kind in LIMITED:
                if not left.get(kind):
                    continue
                cost = budget.strides[kind]
            after = target(edge), index - cost
            if after not in came:
                came[after] = place
                queue.append(after)
    raise LookupError("no such state can be reached")


def _before(space: Space, number: int) -> list[int]:
    """
    The way to an initial state, from the start of the hosts, without that state.
    """
    way = []
    while space.origin.get(number, number) != number:
        number = space.origin[number]
        way.append(number)
    return way[::-1]


def longest(space: Space, number: int, lasts: dict[int, int]) -> list[int]:
    """
    The continuation of a state in which something lasts longest, without that state.

    @param lasts: How long it lasts, in ticks, from each state.
    """
    way = []
    while number in lasts:
        edge = max(space.calm(number), key=lambda edge: lasts.get(target(edge), 0) + isTick(edge))
        number = target(edge)
        way.append(number)
    return way


def around(space: Space, circle: list[int]) -> list[int]:
    """
    A way along a circle of the continuation, from its first state back to it.
    """
    first, members = circle[0], set(circle)
    came: dict[int, int] = {}
    queue = deque([first])
    while queue:
        number = queue.popleft()
        for after in space.follow(number):
            if after not in members or after in came:
                continue
            came[after] = number
            if after == first:
                way = [first]
                while (number := came[way[-1]]) != first:
                    way.append(number)
                return way[::-1]
            queue.append(after)
    raise LookupError("the states are no circle")
