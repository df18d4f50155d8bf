"""
The socket of a conversation over rtnetlink.
"""

from __future__ import annotations

import socket
from contextlib import suppress

_RECEIVE_QUEUE = 1 << 20
_SOL_NETLINK, _NETLINK_CAP_ACK, _NETLINK_EXT_ACK = 270, 10, 11
_SO_RCVBUFFORCE = 33


def openSocket(groups: int = 0) -> socket.socket:
    """
    A non-blocking rtnetlink socket in the network namespace of this thread.

    @param groups: the C{RTMGRP_...} bits of the events to receive.
    """
    sock = socket.socket(
        socket.AF_NETLINK,
        socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC,
        socket.NETLINK_ROUTE,
    )
    try:
        for option in (_NETLINK_EXT_ACK, _NETLINK_CAP_ACK):
            # For the words of errors only: kernels before 4.12 have none.
            with suppress(OSError):
                sock.setsockopt(_SOL_NETLINK, option, 1)
        try:
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_QUEUE)
        except OSError:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_QUEUE)
        sock.bind((0, groups))
    except BaseException:
        sock.close()
        raise
    return sock
