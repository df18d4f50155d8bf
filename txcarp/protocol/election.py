"""
The election of the master: the states INIT, BACKUP and MASTER.

An event (L{txcarp.protocol.events}) goes in with the facts of the moment, and the next
state comes out with effects (L{txcarp.protocol.effects}), which the virtual host carries
out in their order.  Nothing in here does anything else.  The rules are those of ucarp;
their names below (M1, M2, B1, B2, B3) are those of the protocol notes in
C{docs/protocol.rst}.
"""

from __future__ import annotations

import attrs
from zope.interface import Attribute, Interface, implementer

from txcarp.protocol import effects, events
from txcarp.protocol.dialect import UCARP, Dialect
from txcarp.protocol.effects import Effect, Reason, Role
from txcarp.protocol.events import Event
from txcarp.protocol.timing import LEAVING, Peer, Timing

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
    @ivar deadTime: Seconds of silence after which this host takes over.  Demotion does not
        make it slower, in no implementation.
    @ivar longest: The longest interval, in seconds, that it waits for.
    """

    timing: Timing
    deadRatio: int
    preempt: bool
    source: bytes
    deaf: bool = False
    dialect: Dialect = UCARP
    demotion: int = 0
    configured: Timing | None = None
    deadTime: float = attrs.field(init=False)
    longest: float = attrs.field(init=False)

    @deadTime.default
    def _deadTime(self) -> float:
        return self.dialect.deadTime(self.configured or self.timing, self.deadRatio)

    @longest.default
    def _longest(self) -> float:
        return self.timing.deadTime(self.deadRatio)

    def patience(self, peer: Peer) -> float:
        """
        Seconds of silence of this peer after which this host takes over.
        """
        interval = peer.timing.interval
        if interval > self.longest:
            return self.deadTime  # as OpenBSD without a base: it is not guessed about
        return max(self.deadTime, interval * LEAST_INTERVALS)


class ICARPState(Interface):
    """
    One state of the election.
    """

    role = Attribute("""The L{Role} that this state has in the group.""")

    def decide(standing: Standing, event: Event) -> Transition:
        """
        Decide what an event means.  Events that mean nothing in this state leave it as it
        is, without effects.

        @param standing: The facts about this host at this moment.
        @return: The next state, and the effects to carry out in their order.
        """


Transition = tuple[ICARPState, tuple[Effect, ...]]


@implementer(ICARPState)
class Init:
    """
    Takes no part.
    """

    role = Role.INIT

    def decide(self, standing: Standing, event: Event) -> Transition:
        if not isinstance(event, events.Started):
            return self, ()
        change = effects.ChangeRole(Role.BACKUP, Reason.STARTED)
        if standing.deaf:
            return WAITING, (change,)
        return BACKUP, (change, effects.ArmMasterDown(standing.deadTime))


@implementer(ICARPState)
class Waiting:
    """
    A backup that is kept out of the election: it can hear nobody, or has just
    resigned.  Nothing that it might still read from a socket moves it.
    """

    role = Role.BACKUP

    def decide(self, standing: Standing, event: Event) -> Transition:
        match event:
            case events.Released():
                return BACKUP, (effects.ArmMasterDown(standing.deadTime),)
            case events.Stopped():
                return INIT, (effects.DisarmMasterDown(),)
        return self, ()


@implementer(ICARPState)
class Backup:
    """
    Listens to the master.
    """

    role = Role.BACKUP

    def decide(self, standing: Standing, event: Event) -> Transition:
        match event:
            case events.Heard(peer=peer):
                dialect = standing.dialect
                if standing.preempt and dialect.preempts(standing, peer):  # B1
                    return _takeOver(Reason.PREEMPTION, peer)
                if dialect.replaces is not None and dialect.replaces(standing, peer):
                    return _takeOver(Reason.DEMOTED_MASTER, peer)
                guesses = standing.timing.advbase > 0 or not dialect.zeroBase
                if guesses and standing.timing.missesBefore(peer.timing, standing.deadRatio):  # B2
                    return _takeOver(Reason.SLOW_MASTER, peer)
                return self, (effects.ArmMasterDown(standing.patience(peer), peer.family),)  # B3
            case events.DeadlinePassed(lateness=lateness, unread=unread):
                # A host that stood still may go on just before the deadline.
                if unread or lateness > TOLERATED_LATENESS:
                    return self, (effects.LookAgain(SECOND_LOOK),)
                return _takeOver(Reason.SILENCE)
            case events.Claimed():
                return _takeOver(Reason.CLAIMED)
            case events.Slept():
                return self, (effects.ArmMasterDown(standing.deadTime),)
            case events.Held() | events.Resigned():
                # A host that resigns as a backup was master when it found out that it has
                # to, and gave everything back before it said so.
                return WAITING, (effects.DisarmMasterDown(),)
            case events.Stopped():
                return INIT, (effects.DisarmMasterDown(),)
        return self, ()


@implementer(ICARPState)
class Master:
    """
    Advertises, and answers for the addresses.
    """

    role = Role.MASTER

    def decide(self, standing: Standing, event: Event) -> Transition:
        match event:
            case events.Heard(peer=peer):
                # A host that leaves claims nothing, whatever it says about its demotion.
                leaves = standing.timing < peer.timing == LEAVING
                if leaves or not standing.dialect.yields(standing, peer):  # M2
                    return self, (effects.Reassert(peer),)
                # M1: the farewell lets the winner hear of us, and announce once more.
                return BACKUP, (
                    effects.Advertise(),
                    effects.StopAdvertising(),
                    effects.ChangeRole(Role.BACKUP, Reason.PREFERRED_MASTER, peer),
                    effects.ArmMasterDown(standing.patience(peer)),
                )
            case events.Slept(pause=pause):
                # Another host is master by now: be quiet, let go, listen.
                return BACKUP, (
                    effects.StopAdvertising(),
                    effects.ChangeRole(Role.BACKUP, Reason.PAUSED, pause=pause),
                    effects.ArmMasterDown(standing.deadTime),
                )
            case events.DemotionChanged(offer=True):
                return self, (effects.Advertise(), effects.OfferMastership(OFFER_AFTER))
            case events.DemotionChanged():
                return self, (effects.Advertise(), effects.WithdrawOffer())
            case events.OfferUnanswered():
                # Backups that do not preempt take over on a bow-out.  This host goes on
                # until it hears one that is better: there may be none.
                return self, (effects.BowOut(),)
            case events.Held():
                change = effects.ChangeRole(Role.BACKUP, Reason.LINK_LOST)
                return WAITING, (effects.StopAdvertising(), change)
            case events.Resigned(unfit=unfit):
                reason = Reason.UNFIT if unfit else Reason.RESIGNED
                change = effects.ChangeRole(Role.BACKUP, reason)
                return WAITING, (effects.BowOut(), effects.StopAdvertising(), change)
            case events.Stopped():
                return INIT, (effects.BowOut(), effects.StopAdvertising())
        return self, ()


def _takeOver(reason: Reason, peer: Peer | None = None) -> Transition:
    """
    Become master.  The advertisement leaves before anything that might take
    its time, or other backups would time out meanwhile.
    """
    return MASTER, (
        effects.DisarmMasterDown(),
        effects.StartAdvertising(),
        effects.ChangeRole(Role.MASTER, reason, peer),
    )


INIT = Init()
WAITING = Waiting()
BACKUP = Backup()
MASTER = Master()
