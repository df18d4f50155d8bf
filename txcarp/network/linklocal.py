"""
The link-local address of an interface.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket

from txcarp.network.sockets import openSocket
from txcarp.protocol import ipv6
from txcarp.protocol.family import isLinkLocal

#: Any; nothing is ever sent.
_PORT = 112

_NOWHERE = bytes(28)  # a struct sockaddr_in6 of the family AF_UNSPEC

_libc = ctypes.CDLL(None, use_errno=True)


class LinkLocalAddress:
    """
    Asks the kernel for the address that it would send to the group from, by
    connecting a datagram socket, which waits for nothing and sends nothing.

    The socket is kept for the next question: opened later it might be in
    another network namespace.
    """

    def __init__(self, interface: str, index: int) -> None:
        """
        @param index: The index of the interface.
        @raise OSError: If the interface is gone or the kernel refuses.
        """
        self._interface = interface
        self._index = index
        self._socket = openSocket(socket.AF_INET6, socket.SOCK_DGRAM, 0, "a datagram socket")
        try:
            name = interface.encode() + b"\0"
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name)
        except BaseException:
            self._socket.close()
            raise

    def find(self) -> bytes:
        """
        The packed address that is used now.

        @raise OSError: If there is none: the interface is down or gone, or it
            is not known yet whether another host has the address.
        """
        group = socket.inet_ntop(socket.AF_INET6, ipv6.GROUP)
        try:
            self._socket.connect((group, _PORT, 0, self._index))
            name: str = self._socket.getsockname()[0]
        finally:
            # Or it would keep this answer, and hold a port.  It cannot fail (connect(2)).
            _libc.connect(self._socket.fileno(), _NOWHERE, len(_NOWHERE))
        address = socket.inet_pton(socket.AF_INET6, name.partition("%")[0])
        if not isLinkLocal(address):
            raise OSError(
                errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL), self._interface
            )
        return address

    def close(self) -> None:
        """
        Ask no more.
        """
        self._socket.close()
