"""
What becomes of a group when nothing fails any more.

In the continuation of a state no packet is lost, no host crashes, starts, is demoted or asked for
anything, and a host that sleeps wakes before time passes.  Everything else may still happen in any
order.  The group must end with one master, and it must not take longer than the plain protocol may
take.
"""

from __future__ import annotations

import attrs

from tests.model.graph import components, isCircle
from tests.model.space import Space, isTick, target


@attrs.define
class Ends:
    """
    What the continuations of all states of a space lead to.

    @ivar unsettled: Circles in which there is not exactly one master all the time.
    @ivar none: For each state without a master the longest time, in ticks, that this lasts.
    @ivar several: The same for states with several masters.
    """

    unsettled: list[list[int]]
    none: dict[int, int]
    several: dict[int, int]


def judge(space: Space) -> Ends:
    """
    Follow all continuations of all states of a space that was explored.
    """
    ends = Ends([], {}, {})
    reached = [number for number, mask in enumerate(space.masks) if mask]
    for component in components(reached, space.follow):
        isBad = False
        for number in component:
            masters = space.masters(number)
            if masters is None or masters == 1:
                continue
            isBad = True
            longest = ends.several if masters else ends.none
            longest[number] = max(
                (longest.get(target(edge), 0) + isTick(edge) for edge in space.calm(number)),
                default=0,
            )
        if isBad and isCircle(component, space.follow):
            ends.unsettled.append(component)
    return ends


def byBudget(space: Space, longest: dict[int, int]) -> list[int]:
    """
    The longest times, in ticks, by the faults that are left: for each index of the budget the
    longest one of the states that can be reached with just these faults left.
    """
    masks: dict[int, int] = {}
    for number, lasts in longest.items():
        masks[lasts] = masks.get(lasts, 0) | space.masks[number]
    result = [0] * space.budget.size
    for lasts in sorted(masks):
        mask = masks[lasts]
        for index in range(space.budget.size):
            if mask >> index & 1:
                result[index] = lasts
    return result
