"""
The election of the master: the states INIT, BACKUP and MASTER.

An event (L{txcarp.protocol.events}) goes in with the present facts about this host.  The
next state comes out, with effects (L{txcarp.protocol.effects}) that the virtual host carries
out in order.  This module does nothing else.  The rules are ucarp's.  The comments below name
them (M1, M2, B1, B2, B3) as C{docs/protocol.rst} does.
"""

from __future__ import annotations

import attrs
from zope.interface import Attribute, Interface, implementer

from txcarp.protocol import effects, events
from txcarp.protocol.actor import Actor
from txcarp.protocol.dialect import UCARP, Dialect
from txcarp.protocol.effects import Effect, Reason, Role
from txcarp.protocol.events import Event
from txcarp.protocol.timing import Peer, Timing

#: A deadline noticed more than this many seconds late says more about this host than about
#: the master: advertisements may be waiting unread in the socket.
TOLERATED_LATENESS = 0.05

#: Seconds that the reactor gets to read them before the deadline takes effect.
SECOND_LOOK = 0.01

#: A backup waits for at least this many of the master's intervals.  Otherwise, where the dead
#: time is no longer than the interval (a dead ratio of 1, or an advbase of 0), a master whose
#: advertisement is slightly late would be taken for dead.  ucarp, which looks at its deadline
#: once per interval, waits for two.
LEAST_INTERVALS = 1.25

#: A backup also waits for two more intervals, up to this many seconds, after an advertisement is
#: due.  Where intervals are as short as this, a busy host may be late by more than a quarter of it.
LEAST_LATENESS = 0.01

#: Seconds that a demoted master gives backups that preempt to take over, before it offers its
#: place to those that do not preempt; and seconds that it gives those.
OFFER_AFTER = 0.05


@attrs.frozen
class Standing:
    """
    The facts about this host that a decision needs.

    @ivar timing: The timing that it advertises, and compares with that of peers.  Demotion
        is included.
    @ivar deadRatio: How many times its advbase a master may be silent.
    @ivar preempt: Whether it takes over from a live master that is less preferred.
    @ivar source: The packed source address of its advertisements.
    @ivar held: Whether it is held back from the election
        (L{HoldReason<txcarp.protocol.events.HoldReason>}).
    @ivar dialect: The rules of the group.
    @ivar demotion: The value of OpenBSD's demotion field.
    @ivar configured: Its timing without demotion; C{None} if that is the same.
    @ivar offered: The timing of the peer that was heard, if it made an offer (L{offer}), which
        says another one; C{None} otherwise.
    @ivar deadTime: Seconds of silence after which it takes over.  Demotion does not change
        them, in any implementation.
    @ivar longest: The longest interval of a master, in seconds, that rule B2 tolerates.
    """

    timing: Timing
    deadRatio: int
    preempt: bool
    source: bytes
    held: bool = False
    dialect: Dialect = UCARP
    demotion: int = 0
    configured: Timing | None = None
    offered: Timing | None = None
    deadTime: float = attrs.field(init=False)
    longest: float = attrs.field(init=False)

    @deadTime.default
    def _deadTime(self) -> float:
        return self.dialect.deadTime(self.configured or self.timing, self.deadRatio)

    @longest.default
    def _longest(self) -> float:
        return self.timing.deadTime(self.deadRatio)

    @property
    def isDemoted(self) -> bool:
        """
        Whether demotion raises the advertised timing.
        """
        return self.configured is not None and self.configured < self.timing

    @property
    def offer(self) -> Timing | None:
        """
        What this host, as a demoted master, advertises once, so that the backups with a better
        timing take over although they do not preempt; C{None} if it can make no such offer.

        Backups are silent, so this host cannot know whether one of them is better.  But rule B2,
        which all implementations have, makes each backup compare the advertised timing with its
        own, demotion included.  With OpenBSD's rules demotion does not raise the timing, and
        less demoted backups take over without an offer.
        """
        return self.timing.offer(self.deadRatio) if self.isDemoted else None

    @property
    def saysFarewell(self) -> bool:
        """
        Whether this host, as a master that yields, sends a last advertisement.  ucarp does, and
        the winner announces its addresses again.  A demoted master does not, because a third
        host that preempts would take over from it, beside the winner.
        """
        return self.dialect.farewell and not self.isDemoted

    def replacesSlow(self, peer: Peer) -> bool:
        """
        Whether this host, as a backup, takes over by rule B2: it would not wait for the next
        advertisement of the master.

        It accepts an offer only if it is better than the master.  If both have the same dead
        ratio, rule B2 says just that.
        """
        if self.dialect.zeroBase and not self.timing.advbase:
            return False
        isSlow = self.timing.missesBefore(peer.timing, self.deadRatio)
        return isSlow and (self.offered is None or self.timing < self.offered)

    def patience(self, peer: Peer) -> float:
        """
        Seconds of silence of a master after which this host takes over.
        """
        interval = peer.timing.interval
        # OpenBSD does not apply rule B2 with an advbase of 0.
        if self.offered is not None or interval > self.longest:
            return self.deadTime
        late = max(interval * (LEAST_INTERVALS - 1), min(2 * interval, LEAST_LATENESS))
        return max(self.deadTime, interval + late)


class ICARPState(Interface):
    """
    One state of the election.
    """

    role = Attribute("""The L{Role} of a host in this state.""")

    def decide(standing: Standing, event: Event) -> Transition:
        """
        Decide what an event leads to.  An event that this state has no rule for leads to the
        same state, without effects.

        @param standing: The present facts about this host.
        @return: The next state, and the effects to carry out in order.
        """


Transition = tuple[ICARPState, tuple[Effect, ...]]


@implementer(ICARPState)
class Init:
    """
    Takes no part in the election.
    """

    role = Role.INIT

    def decide(self, standing: Standing, event: Event) -> Transition:
        if not isinstance(event, events.Started):
            return self, ()
        change = effects.ChangeRole(Role.BACKUP, Reason.STARTED)
        if standing.held:
            return WAITING, (change,)
        return BACKUP, (change, effects.ArmMasterDown(standing.deadTime))


@implementer(ICARPState)
class Waiting:
    """
    A backup that is held back from the election, for example without a link or just after a
    resignation.  It ignores advertisements and deadlines.
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
            case events.Heard(peer=peer, isOld=True):
                # That this master was less preferred, or left, may be long ago.
                return self, (effects.ArmMasterDown(standing.patience(peer), peer.family),)
            case events.Heard(peer=peer):
                dialect = standing.dialect
                if standing.preempt and dialect.preempts(standing, peer):  # B1
                    return _takeOver(Reason.PREEMPTION, peer)
                if dialect.replaces is not None and dialect.replaces(standing, peer):
                    return _takeOver(Reason.DEMOTED_MASTER, peer)
                if standing.replacesSlow(peer):  # B2
                    return _takeOver(Reason.SLOW_MASTER, peer)
                return self, (effects.ArmMasterDown(standing.patience(peer), peer.family),)  # B3
            case events.DeadlinePassed(lateness=lateness, unread=unread):
                # Even a deadline noticed in time proves nothing while packets are unread: this
                # host may have been stopped until just before.
                if unread or lateness > TOLERATED_LATENESS:
                    return self, (effects.LookAgain(SECOND_LOOK),)
                return _takeOver(Reason.SILENCE)
            case events.MasterVanished(losses=losses):
                seen = "; ".join(one.explain() for one in losses)
                return _takeOver(Reason.VANISHED, detail=seen)
            case events.Claimed(reason=reason, actor=actor):
                return _takeOver(reason, actor=actor)
            case events.SetTakesOver(reason=reason, peer=peer, detail=detail):
                return _takeOver(reason, peer, detail)
            case events.Slept() | events.Refused(putsOff=True):
                return self, (effects.ArmMasterDown(standing.deadTime),)
            case events.Held() | events.Resigned():
                # A backup can resign, too: it was master when it decided to, another host took
                # over while it released everything, and only then did it resign.
                return WAITING, (effects.DisarmMasterDown(),)
            case events.Stopped():
                return INIT, (effects.DisarmMasterDown(),)
        return self, ()


@implementer(ICARPState)
class Master:
    """
    Advertises, and holds the addresses.
    """

    role = Role.MASTER

    def decide(self, standing: Standing, event: Event) -> Transition:
        match event:
            case events.Heard(peer=peer):
                # A bow-out is no claim to mastership, whatever its demotion field says.
                leaves = peer.isBowOut and standing.timing < peer.timing
                if leaves or not standing.dialect.yields(standing, peer):  # M2
                    return self, (effects.Reassert(peer),)
                return BACKUP, (  # M1
                    *((effects.Advertise(),) if standing.saysFarewell else ()),
                    effects.StopAdvertising(),
                    effects.ChangeRole(Role.BACKUP, Reason.PREFERRED_MASTER, peer),
                    effects.ArmMasterDown(standing.patience(peer)),
                )
            case events.Slept(pause=pause):
                # Another host is master by now.
                return BACKUP, (
                    effects.StopAdvertising(),
                    effects.ChangeRole(Role.BACKUP, Reason.PAUSED, pause=pause),
                    effects.ArmMasterDown(standing.deadTime),
                )
            case events.DemotionChanged(offer=True) if standing.offer is not None:
                return self, (effects.Advertise(), effects.OfferMastership(OFFER_AFTER))
            case events.DemotionChanged():
                return self, (effects.Advertise(), effects.WithdrawOffer())
            case events.OfferUnanswered() if standing.offer is not None:
                # This host stays master until it hears a better one, because there may be none.
                # A ucarp or a kernel that preempts takes the offer for a slow master (B1), whether
                # it is better or not.  The next advertisement tells it if it is not.
                return self, (effects.SendOffer(standing.offer, OFFER_AFTER),)
            case events.Held(reason=reason, detail=detail, actor=actor):
                change = _heldBack(reason, detail, actor)
                return WAITING, (effects.StopAdvertising(), change)
            case events.Resigned(reason=reason, detail=detail, actor=actor):
                change = _heldBack(reason, detail, actor)
                return WAITING, (effects.BowOut(), effects.StopAdvertising(), change)
            case events.Stopped():
                return INIT, (effects.BowOut(), effects.StopAdvertising())
        return self, ()


def _heldBack(
    reason: events.HoldReason, detail: str, actor: Actor | None
) -> effects.ChangeRole:
    """
    The change of a master that is held back from now on.
    """
    return effects.ChangeRole(Role.BACKUP, reason.change, detail=detail, actor=actor)


def _takeOver(
    reason: Reason, peer: Peer | None = None, detail: str = "", actor: Actor | None = None
) -> Transition:
    """
    Become master.  The first advertisement comes before anything slow, so that no other
    backup times out meanwhile.

    Whichever rule applies to a bow-out, the reason is that the master leaves.
    """
    if peer is not None and peer.isBowOut:
        reason = Reason.BOW_OUT
    return MASTER, (
        effects.DisarmMasterDown(),
        effects.StartAdvertising(),
        effects.ChangeRole(Role.MASTER, reason, peer, detail=detail, actor=actor),
    )


INIT = Init()
WAITING = Waiting()
BACKUP = Backup()
MASTER = Master()
