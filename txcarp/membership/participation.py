"""
One run of a virtual host, from its start to its stop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from txcarp.addresses import textOf
from txcarp.change import Change
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.interfaces import (
    IAddressTable,
    ILinkMonitor,
    ILinkObserver,
    IMastershipStep,
    INetwork,
    IScriptRunner,
    IStateStore,
    IVirtualInterfaces,
)
from txcarp.links import Link
from txcarp.logs.limits import SayOnce
from txcarp.mastership.mastership import Mastership
from txcarp.membership.advertiser import Advertiser
from txcarp.membership.candidate import Candidate
from txcarp.membership.channel import Channel
from txcarp.membership.demotions import Demotions
from txcarp.membership.holds import Holds
from txcarp.membership.neighbourhood import Neighbourhood
from txcarp.membership.reception import Heard, Reception
from txcarp.membership.sealing import Sealing
from txcarp.protocol.demotion import FULL_DEMOTION
from txcarp.protocol.effects import ChangeRole, Peer, Reason, Role
from txcarp.protocol.keyring import Keyring
from txcarp.protocol.timing import LEAVING, Timing

#: Seconds for which a host that was asked to hand over hears nothing, as in
#: ucarp: the time in which somebody else takes over.
RESIGNATION = 3.0

_LINK = "no link"
_DEAF = "nothing can be heard"


@attrs.frozen(kw_only=True)
class Surroundings:
    """
    What a virtual host needs of the world.

    @ivar network: What sends and receives.
    @ivar links: What knows the interfaces.
    @ivar clock: What all timers run on.
    @ivar scripts: What runs scripts.
    @ivar addresses: What adds and removes addresses, if that is asked for.
    @ivar virtualInterfaces: What makes interfaces with virtual hardware
        addresses, likewise.
    @ivar store: What remembers, over a restart, what replays are told by.
    @ivar pauseSeconds: Seconds on a clock that also counts while the machine
        sleeps.
    @ivar wallSeconds: Seconds since 1970.
    @ivar random: Draws a number of so many bits.
    """

    network: INetwork
    links: ILinkMonitor
    clock: IReactorTime
    scripts: IScriptRunner
    addresses: IAddressTable | None
    virtualInterfaces: IVirtualInterfaces | None
    store: IStateStore | None
    pauseSeconds: Callable[[], float]
    wallSeconds: Callable[[], float]
    random: Callable[[int], int]


@implementer(ILinkObserver)
class Participation:
    """
    Everything that a virtual host has only while it takes part in its group,
    tied together.

    @ivar advertiser: Its voice.
    @ivar candidate: Its place in the election.
    """

    _log = Logger()

    def __init__(
        self,
        configuration: VirtualHostConfiguration,
        surroundings: Surroundings,
        channels: Sequence[Channel],
        *,
        keyring: Keyring,
        sealing: Sealing,
        reception: Reception,
        demotions: Demotions,
        neighbourhood: Neighbourhood,
        sayOnce: SayOnce,
        before: Sequence[IMastershipStep],
        after: Sequence[IMastershipStep],
        notify: Callable[[Change], None],
    ) -> None:
        """
        @param channels: The families to take part in.
        @param before: Steps to take before the addresses appear.
        @param after: Steps to take when everything else is done.
        @param notify: Called with each change of the role.
        """
        self._configuration = configuration
        self._links = surroundings.links
        self._channels = tuple(channels)
        self._sealing = sealing
        self._reception = reception
        self._demotions = demotions
        self._neighbourhood = neighbourhood
        self._sayOnce = sayOnce
        self._notify = notify
        self._leaving = False
        self._resigning = False
        self._link: Link | None = None
        self._linkKnown = False
        self.advertiser = Advertiser(
            configuration,
            keyring,
            sealing,
            demotions.ledger,
            channels,
            surroundings.random,
            sayOnce,
        )
        self.candidate = Candidate(
            configuration,
            surroundings.clock,
            self.advertiser,
            channels,
            surroundings.pauseSeconds,
            changed=self._roleChanged,
            reassert=self._reassert,
            advertised=self._advertised,
            silent=neighbourhood.familySilent,
        )
        self._holds = Holds(configuration, surroundings.clock, self.candidate)
        self._mastership = Mastership(
            configuration,
            surroundings.clock,
            announcer=surroundings.network.announcer(
                configuration.interface, configuration.virtualMAC
            ),
            links=surroundings.links,
            addresses=surroundings.addresses,
            virtualInterfaces=surroundings.virtualInterfaces,
            scripts=surroundings.scripts,
            before=before,
            after=after,
            fit=self.candidate.isFit,
            interval=lambda: self.advertiser.timing.interval,
            unfit=self._stepFailed,
            sayOnce=sayOnce,
        )

    @property
    def role(self) -> Role:
        """
        What this host is in the group now.
        """
        return self.candidate.role

    def start(self) -> None:
        """
        Take part.
        """
        self._sealing.start()
        self._reception.start(self._channels)
        self.candidate.held.add(_LINK)  # until the link is known
        self._holds.starting()
        self.hearingChanged()
        self.candidate.start()
        self._demotions.start()
        self._links.watch(self._configuration.interface, self)

    def stop(self) -> Deferred[None]:
        """
        Leave; a master gives back what it took.

        @return: Fires when that is done.
        """
        self.candidate.notePause()
        self._leaving = True
        self._links.unwatch(self._configuration.interface, self)
        self._demotions.stop()
        self._holds.stop()
        previous = self.role
        if previous is Role.MASTER:
            self._log.warn(
                "Stopping: bowing out as master (vhid {vhid} on {interface})",
                vhid=self._configuration.vhid,
                interface=self._configuration.interface,
            )
        change = self._change(ChangeRole(Role.INIT, Reason.STOPPED), previous)
        self._notify(change)
        return self._mastership.leave(change, self.candidate.stop)

    def resign(self, seconds: float, *, unfit: bool) -> None:
        """
        Hand over, and take no part for so many seconds.
        """
        self.candidate.notePause()
        if self.role is not Role.MASTER and not unfit:
            return  # it has just found that it is not
        if not self._configuration.releaseFirst or self.role is not Role.MASTER:
            self._holds.resign(seconds, unfit=unfit)
            return
        if self._resigning:
            return
        self._resigning = True

        def released(result: object) -> None:
            self._resigning = False
            if self._leaving:
                return
            if self.role is Role.MASTER and self._mastership.wanted:
                self.resign(seconds, unfit=unfit)  # it became master once more meanwhile
            elif self.role is Role.MASTER or unfit:
                # Otherwise somebody else is master by now, without having been asked.
                self._holds.resign(seconds, unfit=unfit)

        reason = Reason.UNFIT if unfit else Reason.RESIGNED
        change = self._change(ChangeRole(Role.BACKUP, reason), Role.MASTER)
        self._mastership.release(change).addBoth(released)

    # What happens to this host.

    def linkChanged(self, name: str, link: Link | None) -> None:
        """
        The interface came, went or changed.
        """
        self.candidate.notePause()
        self._logLink(name, link)
        atStart = not self._linkKnown
        self._link = link
        self._linkKnown = True
        if link is not None and (
            self._configuration.ignoreLink or (link.up and link.running)
        ):
            self.candidate.resume(_LINK)
            if self.role is Role.MASTER:
                self._mastership.announceAgain()  # the cable may be in another switch now
        elif _LINK not in self.candidate.held or (atStart and link is not None):
            self._log.warn(
                "Interface [{interface}] is {what}",
                interface=name,
                what="gone" if link is None else "without carrier" if link.up else "down",
            )
            self.candidate.hold(_LINK)

    def hearingChanged(self) -> None:
        """
        Packets can arrive in a family, or can no more.  A host that hears nobody
        would become master beside another, whatever the reason.
        """
        self.candidate.hearingChanged()
        interface = self._configuration.interface
        if any(channel.transport.hears() for channel in self._channels):
            self.candidate.resume(_DEAF)
        elif _DEAF not in self.candidate.held:
            if self._links.link(interface) is not None:
                self._log.error(
                    "Nothing can be heard on [{interface}]: vhid {vhid} takes no part until "
                    "it can",
                    interface=interface,
                    vhid=self._configuration.vhid,
                )
            self.candidate.hold(_DEAF)

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

    def heard(self, heard: Heard) -> None:
        """
        A peer advertises.
        """
        advertisement = heard.advertisement
        timing = Timing(advertisement.advbase, advertisement.advskew)
        peer = Peer(timing, heard.source, advertisement.demotion)
        if not advertisement.isBowOut:
            rival = self.candidate.standing if self.role is Role.MASTER else None
            self._neighbourhood.heard(heard, peer, self._channels, rival)
        self.candidate.heard(peer, advertisement.counter)
        if not advertisement.isBowOut:
            self._mastership.successorHeard()  # and this may be the end of this run

    def demotionChanged(self) -> None:
        """
        This host is demoted more, or less, than before.
        """
        self.candidate.notePause()
        if self.advertiser.says == self.advertiser.said:
            return  # nobody would see it
        timing = self.advertiser.timing
        # Backups are silent: what is known of them is old, if anything is. Whoever said
        # something better may be there still; and anybody may be better than the last.
        hopeless = timing.advskew >= FULL_DEMOTION
        better = hopeless or self._neighbourhood.peers.anyBetter(timing)
        self.candidate.demotionChanged(better and timing > self._configuration.timing)

    def _advertised(self, inOrder: bool) -> None:
        self._mastership.advertised(inOrder)

    def _reassert(self, peer: Peer) -> None:
        """
        A worse master claims the addresses.
        """
        if self._sayOnce.ready("reassert") is not None:
            self._log.warn(
                "Non-preferred master advertising: reasserting control of VIP with another "
                "gratuitous arp (peer {peer})",
                peer=textOf(peer.source),
            )
        self._mastership.announceAgain()

    def _stepFailed(self, name: str) -> None:
        """
        A required step failed: a master that does not work must not be one.
        """
        if self._leaving:
            return  # anyway
        delay = self._holds.unfit()
        self._log.error(
            "This host is not fit to be master: {step} failed. It tries again in {delay:.0f} s",
            step=name,
            delay=delay,
        )
        self.resign(delay, unfit=True)

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
        self._neighbourhood.diagnostics.noRival()
        if effect.role is Role.MASTER:
            self._reception.watchFront()
            peer = effect.peer
            self._holds.becameMaster(peer is not None and peer.timing != LEAVING)
        elif previous is Role.MASTER and not self._leaving:
            self._holds.becameBackup()
        self._notify(change)
        if self._leaving:
            self.candidate.stop()  # somebody else is master: nothing is left to wait for
        self._mastership.changed(change)

    def _change(self, effect: ChangeRole, previous: Role) -> Change:
        detail = ""
        if effect.reason is Reason.SILENCE:
            detail = f"{self.candidate.standing.deadTime:.3f} s"
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


#: The line that ucarp writes after some changes.
_UCARP_WORDS = {
    Reason.PREEMPTION: "Putting MASTER down - preemption",
    Reason.SLOW_MASTER: "Putting MASTER DOWN (going to time out)",
    Reason.PREFERRED_MASTER: "Preferred master advertised: going back to BACKUP state",
}
