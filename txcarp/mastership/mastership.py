"""
The steps that make one virtual host a working master.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from txcarp.bequest import Bequest
from txcarp.change import Change, Readiness, StepState
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.configuration.steps import AFTER_ADDRESSES, BEFORE_ADDRESSES
from txcarp.findings import Finding
from txcarp.interfaces import IMastershipStep, IPlatform
from txcarp.logs.limits import SayOnce
from txcarp.mastership.alongside import ScriptsAlongside
from txcarp.mastership.announcements import Announcements
from txcarp.mastership.configured import ConfiguredSteps
from txcarp.mastership.handover import FOLLOW, SUCCESSION, HandOver
from txcarp.mastership.leases import AddressLeases, leaseFor
from txcarp.mastership.resets import ConnectionResets
from txcarp.mastership.scripts import ScriptStep
from txcarp.mastership.sequence import MastershipSequence
from txcarp.mastership.virtualmac import VirtualMAC, virtualInterfaceName
from txcarp.protocol.effects import Reason, Role
from txcarp.protocol.events import Event, HandOverEnded, StepFailed
from txcarp.status.parts import StepStatus

#: Seconds from one renewal of the lease to the next, meanwhile.
_RENEW = 0.3

#: Seconds after which leased addresses are announced again.  Addresses that scripts add are
#: announced again with an advertisement, as in ucarp.  No neighbour confirms an announcement: one
#: that lost the first, or heard the former master last, sends to the wrong host until the next.
_SOON = (0.2, 1.0, 5.0)


class Mastership:
    """
    The steps of one virtual host in their order, and the hand-over.  A master that leaves
    voluntarily keeps its addresses until its successor answers for them.

    @ivar handOver: The hand-over.
    @ivar lingers: Whether a master that bows out with the others of its set keeps its addresses
        until its successor answers for them.
    @ivar leases: The step that holds the addresses on lease; C{None} if scripts add them.
    """

    _log = Logger()

    def __init__(
        self,
        configuration: VirtualHostConfiguration,
        platform: IPlatform,
        *,
        before: Sequence[IMastershipStep],
        after: Sequence[IMastershipStep],
        tell: Callable[[Event], None],
        fit: Callable[[], bool],
        interval: Callable[[], float],
        ready: Callable[[Change, Readiness], None],
        found: Callable[[Finding, bytes, str], None],
        limits: SayOnce,
        note: Callable[[str, str, str], None] = lambda reason, what, why: None,
        changed: Callable[[], None] = lambda: None,
        alive: Callable[[], None] = lambda: None,
        givenBack: Callable[[], None] = lambda: None,
    ) -> None:
        """
        @param before: Steps to acquire before the addresses.
        @param after: Steps to acquire after everything else.
        @param tell: Called with L{StepFailed} when a required step could not be acquired, or was
            lost afterwards; and with L{HandOverEnded} when the time is over for which a drained
            master waits for its successor, which must lead to L{giveBack}, or to mastership.
        @param fit: Returns whether this host is a healthy master.
        @param interval: Returns the present seconds from one advertisement to the next.
        @param ready: Called with each change of the readiness, and the change of role that led to
            it.
        @param found: Called with L{Finding.NO_RESET} and the reason why this host cannot end TCP
            connections.
        @param limits: Limits the rate of log lines.
        @param note: Called when addresses were lost: a word for that, what happened, and why.
        @param changed: Called when L{bequest} has changed, before an address is added.
        @param alive: Called when the lease was renewed between two advertisements.
        @param givenBack: Called when all steps are released.
        """
        self.leases: AddressLeases | None = None
        self._resets: ConnectionResets | None = None
        self.lingers = False
        self._scripts: ScriptsAlongside | None = None
        self._configuration = configuration
        self._tell = tell
        self._givenBack = givenBack
        self._platform = platform
        self._found = found
        self._leaving = False
        self._clock = platform.clock
        self._renewal: IDelayedCall | None = None
        #: The change of role by which a master was drained that still has its steps.
        self._drained: Change | None = None
        #: Fires when it has them no longer; C{None} if nobody waits for that.
        self._decided: Deferred[None] | None = None
        self.handOver = HandOver(platform.clock)
        hardware = configuration.virtualMAC
        self._announcements = Announcements(
            platform.network.announcer(configuration.interface, hardware),
            [address.packed for address in configuration.addresses],
            platform.clock,
            refresh=configuration.announceEvery,
            soon=_SOON if configuration.assign else (),
            fit=fit,
        )
        self._script = script = ScriptStep(platform.scripts, configuration, changed=changed)
        steps: tuple[IMastershipStep, ...] = (script, self._announcements)
        interface = configuration.interface
        if hardware is not None:
            interface = virtualInterfaceName(interface, configuration.vhid)
        self._interface = interface
        if configuration.assign and platform.addresses is not None:
            self.leases = AddressLeases(
                platform.addresses,
                interface,
                configuration.addresses,
                leaseFor(configuration.advbase, configuration.deadRatio),
                platform.clock,
                fit=fit,
                sayOnce=limits,
                note=note,
                interval=interval,
                routed=hardware is None,
                restored=self._announcements.again,
                unfit=self._lost,
                changed=changed,
                alive=alive,
            )
            # The script does not add the addresses, but may use them.
            self._scripts = ScriptsAlongside(script, platform.clock, configuration.downScriptFirst)
            steps = (self.leases, self._announcements, self._scripts.up)
            if hardware is not None and platform.virtualInterfaces is not None:
                ipv6 = not all(address.isIPv4 for address in configuration.addresses)
                virtualMAC = VirtualMAC(
                    platform.virtualInterfaces,
                    platform.links,
                    configuration.interface,
                    configuration.vhid,
                    hardware,
                    ipv6,
                    unfit=self._lost,
                )
                steps = (virtualMAC, *steps)
            steps = (self._scripts.down, *steps)
        else:
            self._warnWithoutScripts()
        self._configured = ConfiguredSteps(configuration, platform, self._stepLost)
        self._others = before, steps, after
        self._sequence = MastershipSequence(
            self._inOrder(), platform.clock, self._stepFailed, ready
        )

    def adopt(self, configuration: VirtualHostConfiguration) -> None:
        """
        Follow other settings.  Other scripts and commands run from the next change of role on.
        A master has other addresses at once, acquires steps that are new, and releases those that
        are gone.
        """
        before, addresses = self._configuration, configuration.addresses
        changed = (before.steps, before.resetConnections) != (
            configuration.steps,
            configuration.resetConnections,
        )
        moved = addresses != before.addresses
        self._configuration = configuration
        self._announcements.repeatEvery(configuration.announceEvery)
        self._script.adopt(configuration)
        if self.leases is not None:
            self.leases.adopt(leaseFor(configuration.advbase, configuration.deadRatio))
            if moved:
                self.leases.change(addresses)
        if moved and self._resets is not None:
            self._resets.change(addresses)
        if moved:
            self._announcements.change([address.packed for address in addresses])
        self._configured.adopt(configuration)
        if changed:
            self._sequence.replace(self._inOrder())

    @property
    def announced(self) -> int:
        """
        The number of announcements that were sent.
        """
        return self._announcements.sent

    @property
    def failed(self) -> list[str]:
        """
        The names of the steps that failed.
        """
        return [one.step.name for one in self._sequence.records if one.state is StepState.FAILED]

    def statuses(self) -> list[StepStatus]:
        """
        The state of each step, in order.
        """
        now = self._clock.seconds()
        return [
            StepStatus(
                one.step.name,
                one.state,
                now - one.since,
                one.text,
                one.step.required,
                one.step.timeLimit,
                one.acquired,
                one.released,
            )
            for one in self._sequence.records
        ]

    @property
    def readiness(self) -> Readiness:
        """
        How far this host is with acquiring or releasing the steps.
        """
        return self._sequence.readiness

    @property
    def hasBequest(self) -> bool:
        """
        Whether another process can give back what this host has as master, if this one dies.
        """
        return self.leases is not None or self._script.hasBequest

    def bequest(self) -> Bequest:
        """
        Return what it would have to give back now.
        """
        own = self._configuration
        link = self._platform.links.link(self._interface)
        addresses: tuple[tuple[int, bytes, int], ...] = ()
        if self.leases is not None and link is not None:
            addresses = tuple(
                (link.index, one.packed, one.prefixLength) for one in self.leases.held
            )
        return Bequest(addresses, self._script.bequest(), own.downScriptFirst)

    @property
    def wanted(self) -> bool:
        """
        Whether all steps are acquired, or are being acquired.
        """
        return self._sequence.wanted

    def changed(self, change: Change) -> None:
        """
        Acquire or release the steps for a new role.  A master that was asked to hand over
        releases them at the end of the hand-over, and one that was drained in L{giveBack}.
        """
        if self._leaving:
            return
        if self.handOver.isWaiting:
            self.handOver.forget()
        self._drained = None
        if change.reason is Reason.DRAINED:
            self._beginDrain(change, SUCCESSION)
        elif change.reason is Reason.RESIGNED and not self._configuration.releaseFirst:
            self.handOver.begin(lambda: self._wish(change))
        elif change.reason is Reason.SYNC and change.role is Role.BACKUP and self.lingers:
            # If nobody takes over from a member that was drained, this one returns as well.
            self._beginDrain(change, SUCCESSION + FOLLOW)
        else:
            self._wish(change)

    def _beginDrain(self, change: Change, seconds: float) -> None:
        """
        Keep all steps until it is decided whether this host stays out, for so long at most.
        """
        self._drained = change
        due = self._clock.seconds() + seconds
        self.handOver.begin(
            lambda: self._tell(HandOverEnded(max(0.0, self._clock.seconds() - due))), seconds
        )
        self._keepLease()

    def release(self, change: Change) -> Deferred[None]:
        """
        Release all steps while this host is still master.

        @param change: The change of role that will follow.
        @return: Fires when the steps are released, or a newer wish is fulfilled.
        """
        self._wish(change)
        return self._sequence.settled()

    @property
    def isDraining(self) -> bool:
        """
        Whether this host was drained as master, and it is not decided yet whether it stays out.
        """
        return self._drained is not None

    def giveBack(self) -> None:
        """
        Release the steps of a master that was drained.
        """
        change, self._drained = self._drained, None
        if change is not None:
            self._wish(change)
        if self._decided is not None:
            self._decided.callback(None)

    def settled(self) -> Deferred[None]:
        """
        Wait until all steps are acquired or released, as the newest change of role demands.
        """
        return self._sequence.settled()

    @inlineCallbacks
    def leave(
        self, change: Change, leaveElection: Callable[[], Deferred[None]]
    ) -> Generator[Deferred[Any], Any, None]:
        """
        Leave the election and release all steps.  A master bows out first and waits for its
        successor; with C{releaseFirst}, it bows out last.  Later decisions of the election are
        ignored.

        @param leaveElection: Leaves the election; a master bows out.  Returns a Deferred that
            fires when that is done.
        """
        if self._drained is not None:
            # The successor has the same time as without a stop.
            self._decided = Deferred()
            yield self._decided
        self.handOver.end()  # after a resignation, the steps are released for that reason
        self._leaving = True
        last = change.previous is Role.MASTER and self._configuration.releaseFirst
        if not last:
            yield leaveElection()
            if change.previous is Role.MASTER:
                successor: Deferred[None] = Deferred()
                self.handOver.begin(lambda: successor.callback(None))
                yield successor
        if change.previous is Role.MASTER:
            self._wish(change)
        # A backup has released its steps already, or is releasing them.  The reason why it
        # became backup remains the reason for that.
        yield self._sequence.settled()
        if last:
            yield leaveElection()

    def advertised(self, isFit: bool) -> None:
        """
        Handle that this master sent an advertisement, or tried to.

        @param isFit: Whether this host is a healthy master, which renews the lease of its
            addresses.
        """
        self._announcements.advertised()
        if isFit and self.leases is not None:
            self.leases.renew()

    def announceAgain(self) -> None:
        """
        Announce the addresses again, because the neighbours may have other information.
        """
        self._announcements.again()

    def _keepLease(self) -> None:
        """
        Renew the lease as long as a drained master waits for its successor.  A lease that has
        ended meanwhile shows that this host did not run, and is not renewed.
        """
        leases = self.leases
        if leases is not None and self.handOver.isWaiting and self._clock.seconds() < leases.end:
            leases.renew()
            self._renewal = self._clock.callLater(_RENEW, self._keepLease)

    def _wish(self, change: Change) -> None:
        if self._renewal is not None and self._renewal.active():
            self._renewal.cancel()
        waiting = None
        scripts = self._scripts
        isMaster = change.role is Role.MASTER
        if scripts is not None:
            scripts.wanted = isMaster
            if self._sequence.wanted is not isMaster:
                waiting = scripts.waiting
        self._sequence.wish(change)
        if scripts is not None and waiting is not None:
            scripts.goOn(waiting)  # which belongs to the wish before
        if change.role is not Role.MASTER:
            self._sequence.settled().addCallback(lambda _: self._settled())

    def _settled(self) -> None:
        if not self._sequence.wanted:
            self._givenBack()

    def _inOrder(self) -> list[IMastershipStep]:
        """
        All steps, in the order in which they are acquired.
        """
        before, own, after = self._others
        if self.leases is not None and self._configuration.resetConnections:
            resets = self._resets = self._resets or self._newResets()
            at = own.index(self.leases)
            own = (*own[:at], resets.last, self.leases, resets.first, *own[at + 1 :])
        configured = self._configured
        return [
            *(*before, *configured.at(BEFORE_ADDRESSES)),
            *own,
            *(*configured.at(AFTER_ADDRESSES), *after),
        ]

    def _newResets(self) -> ConnectionResets:
        table = self._platform.addresses
        assert table is not None  # there are leases
        addresses = self._configuration.addresses
        impossible = partial(self._found, Finding.NO_RESET, b"")
        return ConnectionResets(self._platform, table, self._interface, addresses, impossible)

    def _stepLost(self, step: IMastershipStep, why: str) -> None:
        self._sequence.lost(step, why)
        if step.required:
            self._lost(step.name)

    def _lost(self, name: str) -> None:
        """
        Report that an acquired step was lost.
        """
        if self._sequence.wanted:
            self._stepFailed(name)

    def _stepFailed(self, name: str) -> None:
        self._tell(StepFailed(name))

    def _warnWithoutScripts(self) -> None:
        for path, direction in (
            (self._configuration.upScript, "up"),
            (self._configuration.downScript, "down"),
        ):
            if not path:
                self._log.warn(
                    "Warning: no script called when going {direction}", direction=direction
                )
