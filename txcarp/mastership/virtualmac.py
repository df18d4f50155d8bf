"""
A hardware address that is the same on every master.
"""

from __future__ import annotations

from zlib import crc32

from twisted.internet.defer import Deferred
from zope.interface import implementer

from txcarp.change import Change
from txcarp.interfaces import IMastershipStep, IVirtualInterfaces

#: What the names of interfaces can hold, in bytes.
_LONGEST_NAME = 15

_TIME_LIMIT = 5.0


def virtualHardwareAddress(vhid: int) -> bytes:
    """
    The hardware address that CARP and VRRP have for a virtual host.
    """
    return bytes((0x00, 0x00, 0x5E, 0x00, 0x01, vhid))


def virtualInterfaceName(interface: str, vhid: int) -> str:
    """
    What the interface with the virtual hardware address is called.  A name
    that would be too long ends in a checksum of it in place of its rest, as
    long names often differ only there.
    """
    name = f"vh{vhid}.{interface}".encode()
    if len(name) > _LONGEST_NAME:
        checksum = f"~{crc32(name) & 0xFFFF:04x}".encode()
        name = name[: _LONGEST_NAME - len(checksum)] + checksum
    return name.decode(errors="ignore")


@implementer(IMastershipStep)
class VirtualMAC:
    """
    Makes the interface of the virtual hardware address while this host is
    master, and only then: a backup must not be seen to have it.
    """

    name = "virtual MAC"
    required = True
    timeLimit = _TIME_LIMIT

    def __init__(
        self, interfaces: IVirtualInterfaces, parent: str, vhid: int, hardware: bytes, ipv6: bool
    ) -> None:
        """
        @param ipv6: Whether there are IPv6 addresses among the virtual ones.
        """
        self._interfaces = interfaces
        self._parent = parent
        self._interface = virtualInterfaceName(parent, vhid)
        self._hardware = hardware
        self._ipv6 = ipv6

    def acquire(self, change: Change) -> Deferred[None]:
        """
        Make it.
        """
        return self._interfaces.create(self._interface, self._parent, self._hardware, self._ipv6)

    def release(self, change: Change) -> Deferred[None]:
        """
        Remove it; at the start, what an earlier run left.
        """
        return self._interfaces.remove(self._interface, self._parent)
