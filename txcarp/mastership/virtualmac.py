"""
A hardware address that is the same on every master.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any
from zlib import crc32

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.logger import Logger
from zope.interface import implementer

from txcarp.change import Change
from txcarp.configuration.model import MAXIMUM_INTERFACE
from txcarp.interfaces import ILinkMonitor, ILinkObserver, IMastershipStep, IVirtualInterfaces
from txcarp.links import Link

_TIME_LIMIT = 5.0


def virtualInterfaceName(interface: str, vhid: int) -> str:
    """
    What the interface with the virtual hardware address is called.  A name
    that would be too long ends in a checksum of it in place of its rest, as
    long names often differ only there.
    """
    name = f"vh{vhid}.{interface}".encode()
    if len(name) > MAXIMUM_INTERFACE:
        checksum = f"~{crc32(name) & 0xFFFF:04x}".encode()
        name = name[: MAXIMUM_INTERFACE - len(checksum)] + checksum
    return name.decode(errors="ignore")


@implementer(IMastershipStep, ILinkObserver)
class VirtualMAC:
    """
    Makes the interface of the virtual hardware address while this host is
    master, and only then: a backup must not be seen to have it.
    """

    name = "virtual MAC"
    required = True
    timeLimit = _TIME_LIMIT
    _log = Logger()

    def __init__(
        self,
        interfaces: IVirtualInterfaces,
        links: ILinkMonitor,
        parent: str,
        vhid: int,
        hardware: bytes,
        ipv6: bool,
        unfit: Callable[[], None],
    ) -> None:
        """
        @param ipv6: Whether there are IPv6 addresses among the virtual ones.
        @param unfit: Called when somebody removes the interface or switches it
            off.
        """
        self._interfaces = interfaces
        self._links = links
        self._parent = parent
        self._interface = virtualInterfaceName(parent, vhid)
        self._hardware = hardware
        self._ipv6 = ipv6
        self._unfit = unfit
        self._watching = False
        self._usable = False

    @inlineCallbacks
    def acquire(self, change: Change) -> Generator[Deferred[Any], Any, None]:
        """
        Make it, and have an eye on it.
        """
        yield self._interfaces.create(self._interface, self._parent, self._hardware, self._ipv6)
        self._usable = False
        self._watching = True
        self._links.watch(self._interface, self)

    def release(self, change: Change) -> Deferred[None]:
        """
        Remove it; at the start, what an earlier run left.
        """
        if self._watching:
            self._watching = False
            self._links.unwatch(self._interface, self)
        return self._interfaces.remove(self._interface, self._parent)

    def linkChanged(self, name: str, link: Link | None) -> None:
        """
        Whether it has a carrier depends on the parent, which others watch.
        What the monitor knew before it was made is passed over.
        """
        usable = link is not None and link.up
        if self._usable and not usable:
            self._log.error(
                "Somebody {what} interface [{interface}], which the addresses are on",
                what="removed" if link is None else "switched off",
                interface=name,
            )
            self._unfit()
        self._usable = usable
