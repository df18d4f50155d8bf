"""
The link-local address of an interface.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket

from txcarp.protocol import ipv6
from txcarp.protocol.family import isLinkLocal

#: Any port; nothing is ever sent.
_PORT = 112

_NOWHERE = bytes(28)  # a struct sockaddr_in6 of the family AF_UNSPEC

_libc = ctypes.CDLL(None, use_errno=True)


class LinkLocalAddress:
    """
    Asks the kernel for the source address of a packet to the IPv6 group.  It connects a
    datagram socket, which neither waits nor sends anything.

    The socket is kept for the next question.  A socket that is opened later might be in
    another network namespace.
    """

    def __init__(self, interface: str, index: int) -> None:
        """
        @param index: The index of the interface.
        @raise OSError: If the interface is gone or the kernel refuses.
        """
        self._interface = interface
        self._index = index
        self._socket = socket.socket(
            socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        )
        try:
            name = interface.encode() + b"\0"
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name)
        except BaseException:
            self._socket.close()
            raise

    def find(self) -> bytes:
        """
        Return the packed address that the kernel would use now.

        @raise OSError: If there is none: the interface is down or gone, or the kernel is
            still checking whether another host has the address.
        """
        group = socket.inet_ntop(socket.AF_INET6, ipv6.GROUP)
        try:
            self._socket.connect((group, _PORT, 0, self._index))
            name: str = self._socket.getsockname()[0]
        finally:
            # Connected, the socket would keep this answer and occupy a port.  Connecting it
            # to nowhere undoes that, and cannot fail (connect(2)).
            _libc.connect(self._socket.fileno(), _NOWHERE, len(_NOWHERE))
        address = socket.inet_pton(socket.AF_INET6, name.partition("%")[0])
        if not isLinkLocal(address):
            raise OSError(
                errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL), self._interface
            )
        return address

    def close(self) -> None:
        """
        Close the socket.
        """
        self._socket.close()
