"""
One run of a virtual host, from its start to its stop.

Every event (L{txcarp.protocol.events}) enters through L{Participation.tell}.  First of all it
finds out whether this host slept.  Then the election decides, and the effects are carried out in
order; events that the election does not know are handled here.

The constructor makes all parts of a run, and shows which part uses which.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from txcarp.checks.health import HealthCheck
from txcarp.configuration.difference import ADVERTISED, KEYS
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.findings import Finding
from txcarp.interfaces import (
    IAdvertisementTransport,
    IDiagnosisObserver,
    ILinkObserver,
    IMastershipObserver,
    IMastershipStep,
    IPacketReceiver,
    IPlatform,
    ISetMember,
    ITrace,
)
from txcarp.links import Link
from txcarp.mastership.mastership import Mastership
from txcarp.membership.advertiser import Advertiser
from txcarp.membership.beats import Beats
from txcarp.membership.candidate import Candidate, OwnStanding, note
from txcarp.membership.channel import Channel, haveUnread, survey
from txcarp.membership.demotions import Demotions
from txcarp.membership.diagnostics import Diagnostics
from txcarp.membership.draining import Draining
from txcarp.membership.firewall import FirewallWatch
from txcarp.membership.fitness import Fitness
from txcarp.membership.holds import Damping, Holds
from txcarp.membership.lastwill import LastWill
from txcarp.membership.leaving import RESIGNATION, Leaving
from txcarp.membership.memory import Memory
from txcarp.membership.probing import Probing
from txcarp.membership.readiness import Readiness
from txcarp.membership.reception import Reception, keyringOf
from txcarp.membership.record import Record
from txcarp.membership.roles import Roles
from txcarp.membership.sealing import Sealing
from txcarp.membership.timers import MasterDown, tolerated
from txcarp.occurrences import OccurrenceKind
from txcarp.protocol import events
from txcarp.protocol.actor import Actor
from txcarp.protocol.authentication import Keyring
from txcarp.protocol.demotion import DemotionLedger
from txcarp.protocol.effects import Reason, Role
from txcarp.protocol.election import BACKUP, MASTER, Standing
from txcarp.protocol.envelope import Packet
from txcarp.protocol.events import Event, Heard, HoldReason
from txcarp.protocol.family import Family
from txcarp.protocol.seal import Verification

#: Seconds until another master is saved, at most.  The first moments after a take-over have more
#: important work.
_SOON = 5.0


@implementer(ILinkObserver, IPacketReceiver)
class Participation:
    """
    All parts of a virtual host that exist only while it takes part in its group.

    @ivar candidate: Carries out the decisions of the election.
    @ivar holds: The reasons why this host is out of the election.
    @ivar ledger: The reasons why this host is demoted.
    @ivar fitness: The health checks.
    @ivar advertiser: Sends the advertisements.
    @ivar masterDown: The deadline after which this host takes over.
    @ivar mastership: The steps that are acquired on becoming master.
    @ivar leaving: Hands mastership over, and leaves the group.
    @ivar draining: Keeps this host out of the election for an administrator.
    @ivar probing: Asks the host of the master whether it is there.
    @ivar lastWill: What the guard gives back if this process dies or hangs.
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
        checks: Sequence[HealthCheck] = (),
        observers: Sequence[IMastershipObserver] = (),
        diagnosisObservers: Sequence[IDiagnosisObserver] = (),
        trace: ITrace | None = None,
    ) -> None:
        """
        @param transports: The transport of each family in which to take part.
        @param before: Steps to acquire before the addresses.
        @param after: Steps to acquire after everything else.
        @param checks: Health checks besides those of the configuration.  The caller may change
            the list.
        @param observers: Called with each change of role.  The caller may change the list.
        @param diagnosisObservers: Called with each finding.  The caller may change the list.
        """
        clock = platform.clock
        keyring = keyringOf(configuration)
        self._configuration = configuration
        self._platform = platform
        self._memory = memory
        self._events: deque[Event] = deque()
        self._telling = False
        #: Fires when this host has left its group.
        self._left: Deferred[None] = Deferred()
        self._channels = {
            family: Channel(configuration, family, transport)
            for family, transport in transports.items()
        }
        channels = self._channels.values()
        self.ledger = DemotionLedger(memory.demotions)
        self.holds = Holds(clock, self.tell, memory.chronicle)
        self._damping = Damping(configuration, clock, self.holds)
        self._readiness = Readiness(configuration, clock, self.holds, self.transportChanged)
        record = Record(configuration, memory, platform)
        memory.chronicle.timeline.changed = partial(record.changed, _SOON)
        self._sealing = Sealing(configuration, keyring, memory, platform, record)
        self.advertiser = Advertiser(
            configuration, keyring, self._sealing, self.ledger, channels, platform.random, memory
        )
        self._demotions = Demotions(configuration, self.ledger, self.advertiser, memory, self.tell)
        self._reception = Reception(
            configuration, self._channels, keyring, self._sealing, self.advertiser
        )
        self._firewalls = {
            family: FirewallWatch(clock, channel, configuration, self._readInFront, memory.limits)
            for family, channel in self._channels.items()
        }
        self._diagnostics = Diagnostics(configuration, clock, memory, diagnosisObservers)
        unread = partial(haveUnread, channels)
        self.masterDown = MasterDown(
            clock,
            self._channels,
            self.tell,
            unread,
            self._readUnread,
            platform.pauseSeconds,
            tolerated=tolerated(configuration),
            anyFamily=configuration.anyFamily,
        )
        self._own = OwnStanding(
            configuration,
            clock,
            self._channels,
            self.advertiser,
            self.ledger,
            self.holds,
            memory.peers,
        )
        self._roles = Roles(configuration, clock, memory, observers)
        guardEnded = partial(self._diagnostics.found, Finding.GUARD_ENDED)
        self.lastWill = LastWill(platform, self.advertiser, guardEnded)
        self.mastership = Mastership(
            configuration,
            platform,
            before=before,
            after=after,
            tell=self.tell,
            fit=self.isFit,
            interval=lambda: self.advertiser.interval,
            ready=lambda change, readiness: self._roles.notifyReadiness(
                change, readiness, self.mastership.failed
            ),
            cannotReset=partial(self._diagnostics.found, Finding.NO_RESET, b""),
            limits=memory.limits,
            note=partial(memory.chronicle.note, OccurrenceKind.LEASE_LOST),
            changed=self.lastWill.changed,
            alive=self.lastWill.alive,
            givenBack=self.lastWill.givenBack,
        )
        self.lastWill.keepFor(self.mastership, configuration)
        self.candidate = Candidate(
            configuration,
            platform,
            self.tell,
            own=self._own,
            advertiser=self.advertiser,
            holds=self.holds,
            damping=self._damping,
            masterDown=self.masterDown,
            firewalls=self._firewalls,
            diagnostics=self._diagnostics,
            roles=self._roles,
            mastership=self.mastership,
            will=self.lastWill,
            memory=memory,
            trace=trace,
        )
        self.probing = Probing(
            configuration,
            platform,
            self.tell,
            self._diagnostics.found,
            channels=channels,
            advertiser=self.advertiser,
            masterDown=self.masterDown,
            peers=memory.peers,
        )
        self.leaving = Leaving(
            configuration,
            self.tell,
            candidate=self.candidate,
            holds=self.holds,
            mastership=self.mastership,
            roles=self._roles,
        )
        resign = self.leaving.resign
        self.fitness = Fitness(
            configuration,
            platform,
            checks,
            self.holds,
            self._demotions,
            self.tell,
            resign,
            memory.chronicle,
        )
        self.draining = Draining(
            configuration,
            platform,
            self.tell,
            memory,
            record,
            own=self._own,
            candidate=self.candidate,
            holds=self.holds,
            leaving=self.leaving,
            mastership=self.mastership,
            diagnostics=self._diagnostics,
        )
        self._beats = _beatsFor(keyring)
        self._follows = configuration.followPeers
        self._seals = configuration.verification is not Verification.OFF
        self._watched: dict[str, None] = {}

    @property
    def standing(self) -> Standing:
        """
        The present facts about this host, for the election.
        """
        return self._own.now()

    @property
    def role(self) -> Role:
        role: Role = self.candidate.state.role
        return role

    def start(self) -> None:
        """
        Begin to take part.
        """
        for channel in self._channels.values():
            channel.transport.deliverTo(self)
        for firewall in self._firewalls.values():
            firewall.watch(True)
        # Until the state of the link is known.
        self.holds.hold(HoldReason.NO_LINK, provisional=True)
        if self._configuration.startDelay is not None:
            self.holds.hold(HoldReason.STARTING, self._configuration.startDelay)
        self.fitness.start()
        self.draining.start()
        self.transportChanged()
        self.tell(events.Started())

    def stop(self, actor: Actor | None = None) -> Deferred[None]:
        """
        Leave the group.  A master releases everything that it acquired.

        @param actor: Who asked for it; C{None} if nobody did.
        @return: Fires when this host has left, and its seal state is saved.
        """
        self.tell(events.StopAsked(actor))
        return self._left

    @property
    def isMasterSilent(self) -> bool:
        """
        Whether this backup has not heard the master for the dead time, or the host of the master
        is gone.
        """
        return self.masterDown.hasPassed or bool(self.probing.losses)

    def isFit(self) -> bool:
        """
        Whether this host is a healthy master: it did not sleep, nothing keeps it out of the
        election, and its last advertisement was sent.
        """
        self.tell(events.FitnessAsked())
        return self.candidate.isFit

    # The set to which this virtual host belongs.

    def join(self, member: ISetMember | None) -> None:
        """
        Belong to a set from now on; C{None} for none.
        """
        self.candidate.together = member

    def insist(self, insists: bool) -> None:
        """
        Advertise as more preferred than every other host from now on, or no longer.
        """
        if self.advertiser.insist(insists):
            self._own.forget()

    def sideSilent(self, more: str) -> None:
        """
        Report that the master is silent here, and heard on another side of the set.

        @param more: Details for people.
        """
        self._diagnostics.found(Finding.SIDE_SILENT, more=more)

    @property
    def lastLoss(self) -> str:
        """
        Why this host is not master any more, for reasons of its own; an empty string if its set
        was the reason, or it has not been master.
        """
        change = self._memory.changes[-1][1] if self._memory.changes else None
        isLoss = change is not None and change.previous is Role.MASTER
        return change.explain() if change and isLoss and change.reason is not Reason.SYNC else ""

    # Events.

    def tell(self, event: Event, steady: float | None = None) -> None:
        """
        Handle an event.  An event that arrives while another one is handled waits until all
        effects of that one are carried out.

        @param steady: The seconds of L{IPlatform.pauseSeconds
            <txcarp.interfaces.IPlatform.pauseSeconds>}, if the caller has just read them.
        """
        if self._telling:
            self._events.append(event)
            return
        self._telling = True
        try:
            self._handle(event, steady)
            while self._events:
                self._handle(self._events.popleft())
        finally:
            self._telling = False
        if self.candidate.together is not None:
            self.candidate.together.settle()

    def _handle(self, event: Event, steady: float | None = None) -> None:
        candidate = self.candidate
        try:
            if candidate.findPause(steady) and not isinstance(event, Heard | events.Refused):
                self._readFirst(event)
                return
            if candidate.trace is not None:
                note(candidate.trace, event)
            match event:
                case Heard():
                    self._heard(event)
                case events.Refused():
                    self._diagnostics.refused(event)
                    candidate.isOld()  # it may have been the last packet of those that are old
                    if event.putsOff:
                        candidate.decide(event)
                case events.BeatDue():
                    candidate.beat()
                case events.Started():
                    candidate.decide(event)
                    own = self._configuration.interface
                    self._watch(dict.fromkeys((own, *self._demotions.tracked)))
                case events.LinkChanged(name=name, link=link):
                    self._linkChanged(name, link)
                case events.TransportChanged(deaf=deaf):
                    deadTime = self._own.now().deadTime
                    self.masterDown.deafen(deaf, deadTime)
                    self._readiness.transportChanged(event, candidate.state is MASTER, deadTime)
                case events.HoldEnded(reason=HoldReason.DRAINED):
                    self.draining.holdEnded()
                case events.HoldEnded(reason=reason):
                    self.holds.release(reason)
                case events.Released():
                    self._own.restartPreemptDelay()
                    candidate.decide(event)
                case events.Demoted() | events.Promoted():
                    self._demotions.change(event)
                case events.CheckChanged():
                    self.fitness.changed(event)
                case events.Reconfigured(settings=settings):
                    self._reconfigured(dict(settings))
                case events.SetTakesOver():
                    candidate.decide(event)
                    self.draining.returned()
                case events.MasterVanished():
                    # It may have been heard meanwhile.
                    if self.probing.losses and not self.holds:
                        candidate.decide(event)
                case events.Claimed():
                    if not self.holds:
                        candidate.decide(event)
                case events.ResignAsked(actor=actor):
                    if candidate.state is MASTER:
                        self.leaving.resign(HoldReason.RESIGNED, RESIGNATION, actor=actor)
                case events.StepFailed(name=name):
                    if not candidate.isLeaving:
                        self.transportChanged()  # there is no event when IPv6 is switched off
                        self.leaving.resign(HoldReason.UNFIT, self._damping.failed(name), name)
                case events.GivenBack():
                    self.leaving.givenBack(event)
                    if not candidate.isLeaving:
                        self.fitness.settle()  # the health checks may have changed meanwhile
                    self.draining.givenBack(event.reason)
                case events.HandOverEnded(hasLooked=False) if not self.draining.master:
                    self._readFirst(attrs.evolve(event, hasLooked=True))
                case (
                    events.DrainAsked()
                    | events.ResumeAsked()
                    | events.HandOverEnded()
                    | events.DrainDecided()
                ):
                    self.draining.happened(event)
                case events.StopAsked(actor=actor):
                    self._stop(actor)
                case events.Stopped():
                    candidate.decide(event)
                    self.leaving.leftElection()
                case events.SetSlept(pause=pause):
                    if candidate.state is MASTER:
                        candidate.decide(events.Slept(pause))
                case events.FitnessAsked() | events.Slept():
                    pass  # the check for a pause is all that they ask for
                case _:
                    candidate.decide(event)
            if self.probing.isOn:
                self.probing.settle(candidate.state is BACKUP)
        except Exception:
            self._log.failure("Internal error: {event} was handled only in part", event=event)

    def _readFirst(self, event: Event) -> None:
        """
        Have the packets handled that wait in the sockets, and the event after them.
        """
        later = event, *self._events
        self._events.clear()
        self._readUnread()
        self._events.extend(later)

    def _readUnread(self) -> None:
        """
        Handle the packets that wait in the sockets.
        """
        for channel in self._channels.values():
            channel.transport.readUnread()

    # Packets.

    def packetReceived(self, packet: Packet) -> None:
        firewall = self._firewalls.get(packet.family)
        if firewall is not None:
            isMaster = self.candidate.state is MASTER
            if isMaster or firewall.watching:
                # A master usually hears no other host.
                firewall.passed(packet, expectsSilence=isMaster)
            else:
                firewall.lastPassed = self._platform.clock.seconds()
            steady = self._platform.pauseSeconds()
            self.tell(self._reception.read(packet, steady), steady)

    def packetFiltered(self, packet: Packet) -> None:
        firewall = self._firewalls.get(packet.family)
        if firewall is not None:
            firewall.seen(packet)

    def transportChanged(self) -> None:
        self.tell(survey(self._channels.values()))

    def _readInFront(self, packet: Packet) -> bool:
        """
        Read a packet that only the socket in front of the firewall received.

        @return: Whether it is a good advertisement that this host should have received.
        """
        self.tell(event := self._reception.read(packet, self._platform.pauseSeconds()))
        return isinstance(event, Heard) and self._readiness.works

    def _heard(self, event: Heard) -> None:
        peer = event.peer
        self._memory.received += 1
        self._memory.traffic[peer.family].received += 1
        self.advertiser.counter.last = event.counter
        if self._beats is not None and not self._begins(event, self._beats):
            return
        isMaster = self.candidate.state is MASTER
        if not peer.isBowOut:
            if isMaster or not event.expected or event.hasLapsed:
                self._diagnostics.heard(event, self._own.now() if isMaster else None)
            now = self._platform.clock.seconds()
            if isMaster:
                self._contested(peer.source, now)
            new = self._memory.peers.heard(event, now)
            if not isMaster:
                timeline = self._memory.chronicle.timeline
                if peer.source != timeline.other:
                    timeline.heard(peer.source, new)
                if new is not None:
                    self._memory.chronicle.otherMaster(new)
            # Without seals, an attacker could fill the list with invented hosts.
            if self._follows and (event.sealed or not self._seals):
                self._channels[peer.family].follow(peer.source)
        else:
            self._memory.peers.left(peer.source)
            self._memory.chronicle.timeline.left(peer.source)
        if self.candidate.isOld():
            event = attrs.evolve(event, isOld=True)
        self.candidate.decide(event)
        if self.probing.isOn and not event.isOld:
            self.probing.heard(peer, self._own.now(peer).patience(peer))
        if event.isAhead and isMaster and self.candidate.state is MASTER:
            # The group refused all advertisements of this host until now.  The other host is
            # master only because of that.
            self.candidate.advertise()
        if self.draining.isWatching:
            self.draining.heard(peer)
        if not peer.isBowOut and self.mastership.handOver.isWaiting:
            self.mastership.handOver.successorHeard()

    def _contested(self, source: bytes, now: float) -> None:
        """
        Count the time since the last advertisement of another master, unless this host was not
        master then, or the other one has been silent meanwhile.
        """
        last = self._memory.peers.last(source)
        if last is not None and last.heard >= self._memory.changes[-1][0]:
            seconds = now - last.heard
            if seconds < 3 * last.timing.interval:
                self._memory.contested += seconds

    def _begins(self, event: Heard, beats: Beats) -> bool:
        """
        Whether an advertisement says something new, and not in another form what its sender has
        just said.
        """
        if not beats.begins(event, self._platform.clock.seconds()):
            self.candidate.isOld()  # it may have been the last packet of those that are old
            return False
        if not event.peer.isBowOut and beats.isBehind(event.peer.source):
            self._diagnostics.found(Finding.OTHER_KEY, event.peer.source, event.pair)
        return True

    def formsOf(self, source: bytes) -> tuple[str, ...]:
        """
        The labels of the forms in which a host advertised last; none if this host knows one only.
        """
        return () if self._beats is None else self._beats.forms(source)

    # Links.

    def linkChanged(self, name: str, link: Link | None) -> None:
        self.tell(events.LinkChanged(name, link))

    def _linkChanged(self, name: str, link: Link | None) -> None:
        isOwn = name == self._configuration.interface
        if isOwn and self._readiness.changed(link) and self.candidate.state is MASTER:
            self.mastership.announceAgain()  # the cable may be in another switch now
        if name in self._demotions.tracked:
            self._demotions.linkChanged(name, link)

    # Settings.

    def _reconfigured(self, settings: dict[str, Any]) -> None:
        new = self._configuration = attrs.evolve(self._configuration, **settings)
        self._follows = new.followPeers
        keyring = keyringOf(new)
        for adoptKeys in (self._sealing.adopt, self.advertiser.adopt, self._reception.adopt):
            adoptKeys(new, keyring)
        if not KEYS.isdisjoint(settings):
            self._beats = _beatsFor(keyring)
        for adopt in (
            *(channel.adopt for channel in self._channels.values()),
            *(firewall.adopt for firewall in self._firewalls.values()),
            *(self._own.adopt, self._roles.adopt, self._damping.adopt, self._diagnostics.adopt),
            *(self.candidate.adopt, self.masterDown.adopt, self.mastership.adopt),
            *(self._readiness.adopt, self.leaving.adopt, self.lastWill.adopt, self.probing.adopt),
        ):
            adopt(new)
        self._demotions.adopt(new, self._platform.links.link)
        self.fitness.adopt(new)
        if self.candidate.state is MASTER and not ADVERTISED.isdisjoint(settings):
            self.candidate.advertise()
        self._watch(dict.fromkeys((new.interface, *self._demotions.tracked)))

    def _watch(self, names: Mapping[str, None]) -> None:
        """
        Watch the links of these interfaces, and of no others.
        """
        before, self._watched = self._watched, dict(names)
        for name in before:
            if name not in names:
                self._platform.links.unwatch(name, self)
        for name in names:
            if name not in before:
                self._platform.links.watch(name, self)

    # Leaving.

    def _stop(self, actor: Actor | None) -> None:
        self._watch({})
        self.fitness.stop()
        self.draining.stop()
        self.probing.stop()
        self.holds.stop()
        self._damping.stop()
        self._readiness.stop()
        self.leaving.leave(self._close, actor).chainDeferred(self._left)

    def _close(self) -> Deferred[None]:
        saved = self._sealing.stop()
        self.lastWill.close()
        for channel in self._channels.values():
            channel.transport.deliverTo(None)
        for firewall in self._firewalls.values():
            firewall.stop()
        self._firewalls.clear()
        return saved


def _beatsFor(keyring: Keyring) -> Beats | None:
    """
    What recognises one statement in several forms; C{None} if there is one form only.
    """
    return Beats() if len(keyring.forms) > 1 else None
