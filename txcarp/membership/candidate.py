"""
A host in the election: the facts that it enters with, and the effects that it carries out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from txcarp.addresses import textOf
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.interfaces import ITrace
from txcarp.logs.limits import SayOnce
from txcarp.mastership.mastership import Mastership
from txcarp.membership.advertiser import Advertiser
from txcarp.membership.channel import Channel
from txcarp.membership.diagnosis import Diagnostics
from txcarp.membership.firewall import FirewallWatch
from txcarp.membership.holds import Damping, Holds
from txcarp.membership.roles import Roles
from txcarp.membership.timers import MasterDown, Rhythm, cancel
from txcarp.protocol import effects, events
from txcarp.protocol.demotion import DemotionLedger
from txcarp.protocol.effects import Effect, Role
from txcarp.protocol.election import INIT, MASTER, ICARPState, Standing
from txcarp.protocol.events import Event, Heard
from txcarp.protocol.family import Family
from txcarp.protocol.timing import LEAVING, Peer, Timing

#: Intervals without a beat that are a pause, whatever the dead time is.
_PAUSE = 1.5


class OwnStanding:
    """
    Puts a L{Standing} together when one is asked for, and keeps it until a fact changes.
    """

    def __init__(
        self,
        configuration: VirtualHostConfiguration,
        clock: IReactorTime,
        channels: Mapping[Family, Channel],
        advertiser: Advertiser,
        ledger: DemotionLedger,
        holds: Holds,
    ) -> None:
        """
        @param channels: The families to listen in; ties are decided in the
            first of them that peers are heard in.
        """
        self._configuration = configuration
        self._clock = clock
        self._channels = channels
        self._advertiser = advertiser
        self._ledger = ledger
        self._holds = holds
        self._primary = next(iter(channels))
        self._primaryHeard = float("-inf")
        self._deadTime = configuration.dialect.deadTime(
            configuration.timing, configuration.deadRatio
        )
        self._preemptFrom = 0.0
        self._known: tuple[tuple[object, ...], Standing] | None = None
        self.backupAgain()

    def backupAgain(self) -> None:
        """
        Let the delay after which this host preempts begin now.
        """
        self._preemptFrom = self._clock.seconds() + self._configuration.preemptDelay

    def now(self, family: Family | None = None) -> Standing:
        """
        The facts at this moment.

        @param family: The family in which the peer was heard that they are compared with,
            if there is one.
        """
        configuration = self._configuration
        if family is None or len(self._channels) == 1:
            source = self._channels[self._primary].audience.own
        else:
            source = self._tieBreaker(family)
        preempt = configuration.preempt and self._clock.seconds() >= self._preemptFrom
        facts = self._ledger.total, source, preempt, bool(self._holds.ends)
        if self._known is None or self._known[0] != facts:
            standing = Standing(
                timing=self._advertiser.timing,
                deadRatio=configuration.deadRatio,
                preempt=preempt,
                source=source,
                held=bool(self._holds.ends),
                dialect=configuration.dialect,
                demotion=self._advertiser.says.demotion,
                configured=configuration.timing,
            )
            self._known = facts, standing
        return self._known[1]

    def _tieBreaker(self, family: Family) -> bytes:
        """
        The address of ours that decides a tie with a peer that was heard in
        this family; empty, which wins every tie, if another family decides.
        Two families might decide differently, for ever.
        """
        now = self._clock.seconds()
        if family is self._primary:
            self._primaryHeard = now
        elif now - self._primaryHeard < self._deadTime:
            return b""
        return self._channels[family].audience.own


class Candidate:
    """
    Lets the election decide about events, and carries out the effects in their order.

    @ivar state: The state of the election.
    @ivar isLeaving: Whether the virtual host is being stopped.
    @ivar trace: Follows the effects; C{None} if nothing does.
    """

    _log = Logger()

    def __init__(
        self,
        configuration: VirtualHostConfiguration,
        clock: IReactorTime,
        tell: Callable[[Event], None],
        *,
        own: OwnStanding,
        advertiser: Advertiser,
        holds: Holds,
        damping: Damping,
        masterDown: MasterDown,
        rhythm: Rhythm,
        firewalls: Mapping[Family, FirewallWatch],
        diagnostics: Diagnostics,
        roles: Roles,
        mastership: Mastership,
        limits: SayOnce,
        trace: ITrace | None,
    ) -> None:
        """
        @param tell: Called with the events that effects cause.
        """
        self.state: ICARPState = INIT
        self.isLeaving = False
        self.trace = trace
        self._clock = clock
        self._tell = tell
        self._own = own
        self._advertiser = advertiser
        self._holds = holds
        self._damping = damping
        self._masterDown = masterDown
        self._rhythm = rhythm
        self._firewalls = firewalls
        self._diagnostics = diagnostics
        self._roles = roles
        self._mastership = mastership
        self._limits = limits
        self._offer: IDelayedCall | None = None
        # The most eager peer has no skew.
        self._eager = configuration.dialect.deadTime(
            Timing(configuration.advbase, 0), configuration.deadRatio
        )

    @property
    def isFit(self) -> bool:
        """
        Whether this host is a healthy master: nothing holds it back, and its last
        advertisement left.
        """
        return self.state is MASTER and not self._holds.ends and self._advertiser.lastLeft

    def findPause(self) -> None:
        """
        Find out whether this master did not run for so long that its peers have
        given it up.
        """
        pause = self._rhythm.silence()
        # With a dead ratio of one, peers wait no longer than the rhythm, and what
        # counts is a beat that is missing.
        if pause > max(self._eager, self._advertiser.interval * _PAUSE):
            self._log.error(
                "This host did not run for {pause:.3f} s, longer than its peers wait", pause=pause
            )
            self.decide(events.Slept(pause))

    def decide(self, event: Event) -> None:
        """
        Let the election decide about an event, and do what it says.
        """
        previous: Role = self.state.role
        family = event.peer.family if isinstance(event, Heard) else None
        self.state, ordered = self.state.decide(self._own.now(family), event)
        for effect in ordered:
            if self.trace is not None:
                self.trace.decided(effect)
            try:
                self._carryOut(effect, previous)
            except Exception:
                # The state is another already: the rest has to follow, or this
                # host would be a master that does not advertise, or a backup
                # that waits for nothing.
                self._log.failure("{effect} was not carried out in full", effect=effect)

    def beat(self) -> None:
        """
        Advertise because the interval since the last advertisement is over.
        """
        if self.state is MASTER:
            self._rhythm.beaten()
            self.advertise()

    def advertise(self) -> None:
        """
        Send an advertisement, and keep the rhythm that it says.
        """
        self._advertiser.advertise()
        interval = self._advertiser.interval
        if self._rhythm.interval not in (None, interval):
            self._rhythm.start(interval)
        if self.state is MASTER:  # and not saying farewell
            self._mastership.advertised(self.isFit)

    def _carryOut(self, effect: Effect, previous: Role) -> None:
        match effect:
            case effects.ArmMasterDown(delay=delay, family=family):
                self._masterDown.arm(delay, family)
                if family is not None:
                    for silent in self._masterDown.silent:
                        self._diagnostics.familySilent(silent, family)
            case effects.DisarmMasterDown():
                self._masterDown.disarm()
            case effects.LookAgain(delay=delay):
                self._masterDown.lookAgain(delay)
            case effects.Advertise():
                self.advertise()
            case effects.BowOut():
                self._advertiser.bowOut()
            case effects.StartAdvertising():
                self._rhythm.start(self._advertiser.interval)
                self.advertise()
            case effects.StopAdvertising():
                cancel(self._offer)
                self._rhythm.stop()
            case effects.OfferMastership(delay=delay):
                cancel(self._offer)
                self._offer = self._clock.callLater(delay, self._tell, events.OfferUnanswered())
            case effects.WithdrawOffer():
                cancel(self._offer)
            case effects.Reassert(peer=peer):
                self._reassert(peer)
            case effects.ChangeRole():
                self._changeRole(effect, previous)

    def _reassert(self, peer: Peer) -> None:
        """
        A worse master claims the addresses.
        """
        if self._limits.ready("reassert") is not None:
            self._log.warn(
                "Non-preferred master advertising: reasserting control of VIP with another "
                "gratuitous arp (peer {peer})",
                peer=textOf(peer.source),
            )
        self._mastership.announceAgain()

    def _changeRole(self, effect: effects.ChangeRole, previous: Role) -> None:
        self._own.backupAgain()
        change = self._roles.change(effect, previous)
        self._roles.log(change)
        self._diagnostics.roleChanged()
        if effect.role is Role.MASTER:
            for firewall in self._firewalls.values():
                firewall.start()
            peer = effect.peer
            self._damping.becameMaster(peer is not None and peer.timing != LEAVING)
        elif previous is Role.MASTER and not self.isLeaving:
            self._damping.becameBackup()
        self._roles.notify(change)
        if self.isLeaving:
            self._tell(events.Stopped())  # another host is master: nothing is left to wait for
        self._mastership.changed(change)
