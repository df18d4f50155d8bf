"""
A set of virtual hosts, and its decisions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from txcarp.configuration.model import SyncSettings
from txcarp.findings import Finding
from txcarp.membership.timers import cancel
from txcarp.protocol import effects, events, together
from txcarp.protocol.effects import Reason
from txcarp.protocol.together import Answer, Hold, Side
from txcarp.sets.member import FOREIGN, SEPARATOR, ISet, Member
from txcarp.status.parts import SyncStatus

#: Seconds between two looks at a side on which the master is silent.
_LOOK = 1.0

#: Seconds between two reports of the same silent side.
_REPORT = 60.0

#: The most times that the decisions are made anew because of what followed from them.  Three are
#: enough.
_MAXIMUM_ROUNDS = 20

#: Seconds of the dead time of a new member that is not known yet.
_JOINING = 5.0


@implementer(ISet)
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

    def mayTakeOver(self, name: str, reason: Reason, hasLooked: bool) -> Answer:
        if reason in (Reason.SILENCE, Reason.VANISHED):
            # Of many members, all but the last one find that out without looking at all facts.
            for other in self.members.values():
                if other.name != name and other.isListening:
                    return Answer.NO
        return together.mayTakeOver(self.sides(isAsking=not hasLooked), name, reason)

    def takeOver(self, name: str, change: effects.ChangeRole) -> None:
        detail = f"{self.name}{SEPARATOR}{name}: {change.reason.value}"
        others = [one for one in self.members.values() if one.name != name]
        self._all(lambda one: one.takeOver(change.reason, detail), others)

    def slept(self, name: str, pause: float) -> None:
        for other in list(self.members.values()):
            if other.name != name and other.run is not None:
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
                member.hold(f"{self.name}{SEPARATOR}{decision.detail}", lingers)
            else:
                member.release()
            self._again = True
        foreign = f"{FOREIGN}{self.name}"
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
            member.run.diagnostics.found(Finding.SIDE_SILENT, more=more)

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
            detail = f"{self.name}{SEPARATOR}{member.name}"
            self._all(lambda one: one.insist(True), self.members.values())
            self._all(lambda one: one.takeOver(reason, detail), self.members.values())
            self.settle()
