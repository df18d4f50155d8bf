"""
The sockets that advertisements need, with every option in one place.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import struct

from txcarp.network import filter as socketFilter
from txcarp.network.blockingnetlink import BlockingNetlink
from txcarp.network.requests import delAddress
from txcarp.protocol.advertisement import PROTOCOL

#: What is read of one packet; an advertisement has 56 bytes, and options at
#: most 40 more.
MAXIMUM_PACKET = 2048

#: How many packets wait in the kernel at most, about.
_RECEIVE_BUFFER = 128 * 1024

# linux/in.h, linux/if_packet.h: not in the socket module.
_IP_MULTICAST_ALL = 49
_IP_MTU_DISCOVER = 10
_IP_PMTUDISC_DO = 2
_SOL_PACKET = 263
_PACKET_IGNORE_OUTGOING = 23
_ETH_P_IP = 0x0800

#: Packets that wait for the network card leave in the order of this number;
#: higher ones need a capability.
_CONTROL_TRAFFIC = 6

#: An index that no interface has.
_NO_INTERFACE = 0

_NOBODY = socketFilter.program(())


class MissingCapability(PermissionError):
    """
    This process may not do what an IP failover program does.
    """

    def __init__(self, what: str, capability: str, number: int = errno.EPERM) -> None:
        """
        @param what: What it wanted to do.
        @param capability: What it lacks for that.
        @param number: What the kernel said, an C{errno}.
        """
        super().__init__(
            number,
            f"cannot {what}: this process lacks the capability {capability}. Run it as "
            "root, or grant it (systemd: AmbientCapabilities=CAP_NET_RAW CAP_NET_ADMIN)",
        )


def _open(family: int, kind: int, protocol: int, what: str) -> socket.socket:
    try:
        return socket.socket(
            family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, protocol
        )
    except PermissionError as error:
        raise MissingCapability(
            f"open {what}", "CAP_NET_RAW", error.errno or errno.EPERM
        ) from None


def _empty(sock: socket.socket) -> None:
    """
    Throw away what came in before the filter was there.
    """
    with contextlib.suppress(BlockingIOError, OSError):
        while True:
            sock.recv(1)


def checkCapabilities(assign: bool = False) -> None:
    """
    Find out now whether the sockets can be opened later.  Blocks for the time
    of a system call.

    @param assign: Whether addresses are to be added, too.
    @raise MissingCapability: If not; its text says what to do.
    """
    for opened in (
        _open(socket.AF_INET, socket.SOCK_RAW, PROTOCOL, "a raw socket"),
        _open(socket.AF_PACKET, socket.SOCK_RAW, 0, "a packet socket"),
    ):
        opened.close()
    if assign:
        _checkAdministration()


def _checkAdministration() -> None:
    """
    Ask for something impossible: the kernel looks at the right to ask first.
    That says more than the list of capabilities of this process, which may be
    for a user namespace that the network does not belong to.
    """
    with BlockingNetlink() as netlink:
        try:
            netlink.request(delAddress(_NO_INTERFACE, b"\x7f\0\0\1", 32))
        except PermissionError:
            raise MissingCapability("add addresses (--assign)", "CAP_NET_ADMIN") from None
        except OSError:
            return  # ENODEV



def openAdvertisementSocket(interface: str, index: int) -> socket.socket:
    """
    A raw socket that sends and receives advertisements on one interface.

    It is bound to the interface, so that where a packet arrived is known by
    construction; it takes whole IPv4 packets to send, so that the source
    address is written as it was asked for, whoever owns it.  It lets nothing
    through until it is given a filter.

    C{IP_RECVERR} stays off and the socket is never connected: either would
    let one ICMP message close the port in the reactor.

    @raise OSError: If the interface is gone or the kernel refuses.
    """
    sock = _open(socket.AF_INET, socket.SOCK_RAW, PROTOCOL, "a raw socket")
    try:
        socketFilter.attach(sock, _NOBODY)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, _CONTROL_TRAFFIC)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_HDRINCL, 1)
        # Otherwise this socket would also get the groups that others joined.
        sock.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
        sock.setsockopt(
            socket.IPPROTO_IP, socket.IP_MULTICAST_IF, _request(b"\0\0\0\0", index)
        )
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
        sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_DO)
        _empty(sock)
    except BaseException:
        sock.close()
        raise
    return sock


def joinGroup(sock: socket.socket, group: bytes, index: int) -> None:
    """
    Receive what is sent to a group on an interface.  The interface is named by
    its index, because it may have no address to be named by.

    @raise OSError: If the kernel refuses; it is no error to be a member
        already.
    """
    try:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, _request(group, index))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise


def leaveGroup(sock: socket.socket, group: bytes, index: int) -> None:
    """
    Undo L{joinGroup}.  It is no error not to be a member.
    """
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_DROP_MEMBERSHIP, _request(group, index))


def _request(group: bytes, index: int) -> bytes:
    """
    A C{struct ip_mreqn} (ip(7)).
    """
    return struct.pack("=4s4si", group, b"\0\0\0\0", index)


def openFrameSocket(interface: str) -> socket.socket:
    """
    A packet socket that sends Ethernet frames on an interface, and receives
    nothing.

    @raise OSError: If the interface is gone or the kernel refuses.
    """
    sock = _open(socket.AF_PACKET, socket.SOCK_RAW, 0, "a packet socket")
    try:
        sock.bind((interface, 0))
    except BaseException:
        sock.close()
        raise
    return sock


def openFrontSocket(interface: str) -> socket.socket:
    """
    A packet socket that sees the IPv4 packets of an interface before any
    firewall does, but not our own.  It lets nothing through until it is given
    a filter.

    @raise OSError: If the interface is gone or the kernel refuses.
    """
    sock = _open(socket.AF_PACKET, socket.SOCK_DGRAM, 0, "a packet socket")
    try:
        socketFilter.attach(sock, _NOBODY)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        # Before Linux 4.20: the reader looks at the kind of packet as well.
        with contextlib.suppress(OSError):
            sock.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        sock.bind((interface, _ETH_P_IP))
        _empty(sock)
    except BaseException:
        sock.close()
        raise
    return sock
