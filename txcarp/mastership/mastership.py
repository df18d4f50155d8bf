"""
What being master means for one virtual host, put together.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from txcarp.change import Change
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.interfaces import IMastershipStep, IPlatform
from txcarp.logs.limits import SayOnce
from txcarp.mastership.announcements import Announcements
from txcarp.mastership.leases import AddressLeases, leaseFor
from txcarp.mastership.scripts import ScriptStep
from txcarp.mastership.sequence import MastershipSequence
from txcarp.mastership.virtualmac import VirtualMAC, virtualInterfaceName
from txcarp.protocol.effects import Reason, Role

#: Seconds for which a master that bowed out goes on answering, unless it hears
#: its successor earlier.
LINGER = 0.5

#: Seconds for which it still does after it heard the successor's first
#: advertisement: that leaves before the successor has the addresses, and long
#: before the neighbours know.
FOLLOW = 0.05

#: Seconds after which leased addresses are announced again; where scripts add
#: them it is done with the advertisements, as in ucarp.
_SOON = (1.0, 5.0)


class HandOver:
    """
    The moment between a bow-out and the release of what a master holds.

    @ivar isWaiting: Whether it is now.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._call: IDelayedCall | None = None
        self._then: Callable[[], None] | None = None
        self.isWaiting = False

    def begin(self, then: Callable[[], None]) -> None:
        """
        Call something L{FOLLOW} seconds after a successor is heard, or when
        none was for L{LINGER} seconds.
        """
        self.forget()
        self._then = then
        self.isWaiting = True
        self._call = self._clock.callLater(LINGER, self.end)

    def successorHeard(self) -> None:
        """
        A successor is heard: go, as soon as it can have everything.
        """
        call = self._call
        if call is not None and call.active():
            remaining = call.getTime() - self._clock.seconds()
            call.reset(max(0.0, min(FOLLOW, remaining)))

    def end(self) -> None:
        """
        Go now.
        """
        then = self._then
        self.forget()
        if then is not None:
            then()

    def forget(self) -> None:
        """
        Something else happened that settles the matter.
        """
        self._then = None
        self.isWaiting = False
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = None


class Mastership:
    """
    The steps of a virtual host in their order, and the moment of handing over: a master
    that leaves of its own accord goes on answering until its successor does.

    @ivar handOver: The moment of handing over.
    @ivar leases: The addresses on lease; C{None} if scripts add them.
    """

    _log = Logger()

    def __init__(
        self,
        configuration: VirtualHostConfiguration,
        platform: IPlatform,
        *,
        before: Sequence[IMastershipStep],
        after: Sequence[IMastershipStep],
        fit: Callable[[], bool],
        interval: Callable[[], float],
        failed: Callable[[str], None],
        limits: SayOnce,
    ) -> None:
        """
        @param before: Steps to take before the addresses appear.
        @param after: Steps to take when everything else is done.
        @param fit: Whether this host is a master in good order.
        @param interval: Seconds from one advertisement to the next, at this moment.
        @param failed: Called with the name of a required step that failed, or
            does not hold any more.
        @param limits: Limits how often each log line is written.
        """
        self.leases: AddressLeases | None = None
        self._configuration = configuration
        self._failed = failed
        self._leaving = False
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
        script = ScriptStep(
            platform.scripts,
            up=configuration.upScript,
            down=configuration.downScript,
            parameter=configuration.parameter,
            timeLimit=configuration.scriptTimeout,
            downAtStart=not configuration.neutral,
            downAtStop=configuration.shutdown,
            label=configuration.label,
        )
        steps: tuple[IMastershipStep, ...] = (script, self._announcements)
        if configuration.assign and platform.addresses is not None:
            interface = configuration.interface
            if hardware is not None:
                interface = virtualInterfaceName(interface, configuration.vhid)
            self.leases = AddressLeases(
                platform.addresses,
                interface,
                configuration.addresses,
                leaseFor(configuration.advbase, configuration.deadRatio),
                platform.clock,
                fit=fit,
                sayOnce=limits,
                interval=interval,
                routed=hardware is None,
                restored=self._announcements.again,
                unfit=lambda: self._lost(AddressLeases.name),
            )
            # The script does not add the address, but may want to use it.
            steps = (self.leases, self._announcements, script)
            if hardware is not None and platform.virtualInterfaces is not None:
                ipv6 = not all(address.isIPv4 for address in configuration.addresses)
                virtualMAC = VirtualMAC(
                    platform.virtualInterfaces,
                    platform.links,
                    configuration.interface,
                    configuration.vhid,
                    hardware,
                    ipv6,
                    unfit=lambda: self._lost(VirtualMAC.name),
                )
                steps = (virtualMAC, *steps)
        else:
            self._warnWithoutScripts()
        self._sequence = MastershipSequence([*before, *steps, *after], platform.clock, failed)

    @property
    def complete(self) -> bool:
        """
        Whether everything that being master means is in place.
        """
        return self._sequence.complete

    @property
    def wanted(self) -> bool:
        """
        Whether everything that being master means is in place, or is to be.
        """
        return self._sequence.wanted

    def changed(self, change: Change) -> None:
        """
        Do what a new role means.  A master that hands over of its own accord
        goes on answering until its successor does.
        """
        if self._leaving:
            return
        if self.handOver.isWaiting:
            self.handOver.forget()
        if change.reason is Reason.RESIGNED and not self._configuration.releaseFirst:
            self.handOver.begin(lambda: self._sequence.wish(change))
        else:
            self._sequence.wish(change)

    def release(self, change: Change) -> Deferred[None]:
        """
        Give everything back while this host is master still.

        @param change: The role that it is about to have.
        @return: Fires when that is done, or something newer that was wished.
        """
        self._sequence.wish(change)
        return self._sequence.settled()

    @inlineCallbacks
    def leave(
        self, change: Change, leaveElection: Callable[[], None]
    ) -> Generator[Deferred[Any], Any, None]:
        """
        Give everything back.  A master leaves the election, with a bow-out,
        first and then waits for its successor; or last, if the configuration
        says so.  Whatever the election still decides means nothing any more.
        """
        self.handOver.end()  # what was resigned is given back as such
        self._leaving = True
        last = change.previous is Role.MASTER and self._configuration.releaseFirst
        if not last:
            leaveElection()
            if change.previous is Role.MASTER:
                successor: Deferred[None] = Deferred()
                self.handOver.begin(lambda: successor.callback(None))
                yield successor
        if change.previous is Role.MASTER:
            self._sequence.wish(change)
        # A backup has everything released already, or is about it, for a reason
        # that counts for more than the stop.
        yield self._sequence.settled()
        if last:
            leaveElection()

    def advertised(self, inOrder: bool) -> None:
        """
        This master advertised, or tried to.

        @param inOrder: Whether this host is a master in good order, and may
            keep its addresses for another while.
        """
        self._announcements.advertised()
        if inOrder and self.leases is not None:
            self.leases.renew()

    def announceAgain(self) -> None:
        """
        Tell the neighbours once more: they may have been told otherwise.
        """
        self._announcements.again()

    def _lost(self, name: str) -> None:
        """
        A step that was acquired does not hold any more.
        """
        if self._sequence.wanted:
            self._failed(name)

    def _warnWithoutScripts(self) -> None:
        for path, direction in (
            (self._configuration.upScript, "up"),
            (self._configuration.downScript, "down"),
        ):
            if not path:
                self._log.warn(
                    "Warning: no script called when going {direction}", direction=direction
                )
