"""
A netlink socket, and requests that block until they are answered.

The reactor must not wait for those: they are for set-up before it runs, and for test
networks.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress

from txcarp.links import InterfaceAddress, Link
from txcarp.netlink import format as wire
from txcarp.netlink.format import Message, Request
from txcarp.netlink.messages import getAddresses, getLinks, parseAddress, parseAll, parseLink

#: Seconds.  The kernel answers in microseconds, or never.
_TIMEOUT = 5.0

#: Bytes.
_RECEIVE_BUFFER = 1 << 20

# linux/netlink.h, asm-generic/socket.h: not in the socket module.
_SOL_NETLINK, _NETLINK_CAP_ACK, _NETLINK_EXT_ACK = 270, 10, 11
_SO_RCVBUFFORCE = 33


def openNetlinkSocket(groups: int = 0, protocol: int = socket.NETLINK_ROUTE) -> socket.socket:
    """
    Open a non-blocking netlink socket in the network namespace of the calling thread.

    @param groups: The C{RTMGRP_...} bits of the events to receive.
    @param protocol: The part of the kernel to talk to: C{NETLINK_...}.
    @raise OSError: If the kernel has no netlink, or this process no descriptor left.
    """
    sock = socket.socket(
        socket.AF_NETLINK,
        socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC,
        protocol,
    )
    try:
        for option in (_NETLINK_EXT_ACK, _NETLINK_CAP_ACK):
            # These add words to the errors; Linux before 4.12 has none.
            with suppress(OSError):
                sock.setsockopt(_SOL_NETLINK, option, 1)
        try:
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
        except OSError:
            # Only CAP_NET_ADMIN may exceed net.core.rmem_max.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        sock.bind((0, groups))
    except BaseException:
        sock.close()
        raise
    return sock


class BlockingNetlink(AbstractContextManager["BlockingNetlink"]):
    """
    A netlink socket in the network namespace of the thread that makes it, as a context
    manager.
    """

    def __init__(self) -> None:
        self._socket = openNetlinkSocket()
        self._socket.settimeout(_TIMEOUT)
        self._sequence = 0

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """
        Close the socket.
        """
        self._socket.close()

    def request(self, *requests: Request) -> None:
        """
        Have the kernel carry out requests, one after the other.

        @raise OSError: The kernel's error for the first request that fails; later ones are
            not sent.
        """
        for request in requests:
            self.ask(request)

    def links(self) -> list[Link]:
        """
        List all links.
        """
        return parseAll(self.ask(getLinks()), parseLink)

    def link(self, name: str) -> Link:
        """
        Return the link of a name.

        @raise LookupError: If there is none.
        """
        for link in self.links():
            if link.name == name:
                return link
        raise LookupError(f"no interface is called {name}")

    def addresses(self, family: int = socket.AF_UNSPEC) -> list[InterfaceAddress]:
        """
        List the addresses of one family, or of all.
        """
        return parseAll(self.ask(getAddresses(family)), parseAddress)

    def ask(self, request: Request) -> Sequence[Message]:
        """
        Have the kernel carry out a request, and return what it answers.

        @raise OSError: The kernel's error.
        """
        self._sequence += 1
        self._socket.send(request.packed(self._sequence))
        found: list[Message] = []
        while True:
            for message in wire.readMessages(self._socket.recv(65536)):
                if message.sequence != self._sequence:
                    continue
                if message.type in (wire.NLMSG_ERROR, wire.NLMSG_DONE):
                    error = wire.readError(message)
                    if error is not None:
                        raise error
                    return found
                found.append(message)
