"""
One run of a virtual host, from its start to its stop.

Everything that happens comes in by one door, L{Participation.tell}, as a value
(L{txcarp.protocol.events}).  The door first finds out whether this host slept.  Then the
election decides, and the effects are carried out in their order.  The constructor is the
list of all parts and of what each of them is given.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from zope.interface import implementer

from txcarp.addresses import textOf
from txcarp.change import Change
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.interfaces import (
    IAdvertisementTransport,
    IDiagnosisObserver,
    ILinkObserver,
    IMastershipObserver,
    IMastershipStep,
    IPacketReceiver,
    IPlatform,
    ITrace,
)
from txcarp.links import Link
from txcarp.mastership.mastership import Mastership
from txcarp.membership.advertiser import Advertiser
from txcarp.membership.channel import Channel
from txcarp.membership.diagnosis import Diagnostics
from txcarp.membership.firewall import FirewallWatch
from txcarp.membership.holds import Damping, Holds
from txcarp.membership.memory import Memory
from txcarp.membership.reception import Reception
from txcarp.membership.sealing import Sealing
from txcarp.membership.standing import OwnStanding
from txcarp.membership.timers import MasterDown, Rhythm, cancel
from txcarp.protocol.demotion import FULL_DEMOTION, DemotionLedger
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
from txcarp.protocol.election import INIT, MASTER, ICARPState
from txcarp.protocol.envelope import Packet
from txcarp.protocol.events import (
    BeatDue,
    Claimed,
    Demoted,
    DemotionChanged,
    Event,
    FitnessAsked,
    GivenBack,
    Heard,
    HearingChanged,
    Held,
    HoldEnded,
    HoldReason,
    LinkChanged,
    OfferUnanswered,
    Promoted,
    Refused,
    Released,
    ResignAsked,
    Resigned,
    Slept,
    Started,
    StepFailed,
    StopAsked,
    Stopped,
)
from txcarp.protocol.family import Family
from txcarp.protocol.keyring import Keyring
from txcarp.protocol.seal import Verification
from txcarp.protocol.timing import LEAVING, SHORTEST_INTERVAL, Timing

#: Seconds for which a host that was asked to hand over hears nothing, as in
#: ucarp: the time in which another host takes over.
RESIGNATION = 3.0

#: Intervals without a beat that are a pause, whatever the dead time is.
_PAUSE = 1.5

#: Intervals of silence after which to look in front of the firewall.
_SILENCE = 2

#: The shortest such silence in seconds.
_SHORTEST_SILENCE = 0.05

#: The line that ucarp writes after some changes.
_UCARP_WORDS = {
    Reason.PREEMPTION: "Putting MASTER down - preemption",
    Reason.SLOW_MASTER: "Putting MASTER DOWN (going to time out)",
    Reason.PREFERRED_MASTER: "Preferred master advertised: going back to BACKUP state",
}

#: How a firewall is told to let a family through.
_RULES = {
    Family.IPV4: "ip protocol 112",
    Family.IPV6: "ip6 nexthdr 112",
}


@implementer(ILinkObserver, IPacketReceiver)
class Participation:
    """
    Everything that a virtual host has only while it takes part in its group.

    @ivar role: What this host is in the group now.
    @ivar holds: What keeps it out of the election.
    @ivar ledger: Why it is demoted.
    @ivar advertiser: Sends its advertisements.
    @ivar masterDown: When it takes over if nothing is heard.
    @ivar mastership: What being master means for it.
    @ivar trace: Follows events and effects; C{None} if nobody does.
    """

    _log = Logger()

    def __init__(
        self,
        configuration: VirtualHostConfiguration,
        platform: IPlatform,
        transports: Mapping[Family, IAdvertisementTransport],
        memory: Memory,
        *,
        before: Sequence[IMastershipStep] = (),
        after: Sequence[IMastershipStep] = (),
        observers: Sequence[IMastershipObserver] = (),
        diagnosisObservers: Sequence[IDiagnosisObserver] = (),
        trace: ITrace | None = None,
    ) -> None:
        """
        @param transports: Where advertisements leave and arrive, for each family.
        @param before: Steps to take before the addresses appear.
        @param after: Steps to take when everything else is done.
        @param observers: Are told each change of role; they may become others.
        @param diagnosisObservers: Are told each finding; they may become others.
        """
        clock = platform.clock
        keyring = _keyring(configuration)
        self.trace = trace
        self._configuration = configuration
        self._platform = platform
        self._clock = clock
        self._memory = memory
        self._observers = observers
        self._channels = {
            family: Channel(configuration, family, transport)
            for family, transport in transports.items()
        }
        channels = self._channels.values()
        self.ledger = DemotionLedger(memory.demotions)
        self.holds = Holds(clock, self.tell)
        self._damping = Damping(clock, configuration.flapLimit)
        self._sealing = Sealing(
            configuration,
            keyring,
            clock,
            memory,
            running=platform.pauseSeconds,
            wall=platform.wallSeconds,
            store=platform.store,
        )
        self.advertiser = Advertiser(
            configuration, keyring, self._sealing, self.ledger, channels, platform.random, memory
        )
        self._reception = Reception(
            configuration, self._channels, keyring, self._sealing, self.advertiser
        )
        self._firewalls = {
            channel.family: FirewallWatch(
                clock, channel.transport, channel.family, self._readBehind, self._sayFirewall
            )
            for channel in channels
        }
        self._diagnostics = Diagnostics(
            configuration.vhid,
            configuration.interface,
            clock,
            memory,
            diagnosisObservers,
            debug=configuration.debug,
        )
        self.masterDown = MasterDown(
            clock,
            self._channels,
            self.tell,
            lambda: any(channel.transport.hasUnread() for channel in channels),
            anyFamily=configuration.anyFamily,
        )
        self._rhythm = Rhythm(clock, self.tell, platform.pauseSeconds)
        self._own = OwnStanding(
            configuration, clock, self._channels, self.advertiser, self.holds
        )
        self.mastership = Mastership(
            configuration,
            platform,
            before=before,
            after=after,
            fit=self.isFit,
            interval=lambda: self.advertiser.timing.interval,
            failed=lambda name: self.tell(StepFailed(name)),
            limits=memory.limits,
        )
        self._tracked = {one.name: one.amount for one in configuration.trackedInterfaces}
        self._watched = dict.fromkeys((configuration.interface, *self._tracked))
        self._seals = configuration.verification is not Verification.OFF
        # The most eager peer has no skew.
        self._eager = configuration.dialect.deadTime(
            Timing(configuration.advbase, 0), configuration.deadRatio
        )
        self._quiet = max(configuration.timing.interval * _SILENCE, _SHORTEST_SILENCE)
        self._state: ICARPState = INIT
        self._events: deque[Event] = deque()
        self._telling = False
        self._offer: IDelayedCall | None = None
        self._link: Link | None = None
        self._linkKnown = False
        self._resigning = False
        self._leaving = False
        self._left: Deferred[None] = Deferred()

    @property
    def role(self) -> Role:
        role: Role = self._state.role
        return role

    def start(self) -> None:
        """
        Take part.
        """
        for channel in self._channels.values():
            channel.transport.deliverTo(self)
        for firewall in self._firewalls.values():
            firewall.start()
        self.holds.hold(HoldReason.NO_LINK)  # until the link is known
        if self._configuration.startDelay is not None:
            self.holds.hold(HoldReason.STARTING, self._configuration.startDelay)
        self.hearingChanged()
        self.tell(Started())
        for name in self._watched:
            self._platform.links.watch(name, self)

    def stop(self) -> Deferred[None]:
        """
        Leave; a master gives back what it took.

        @return: Fires when that is done, and what this host knows is saved.
        """
        self.tell(StopAsked())
        return self._left

    def isFit(self) -> bool:
        """
        Whether this host is a master in good order: it did not sleep, nothing
        holds it back, and its last advertisement left.
        """
        self.tell(FitnessAsked())
        return self._isInOrder()

    # The door.

    def tell(self, event: Event) -> None:
        """
        Let something happen to this host.  An event that another one causes waits until
        all effects of the first are carried out.
        """
        self._events.append(event)
        if self._telling:
            return
        self._telling = True
        try:
            while self._events:
                event = self._events.popleft()
                if self._state is MASTER:
                    self._findPause()
                if self.trace is not None:
                    self.trace.happened(event)
                try:
                    self._handle(event)
                except Exception:
                    self._log.failure("{event} was not dealt with in full", event=event)
        finally:
            self._telling = False

    def _findPause(self) -> None:
        """
        Find out whether this master did not run for so long that its peers have
        given it up.
        """
        pause = self._rhythm.silence()
        # With a dead ratio of one, peers wait no longer than the rhythm, and what
        # counts is a beat that is missing.
        if pause > max(self._eager, self._interval * _PAUSE):
            self._log.error(
                "This host did not run for {pause:.3f} s, longer than its peers wait", pause=pause
            )
            self._decide(Slept(pause))

    def _handle(self, event: Event) -> None:
        match event:
            case Heard():
                self._heard(event)
            case Refused():
                self._diagnostics.refused(event)
            case BeatDue():
                if self._state is MASTER:
                    self._rhythm.beaten()
                    self._advertise()
            case LinkChanged(name=name, link=link):
                if name == self._configuration.interface:
                    self._ownLinkChanged(link)
                if name in self._tracked:
                    self._trackedLinkChanged(name, link)
            case HearingChanged(deaf=deaf):
                self._hearingChanged(deaf)
            case HoldEnded(reason=reason):
                self._release(reason)
            case Demoted(reason=reason, amount=amount):
                self._demote(reason, amount)
            case Promoted(reason=reason):
                self._promote(reason)
            case Claimed():
                if not self.holds:
                    self._decide(event)
            case ResignAsked():
                if self._state is MASTER:
                    self._resign(HoldReason.RESIGNED, RESIGNATION)
            case StepFailed(name=name):
                self._stepFailed(name)
            case GivenBack(reason=reason, seconds=seconds):
                self._givenBack(reason, seconds)
            case StopAsked():
                self._stop()
            case FitnessAsked():
                pass
            case _:
                self._decide(event)

    def _decide(self, event: Event) -> None:
        """
        Let the election decide, and do what it says.
        """
        previous = self.role
        family = event.peer.family if isinstance(event, Heard) else None
        self._state, effects = self._state.decide(self._own.now(family), event)
        for effect in effects:
            if self.trace is not None:
                self.trace.decided(effect)
            try:
                self._carryOut(effect, previous)
            except Exception:
                # The state is another already: the rest has to follow, or this
                # host would be a master that does not advertise, or a backup
                # that waits for nothing.
                self._log.failure("{effect} was not carried out in full", effect=effect)

    def _carryOut(self, effect: Effect, previous: Role) -> None:
        match effect:
            case ArmMasterDown(delay=delay, family=family):
                self.masterDown.arm(delay, family)
                if family is not None:
                    for silent in self.masterDown.silent:
                        self._diagnostics.familySilent(silent, family)
            case DisarmMasterDown():
                self.masterDown.disarm()
            case LookAgain(delay=delay):
                self.masterDown.lookAgain(delay)
            case Advertise():
                self._advertise()
            case BowOut():
                self.advertiser.send(LEAVING)
            case StartAdvertising():
                self._rhythm.start(self._interval)
                self._advertise()
            case StopAdvertising():
                cancel(self._offer)
                self._rhythm.stop()
            case OfferMastership(delay=delay):
                cancel(self._offer)
                self._offer = self._clock.callLater(delay, self.tell, OfferUnanswered())
            case WithdrawOffer():
                cancel(self._offer)
            case Reassert(peer=peer):
                self._reassert(peer)
            case ChangeRole():
                self._changeRole(effect, previous)

    # Packets.

    def packetReceived(self, packet: Packet) -> None:
        """
        The raw socket has a packet.
        """
        firewall = self._firewalls.get(packet.family)
        if firewall is not None:
            # A master expects to hear nobody: silence says nothing about its firewall.
            firewall.passed(packet, None if self._state is MASTER else self._quiet)
            self.tell(self._reception.read(packet))

    def packetFiltered(self, packet: Packet) -> None:
        """
        A packet was seen in front of the firewall.
        """
        firewall = self._firewalls.get(packet.family)
        if firewall is None:
            return
        # In front of the firewall there is also what a router forwards from one
        # peer to another.
        audience = self._channels[packet.family].audience
        alone = audience.peers or audience.followed
        if not alone or packet.destination in (audience.group, audience.own):
            firewall.seen(packet)

    def hearingChanged(self) -> None:
        """
        Packets can arrive in a family, or can no more.
        """
        deaf = (one for one, channel in self._channels.items() if not channel.transport.hears())
        self.tell(HearingChanged(frozenset(deaf)))

    def _readBehind(self, packet: Packet) -> bool:
        """
        Read a packet that the raw socket did not get.

        @return: Whether it was a good advertisement.
        """
        event = self._reception.read(packet)
        self.tell(event)
        return isinstance(event, Heard)

    def _sayFirewall(self, family: Family) -> None:
        """
        The firewall drops good advertisements.
        """
        if self._memory.limits.ready(("firewall", family)) is not None:
            self._log.error(
                "The firewall of this host drops protocol 112 on {interface}; advertisements are "
                "read in front of it. Let them in, for example with: "
                'nft insert rule inet filter input iifname "{interface}" {rule} accept'
                "{other}",
                interface=self._configuration.interface,
                rule=_RULES[family],
                # Without an IPv4 address on the interface no source is routed there.
                other=". (If there is no such rule: net.ipv4.conf.*.rp_filter drops packets whose "
                "source is not reached by this interface)"
                if family is Family.IPV4
                else "",
            )

    def _heard(self, event: Heard) -> None:
        peer = event.peer
        self._memory.received += 1
        self.advertiser.heard(event.counter)
        isMaster = self._state is MASTER
        leaving = peer.timing == LEAVING
        if not leaving:
            self._diagnostics.heard(event, self._own.now() if isMaster else None)
            self._memory.peers.heard(event, self._clock.seconds())
            # Without a seal an attacker can name as many as there is room for.
            if event.sealed or not self._seals:
                self._channels[peer.family].follow(peer.source)
        if event.isAhead and isMaster:
            # Nobody believed what this host sent until now, and another host is master
            # for that reason.
            self._advertise()
        self._decide(event)
        if not leaving:
            self.mastership.successorHeard()  # which may be the end of this run

    # Its voice.

    @property
    def _interval(self) -> float:
        return max(self.advertiser.timing.interval, SHORTEST_INTERVAL)

    def _advertise(self) -> None:
        """
        Send an advertisement, and keep the rhythm that it says.
        """
        self.advertiser.advertise()
        if self._rhythm.running and self._rhythm.interval != self._interval:
            self._rhythm.start(self._interval)
        if self._state is MASTER:  # and not saying farewell
            self.mastership.advertised(self._isInOrder())

    def _isInOrder(self) -> bool:
        return self._state is MASTER and not self.holds and self.advertiser.lastLeft

    def _reassert(self, peer: Peer) -> None:
        """
        A worse master claims the addresses.
        """
        if self._memory.limits.ready("reassert") is not None:
            self._log.warn(
                "Non-preferred master advertising: reasserting control of VIP with another "
                "gratuitous arp (peer {peer})",
                peer=textOf(peer.source),
            )
        self.mastership.announceAgain()

    # What keeps it out of the election.

    def linkChanged(self, name: str, link: Link | None) -> None:
        """
        An interface came, went or changed.
        """
        self.tell(LinkChanged(name, link))

    def _ownLinkChanged(self, link: Link | None) -> None:
        name = self._configuration.interface
        self._logLink(name, link)
        atStart = not self._linkKnown
        self._link = link
        self._linkKnown = True
        if link is not None and (self._configuration.ignoreLink or _works(link)):
            self._release(HoldReason.NO_LINK)
            if self._state is MASTER:
                self.mastership.announceAgain()  # the cable may be in another switch now
        elif HoldReason.NO_LINK not in self.holds or (atStart and link is not None):
            self._log.warn(
                "Interface [{interface}] is {what}",
                interface=name,
                what="gone" if link is None else "without carrier" if link.up else "down",
            )
            self._hold(HoldReason.NO_LINK)

    def _logLink(self, name: str, link: Link | None) -> None:
        previous = self._link
        if link is None:
            if previous is not None or not self._linkKnown:
                self._log.warn(
                    "There is no interface [{interface}]: waiting for it", interface=name
                )
        elif link.address and (previous is None or previous.address != link.address):
            self._log.info(
                "Local advertised ethernet address is [{address}]", address=link.address.hex(":")
            )

    def _hearingChanged(self, deaf: frozenset[Family]) -> None:
        # A host that hears nobody would become master beside another, whatever the reason.
        self.masterDown.deafen(deaf, self._own.now().deadTime)
        interface = self._configuration.interface
        if len(deaf) < len(self._channels):
            self._release(HoldReason.DEAF)
        elif HoldReason.DEAF not in self.holds:
            if self._platform.links.link(interface) is not None:
                self._log.error(
                    "Nothing can be heard on [{interface}]: vhid {vhid} takes no part until "
                    "it can",
                    interface=interface,
                    vhid=self._configuration.vhid,
                )
            self._hold(HoldReason.DEAF)

    def _hold(self, reason: HoldReason, seconds: float | None = None) -> None:
        self.holds.hold(reason, seconds)
        self.tell(Held(reason))

    def _release(self, reason: HoldReason) -> None:
        if self.holds.release(reason):
            self._own.backupAgain()
            self.tell(Released())

    # Demotion.

    def _trackedLinkChanged(self, name: str, link: Link | None) -> None:
        reason = f"link of {name}"
        if link is not None and _works(link):
            self._promote(reason)
        else:
            self._demote(reason, self._tracked[name])

    def _demote(self, reason: str, amount: int) -> None:
        if self.ledger.set(reason, amount):
            self._log.warn(
                "Demoted by {amount} to {total}: {reason} (vhid {vhid} on {interface})",
                amount=amount,
                total=self.ledger.total,
                reason=reason,
                vhid=self._configuration.vhid,
                interface=self._configuration.interface,
            )
            self._demotionChanged()

    def _promote(self, reason: str) -> None:
        if self.ledger.clear(reason):
            self._log.warn(
                "Not demoted any more for {reason}; demoted to {total} (vhid {vhid} on "
                "{interface})",
                reason=reason,
                total=self.ledger.total,
                vhid=self._configuration.vhid,
                interface=self._configuration.interface,
            )
            self._demotionChanged()

    def _demotionChanged(self) -> None:
        if self.advertiser.says == self.advertiser.said:
            return  # nobody would see it
        timing = self.advertiser.timing
        # Backups are silent: what is known of them is old, if anything is. One that said
        # something better may be there still; and any host may be better than the last.
        hopeless = timing.advskew >= FULL_DEMOTION
        better = hopeless or self._memory.peers.anyBetter(timing)
        self.tell(DemotionChanged(better and timing > self._configuration.timing))

    # Handing over.

    def _stepFailed(self, name: str) -> None:
        """
        A required step failed: a master that does not work must not be one.
        """
        if self._leaving:
            return  # anyway
        delay = self._damping.failed()
        self._log.error(
            "This host is not fit to be master: {step} failed. It tries again in {delay:.0f} s",
            step=name,
            delay=delay,
        )
        self._resign(HoldReason.UNFIT, delay)

    def _resign(self, reason: HoldReason, seconds: float) -> None:
        """
        Hand over if this host is master, and take no part for so many seconds.
        """
        if not self._configuration.releaseFirst or self._state is not MASTER:
            self._handOver(reason, seconds)
        elif not self._resigning:
            self._resigning = True
            change = self._change(ChangeRole(Role.BACKUP, _REASONS[reason]), Role.MASTER)
            self.mastership.release(change).addBoth(
                lambda _: self.tell(GivenBack(reason, seconds))
            )

    def _givenBack(self, reason: HoldReason, seconds: float) -> None:
        self._resigning = False
        if self._leaving:
            return
        if self._state is MASTER and self.mastership.wanted:
            self._resign(reason, seconds)  # it became master once more meanwhile
        elif self._state is MASTER or reason is HoldReason.UNFIT:
            # Otherwise another host is master by now, without having been asked.
            self._handOver(reason, seconds)

    def _handOver(self, reason: HoldReason, seconds: float) -> None:
        self.holds.hold(reason, seconds)
        self.tell(Resigned(reason is HoldReason.UNFIT))

    def _stop(self) -> None:
        self._leaving = True
        for name in self._watched:
            self._platform.links.unwatch(name, self)
        self.holds.stop()
        previous = self.role
        if previous is Role.MASTER:
            self._log.warn(
                "Stopping: bowing out as master (vhid {vhid} on {interface})",
                vhid=self._configuration.vhid,
                interface=self._configuration.interface,
            )
        change = self._change(ChangeRole(Role.INIT, Reason.STOPPED), previous)
        self._notify(change)
        leaving = self.mastership.leave(change, lambda: self.tell(Stopped()))
        leaving.addErrback(
            lambda failure: self._log.failure("A virtual host did not leave in order", failure)
        )
        leaving.addCallback(self._leftGroup).chainDeferred(self._left)

    def _leftGroup(self, result: None) -> Deferred[None]:
        for channel in self._channels.values():
            channel.transport.deliverTo(None)
        for firewall in self._firewalls.values():
            firewall.stop()
        self._firewalls.clear()
        return self._sealing.stop()

    # Changes of role.

    def _changeRole(self, effect: ChangeRole, previous: Role) -> None:
        self._own.backupAgain()
        change = self._change(effect, previous)
        self._log.warn(
            "Switching to state: {role} ({why}; vhid {vhid} on {interface})",
            role=change.role.value,
            why=change.explain(),
            vhid=change.vhid,
            interface=change.interface,
            change=change,
        )
        words = _UCARP_WORDS.get(effect.reason)
        if words is not None:
            self._log.warn(words)
        self._diagnostics.roleChanged()
        if effect.role is Role.MASTER:
            for firewall in self._firewalls.values():
                firewall.start()
            peer = effect.peer
            self._damping.becameMaster(peer is not None and peer.timing != LEAVING)
        elif previous is Role.MASTER and not self._leaving:
            self._dampFlapping()
        self._notify(change)
        if self._leaving:
            self.tell(Stopped())  # another host is master: nothing is left to wait for
        self.mastership.changed(change)

    def _dampFlapping(self) -> None:
        limit = self._configuration.flapLimit
        if limit is not None and self._damping.becameBackup():
            self._log.error(
                "This host became backup {changes} times within {seconds:.0f} s: it waits for "
                "{seconds:.0f} s before it takes part again (vhid {vhid} on {interface})",
                changes=limit.changes,
                seconds=limit.seconds,
                vhid=self._configuration.vhid,
                interface=self._configuration.interface,
            )
            self._hold(HoldReason.FLAPPING, limit.seconds)

    def _change(self, effect: ChangeRole, previous: Role) -> Change:
        detail = ""
        if effect.reason is Reason.SILENCE:
            detail = f"{self._own.now().deadTime:.3f} s"
        elif effect.reason is Reason.PAUSED:
            detail = f"for {effect.pause:.3f} s"
        elif effect.peer is not None:
            timing = effect.peer.timing
            detail = f"advbase {timing.advbase} advskew {timing.advskew}"
            if effect.peer.demotion:
                detail += f" demoted by {effect.peer.demotion}"
        return Change(
            role=effect.role,
            previous=previous,
            reason=effect.reason,
            vhid=self._configuration.vhid,
            interface=self._configuration.interface,
            addresses=tuple(address.text for address in self._configuration.addresses),
            peer=textOf(effect.peer.source) if effect.peer else "",
            detail=detail,
        )

    def _notify(self, change: Change) -> None:
        self._memory.changes.append((self._clock.seconds(), change))
        for observer in list(self._observers):
            try:
                observer.roleChanged(change)
            except Exception:
                self._log.failure(
                    "An observer of vhid {vhid} on {interface} failed",
                    vhid=change.vhid,
                    interface=change.interface,
                )


_REASONS = {HoldReason.RESIGNED: Reason.RESIGNED, HoldReason.UNFIT: Reason.UNFIT}


def _works(link: Link) -> bool:
    return link.up and link.running


def _keyring(configuration: VirtualHostConfiguration) -> Keyring:
    return Keyring(
        configuration.vhid,
        configuration.dialect,
        configuration.password,
        [address.packed for address in configuration.addresses],
        otherPasswords=configuration.otherPasswords,
        otherAddresses=[
            [address.packed for address in addresses]
            for addresses in configuration.otherAddresses
        ],
        hardware=configuration.signedHardware,
    )
