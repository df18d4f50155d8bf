"""
All parts of one run of a virtual host, and what each of them is given.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial

import attrs
from twisted.internet.defer import Deferred

from txcarp.change import Readiness
from txcarp.checks.health import HealthCheck
from txcarp.configuration.difference import KEYS
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.findings import Finding
from txcarp.interfaces import (
    IAdvertisementTransport,
    IDiagnosisObserver,
    IMastershipObserver,
    IMastershipStep,
    IPlatform,
    ITrace,
)
from txcarp.mastership.mastership import Mastership
from txcarp.membership.advertiser import Advertiser
from txcarp.membership.beats import Beats
from txcarp.membership.candidate import Candidate, OwnStanding
from txcarp.membership.channel import Channel, haveUnread, survey
from txcarp.membership.demotions import Demotions
from txcarp.membership.diagnostics import Diagnostics
from txcarp.membership.draining import Draining
from txcarp.membership.firewall import FirewallWatch
from txcarp.membership.fitness import Fitness
from txcarp.membership.holds import Damping, Holds
from txcarp.membership.lastwill import LastWill
from txcarp.membership.leaving import Leaving
from txcarp.membership.memory import Memory
from txcarp.membership.needs import Needs
from txcarp.membership.probing import Probing
from txcarp.membership.reception import Reception, keyringOf
from txcarp.membership.record import Record
from txcarp.membership.roles import Roles
from txcarp.membership.sealing import Sealing
from txcarp.membership.timers import MasterDown, tolerated
from txcarp.occurrences import OccurrenceKind
from txcarp.protocol.authentication import Keyring
from txcarp.protocol.demotion import DemotionLedger
from txcarp.protocol.effects import Reason, Role
from txcarp.protocol.election import Standing
from txcarp.protocol.envelope import Packet
from txcarp.protocol.events import Event, FitnessAsked, Heard
from txcarp.protocol.family import Family

#: Seconds until another master is saved, at most.  The first moments after a take-over have more
#: important work.
_SOON = 5.0


@attrs.define
class Additions:
    """
    What other programs have added to a virtual host.  They may add more during a run, except for
    steps.

    @ivar before: Steps to acquire before the addresses.
    @ivar after: Steps to acquire after everything else.
    @ivar checks: Health checks besides those of the configuration.
    @ivar observers: Called with each change of role.
    @ivar diagnosisObservers: Called with each finding.
    @ivar trace: Gets each event and effect; C{None} for none.
    """

    before: list[IMastershipStep] = attrs.field(factory=list)
    after: list[IMastershipStep] = attrs.field(factory=list)
    checks: list[HealthCheck] = attrs.field(factory=list)
    observers: list[IMastershipObserver] = attrs.field(factory=list)
    diagnosisObservers: list[IDiagnosisObserver] = attrs.field(factory=list)
    trace: ITrace | None = None


class Parts:
    """
    What a virtual host consists of while it takes part in its group.

    @ivar tell: The door: handles an event.
    @ivar channels: The source, the destinations and the audience in each family.
    @ivar ledger: The reasons why this host is demoted.
    @ivar holds: The reasons why this host is out of the election.
    @ivar damping: Holds a host that flaps, for longer and longer.
    @ivar needs: Holds this host while its interface does not work, or it lacks something else.
    @ivar sealing: Makes and checks seals.
    @ivar advertiser: Sends the advertisements.
    @ivar demotions: Changes the L{ledger}.
    @ivar reception: Reads packets.
    @ivar firewalls: Notices in each family that the firewall drops advertisements of peers.
    @ivar diagnostics: Counts and explains the faults between the hosts of the group.
    @ivar masterDown: The deadline after which this host takes over.
    @ivar own: The facts about this host, for the election.
    @ivar roles: Logs changes of role, and tells observers.
    @ivar lastWill: What the guard gives back if this process dies or hangs.
    @ivar mastership: The steps that are acquired on becoming master.
    @ivar candidate: Carries out the decisions of the election.
    @ivar probing: Asks the host of the master whether it is there.
    @ivar leaving: Hands mastership over, and leaves the group.
    @ivar fitness: The health checks.
    @ivar draining: Keeps this host out of the election for an administrator.
    @ivar beats: Recognises what a host says once more in another form; C{None} if there is one
        form only.
    """

    def __init__(
        self,
        configuration: VirtualHostConfiguration,
        platform: IPlatform,
        transports: Mapping[Family, IAdvertisementTransport],
        memory: Memory,
        added: Additions,
        tell: Callable[[Event], None],
    ) -> None:
        """
        @param transports: The transport of each family in which to take part.
        @param added: What other programs have added.
        """
        clock = platform.clock
        keyring = keyringOf(configuration)
        self.tell = tell
        self._platform = platform
        self._memory = memory
        self.channels = {
            family: Channel(configuration, family, transport)
            for family, transport in transports.items()
        }
        channels = self.channels.values()
        self.ledger = DemotionLedger(memory.demotions)
        self.holds = Holds(clock, tell, memory.chronicle)
        self.damping = Damping(configuration, clock, self.holds)
        self.needs = Needs(configuration, clock, self.holds, self.survey)
        record = Record(configuration, memory, platform)
        memory.chronicle.timeline.changed = partial(record.changed, _SOON)
        self.sealing = Sealing(configuration, keyring, memory, platform, record)
        self.advertiser = Advertiser(
            configuration, keyring, self.sealing, self.ledger, channels, platform.random, memory
        )
        self.demotions = Demotions(configuration, self.ledger, self.advertiser, memory, tell)
        self.reception = Reception(
            configuration, self.channels, keyring, self.sealing, self.advertiser
        )
        self.firewalls = {
            family: FirewallWatch(clock, channel, configuration, self._readInFront, memory.limits)
            for family, channel in self.channels.items()
        }
        self.diagnostics = Diagnostics(configuration, clock, memory, added.diagnosisObservers)
        unread = partial(haveUnread, channels)
        self.masterDown = MasterDown(
            clock,
            self.channels,
            tell,
            unread,
            self.readUnread,
            platform.pauseSeconds,
            tolerated=tolerated(configuration),
            anyFamily=configuration.anyFamily,
        )
        self.own = OwnStanding(
            configuration,
            clock,
            self.channels,
            self.advertiser,
            self.ledger,
            self.holds,
            memory.peers,
        )
        self.roles = Roles(configuration, clock, memory, added.observers)
        found = self.diagnostics.found  # one bound method for all
        guardEnded = partial(found, Finding.GUARD_ENDED)
        self.lastWill = LastWill(platform, self.advertiser, guardEnded)
        self.mastership = Mastership(
            configuration,
            platform,
            before=added.before,
            after=added.after,
            tell=tell,
            fit=self.isFit,
            interval=lambda: self.advertiser.interval,
            ready=lambda change, readiness: self.roles.notifyReadiness(
                change, readiness, self.mastership.failed
            ),
            found=found,
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
            tell,
            own=self.own,
            advertiser=self.advertiser,
            holds=self.holds,
            damping=self.damping,
            masterDown=self.masterDown,
            firewalls=self.firewalls,
            diagnostics=self.diagnostics,
            roles=self.roles,
            mastership=self.mastership,
            will=self.lastWill,
            memory=memory,
            trace=added.trace,
        )
        self.probing = Probing(
            configuration,
            platform,
            tell,
            found,
            channels=channels,
            advertiser=self.advertiser,
            masterDown=self.masterDown,
            peers=memory.peers,
        )
        self.leaving = Leaving(
            configuration,
            tell,
            candidate=self.candidate,
            holds=self.holds,
            mastership=self.mastership,
            roles=self.roles,
        )
        self.fitness = Fitness(
            configuration,
            platform,
            added.checks,
            self.holds,
            self.demotions,
            tell,
            self.leaving.resign,
            memory.chronicle,
        )
        self.draining = Draining(
            configuration,
            platform,
            tell,
            memory,
            record,
            own=self.own,
            candidate=self.candidate,
            holds=self.holds,
            leaving=self.leaving,
            mastership=self.mastership,
            diagnostics=self.diagnostics,
        )
        self.beats = _beatsFor(keyring)

    def adopt(self, configuration: VirtualHostConfiguration, settings: Collection[str]) -> None:
        """
        Follow other settings.

        @param settings: The names of those that have changed.
        """
        keyring = keyringOf(configuration)
        for adoptKeys in (self.sealing.adopt, self.advertiser.adopt, self.reception.adopt):
            adoptKeys(configuration, keyring)
        if not KEYS.isdisjoint(settings):
            self.beats = _beatsFor(keyring)
        for adopt in (
            *(channel.adopt for channel in self.channels.values()),
            *(firewall.adopt for firewall in self.firewalls.values()),
            *(self.own.adopt, self.roles.adopt, self.damping.adopt, self.diagnostics.adopt),
            *(self.candidate.adopt, self.masterDown.adopt, self.mastership.adopt),
            *(self.needs.adopt, self.leaving.adopt, self.lastWill.adopt, self.probing.adopt),
        ):
            adopt(configuration)
        self.demotions.adopt(configuration, self._platform.links.link)
        self.fitness.adopt(configuration)

    def stop(self) -> None:
        """
        Cancel all timers but those of a master.
        """
        for part in (
            *(self.fitness, self.draining, self.probing),
            *(self.holds, self.damping, self.needs),
        ):
            part.stop()

    def close(self) -> Deferred[None]:
        """
        Send and receive no more.

        @return: Fires when the state of the seals is saved.
        """
        saved = self.sealing.stop()
        self.lastWill.close()
        for channel in self.channels.values():
            channel.transport.deliverTo(None)
        for firewall in self.firewalls.values():
            firewall.stop()
        self.firewalls.clear()
        return saved

    # What several parts need.

    @property
    def role(self) -> Role:
        """
        The present role of this host.
        """
        role: Role = self.candidate.state.role
        return role

    @property
    def isReady(self) -> bool:
        """
        Whether this host is master, and has acquired everything that belongs to that.
        """
        return self.role is Role.MASTER and self.mastership.readiness is Readiness.READY

    @property
    def standing(self) -> Standing:
        """
        The present facts about this host, for the election.
        """
        return self.own.now()

    def isFit(self) -> bool:
        """
        Whether this host is a healthy master: it did not sleep, nothing keeps it out of the
        election, and its last advertisement was sent.
        """
        self.tell(FitnessAsked())
        return self.candidate.isFit

    def survey(self) -> None:
        """
        Find out what this host can send and hear.
        """
        self.tell(survey(self.channels.values()))

    def readUnread(self) -> None:
        """
        Handle the packets that wait in the sockets.
        """
        for channel in self.channels.values():
            channel.transport.readUnread()

    def _readInFront(self, packet: Packet) -> bool:
        """
        Read a packet that only the socket in front of the firewall received.

        @return: Whether it is a good advertisement that this host should have received.
        """
        self.tell(event := self.reception.read(packet, self._platform.pauseSeconds()))
        return isinstance(event, Heard) and self.needs.works

    def formsOf(self, source: bytes) -> tuple[str, ...]:
        """
        The labels of the forms in which a host advertised last; none if this host knows one only.
        """
        return () if self.beats is None else self.beats.forms(source)

    # What a set needs.

    @property
    def isMasterSilent(self) -> bool:
        """
        Whether this backup has not heard the master for the dead time, or the host of the master
        is gone.
        """
        return self.masterDown.hasPassed or bool(self.probing.losses)

    @property
    def lastLoss(self) -> str:
        """
        Why this host is not master any more, for reasons of its own; an empty string if its set
        was the reason, or it has not been master.
        """
        change = self._memory.changes[-1][1] if self._memory.changes else None
        isLoss = change is not None and change.previous is Role.MASTER
        return change.explain() if change and isLoss and change.reason is not Reason.SYNC else ""

    def insist(self, insists: bool) -> None:
        """
        Advertise as more preferred than every other host from now on, or no longer.
        """
        if self.advertiser.insist(insists):
            self.own.forget()


def _beatsFor(keyring: Keyring) -> Beats | None:
    """
    What recognises one statement in several forms; C{None} if there is one form only.
    """
    return Beats() if len(keyring.forms) > 1 else None
