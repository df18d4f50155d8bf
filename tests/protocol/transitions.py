"""
Prints the table of the election in C{docs/protocol.rst}:
C{python -m tests.protocol.transitions}.

Each row has a situation, in words and as arguments of
L{ICARPState.decide<txcarp.protocol.election.ICARPState.decide>}.  The rest of the row is
what the election decides.
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
    MasterVanished,
    OfferUnanswered,
    Refused,
    Released,
    Resigned,
    Slept,
    Started,
    Stopped,
)
from txcarp.protocol.rejection import Rejection
from txcarp.protocol.timing import LEAVING, Peer, Timing

_OWN = Standing(timing=Timing(1, 64), deadRatio=3, preempt=False, source=packed("10.99.0.5"))
_PREEMPTING = attrs.evolve(_OWN, preempt=True)
_HELD = attrs.evolve(_OWN, held=True)
_DEMOTED = attrs.evolve(_OWN, timing=Timing(1, 240), configured=_OWN.timing)
_OPENBSD = attrs.evolve(_OWN, dialect=OPENBSD, demotion=4)


def _heard(
    advbase: int, advskew: int, source: str = "10.99.0.1", demotion: int = 0
) -> Heard:
    return Heard(Peer(Timing(advbase, advskew), packed(source), demotion))


@attrs.frozen
class Situation:
    """
    An event, and the state and facts that it meets.

    @ivar state: The state of the host.
    @ivar words: The situation in words; C{mine} and C{theirs} are pairs of advbase and
        advskew.
    @ivar standing: The facts about the host.
    @ivar event: The event.
    """

    state: ICARPState
    words: str
    standing: Standing
    event: Event


SITUATIONS = (
    Situation(INIT, "start", _OWN, Started()),
    Situation(INIT, "start while held", _HELD, Started()),
    Situation(BACKUP, "deadline", _OWN, DeadlinePassed(0.0, False)),
    Situation(
        BACKUP,
        "deadline, but packets are unread",
        _OWN,
        DeadlinePassed(0.0, True),
    ),
    Situation(
        BACKUP,
        "deadline, noticed more than 50 ms late",
        _OWN,
        DeadlinePassed(0.051, False),
    ),
    Situation(BACKUP, "the host of the master is gone (probe)", _OWN, MasterVanished(())),
    Situation(BACKUP, "advert, mine < theirs, preempting (B1)", _PREEMPTING, _heard(1, 65)),
    Situation(
        BACKUP, "advert, theirs > (advbase * deadratio, advskew) (B2)", _OWN, _heard(3, 65)
    ),
    Situation(BACKUP, "bow-out (B2)", _OWN, _heard(*attrs.astuple(LEAVING))),
    Situation(BACKUP, "advert, more demoted (openbsd)", _OPENBSD, _heard(1, 63, demotion=5)),
    Situation(BACKUP, "other advert (B3)", _OWN, _heard(1, 65)),
    Situation(
        BACKUP,
        "any advert that waited while this host slept",
        _PREEMPTING,
        attrs.evolve(_heard(1, 65), isOld=True),
    ),
    Situation(BACKUP, "did not run for longer than an interval", _OWN, Slept(9.0)),
    Situation(
        BACKUP,
        "any advert that is refused, but may be of the living master",
        _OWN,
        Refused(Rejection.UNSEALED, packed("10.99.0.1"), putsOff=True),
    ),
    Situation(BACKUP, "asked to become master", _OWN, Claimed()),
    Situation(BACKUP, "a hold is set (link lost)", _HELD, Held(HoldReason.NO_LINK)),
    Situation(
        BACKUP,
        "a required step failed on the master; another host has taken over since",
        _HELD,
        Resigned(HoldReason.UNFIT),
    ),
    Situation(BACKUP, "stop", _OWN, Stopped()),
    Situation(MASTER, "advert, mine > theirs (M1)", _OWN, _heard(1, 63)),
    Situation(MASTER, "the same, while demoted", _DEMOTED, _heard(1, 63)),
    Situation(MASTER, "the same (freebsd, openbsd)", _OPENBSD, _heard(1, 63, demotion=4)),
    Situation(MASTER, "advert, equal timing, tie lost (M1)", _OWN, _heard(1, 64, "10.99.0.4")),
    Situation(MASTER, "advert, equal timing, tie won (M2)", _OWN, _heard(1, 64, "10.99.0.6")),
    Situation(MASTER, "advert, mine < theirs (M2)", _OWN, _heard(1, 65)),
    Situation(MASTER, "bow-out (M2)", _OWN, _heard(*attrs.astuple(LEAVING))),
    Situation(MASTER, "paused for longer than peers wait", _OWN, Slept(9.0)),
    Situation(
        MASTER,
        "demoted; a peer may be preferred",
        _DEMOTED,
        DemotionChanged(True),
    ),
    Situation(
        MASTER,
        "other change of demotion; any change (openbsd)",
        _OWN,
        DemotionChanged(True),
    ),
    Situation(MASTER, "nobody took over from a demoted master", _DEMOTED, OfferUnanswered()),
    Situation(
        MASTER,
        "asked to hand over, or a required step failed",
        _HELD,
        Resigned(HoldReason.RESIGNED),
    ),
    Situation(MASTER, "a hold is set (link lost)", _HELD, Held(HoldReason.NO_LINK)),
    Situation(MASTER, "stop", _OWN, Stopped()),
    Situation(WAITING, "last hold released", _OWN, Released()),
    Situation(WAITING, "stop", _HELD, Stopped()),
)


def nameOf(state: ICARPState) -> str:
    """
    The name of a state in the table.
    """
    return "waiting" if state is WAITING else str(state.role.value)


def wordsOf(effect: effects.Effect) -> str:
    """
    The words for an effect in the table.
    """
    match effect:
        case effects.ArmMasterDown(family=None):
            return "set deadline to T"
        case effects.ArmMasterDown():
            return "set deadline of that family to T"
        case effects.DisarmMasterDown():
            return "clear deadline"
        case effects.LookAgain():
            return "read packets, then decide again"
        case effects.StartAdvertising():
            return "start advertising"
        case effects.StopAdvertising():
            return "stop advertising"
        case effects.Advertise():
            return "send advert"
        case effects.BowOut():
            return "send bow-out"
        case effects.Reassert():
            return "announce addresses again"
        case effects.OfferMastership():
            return "offer mastership in 50 ms"
        case effects.SendOffer():
            return "send offer; send advert in 50 ms"
        case effects.WithdrawOffer():
            return "withdraw offer"
        case effects.ChangeRole(role=Role.MASTER):
            return "acquire"
        case effects.ChangeRole():
            return "release"
    raise ValueError(f"{effect!r} has no words")


def rows() -> Iterator[tuple[str, str, str, str]]:
    """
    The rows: state, situation, next state, and effects in their order.
    """
    for one in SITUATIONS:
        following, ordered = one.state.decide(one.standing, one.event)
        done = "; ".join(map(wordsOf, ordered))
        yield nameOf(one.state), one.words, nameOf(following), done


def table(widths: Sequence[int] = (7, 38, 7, 33)) -> str:
    """
    The table as reStructuredText.

    @param widths: The width of each column, in characters.
    """
    rule = "  ".join("=" * width for width in widths)
    lines = [rule]

    def add(*cells: str) -> None:
        columns = [textwrap.wrap(cell, width) for cell, width in zip(cells, widths, strict=True)]
        for number in range(max(map(len, columns))):
            parts = [column[number] if number < len(column) else "" for column in columns]
            padded = (part.ljust(width) for part, width in zip(parts, widths, strict=True))
            lines.append("  ".join(padded).rstrip())

    add("from", "event", "to", "effects, in this order")
    lines.append(rule)
    for row in rows():
        add(*row)
    return "\n".join([*lines, rule]) + "\n"


if __name__ == "__main__":
    print(table(), end="")
