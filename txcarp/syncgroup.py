"""
Sets of virtual hosts that are master together or not at all.

The decisions are those of L{txcarp.protocol.together}.  Here the facts about the members are
gathered, and the members are told what follows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from txcarp.configuration.model import SyncSettings, VirtualHostConfiguration
from txcarp.interfaces import ISetMember
from txcarp.membership.participation import Participation
from txcarp.membership.timers import cancel
from txcarp.protocol import effects, events, together
from txcarp.protocol.effects import Reason
from txcarp.protocol.election import BACKUP, MASTER, SECOND_LOOK, ICARPState, Standing, Transition
from txcarp.protocol.events import Event, Heard, HoldReason
from txcarp.protocol.family import Family
from txcarp.protocol.timing import INSISTENT, LEAVING, Peer, Timing
from txcarp.protocol.together import Answer, Hold, Rank, Side
from txcarp.status.parts import SyncStatus

#: The most masters of one side, in each family, that are remembered.
_MAXIMUM_MASTERS = 64

#: Seconds between two looks at a side on which the master is silent.
_LOOK = 1.0

#: Seconds between two reports of the same silent side.
_REPORT = 60.0

#: The most times that the decisions are made anew because of what followed from them.  Three are
#: enough.
_MAXIMUM_ROUNDS = 20

#: Seconds after it was master in which a host does not believe what it hears of other masters.  Two
#: hosts may yield to each other at the same moment, and bow out, while other advertisements of
#: theirs are on the way.  If those bow-outs counted, both would take over again, and so on.
_CROSSING = 0.05

#: Seconds of the dead time of a new member that is not known yet.
_JOINING = 5.0

#: How the reason begins for which a member is demoted because of the others.
_FOREIGN = "set "

#: What is between the name of the set and that of the member in a hold or a change.
_SEPARATOR = "; "

_Masters = dict[Family, dict[bytes, tuple[float, Timing]]]

#: The reasons that each member has itself when its set takes over.
_OWN_REASONS = frozenset((Reason.SILENCE, Reason.VANISHED, Reason.SIDE_SILENT))


@implementer(ISetMember)
class Member:
    """
    A virtual host in its set.

    @ivar name: Its name for people.
    @ivar run: The present run of the virtual host; C{None} if it takes no part in its group.
    @ivar isJoining: See L{Side}.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self.name = ""
        self.run: Participation | None = None
        self.isJoining = False
        self._clock = clock
        self._rank: Rank = (0, ())
        self._group: SyncGroup | None = None
        #: Until when each master that was heard is taken for alive, and what it advertises.
        self._masters: _Masters = {family: {} for family in Family}
        #: The family in which a bow-out of a known master is being handled.
        self._left: Family | None = None
        #: Why this host would take over from the master that it heard last, and that master.
        self._preference: tuple[Reason, Peer] | None = None
        #: What the set knew of this member when it was settled.
        self._settled: object = None
        #: When this host was master for the last time.
        self._masterUntil = float("-inf")
        #: Since and until when this master hears another one that has to yield.
        self._winning = (float("-inf"), float("-inf"))

    def adopt(self, configuration: VirtualHostConfiguration) -> None:
        """
        Belong to a virtual host with this configuration.
        """
        self.name = configuration.display
        self._rank = (
            configuration.vhid,
            tuple(sorted(address.packed for address in configuration.addresses)),
        )

    def join(self, group: SyncGroup | None) -> None:
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

    def began(self, run: Participation) -> None:
        self.run = run
        self._preference = None
        self._attach()

    def ended(self) -> None:
        self.run = None
        if self._group is not None:
            self._group.settle()

    def _attach(self) -> None:
        if self.run is not None:
            self.run.join(None if self._group is None else self)

    # The election.

    def decided(
        self, state: ICARPState, standing: Standing, event: Event, decided: Transition
    ) -> Transition:
        following = decided[0]
        group = self._group
        if isinstance(event, Heard):
            self._heard(state, standing, event, decided)
        if group is None or isinstance(event, events.SetTakesOver):
            return decided
        if state is MASTER and following is not MASTER:
            self._masterUntil = self._clock.seconds()
            self._winning = (float("-inf"), float("-inf"))
            for masters in self._masters.values():
                masters.clear()
        if state is BACKUP and following is MASTER:
            return self._wouldTakeOver(group, standing, event, decided)
        yields = state is MASTER and following is BACKUP
        if yields and isinstance(event, Heard) and not together.mayYield(group.sides(), self.name):
            return MASTER, (effects.Reassert(event.peer),)
        return decided

    def _heard(
        self, state: ICARPState, standing: Standing, event: Heard, decided: Transition
    ) -> None:
        """
        Note which masters are alive on this side.
        """
        peer, following = event.peer, decided[0]
        masters = self._masters[peer.family]
        self._preference = self._left = None
        wasHeard = masters.pop(peer.source, None) is not None
        if peer.timing == LEAVING:
            self._left = peer.family if wasHeard else None
            return
        now = self._clock.seconds()
        until = now + standing.patience(peer)
        if state is MASTER or now >= self._masterUntil + _CROSSING:
            masters[peer.source] = until, peer.timing
        if len(masters) > _MAXIMUM_MASTERS:
            del masters[next(iter(masters))]
        if state is BACKUP and following is MASTER:
            self._preference = _change(decided).reason, peer
        elif state is MASTER and following is MASTER:
            since, before = self._winning
            self._winning = (since if now <= before else now, until)

    def _wouldTakeOver(
        self, group: SyncGroup, standing: Standing, event: Event, decided: Transition
    ) -> Transition:
        change = _change(decided)
        if change.reason is Reason.BOW_OUT and self._left is None:
            return BACKUP, ()
        hasLooked = isinstance(event, events.DeadlinePassed) and event.hasLooked
        match group.mayTakeOver(self, change.reason, hasLooked):
            case Answer.YES:
                group.takeOver(self, change)
                return decided
            case Answer.LOOK_AGAIN:
                return BACKUP, (effects.LookAgain(SECOND_LOOK),)
        if isinstance(event, Heard) and event.peer.timing != LEAVING:
            peer = event.peer
            return BACKUP, (effects.ArmMasterDown(standing.patience(peer), peer.family),)
        return BACKUP, ()

    def settle(self) -> None:
        self._left = None
        # Most events change no fact that the others need to know, however many they are.
        facts = self.side(), None if self.run is None else self.run.ledger.reasons
        if self._group is not None and facts != self._settled:
            self._settled = facts
            self._group.settle()

    def slept(self, pause: float) -> None:
        if self._group is not None:
            self._group.slept(self, pause)

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
        since, until = self._winning
        masters = {family: len(several) for family, several in self._living(now).items()}
        held = run.holds.details.get(HoldReason.SYNC)
        return Side(
            name=self.name,
            rank=self._rank,
            isMaster=state is MASTER,
            lack=self._lack(run),
            held=None if held is None else held.partition(_SEPARATOR)[2],
            isSilent=isSilent,
            hears=any(masters.values()),
            isPreferred=self._preference is not None,
            remaining=sum(
                max(0, number - (family is not self._left)) for family, number in masters.items()
            ),
            isUnread=isAsking and run.masterDown.hasUnread(),
            isWinning=state is MASTER and now <= until and now < since + run.standing.deadTime,
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

    def _lack(self, run: Participation) -> str:
        if run.candidate.isLeaving:
            return "it is stopping"
        for reason in run.holds:
            if reason is not HoldReason.SYNC:
                phrase: str = reason.value
                return phrase
        return "it hands over" if run.leaving.isResigning else ""

    def _living(self, now: float) -> dict[Family, list[Timing]]:
        """
        What the masters advertise that are alive, as far as this side can tell.
        """
        return {
            family: [timing for until, timing in several.values() if until >= now]
            for family, several in self._masters.items()
        }

    @property
    def canInsist(self) -> bool:
        """
        Whether this host can advertise as more preferred than all masters of this side.
        """
        living = self._living(self._clock.seconds()).values()
        return all(timing > INSISTENT for several in living for timing in several)

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
            reason, peer = self._preference or (Reason.SYNC, None)
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
            if one.startswith(_FOREIGN) and one != reason:
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


class SyncGroup:
    """
    A set of virtual hosts.

    @ivar name: The name of the set.
    @ivar members: The members, by the names of the virtual hosts.
    """

    _log = Logger()

    def __init__(self, settings: SyncSettings, clock: IReactorTime) -> None:
        self.name = settings.name
        self.members: dict[str, Member] = {}
        self._settings = settings
        self._clock = clock
        self._settling = False
        self._again = False
        #: Since when the master is silent on a side, and when that was reported, by the member.
        self._silences: dict[str, tuple[float, float | None]] = {}
        self._look: IDelayedCall | None = None
        self._joining: IDelayedCall | None = None

    def arrange(self, settings: SyncSettings, members: Mapping[str, Member]) -> None:
        """
        Have these members from now on, and no others.  Those that are new in a set that is master
        get the time to join it.
        """
        self._settings = settings
        wanted = dict(members)
        for key, member in wanted.items():
            if any(one is not member and one.name == member.name for one in wanted.values()):
                member.name = key  # other groups have the same title
        isMaster = any(side.isMaster for side in self.sides())
        before, self.members = self.members, wanted
        for key, member in before.items():
            if wanted.get(key) is not member:
                member.join(None)
        new = [member for key, member in wanted.items() if before.get(key) is not member]
        for member in new:
            member.isJoining = isMaster
        cancel(self._joining)
        if any(member.isJoining for member in wanted.values()):
            patience = 2 * max(member.deadTime or _JOINING for member in wanted.values())
            self._joining = self._clock.callLater(patience, self._joined)
        for member in new:
            member.join(self)
        self.settle()

    def dissolve(self) -> None:
        """
        Decide nothing any more.
        """
        cancel(self._look)
        cancel(self._joining)
        members, self.members = list(self.members.values()), {}
        for member in members:
            member.join(None)

    def _joined(self) -> None:
        for member in self.members.values():
            member.isJoining = False
        self.settle()

    def sides(self, *, isAsking: bool = False) -> list[Side]:
        """
        The present facts about all members.
        """
        return [member.side(isAsking=isAsking) for member in self.members.values()]

    def mayTakeOver(self, member: Member, reason: Reason, hasLooked: bool) -> Answer:
        """
        Whether the set takes over because one member would.

        @param hasLooked: Whether the packets that wait anywhere arrived after the member decided
            to look again.
        """
        if reason in (Reason.SILENCE, Reason.VANISHED):
            # Of many members, all but the last one find that out without looking at all facts.
            for other in self.members.values():
                if other is not member and other.isListening:
                    return Answer.NO
        return together.mayTakeOver(self.sides(isAsking=not hasLooked), member.name, reason)

    def takeOver(self, asking: Member, change: effects.ChangeRole) -> None:
        """
        Have all other members become master.

        @param asking: The member that does so by itself.
        """
        detail = f"{self.name}{_SEPARATOR}{asking.name}: {change.reason.value}"
        others = [one for one in self.members.values() if one is not asking]
        self._all(lambda one: one.takeOver(change.reason, detail), others)

    def slept(self, member: Member, pause: float) -> None:
        """
        Handle that a master found that this host slept.
        """
        for other in list(self.members.values()):
            if other is not member and other.run is not None:
                other.run.tell(events.SetSlept(pause))

    def _all(self, order: Callable[[Member], None], members: Iterable[Member]) -> None:
        """
        Give an order to several members, and settle only when all have carried it out.
        """
        outer, self._settling = self._settling, True
        try:
            for member in list(members):
                order(member)
        finally:
            self._settling = outer
            self._again = True

    def settle(self) -> None:
        """
        Have the members do what follows from the present facts.
        """
        if self._settling:
            self._again = True
            return
        self._settling = True
        try:
            for _ in range(_MAXIMUM_ROUNDS):
                self._again = False
                self._carryOut()
                if not self._again:
                    break
        finally:
            self._settling = False

    def _carryOut(self) -> None:
        sides = self.sides()
        isMaster = all(side.isMaster for side in sides if not side.isJoining)
        by = {member.name: member for member in self.members.values()}
        for side in sides:
            if side.isJoining and side.isMaster == isMaster and not side.lack:
                by[side.name].isJoining = False
                self._again = True
        for decision in together.settle(sides):
            member = by[decision.name]
            if isinstance(decision, Hold):
                lingers = any(one.isLingering for one in by.values())
                member.hold(f"{self.name}{_SEPARATOR}{decision.detail}", lingers)
            else:
                member.release()
            self._again = True
        foreign = f"{_FOREIGN}{self.name}"
        amounts = together.demotions({name: one.reasons(foreign) for name, one in by.items()})
        for name, amount in amounts.items():
            by[name].demote(foreign, max(-255, min(amount, 255)))
        if not any(side.isMaster for side in sides):
            for member in by.values():
                member.insist(False)
        self._watchSilence(together.silent(sides))

    def status(self) -> SyncStatus:
        """
        The present state of the set.
        """
        sides = self.sides()
        return SyncStatus(
            name=self.name,
            groups=[side.name for side in sides],
            silent=together.silent(sides),
            preferred=[side.name for side in sides if side.isPreferred and not side.isSilent],
            insists=any(member.insists for member in self.members.values()),
        )

    # Silent sides.

    def _watchSilence(self, names: list[str]) -> None:
        now = self._clock.seconds()
        self._silences = {name: self._silences.get(name, (now, None)) for name in names}
        if names and (self._look is None or not self._look.active()):
            self._look = self._clock.callLater(_LOOK, self._lookAtSilence)

    def _lookAtSilence(self) -> None:
        """
        Report the sides on which the master is silent, and take over if that was asked for.
        """
        self.settle()
        now = self._clock.seconds()
        takeover = self._settings.takeover
        by = {member.name: member for member in self.members.values()}
        for name, (since, reported) in list(self._silences.items()):
            member = by[name]
            lasts = now - since
            if lasts >= member.deadTime and (reported is None or now - reported >= _REPORT):
                self._silences[name] = since, now
                self._report(member, lasts)
            isMute = member.witness is True and takeover is not None and lasts >= takeover
            if isMute and all(one.canInsist for one in by.values()):
                self._insist(member, lasts)
                return

    def _report(self, member: Member, lasts: float) -> None:
        others = ", ".join(
            one.name for one in self.members.values() if one.side().hears and one is not member
        )
        words = {
            None: "No gateway check says whether this host is deaf there: add one",
            True: "The gateway of this side answers this host: the master is mute there",
            False: "No gateway of this side answers this host, either",
        }[member.witness]
        if member.run is not None:
            more = f"for {lasts:.0f} s so far; set {self.name}; heard on {others}. {words}"
            member.run.sideSilent(more)

    def _insist(self, member: Member, lasts: float) -> None:
        self._log.warn(
            "Set {name}: the master has been silent for {lasts:.0f} s on {side}, whose gateway "
            "answers this host, and is heard elsewhere. This host takes over for good: it "
            "advertises as the most preferred host until it hands over",
            name=self.name,
            lasts=lasts,
            side=member.name,
        )
        reason = Reason.SIDE_SILENT
        sides = self.sides(isAsking=True)
        if together.mayTakeOver(sides, member.name, reason) is Answer.YES:
            detail = f"{self.name}{_SEPARATOR}{member.name}"
            self._all(lambda one: one.insist(True), self.members.values())
            self._all(lambda one: one.takeOver(reason, detail), self.members.values())
            self.settle()


def _change(decided: Transition) -> effects.ChangeRole:
    return next(one for one in decided[1] if isinstance(one, effects.ChangeRole))
