"""
A way through a space in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from tests.model.machine import TICK, Local, Move, isBowOut
from tests.model.space import Space, Step
from txcarp.protocol.seal import Fields

NAMES = "ABC"


def steps(space: Space, way: Sequence[int]) -> list[Step]:
    """
    The moves between the states of a way.
    """
    return [space.step(one, other) for one, other in pairwise(way)]


def _advertisement(says: Fields) -> str:
    if isBowOut(says):
        words = "a bow-out"
    elif says.advbase != 1:
        words = f"an offer with advbase {says.advbase} and skew {says.advskew}"
    else:
        words = f"an advertisement with skew {says.advskew}"
    return f"{words} and demotion {says.demotion}" if says.demotion else words


def _happens(name: str, before: Local, move: Move) -> str:
    sender = NAMES[move.sender] if move.sender is not None else ""
    heard = ""
    if move.sender is not None:
        heard = _advertisement(next(says for who, says in before.inbox if who == move.sender))
    return {
        "start": f"{name} starts",
        "crash": f"{name} crashes",
        "wake": f"{name} wakes up",
        "wake, late": f"{name} wakes up, and notices that it slept",
        "freeze": f"the process of {name} freezes",
        "suspend": f"the machine of {name} is suspended",
        "hear": f"{name} hears {heard} from {sender}",
        "lose": f"{heard} from {sender} to {name} is lost",
        "deadline": f"the deadline of {name} passes",
        "deadline, unread": f"the deadline of {name} passes while packets are unread",
        "beat": f"{name} is due to advertise",
        "release": f"{name} takes part again",
        "look": f"{name} has read all packets, and its deadline has passed",
        "offer unanswered": f"nobody has accepted the offer of {name}",
        "demote": f"{name} is demoted",
        "promote": f"the demotion of {name} ends",
        "resign": f"{name} is asked to hand over",
        "stop": f"{name} is stopped",
    }[move.verb]


def _follows(before: Local, move: Move) -> str:
    """
    What a move leads to.
    """
    words = []
    if move.after.state != before.state:
        words.append(
            {
                "off": "is off",
                "backup": "becomes BACKUP",
                "master": "becomes MASTER",
                "waiting": "becomes BACKUP and stays out of the election",
            }[move.after.state]
        )
    words += [f"sends {_advertisement(says)}" for says in move.sends]
    if move.after.offers and not before.offers:
        words.append("offers mastership")
    if move.after.looks and not before.looks:
        words.append("reads the packets first")
    return " and ".join(words)


def tell(space: Space, way: Sequence[int], lastFault: int) -> str:
    """
    A line for each move of a way, with its time and the masters after it.

    @param lastFault: The index in the way of the state after the last fault.
    """
    lines = []
    now = 0.0
    for index, (number, after) in enumerate(pairwise(way)):
        if index == lastFault:
            lines.append("From here on nothing fails.")
        step = space.step(number, after)
        if step.host is None or step.move is None:
            now += TICK
            continue
        before = space.group(number)[step.host]
        line = _happens(NAMES[step.host], before, step.move)
        follows = _follows(before, step.move)
        if step.move.sends or (follows and step.move.verb != "crash"):
            line += f", and {follows}"
        masters = [
            name
            for name, local in zip(NAMES, space.group(after), strict=False)
            if local.state == "master"
        ]
        known = ", ".join(masters) or "nobody"
        lines.append(f"{now:6.2f} s  {line}.  [master: {known}]")
    lines.append(f"{now:6.2f} s  The story ends.")
    return "\n".join(lines)
