"""
A virtual host as a member of a set: its facts, and what it is told.
"""

from __future__ import annotations

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import Interface, implementer

from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.interfaces import ISetMember
from txcarp.membership.parts import Parts
from txcarp.membership.timers import cancel
from txcarp.protocol import effects, events, together
from txcarp.protocol.effects import Reason
from txcarp.protocol.election import BACKUP, MASTER, SECOND_LOOK, ICARPState, Standing, Transition
from txcarp.protocol.events import Event, Heard, HoldReason
from txcarp.protocol.timing import INSISTENT
from txcarp.protocol.together import Answer, Rank, Side
from txcarp.sets.masters import Masters, changeIn
from txcarp.status.parts import SyncStatus

#: What is between the name of the set and that of the member in a hold or a change.
SEPARATOR = "; "

#: How the reason begins for which a member is demoted because of the others.
FOREIGN = "set "

#: The reasons that each member has itself when its set takes over.
_OWN_REASONS = frozenset((Reason.SILENCE, Reason.VANISHED, Reason.SIDE_SILENT))


class ISet(Interface):
    """
    A set, as its members see it.
    """

    def status() -> SyncStatus:
        """
        Return the present state of the set.
        """

    def sides() -> list[Side]:
        """
        Return the present facts about all members.
        """

    def settle() -> None:
        """
        Have the members do what follows from the present facts.
        """

    def mayTakeOver(name: str, reason: Reason, hasLooked: bool) -> Answer:
        """
        Return whether the set takes over because one member would.

        @param name: The name of that member.
        @param hasLooked: Whether the packets that wait anywhere arrived after the member decided
            to look again.
        """

    def takeOver(name: str, change: effects.ChangeRole) -> None:
        """
        Have all other members become master.

        @param name: The name of the member that does so by itself.
        """

    def slept(name: str, pause: float) -> None:
        """
        Handle that a master found that this host slept.

        @param name: The name of that member.
        @param pause: The seconds for which it did not run, at least.
        """


@implementer(ISetMember)
class Member:
    """
    A virtual host in its set.

    @ivar name: Its name for people.
    @ivar run: The parts of its present run; C{None} if it takes no part in its group.
    @ivar isJoining: See L{Side}.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self.name = ""
        self.run: Parts | None = None
        self.isJoining = False
        self._clock = clock
        self._rank: Rank = (0, ())
        self._group: ISet | None = None
        self._masters = Masters()
        #: Tells again of a better master, to which this one has not yielded yet.
        self._again: IDelayedCall | None = None
        #: What the set knew of this member when it was settled.
        self._settled: object = None

    def adopt(self, configuration: VirtualHostConfiguration) -> None:
        """
        Belong to a virtual host with this configuration.
        """
        self.name = configuration.display
        self._rank = (
            configuration.vhid,
            tuple(sorted(address.packed for address in configuration.addresses)),
        )

    def join(self, group: ISet | None) -> None:
        """
        Belong to a set from now on; C{None} for none.
        """
        self._group = group
        self._settled = None
        self._attach()
        if group is None and self.run is not None and not self.run.candidate.isLeaving:
            self.insist(False)
            self.demote("", 0)
            self.run.holds.release(HoldReason.SYNC)

    def began(self, run: Parts) -> None:
        self.run = run
        self._masters.preference = None
        self._attach()

    def ended(self) -> None:
        cancel(self._again)
        self.run = None
        if self._group is not None:
            self._group.settle()

    def _attach(self) -> None:
        if self.run is not None:
            self.run.candidate.together = None if self._group is None else self

    # The election.

    def decided(
        self, state: ICARPState, standing: Standing, event: Event, decided: Transition
    ) -> Transition:
        following = decided[0]
        group = self._group
        if isinstance(event, Heard):
            cancel(self._again)
            self._masters.heard(self._clock.seconds(), state, standing, event, decided)
        if state is not MASTER and following is MASTER:
            self._masters.taken(self._clock.seconds())
        if group is None or isinstance(event, events.SetTakesOver):
            return decided
        if state is MASTER and following is not MASTER:
            cancel(self._again)
            self._masters.lost(self._clock.seconds())
        if state is BACKUP and following is MASTER:
            return self._wouldTakeOver(group, standing, event, decided)
        yields = state is MASTER and following is BACKUP
        if yields and isinstance(event, Heard) and not together.mayYield(group.sides(), self.name):
            wait = self._masters.unsettled(self._clock.seconds())
            if not wait or self.run is None:
                return MASTER, (effects.Reassert(event.peer),)
            # It is heard again when it is clear what the first side decides.
            self._again = self._clock.callLater(wait, self.run.tell, event)
            return MASTER, ()
        return decided

    def _wouldTakeOver(
        self, group: ISet, standing: Standing, event: Event, decided: Transition
    ) -> Transition:
        change = changeIn(decided)
        if change.reason is Reason.BOW_OUT and self._masters.left is None:
            return BACKUP, ()
        hasLooked = isinstance(event, events.DeadlinePassed) and event.hasLooked
        match group.mayTakeOver(self.name, change.reason, hasLooked):
            case Answer.YES:
                group.takeOver(self.name, change)
                return decided
            case Answer.LOOK_AGAIN:
                return BACKUP, (effects.LookAgain(SECOND_LOOK),)
        if isinstance(event, Heard) and not event.peer.isBowOut:
            peer = event.peer
            return BACKUP, (effects.ArmMasterDown(standing.patience(peer), peer.family),)
        return BACKUP, ()

    def settle(self) -> None:
        self._masters.left = None
        # Most events change no fact that the others need to know, however many they are.
        facts = self.side(), None if self.run is None else self.run.ledger.reasons
        if self._group is not None and facts != self._settled:
            self._settled = facts
            self._group.settle()

    def slept(self, pause: float) -> None:
        if self._group is not None:
            self._group.slept(self.name, pause)

    # Facts.

    def status(self) -> SyncStatus | None:
        return None if self._group is None else self._group.status()

    def side(self, *, isAsking: bool = False) -> Side:
        """
        The present facts.

        @param isAsking: Whether a member asks to take over, which needs facts that take longer.
        """
        run = self.run
        if run is None:
            return Side(self.name, self._rank, lack="it does not run", isJoining=self.isJoining)
        now = self._clock.seconds()
        state = run.candidate.state
        isSilent = state is BACKUP and run.isMasterSilent
        masters = self._masters
        held = run.holds.detailOf(HoldReason.SYNC)
        return Side(
            name=self.name,
            rank=self._rank,
            isMaster=state is MASTER,
            lack=self._lack(run),
            held=None if held is None else held.partition(SEPARATOR)[2],
            isSilent=isSilent,
            hears=masters.hears(now),
            isPreferred=masters.preference is not None,
            remaining=masters.remaining(now),
            isUnread=isAsking and run.masterDown.hasUnread(),
            isWinning=state is MASTER and masters.isWinning(now, run.standing.deadTime),
            isNew=state is MASTER and masters.unsettled(now) > 0,
            isJoining=self.isJoining,
            why=run.lastLoss,
        )

    @property
    def isListening(self) -> bool:
        """
        Whether this member waits for the master, and it has not been silent for too long.
        """
        run = self.run
        return run is not None and run.candidate.state is BACKUP and not run.isMasterSilent

    def _lack(self, run: Parts) -> str:
        if run.candidate.isLeaving:
            return "it is stopping"
        for reason in run.holds:
            if reason is not HoldReason.SYNC:
                phrase: str = reason.value
                return phrase
        return "it hands over" if run.leaving.isResigning else ""

    @property
    def canInsist(self) -> bool:
        """
        Whether this host can advertise as more preferred than all masters of this side.
        """
        return self._masters.yieldTo(self._clock.seconds(), INSISTENT)

    @property
    def deadTime(self) -> float:
        """
        Seconds of silence after which this member would take over alone.
        """
        if self.run is None:
            return 0.0
        seconds: float = self.run.standing.deadTime
        return seconds

    def reasons(self, foreign: str) -> dict[str, int]:
        """
        The own reasons for which this member is demoted, with their amounts.

        @param foreign: The reason that the set gives it.
        """
        reasons = {} if self.run is None else self.run.ledger.reasons
        reasons.pop(foreign, None)
        return reasons

    @property
    def witness(self) -> bool | None:
        """
        Whether a gateway of this side answers this host; C{None} if no check asks one.
        """
        return None if self.run is None else self.run.fitness.isWitnessed

    # Orders.

    @property
    def isLingering(self) -> bool:
        """
        Whether this member has bowed out, and goes on answering until its successor does.
        """
        return self.run is not None and self.run.mastership.handOver.isWaiting

    def hold(self, detail: str, lingers: bool) -> None:
        """
        Hold this member back.  A master bows out.

        @param lingers: Whether it goes on answering until its successor does.
        """
        if self.run is not None:
            if self.run.candidate.state is MASTER:
                self.run.mastership.lingers = lingers
                self.run.leaving.resign(HoldReason.SYNC, None, detail)
            else:
                self.run.holds.hold(HoldReason.SYNC, detail=detail)

    def release(self) -> None:
        """
        Hold this member back no longer.
        """
        if self.run is not None:
            self.run.holds.release(HoldReason.SYNC)

    def takeOver(self, reason: Reason, detail: str) -> None:
        """
        Become master.

        @param reason: Why the set does.
        """
        peer = None
        if reason not in _OWN_REASONS:
            reason, peer = self._masters.preference or (Reason.SYNC, None)
        if self.run is not None:
            self.run.holds.release(HoldReason.SYNC)
            self.run.tell(events.SetTakesOver(reason, peer, detail))

    def demote(self, reason: str, amount: int) -> None:
        """
        Demote this member for the others.
        """
        if self.run is None:
            return
        for one in self.run.ledger.reasons:
            if one.startswith(FOREIGN) and one != reason:
                self.run.tell(events.Promoted(one))
        before = self.run.ledger.reasons.get(reason, 0)
        if amount and amount != before:
            self.run.tell(events.Demoted(reason, amount))
        elif before and not amount:
            self.run.tell(events.Promoted(reason))

    @property
    def insists(self) -> bool:
        """
        Whether this member advertises as more preferred than every other host.
        """
        return self.run is not None and self.run.advertiser.insists

    def insist(self, insists: bool) -> None:
        """
        Advertise as more preferred than every other host, or no longer.
        """
        if self.run is not None:
            self.run.insist(insists)
