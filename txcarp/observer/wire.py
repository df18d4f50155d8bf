"""
The packet socket of one interface, in front of every firewall, which sees all
advertisements of both families and joins no group.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import time
from collections.abc import Sequence

import attrs

from txcarp.network import socketfilter
from txcarp.network.sockets import MissingCapability
from txcarp.protocol.advertisement import PROTOCOL

#: What is read of one packet: VRRP can list 255 addresses.
_MAXIMUM_PACKET = 8192

_RECEIVE_BUFFER = 256 * 1024

# linux/if_ether.h, linux/if_packet.h, asm-generic/socket.h: not in the socket
# module.
_ETH_P_ALL = 0x0003
_SOL_PACKET = 263
_PACKET_ADD_MEMBERSHIP = 1
_PACKET_MR_ALLMULTI = 2
_PACKET_OUTGOING = 4
_SO_TIMESTAMPNS = 35

#: Kernels before 5.1 give what a program sent as a frame no ethertype of its
#: own.
_ETHERTYPES = frozenset((0, _ETH_P_ALL, 0x0800, 0x86DD))

_REQUEST = struct.Struct("@iHH8s")
_STAMP = struct.Struct("@ll")

#: Seconds that a packet may have waited to be read; more, and the wall clock
#: was set meanwhile.
_LONGEST_WAIT = 60.0

# linux/filter.h: classic BPF.
_LOAD_WORD, _LOAD_BYTE, _AND, _SHIFT_RIGHT = 0x20, 0x30, 0x54, 0x74
_JUMP_IF_EQUAL, _RETURN = 0x15, 0x06
_VLAN_TAG = 0xFFFFF000 + 44  # SKF_AD_OFF + SKF_AD_VLAN_TAG
_INSTRUCTION = struct.Struct("=HBBI")


@attrs.frozen
class Arrival:
    """
    A packet as it came.

    @ivar packet: From its IP header on.
    @ivar waited: Seconds for which it was not read.
    @ivar hardware: The address of the card it came from; may be empty.
    @ivar here: Whether this machine sent it.
    """

    packet: bytes
    waited: float
    hardware: bytes
    here: bool


def program() -> bytes:
    """
    The socket filter: protocol 112 over IPv4 and IPv6.  What is tagged for a
    VLAN belongs to another interface.
    """
    code = (
        (_LOAD_WORD, 0, 0, _VLAN_TAG),
        (_AND, 0, 0, 0x0FFF),
        (_JUMP_IF_EQUAL, 0, 9, 0),
        (_LOAD_BYTE, 0, 0, 0),
        (_SHIFT_RIGHT, 0, 0, 4),
        (_JUMP_IF_EQUAL, 0, 2, 4),
        (_LOAD_BYTE, 0, 0, 9),
        (_JUMP_IF_EQUAL, 3, 4, PROTOCOL),
        (_JUMP_IF_EQUAL, 0, 3, 6),
        (_LOAD_BYTE, 0, 0, 6),
        (_JUMP_IF_EQUAL, 0, 1, PROTOCOL),
        (_RETURN, 0, 0, _MAXIMUM_PACKET),
        (_RETURN, 0, 0, 0),
    )
    return b"".join(_INSTRUCTION.pack(*instruction) for instruction in code)


def openSocket(interface: str) -> socket.socket:
    """
    A socket that hears an interface.

    @raise MissingCapability: If this process may not have one.
    @raise OSError: C{ENODEV} if there is no such interface, C{ENETDOWN} if it
        is down.
    """
    try:
        sock = socket.socket(
            socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0
        )
    except PermissionError as error:
        raise MissingCapability(
            "open a packet socket", "CAP_NET_RAW", error.errno or errno.EPERM
        ) from None
    try:
        index = _indexOf(interface)
        socketfilter.attach(sock, program())
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        # A card passes only the groups that somebody here is a member of.  This
        # opens the card, and says nothing to the network.
        with contextlib.suppress(OSError):
            request = _REQUEST.pack(index, _PACKET_MR_ALLMULTI, 0, b"")
            sock.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, request)
        # All ethertypes: only so are our own packets seen, and those that a
        # bridge or a bond takes away from its ports.
        sock.bind((interface, _ETH_P_ALL))
        trouble = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if trouble:
            raise OSError(trouble, f"{interface} cannot be listened to")
    except BaseException:
        sock.close()
        raise
    return sock


def _indexOf(interface: str) -> int:
    try:
        return socket.if_nametoindex(interface)
    except OSError:
        # Python says no number.
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV), interface) from None


def receive(sock: socket.socket) -> Arrival | None:
    """
    The next packet; C{None} for one that is none of ours after all.

    @raise BlockingIOError: If there is none.
    @raise OSError: If the interface went down.
    """
    packet, ancillary, _, sender = sock.recvmsg(_MAXIMUM_PACKET, socket.CMSG_SPACE(_STAMP.size))
    _, ethertype, kind, _, hardware = sender
    if ethertype not in _ETHERTYPES:
        return None
    return Arrival(
        packet=packet,
        waited=waited(ancillary, time.time()),
        hardware=bytes(hardware),
        here=kind == _PACKET_OUTGOING,
    )


def waited(ancillary: Sequence[tuple[int, int, bytes]], wall: float) -> float:
    """
    How long ago the kernel got a packet: it is read later if this process was
    busy, or stopped.

    @param wall: Seconds since 1970.
    """
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS) and len(data) == _STAMP.size:
            seconds, nanoseconds = _STAMP.unpack(data)
            wait = wall - seconds - nanoseconds / 1e9
            return wait if 0 <= wait <= _LONGEST_WAIT else 0.0
    return 0.0
