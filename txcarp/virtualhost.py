"""
One virtual host: the election, its clock, its packets and what mastership
means, tied together.
"""

from __future__ import annotations

import secrets
import socket
from collections import Counter as Tally
from collections import deque
from collections.abc import Callable, Generator, Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txcarp.change import Change
from txcarp.configuration import VirtualHostConfiguration
from txcarp.firewall import FirewallWatch
from txcarp.interfaces import (
    IAdvertisementTransport,
    ICARPState,
    ILinkMonitor,
    ILinkObserver,
    IMastershipObserver,
    IMastershipStep,
    INetwork,
    IPacketReceiver,
    IScriptRunner,
)
from txcarp.logs.limits import SayOnce
from txcarp.mastership.announcements import Announcements
from txcarp.mastership.scripts import ScriptStep
from txcarp.mastership.sequence import MastershipSequence
from txcarp.network.rtnetlink import Link
from txcarp.protocol import election
from txcarp.protocol.advertisement import Advertisement, encode, looksLikeVRRP
from txcarp.protocol.authentication import Authenticator
from txcarp.protocol.counter import Counter
from txcarp.protocol.demotion import SEND_ERROR_THRESHOLD, SendErrors
from txcarp.protocol.election import Peer, Role, Standing
from txcarp.protocol.envelope import payloadOf, sourceOf, unwrap, wrap
from txcarp.protocol.rejection import Rejected, Rejection
from txcarp.protocol.timing import LEAVING, Timing

#: Seconds for which a host that was asked to hand over hears nothing, as in
#: ucarp: the time in which somebody else takes over.
RESIGNATION = 3.0

#: Intervals of silence after which to look in front of the firewall.
_SILENCE = 2

#: Seconds between two log lines that say the same.
_SAY_AGAIN = 60.0

#: How often a late deadline waits for the socket to be read, at most.
_MAXIMUM_LOOKS = 100

_LINK = "link"
_RESIGNED = "resigned"


@implementer(IPacketReceiver, ILinkObserver)
class VirtualHost(Service):
    """
    A virtual host as a Twisted service.

    @ivar received: How many good advertisements were heard.
    @ivar sent: How many advertisements left.
    @ivar sendErrors: How many did not.
    @ivar rejected: How many packets were refused, by L{Rejection}.
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
        pauseSeconds: Callable[[], float] | None = None,
        random: Callable[[int], int] = secrets.randbits,
    ) -> None:
        """
        @param pauseSeconds: Seconds on a clock that also counts while the
            machine sleeps; the clock's own if it is not given.
        @param random: Draws a number of so many bits.
        """
        self.configuration = configuration
        self.setName(f"{configuration.interface}:{configuration.vhid}")  # type: ignore[no-untyped-call]
        self.received = 0
        self.sent = 0
        self.sendErrors = 0
        self.rejected: Tally[Rejection] = Tally()
        self._network = network
        self._links = links
        self._clock = clock
        self._scripts = scripts
        self._pauseSeconds = pauseSeconds or clock.seconds
        self._random = random
        self._authenticator = Authenticator(
            configuration.password, configuration.vhid, configuration.addresses
        )
        self._observers: list[IMastershipObserver] = []
        self._sayOnce = SayOnce(clock, _SAY_AGAIN)
        self._transport: IAdvertisementTransport | None = None
        self._reset()

    def _reset(self) -> None:
        """
        Forget everything that belongs to one run.
        """
        self._state: ICARPState = election.INIT
        self._counter = Counter(lambda: self._random(64))
        self._errors = SendErrors()
        self._heldBack = {_LINK}
        self._events: deque[Callable[[ICARPState, Standing], election.Transition]] = deque()
        self._deciding = False
        self._deadline: IDelayedCall | None = None
        self._looks = 0
        self._resumption: IDelayedCall | None = None
        self._rhythm: LoopingCall | None = None
        self._lastBeat = 0.0
        self._link: Link | None = None
        self._linkKnown = False
        self._announcements: Announcements | None = None
        self._sequence: MastershipSequence | None = None
        self._firewall: FirewallWatch | None = None

    # What others may ask for.

    @property
    def role(self) -> Role:
        """
        What this host is in the group now.
        """
        role: Role = self._state.role
        return role

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
        if self.role is Role.MASTER:
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
        Service.startService(self)
        for script, direction in (
            (self.configuration.upScript, "up"),
            (self.configuration.downScript, "down"),
        ):
            if not script:
                self._log.warn(
                    "Warning: no script called when going {direction}", direction=direction
                )
        transport = self._attach()
        self._announcements = Announcements(
            self._network.announcer(self.configuration.interface), self.configuration.addresses
        )
        self._sequence = MastershipSequence(
            self._steps(self._announcements), self._clock, self._stepFailed
        )
        self._firewall = FirewallWatch(
            self._clock, transport, self._received, self._firewallDrops
        )
        self._firewall.start()
        self._input(lambda state, standing: state.started(standing))
        self._links.watch(self.configuration.interface, self)

    @inlineCallbacks
    def stopService(self) -> Generator[Deferred[Any], Any, None]:
        """
        Leave the group: a master bows out first, then gives back what it took.
        """
        if not self.running:
            return
        Service.stopService(self)
        self._links.unwatch(self.configuration.interface, self)
        previous = self.role
        if previous is Role.MASTER:
            self._log.warn(
                "Stopping: bowing out as master (vhid {vhid} on {interface})",
                vhid=self.configuration.vhid,
                interface=self.configuration.interface,
            )
        self._input(lambda state, standing: state.stopped(standing))
        self._cancel(self._resumption)
        if self._firewall is not None:
            self._firewall.stop()
        if self._sequence is not None:
            change = self._change(election.ChangeRole(Role.INIT, election.Reason.STOPPED), previous)
            self._notify(change)
            self._sequence.wish(change)
            yield self._sequence.settled()
        self._network.detach(self.configuration.interface, self.configuration.vhid)
        self._transport = None
        self._reset()

    def _attach(self) -> IAdvertisementTransport:
        if self._transport is None:
            self._transport = self._network.attach(
                self.configuration.interface,
                self.configuration.vhid,
                self.configuration.group,
                self.configuration.broadcast,
                self,
            )
        return self._transport

    def _steps(self, announcements: Announcements) -> Sequence[IMastershipStep]:
        """
        What being master means, in the order in which it begins.
        """
        configuration = self.configuration
        script = ScriptStep(
            self._scripts,
            up=configuration.upScript,
            down=configuration.downScript,
            parameter=configuration.parameter,
            timeLimit=configuration.scriptTimeout,
            downAtStart=not configuration.neutral,
            downAtStop=configuration.shutdown,
        )
        return (script, announcements)

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
            patience = None if self.role is Role.MASTER else self._standing().timing.interval
            self._firewall.passed(packet, patience and max(patience, 0.02) * _SILENCE)
        self._received(packet)

    def packetFiltered(self, packet: bytes) -> None:
        """
        A packet was seen in front of the firewall.
        """
        if self._firewall is not None:
            self._firewall.seen(packet)

    def _received(self, packet: bytes) -> None:
        if not self.running:
            return
        self._notePause()
        try:
            advertisement = self._verified(packet)
        except Rejected as rejected:
            self._reject(rejected, packet)
            return
        self.received += 1
        if self.configuration.debug:
            self._log.debug(
                "Received from {source}: {advertisement}",
                source=_dotted(sourceOf(packet)),
                advertisement=advertisement,
            )
        self._counter.heard(advertisement.counter)
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

    def _reject(self, rejected: Rejected, packet: bytes) -> None:
        """
        Count a packet, and say so at most once a minute for each reason.
        """
        reason = rejected.reason
        self.rejected[reason] += 1
        words = _REPORTED.get(reason)
        if words is None:
            if self.configuration.debug:
                self._log.debug(
                    "Dropped from {source}: {why}",
                    source=_dotted(sourceOf(packet)),
                    why=str(rejected),
                )
            return
        omitted = self._sayOnce.ready(reason)
        if omitted is not None:
            self._log.warn(
                "{what} (vhid {vhid}, from {source}{more})",
                what=words.format(detail=rejected.detail),
                vhid=self.configuration.vhid,
                source=_dotted(sourceOf(packet)),
                more=f"; {omitted} more like it since the last line" if omitted else "",
            )

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
        self._log.error("{step} failed: this host is not fit to be master", step=name)
        self._holdBack(_RESIGNED)
        self._input(lambda state, standing: state.resigned(standing, True))
        self._resumeIn(RESIGNATION)

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
        self._cancel(self._resumption)
        self._resumption = self._clock.callLater(delay, self._letGo, _RESIGNED)

    # The election.

    def _standing(self) -> Standing:
        configuration = self.configuration
        return Standing(
            timing=self._errors.apply(configuration.timing),
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
                self._looks = 0
                self._arm(delay)
            case election.DisarmMasterDown():
                self._cancel(self._deadline)
            case election.LookAgain(delay):
                self._cancel(self._deadline)
                self._deadline = self._clock.callLater(delay, self._lookedAgain)
            case election.Advertise():
                self._advertise(self._standing().timing)
            case election.BowOut():
                self._advertise(LEAVING)
            case election.StartAdvertising():
                self._startRhythm(now=True)
            case election.StopAdvertising():
                self._stopRhythm()
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
        if self._sequence is not None:
            self._sequence.wish(change)

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
            addresses=(self.configuration.address,),
            peer=_dotted(effect.peer.source) if effect.peer else "",
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
                peer=_dotted(peer.source),
            )
        if self._announcements is not None:
            self._announcements.again()

    # Time.

    def _arm(self, delay: float) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._deadline = self._clock.callLater(
            delay, self._expired, self._clock.seconds() + delay
        )

    def _expired(self, due: float) -> None:
        lateness = self._clock.seconds() - due
        self._input(lambda state, standing: state.expired(standing, lateness))

    def _lookedAgain(self) -> None:
        """
        The reactor had its time to read what waited, if it was enough.
        """
        self._looks += 1
        unread = self._transport is not None and self._transport.hasUnread()
        if unread and self._looks < _MAXIMUM_LOOKS:
            self._deadline = self._clock.callLater(election.SECOND_LOOK, self._lookedAgain)
            return
        self._input(lambda state, standing: state.expired(standing, 0.0))

    def _notePause(self) -> None:
        """
        Find out whether this host, as master, did not run for so long that
        its peers have given it up.
        """
        if self.role is not Role.MASTER:
            return
        standing = self._standing()
        pause = self._pauseSeconds() - self._lastBeat
        # With a dead ratio of one the dead time is no more than the rhythm.
        if pause > max(standing.deadTime, standing.timing.interval * 1.5):
            self._log.error(
                "This host did not run for {pause:.3f} s, longer than its peers wait", pause=pause
            )
            self._input(lambda state, standing: state.slept(standing, pause))

    def _startRhythm(self, now: bool) -> None:
        self._stopRhythm()
        # A new one each time: one that is stopped and started again within its
        # own call would be scheduled twice.
        rhythm = LoopingCall(self._beat)
        rhythm.clock = self._clock
        self._rhythm = rhythm
        self._lastBeat = self._pauseSeconds()
        rhythm.start(self._standing().timing.interval, now=now).addErrback(self._outOfRhythm)

    def _stopRhythm(self) -> None:
        rhythm, self._rhythm = self._rhythm, None
        if rhythm is not None and rhythm.running:
            rhythm.stop()

    def _outOfRhythm(self, failure: Failure) -> None:
        # A LoopingCall ends for good when its function raises.
        self._log.failure("Advertising failed and goes on", failure=failure)
        if self.role is Role.MASTER:
            self._startRhythm(now=False)

    def _beat(self) -> None:
        self._notePause()
        if self.role is not Role.MASTER:
            return
        self._lastBeat = self._pauseSeconds()
        self._advertise(self._standing().timing)
        if self._announcements is not None:
            self._announcements.advertised()

    # Sending.

    def _advertise(self, timing: Timing) -> None:
        """
        Send one advertisement; after too many failures in a row be less
        preferred, and try once more at once.
        """
        before = self._errors.demoted
        if not self._send(timing) and self._errors.demoted and not before:
            self._log.error(
                "write() error #{count}/{count}: advertising with skew {skew}",
                count=SEND_ERROR_THRESHOLD,
                skew=self._standing().timing.advskew,
            )
            self._send(self._standing().timing)
        if before != self._errors.demoted and self._rhythm is not None:
            self._startRhythm(now=False)

    def _send(self, timing: Timing) -> bool:
        configuration = self.configuration
        counter = self._counter.next()
        advertisement = Advertisement(
            vhid=configuration.vhid,
            advbase=timing.advbase,
            advskew=timing.advskew,
            counter=counter,
            digest=self._authenticator.sign(counter),
        )
        packet = wrap(
            encode(advertisement), configuration.source, configuration.group, self._random(16)
        )
        try:
            if self._transport is not None:
                self._transport.send(packet)
        except OSError as error:
            self.sendErrors += 1
            self._errors.failed()
            omitted = self._sayOnce.ready("send")
            if omitted is not None:
                self._log.warn("write() has failed: {reason}", reason=error.strerror or str(error))
            return False
        self.sent += 1
        if self._errors.succeeded():
            self._log.info("Advertisements leave again: advertising with the configured skew")
        if configuration.debug:
            self._log.debug("Sent: {advertisement}", advertisement=advertisement)
        return True

    @staticmethod
    def _cancel(call: IDelayedCall | None) -> None:
        if call is not None and call.active():
            call.cancel()


#: What is said aloud about a refused packet; the other reasons are only
#: counted, because neighbours that do nothing wrong cause them.
_REPORTED = {
    Rejection.TTL: "Bad TTL: [{detail}]",
    Rejection.VERSION: "Bad version: [{detail}]",
    Rejection.CHECKSUM: "Bad IP checksum",
    Rejection.DIGEST: "Bad digest - Check vhid, password and virtual IP address",
}

#: The line that ucarp writes after some changes.
_UCARP_WORDS = {
    election.Reason.PREEMPTION: "Putting MASTER down - preemption",
    election.Reason.SLOW_MASTER: "Putting MASTER DOWN (going to time out)",
    election.Reason.PREFERRED_MASTER: (
        "Preferred master advertised: going back to BACKUP state"
    ),
}


def _dotted(address: bytes) -> str:
    return socket.inet_ntoa(address) if len(address) == 4 else "?"
