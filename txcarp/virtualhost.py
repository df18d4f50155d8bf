"""
One virtual host: the election, its clock, its packets and what mastership
means, tied together.
"""

from __future__ import annotations

import secrets
from collections import Counter as Tally
from collections import deque
from collections.abc import Callable, Generator
from typing import Any

from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from txcarp.advertiser import Advertiser
from txcarp.change import Change
from txcarp.configuration import VirtualHostConfiguration
from txcarp.firewall import FirewallWatch
from txcarp.interfaces import (
    IAddressTable,
    IAdvertisementTransport,
    ICARPState,
    ILinkMonitor,
    ILinkObserver,
    IMastershipObserver,
    IMastershipStep,
    INetwork,
    IPacketReceiver,
    IScriptRunner,
    IVirtualInterfaces,
)
from txcarp.logs.limits import SayOnce
from txcarp.mastership.mastership import Mastership
from txcarp.mastership.services import ServiceStep
from txcarp.network.rtnetlink import Link
from txcarp.protocol import election
from txcarp.protocol.advertisement import Advertisement, looksLikeVRRP
from txcarp.protocol.authentication import Authenticator
from txcarp.protocol.election import Peer, Role, Standing
from txcarp.protocol.envelope import payloadOf, sourceOf, unwrap
from txcarp.protocol.rejection import Rejected, Rejection
from txcarp.protocol.timing import LEAVING, Timing
from txcarp.refusals import Refusals, dotted
from txcarp.timers import MasterDown, Rhythm, cancel

#: Seconds for which a host that was asked to hand over hears nothing, as in
#: ucarp: the time in which somebody else takes over.
RESIGNATION = 3.0

#: Seconds until a host where a required step failed tries again.
HOLD_OFF = 10.0

#: Intervals of silence after which to look in front of the firewall.
_SILENCE = 2

#: The shortest such silence in seconds.
_SHORTEST_SILENCE = 0.05

#: Intervals without a beat that are a pause, whatever the dead time is.
_PAUSE = 1.5

#: Seconds between two log lines that say the same.
_SAY_AGAIN = 60.0

_LINK = "link"
_RESIGNED = "resigned"


@implementer(IPacketReceiver, ILinkObserver)
class VirtualHost(Service):
    """
    A virtual host as a Twisted service.

    @ivar received: How many good advertisements were heard.
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
        self.received = 0
        self._network = network
        self._links = links
        self._clock = clock
        self._scripts = scripts
        self._addresses = addresses
        self._virtualInterfaces = virtualInterfaces
        self._masterDown = MasterDown(clock, self._expired, self._hasUnread)
        self._rhythm = Rhythm(clock, self._beat, pauseSeconds or clock.seconds)
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
        self._refusals = Refusals(configuration.vhid, configuration.debug, self._sayOnce)
        self._transport: IAdvertisementTransport | None = None
        self._reset()

    def _reset(self) -> None:
        """
        Forget everything that belongs to one run.
        """
        self._state: ICARPState = election.INIT
        self._advertiser: Advertiser | None = None
        self._heldBack = {_LINK}
        self._events: deque[Callable[[ICARPState, Standing], election.Transition]] = deque()
        self._deciding = False
        self._resumption: IDelayedCall | None = None
        self._link: Link | None = None
        self._linkKnown = False
        self._mastership: Mastership | None = None
        self._firewall: FirewallWatch | None = None

    # What others may ask for.

    @property
    def role(self) -> Role:
        """
        What this host is in the group now.
        """
        role: Role = self._state.role
        return role

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

    @property
    def rejected(self) -> Tally[Rejection]:
        """
        How many packets were refused, for each reason.
        """
        return self._refusals.counts

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
            self._holdBack(_RESIGNED)
            self._input(lambda state, standing: state.resigned(standing, False))
            self._resumeIn(RESIGNATION)

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
            fit=self._isFit,
            unfit=self._stepFailed,
            sayOnce=self._sayOnce,
        )
        self._firewall = FirewallWatch(self._clock, transport, self._received, self._firewallDrops)
        self._firewall.start()
        self._input(lambda state, standing: state.started(standing))
        self._links.watch(self.configuration.interface, self)

    @inlineCallbacks
    def stopService(self) -> Generator[Deferred[Any], Any, None]:
        """
        Leave the group; a master gives back what it took.
        """
        if not self.running:
            if self._mastership is None:  # and is not being stopped already
                self._detach()
            return
        Service.stopService(self)
        self._links.unwatch(self.configuration.interface, self)
        cancel(self._resumption)
        previous = self.role
        change = self._change(election.ChangeRole(Role.INIT, election.Reason.STOPPED), previous)
        if previous is Role.MASTER:
            self._log.warn(
                "Stopping: bowing out as master (vhid {vhid} on {interface})",
                vhid=self.configuration.vhid,
                interface=self.configuration.interface,
            )
        self._notify(change)
        if self._mastership is not None:
            yield self._mastership.leave(change, self._leaveElection)
        if self._firewall is not None:
            self._firewall.stop()
        self._detach()
        self._reset()

    def _leaveElection(self) -> None:
        self._input(lambda state, standing: state.stopped(standing))

    def _attach(self) -> IAdvertisementTransport:
        if self._transport is None:
            self._transport = self._network.attach(
                self.configuration.interface,
                self.configuration.vhid,
                self.configuration.group,
                self.configuration.broadcast,
                self.configuration.virtualMAC,
                self,
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
        previous, self._link = self._link, link
        if link is None:
            if previous is not None or not self._linkKnown:
                self._log.warn(
                    "There is no interface [{interface}]: waiting for it", interface=name
                )
        elif previous is None or previous.address != link.address:
            self._log.info(
                "Local advertised ethernet address is [{address}]", address=link.address.hex(":")
            )
        self._linkKnown = True
        if self._usable(link):
            self._letGo(_LINK)
            if self.role is Role.MASTER and self._mastership is not None:
                self._mastership.announceAgain()  # the cable may be in another switch now
        elif _LINK not in self._heldBack:
            self._log.warn(
                "Interface [{interface}] is {what}",
                interface=name,
                what="gone" if link is None else "without carrier" if link.up else "down",
            )
            self._holdBack(_LINK)
            self._input(lambda state, standing: state.linkLost(standing))

    def packetReceived(self, packet: bytes) -> None:
        """
        The raw socket has a packet.
        """
        if self._firewall is not None:
            interval = self.configuration.timing.interval
            quiet = None if self.role is Role.MASTER else interval * _SILENCE
            self._firewall.passed(packet, quiet and max(quiet, _SHORTEST_SILENCE))
        self._received(packet)

    def packetFiltered(self, packet: bytes) -> None:
        """
        A packet was seen in front of the firewall.
        """
        if self._firewall is not None:
            self._firewall.seen(packet)

    def _received(self, packet: bytes) -> None:
        if self._advertiser is None:
            return
        self._notePause()
        try:
            advertisement = self._verified(packet)
        except Rejected as rejected:
            self._refusals.refuse(rejected, packet)
            return
        self.received += 1
        if self.configuration.debug:
            self._log.debug(
                "Received from {source}: {advertisement}",
                source=dotted(sourceOf(packet)),
                advertisement=advertisement,
            )
        self._advertiser.heard(advertisement.counter)
        if not advertisement.isBowOut and self._mastership is not None:
            self._mastership.successorHeard()
        peer = Peer(Timing(advertisement.advbase, advertisement.advskew), sourceOf(packet))
        self._input(lambda state, standing: state.heard(standing, peer))

    def _verified(self, packet: bytes) -> Advertisement:
        configuration = self.configuration
        advertisement = unwrap(
            packet, configuration.vhid, configuration.source, configuration.group
        )
        if not self._authenticator.verify(advertisement.counter, advertisement.digest):
            if looksLikeVRRP(payloadOf(packet)):
                raise Rejected(Rejection.VRRP)
            raise Rejected(Rejection.DIGEST)
        return advertisement

    def _firewallDrops(self) -> None:
        if self._sayOnce.ready("firewall") is not None:
            self._log.error(
                "The firewall of this host drops protocol 112 on {interface}; advertisements are "
                "read in front of it. Let them in, for example with: "
                'nft insert rule inet filter input iifname "{interface}" ip protocol 112 accept',
                interface=self.configuration.interface,
            )

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
        self._holdBack(_RESIGNED)
        self._input(lambda state, standing: state.resigned(standing, True))
        self._resumeIn(HOLD_OFF)

    # Being held back, by a link that is down or after a resignation.

    def _usable(self, link: Link | None) -> bool:
        if link is None:
            return False
        return self.configuration.ignoreLink or (link.up and link.running)

    def _holdBack(self, why: str) -> None:
        self._heldBack.add(why)

    def _letGo(self, why: str) -> None:
        if why in self._heldBack:
            self._heldBack.discard(why)
            if not self._heldBack:
                self._input(lambda state, standing: state.resumed(standing))

    def _resumeIn(self, delay: float) -> None:
        cancel(self._resumption)
        self._resumption = self._clock.callLater(delay, self._letGo, _RESIGNED)

    # The election.

    def _standing(self) -> Standing:
        configuration = self.configuration
        return Standing(
            timing=(self._advertiser.timing if self._advertiser else configuration.timing),
            deadRatio=configuration.deadRatio,
            preempt=configuration.preempt,
            source=configuration.source,
            deaf=bool(self._heldBack),
        )

    def _input(self, event: Callable[[ICARPState, Standing], election.Transition]) -> None:
        """
        Let the election decide, and do what it says.  An event that an effect
        causes waits until all effects of the first are done.
        """
        self._events.append(event)
        if self._deciding:
            return
        self._deciding = True
        try:
            while self._events:
                previous = self.role
                self._state, effects = self._events.popleft()(self._state, self._standing())
                for effect in effects:
                    self._perform(effect, previous)
        finally:
            self._deciding = False

    def _perform(self, effect: election.Effect, previous: Role) -> None:
        match effect:
            case election.ArmMasterDown(delay):
                self._masterDown.arm(delay)
            case election.DisarmMasterDown():
                self._masterDown.disarm()
            case election.LookAgain(delay):
                self._masterDown.lookAgain(delay)
            case election.Advertise():
                self._advertise()
            case election.BowOut():
                if self._advertiser is not None:
                    self._advertiser.send(LEAVING)
            case election.StartAdvertising():
                self._rhythm.start(self._standing().timing.interval, now=True)
            case election.StopAdvertising():
                self._rhythm.stop()
            case election.Reassert(peer):
                self._reassert(peer)
            case election.ChangeRole():
                self._changeRole(effect, previous)

    def _changeRole(self, effect: election.ChangeRole, previous: Role) -> None:
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
        if effect.role is Role.MASTER and self._firewall is not None:
            self._firewall.start()
        self._notify(change)
        if self._mastership is not None:
            self._mastership.changed(change)

    def _change(self, effect: election.ChangeRole, previous: Role) -> Change:
        detail = ""
        if effect.reason is election.Reason.SILENCE:
            detail = f"{self._standing().deadTime:.3f} s"
        elif effect.reason is election.Reason.PAUSED:
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

    def _reassert(self, peer: Peer) -> None:
        omitted = self._sayOnce.ready("reassert")
        if omitted is not None:
            self._log.warn(
                "Non-preferred master advertising: reasserting control of VIP with another "
                "gratuitous arp (peer {peer})",
                peer=dotted(peer.source),
            )
        if self._mastership is not None:
            self._mastership.announceAgain()

    # Time.

    def _expired(self, lateness: float) -> None:
        self._input(lambda state, standing: state.expired(standing, lateness))

    def _hasUnread(self) -> bool:
        return self._transport is not None and self._transport.hasUnread()

    def _notePause(self) -> None:
        """
        Find out whether this host, as master, did not run for so long that
        its peers have given it up.
        """
        if self.role is not Role.MASTER:
            return
        timing = self._standing().timing
        pause = self._rhythm.silence()
        # The most eager peer has no skew.  With a dead ratio of one it waits no
        # longer than the rhythm, and what counts is a beat that is missing.
        if pause > max(
            timing.advbase * self.configuration.deadRatio, timing.interval * _PAUSE
        ):
            self._log.error(
                "This host did not run for {pause:.3f} s, longer than its peers wait", pause=pause
            )
            self._input(lambda state, standing: state.slept(standing, pause))

    def _isFit(self) -> bool:
        """
        Whether this host is a master in good order.
        """
        self._notePause()
        return (
            self.role is Role.MASTER
            and not self._heldBack
            and self._advertiser is not None
            and self._advertiser.lastLeft
        )

    def _beat(self) -> None:
        self._notePause()
        if self.role is not Role.MASTER:
            return
        self._rhythm.beaten()
        self._advertise()
        if self._mastership is not None:
            self._mastership.advertised(self._isFit())

    def _advertise(self) -> None:
        """
        Send an advertisement, and keep the rhythm that it says.
        """
        if self._advertiser is None:
            return
        before = self._advertiser.timing
        self._advertiser.advertise()
        if self._rhythm.running and self._advertiser.timing != before:
            self._rhythm.start(self._advertiser.timing.interval, now=False)

#: The line that ucarp writes after some changes.
_UCARP_WORDS = {
    election.Reason.PREEMPTION: "Putting MASTER down - preemption",
    election.Reason.SLOW_MASTER: "Putting MASTER DOWN (going to time out)",
    election.Reason.PREFERRED_MASTER: (
        "Preferred master advertised: going back to BACKUP state"
    ),
}
