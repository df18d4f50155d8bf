"""
One virtual host: the election, its packets and what mastership means, tied
together as a service.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable

from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txcarp.advertiser import Advertiser
from txcarp.candidate import Candidate
from txcarp.change import Change
from txcarp.configuration import VirtualHostConfiguration
from txcarp.interfaces import (
    IAddressTable,
    IAdvertisementTransport,
    ILinkMonitor,
    ILinkObserver,
    IMastershipObserver,
    IMastershipStep,
    INetwork,
    IScriptRunner,
    IVirtualInterfaces,
)
from txcarp.logs.limits import SayOnce
from txcarp.mastership.mastership import Mastership
from txcarp.mastership.services import ServiceStep
from txcarp.network.rtnetlink import Link
from txcarp.protocol.advertisement import Advertisement
from txcarp.protocol.authentication import Authenticator
from txcarp.protocol.election import ChangeRole, Peer, Reason, Role
from txcarp.protocol.rejection import Rejection
from txcarp.protocol.timing import Timing
from txcarp.reception import Reception
from txcarp.refusals import dotted
from txcarp.timers import cancel

#: Seconds for which a host that was asked to hand over hears nothing, as in
#: ucarp: the time in which somebody else takes over.
RESIGNATION = 3.0

#: Seconds until a host where a required step failed tries again.
HOLD_OFF = 10.0

#: Seconds between two log lines that say the same.
_SAY_AGAIN = 60.0

_LINK = "link"
_RESIGNED = "resigned"


@implementer(ILinkObserver)
class VirtualHost(Service):
    """
    A virtual host as a Twisted service.
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
        pauseSeconds: Callable[[], float] | None = None,
        random: Callable[[int], int] = secrets.randbits,
    ) -> None:
        """
        @param addresses: What adds and removes addresses, if the
            configuration asks for it.
        @param virtualInterfaces: What makes interfaces with virtual hardware
            addresses, likewise.
        @param pauseSeconds: Seconds on a clock that also counts while the
            machine sleeps; the clock's own if it is not given.
        @param random: Draws a number of so many bits.
        """
        self.configuration = configuration
        self.setName(f"{configuration.interface}:{configuration.vhid}")  # type: ignore[no-untyped-call]
        self._network = network
        self._links = links
        self._clock = clock
        self._scripts = scripts
        self._addresses = addresses
        self._virtualInterfaces = virtualInterfaces
        self._pauseSeconds = pauseSeconds or clock.seconds
        self._random = random
        self._authenticator = Authenticator(
            configuration.password,
            configuration.vhid,
            (address.packed for address in configuration.addresses),
        )
        self._observers: list[IMastershipObserver] = []
        self._before: list[IMastershipStep] = []
        self._after: list[IMastershipStep] = []
        self._sayOnce = SayOnce(clock, _SAY_AGAIN)
        self._reception = Reception(
            configuration,
            self._authenticator,
            clock,
            self._sayOnce,
            arrived=self._packetArrived,
            deliver=self._heard,
            expectsSilence=lambda: self.role is Role.MASTER,
        )
        self._transport: IAdvertisementTransport | None = None
        self._waiting: list[Deferred[None]] = []
        self._reset()

    def _reset(self) -> None:
        """
        Forget everything that belongs to one run.
        """
        self._advertiser: Advertiser | None = None
        self._candidate: Candidate | None = None
        self._mastership: Mastership | None = None
        self._resumption: IDelayedCall | None = None
        self._link: Link | None = None
        self._linkKnown = False
        self._leaving = False

    # What others may ask for.

    @property
    def role(self) -> Role:
        """
        What this host is in the group now.
        """
        return self._candidate.role if self._candidate is not None else Role.INIT

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
        return self._advertiser.sent if self._advertiser is not None else 0

    @property
    def sendErrors(self) -> int:
        """
        How many advertisements did not leave in this run.
        """
        return self._advertiser.failed if self._advertiser is not None else 0

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

    def logStatus(self) -> None:
        """
        Log one line that says what this host is, in ucarp's words.
        """
        self._log.info(
            "{role} on {interface} id {vhid}",
            role=self.role.value,
            interface=self.configuration.interface,
            vhid=self.configuration.vhid,
        )

    def resign(self) -> None:
        """
        Hand over if this host is master, and take no part for a while so that
        somebody else can take over.  The better host takes the mastership back
        later if its peers are so configured that they let it.
        """
        if self.running and self.role is Role.MASTER:
            self._resign(RESIGNATION, unfit=False)

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
        transport = self._attach()  # if that fails this was no start
        Service.startService(self)
        self._advertiser = Advertiser(
            self.configuration, self._authenticator, transport, self._random, self._sayOnce
        )
        self._candidate = candidate = Candidate(
            self.configuration,
            self._clock,
            self._advertiser,
            transport,
            self._pauseSeconds,
            changed=self._roleChanged,
            reassert=self._reassert,
            advertised=self._advertised,
        )
        self._mastership = Mastership(
            self.configuration,
            self._clock,
            announcer=self._network.announcer(
                self.configuration.interface, self.configuration.virtualMAC
            ),
            addresses=self._addresses,
            virtualInterfaces=self._virtualInterfaces,
            scripts=self._scripts,
            before=self._before,
            after=self._after,
            fit=candidate.isFit,
            unfit=self._stepFailed,
            sayOnce=self._sayOnce,
        )
        self._reception.start(transport)
        candidate.held.add(_LINK)  # until the link is known
        candidate.start()
        self._links.watch(self.configuration.interface, self)

    def stopService(self) -> Deferred[None]:
        """
        Leave the group; a master gives back what it took.
        """
        if self.running:
            Service.stopService(self)
            self._links.unwatch(self.configuration.interface, self)
            cancel(self._resumption)
            self._leave().addBoth(self._left)
        elif not self._leaving:
            self._detach()
        if not self._leaving:
            return succeed(None)
        stopped: Deferred[None] = Deferred()
        self._waiting.append(stopped)
        return stopped

    def _leave(self) -> Deferred[None]:
        self._leaving = True
        if self._candidate is None or self._mastership is None:
            return succeed(None)
        previous = self.role
        if previous is Role.MASTER:
            self._log.warn(
                "Stopping: bowing out as master (vhid {vhid} on {interface})",
                vhid=self.configuration.vhid,
                interface=self.configuration.interface,
            )
        change = self._change(ChangeRole(Role.INIT, Reason.STOPPED), previous)
        self._notify(change)
        return self._mastership.leave(change, self._candidate.stop)

    def _left(self, result: object) -> None:
        if isinstance(result, Failure):
            self._log.failure("{name} could not leave in order", failure=result, name=self.name)
        self._reception.stop()
        self._detach()
        self._reset()
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.callback(None)

    def _attach(self) -> IAdvertisementTransport:
        if self._transport is None:
            self._transport = self._network.attach(
                self.configuration.interface,
                self.configuration.vhid,
                self.configuration.group,
                self.configuration.broadcast,
                self.configuration.virtualMAC,
                self._reception,
            )
        return self._transport

    def _detach(self) -> None:
        if self._transport is not None:
            self._network.detach(self.configuration.interface, self.configuration.vhid)
            self._transport = None

    # What happens to this host.

    def linkChanged(self, name: str, link: Link | None) -> None:
        """
        The interface came, went or changed.
        """
        candidate, mastership = self._candidate, self._mastership
        if candidate is None or mastership is None:
            return
        self._logLink(name, link)
        self._link = link
        self._linkKnown = True
        if link is not None and (
            self.configuration.ignoreLink or (link.up and link.running)
        ):
            candidate.resume(_LINK)
            if self.role is Role.MASTER:
                mastership.announceAgain()  # the cable may be in another switch now
        elif _LINK not in candidate.held:
            self._log.warn(
                "Interface [{interface}] is {what}",
                interface=name,
                what="gone" if link is None else "without carrier" if link.up else "down",
            )
            candidate.loseLink(_LINK)

    def _logLink(self, name: str, link: Link | None) -> None:
        previous = self._link
        if link is None:
            if previous is not None or not self._linkKnown:
                self._log.warn(
                    "There is no interface [{interface}]: waiting for it", interface=name
                )
        elif previous is None or previous.address != link.address:
            self._log.info(
                "Local advertised ethernet address is [{address}]", address=link.address.hex(":")
            )

    def _packetArrived(self) -> None:
        if self._candidate is not None:
            self._candidate.notePause()

    def _heard(self, advertisement: Advertisement, source: bytes) -> None:
        """
        A peer advertises.
        """
        mastership = self._mastership
        if self._candidate is None or mastership is None:
            return
        timing = Timing(advertisement.advbase, advertisement.advskew)
        self._candidate.heard(Peer(timing, source), advertisement.counter)
        if not advertisement.isBowOut:
            mastership.successorHeard()  # and this may be the end of this run

    def _advertised(self, inOrder: bool) -> None:
        if self._mastership is not None:
            self._mastership.advertised(inOrder)

    def _reassert(self, peer: Peer) -> None:
        """
        A worse master claims the addresses.
        """
        if self._sayOnce.ready("reassert") is not None:
            self._log.warn(
                "Non-preferred master advertising: reasserting control of VIP with another "
                "gratuitous arp (peer {peer})",
                peer=dotted(peer.source),
            )
        if self._mastership is not None:
            self._mastership.announceAgain()

    def _stepFailed(self, name: str) -> None:
        """
        A required step failed: a master that does not work must not be one.
        """
        if not self.running:
            return  # it is leaving anyway
        self._log.error(
            "This host is not fit to be master: {step} failed. It tries again in {delay:.0f} s",
            step=name,
            delay=HOLD_OFF,
        )
        self._resign(HOLD_OFF, unfit=True)

    def _resign(self, duration: float, *, unfit: bool) -> None:
        if self._candidate is not None:
            self._candidate.resign(_RESIGNED, unfit=unfit)
            cancel(self._resumption)
            self._resumption = self._clock.callLater(
                duration, self._candidate.resume, _RESIGNED
            )

    # Changes of role.

    def _roleChanged(self, effect: ChangeRole, previous: Role) -> None:
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
        if effect.role is Role.MASTER:
            self._reception.watchFront()
        self._notify(change)
        if self._leaving and self._candidate is not None:
            self._candidate.stop()  # somebody else is master: nothing is left to wait for
        if self._mastership is not None:
            self._mastership.changed(change)

    def _change(self, effect: ChangeRole, previous: Role) -> Change:
        detail = ""
        if effect.reason is Reason.SILENCE and self._candidate is not None:
            detail = f"{self._candidate.standing.deadTime:.3f} s"
        elif effect.reason is Reason.PAUSED:
            detail = f"for {effect.pause:.3f} s"
        elif effect.peer is not None:
            timing = effect.peer.timing
            detail = f"advbase {timing.advbase} advskew {timing.advskew}"
        return Change(
            role=effect.role,
            previous=previous,
            reason=effect.reason,
            vhid=self.configuration.vhid,
            interface=self.configuration.interface,
            addresses=tuple(address.text for address in self.configuration.addresses),
            peer=dotted(effect.peer.source) if effect.peer else "",
            detail=detail,
        )

    def _notify(self, change: Change) -> None:
        for observer in list(self._observers):
            try:
                observer.roleChanged(change)
            except Exception:
                self._log.failure("An observer of {name} failed", name=self.name)


#: The line that ucarp writes after some changes.
_UCARP_WORDS = {
    Reason.PREEMPTION: "Putting MASTER down - preemption",
    Reason.SLOW_MASTER: "Putting MASTER DOWN (going to time out)",
    Reason.PREFERRED_MASTER: "Preferred master advertised: going back to BACKUP state",
}
