"""
One run of a virtual host, from its start to its stop.

Every event (L{txcarp.protocol.events}) enters through L{Participation.tell}.  First of all it
finds out whether this host slept.  Then the election decides, and the effects are carried out in
order; events that the election does not know are handled here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from txcarp.configuration.difference import ADVERTISED
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.findings import Finding
from txcarp.interfaces import (
    IAdvertisementTransport,
    ILinkObserver,
    IPacketReceiver,
    IPlatform,
)
from txcarp.links import Link
from txcarp.membership.beats import Beats
from txcarp.membership.candidate import note
from txcarp.membership.leaving import RESIGNATION
from txcarp.membership.memory import Memory
from txcarp.membership.parts import Additions, Parts
from txcarp.protocol import events
from txcarp.protocol.actor import Actor
from txcarp.protocol.election import BACKUP, MASTER
from txcarp.protocol.envelope import Packet
from txcarp.protocol.events import Event, Heard, HoldReason
from txcarp.protocol.family import Family
from txcarp.protocol.rejection import Rejection
from txcarp.protocol.seal import Verification


@implementer(ILinkObserver, IPacketReceiver)
class Participation:
    """
    A virtual host while it takes part in its group.

    @ivar parts: Its parts.
    """

    _log = Logger()

    def __init__(
        self,
        configuration: VirtualHostConfiguration,
        platform: IPlatform,
        transports: Mapping[Family, IAdvertisementTransport],
        memory: Memory,
        added: Additions,
    ) -> None:
        """
        @param transports: The transport of each family in which to take part.
        @param added: What other programs have added.
        """
        self._configuration = configuration
        self._platform = platform
        self._memory = memory
        self._events: list[Event] = []  # an empty deque takes ten times the memory
        self._telling = False
        #: Fires when this host has left its group.
        self._left: Deferred[None] = Deferred()
        self._follows = configuration.followPeers
        self._seals = configuration.verification is not Verification.OFF
        self._watched: dict[str, None] = {}
        self.parts = Parts(configuration, platform, transports, memory, added, self.tell)

    def start(self) -> None:
        """
        Begin to take part.
        """
        parts = self.parts
        for channel in parts.channels.values():
            channel.transport.deliverTo(self)
        for firewall in parts.firewalls.values():
            firewall.watch(True)
        # Until the state of the link is known.
        parts.holds.hold(HoldReason.NO_LINK, provisional=True)
        if self._configuration.startDelay is not None:
            parts.holds.hold(HoldReason.STARTING, self._configuration.startDelay)
        parts.fitness.start()
        parts.draining.start()
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
                self._handle(self._events.pop(0))
        finally:
            self._telling = False
        together = self.parts.candidate.together
        if together is not None:
            together.settle()

    def _handle(self, event: Event, steady: float | None = None) -> None:
        parts = self.parts
        candidate = parts.candidate
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
                    parts.diagnostics.refused(event)
                    candidate.isOld()  # it may have been the last packet of those that are old
                    if event.putsOff:
                        candidate.decide(event)
                case events.BeatDue():
                    candidate.beat()
                case events.DeadlineNear():
                    candidate.rehearse()
                case events.Started():
                    candidate.decide(event)
                    own = self._configuration.interface
                    self._watch(dict.fromkeys((own, *parts.demotions.tracked)))
                case events.LinkChanged(name=name, link=link):
                    self._linkChanged(name, link)
                case events.TransportChanged(deaf=deaf):
                    deadTime = parts.own.now().deadTime
                    parts.masterDown.deafen(deaf, deadTime)
                    parts.needs.transportChanged(event, candidate.state is MASTER, deadTime)
                case events.HoldEnded(reason=HoldReason.DRAINED):
                    parts.draining.holdEnded()
                case events.HoldEnded(reason=reason):
                    parts.holds.release(reason)
                case events.Released():
                    parts.own.restartPreemptDelay()
                    candidate.decide(event)
                case events.Demoted() | events.Promoted():
                    parts.demotions.change(event)
                case events.CheckChanged():
                    parts.fitness.changed(event)
                case events.Reconfigured(settings=settings):
                    self._reconfigured(dict(settings))
                case events.SetTakesOver():
                    candidate.decide(event)
                    parts.draining.returned()
                case events.MasterVanished():
                    # It may have been heard meanwhile.
                    if parts.probing.losses and not parts.holds:
                        candidate.decide(event)
                case events.Claimed():
                    if not parts.holds:
                        candidate.decide(event)
                case events.ResignAsked(actor=actor):
                    if candidate.state is MASTER:
                        parts.leaving.resign(HoldReason.RESIGNED, RESIGNATION, actor=actor)
                case events.StepFailed(name=name):
                    if not candidate.isLeaving:
                        self.transportChanged()  # there is no event when IPv6 is switched off
                        parts.leaving.resign(HoldReason.UNFIT, parts.damping.failed(name), name)
                case events.GivenBack():
                    parts.leaving.givenBack(event)
                    if not candidate.isLeaving:
                        parts.fitness.settle()  # the health checks may have changed meanwhile
                    parts.draining.givenBack(event.reason)
                case events.HandOverEnded(hasLooked=False) if not parts.draining.master:
                    self._readFirst(attrs.evolve(event, hasLooked=True))
                case (
                    events.DrainAsked()
                    | events.ResumeAsked()
                    | events.HandOverEnded()
                    | events.DrainDecided()
                ):
                    parts.draining.happened(event)
                case events.StopAsked(actor=actor):
                    self._stop(actor)
                case events.Stopped():
                    candidate.decide(event)
                    parts.leaving.leftElection()
                case events.SetSlept(pause=pause):
                    if candidate.state is MASTER:
                        candidate.decide(events.Slept(pause))
                case events.FitnessAsked() | events.Slept():
                    pass  # the check for a pause is all that they ask for
                case _:
                    candidate.decide(event)
            if parts.probing.isOn:
                parts.probing.settle(candidate.state is BACKUP)
        except Exception:
            self._log.failure("Internal error: {event} was handled only in part", event=event)

    def _readFirst(self, event: Event) -> None:
        """
        Have the packets handled that wait in the sockets, and the event after them.
        """
        later = event, *self._events
        self._events.clear()
        self.parts.readUnread()
        self._events.extend(later)

    # Packets.

    def packetReceived(self, packet: Packet) -> None:
        parts = self.parts
        firewall = parts.firewalls.get(packet.family)
        if firewall is not None:
            steady = self._platform.pauseSeconds()
            event = parts.reception.read(packet, steady)
            isGood = isinstance(event, Heard) or event.reason is Rejection.DUPLICATE
            isMaster = parts.candidate.state is MASTER
            if isMaster or firewall.watching:
                # A master usually hears no other host.
                firewall.passed(packet, isGood, expectsSilence=isMaster)
            else:
                firewall.lastPassed = self._platform.clock.seconds()
                if isGood:
                    firewall.lastGood = firewall.lastPassed
            self.tell(event, steady)

    def packetFiltered(self, packet: Packet) -> None:
        firewall = self.parts.firewalls.get(packet.family)
        if firewall is not None:
            firewall.seen(packet)

    def transportChanged(self) -> None:
        self.parts.survey()

    def _heard(self, event: Heard) -> None:
        parts, peer = self.parts, event.peer
        self._memory.received += 1
        self._memory.traffic[peer.family].received += 1
        parts.advertiser.counter.last = event.counter
        if parts.beats is not None and not self._begins(event, parts.beats):
            return
        isMaster = parts.candidate.state is MASTER
        if not peer.isBowOut:
            if isMaster or not event.expected or event.hasLapsed:
                parts.diagnostics.heard(event, parts.own.now() if isMaster else None)
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
                parts.channels[peer.family].follow(peer.source)
        else:
            self._memory.peers.left(peer.source)
            self._memory.chronicle.timeline.left(peer.source)
        if parts.candidate.isOld():
            event = attrs.evolve(event, isOld=True)
        parts.candidate.decide(event)
        if parts.probing.isOn and not event.isOld:
            parts.probing.heard(peer, parts.own.now(peer).patience(peer))
        if event.isAhead and isMaster and parts.candidate.state is MASTER:
            # The group refused all advertisements of this host until now.  The other host is
            # master only because of that.
            parts.candidate.advertise()
        if parts.draining.isWatching:
            parts.draining.heard(peer)
        if not peer.isBowOut and parts.mastership.handOver.isWaiting:
            parts.mastership.handOver.successorHeard()

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
            self.parts.candidate.isOld()  # it may have been the last packet that is old
            return False
        if not event.peer.isBowOut and beats.isBehind(event.peer.source):
            self.parts.diagnostics.found(Finding.OTHER_KEY, event.peer.source, event.pair)
        return True

    # Links.

    def linkChanged(self, name: str, link: Link | None) -> None:
        self.tell(events.LinkChanged(name, link))

    def _linkChanged(self, name: str, link: Link | None) -> None:
        parts, isOwn = self.parts, name == self._configuration.interface
        if isOwn and parts.needs.changed(link) and parts.candidate.state is MASTER:
            parts.mastership.announceAgain()  # the cable may be in another switch now
        if name in parts.demotions.tracked:
            parts.demotions.linkChanged(name, link)

    # Settings.

    def _reconfigured(self, settings: dict[str, Any]) -> None:
        new = self._configuration = attrs.evolve(self._configuration, **settings)
        parts = self.parts
        self._follows = new.followPeers
        parts.adopt(new, settings)
        if parts.candidate.state is MASTER and not ADVERTISED.isdisjoint(settings):
            parts.candidate.advertise()
        self._watch(dict.fromkeys((new.interface, *parts.demotions.tracked)))

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
        self.parts.stop()
        self.parts.leaving.leave(self.parts.close, actor).chainDeferred(self._left)
