"""
The raw sockets that send and receive advertisements, with every option in one
place.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
from collections.abc import Iterable

from txcarp.network import socketfilter
from txcarp.network.socketfilter import Beginning
from txcarp.network.sockets import RECEIVE_BUFFER, discardReceived, openRawSocket
from txcarp.protocol.advertisement import PROTOCOL
from txcarp.protocol.family import Family, familyOf, isLinkLocal, isMulticast

# linux/in.h, linux/in6.h: not in the socket module.
_IP_MTU_DISCOVER = 10
_IP_PMTUDISC_DO = 2
_IP_MULTICAST_ALL = 49
_IPV6_HDRINCL = 36
_IPV6_MULTICAST_ALL = 29

#: Packets that wait for the network card leave in the order of this number;
#: higher ones need a capability.
_CONTROL_TRAFFIC = 6

_ADDRESS_FAMILIES = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}
_BEGINNINGS = {Family.IPV4: Beginning.IPV4_HEADER, Family.IPV6: Beginning.PAYLOAD}


class RawSocket:
    """
    A raw socket for the advertisements of one family on one interface.

    It is bound to the interface, so that where a packet arrived is known by
    construction; it takes whole IP packets to send, so that the source address
    is written as it was asked for, whoever owns it.  It lets nothing through
    until it is told what to L{admit}.

    C{IP_RECVERR} and C{IPV6_RECVERR} stay off and the socket is never
    connected: each of them would let one ICMP message close it in the reactor.

    @ivar socket: For those who read it.
    """

    def __init__(self, interface: str, index: int, family: Family) -> None:
        """
        @param index: The index of the interface.
        @raise OSError: If the interface is gone or the kernel refuses.
        """
        self._index = index
        self._beginning = _BEGINNINGS[family]
        self._groups: set[bytes] = set()
        self.socket = openRawSocket(
            _ADDRESS_FAMILIES[family], socket.SOCK_RAW, PROTOCOL, f"a raw {family.value} socket"
        )
        try:
            self._filter(frozenset())
            name = interface.encode() + b"\0"
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, _CONTROL_TRAFFIC)
            if family is Family.IPV4:
                _configureIPv4(self.socket, index)
            else:
                _configureIPv6(self.socket, index)
            discardReceived(self.socket)
        except BaseException:
            self.socket.close()
            raise

    def admit(self, vhids: Iterable[int], groups: Iterable[bytes]) -> None:
        """
        Receive the packets of these virtual hosts to these packed groups, and
        no others.

        @raise OSError: If the kernel refuses something.  What it does not refuse is done;
            L{hears} knows for whom.
        """
        wanted = frozenset(vhids)
        if wanted != self._vhids:
            self._filter(wanted)
        # What goes to an address that is no group's arrives without being asked for.
        members = {group for group in groups if isMulticast(group)}
        for group in self._groups - members:
            self._groups.discard(group)
            # The kernel may have forgotten it, with the interface.
            with contextlib.suppress(OSError):
                self._changeMembership(group, False)
        refused: OSError | None = None
        for group in sorted(members - self._groups):
            try:
                self._changeMembership(group, True)
            except OSError as error:
                refused = refused or error
            else:
                self._groups.add(group)
        if refused is not None:
            raise refused

    def hears(self, vhid: int, group: bytes) -> bool:
        """
        Whether the packets of a virtual host to its packed group arrive.
        """
        return vhid in self._vhids and (group in self._groups or not isMulticast(group))

    def send(self, packet: bytes, destination: bytes) -> None:
        """
        Send an IP packet with its header.

        @param destination: The packed address that the header names.
        @raise OSError: If it did not leave.
        """
        self.socket.sendto(packet, self._socketAddress(destination))

    def hasUnread(self) -> bool:
        """
        Whether there are packets that nobody has read.
        """
        poller = select.poll()
        poller.register(self.socket, select.POLLIN)
        return bool(poller.poll(0))

    def close(self) -> None:
        """
        Leave the groups, and close this descriptor.

        The socket itself may live a little longer, in a descriptor of the reactor.  It
        must not be a member then: the kernel counts the members of an interface by its
        index, and what leaves late leaves in the name of those who joined on an
        interface that was made anew with the same index.
        """
        for group in self._groups:
            with contextlib.suppress(OSError):
                self._changeMembership(group, False)
        self._groups.clear()
        self.socket.close()

    def _filter(self, vhids: frozenset[int]) -> None:
        socketfilter.attach(self.socket, socketfilter.program(vhids, self._beginning))
        self._vhids = vhids

    def _changeMembership(self, group: bytes, member: bool) -> None:
        """
        Join or leave.  The interface is named by its index, because it may have
        no address to be named by.
        """
        if familyOf(group) is Family.IPV4:
            option = socket.IP_ADD_MEMBERSHIP if member else socket.IP_DROP_MEMBERSHIP
            request = _ipv4Request(group, self._index)
            self.socket.setsockopt(socket.IPPROTO_IP, option, request)
        else:
            option = socket.IPV6_JOIN_GROUP if member else socket.IPV6_LEAVE_GROUP
            request = struct.pack("=16sI", group, self._index)  # struct ipv6_mreq, ipv6(7)
            self.socket.setsockopt(socket.IPPROTO_IPV6, option, request)

    def _socketAddress(self, address: bytes) -> tuple[str, int] | tuple[str, int, int, int]:
        if familyOf(address) is Family.IPV4:
            return socket.inet_ntop(socket.AF_INET, address), 0
        scope = self._index if isLinkLocal(address) or isMulticast(address) else 0
        return socket.inet_ntop(socket.AF_INET6, address), 0, 0, scope


def _configureIPv4(sock: socket.socket, index: int) -> None:
    level = socket.IPPROTO_IP
    sock.setsockopt(level, socket.IP_HDRINCL, 1)
    # Otherwise this socket would also get the groups that others joined.
    sock.setsockopt(level, _IP_MULTICAST_ALL, 0)
    sock.setsockopt(level, socket.IP_MULTICAST_IF, _ipv4Request(b"\0\0\0\0", index))
    sock.setsockopt(level, socket.IP_MULTICAST_LOOP, 0)
    sock.setsockopt(level, _IP_MTU_DISCOVER, _IP_PMTUDISC_DO)


def _configureIPv6(sock: socket.socket, index: int) -> None:
    level = socket.IPPROTO_IPV6
    sock.setsockopt(level, _IPV6_HDRINCL, 1)
    # Before Linux 4.20: what is for another group is refused when it is read.
    with contextlib.suppress(OSError):
        sock.setsockopt(level, _IPV6_MULTICAST_ALL, 0)
    sock.setsockopt(level, socket.IPV6_MULTICAST_IF, index)
    sock.setsockopt(level, socket.IPV6_MULTICAST_LOOP, 0)
    # The kernel shows no IPv6 header; these are what it says instead.
    sock.setsockopt(level, socket.IPV6_RECVPKTINFO, 1)
    sock.setsockopt(level, socket.IPV6_RECVHOPLIMIT, 1)


def _ipv4Request(group: bytes, index: int) -> bytes:
    """
    A C{struct ip_mreqn} (ip(7)).
    """
    return struct.pack("=4s4si", group, b"\0\0\0\0", index)
