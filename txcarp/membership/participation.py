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
from twisted.logger import Logger
from zope.interface import implementer

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
from txcarp.membership.candidate import Candidate, OwnStanding
from txcarp.membership.channel import Channel
from txcarp.membership.demotions import Demotions
from txcarp.membership.diagnosis import Diagnostics
from txcarp.membership.firewall import FirewallWatch
from txcarp.membership.holds import Damping, Holds
from txcarp.membership.memory import Memory
from txcarp.membership.ownlink import OwnLink
from txcarp.membership.reception import Reception
from txcarp.membership.roles import Roles
from txcarp.membership.sealing import Sealing
from txcarp.membership.timers import MasterDown, Rhythm
from txcarp.protocol import effects, events
from txcarp.protocol.authentication import CURRENT, Keyring
from txcarp.protocol.demotion import DemotionLedger
from txcarp.protocol.effects import Reason, Role
from txcarp.protocol.election import MASTER
from txcarp.protocol.envelope import Packet
from txcarp.protocol.events import Event, Heard, HoldReason
from txcarp.protocol.family import Family
from txcarp.protocol.seal import Verification
from txcarp.protocol.timing import LEAVING

#: Seconds for which a host that was asked to hand over hears nothing, as in
#: ucarp: the time in which another host takes over.
RESIGNATION = 3.0


@implementer(ILinkObserver, IPacketReceiver)
class Participation:
    """
    Everything that a virtual host has only while it takes part in its group.

    @ivar candidate: Its place in the election.
    @ivar holds: What keeps it out of the election.
    @ivar ledger: Why it is demoted.
    @ivar advertiser: Sends its advertisements.
    @ivar masterDown: When it takes over if nothing is heard.
    @ivar mastership: What being master means for it.
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
        self._events: deque[Event] = deque()
        self._telling = False
        self._configuration = configuration
        self._platform = platform
        self._clock = clock
        self._memory = memory
        self._channels = {
            family: Channel(configuration, family, transport)
            for family, transport in transports.items()
        }
        channels = self._channels.values()
        self.ledger = DemotionLedger(memory.demotions)
        self.holds = Holds(clock, self.tell)
        self._damping = Damping(configuration, clock, self.holds)
        self._ownLink = OwnLink(configuration, platform.links, self.holds)
        self._sealing = Sealing(
            configuration,
            keyring,
            memory,
            running=platform.pauseSeconds,
            wall=platform.wallSeconds,
            store=platform.store,
        )
        self.advertiser = Advertiser(
            configuration, keyring, self._sealing, self.ledger, channels, platform.random, memory
        )
        self._demotions = Demotions(
            configuration, self.ledger, self.advertiser, memory, self.tell
        )
        self._reception = Reception(
            configuration, self._channels, keyring, self._sealing, self.advertiser
        )
        self._firewalls = {
            family: FirewallWatch(
                clock, transport, family, configuration, self._readBehind, memory.limits
            )
            for family, transport in transports.items()
        }
        self._diagnostics = Diagnostics(configuration, clock, memory, diagnosisObservers)
        self.masterDown = MasterDown(
            clock,
            self._channels,
            self.tell,
            self._hasUnread,
            anyFamily=configuration.anyFamily,
        )
        self._own = OwnStanding(
            configuration, clock, self._channels, self.advertiser, self.ledger, self.holds
        )
        self._roles = Roles(configuration, clock, memory, observers)
        self.mastership = Mastership(
            configuration,
            platform,
            before=before,
            after=after,
            fit=self.isFit,
            interval=lambda: self.advertiser.interval,
            failed=lambda name: self.tell(events.StepFailed(name)),
            limits=memory.limits,
        )
        self.candidate = Candidate(
            configuration,
            clock,
            self.tell,
            own=self._own,
            advertiser=self.advertiser,
            holds=self.holds,
            damping=self._damping,
            masterDown=self.masterDown,
            rhythm=Rhythm(clock, self.tell, platform.pauseSeconds),
            firewalls=self._firewalls,
            diagnostics=self._diagnostics,
            roles=self._roles,
            mastership=self.mastership,
            limits=memory.limits,
            trace=trace,
        )
        self._watched = dict.fromkeys((configuration.interface, *self._demotions.tracked))
        self._follows = configuration.followPeers
        self._seals = configuration.verification is not Verification.OFF
        self._resigning = False
        self._left: Deferred[None] = Deferred()

    @property
    def role(self) -> Role:
        role: Role = self.candidate.state.role
        return role

    def start(self) -> None:
        """
        Take part.
        """
        for channel in self._channels.values():
            channel.transport.deliverTo(self)
        for firewall in self._firewalls.values():
            firewall.start()
        self._ownLink.start()
        if self._configuration.startDelay is not None:
            self.holds.hold(HoldReason.STARTING, self._configuration.startDelay)
        self.hearingChanged()
        self.tell(events.Started())
        for name in self._watched:
            self._platform.links.watch(name, self)

    def stop(self) -> Deferred[None]:
        """
        Leave; a master gives back what it took.

        @return: Fires when that is done, and what this host knows is saved.
        """
        self.tell(events.StopAsked())
        return self._left

    def isFit(self) -> bool:
        """
        Whether this host is a master in good order: it did not sleep, nothing
        holds it back, and its last advertisement left.
        """
        self.tell(events.FitnessAsked())
        return self.candidate.isFit

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
                if self.candidate.state is MASTER:
                    self.candidate.findPause()
                if self.candidate.trace is not None:
                    self.candidate.trace.happened(event)
                try:
                    self._handle(event)
                except Exception:
                    self._log.failure("{event} was not dealt with in full", event=event)
        finally:
            self._telling = False

    def _handle(self, event: Event) -> None:
        match event:
            case Heard():
                self._heard(event)
            case events.Refused():
                self._diagnostics.refused(event)
            case events.BeatDue():
                self.candidate.beat()
            case events.LinkChanged(name=name, link=link):
                self._linkChanged(name, link)
            case events.HearingChanged(deaf=deaf):
                self.masterDown.deafen(deaf, self._own.now().deadTime)
                self._ownLink.hearingChanged(len(deaf) < len(self._channels))
            case events.HoldEnded(reason=reason):
                self.holds.release(reason)
            case events.Released():
                self._own.backupAgain()
                self.candidate.decide(event)
            case events.Demoted(reason=reason, amount=amount):
                self._demotions.demote(reason, amount)
            case events.Promoted(reason=reason):
                self._demotions.promote(reason)
            case events.Claimed():
                if not self.holds:
                    self.candidate.decide(event)
            case events.ResignAsked():
                if self.candidate.state is MASTER:
                    self._resign(HoldReason.RESIGNED, RESIGNATION)
            case events.StepFailed(name=name):
                self._stepFailed(name)
            case events.GivenBack(reason=reason, seconds=seconds):
                self._givenBack(reason, seconds)
            case events.StopAsked():
                self._stop()
            case events.FitnessAsked():
                pass
            case _:
                self.candidate.decide(event)

    # Packets.

    def _hasUnread(self) -> bool:
        unread = False
        for channel in self._channels.values():
            unread = unread or channel.transport.hasUnread()
        return unread

    def packetReceived(self, packet: Packet) -> None:
        """
        The raw socket has a packet.
        """
        firewall = self._firewalls.get(packet.family)
        if firewall is None:
            return
        # A master expects to hear nobody: silence says nothing about its firewall.
        isMaster = self.candidate.state is MASTER
        if isMaster or firewall.watching:
            firewall.passed(packet, expectsSilence=isMaster)
        else:
            firewall.lastPassed = self._clock.seconds()
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
        self.tell(events.HearingChanged(frozenset(deaf)))

    def _readBehind(self, packet: Packet) -> bool:
        """
        Read a packet that the raw socket did not get.

        @return: Whether it was a good advertisement.
        """
        event = self._reception.read(packet)
        self.tell(event)
        return isinstance(event, Heard)

    def _heard(self, event: Heard) -> None:
        peer = event.peer
        self._memory.received += 1
        self.advertiser.counter.last = event.counter
        isMaster = self.candidate.state is MASTER
        leaving = peer.timing == LEAVING
        if not leaving:
            if isMaster or event.pair != CURRENT:
                self._diagnostics.heard(event, self._own.now() if isMaster else None)
            self._memory.peers.heard(event, self._clock.seconds())
            # Without a seal an attacker can name as many as there is room for.
            if self._follows and (event.sealed or not self._seals):
                self._channels[peer.family].follow(peer.source)
        if event.isAhead and isMaster:
            # Nobody believed what this host sent until now, and another host is master
            # for that reason.
            self.candidate.advertise()
        self.candidate.decide(event)
        if not leaving and self.mastership.handOver.isWaiting:
            self.mastership.handOver.successorHeard()  # which may be the end of this run

    # Its interfaces.

    def linkChanged(self, name: str, link: Link | None) -> None:
        """
        An interface came, went or changed.
        """
        self.tell(events.LinkChanged(name, link))

    def _linkChanged(self, name: str, link: Link | None) -> None:
        isOwn = name == self._configuration.interface
        if isOwn and self._ownLink.changed(link) and self.candidate.state is MASTER:
            self.mastership.announceAgain()  # the cable may be in another switch now
        if name in self._demotions.tracked:
            self._demotions.linkChanged(name, link)

    # Handing over.

    def _stepFailed(self, name: str) -> None:
        """
        A required step failed: a master that does not work must not be one.
        """
        if self.candidate.isLeaving:
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
        if not self._configuration.releaseFirst or self.candidate.state is not MASTER:
            self._handOver(reason, seconds)
        elif not self._resigning:
            self._resigning = True
            effect = effects.ChangeRole(Role.BACKUP, _REASONS[reason])
            change = self._roles.change(effect, Role.MASTER)
            self.mastership.release(change).addBoth(
                lambda _: self.tell(events.GivenBack(reason, seconds))
            )

    def _givenBack(self, reason: HoldReason, seconds: float) -> None:
        self._resigning = False
        if self.candidate.isLeaving:
            return
        if self.candidate.state is MASTER and self.mastership.wanted:
            self._resign(reason, seconds)  # it became master once more meanwhile
        elif self.candidate.state is MASTER or reason is HoldReason.UNFIT:
            # Otherwise another host is master by now, without having been asked.
            self._handOver(reason, seconds)

    def _handOver(self, reason: HoldReason, seconds: float) -> None:
        self.holds.hold(reason, seconds, events.Resigned(reason is HoldReason.UNFIT))

    def _stop(self) -> None:
        self.candidate.isLeaving = True
        for name in self._watched:
            self._platform.links.unwatch(name, self)
        self.holds.stop()
        previous = self.role
        if previous is Role.MASTER:
            self._roles.logStop()
        change = self._roles.change(effects.ChangeRole(Role.INIT, Reason.STOPPED), previous)
        self._roles.notify(change)
        leaving = self.mastership.leave(change, lambda: self.tell(events.Stopped()))
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


_REASONS = {HoldReason.RESIGNED: Reason.RESIGNED, HoldReason.UNFIT: Reason.UNFIT}


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
