"""
A virtual host as a Twisted service.
"""

from __future__ import annotations

from collections import Counter

from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from txcarp.addresses import textOf
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.interfaces import (
    IAdvertisementTransport,
    IDiagnosisObserver,
    IMastershipObserver,
    IMastershipStep,
    IPlatform,
    ITrace,
)
from txcarp.logs.limits import SayOnce
from txcarp.mastership.services import ServiceStep
from txcarp.membership.memory import Memory
from txcarp.membership.participation import Participation
from txcarp.protocol.demotion import FULL_DEMOTION, DemotionLedger
from txcarp.protocol.effects import Role
from txcarp.protocol.events import Claimed, Demoted, Promoted, ResignAsked
from txcarp.protocol.family import Family
from txcarp.status import AddressStatus, HoldStatus, PastChange, PeerStatus, Status

#: Seconds between two log lines that say the same.
_SAY_AGAIN = 60.0


class VirtualHost(Service):
    """
    A set of addresses that several hosts share, seen from one of them.

    It has a L{Memory}, which lives as long as this object, and while it runs one
    L{Participation}, which is made anew for each run.

    @ivar configuration: What it was told to be.
    """

    _log = Logger()

    def __init__(self, configuration: VirtualHostConfiguration, platform: IPlatform) -> None:
        """
        @param platform: What it needs of the machine; opened and closed by its owner.
        """
        self.configuration = configuration
        self.setName(_nameOf(configuration))  # type: ignore[no-untyped-call]
        self._platform = platform
        self._memory = Memory(SayOnce(platform.clock, _SAY_AGAIN))
        self._observers: list[IMastershipObserver] = []
        self._diagnosisObservers: list[IDiagnosisObserver] = []
        self._before: list[IMastershipStep] = []
        self._after: list[IMastershipStep] = []
        self._trace: ITrace | None = None
        #: The transports, and the settings that they were attached with.
        self._attached: tuple[object, dict[Family, IAdvertisementTransport]] | None = None
        self._run: Participation | None = None
        self._leaving = False
        self._stopped: list[Deferred[None]] = []

    # Questions.

    @property
    def role(self) -> Role:
        """
        What this host is in the group now.
        """
        return self._run.role if self._run is not None else Role.INIT

    def status(self) -> Status:
        """
        Everything there is to know about this virtual host at this moment.
        """
        memory, run, configuration = self._memory, self._run, self.configuration
        now = self._platform.clock.seconds()
        ledger = run.ledger if run is not None else DemotionLedger(memory.demotions)
        timing = ledger.apply(configuration.timing, configuration.dialect.highestSkew)
        deadline = run.masterDown.deadline if run is not None else None
        peers = memory.peers.all
        known = self.role is Role.BACKUP and deadline is not None and bool(peers)
        return Status(
            name=_nameOf(configuration),
            interface=configuration.interface,
            vhid=configuration.vhid,
            time=self._platform.wallSeconds(),
            running=run is not None,
            role=self.role,
            since=now - memory.changes[-1][0] if memory.changes else None,
            complete=run is not None and run.mastership.complete,
            master=textOf(peers[-1].source) if known else "",
            peers=[
                PeerStatus(
                    textOf(peer.source),
                    peer.timing,
                    peer.demotion,
                    peer.sealed,
                    peer.pair,
                    now - peer.heard,
                )
                for peer in peers
            ],
            addresses=self._addresses(now),
            holds=[
                HoldStatus(reason, None if (end := run.holds.endOf(reason)) is None else end - now)
                for reason in run.holds
            ]
            if run is not None
            else [],
            demotions=ledger.reasons,
            demotion=ledger.total,
            configured=configuration.timing,
            advertised=timing,
            dialect=configuration.dialect.name,
            deadline=None if deadline is None else max(0.0, deadline - now),
            received=memory.received,
            sent=memory.sent,
            sendErrors=memory.sendErrors,
            rejected=Counter(memory.rejected),
            findings=Counter(memory.findings),
            changes=[PastChange(now - when, change) for when, change in memory.changes],
        )

    def _addresses(self, now: float) -> list[AddressStatus]:
        leases = self._run.mastership.leases if self._run is not None else None
        return [
            AddressStatus(str(address))
            if leases is None
            else AddressStatus(
                str(address),
                leases.holds(address),
                max(0.0, leases.end - now) if leases.holds(address) else None,
            )
            for address in self.configuration.addresses
        ]

    def logStatus(self) -> None:
        """
        Log what this host is, in ucarp's words, and what else there is to say: why it
        takes no part now, why it is demoted, and which peers it heard.
        """
        for line in self.status().lines():
            self._log.info("{line}", line=line)

    # Requests.

    def demote(self, reason: str, amount: int = FULL_DEMOTION) -> None:
        """
        Let a reason for a demotion hold; once is enough.  A master says so at
        once, and hands over if a better host is there.

        @param reason: A name for people and for L{promote}.
        @param amount: What is added to the skew, up to a skew of 240.
        @raise ValueError: If the amount is not from -255 to 255, or there are too many
            reasons.
        """
        run = self._run
        ledger = run.ledger if run is not None else DemotionLedger(self._memory.demotions)
        ledger.check(reason, amount)
        self._memory.demotions[reason] = amount
        if run is not None:
            run.tell(Demoted(reason, amount))

    def promote(self, reason: str) -> None:
        """
        Let a reason for a demotion hold no more; it is no error if it did not.
        """
        self._memory.demotions.pop(reason, None)
        if self._run is not None:
            self._run.tell(Promoted(reason))

    def claim(self) -> None:
        """
        Become master, unless something keeps this host out of the election.  What the
        election says next holds: a better master takes it back.
        """
        if self._active is not None:
            self._active.tell(Claimed())

    def resign(self) -> None:
        """
        Hand over if this host is master, and take no part for a while so that
        another host can take over.  The better host takes the mastership back
        later if its peers are so configured that they let it.
        """
        if self._active is not None:
            self._active.tell(ResignAsked())

    def reconfigure(self, configuration: VirtualHostConfiguration) -> Deferred[None]:
        """
        Be configured differently from now on.  A virtual host that runs leaves its group
        in order and takes part again; what it knows of the group stays.

        @return: Fires when it takes part with the new configuration, or when it is stopped.
        @raise ValueError: If the interface or the number is another one: that is another
            virtual host.
        """
        if _nameOf(configuration) != _nameOf(self.configuration):
            raise ValueError(
                f"{_nameOf(self.configuration)} cannot become {_nameOf(configuration)}: that is "
                "another virtual host"
            )
        if configuration == self.configuration:
            return succeed(None)
        self.configuration = configuration
        if not self.running:
            return succeed(None)
        return self._leave()  # with the new configuration another run begins

    def whileMaster(self, service: IService, *, required: bool = True) -> None:
        """
        Run a service only while this host is master: it starts when the
        addresses are usable, and its end is awaited before they leave.

        @param required: Whether this host must not be master if the service
            does not start.
        @raise RuntimeError: If this virtual host runs already.
        """
        self.addStep(ServiceStep(service, required=required))

    def addStep(self, step: IMastershipStep, *, beforeAddresses: bool = False) -> None:
        """
        Have one more thing done on becoming and on ceasing to be master: after
        everything else, or before the addresses appear.

        @raise RuntimeError: If this virtual host runs already.
        """
        if self.running:
            raise RuntimeError("steps are added before the virtual host starts")
        (self._before if beforeAddresses else self._after).append(step)

    def addObserver(self, observer: IMastershipObserver) -> None:
        """
        Tell an observer about each change of role from now on.
        """
        self._observers.append(observer)

    def removeObserver(self, observer: IMastershipObserver) -> None:
        """
        Tell an observer nothing more.

        @raise ValueError: If it was not told anything.
        """
        self._observers.remove(observer)

    def addDiagnosisObserver(self, observer: IDiagnosisObserver) -> None:
        """
        Tell an observer about each fault of the group from now on.
        """
        self._diagnosisObservers.append(observer)

    def removeDiagnosisObserver(self, observer: IDiagnosisObserver) -> None:
        """
        Tell an observer nothing more.

        @raise ValueError: If it was not told anything.
        """
        self._diagnosisObservers.remove(observer)

    def follow(self, trace: ITrace | None) -> None:
        """
        Have a trace follow each event and each effect from now on; C{None} for none.
        """
        self._trace = trace
        if self._run is not None:
            self._run.candidate.trace = trace

    # Service.

    def privilegedStartService(self) -> None:
        """
        Open the sockets.

        @raise OSError: If this process may not.
        """
        self._attach()

    def startService(self) -> None:
        """
        Take part in the group.
        """
        if self.running:
            return
        if self._run is None:
            self._attach()  # if that fails this was no start
        Service.startService(self)
        if self._run is None:  # otherwise it begins when that run has ended
            self._begin()

    def stopService(self) -> Deferred[None]:
        """
        Leave the group; a master gives back what it took.

        @return: Fires when that is done.
        """
        Service.stopService(self)
        if self._run is None:
            self._detach()
            return succeed(None)
        return self._leave()

    @property
    def _active(self) -> Participation | None:
        """
        The run, unless it is leaving.
        """
        return None if self._leaving else self._run

    def _begin(self) -> None:
        self._run = Participation(
            self.configuration,
            self._platform,
            self._attach(),
            self._memory,
            before=self._before,
            after=self._after,
            observers=self._observers,
            diagnosisObservers=self._diagnosisObservers,
            trace=self._trace,
        )
        self._run.start()

    def _leave(self) -> Deferred[None]:
        """
        End the run.

        @return: Fires when it ended, and the next one began if there is to be one.
        """
        stopped: Deferred[None] = Deferred()
        self._stopped.append(stopped)
        if self._run is not None and not self._leaving:
            self._leaving = True
            self._run.stop().addCallback(self._left)
        return stopped

    def _left(self, result: None) -> None:
        self._run = None
        self._leaving = False
        if self.running:
            # With the sockets that are open: the privileges to open them may be gone.
            try:
                self._begin()
            except Exception:
                self._log.failure("{name} cannot take part in its group again", name=self.name)
        else:
            self._detach()
        stopped, self._stopped = self._stopped, []
        for one in stopped:
            one.callback(None)

    def _attach(self) -> dict[Family, IAdvertisementTransport]:
        """
        Open what advertisements leave and arrive by, if it is not open as configured.
        """
        configuration = self.configuration
        settings = (
            configuration.families,
            configuration.group,
            configuration.group6,
            configuration.broadcast,
            configuration.virtualMAC,
        )
        if self._attached is not None:
            if self._attached[0] == settings:
                return self._attached[1]
            self._detach()
        network = self._platform.network
        transports: dict[Family, IAdvertisementTransport] = {}
        try:
            for family in configuration.families:
                isIPv4 = family is Family.IPV4
                transports[family] = network.attach(
                    configuration.interface,
                    configuration.vhid,
                    configuration.group if isIPv4 else configuration.group6,
                    configuration.broadcast and isIPv4,
                    configuration.virtualMAC,
                )
        except BaseException:
            if transports:
                network.detach(configuration.interface, configuration.vhid)
            raise
        self._attached = settings, transports
        return transports

    def _detach(self) -> None:
        if self._attached is not None:
            self._attached = None
            self._platform.network.detach(self.configuration.interface, self.configuration.vhid)


def _nameOf(configuration: VirtualHostConfiguration) -> str:
    return f"{configuration.interface}:{configuration.vhid}"
