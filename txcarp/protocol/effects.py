"""
Roles, the reasons for changing them, and everything that the election can ask a host to do.
"""

from __future__ import annotations

import enum

import attrs

from txcarp.protocol.family import Family
from txcarp.protocol.timing import Peer


class Role(enum.Enum):
    """
    What a virtual host is in its group.
    """

    INIT = "INIT"
    BACKUP = "BACKUP"
    MASTER = "MASTER"


class Reason(enum.Enum):
    """
    Why a role changed.  The value is what a log line says.
    """

    STARTED = "started"
    SILENCE = "no advertisement within the dead time"
    PREEMPTION = "preempting a master with slower advertisements"
    SLOW_MASTER = "the master is leaving or too slow, it was going to time out"
    DEMOTED_MASTER = "the master is more demoted than this host"
    CLAIMED = "asked to take over"
    PREFERRED_MASTER = "a preferred master advertises"
    LINK_LOST = "the link was lost"
    RESIGNED = "asked to hand over"
    UNFIT = "a required step failed"
    PAUSED = "this host did not run"
    STOPPED = "stopped"


class Effect:
    """
    Something that is to be done.  The subclasses are all there are.
    """


@attrs.frozen
class Advertise(Effect):
    """
    Send one advertisement now, beside the rhythm.
    """


@attrs.frozen
class BowOut(Effect):
    """
    Send an advertisement that lets the backups take over at once.
    """


@attrs.frozen
class StartAdvertising(Effect):
    """
    Send an advertisement now and after each interval.
    """


@attrs.frozen
class StopAdvertising(Effect):
    """
    Send no more advertisements.
    """


@attrs.frozen
class OfferMastership(Effect):
    """
    Report, if this host is still master then, that nobody took its place.

    @ivar delay: Seconds from now.
    """

    delay: float


@attrs.frozen
class WithdrawOffer(Effect):
    """
    Report nothing of the kind.
    """


@attrs.frozen
class ArmMasterDown(Effect):
    """
    Set the master-down deadline, in place of one that is set.

    @ivar delay: Seconds from now.
    @ivar family: In what the master was heard; C{None} for every family.
    """

    delay: float
    family: Family | None = None


@attrs.frozen
class DisarmMasterDown(Effect):
    """
    Forget the master-down deadline.
    """


@attrs.frozen
class LookAgain(Effect):
    """
    Have the waiting packets read, then report the deadline once more.

    @ivar delay: Seconds from now.
    """

    delay: float


@attrs.frozen
class Reassert(Effect):
    """
    Announce the addresses again: somebody else claimed them.
    """

    peer: Peer


@attrs.frozen
class ChangeRole(Effect):
    """
    Report a new role and do what it means.
    """

    role: Role
    reason: Reason
    peer: Peer | None = None
    pause: float = 0.0
