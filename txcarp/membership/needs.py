"""
What this host needs to take part: an interface that works, and a source to advertise from.  A
host stays out of the election while it lacks any of this.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from txcarp.addresses import textOf
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.links import Link
from txcarp.membership.holds import Holds
from txcarp.membership.timers import cancel
from txcarp.protocol.events import HoldReason, TransportChanged

#: The holds of a host on which packets do not arrive, whatever a firewall does.
_NOT_WORKING = frozenset((HoldReason.NO_LINK, HoldReason.DEAF, HoldReason.NOT_READY))


class Needs:
    """
    Holds a host while its interface does not work, or it lacks something else.
    """

    _log = Logger()

    def __init__(
        self,
        configuration: VirtualHostConfiguration,
        clock: IReactorTime,
        holds: Holds,
        lookAgain: Callable[[], None],
    ) -> None:
        """
        @param lookAgain: Called when L{transportChanged} should be called again.
        """
        self._configuration = configuration
        self._clock = clock
        self._holds = holds
        self._lookAgain = lookAgain
        self._again: IDelayedCall | None = None
        self._link: Link | None = None
        self._isKnown = False
        self._transport = TransportChanged()
        #: Since when this host lacks something, in seconds of the clock.
        self._since: float | None = None
        #: What was logged: what this host lacks, and the sources that no interface has.
        self._said = ""
        self._missing: tuple[bytes, ...] = ()

    def stop(self) -> None:
        """
        Cancel the timer.
        """
        cancel(self._again)

    def adopt(self, configuration: VirtualHostConfiguration) -> None:
        """
        Ignore a lost carrier, or no longer.
        """
        before, self._configuration = self._configuration, configuration
        if self._isKnown and configuration.ignoreLink != before.ignoreLink:
            self.changed(self._link)

    def changed(self, link: Link | None) -> bool:
        """
        Hold or release this host, and log the change.

        @param link: The new state of the interface; C{None} if it does not exist.
        @return: Whether the interface can be used.
        """
        name = self._configuration.interface
        self._logLink(name, link)
        atStart = not self._isKnown
        self._link, self._isKnown = link, True
        self._checkReady()
        self._logMissing()
        if self._isUsable:
            self._holds.release(HoldReason.NO_LINK)
            return True
        if HoldReason.NO_LINK not in self._holds or (atStart and link is not None):
            self._log.warn(
                "Interface [{interface}] is {what}",
                interface=name,
                what="gone" if link is None else "without carrier" if link.up else "down",
            )
            self._holds.hold(HoldReason.NO_LINK)
        return False

    def transportChanged(self, event: TransportChanged, isMaster: bool, deadTime: float) -> None:
        """
        Hold or release this host, depending on whether packets can arrive and leave.  A host that
        cannot hear the master must not become a second one.

        @param deadTime: Seconds for which a master goes on although it lacks something.  While
            its peers wait for it, nothing is lost if it gets that back: a network manager may
            remove all addresses of an interface for a moment.
        """
        self._transport = event
        self._checkReady(deadTime if isMaster else 0.0)
        self._logMissing()
        if not event.isDeaf:
            self._holds.release(HoldReason.DEAF)
        elif HoldReason.DEAF not in self._holds:
            if self._link is not None:
                self._log.error(
                    "No packet can be received on [{interface}]: vhid {vhid} stays out of the "
                    "election until its sockets are open",
                    interface=self._configuration.interface,
                    vhid=self._configuration.vhid,
                )
            self._holds.hold(HoldReason.DEAF)

    @property
    def works(self) -> bool:
        """
        Whether all packets arrive that no firewall drops, as far as is known.
        """
        return self._holds.present.keys().isdisjoint(_NOT_WORKING)

    @property
    def _isUsable(self) -> bool:
        link = self._link
        return link is not None and (self._configuration.ignoreLink or link.works)

    def _checkReady(self, patience: float | None = None) -> None:
        """
        Hold or release this host, depending on whether it lacks something.

        @param patience: Seconds for which this host may lack it; C{None} if only the link changed.
        """
        enslaved = self._enslaved()
        lack = enslaved or self._transport.lack
        isOff = bool(enslaved) or self._transport.isOff
        if not lack:
            self._since = None
            cancel(self._again)
            self._holds.release(HoldReason.NOT_READY)
        elif isOff or HoldReason.NOT_READY in self._holds:
            self._hold(lack, isOff)
        elif patience is not None:
            now = self._clock.seconds()
            if self._since is None:
                self._since = now
            cancel(self._again)
            remaining = self._since + patience - now
            if remaining > 0:
                self._again = self._clock.callLater(remaining, self._lookAgain)
            else:
                self._hold(lack, False)
        self._logReady()

    def _enslaved(self) -> str:
        """
        Why no packet arrives on the interface although it works; empty if packets do.
        """
        link = self._link
        if link is None or not link.isEnslaved:
            return ""
        master = link.masterName or f"a {link.portOf}"
        return f"{link.name} is enslaved to {master}: configure {master} instead (-i)"

    def _hold(self, lack: str, handOver: bool) -> None:
        if self._holds.detailOf(HoldReason.NOT_READY) != lack:
            self._holds.hold(HoldReason.NOT_READY, detail=lack, handOver=handOver)

    def _logReady(self) -> None:
        """
        Log what this host waits for, unless it follows from the state of the link.
        """
        lack = self._holds.detailOf(HoldReason.NOT_READY) or ""
        if lack == self._said or (lack and not self._isUsable):
            return
        self._said = lack
        names = {"vhid": self._configuration.vhid, "interface": self._configuration.interface}
        if lack:
            self._log.warn(
                "Waiting: {lack}. Until that changes, this host stays out of the election (vhid "
                "{vhid} on {interface})",
                lack=lack,
                **names,
            )
        else:
            self._log.info("Ready: this host takes part (vhid {vhid} on {interface})", **names)

    def _logMissing(self) -> None:
        """
        Log that no interface has a source of this host, or has one again.
        """
        missing = self._transport.missing
        if missing == self._missing or not self._isUsable:
            return
        for source in missing:
            self._log.warn(
                "No interface of this host has {source}, the source (-s) of its advertisements "
                "(vhid {vhid} on {interface}). They leave from it all the same. If another host "
                "of the group has it, the two ignore each other, and both become master. Restart "
                "txcarp with an address of this host",
                source=textOf(source),
                vhid=self._configuration.vhid,
                interface=self._configuration.interface,
            )
        for source in set(self._missing) - set(missing):
            self._log.info(
                "{source}, the source (-s), is an address of this host again", source=textOf(source)
            )
        self._missing = missing

    def _logLink(self, name: str, link: Link | None) -> None:
        previous = self._link
        if link is None:
            if previous is not None or not self._isKnown:
                self._log.warn(
                    "Interface [{interface}] does not exist: waiting for it", interface=name
                )
        elif link.address and (previous is None or previous.address != link.address):
            self._log.info(
                "Local advertised ethernet address is [{address}]", address=link.address.hex(":")
            )
