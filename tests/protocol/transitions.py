"""
The table of the election, printed from the code that decides: C{python -m
tests.protocol.transitions}.

Each row is a situation, in words and as arguments of the code. The outcome is not written here:
the code is asked for it.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

import attrs

from tests.crafted import packed
from txcarp.protocol import effects
from txcarp.protocol.dialect import OPENBSD
from txcarp.protocol.effects import Role
from txcarp.protocol.election import BACKUP, INIT, MASTER, WAITING, ICARPState, Standing
from txcarp.protocol.events import (
    Claimed,
    DeadlinePassed,
    DemotionChanged,
    Event,
    Heard,
    Held,
    HoldReason,
    OfferUnanswered,
    Released,
    Resigned,
    Slept,
    Started,
    Stopped,
)
from txcarp.protocol.timing import LEAVING, Peer, Timing

_OWN = Standing(timing=Timing(1, 64), deadRatio=3, preempt=False, source=packed("10.99.0.5"))
_PREEMPTING = attrs.evolve(_OWN, preempt=True)
_HELD = attrs.evolve(_OWN, held=True)
_OPENBSD = attrs.evolve(_OWN, dialect=OPENBSD, demotion=4)


def _heard(
    advbase: int, advskew: int, source: str = "10.99.0.1", demotion: int = 0
) -> Heard:
    return Heard(Peer(Timing(advbase, advskew), packed(source), demotion))


@attrs.frozen
class Situation:
    """
    An event in some state.

    @ivar words: The event in words; C{mine} and C{theirs} are pairs of advbase and advskew.
    @ivar standing: The facts about the host.
    """

    state: ICARPState
    words: str
    standing: Standing
    event: Event


SITUATIONS = (
    Situation(INIT, "started", _OWN, Started()),
    Situation(INIT, "started, held back", _HELD, Started()),
    Situation(BACKUP, "deadline passes", _OWN, DeadlinePassed(0.0, False)),
    Situation(
        BACKUP,
        "deadline passes, but packets are unread",
        _OWN,
        DeadlinePassed(0.0, True),
    ),
    Situation(
        BACKUP,
        "deadline noticed more than 50 ms late",
        _OWN,
        DeadlinePassed(0.051, False),
    ),
    Situation(BACKUP, "heard; preempting, mine < theirs (B1)", _PREEMPTING, _heard(1, 65)),
    Situation(
        BACKUP, "heard; theirs > (advbase * deadratio, advskew) (B2)", _OWN, _heard(3, 65)
    ),
    Situation(BACKUP, "heard; a bow-out (B2)", _OWN, _heard(*attrs.astuple(LEAVING))),
    Situation(BACKUP, "heard; more demoted (openbsd)", _OPENBSD, _heard(1, 63, demotion=5)),
    Situation(BACKUP, "heard; otherwise (B3)", _OWN, _heard(1, 65)),
    Situation(BACKUP, "asked to take over", _OWN, Claimed()),
    Situation(BACKUP, "link lost", _HELD, Held(HoldReason.NO_LINK)),
    Situation(
        BACKUP,
        "a required step failed, but another host took over first",
        _HELD,
        Resigned(True),
    ),
    Situation(BACKUP, "stopped", _OWN, Stopped()),
    Situation(MASTER, "heard; mine > theirs (M1)", _OWN, _heard(1, 63)),
    Situation(MASTER, "heard; equal, they win the tie (M1)", _OWN, _heard(1, 64, "10.99.0.4")),
    Situation(MASTER, "heard; equal, I win the tie (M2)", _OWN, _heard(1, 64, "10.99.0.6")),
    Situation(MASTER, "heard; mine < theirs (M2)", _OWN, _heard(1, 65)),
    Situation(MASTER, "heard; a bow-out (M2)", _OWN, _heard(*attrs.astuple(LEAVING))),
    Situation(MASTER, "did not run for longer than peers wait", _OWN, Slept(9.0)),
    Situation(
        MASTER,
        "demoted, and a better host may exist",
        _OWN,
        DemotionChanged(True),
    ),
    Situation(
        MASTER,
        "demotion changed otherwise",
        _OWN,
        DemotionChanged(False),
    ),
    Situation(MASTER, "no host took over within 50 ms", _OWN, OfferUnanswered()),
    Situation(
        MASTER,
        "asked to hand over, or a required step failed",
        _HELD,
        Resigned(False),
    ),
    Situation(MASTER, "link lost", _HELD, Held(HoldReason.NO_LINK)),
    Situation(MASTER, "stopped", _OWN, Stopped()),
    Situation(WAITING, "no longer held back", _OWN, Released()),
    Situation(WAITING, "stopped", _HELD, Stopped()),
)


def nameOf(state: ICARPState) -> str:
    """
    Return the name of a state in the table.
    """
    return "waiting" if state is WAITING else str(state.role.value)


def wordsOf(effect: effects.Effect) -> str:
    """
    Return the words for an effect in the table.
    """
    match effect:
        case effects.ArmMasterDown(family=None):
            return "deadline in T"
        case effects.ArmMasterDown():
            return "deadline in T, in that family"
        case effects.DisarmMasterDown():
            return "no deadline"
        case effects.LookAgain():
            return "read them, then look again"
        case effects.StartAdvertising():
            return "start advertising"
        case effects.StopAdvertising():
            return "stop advertising"
        case effects.Advertise():
            return "advertise once"
        case effects.BowOut():
            return "bow out"
        case effects.Reassert():
            return "announce again"
        case effects.OfferMastership():
            return "wait 50 ms for a better host"
        case effects.WithdrawOffer():
            return "stop waiting for one"
        case effects.ChangeRole(role=Role.MASTER):
            return "acquire"
        case effects.ChangeRole():
            return "release"
    raise ValueError(f"{effect!r} has no words")


def rows() -> Iterator[tuple[str, str, str, str]]:
    """
    Yield the rows of the table: a state, an event, the next state, and the effects in order.
    """
    for one in SITUATIONS:
        following, ordered = one.state.decide(one.standing, one.event)
        done = "; ".join(map(wordsOf, ordered))
        yield nameOf(one.state), one.words, nameOf(following), done


def table(widths: Sequence[int] = (7, 38, 7, 34)) -> str:
    """
    Return the table as reStructuredText.
    """
    rule = "  ".join("=" * width for width in widths)
    lines = [rule]

    def add(*cells: str) -> None:
        columns = [textwrap.wrap(cell, width) for cell, width in zip(cells, widths, strict=True)]
        for number in range(max(map(len, columns))):
            parts = [column[number] if number < len(column) else "" for column in columns]
            padded = (part.ljust(width) for part, width in zip(parts, widths, strict=True))
            lines.append("  ".join(padded).rstrip())

    add("from", "event", "to", "in this order")
    lines.append(rule)
    for row in rows():
        add(*row)
    return "\n".join([*lines, rule]) + "\n"


if __name__ == "__main__":
    print(table(), end="")
