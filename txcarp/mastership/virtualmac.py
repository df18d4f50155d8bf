"""
A hardware address that moves with the mastership.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any
from zlib import crc32

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.logger import Logger
from zope.interface import implementer

from txcarp.change import Change
from txcarp.configuration.values import MAXIMUM_INTERFACE
from txcarp.interfaces import ILinkMonitor, ILinkObserver, IMastershipStep, IVirtualInterfaces
from txcarp.links import Link

_TIME_LIMIT = 5.0


def virtualInterfaceName(interface: str, vhid: int) -> str:
    """
    The name of the interface with the virtual hardware address.  The end of a name that
    would be too long is replaced by a checksum of the whole name, since long names often
    differ only at their ends.
    """
    name = f"vh{vhid}.{interface}".encode()
    if len(name) > MAXIMUM_INTERFACE:
        checksum = f"~{crc32(name) & 0xFFFF:04x}".encode()
        name = name[: MAXIMUM_INTERFACE - len(checksum)] + checksum
    return name.decode(errors="ignore")


@implementer(IMastershipStep, ILinkObserver)
class VirtualMAC:
    """
    Creates the interface with the virtual hardware address when this host becomes master,
    and removes it afterwards: no frame of a backup may have that address.
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
        unfit: Callable[[str], None],
    ) -> None:
        """
        @param parent: The name of the interface below the new one.
        @param hardware: The six bytes of the virtual hardware address.
        @param ipv6: Whether any of the virtual addresses is an IPv6 address.
        @param unfit: Called with the name of this step when another program removes the interface
            or switches it off.
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
        Create the interface, and watch it.
        """
        yield self._interfaces.create(self._interface, self._parent, self._hardware, self._ipv6)
        self._usable = False
        self._watching = True
        self._links.watch(self._interface, self)

    def release(self, change: Change) -> Deferred[None]:
        """
        Remove the interface; at the start, one that an earlier process left.
        """
        if self._watching:
            self._watching = False
            self._links.unwatch(self._interface, self)
        return self._interfaces.remove(self._interface, self._parent)

    def linkChanged(self, name: str, link: Link | None) -> None:
        """
        Give up mastership when the interface was usable and is no longer.  Its carrier does
        not count: it is the parent's, which is watched elsewhere.
        """
        usable = link is not None and link.up
        if self._usable and not usable:
            self._log.error(
                "Another program {what} interface [{interface}], which has the virtual addresses",
                what="removed" if link is None else "switched off",
                interface=name,
            )
            self._unfit(self.name)
        self._usable = usable
