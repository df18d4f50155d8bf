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
    Virtual hosts that share a clock, a link monitor and sockets.

    Any Twisted application can hold one::

        service = CARPService([VirtualHostConfiguration(...)])
        service.setServiceParent(application)

    Nothing is opened before L{privilegedStartService} or L{startService}, so
    that a process can fork in between making and starting it.
    """

    def __init__(
        self,
        configurations: Iterable[VirtualHostConfiguration],
        *,
        stateFile: str | None = None,
        platform: IPlatform | None = None,
    ) -> None:
        """
        @param stateFile: The file that keeps, over a restart, what replays are told by;
            C{None} for none.
        @param platform: The machine to run on; this Linux host with the global reactor and
            the state file, if it is not given.
        @raise ValueError: If two virtual hosts have the same interface and
            vhid.
        """
        MultiService.__init__(self)
        self.platform: IPlatform = platform or LinuxPlatform(stateFile=stateFile)
        self._opened = False
        wanted = _byKey(configurations)
        for configuration in wanted.values():
            self._add(configuration)

    @property
    def virtualHosts(self) -> list[VirtualHost]:
        """
        The virtual hosts, in the order in which they were added.
        """
        return [service for service in self.services if isinstance(service, VirtualHost)]

    def addVirtualHost(self, configuration: VirtualHostConfiguration) -> VirtualHost:
        """
        Add a virtual host.  If this service runs, it takes part in its group at once.

        @raise ValueError: If there is one with this interface and vhid already.
        @raise OSError: If this process may not open what it needs; the virtual host is not
            added then.
        """
        key = _keyOf(configuration)
        if any(_keyOf(host.configuration) == key for host in self.virtualHosts):
            raise ValueError(_twice(key))
        return self._add(configuration)

    def removeVirtualHost(self, host: VirtualHost) -> Deferred[None]:
        """
        Have a virtual host leave its group, and forget it.

        @return: Fires when it left.
        @raise ValueError: If it is not one of this service.
        """
        if host not in self.virtualHosts:
            raise ValueError(f"{host.name} is no virtual host of this service")
        return maybeDeferred(host.disownServiceParent)

    def reconfigure(self, configurations: Iterable[VirtualHostConfiguration]) -> Deferred[None]:
        """
        Have these virtual hosts, and no others.  Those whose configuration is the same
        notice nothing; a changed one leaves its group in order and takes part again.

        @return: Fires when all of that is done.
        @raise ValueError: If two virtual hosts have the same interface and vhid; nothing is
            changed then.
        """
        wanted = _byKey(configurations)
        present = {_keyOf(host.configuration): host for host in self.virtualHosts}
        done = [
            self.removeVirtualHost(host) for key, host in present.items() if key not in wanted
        ]
        for key, configuration in wanted.items():
            if key in present:
                done.append(present[key].reconfigure(configuration))
            else:
                self._add(configuration)
        return gatherResults(done, consumeErrors=True).addCallback(lambda _: None)

    def privilegedStartService(self) -> None:
        """
        Open what needs privileges.

        @raise OSError: If this process may not.
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
        Leave all groups; fires when everything was given back.
        """
        yield maybeDeferred(MultiService.stopService, self)
        if not self.running:  # otherwise it was started again meanwhile
            yield self.platform.close()

    def _add(self, configuration: VirtualHostConfiguration) -> VirtualHost:
        host = VirtualHost(configuration, self.platform)
        host.setServiceParent(self)  # type: ignore[no-untyped-call]
        return host


def _keyOf(configuration: VirtualHostConfiguration) -> tuple[str, int]:
    return configuration.interface, configuration.vhid


def _byKey(
    configurations: Iterable[VirtualHostConfiguration],
) -> dict[tuple[str, int], VirtualHostConfiguration]:
    found: dict[tuple[str, int], VirtualHostConfiguration] = {}
    for configuration in configurations:
        key = _keyOf(configuration)
        if key in found:
            raise ValueError(_twice(key))
        found[key] = configuration
    return found


def _twice(key: tuple[str, int]) -> str:
    return f"virtual host {key[1]} is configured twice on {key[0]}"
