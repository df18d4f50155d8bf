"""
The sockets of one virtual host.
"""

from __future__ import annotations

from txcarp.configuration.difference import socketsOf
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.interfaces import IAdvertisementTransport, INetwork
from txcarp.protocol.family import Family


class Attachment:
    """
    Attaches a virtual host to the network, and keeps it attached from one run to the next: the
    privileges to open sockets may be gone by then.
    """

    def __init__(self, network: INetwork) -> None:
        self._network = network
        #: The configuration that the virtual host was attached with, and its transports; C{None}
        #: while it is not attached.
        self._attached: (
            tuple[VirtualHostConfiguration, dict[Family, IAdvertisementTransport]] | None
        ) = None

    def attach(
        self, configuration: VirtualHostConfiguration, isUsed: bool
    ) -> dict[Family, IAdvertisementTransport]:
        """
        Open the sockets, unless they are open with these settings.

        @param isUsed: Whether a run still needs the sockets that are open.
        @return: The transport of each family.
        @raise txcarp.MissingCapability: If this process may not open them.
        @raise txcarp.AlreadyRunning: If another process on this host runs this virtual host.
        """
        wanted = socketsOf(configuration)
        if self._attached is not None:
            before, transports = self._attached
            if isUsed or socketsOf(before) == wanted:
                return transports
            self.detach()
        transports = {}
        try:
            for family, settings in wanted.items():
                transports[family] = self._network.attach(*settings)
        except BaseException:
            if transports:
                self._network.detach(configuration.interface, configuration.vhid)
            raise
        self._attached = configuration, transports
        return transports

    def markLeaving(self, leaving: bool) -> None:
        """
        Note that this process is about to leave the group for good, or no longer.
        """
        if self._attached is not None:
            own, _ = self._attached
            self._network.markLeaving(own.interface, own.vhid, leaving)

    def detach(self) -> None:
        """
        Close the sockets.
        """
        if self._attached is not None:
            (own, _), self._attached = self._attached, None
            self._network.detach(own.interface, own.vhid)
