"""
Sets of virtual hosts that are master together or not at all: one decision for all of them.

Each member of a set has an election of its own (L{txcarp.protocol.election}), on a side of its
own.  Before a member takes over, or yields to a better master, it asks here.  Whenever a fact about
a member has changed, L{settle} says what the others have to do.  The facts are values, one L{Side}
for each member.  The rules are:

  - B{Nobody alone.}  While a member cannot be master, the others are held back.  When a member
    ceases to be master, the others bow out.
  - B{A master that is heard lives.}  A set takes over when the master is silent on every side, or
    its host is gone there (L{txcarp.protocol.pulse}).  A
    side on which it is silent while another side hears it says nothing about the master: this
    host may be deaf there.
  - B{A bow-out counts for all sides}, unless another master is heard besides the one that left.
    It must be that of a master which was heard since this host was master itself.
  - B{Preferred everywhere.}  A set takes over from a master that lives only if it is preferred on
    every side.
  - B{One side decides.}  Where two masters meet, and each is preferred on one side, the first side
    on which they hear each other decides (L{Side.rank}).  Two that have just taken over hear each
    other on all sides at nearly the same moment, in any order, and wait for the first side.
  - B{One demotion.}  What demotes a member demotes all of them.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence

import attrs

from txcarp.protocol.effects import Reason

#: The order of sides for all hosts of the groups: what identifies a group to all of them, its vhid
#: and its addresses.
Rank = tuple[int, tuple[bytes, ...]]


@attrs.frozen
class Side:
    """
    The facts about one member of a set.

    @ivar name: Its name.
    @ivar rank: Its place among the members, which is the same on all hosts.
    @ivar isMaster: Whether it is master.
    @ivar lack: Why it cannot be master, whatever the others do, as a phrase; empty if it can.
    @ivar held: Why it is held back because of another member; C{None} if it is not.
    @ivar isSilent: Whether the dead time has passed without a master, or its host is gone.
    @ivar hears: Whether a master is alive as far as this side can tell.
    @ivar isPreferred: Whether this host would take over from the master that it heard last.
    @ivar remaining: How many masters go on living, besides the one that bows out at this moment.
    @ivar isUnread: Whether packets wait to be read.
    @ivar isWinning: Whether this master has just heard another one, which is less preferred and has
        to yield.
    @ivar isNew: Whether this host took over a moment ago, so that other masters may not be heard
        yet that take over at the same time.
    @ivar isJoining: Whether it is a new member of a set that is master.  The others do not wait
        for it.
    @ivar why: Why it is not master any more, as a phrase; may be empty.
    """

    name: str
    rank: Rank = (0, ())
    isMaster: bool = False
    lack: str = ""
    held: str | None = None
    isSilent: bool = False
    hears: bool = False
    isPreferred: bool = False
    remaining: int = 0
    isUnread: bool = False
    isWinning: bool = False
    isNew: bool = False
    isJoining: bool = False
    why: str = ""


class Answer(enum.Enum):
    """
    Whether a member may take over.
    """

    YES = enum.auto()
    NO = enum.auto()
    LOOK_AGAIN = enum.auto()


@attrs.frozen
class Hold:
    """
    Hold a member back.  A master bows out.

    @ivar detail: Why, as a phrase.
    """

    name: str
    detail: str


@attrs.frozen
class Release:
    """
    Hold a member back no longer.
    """

    name: str


def mayTakeOver(sides: Sequence[Side], asking: str, reason: Reason) -> Answer:
    """
    Decide whether the whole set takes over, because one member would.

    @param sides: All members.
    @param asking: The name of the member.
    @param reason: Why it would take over.
    """
    others = [side for side in sides if side.name != asking]
    if any(side.lack for side in sides):
        return Answer.NO
    if all(side.isMaster for side in others):
        return Answer.YES  # it joins the others
    if any(side.isMaster for side in others):
        return Answer.NO  # which bow out
    match reason:
        case Reason.CLAIMED | Reason.SIDE_SILENT:
            return Answer.YES
        case Reason.NO_SUCCESSOR:
            return Answer.NO if any(side.hears for side in others) else Answer.YES
        case Reason.SILENCE if not all(side.isSilent for side in others):
            return Answer.NO
        case Reason.VANISHED:
            # The member asks again in a moment, when the packets are read.
            isGone = all(side.isSilent and not side.isUnread for side in others)
            return Answer.YES if isGone else Answer.NO
        case Reason.SILENCE:
            unread = any(side.isUnread for side in others)
            return Answer.LOOK_AGAIN if unread else Answer.YES
        case Reason.BOW_OUT:
            return Answer.NO if any(side.remaining for side in sides) else Answer.YES
    # It preempts, or the master is slow or demoted.
    preferred = all(side.isPreferred and not side.isSilent for side in others)
    return Answer.YES if preferred else Answer.NO


def mayYield(sides: Iterable[Side], asking: str) -> bool:
    """
    Decide whether a master yields to one that it prefers.

    Where two hosts are preferred on one side each, both would yield, and both would take over
    again.  The first side on which they meet decides for both.

    @param asking: The name of the member that heard the other master.
    """
    own = {side.name: side for side in sides}
    rank = own[asking].rank
    earlier = [side for side in own.values() if side.rank < rank]
    return not any(side.isWinning or side.isNew for side in earlier)


def settle(sides: Sequence[Side]) -> list[Hold | Release]:
    """
    Decide what has to follow from the present facts.  When it is done, and nothing else has
    changed, there is nothing left to do.
    """
    decisions: list[Hold | Release] = []
    settled = [side for side in sides if not side.isJoining]
    lacking = [side for side in settled if side.lack]
    for side in sides:
        culprits = [other for other in lacking if other.name != side.name]
        if culprits:
            detail = f"{culprits[0].name}: {culprits[0].lack}"
            if side.held != detail and not (side.isMaster and side.lack):
                decisions.append(Hold(side.name, detail))
        elif side.held is not None:
            decisions.append(Release(side.name))
    if decisions or lacking:
        return decisions
    lost = [side for side in settled if not side.isMaster]
    if lost:
        why = next((side for side in lost if side.why), lost[0])
        detail = f"{why.name}: {why.why or 'is not master'}"
        decisions = [Hold(side.name, detail) for side in sides if side.isMaster and not side.lack]
    return decisions


def silent(sides: Sequence[Side]) -> list[str]:
    """
    The names of the members on whose side the master is silent, while another side hears it.
    """
    if any(side.lack or side.isMaster for side in sides):
        return []
    heard = any(side.hears and not side.isSilent for side in sides)
    return [side.name for side in sides if side.isSilent] if heard else []


def demotions(reasons: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """
    How much each member is to be demoted for the others.  Each reason counts once for the
    set, with its largest amount, and different reasons add up, as in the groups of OpenBSD.

    @param reasons: The own reasons of each member with their amounts, by its name.
    """
    largest: dict[str, int] = {}
    for own in reasons.values():
        for reason, amount in own.items():
            largest[reason] = max(amount, largest.get(reason, amount))
    total = sum(largest.values())
    return {name: total - sum(own.values()) for name, own in reasons.items()}
