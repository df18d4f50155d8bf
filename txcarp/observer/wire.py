"""
A packet socket that receives all advertisements on one interface, of both families, before any
firewall, and without joining a multicast group.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from itertools import starmap

import attrs

from txcarp.network import socketfilter
from txcarp.network.socketfilter import INSTRUCTION, JUMP_IF_EQUAL, LOAD_BYTE, RETURN
from txcarp.network.sockets import TIMESTAMP_SPACE, openRawSocket, requestTimestamps, waited
from txcarp.protocol.advertisement import PROTOCOL
from txcarp.protocol.envelope import Packet, readPacket
from txcarp.protocol.rejection import Rejected

#: Bytes to read of one packet: VRRP can list 255 addresses.
_MAXIMUM_PACKET = 8192

_RECEIVE_BUFFER = 256 * 1024

# linux/if_ether.h, linux/if_packet.h: not in the socket module.
_ETH_P_ALL = 0x0003
_SOL_PACKET = 263
_PACKET_ADD_MEMBERSHIP = 1
_PACKET_MR_ALLMULTI = 2
_REQUEST = struct.Struct("@iHH8s")

#: Kernels before 5.1 show a frame that a program sent with one of the first two in place of its
#: ethertype.
_ETHERTYPES = frozenset((0, _ETH_P_ALL, 0x0800, 0x86DD))

# linux/filter.h: classic BPF.
_LOAD_WORD, _AND, _SHIFT_RIGHT = 0x20, 0x54, 0x74
_VLAN_TAG = 0xFFFFF000 + 44  # SKF_AD_OFF + SKF_AD_VLAN_TAG

#: Passes protocol 112 over IPv4 and IPv6, and drops packets with a VLAN tag, which belong to
#: another interface.
_FILTER = (
    (_LOAD_WORD, 0, 0, _VLAN_TAG),
    (_AND, 0, 0, 0x0FFF),
    (JUMP_IF_EQUAL, 0, 9, 0),
    (LOAD_BYTE, 0, 0, 0),
    (_SHIFT_RIGHT, 0, 0, 4),
    (JUMP_IF_EQUAL, 0, 2, 4),
    (LOAD_BYTE, 0, 0, 9),
    (JUMP_IF_EQUAL, 3, 4, PROTOCOL),
    (JUMP_IF_EQUAL, 0, 3, 6),
    (LOAD_BYTE, 0, 0, 6),
    (JUMP_IF_EQUAL, 0, 1, PROTOCOL),
    (RETURN, 0, 0, _MAXIMUM_PACKET),
    (RETURN, 0, 0, 0),
)


@attrs.frozen
class Arrival:
    """
    A packet and its circumstances.

    @ivar waited: Seconds from its arrival until it was read.
    @ivar hardware: The link-layer address that sent it; may be empty.
    @ivar here: Whether this machine sent it.
    """

    packet: Packet
    waited: float
    hardware: bytes
    here: bool


def openListener(interface: str) -> socket.socket:
    """
    A socket that receives the advertisements on an interface.

    @raise txcarp.network.sockets.MissingCapability: If this process may not open packet sockets.
    @raise OSError: C{ENODEV} if there is no such interface, C{ENETDOWN} if it is down.
    """
    sock = openRawSocket(socket.AF_PACKET, socket.SOCK_DGRAM, 0, "a packet socket")
    try:
        socketfilter.attach(sock, b"".join(starmap(INSTRUCTION.pack, _FILTER)))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        requestTimestamps(sock)
        # Only with all ethertypes does the kernel show the packets that this machine sends, and
        # those that a bridge or a bond takes from its ports.
        sock.bind((interface, _ETH_P_ALL))
        # A card passes only the groups that this host has joined.  This makes it pass all, and
        # sends nothing.
        with contextlib.suppress(OSError):
            request = _REQUEST.pack(socket.if_nametoindex(interface), _PACKET_MR_ALLMULTI, 0, b"")
            sock.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, request)
        trouble = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if trouble:
            raise OSError(trouble, f"cannot listen on {interface}")
    except BaseException:
        sock.close()
        raise
    return sock


def receive(sock: socket.socket) -> Arrival | None:
    """
    Read a packet; C{None} if it has another ethertype or no IP header.

    @raise BlockingIOError: If no packet waits.
    @raise OSError: If the interface went down.
    """
    data, ancillary, _, sender = sock.recvmsg(_MAXIMUM_PACKET, TIMESTAMP_SPACE)
    _, ethertype, kind, _, hardware = sender
    if ethertype not in _ETHERTYPES:
        return None
    try:
        packet = readPacket(data)
    except Rejected:
        return None
    here = kind == socket.PACKET_OUTGOING
    return Arrival(packet, waited(ancillary, time.time()), bytes(hardware), here)
