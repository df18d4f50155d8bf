"""
A host in the election: the facts that the election needs, and the effects of its decisions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.interfaces import IPlatform, ISetMember, ITrace
from txcarp.mastership.mastership import Mastership
from txcarp.membership.advertiser import Advertiser
from txcarp.membership.channel import Channel
from txcarp.membership.diagnostics import Diagnostics
from txcarp.membership.firewall import FirewallWatch
from txcarp.membership.holds import Damping, Holds
from txcarp.membership.lastwill import LastWill
from txcarp.membership.memory import Memory
from txcarp.membership.peers import Peers
from txcarp.membership.roles import Roles
from txcarp.membership.timers import MasterDown, MasterPauses, Rhythm, cancel
from txcarp.protocol import effects, events
from txcarp.protocol.demotion import DemotionLedger
from txcarp.protocol.effects import Effect, Reason, Role
from txcarp.protocol.election import BACKUP, INIT, MASTER, ICARPState, Standing, Transition
from txcarp.protocol.events import Event, Heard, HoldReason
from txcarp.protocol.family import Family
from txcarp.protocol.timing import Peer

#: Seconds after a pause in which advertisements may be old, unless all that waited in the socket
#: are read before.
CATCHING_UP = 1.0

#: Seconds after a pause in which advertisements may be old although none waits in the socket: the
#: kernel, or the network card of a virtual machine, may still have some that arrived before.
SETTLING = 0.05

_log = Logger()


def note(trace: ITrace, what: Event | Effect) -> None:
    """
    Report an event or an effect to a trace.  If the trace fails, the host still handles it.
    """
    try:
        if isinstance(what, Event):
            trace.happened(what)
        else:
            trace.decided(what)
    except Exception:
        _log.failure("The trace {trace!r} failed", trace=trace)


class OwnStanding:
    """
    Makes the L{Standing} of this host, and keeps it until a fact changes.
    """

    def __init__(
        self,
        configuration: VirtualHostConfiguration,
        clock: IReactorTime,
        channels: Mapping[Family, Channel],
        advertiser: Advertiser,
        ledger: DemotionLedger,
        holds: Holds,
        peers: Peers,
    ) -> None:
        """
        @param channels: The families in which this host takes part.  Ties are decided in the
            first of them in which peers are heard.
        """
        self._clock = clock
        self._channels = channels
        self._advertiser = advertiser
        self._ledger = ledger
        self._holds = holds
        self._peers = peers
        self._primary = next(iter(channels))
        self._primaryHeard = float("-inf")
        self._known: tuple[tuple[object, ...], Standing] | None = None
        self.adopt(configuration)
        self.restartPreemptDelay()

    def adopt(self, configuration: VirtualHostConfiguration) -> None:
        """
        Follow other settings.
        """
        self._configuration = configuration
        self._deadTime = configuration.dialect.deadTime(
            configuration.timing, configuration.deadRatio
        )
        self._known = None

    def forget(self) -> None:
        """
        Make the next standing anew, because the advertised timing has changed.
        """
        self._known = None

    def restartPreemptDelay(self) -> None:
        """
        Count the delay before this host may preempt from now.
        """
        self._healthySince = self._clock.seconds()

    def now(self, peer: Peer | None = None) -> Standing:
        """
        The present facts.

        @param peer: The peer that was heard, with which this host is compared; C{None} without
            one.
        """
        configuration = self._configuration
        if peer is None or len(self._channels) == 1:
            source = self._channels[self._primary].audience.own
        else:
            source = self._tieBreaker(peer.family)
        preempt = (
            configuration.preempt
            and self._clock.seconds() >= self._healthySince + configuration.preemptDelay
        )
        # An offer is for the hosts that are better than the master, which rule B2 finds.  As a
        # claim it would be less preferred than nearly all hosts.  Its advbase is 2 or more.
        offered = None
        if peer is not None and peer.timing.advbase > 1:
            offered = self._peers.offered(peer)
        preempt = preempt and offered is None
        facts = self._ledger.total, source, preempt, bool(self._holds.present), offered
        if self._known is None or self._known[0] != facts:
            standing = Standing(
                timing=self._advertiser.timing,
                deadRatio=configuration.deadRatio,
                preempt=preempt,
                source=source,
                held=bool(self._holds.present),
                dialect=configuration.dialect,
                demotion=self._advertiser.says.demotion,
                configured=configuration.timing,
                offered=offered,
            )
            self._known = facts, standing
        return self._known[1]

    def _tieBreaker(self, family: Family) -> bytes:
        """
        The address of this host that decides a tie with a peer in this family.  It is empty,
        which wins every tie, while the first family decides: two families might decide
        differently, and two hosts would stay master.
        """
        now = self._clock.seconds()
        if family is self._primary:
            self._primaryHeard = now
        elif now - self._primaryHeard < self._deadTime:
            return b""
        return self._channels[family].audience.own


class Candidate:
    """
    Passes events to the election, and carries out the effects in order.

    @ivar state: The state of this host in the election.
    @ivar isLeaving: Whether the virtual host is being stopped.
    @ivar trace: Receives each event and effect; C{None} for no trace.
    @ivar together: The set of virtual hosts to which this one belongs; C{None} for none.
    """

    def __init__(
        self,
        configuration: VirtualHostConfiguration,
        platform: IPlatform,
        tell: Callable[[Event], None],
        *,
        own: OwnStanding,
        advertiser: Advertiser,
        holds: Holds,
        damping: Damping,
        masterDown: MasterDown,
        firewalls: Mapping[Family, FirewallWatch],
        diagnostics: Diagnostics,
        roles: Roles,
        mastership: Mastership,
        will: LastWill,
        memory: Memory,
        trace: ITrace | None,
    ) -> None:
        """
        @param memory: Has the count of pauses.
        @param tell: Called with each event that an effect causes.
        """
        self.state: ICARPState = INIT
        self.isLeaving = False
        self.trace = trace
        self.together: ISetMember | None = None
        self._clock = platform.clock
        self._tell = tell
        self._own = own
        self._advertiser = advertiser
        self._holds = holds
        self._damping = damping
        self._masterDown = masterDown
        self._metronome = platform.metronome
        self._rhythm = Rhythm(
            platform.clock, platform.metronome, tell, platform.pauseSeconds
        )
        self._firewalls = firewalls
        self._diagnostics = diagnostics
        self._roles = roles
        self._mastership = mastership
        self._will = will
        self._memory = memory
        self._offer: IDelayedCall | None = None
        #: Until when packets may have arrived during a pause, and until when they may have even if
        #: none waits in the socket, in seconds of the clock.
        self._oldUntil = self._settledAt = 0.0
        #: When the advertisement was read that is decided about, in seconds of
        #: L{IPlatform.pauseSeconds<txcarp.interfaces.IPlatform.pauseSeconds>}; C{None} if another
        #: event is decided about.
        self._steady: float | None = None
        #: The last question to the election about an advertisement, and its answer.
        self._asked: tuple[ICARPState, Standing, Peer, bool] | None = None
        self._decided: Transition = INIT, ()
        self.adopt(configuration)

    def adopt(self, configuration: VirtualHostConfiguration) -> None:
        """
        Follow other settings.
        """
        self._pauses = MasterPauses(configuration)

    @property
    def isFit(self) -> bool:
        """
        Whether this host is master, nothing keeps it out of the election, and its last
        advertisement was sent.
        """
        return self.state is MASTER and not self._holds.present and self._advertiser.lastLeft

    def findPause(self, steady: float | None = None) -> bool:
        """
        Check whether this host did not run for so long that what it knows may be out of date.

        @param steady: See L{MasterDown.slept}.  What is decided next was heard at that time.
        @return: Whether to read the sockets before anything else is done.
        """
        self._steady = steady
        if self.state is MASTER:
            return self._findPauseOfMaster()
        if self.state is BACKUP and (pause := self._masterDown.slept(steady)):
            # The master may be alive: the socket keeps the oldest packets, which say nothing
            # about now, and loses the newest.
            self._roles.logSleep(pause)
            self._slept(pause)
        return False

    def _slept(self, pause: float) -> None:
        self._memory.pauses += 1
        now = self._clock.seconds()
        self._settledAt = now + SETTLING
        self._oldUntil = now + (CATCHING_UP if self._masterDown.hasUnread() else SETTLING)
        wasMaster = self.state is MASTER
        self.decide(events.Slept(pause))
        if wasMaster and self.together is not None:
            self.together.slept(pause)

    def isOld(self) -> bool:
        """
        Whether the packet that was just read may have arrived during a pause.
        """
        if self._clock.seconds() >= self._oldUntil or self.state is not BACKUP:
            return False
        if not self._masterDown.hasUnread():
            self._oldUntil = self._settledAt
        return True

    def _findPauseOfMaster(self) -> bool:
        """
        Check whether this master was paused for so long that a peer may have taken over.

        A peer takes over when its dead time has passed since the last advertisement of this
        host, or later (L{MasterPauses}).  After a shorter pause this host is the only master.
        After a longer pause it may not be, and looks for the advertisements of another one.
        After a pause that is longer than any peer waits, it becomes backup without looking.

        @return: Whether to read the sockets before anything else is done.
        """
        harmless, certain = self._pauses.limits(self._advertiser.interval)
        pause = self._rhythm.silence()
        if self._will.isOpen and self._will.isDeposed:
            _log.error(
                "txcarp did not advertise in time, so the guard gave up the place of master. "
                "This host becomes backup. Find out what kept txcarp from running: an overloaded "
                "host, or a program in the same process that blocks"
            )
            self._slept(pause)
            return False
        if pause > certain:
            _log.error(
                "This host did not run for {pause:.3f} s, longer than its peers wait for a "
                "master, so it becomes backup. Check whether the machine was suspended or "
                "overloaded",
                pause=pause,
            )
            self._slept(pause)
            return False
        return pause > harmless and self._rhythm.mustLook(harmless)

    def decide(self, event: Event) -> None:
        """
        Let the election decide about an event, and carry out its effects.
        """
        previous: Role = self.state.role
        peer = None
        if isinstance(event, Heard):
            peer = event.peer
            if self._damping.isWatching:
                self._damping.heard(peer, self._own.now(peer).patience(peer))
                if HoldReason.FLAPPING in self._holds:
                    return  # a new hold is told next
        standing = self._own.now(peer)
        if not isinstance(event, Heard):
            decided = self.state.decide(standing, event)
        else:
            # The election has no memory.  Nearly every advertisement says what the last one said,
            # and leads to the same decision.
            asked = self.state, standing, event.peer, event.isOld
            if asked != self._asked:
                self._asked, self._decided = asked, self.state.decide(standing, event)
            decided = self._decided
        if self.together is not None:
            decided = self.together.decided(self.state, standing, event, decided)
        self.state, ordered = decided
        for effect in ordered:
            if self.trace is not None:
                note(self.trace, effect)
            try:
                self._carryOut(effect, previous)
            except Exception:
                # The state has already changed.  Without the other effects this host would be
                # a master that does not advertise, or a backup without a deadline.
                _log.failure("Internal error: {effect} was carried out only in part", effect=effect)

    def rehearse(self) -> None:
        """
        Do nearly all that a take-over needs, without effect.  A processor that has had nothing to
        do takes twice as long for it the first time.  One of many virtual hosts is enough.
        """
        if self.state is BACKUP and self._metronome.mustRehearse():
            self.state.decide(self._own.now(), events.DeadlinePassed())
            self._advertiser.farewell()

    def beat(self) -> None:
        """
        Advertise, since the interval after the last advertisement is over.
        """
        if self.state is MASTER:
            self._rhythm.beaten()
            self.advertise()

    def _beatEvery(self, interval: float) -> None:
        self._rhythm.start(interval, self._pauses.areLong(interval))

    def advertise(self) -> None:
        """
        Send an advertisement, and adapt the rhythm to the interval in it.
        """
        self._advertiser.advertise()
        interval = self._advertiser.interval
        if self._rhythm.interval not in (None, interval):
            self._beatEvery(interval)
        if self.state is MASTER:  # otherwise this was the last one before becoming backup
            self._mastership.advertised(self.isFit)
            if self._will.isWanted:
                self._bequeath()

    def _bequeath(self) -> None:
        """
        Hand over the will that belongs to the advertisement that was just sent.
        """
        if not self._will.advertised():
            # The guard bowed out after the event was checked for a pause, so that the peers may
            # believe this host again.
            self._advertiser.bowOut()
            self._tell(events.FitnessAsked())

    def _carryOut(self, effect: Effect, previous: Role) -> None:
        match effect:
            case effects.ArmMasterDown(delay=delay, family=family):
                self._masterDown.arm(delay, family, self._steady)
                if family is not None:
                    for silent in self._masterDown.silent:
                        self._diagnostics.familySilent(silent, family)
            case effects.DisarmMasterDown():
                self._masterDown.disarm()
            case effects.LookAgain(delay=delay):
                self._masterDown.lookAgain(delay)
            case effects.Advertise():
                self.advertise()
                # As in the kernels (carp_send_ad), the next one comes a whole interval later.
                # An OpenBSD group that has just changed its master would take two of them in a
                # row for a claim, and a third host would become master as well.
                if self._rhythm.interval is not None:
                    self._beatEvery(self._advertiser.interval)
            case effects.BowOut():
                self._advertiser.bowOut()
            case effects.StartAdvertising():
                self._will.isOpen = False  # the next advertisement begins another one
                # The peers wait for it.  A fault must not prevent the next ones.
                try:
                    self.advertise()
                finally:
                    self._beatEvery(self._advertiser.interval)
            case effects.StopAdvertising():
                cancel(self._offer)
                self._rhythm.stop()
                if self._will.isOpen:
                    self._will.silence()
            case effects.OfferMastership(delay=delay):
                cancel(self._offer)
                self._offer = self._clock.callLater(delay, self._tell, events.OfferUnanswered())
            case effects.SendOffer(timing=timing, delay=delay):
                self._advertiser.offer(timing)
                self._beatEvery(delay)
                if self._will.isWanted:
                    self._bequeath()
            case effects.WithdrawOffer():
                cancel(self._offer)
            case effects.Reassert(peer=peer):
                self._roles.logReassertion(peer)
                self._mastership.announceAgain()
            case effects.ChangeRole():
                self._changeRole(effect, previous)

    def _changeRole(self, effect: effects.ChangeRole, previous: Role) -> None:
        self._own.restartPreemptDelay()
        change = self._roles.change(effect, previous)
        self._roles.log(change)
        self._diagnostics.roleChanged()
        if effect.role is Role.MASTER:
            for firewall in self._firewalls.values():
                firewall.watch(True)
            peer = effect.peer
            self._damping.becameMaster(peer is not None and not peer.isBowOut)
        elif previous is Role.MASTER and not self.isLeaving:
            self._damping.becameBackup(effect.reason is Reason.PREFERRED_MASTER)
        self._roles.notify(change)
        if self.isLeaving:
            self._tell(events.Stopped())  # there is no mastership left to hand over
        self._mastership.changed(change)
