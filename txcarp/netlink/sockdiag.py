"""
TCP connections in the messages of sock_diag(7) (C{include/uapi/linux/inet_diag.h} and
C{sock_diag.h} of the kernel).

These functions only make and read bytes: there is no socket and no reactor here.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence

from txcarp.netlink.format import (
    NLM_F_ACK,
    NLM_F_DUMP,
    Message,
    NetlinkError,
    attribute,
    pack,
)

#: The number of the netlink protocol.
NETLINK_SOCK_DIAG = 4

SOCK_DIAG_BY_FAMILY, SOCK_DESTROY = 20, 21

_INET_DIAG_REQ_BYTECODE = 1
_INET_DIAG_BC_S_COND = 7

#: The states of C{include/net/tcp_states.h} in which a connection has a peer that waits for it.
#: A socket that listens is none, and TIME_WAIT is over.
_ESTABLISHED, _SYN_SENT, _SYN_RECV, _FIN_WAIT1, _FIN_WAIT2 = 1, 2, 3, 4, 5
_CLOSE_WAIT, _LAST_ACK, _CLOSING, _NEW_SYN_RECV = 8, 9, 11, 12
_CONNECTED = sum(
    1 << state
    for state in (_ESTABLISHED, _SYN_SENT, _SYN_RECV, _FIN_WAIT1, _FIN_WAIT2)
    + (_CLOSE_WAIT, _LAST_ACK, _CLOSING, _NEW_SYN_RECV)
)

#: C{struct inet_diag_req_v2} without the identity of a socket: family, protocol, extensions,
#: states.
_REQUEST = struct.Struct("=BBBxI")

#: C{struct inet_diag_sockid}: ports, addresses, interface and cookie.
_IDENTITY = struct.Struct("=4s16s16sI8s")

#: C{struct inet_diag_bc_op} and the C{struct inet_diag_hostcond} after it, without its address:
#: code, offsets for yes and no; family, prefix length, port.
_CONDITION = struct.Struct("=BBHBBxxi")

#: The offset of the identity in C{struct inet_diag_msg}, and the size of that structure.
_IDENTITY_AT, _ANSWER = 4, 72

#: Where the interface is in an identity.
_INTERFACE_AT = 36

_NO_IDENTITY = bytes(_IDENTITY.size)
_ANY_PORT = -1
_FAMILIES = {4: int(socket.AF_INET), 16: int(socket.AF_INET6)}


def familiesOf(address: bytes) -> tuple[int, ...]:
    """
    The families of the sockets that may have a local address: IPv6 sockets have IPv4 addresses,
    too, in mapped form.
    """
    if len(address) == 4:
        return int(socket.AF_INET), int(socket.AF_INET6)
    return (int(socket.AF_INET6),)


def dump(sequence: int, family: int, address: bytes) -> bytes:
    """
    Request the list of the TCP connections with a local address.

    @param sequence: The number of the request, which is in the answer.
    @param family: The family of the sockets; see L{familiesOf}.
    @param address: The packed address.
    """
    # A program of one condition: its offsets lead to its end, or beyond, which refuses.
    length = _CONDITION.size + len(address)
    bits = 8 * len(address)
    program = _CONDITION.pack(
        _INET_DIAG_BC_S_COND, length, length + 4, _FAMILIES[len(address)], bits, _ANY_PORT
    )
    body = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, _CONNECTED) + _NO_IDENTITY
    body += attribute(_INET_DIAG_REQ_BYTECODE, program + address)
    return pack(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, sequence, body)


def dumpNothing(sequence: int) -> bytes:
    """
    Request a list that is empty, to find out whether the kernel lists TCP connections.
    """
    body = _REQUEST.pack(socket.AF_INET, socket.IPPROTO_TCP, 0, 0) + _NO_IDENTITY
    return pack(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, sequence, body)


def destroyNothing(sequence: int) -> bytes:
    """
    Request the end of a connection that does not exist, to find out whether the kernel ends any.
    One that does answers C{ENOENT}.
    """
    body = _REQUEST.pack(socket.AF_INET, socket.IPPROTO_TCP, 0, _CONNECTED) + _NO_IDENTITY
    return pack(SOCK_DESTROY, NLM_F_ACK, sequence, body)


def destroy(sequence: int, connections: Sequence[bytes]) -> bytes:
    """
    Request the end of connections.  The kernel answers only if it does not do so.

    @param connections: What L{readConnection} returned.
    """
    return b"".join(pack(SOCK_DESTROY, 0, sequence, body) for body in connections)


def readConnection(message: Message) -> bytes:
    """
    Read one connection of a list.

    @return: The request to destroy it, for L{destroy}.  It has the kernel's cookie, so that it
        concerns no other connection that begins later, and no socket that listens.
    @raise NetlinkError: If the message is malformed.
    """
    body = message.body
    if message.type != SOCK_DIAG_BY_FAMILY or len(body) < _ANSWER:
        raise NetlinkError(
            f"netlink socket of type {message.type} and {len(body)} bytes, expected type "
            f"{SOCK_DIAG_BY_FAMILY} and at least {_ANSWER} bytes"
        )
    identity = body[_IDENTITY_AT : _IDENTITY_AT + _IDENTITY.size]
    return _REQUEST.pack(body[0], socket.IPPROTO_TCP, 0, _CONNECTED) + identity


def interfaceOf(connection: bytes) -> int:
    """
    The index of the interface that the socket of a connection is bound to; 0 if it is bound to
    none.
    """
    index: int = struct.unpack_from("=I", connection, _REQUEST.size + _INTERFACE_AT)[0]
    return index

