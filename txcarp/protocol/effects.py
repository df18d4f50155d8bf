"""
Roles, the reasons for changing them, and everything that the election can ask a host to do.
"""

from __future__ import annotations

import enum
from functools import cached_property

import attrs

from txcarp.protocol.actor import Actor
from txcarp.protocol.family import Family
from txcarp.protocol.timing import Peer, Timing


class Role(enum.Enum):
    """
    The role of a virtual host in its group.
    """

    INIT = "INIT"
    BACKUP = "BACKUP"
    MASTER = "MASTER"


class Reason(enum.Enum):
    """
    Why a role changed.  The values are phrases for log lines.

    @ivar token: A word for programs, such as C{"link_lost"}, which stays when the phrase changes.
    """

    STARTED = "started"
    SILENCE = "no advertisement within the dead time"
    VANISHED = "the host of the master does not answer"
    PREEMPTION = "preempting a less preferred master"
    BOW_OUT = "the master bowed out"
    SLOW_MASTER = "the master advertises too rarely"
    DEMOTED_MASTER = "the master is more demoted than this host"
    CLAIMED = "asked to take over"
    NO_SUCCESSOR = "no other host took over"
    PREFERRED_MASTER = "a preferred master advertises"
    LINK_LOST = "the interface cannot be used"
    NOT_READY = "this host is not ready to be master"
    RESIGNED = "asked to hand over"
    DRAINED = "drained"
    UNFIT = "a required step failed"
    CHECK = "a health check fails"
    SYNC = "together with its set"
    SIDE_SILENT = "the master is silent on one side of the set"
    PAUSED = "this host did not run"
    STOPPED = "stopped"

    @cached_property
    def token(self) -> str:
        return self.name.lower()


class Effect:
    """
    Something that the host has to do.  The subclasses are all the effects there are.
    """

    __slots__ = ()


@attrs.frozen
class Advertise(Effect):
    """
    Send one advertisement now, out of turn.
    """


@attrs.frozen
class BowOut(Effect):
    """
    Send an advertisement that lets the backups take over at once.
    """


@attrs.frozen
class StartAdvertising(Effect):
    """
    Send an advertisement now, and one after each interval.
    """


@attrs.frozen
class StopAdvertising(Effect):
    """
    Send no more advertisements.
    """


@attrs.frozen
class OfferMastership(Effect):
    """
    Give other hosts some time to take over.  If this host is still master afterwards, tell
    the election (L{OfferUnanswered<txcarp.protocol.events.OfferUnanswered>}).

    @ivar delay: The time in seconds.
    """

    delay: float


@attrs.frozen
class SendOffer(Effect):
    """
    Send an advertisement that lets the backups take over that are better than this demoted
    master.  Go on with the usual advertisements soon.

    @ivar timing: The timing in the advertisement (L{Timing.offer}).
    @ivar delay: Seconds from now to the next usual advertisement.
    """

    timing: Timing
    delay: float


@attrs.frozen
class WithdrawOffer(Effect):
    """
    Cancel an earlier L{OfferMastership}.
    """


@attrs.frozen
class ArmMasterDown(Effect):
    """
    Set the master-down deadline, or move it.

    @ivar delay: Seconds from now.
    @ivar family: The family in which the master was heard; C{None} for every family.
    """

    delay: float
    family: Family | None = None


@attrs.frozen
class DisarmMasterDown(Effect):
    """
    Cancel the master-down deadline.
    """


@attrs.frozen
class LookAgain(Effect):
    """
    Read the waiting packets, and report the deadline once more unless one of them moved it.

    @ivar delay: Seconds from now.
    """

    delay: float


@attrs.frozen
class Reassert(Effect):
    """
    Announce the addresses again, because another host claims them.

    @ivar peer: The other host.
    """

    peer: Peer


@attrs.frozen
class ChangeRole(Effect):
    """
    Take a new role: report it, and acquire or release what belongs to mastership.

    @ivar peer: The host whose advertisement caused the change; C{None} if none did.
    @ivar pause: For C{Reason.PAUSED}, the seconds for which this host did not run.
    @ivar detail: More about the reason, as text; may be empty.
    @ivar actor: Who asked for it; C{None} if nobody did.
    """

    role: Role
    reason: Reason
    peer: Peer | None = None
    pause: float = 0.0
    detail: str = ""
    actor: Actor | None = None
