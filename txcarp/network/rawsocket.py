"""
The raw sockets that send and receive advertisements.
"""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import struct
from collections.abc import Mapping
from typing import Any

from txcarp.network import socketfilter
from txcarp.network.socketfilter import Beginning
from txcarp.network.sockets import RECEIVE_BUFFER, discardReceived, dropped, openRawSocket
from txcarp.protocol.advertisement import PROTOCOL
from txcarp.protocol.family import Family, familyOf, isLinkLocal, isMulticast

# linux/in.h, linux/in6.h: not in the socket module.
_IP_MTU_DISCOVER = 10
_IP_PMTUDISC_DO = 2
_IP_RECVERR = 11
_IP_MULTICAST_ALL = 49
_IPV6_HDRINCL = 36
_IPV6_RECVERR = 25
_IPV6_MULTICAST_ALL = 29

#: The highest priority in the queue of the network card that needs no further capability
#: (socket(7), SO_PRIORITY).
_CONTROL_TRAFFIC = 6

_ADDRESS_FAMILIES = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}
_REPORT_ERRORS = {
    Family.IPV4: (socket.IPPROTO_IP, _IP_RECVERR),
    Family.IPV6: (socket.IPPROTO_IPV6, _IPV6_RECVERR),
}
_BEGINNINGS = {Family.IPV4: Beginning.IPV4_HEADER, Family.IPV6: Beginning.PAYLOAD}


class RawReceiver:
    """
    A raw socket that receives the advertisements of one family on one interface.  It is bound to
    the interface, so that all packets come from there.  Nothing is received until L{admit} is
    called.

    @ivar socket: The socket, for a reader.  It is never connected.
    @ivar beginning: What its filter sees.
    """

    def __init__(
        self, interface: str, index: int, family: Family, buffer: int = RECEIVE_BUFFER
    ) -> None:
        """
        @param index: The index of the interface.
        @param buffer: Bytes that the kernel keeps until they are read.
        @raise OSError: If the interface is gone or the kernel refuses.
        """
        self._index = index
        self.beginning = _BEGINNINGS[family]
        self._groups: set[bytes] = set()
        self._vhids: frozenset[int] = frozenset()
        self._code = socketfilter.program((), self.beginning)
        self.socket = _open(interface, index, family, PROTOCOL, buffer, self._code)
        discardReceived(self.socket)

    def admit(self, groups: Mapping[int, bytes], code: bytes) -> None:
        """
        Receive packets of these virtual hosts to their groups, and no others.

        @param groups: The packed address of the group of each virtual host, by its vhid.
        @param code: A filter for L{beginning}, which decides which of their packets are received.
        @raise OSError: If the kernel refuses something.  Everything else is done; L{hears}
            tells which virtual hosts are concerned.
        """
        if code != self._code:
            socketfilter.attach(self.socket, code)
            self._code = code
        self._vhids = frozenset(groups)
        # Packets to an address that is no multicast group arrive without a membership.
        members = {group for group in groups.values() if isMulticast(group)}
        for group in self._groups - members:
            self._leave(group)
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

    def hasUnread(self) -> bool:
        """
        Whether packets wait to be read.
        """
        poller = select.poll()
        poller.register(self.socket, select.POLLIN)
        return bool(poller.poll(0))

    def close(self) -> None:
        """
        Leave the groups, and close the socket.

        A reader has a duplicate of the descriptor, which may live a little longer.  It must
        not be a member then.  The kernel counts the members of an interface by its index: on
        an interface that is made anew with the same index, a late departure would be counted
        as one of those who have joined there.
        """
        for group in list(self._groups):
            self._leave(group)
        self.socket.close()

    def _leave(self, group: bytes) -> None:
        self._groups.discard(group)
        # The kernel may have dropped the membership, with the interface.
        with contextlib.suppress(OSError):
            self._changeMembership(group, False)

    def _changeMembership(self, group: bytes, member: bool) -> None:
        """
        Join or leave a group on the interface, which is named by its index because it may
        have no address.
        """
        if familyOf(group) is Family.IPV4:
            option = socket.IP_ADD_MEMBERSHIP if member else socket.IP_DROP_MEMBERSHIP
            request = _ipv4Request(group, self._index)
            self.socket.setsockopt(socket.IPPROTO_IP, option, request)
        else:
            option = socket.IPV6_JOIN_GROUP if member else socket.IPV6_LEAVE_GROUP
            request = struct.pack("=16sI", group, self._index)  # struct ipv6_mreq, ipv6(7)
            self.socket.setsockopt(socket.IPPROTO_IPV6, option, request)


class RawSocket(RawReceiver):
    """
    The raw sockets for the advertisements of one family on one interface.  They send whole IP
    packets, so that their source may be any address.

    Without C{IP_RECVERR} (C{IPV6_RECVERR}), the kernel does not report that it dropped a
    packet because the queue of the interface is full or a rule behind the routing forbids it
    (ip(7)).  With it, one ICMP message would have the reactor close a socket that it reads.
    So one socket receives, without the option, and another one sends, with it.  The sender has
    another protocol, since ICMP messages go to the sockets of the protocol that they quote, and
    the errors of an absent peer are not errors of this host.
    """

    def __init__(self, interface: str, index: int, family: Family) -> None:
        """
        @param index: The index of the interface.
        @raise OSError: If the interface is gone or the kernel refuses.
        """
        super().__init__(interface, index, family)
        self._interface = interface
        #: The socket addresses of the destinations: the group and the peers.
        self._addresses: dict[bytes, tuple[Any, ...]] = {}
        with contextlib.ExitStack() as opened:
            opened.callback(super().close)
            self._sender = _open(interface, index, family, socket.IPPROTO_RAW, 0, self._code)
            opened.callback(self._sender.close)
            self._sender.setsockopt(*_REPORT_ERRORS[family], 1)
            opened.pop_all()

    def send(self, packet: bytes, destination: bytes) -> None:
        """
        Send an IP packet with its header.

        @param destination: The packed address in the header.
        @raise OSError: If it was not sent.
        """
        address = self._addresses.get(destination)
        if address is None:
            address = self._addresses[destination] = self._socketAddress(destination)
        try:
            self._sender.sendto(packet, address)
        except OSError as error:
            if error.errno == errno.ENOBUFS:
                raise dropped(self._interface) from None
            if error.errno == errno.EAGAIN:
                raise  # packets wait in the queue that nothing takes out
            # Older kernels may report an ICMP message here.  The other socket ignores those.
            self.socket.sendto(packet, address)

    def close(self) -> None:
        super().close()
        self._sender.close()

    def _socketAddress(self, address: bytes) -> tuple[str, int] | tuple[str, int, int, int]:
        if familyOf(address) is Family.IPV4:
            return socket.inet_ntop(socket.AF_INET, address), 0
        scope = self._index if isLinkLocal(address) or isMulticast(address) else 0
        return socket.inet_ntop(socket.AF_INET6, address), 0, 0, scope


def _open(
    interface: str, index: int, family: Family, protocol: int, buffer: int, code: bytes
) -> socket.socket:
    """
    Open a raw socket that is bound to an interface.

    @param code: Its filter.
    """
    sock = openRawSocket(
        _ADDRESS_FAMILIES[family], socket.SOCK_RAW, protocol, f"a raw {family.value} socket"
    )
    try:
        socketfilter.attach(sock, code)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, _CONTROL_TRAFFIC)
        configure = _configureIPv4 if family is Family.IPV4 else _configureIPv6
        configure(sock, index)
    except BaseException:
        sock.close()
        raise
    return sock


def _configureIPv4(sock: socket.socket, index: int) -> None:
    level = socket.IPPROTO_IP
    sock.setsockopt(level, socket.IP_HDRINCL, 1)
    # Otherwise this socket would also receive from groups that other sockets joined.
    sock.setsockopt(level, _IP_MULTICAST_ALL, 0)
    sock.setsockopt(level, socket.IP_MULTICAST_IF, _ipv4Request(b"\0\0\0\0", index))
    sock.setsockopt(level, socket.IP_MULTICAST_LOOP, 0)
    sock.setsockopt(level, _IP_MTU_DISCOVER, _IP_PMTUDISC_DO)


def _configureIPv6(sock: socket.socket, index: int) -> None:
    level = socket.IPPROTO_IPV6
    sock.setsockopt(level, _IPV6_HDRINCL, 1)
    # Linux before 4.20 does not know this; a packet to another group is refused when it is
    # read.
    with contextlib.suppress(OSError):
        sock.setsockopt(level, _IPV6_MULTICAST_ALL, 0)
    sock.setsockopt(level, socket.IPV6_MULTICAST_IF, index)
    sock.setsockopt(level, socket.IPV6_MULTICAST_LOOP, 0)
    # The kernel delivers no IPv6 header; these control messages say what was in it.
    sock.setsockopt(level, socket.IPV6_RECVPKTINFO, 1)
    sock.setsockopt(level, socket.IPV6_RECVHOPLIMIT, 1)


def _ipv4Request(group: bytes, index: int) -> bytes:
    """
    Make a C{struct ip_mreqn} (ip(7)).
    """
    return struct.pack("=4s4si", group, b"\0\0\0\0", index)
