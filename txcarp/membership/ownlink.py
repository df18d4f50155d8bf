"""
The interface of the group.  A host stays out of the election while the interface is missing or
has no link, or while no packet can arrive.
"""

from __future__ import annotations

from twisted.logger import Logger

from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.interfaces import ILinkMonitor
from txcarp.links import Link
from txcarp.membership.holds import Holds
from txcarp.protocol.events import HoldReason


class OwnLink:
    """
    Holds a host while its interface does not work.
    """

    _log = Logger()

    def __init__(
        self, configuration: VirtualHostConfiguration, links: ILinkMonitor, holds: Holds
    ) -> None:
        self._configuration = configuration
        self._links = links
        self._holds = holds
        self._link: Link | None = None
        self._isKnown = False

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
        if link is not None and (self._configuration.ignoreLink or link.works):
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

    def hearingChanged(self, hears: bool) -> None:
        """
        Hold or release this host, depending on whether packets can arrive.  A host that cannot
        hear the master must not become a second one.
        """
        if hears:
            self._holds.release(HoldReason.DEAF)
        elif HoldReason.DEAF not in self._holds:
            interface = self._configuration.interface
            if self._links.link(interface) is not None:
                self._log.error(
                    "No packet can be received on [{interface}]: vhid {vhid} stays out of the "
                    "election until its sockets are open",
                    interface=interface,
                    vhid=self._configuration.vhid,
                )
            self._holds.hold(HoldReason.DEAF)

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
