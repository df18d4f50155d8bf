"""
Who is master: INIT, BACKUP, MASTER.

An event goes in with the facts of the moment, and the next state comes out
with the effects that somebody else carries out, in their order.  The rules are
those of ucarp, and their names below (M1, M2, B1, B2, B3) those of the
protocol notes in C{docs/protocol.rst}.
"""

from __future__ import annotations

import enum

import attrs
from zope.interface import implementer

from txcarp.interfaces import ICARPState
from txcarp.protocol.timing import Timing, winsTie

#: A deadline that is noticed this many seconds late says more about this host
#: than about the master: advertisements may wait unread in the socket.
TOLERATED_LATENESS = 0.05

#: Seconds that the reactor is given to read them before the deadline acts.
SECOND_LOOK = 0.01


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
    PREFERRED_MASTER = "a preferred master advertises"
    LINK_LOST = "the link was lost"
    RESIGNED = "asked to hand over"
    UNFIT = "a required step failed"
    PAUSED = "this host did not run"
    STOPPED = "stopped"


@attrs.frozen
class Standing:
    """
    The facts about this host that a decision needs.

    @ivar timing: What it advertises and compares, demotion included.
    @ivar deadRatio: How many bases of silence it tolerates.
    @ivar preempt: Whether it takes over from a slower master that lives.
    @ivar source: The packed address that its advertisements come from.
    @ivar deaf: Whether something holds it back: no link, or a resignation.
    """

    timing: Timing
    deadRatio: int
    preempt: bool
    source: bytes
    deaf: bool = False

    @property
    def deadTime(self) -> float:
        """
        Seconds of silence after which this host takes over.
        """
        return self.timing.deadTime(self.deadRatio)


@attrs.frozen
class Peer:
    """
    Who was heard.

    @ivar timing: What it advertised.
    @ivar source: The packed address that it came from.
    """

    timing: Timing
    source: bytes


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
class ArmMasterDown(Effect):
    """
    Set the master-down deadline, in place of one that is set.

    @ivar delay: Seconds from now.
    """

    delay: float


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


Transition = tuple[ICARPState, tuple[Effect, ...]]


@implementer(ICARPState)
class _Unmoved:
    """
    What a state does where nothing else is said: nothing.
    """

    role: Role

    def started(self, standing: Standing) -> Transition:
        return self, ()

    def heard(self, standing: Standing, peer: Peer) -> Transition:
        return self, ()

    def expired(self, standing: Standing, lateness: float) -> Transition:
        return self, ()

    def slept(self, standing: Standing, pause: float) -> Transition:
        return self, ()

    def linkLost(self, standing: Standing) -> Transition:
        return self, ()

    def resigned(self, standing: Standing, unfit: bool) -> Transition:
        return self, ()

    def resumed(self, standing: Standing) -> Transition:
        return self, ()

    def stopped(self, standing: Standing) -> Transition:
        return INIT, (DisarmMasterDown(),)


class Init(_Unmoved):
    """
    Takes no part.
    """

    role = Role.INIT

    def started(self, standing: Standing) -> Transition:
        change = ChangeRole(Role.BACKUP, Reason.STARTED)
        if standing.deaf:
            return WAITING, (change,)
        return BACKUP, (change, ArmMasterDown(standing.deadTime))

    def stopped(self, standing: Standing) -> Transition:
        return INIT, ()


class Waiting(_Unmoved):
    """
    A backup that is held back: it can hear nobody, or has just resigned.
    Nothing that it might still read from a socket moves it.
    """

    role = Role.BACKUP

    def resumed(self, standing: Standing) -> Transition:
        return BACKUP, (ArmMasterDown(standing.deadTime),)


class Backup(_Unmoved):
    """
    Listens to the master.
    """

    role = Role.BACKUP

    def heard(self, standing: Standing, peer: Peer) -> Transition:
        if standing.preempt and standing.timing < peer.timing:  # B1
            return _takeOver(Reason.PREEMPTION, peer)
        if standing.timing.missesBefore(peer.timing, standing.deadRatio):  # B2
            return _takeOver(Reason.SLOW_MASTER, peer)
        return BACKUP, (ArmMasterDown(standing.deadTime),)  # B3

    def expired(self, standing: Standing, lateness: float) -> Transition:
        if lateness > TOLERATED_LATENESS:
            return BACKUP, (LookAgain(SECOND_LOOK),)
        return _takeOver(Reason.SILENCE, None)

    def slept(self, standing: Standing, pause: float) -> Transition:
        return BACKUP, (ArmMasterDown(standing.deadTime),)

    def linkLost(self, standing: Standing) -> Transition:
        return WAITING, (DisarmMasterDown(),)


class Master(_Unmoved):
    """
    Advertises, and answers for the addresses.
    """

    role = Role.MASTER

    def heard(self, standing: Standing, peer: Peer) -> Transition:
        beaten = peer.timing < standing.timing or (
            peer.timing == standing.timing and not winsTie(standing.source, peer.source)
        )
        if not beaten:  # M2
            return MASTER, (Reassert(peer),)
        # M1: the farewell lets the winner hear of us, and announce once more.
        return BACKUP, (
            Advertise(),
            StopAdvertising(),
            ChangeRole(Role.BACKUP, Reason.PREFERRED_MASTER, peer),
            ArmMasterDown(standing.deadTime),
        )

    def slept(self, standing: Standing, pause: float) -> Transition:
        # Somebody else is master by now: be quiet, let go, listen.
        return BACKUP, (
            StopAdvertising(),
            ChangeRole(Role.BACKUP, Reason.PAUSED, pause=pause),
            ArmMasterDown(standing.deadTime),
        )

    def linkLost(self, standing: Standing) -> Transition:
        return WAITING, (StopAdvertising(), ChangeRole(Role.BACKUP, Reason.LINK_LOST))

    def resigned(self, standing: Standing, unfit: bool) -> Transition:
        reason = Reason.UNFIT if unfit else Reason.RESIGNED
        return WAITING, (BowOut(), StopAdvertising(), ChangeRole(Role.BACKUP, reason))

    def stopped(self, standing: Standing) -> Transition:
        return INIT, (BowOut(), StopAdvertising())


def _takeOver(reason: Reason, peer: Peer | None) -> Transition:
    """
    Become master.  The advertisement leaves before anything that might take
    its time, or other backups would time out meanwhile.
    """
    return MASTER, (
        DisarmMasterDown(),
        StartAdvertising(),
        ChangeRole(Role.MASTER, reason, peer),
    )


INIT = Init()
WAITING = Waiting()
BACKUP = Backup()
MASTER = Master()
