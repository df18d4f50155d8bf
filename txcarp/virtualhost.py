"""
A virtual host as a Twisted service.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable

from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from txcarp.addresses import textOf
from txcarp.change import Change
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.findings import Finding
from txcarp.interfaces import (
    IAddressTable,
    IDiagnosisObserver,
    ILinkMonitor,
    IMastershipObserver,
    IMastershipStep,
    INetwork,
    IScriptRunner,
    IStateStore,
    IVirtualInterfaces,
)
from txcarp.logs.limits import SayOnce
from txcarp.mastership.services import ServiceStep
from txcarp.membership.channel import Channel
from txcarp.membership.demotions import Demotions
from txcarp.membership.neighbourhood import Neighbourhood
from txcarp.membership.participation import RESIGNATION, Participation, Surroundings
from txcarp.membership.peers import KnownPeer
from txcarp.membership.reception import Heard, Reception
from txcarp.membership.sealing import Sealing
from txcarp.protocol.demotion import FULL_DEMOTION
from txcarp.protocol.effects import Role
from txcarp.protocol.family import Family
from txcarp.protocol.keyring import Keyring
from txcarp.protocol.rejection import Rejection

#: Seconds between two log lines that say the same.
_SAY_AGAIN = 60.0


class VirtualHost(Service):
    """
    A set of addresses that several hosts share, seen from one of them.
    """

    _log = Logger()

    def __init__(
        self,
        configuration: VirtualHostConfiguration,
        *,
        network: INetwork,
        links: ILinkMonitor,
        clock: IReactorTime,
        scripts: IScriptRunner,
        addresses: IAddressTable | None = None,
        virtualInterfaces: IVirtualInterfaces | None = None,
        store: IStateStore | None = None,
        pauseSeconds: Callable[[], float] | None = None,
        wallSeconds: Callable[[], float] = time.time,
        random: Callable[[int], int] = secrets.randbits,
    ) -> None:
        """
        @param addresses: What adds and removes addresses, if the
            configuration asks for it.
        @param virtualInterfaces: What makes interfaces with virtual hardware
            addresses, likewise.
        @param store: What remembers, over a restart, what replays are told by.
        @param pauseSeconds: Seconds on a clock that also counts while the
            machine sleeps; the clock's own if it is not given.
        @param wallSeconds: Seconds since 1970.
        @param random: Draws a number of so many bits.
        """
        self.configuration = configuration
        self.setName(f"{configuration.interface}:{configuration.vhid}")  # type: ignore[no-untyped-call]
        self._surroundings = Surroundings(
            network=network,
            links=links,
            clock=clock,
            scripts=scripts,
            addresses=addresses,
            virtualInterfaces=virtualInterfaces,
            store=store,
            pauseSeconds=pauseSeconds or clock.seconds,
            wallSeconds=wallSeconds,
            random=random,
        )
        self._keyring = _keyring(configuration)
        self._observers: list[IMastershipObserver] = []
        self._before: list[IMastershipStep] = []
        self._after: list[IMastershipStep] = []
        self._sayOnce = SayOnce(clock, _SAY_AGAIN)
        self._neighbourhood = Neighbourhood(configuration, clock, self._sayOnce)
        self._demotions = Demotions(configuration, links, self._demotionChanged)
        self._sealing = Sealing(
            configuration,
            self._keyring,
            clock,
            self._sayOnce,
            running=self._surroundings.pauseSeconds,
            wall=wallSeconds,
            store=store,
            caughtUp=self._caughtUp,
        )
        self._reception = Reception(
            configuration,
            self._keyring,
            self._sealing,
            clock,
            self._sayOnce,
            arrived=self._packetArrived,
            deliver=self._heard,
            refused=self._neighbourhood.refused,
            hearing=self._hearingChanged,
            isEcho=self._isEcho,
            sentLately=self._sentLately,
            expectsSilence=lambda: self.role is Role.MASTER,
        )
        self._channels: list[Channel] = []
        self._waiting: list[Deferred[None]] = []
        self._leaving = False
        self._run: Participation | None = None

    # What others may ask for.

    @property
    def role(self) -> Role:
        """
        What this host is in the group now.
        """
        return self._run.role if self._run is not None else Role.INIT

    @property
    def received(self) -> int:
        """
        How many good advertisements were heard.
        """
        return self._reception.received

    @property
    def rejected(self) -> Counter[Rejection]:
        """
        How many packets were refused, for each reason.
        """
        return self._reception.refusals.counts

    @property
    def sent(self) -> int:
        """
        How many advertisements left in this run.
        """
        return self._run.advertiser.sent if self._run is not None else 0

    @property
    def sendErrors(self) -> int:
        """
        How many advertisements did not leave in this run.
        """
        return self._run.advertiser.failed if self._run is not None else 0

    @property
    def findings(self) -> Counter[Finding]:
        """
        How often each thing that can go wrong in a group was seen.
        """
        return self._neighbourhood.diagnostics.counts

    @property
    def peers(self) -> list[KnownPeer]:
        """
        The other hosts that were heard, the one heard last at the end.
        """
        return self._neighbourhood.peers.all

    @property
    def demotion(self) -> dict[str, int]:
        """
        Why this host is demoted, with the amount of each reason.
        """
        return self._demotions.ledger.reasons

    def demote(self, reason: str, amount: int = FULL_DEMOTION) -> None:
        """
        Let a reason for a demotion hold; once is enough.  A master says so at
        once, and hands over if somebody better is there.

        @param reason: What names it, for people and for L{promote}.
        @param amount: What is added to the skew, up to a skew of 240.
        @raise ValueError: If the amount is not from -255 to 255.
        """
        self._demotions.set(reason, amount)

    def promote(self, reason: str) -> None:
        """
        Let a reason for a demotion hold no more; it is no error if it did not.
        """
        self._demotions.clear(reason)

    def claim(self) -> None:
        """
        Become master if this host is a backup in good order.  What the
        election says next holds: a better master takes it back.
        """
        run = self._active
        if run is not None and not run.candidate.held:
            run.candidate.claim()

    def resign(self) -> None:
        """
        Hand over if this host is master, and take no part for a while so that
        somebody else can take over.  The better host takes the mastership back
        later if its peers are so configured that they let it.
        """
        run = self._active
        if run is not None and run.role is Role.MASTER:
            run.resign(RESIGNATION, unfit=False)

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
        Tell an observer what is seen to go wrong, from now on.
        """
        self._neighbourhood.diagnostics.observers.append(observer)

    def removeDiagnosisObserver(self, observer: IDiagnosisObserver) -> None:
        """
        Tell an observer nothing more.

        @raise ValueError: If it was not told anything.
        """
        self._neighbourhood.diagnostics.observers.remove(observer)

    def logStatus(self) -> None:
        """
        Log one line that says what this host is, in ucarp's words, and what
        else there is to say: why it takes no part now, why it is demoted, and
        who was heard.
        """
        self._log.info(
            "{role} on {interface} id {vhid}",
            role=self.role.value,
            interface=self.configuration.interface,
            vhid=self.configuration.vhid,
        )
        if self._run is not None and self._run.candidate.held:
            self._log.info(
                "Takes no part now: {reasons}", reasons=", ".join(sorted(self._run.candidate.held))
            )
        if self.demotion:
            reasons = ", ".join(f"{amount} for {why}" for why, amount in self.demotion.items())
            self._log.info(
                "Demoted by {total}: {reasons}",
                total=self._demotions.ledger.total,
                reasons=reasons,
            )
        now = self._surroundings.clock.seconds()
        for peer in self.peers:
            self._log.info(
                "Peer {source}: advbase {advbase} advskew {advskew}{seal}, heard {ago:.1f} s ago",
                source=textOf(peer.source),
                advbase=peer.timing.advbase,
                advskew=peer.timing.advskew,
                seal=", sealed" if peer.sealed else "",
                ago=now - peer.heard,
            )

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
        channels = self._attach()  # if that fails this was no start
        Service.startService(self)
        if not self._leaving:  # otherwise it begins when the run of now has ended
            self._begin(channels)

    def stopService(self) -> Deferred[None]:
        """
        Leave the group; a master gives back what it took.
        """
        run = self._active
        Service.stopService(self)
        if run is not None:
            self._leaving = True
            run.stop().addBoth(self._left)
        elif not self._leaving:
            self._detach()
        if not self._leaving:
            return succeed(None)
        stopped: Deferred[None] = Deferred()
        self._waiting.append(stopped)
        return stopped

    @property
    def _active(self) -> Participation | None:
        """
        The run of now, unless it is leaving.
        """
        return self._run if self.running and not self._leaving else None

    def _begin(self, channels: list[Channel]) -> None:
        self._run = Participation(
            self.configuration,
            self._surroundings,
            channels,
            keyring=self._keyring,
            sealing=self._sealing,
            reception=self._reception,
            demotions=self._demotions,
            neighbourhood=self._neighbourhood,
            sayOnce=self._sayOnce,
            before=self._before,
            after=self._after,
            notify=self._notify,
        )
        self._run.start()

    def _left(self, result: object) -> None:
        if isinstance(result, Failure):
            self._log.failure("{name} could not leave in order", failure=result, name=self.name)
        self._reception.stop()
        self._demotions.forget()
        if not self.running:  # it may have been started again, with privileges that it had then
            self._detach()
        self._run = None
        self._sealing.stop().addBoth(self._stopped)

    def _stopped(self, result: object) -> None:
        self._leaving = False
        if self.running:
            self._begin(self._attach())
        else:
            self._detach()
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.callback(None)

    def _attach(self) -> list[Channel]:
        if not self._channels:
            configuration = self.configuration
            for family in configuration.families:
                isIPv4 = family is Family.IPV4
                transport = self._surroundings.network.attach(
                    configuration.interface,
                    configuration.vhid,
                    configuration.group if isIPv4 else configuration.group6,
                    configuration.broadcast and isIPv4,
                    configuration.virtualMAC,
                )
                transport.deliverTo(self._reception)
                self._channels.append(Channel(configuration, family, transport))
        return self._channels

    def _detach(self) -> None:
        if self._channels:
            network = self._surroundings.network
            network.detach(self.configuration.interface, self.configuration.vhid)
            self._channels = []

    # What is passed on to the run of now.

    def _packetArrived(self) -> None:
        if self._run is not None:
            self._run.candidate.notePause()

    def _heard(self, heard: Heard) -> None:
        if self._run is not None:
            self._run.heard(heard)

    def _hearingChanged(self) -> None:
        if self._run is not None:
            self._run.hearingChanged()

    def _caughtUp(self) -> None:
        if self._run is not None:
            self._run.candidate.speakUp()

    def _isEcho(self, counter: int) -> bool:
        return self._run is not None and self._run.advertiser.isEcho(counter)

    def _sentLately(self, counter: int) -> bool:
        return self._run is not None and self._run.advertiser.sentLately(counter)

    def _demotionChanged(self) -> None:
        if self._run is not None:
            self._run.demotionChanged()

    def _notify(self, change: Change) -> None:
        for observer in list(self._observers):
            try:
                observer.roleChanged(change)
            except Exception:
                self._log.failure("An observer of {name} failed", name=self.name)


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
