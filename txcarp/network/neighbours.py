"""
The neighbours on each link, as a virtual host asks them.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from functools import partial

from twisted.internet.defer import Deferred, fail
from zope.interface import implementer

from txcarp.addresses import textOf
from txcarp.interfaces import ILinkMonitor, INeighbours, IPolling
from txcarp.links import Link
from txcarp.network.addresslist import AddressList
from txcarp.network.addresstable import OURS
from txcarp.network.frames import arpQuestion, neighbourSolicitation
from txcarp.network.interfaceport import InterfacePort, openFrameSocket
from txcarp.network.linux import LinuxNetwork
from txcarp.network.polling import Polling
from txcarp.protocol.family import Family, isLinkLocal

#: The sender of an ARP probe (RFC 5227, section 1.1).
_NOBODY = bytes(4)


@implementer(INeighbours)
class Neighbours:
    """
    Asks by the sockets of virtual hosts, and from an address that this host alone has.

    A question tells the neighbours where its sender is.  If a backup asked from a virtual address,
    its neighbours would send to the backup what is for the master.  So an IPv4 address is used only
    if the caller says that it is this host's own, and if the interface has it; otherwise the
    question is an ARP probe, which has no sender (RFC 5227, section 2.1.1).  IPv6 has nothing like
    that: a solicitation without a sender is the search for a duplicate (RFC 4862, section 5.4.2),
    and would disturb the neighbour.  It comes from a link-local address, unless that one is on
    lease.
    """

    def __init__(
        self,
        network: LinuxNetwork,
        links: ILinkMonitor,
        addresses: AddressList,
        nextHops: Callable[[int], Deferred[list[bytes]]],
    ) -> None:
        """
        @param nextHops: Finds the next hops of the default routes on the interface with an index.
        """
        self._network = network
        self._links = links
        self._addresses = addresses
        self._nextHops = nextHops

    def ask(self, interface: str, address: bytes, sources: Sequence[bytes]) -> Deferred[bytes]:
        port, sender = self._prepare(interface, address, sources)
        return port.ask(sender, address)

    def poll(self, interface: str, family: Family) -> IPolling:
        self._link(interface)
        return Polling(
            interface, openFrameSocket(interface), family, partial(self._frame, interface)
        )

    def gateways(self, interface: str) -> Deferred[Sequence[bytes]]:
        try:
            link = self._link(interface)
        except OSError as error:
            return fail(error)
        return self._nextHops(link.index).addCallback(tuple)

    def _frame(
        self, interface: str, address: bytes, sources: Sequence[bytes], to: bytes | None
    ) -> tuple[bytes, bytes]:
        """
        Make the frame of a question.  See L{Polling}.
        """
        port, sender = self._prepare(interface, address, sources)
        hardware = port.hardwareAddress()
        make = arpQuestion if len(address) == 4 else neighbourSolicitation
        return hardware, make(hardware, sender, address, to)

    def _prepare(
        self, interface: str, address: bytes, sources: Sequence[bytes]
    ) -> tuple[InterfacePort, bytes]:
        """
        Find the sockets and the sender of a question.

        @raise OSError: If nobody can be asked.
        """
        link = self._link(interface)
        if not link.works:
            what = "without carrier" if link.up else "down"
            raise OSError(errno.ENETDOWN, f"{interface} is {what}", interface)
        if self._addresses.isLocal(address, link.index):
            raise OSError(
                errno.EADDRINUSE,
                f"{textOf(address)} is an address of this host, which cannot be its own witness",
                interface,
            )
        port = self._network.port(interface)
        if port is None:
            raise OSError(errno.ENODEV, f"no virtual host takes part on {interface}", interface)
        return port, self._sender(link, address, sources)

    def _link(self, interface: str) -> Link:
        link = self._links.link(interface)
        if link is None:
            raise OSError(errno.ENODEV, f"there is no interface {interface}", interface)
        return link

    def _sender(self, link: Link, address: bytes, sources: Sequence[bytes]) -> bytes:
        """
        The address to ask from.

        @raise OSError: If there is none.
        """
        own = [
            one.local
            for one in self._addresses.of(link.index)
            if one.isUsable and one.protocol != OURS and len(one.local) == len(address)
        ]
        if len(address) == 4:
            return next((one for one in sources if one in own), _NOBODY)
        # The kernel gives an interface a link-local address for ever, and a virtual one ends.
        lasting = [
            one.local
            for one in self._addresses.of(link.index)
            if one.local in own and isLinkLocal(one.local) and one.validLifetime is None
        ]
        given = [one for one in sources if one in own and isLinkLocal(one)]
        for one in (*given, *lasting):
            return one
        raise OSError(
            errno.EADDRNOTAVAIL, f"{link.name} has no link-local address to ask from", link.name
        )
