"""
Who is master: INIT, BACKUP, MASTER.

An event goes in with the facts of the moment, and the next state comes out
with the effects that somebody else carries out, in their order.  The rules are
those of ucarp, and their names below (M1, M2, B1, B2, B3) those of the
protocol notes in C{docs/protocol.rst}.
"""

from __future__ import annotations

import attrs
from zope.interface import Attribute, Interface, implementer

from txcarp.protocol.dialect import UCARP, Dialect
from txcarp.protocol.effects import (
    Advertise,
    ArmMasterDown,
    BowOut,
    ChangeRole,
    DisarmMasterDown,
    Effect,
    LookAgain,
    OfferMastership,
    Peer,
    Reason,
    Reassert,
    Role,
    StartAdvertising,
    StopAdvertising,
    WithdrawOffer,
)
from txcarp.protocol.timing import LEAVING, Timing

#: A deadline that is noticed this many seconds late says more about this host
#: than about the master: advertisements may wait unread in the socket.
TOLERATED_LATENESS = 0.05

#: Seconds that the reactor is given to read them before the deadline acts.
SECOND_LOOK = 0.01

#: Intervals of a master for which it is waited at least: an advertisement that
#: comes a little late is no reason to miss it, even where the dead time is no
#: longer than the interval (a dead ratio of 1, or no base).  ucarp, which looks
#: at its deadline once an interval, waits for two.
LEAST_INTERVALS = 1.25

#: Seconds that a backup which preempts has to take over from a master that was
#: demoted, before that offers its place to those that do not.
OFFER_AFTER = 0.05


@attrs.frozen
class Standing:
    """
    The facts about this host that a decision needs.

    @ivar timing: What it advertises and compares, demotion included.
    @ivar deadRatio: How many bases of silence it tolerates.
    @ivar preempt: Whether it takes over from a slower master that lives.
    @ivar source: The packed address that its advertisements come from.
    @ivar deaf: Whether something holds it back: no link, or a resignation.
    @ivar dialect: The rules of the group.
    @ivar demotion: What it says in the field that OpenBSD has for that.
    @ivar configured: Its timing without demotion; C{None} if that is the same.
    """

    timing: Timing
    deadRatio: int
    preempt: bool
    source: bytes
    deaf: bool = False
    dialect: Dialect = UCARP
    demotion: int = 0
    configured: Timing | None = None

    @property
    def deadTime(self) -> float:
        """
        Seconds of silence after which this host takes over.  Demotion does not
        make it slower, in no implementation.
        """
        return self.dialect.deadTime(self.configured or self.timing, self.deadRatio)

    def patience(self, peer: Peer) -> float:
        """
        Seconds of silence of this peer after which this host takes over.
        """
        interval = peer.timing.interval
        if interval > self.timing.deadTime(self.deadRatio):
            return self.deadTime  # as OpenBSD without a base: it is not guessed about
        return max(self.deadTime, interval * LEAST_INTERVALS)


class ICARPState(Interface):
    """
    One state of the election.

    Each method is something that happened; it returns the next state and what
    is to be done, and does nothing itself.
    """

    role = Attribute("""The L{Role} that this state has in the group.""")

    def started(standing: Standing) -> Transition:
        """
        The virtual host begins to take part.
        """

    def heard(standing: Standing, peer: Peer) -> Transition:
        """
        A valid advertisement arrived.
        """

    def expired(standing: Standing, lateness: float, unread: bool) -> Transition:
        """
        The master-down deadline passed, and this was noticed C{lateness}
        seconds after it did.  If C{unread}, packets wait that may speak for
        the master.
        """

    def slept(standing: Standing, pause: float) -> Transition:
        """
        This host finds that it did not run for C{pause} seconds, longer than
        its peers were willing to wait.
        """

    def linkLost(standing: Standing) -> Transition:
        """
        Nothing can be sent or heard until further notice.
        """

    def resigned(standing: Standing, unfit: bool) -> Transition:
        """
        This host is to hand over: because an administrator asked for it, or
        because it found itself unfit to be master.
        """

    def resumed(standing: Standing) -> Transition:
        """
        What held this host back (no link, a resignation) is over.
        """

    def demotionChanged(standing: Standing, offer: bool) -> Transition:
        """
        This host says another timing or demotion than before.

        @param offer: Whether it is demoted, and somebody better may be there to
            take its place.
        """

    def notReplaced(standing: Standing) -> Transition:
        """
        Nobody took the place of a demoted master on hearing that it is one.
        """

    def claimed(standing: Standing) -> Transition:
        """
        An administrator wants this host to be master.
        """

    def stopped(standing: Standing) -> Transition:
        """
        The virtual host is to take no part any more.
        """


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

    def expired(self, standing: Standing, lateness: float, unread: bool) -> Transition:
        return self, ()

    def slept(self, standing: Standing, pause: float) -> Transition:
        return self, ()

    def linkLost(self, standing: Standing) -> Transition:
        return self, ()

    def resigned(self, standing: Standing, unfit: bool) -> Transition:
        return self, ()

    def resumed(self, standing: Standing) -> Transition:
        return self, ()

    def demotionChanged(self, standing: Standing, offer: bool) -> Transition:
        return self, ()

    def notReplaced(self, standing: Standing) -> Transition:
        return self, ()

    def claimed(self, standing: Standing) -> Transition:
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
        dialect = standing.dialect
        if standing.preempt and dialect.preempts(standing, peer):  # B1
            return _takeOver(Reason.PREEMPTION, peer)
        if dialect.replaces(standing, peer):
            return _takeOver(Reason.DEMOTED_MASTER, peer)
        guesses = standing.timing.advbase > 0 or not dialect.zeroBase
        if guesses and standing.timing.missesBefore(peer.timing, standing.deadRatio):  # B2
            return _takeOver(Reason.SLOW_MASTER, peer)
        return BACKUP, (ArmMasterDown(standing.patience(peer), peer.family),)  # B3

    def expired(self, standing: Standing, lateness: float, unread: bool) -> Transition:
        # A host that stood still may go on just before the deadline.
        if unread or lateness > TOLERATED_LATENESS:
            return BACKUP, (LookAgain(SECOND_LOOK),)
        return _takeOver(Reason.SILENCE, None)

    def slept(self, standing: Standing, pause: float) -> Transition:
        return BACKUP, (ArmMasterDown(standing.deadTime),)

    def claimed(self, standing: Standing) -> Transition:
        return _takeOver(Reason.CLAIMED, None)

    def linkLost(self, standing: Standing) -> Transition:
        return WAITING, (DisarmMasterDown(),)

    def resigned(self, standing: Standing, unfit: bool) -> Transition:
        # It was master when it found out, and gave everything back before it said so.
        return WAITING, (DisarmMasterDown(),)


class Master(_Unmoved):
    """
    Advertises, and answers for the addresses.
    """

    role = Role.MASTER

    def heard(self, standing: Standing, peer: Peer) -> Transition:
        # Who leaves claims nothing, whatever it says about its demotion.
        leaves = standing.timing < peer.timing == LEAVING
        if leaves or not standing.dialect.yields(standing, peer):  # M2
            return MASTER, (Reassert(peer),)
        # M1: the farewell lets the winner hear of us, and announce once more.
        return BACKUP, (
            Advertise(),
            StopAdvertising(),
            ChangeRole(Role.BACKUP, Reason.PREFERRED_MASTER, peer),
            ArmMasterDown(standing.patience(peer)),
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

    def demotionChanged(self, standing: Standing, offer: bool) -> Transition:
        if offer:
            return MASTER, (Advertise(), OfferMastership(OFFER_AFTER))
        return MASTER, (Advertise(), WithdrawOffer())

    def notReplaced(self, standing: Standing) -> Transition:
        # Backups that do not preempt take over on a bow-out.  This host goes on
        # until it hears one that is better: there may be none.
        return MASTER, (BowOut(),)

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
