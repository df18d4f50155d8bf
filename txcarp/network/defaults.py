"""
The interface and the source to use when the user names none.
"""

from __future__ import annotations

import fcntl
import socket
import struct
from collections.abc import Callable, Collection, Sequence
from typing import TypeAlias

from txcarp.addresses import VirtualAddress
from txcarp.links import InterfaceAddress
from txcarp.netlink.blocking import BlockingNetlink
from txcarp.netlink.messages import IFA_F_SECONDARY
from txcarp.network.addresstable import OURS

#: Finds the source on an interface for addresses; see L{sourceOn}.
Sources: TypeAlias = Callable[[str, Sequence[VirtualAddress], Collection[bytes]], bytes]

_SIOCGIFFLAGS = 0x8913  # linux/sockios.h
_IFF_UP = 0x1
_IFF_LOOPBACK = 0x8


def firstInterface() -> str | None:
    """
    Return the first interface that is up and is not the loopback.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        for _, name in socket.if_nameindex():
            request = struct.pack("16sH14x", name.encode(), 0)
            try:
                answer = fcntl.ioctl(sock, _SIOCGIFFLAGS, request)
            except OSError:
                continue  # it was deleted meanwhile
            (flags,) = struct.unpack_from("H", answer, 16)
            if flags & _IFF_UP and not flags & _IFF_LOOPBACK:
                return name
    return None


class Listing:
    """
    The links and the IPv4 addresses of this host at one moment: when they are first needed.
    """

    def __init__(self) -> None:
        self._indices: dict[str, int] | None = None
        self._addresses: list[InterfaceAddress] = []

    def on(self, interface: str) -> list[InterfaceAddress]:
        """
        The addresses on an interface.

        @raise ValueError: If there is no such interface.
        @raise OSError: If the kernel does not answer.
        """
        if self._indices is None:
            with BlockingNetlink() as netlink:
                indices = {link.name: link.index for link in netlink.links()}
                self._addresses = list(netlink.addresses(socket.AF_INET))
            self._indices = indices
        if interface not in self._indices:
            raise ValueError(f"there is no interface {interface}")
        index = self._indices[interface]
        return [address for address in self._addresses if address.index == index]


def sourceOn(
    interface: str,
    addresses: Sequence[VirtualAddress],
    virtual: Collection[bytes],
    listing: Listing | None = None,
) -> bytes:
    """
    Find the IPv4 address of this host from which to advertise: its own address in the network of
    the virtual addresses, or else its first on the interface.  Blocks for the duration of two
    netlink requests.

    @param addresses: The virtual IPv4 addresses of the group.
    @param virtual: The packed addresses that are none of this host alone.
    @param listing: The addresses of this host, for several groups; by default they are listed for
        this one.
    @return: The packed address.
    @raise ValueError: If there is no such interface, or it has no such address.
    @raise OSError: If the kernel does not answer.
    """
    present = (listing or Listing()).on(interface)
    own = [
        address
        for address in present
        if address.protocol != OURS and address.local not in virtual
    ]
    if not own:
        raise ValueError(f"{interface} has no IPv4 address that this host alone has")

    def order(address: InterfaceAddress) -> tuple[bool, int]:
        near = any(address.covers(one.packed) for one in addresses)
        return not near, address.flags & IFA_F_SECONDARY

    return min(own, key=order).local
