"""
What being master means for one virtual host, put together.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from txcarp.change import Change
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.interfaces import (
    IAddressTable,
    IAnnouncer,
    ILinkMonitor,
    IMastershipStep,
    IScriptRunner,
    IVirtualInterfaces,
)
from txcarp.logs.limits import SayOnce
from txcarp.mastership.announcements import Announcements
from txcarp.mastership.handover import HandOver
from txcarp.mastership.leases import AddressLeases, leaseFor
from txcarp.mastership.scripts import ScriptStep
from txcarp.mastership.sequence import MastershipSequence
from txcarp.mastership.virtualmac import VirtualMAC, virtualInterfaceName
from txcarp.protocol.effects import Reason, Role


class Mastership:
    """
    The steps of a virtual host in their order, and the moment of handing over.
    """

    _log = Logger()

    def __init__(
        self,
        configuration: VirtualHostConfiguration,
        clock: IReactorTime,
        *,
        announcer: IAnnouncer,
        links: ILinkMonitor,
        addresses: IAddressTable | None,
        virtualInterfaces: IVirtualInterfaces | None,
        scripts: IScriptRunner,
        before: Sequence[IMastershipStep],
        after: Sequence[IMastershipStep],
        fit: Callable[[], bool],
        interval: Callable[[], float],
        unfit: Callable[[str], None],
        sayOnce: SayOnce,
    ) -> None:
        """
        @param links: What knows the interfaces.
        @param addresses: What adds and removes addresses, if the
            configuration asks for it.
        @param virtualInterfaces: What makes interfaces with virtual hardware
            addresses, likewise.
        @param before: Steps to take before the addresses appear.
        @param after: Steps to take when everything else is done.
        @param fit: Whether this host is a master in good order.
        @param interval: Seconds from one advertisement to the next, as it is now.
        @param unfit: Called with the name of a required step that failed, or
            is not what it was any more.
        """
        self._configuration = configuration
        self._handOver = HandOver(clock)
        self._leaving = False
        self._announcements = Announcements(
            announcer,
            [address.packed for address in configuration.addresses],
            clock,
            refresh=configuration.announceEvery,
            soon=_SOON if configuration.assign else (),
            fit=fit,
        )
        self._leases: AddressLeases | None = None
        script = ScriptStep(
            scripts,
            up=configuration.upScript,
            down=configuration.downScript,
            parameter=configuration.parameter,
            timeLimit=configuration.scriptTimeout,
            downAtStart=not configuration.neutral,
            downAtStop=configuration.shutdown,
        )
        steps: tuple[IMastershipStep, ...] = (script, self._announcements)
        if configuration.assign and addresses is not None:
            hardware = configuration.virtualMAC
            interface = configuration.interface
            if hardware is not None:
                interface = virtualInterfaceName(interface, configuration.vhid)
            self._leases = AddressLeases(
                addresses,
                interface,
                configuration.addresses,
                leaseFor(configuration.advbase, configuration.deadRatio),
                clock,
                fit=fit,
                sayOnce=sayOnce,
                interval=interval,
                routed=hardware is None,
                restored=self._announcements.again,
                unfit=lambda: self._noLonger(AddressLeases.name, unfit),
            )
            # The script does not add the address, but may want to use it.
            steps = (self._leases, self._announcements, script)
            if hardware is not None and virtualInterfaces is not None:
                ipv6 = not all(address.isIPv4 for address in configuration.addresses)
                steps = (
                    VirtualMAC(
                        virtualInterfaces,
                        links,
                        configuration.interface,
                        configuration.vhid,
                        hardware,
                        ipv6,
                        unfit=lambda: self._noLonger(VirtualMAC.name, unfit),
                    ),
                    *steps,
                )
        else:
            self._warnWithoutScripts()
        self._sequence = MastershipSequence([*before, *steps, *after], clock, unfit)

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
        self._handOver.forget()
        if change.reason is Reason.RESIGNED and not self._configuration.releaseFirst:
            self._handOver.begin(lambda: self._sequence.wish(change))
        else:
            self._sequence.wish(change)

    def release(self, change: Change) -> Deferred[None]:
        """
        Give everything back while this host is master still.

        @param change: What the role is about to become.
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
        self._handOver.end()  # what was resigned is given back as such
        self._leaving = True
        last = change.previous is Role.MASTER and self._configuration.releaseFirst
        if not last:
            leaveElection()
            if change.previous is Role.MASTER:
                successor: Deferred[None] = Deferred()
                self._handOver.begin(lambda: successor.callback(None))
                yield successor
        if change.previous is Role.MASTER:
            self._sequence.wish(change)
        # A backup has everything released already, or is about it, for a reason
        # that counts for more than the stop.
        yield self._sequence.settled()
        if last:
            leaveElection()

    def successorHeard(self) -> None:
        """
        Another master advertises.
        """
        self._handOver.successorHeard()

    def advertised(self, inOrder: bool) -> None:
        """
        This master advertised, or tried to.

        @param inOrder: Whether this host is a master in good order, and may
            keep its addresses for another while.
        """
        self._announcements.advertised()
        if inOrder and self._leases is not None:
            self._leases.renew()

    def announceAgain(self) -> None:
        """
        Tell the neighbours once more: they may have been told otherwise.
        """
        self._announcements.again()

    def _noLonger(self, name: str, unfit: Callable[[str], None]) -> None:
        """
        A step that was acquired does not hold any more.
        """
        if self._sequence.wanted:
            unfit(name)

    def _warnWithoutScripts(self) -> None:
        for path, direction in (
            (self._configuration.upScript, "up"),
            (self._configuration.downScript, "down"),
        ):
            if not path:
                self._log.warn(
                    "Warning: no script called when going {direction}", direction=direction
                )


#: Seconds after which leased addresses are announced again; where scripts add
#: them it is done with the advertisements, as in ucarp.
_SOON = (1.0, 5.0)
