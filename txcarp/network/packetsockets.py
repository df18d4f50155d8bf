"""
The packet sockets of an interface, which no firewall guards, with every option
in one place.
"""

from __future__ import annotations

import contextlib
import socket

from txcarp.network import filter as socketFilter
from txcarp.network.filter import Beginning
from txcarp.network.sockets import RECEIVE_BUFFER, discardWaiting, openSocket
from txcarp.protocol.family import Family

# linux/if_packet.h, linux/if_ether.h: not in the socket module.
_SOL_PACKET = 263
_PACKET_IGNORE_OUTGOING = 23

#: ETH_P_IP and ETH_P_IPV6.
_ETHER_TYPES = {Family.IPV4: 0x0800, Family.IPV6: 0x86DD}

_BEGINNINGS = {Family.IPV4: Beginning.IPV4_HEADER, Family.IPV6: Beginning.IPV6_HEADER}


def openFrameSocket(interface: str) -> socket.socket:
    """
    A packet socket that sends Ethernet frames on an interface, and receives
    nothing.

    @raise OSError: If the interface is gone or the kernel refuses.
    """
    sock = openSocket(socket.AF_PACKET, socket.SOCK_RAW, 0, "a packet socket")
    try:
        sock.bind((interface, 0))
    except BaseException:
        sock.close()
        raise
    return sock


def openFrontSocket(interface: str, family: Family) -> socket.socket:
    """
    A packet socket that sees the IP packets of one family on an interface
    before any firewall does, but not our own.  It lets nothing through until
    it is given other virtual hosts (L{admitFront}).

    @raise OSError: If the interface is gone or the kernel refuses.
    """
    sock = openSocket(socket.AF_PACKET, socket.SOCK_DGRAM, 0, "a packet socket")
    try:
        admitFront(sock, family, frozenset())
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        # Before Linux 4.20: the reader looks at the kind of packet as well.
        with contextlib.suppress(OSError):
            sock.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        sock.bind((interface, _ETHER_TYPES[family]))
        discardWaiting(sock)
    except BaseException:
        sock.close()
        raise
    return sock


def admitFront(sock: socket.socket, family: Family, vhids: frozenset[int]) -> None:
    """
    Let the packets of these virtual hosts through L{openFrontSocket}'s socket,
    and no others.
    """
    socketFilter.attach(sock, socketFilter.program(vhids, _BEGINNINGS[family]))
