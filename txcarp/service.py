"""
The virtual hosts of one process as a Twisted service.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, gatherResults, inlineCallbacks, maybeDeferred

from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.interfaces import IPlatform
from txcarp.platform import LinuxPlatform
from txcarp.virtualhost import VirtualHost


class CARPService(MultiService):
    """
    Several virtual hosts that share one platform: clock, sockets, netlink and state file.

    Any Twisted application can run it::

        service = CARPService([VirtualHostConfiguration(...)])
        service.setServiceParent(application)

    Nothing is opened before L{privilegedStartService} or L{startService}, so the process can
    still fork after the service is made.
    """

    def __init__(
        self,
        configurations: Iterable[VirtualHostConfiguration],
        *,
        stateFile: str | None = None,
        platform: IPlatform | None = None,
    ) -> None:
        """
        @param stateFile: The file that keeps over a restart what replayed advertisements are
            recognised by; C{None} for none.  Not used if a platform is given.
        @param platform: The platform; by default this Linux host and the global reactor.
        @raise ValueError: If two virtual hosts have the same interface and vhid.
        """
        MultiService.__init__(self)
        self.platform: IPlatform = platform or LinuxPlatform(stateFile=stateFile)
        for configuration in _byName(configurations).values():
            self._add(configuration)

    @property
    def virtualHosts(self) -> list[VirtualHost]:
        """
        The virtual hosts, in the order in which they were added.
        """
        return [service for service in self.services if isinstance(service, VirtualHost)]

    def addVirtualHost(self, configuration: VirtualHostConfiguration) -> VirtualHost:
        """
        Add a virtual host.  If this service is running, the virtual host takes part in its
        group at once.

        @raise ValueError: If a virtual host with this interface and vhid already exists.
        @raise OSError: If this process may not open the sockets.  The virtual host is not
            added then.
        """
        _byName([*(host.configuration for host in self.virtualHosts), configuration])
        return self._add(configuration)

    def removeVirtualHost(self, host: VirtualHost) -> Deferred[None]:
        """
        Remove a virtual host.  If it is running, it leaves its group first.

        @return: Fires when the virtual host has left.
        @raise ValueError: If the virtual host does not belong to this service.
        """
        if host not in self.virtualHosts:
            raise ValueError(f"virtual host {host.name} does not belong to this service")
        return maybeDeferred(host.disownServiceParent)

    def reconfigure(self, configurations: Iterable[VirtualHostConfiguration]) -> Deferred[None]:
        """
        Replace the configurations of all virtual hosts.  Those that are missing are removed,
        and new ones are added.  A virtual host whose configuration has changed leaves its
        group and takes part again.  The others are not disturbed.

        @return: Fires when all of that is done.
        @raise ValueError: If two virtual hosts have the same interface and vhid.  Nothing is
            changed then.
        @raise OSError: If this process may not open the sockets of a new virtual host.  The
            changes before it remain.
        """
        wanted = _byName(configurations)
        present = {host.configuration.name: host for host in self.virtualHosts}
        done = [
            self.removeVirtualHost(host) for name, host in present.items() if name not in wanted
        ]
        for name, configuration in wanted.items():
            if name in present:
                done.append(present[name].reconfigure(configuration))
            else:
                self._add(configuration)
        return gatherResults(done, consumeErrors=True).addCallback(lambda _: None)

    def privilegedStartService(self) -> None:
        """
        Open everything that needs privileges.

        @raise txcarp.MissingCapability: If this process may not open it.
        @raise txcarp.AlreadyRunning: If another process on this host runs one of the virtual
            hosts.
        """
        self.platform.open()
        MultiService.privilegedStartService(self)

    def startService(self) -> None:
        """
        Take part in all groups.
        """
        self.platform.open()
        MultiService.startService(self)

    @inlineCallbacks
    def stopService(self) -> Generator[Deferred[Any], Any, None]:
        """
        Leave all groups.

        @return: Fires when everything that belongs to mastership is released, and the
            platform is closed.
        """
        yield maybeDeferred(MultiService.stopService, self)
        if not self.running:  # it may have been started again meanwhile
            yield self.platform.close()

    def _add(self, configuration: VirtualHostConfiguration) -> VirtualHost:
        host = VirtualHost(configuration, self.platform)
        try:
            host.setServiceParent(self)  # type: ignore[no-untyped-call]
        except OSError:
            host.disownServiceParent()  # type: ignore[no-untyped-call]
            raise
        return host


def _byName(
    configurations: Iterable[VirtualHostConfiguration],
) -> dict[str, VirtualHostConfiguration]:
    """
    @raise ValueError: If two configurations have the same name.
    """
    found: dict[str, VirtualHostConfiguration] = {}
    for configuration in configurations:
        name = configuration.name
        if name in found:
            raise ValueError(
                f"two virtual hosts have vhid {configuration.vhid} on {configuration.interface}"
            )
        found[name] = configuration
    return found
