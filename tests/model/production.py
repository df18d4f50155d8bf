"""
Hosts of the model that decide with the production election.

The decisions are those of L{txcarp.protocol.election}.  What a host advertises, when it offers
mastership, and which facts the election gets is decided by the production L{Advertiser},
L{Demotions} and L{OwnStanding}, and after which pause it does not trust what it knows by
L{MasterPauses} and L{tolerated}.  This module does what L{txcarp.membership.candidate} and
L{txcarp.membership.timers} do: it carries out the effects, with ticks in place of a clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
from twisted.internet.task import Clock

from tests.fakes import configured
from tests.model.machine import (
    OFF,
    TICK,
    Kind,
    Local,
    Machine,
    Move,
    Outcome,
    Spec,
    isBowOut,
    ticks,
)
from txcarp.membership.advertiser import Advertiser
from txcarp.membership.candidate import CATCHING_UP, SETTLING, OwnStanding
from txcarp.membership.channel import Channel
from txcarp.membership.demotions import Demotions
from txcarp.membership.leaving import RESIGNATION
from txcarp.membership.memory import newMemory
from txcarp.membership.reception import keyringOf
from txcarp.membership.timers import MasterPauses, tolerated
from txcarp.protocol import effects, events
from txcarp.protocol.demotion import DemotionLedger
from txcarp.protocol.dialect import Dialect
from txcarp.protocol.effects import Effect
from txcarp.protocol.election import BACKUP, INIT, MASTER, WAITING, ICARPState
from txcarp.protocol.events import Event, HoldReason
from txcarp.protocol.family import Family
from txcarp.protocol.seal import Fields, Verification
from txcarp.protocol.timing import Peer, Timing
from txcarp.testing.transport import FakeTransport

_STATES: dict[str, ICARPState] = {
    "off": INIT,
    "backup": BACKUP,
    "master": MASTER,
    "waiting": WAITING,
}
_NAMES = {id(state): name for name, state in _STATES.items()}

#: The name of the reason for the demotion of the model.
DEMOTION = "the model"


def sourceOf(number: int) -> bytes:
    """
    The packed address of a host of the model.
    """
    return bytes([10, 0, 0, number + 1])


def settingsOf(number: int, spec: Spec, dialect: Dialect) -> dict[str, Any]:
    """
    The settings of a host, for L{tests.fakes.configured} and L{tests.simulation.segment}.
    """
    return {
        "advbase": 1,
        "advskew": spec.skew,
        "preempt": spec.preempt,
        "dialect": dialect,
        "flapLimit": None,
        "verification": Verification.OFF,  # seals are not a part of the model
        "upScript": None,
        "downScript": None,
    }


class _Sent(Advertiser):
    """
    The production advertiser, which notes what it would send.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.sent: list[Fields] = []

    def _send(self, says: Fields) -> bool:
        self.sent.append(says)
        self.lastLeft = True
        return True


@attrs.define
class _Holds:
    """
    The facts about holds that L{OwnStanding} asks for.
    """

    present: dict[HoldReason, None] = attrs.field(factory=dict)


class ProductionHost(Machine):
    """
    A host that decides as this program does.
    """

    def __init__(self, number: int, spec: Spec, kinds: frozenset[Kind], dialect: Dialect) -> None:
        super().__init__(number, spec, kinds)
        settings = settingsOf(number, spec, dialect)
        self._configuration = configured(source=sourceOf(number), **settings)
        self._keyring = keyringOf(self._configuration)
        self._pauses = MasterPauses(self._configuration)
        self._tolerated = ticks(tolerated(self._configuration))
        #: Only a decision about an offer needs to know what the others advertised.
        self._knows = Kind.DEMOTE in kinds

    # A host for one event.

    def _make(self, local: Local) -> None:
        """
        Make the production objects for a host in this state.
        """
        configuration: Any = self._configuration
        clock = Clock()
        memory = newMemory(clock, configuration)
        ledger = DemotionLedger({DEMOTION: self.spec.demotion} if local.demoted else {})
        channels: dict[Family, Any] = {
            Family.IPV4: Channel(configuration, Family.IPV4, FakeTransport())
        }
        holds: Any = _Holds({} if local.hold is None else {HoldReason.RESIGNED: None})
        sealing: Any = None
        self._advertiser = _Sent(
            configuration, self._keyring, sealing, ledger, channels.values(), lambda bits: 0, memory
        )
        if local.state == "master":
            self._advertiser.said = self._advertiser.says
        for sender, says in local.known:
            memory.peers.heard(events.Heard(_peer(sender, says)), 0.0)
        self._peers = memory.peers
        self._own = OwnStanding(
            configuration, clock, channels, self._advertiser, ledger, holds, memory.peers
        )
        self._demotions = Demotions(configuration, ledger, self._advertiser, memory, self._tell)
        self._local = local

    def _tell(self, event: Event) -> None:
        standing = self._own.now(event.peer if isinstance(event, events.Heard) else None)
        state, ordered = _STATES[self._local.state].decide(standing, event)
        self._local = self._local._replace(state=_NAMES[id(state)])
        for effect in ordered:
            self._carryOut(effect)

    def _carryOut(self, effect: Effect) -> None:
        local = self._local
        match effect:
            case effects.ArmMasterDown(delay=delay):
                local = local._replace(deadline=ticks(delay), looks=False, slept=0)
            case effects.DisarmMasterDown():
                local = local._replace(deadline=None, looks=False, slept=0)
            case effects.LookAgain():
                local = local._replace(looks=True)
            case effects.Advertise():
                interval = ticks(self._advertiser.interval)
                local = self._advertised(local._replace(beat=interval, interval=interval))
                local = local._replace(again=False)
            case effects.BowOut():
                self._advertiser.bowOut()
            case effects.StartAdvertising():
                interval = ticks(self._advertiser.interval)
                local = self._advertised(local._replace(beat=interval, interval=interval))
            case effects.StopAdvertising():
                local = local._replace(beat=None, interval=0, offers=False, again=False)
            case effects.SendOffer(timing=timing):
                self._advertiser.offer(timing)
                local = local._replace(beat=0, interval=0, again=True)
            case effects.OfferMastership():
                local = local._replace(offers=True)
            case effects.WithdrawOffer():
                local = local._replace(offers=False)
            case effects.ChangeRole() | effects.Reassert():
                pass  # not a matter of the protocol
            case _:
                raise NotImplementedError(f"the model does not know the effect {effect}")
        self._local = local

    def _advertised(self, local: Local) -> Local:
        self._advertiser.advertise()
        interval = ticks(self._advertiser.interval)
        if local.beat is not None and local.interval != interval:
            return local._replace(beat=interval, interval=interval, again=False)
        return local

    def _after(self) -> Outcome:
        local = self._local
        return OFF if local.state == "off" else local, tuple(self._advertiser.sent)

    def _told(self, local: Local, event: Event) -> Outcome:
        self._make(local)
        self._tell(event)
        return self._after()

    # The rules.

    def start(self) -> Outcome:
        return self._told(OFF, events.Started())

    def hear(self, local: Local, sender: int, says: Fields) -> Outcome:
        isOld = local.state == "backup" and local.catching + local.settling > 0
        if isOld and not local.waiting:
            local = local._replace(catching=0)
        heard = events.Heard(_peer(sender, says), isOld=isOld)
        self._make(local)
        if self._knows and not isBowOut(says):
            self._peers.heard(heard, 0.0)
            known = {**dict(local.known), sender: says}
            self._local = local._replace(known=tuple(sorted(known.items())))
        self._tell(heard)
        return self._after()

    def expire(self, local: Local, lateness: int, unread: bool) -> Outcome:
        return self._told(local, events.DeadlinePassed(lateness * TICK, unread))

    def beat(self, local: Local) -> Outcome:
        self._make(local)
        self._tell(events.BeatDue())
        local = self._local
        if local.state == "master":
            # A late beat begins a new rhythm.  Every tick is late.
            self._local = self._advertised(local._replace(beat=local.interval))
        return self._after()

    def release(self, local: Local) -> Outcome:
        return self._told(local, events.Released())

    def look(self, local: Local) -> Outcome:
        return self._told(local._replace(slept=0), events.DeadlinePassed())

    def offerUnanswered(self, local: Local) -> Outcome:
        return self._told(local, events.OfferUnanswered())

    def demote(self, local: Local) -> Outcome:
        self._make(local)
        self._local = local._replace(demoted=not local.demoted)
        if local.demoted:
            self._demotions.promote(DEMOTION)
        else:
            self._demotions.demote(DEMOTION, self.spec.demotion)
        return self._after()

    def resign(self, local: Local) -> Outcome:
        held = local._replace(hold=ticks(RESIGNATION))
        return self._told(held, events.Resigned(events.HoldReason.RESIGNED))

    def stop(self, local: Local) -> Outcome:
        return self._told(local, events.Stopped())

    # Sleep.

    def tick(self, local: Local) -> Local:
        after = super().tick(local)
        if after.catching or after.settling:
            catching, settling = max(after.catching - 1, 0), max(after.settling - 1, 0)
            after = after._replace(catching=catching, settling=settling)
        if not after.sleep or after.state != "backup":
            return after
        deadline = None if local.deadline is None else local.deadline - 1
        after = after._replace(slept=after.slept + 1, deadline=deadline)
        if after.slept > self._noticed(after):
            # A longer sleep is no different, whatever the deadline was.
            return after._replace(slept=2 * self._tolerated + 1, deadline=-1, looks=False)
        return after

    def _noticed(self, local: Local) -> int:
        """
        The longest sleep of a backup, in ticks, that it may tolerate: that after which its next
        timer is as late as is tolerable.  When that timer was due is not known, but it was in
        less than the time that is tolerated, and not after the deadline.
        """
        if local.looks or local.deadline is None:
            return self._tolerated
        before = max(local.deadline + local.slept, 0)
        return self._tolerated + min(before, self._tolerated)

    def wakes(self, local: Local) -> Iterator[Move]:
        deadline = None if local.deadline is None else max(local.deadline, -1)
        # A timer that is late already is later after another sleep.
        slept = local.slept if local.looks else 0
        awake = local._replace(slept=slept, deadline=deadline)
        isTolerated, isLate = True, False
        if local.state == "backup":
            isTolerated = local.slept <= self._noticed(local)
            isLate = local.slept > self._tolerated
        elif local.state == "master":
            silence = (local.interval - (local.beat or 0)) * TICK
            harmless, certain = self._limits(local)
            isLate = silence > certain
            isTolerated = not isLate
            if silence > harmless:
                awake = awake._replace(waiting=len(local.inbox))
        if isTolerated:
            yield Move(Kind.FREE, "wake", awake)
        if isLate:
            waiting = len(local.inbox)
            catching = ticks(CATCHING_UP) if waiting else 0
            awake = awake._replace(waiting=waiting, catching=catching, settling=ticks(SETTLING))
            yield Move(Kind.FREE, "wake, late", *self._told(awake, events.Slept(0.0)))

    def mustRead(self, local: Local) -> bool:
        return local.waiting > 0 and local.state == "master"

    def earliestBeat(self, local: Local) -> int:
        # A longer pause is no different.
        _, certain = self._limits(local)
        return local.interval - int(certain / TICK) - 1

    def _limits(self, local: Local) -> tuple[float, float]:
        self._make(local)
        return self._pauses.limits(self._advertiser.interval)


def _peer(sender: int, says: Fields) -> Peer:
    return Peer(Timing(says.advbase, says.advskew), sourceOf(sender), says.demotion)
