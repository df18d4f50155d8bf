"""
The interface to use when the user names none.
"""

from __future__ import annotations

import fcntl
import socket
import struct

_SIOCGIFFLAGS = 0x8913  # linux/sockios.h
_IFF_UP = 0x1
_IFF_LOOPBACK = 0x8


def firstInterface() -> str | None:
    """
    Return the first interface that is up and is not the loopback.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        for _, name in socket.if_nameindex():
            request = struct.pack("16sH14x", name.encode(), 0)
            try:
                answer = fcntl.ioctl(sock, _SIOCGIFFLAGS, request)
            except OSError:
                continue  # it was deleted meanwhile
            (flags,) = struct.unpack_from("H", answer, 16)
            if flags & _IFF_UP and not flags & _IFF_LOOPBACK:
                return name
    return None
