"""
What remains of root's rights when twistd changes the user (C{twistd --uid}).

A process that becomes an ordinary user loses all capabilities, and can never open another raw
socket: not for a group that is added later, and not for an interface that disappears and returns.
Nor can it add addresses.  So it keeps those four that it uses, and no others.
"""

from __future__ import annotations

import ctypes
import os
import struct

# linux/prctl.h
_PR_SET_KEEPCAPS = 8

# linux/capability.h
_VERSION_3 = 0x20080522
NET_ADMIN, NET_RAW, IPC_LOCK, SYS_NICE = 12, 13, 14, 23

#: What txcarp uses.
USED = (NET_ADMIN, NET_RAW, IPC_LOCK, SYS_NICE)


#: C{struct __user_cap_header_struct}: the version, and 0 for this process.
_HEADER = struct.pack("=Ii", _VERSION_3, 0)

#: Two of C{struct __user_cap_data_struct}, each with 32 effective, permitted and inheritable ones.
_DATA = struct.Struct("=6I")


def keep() -> None:
    """
    Have this process keep its capabilities when it changes its user.  Call L{restrict} after that.
    """
    _keepAll(True)


def restrict() -> None:
    """
    Use the capabilities that txcarp uses, as far as this process has kept them, and drop all
    others for good.  Programs that this process starts get none.

    @raise OSError: If the kernel refuses that.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    data = ctypes.create_string_buffer(_DATA.size)
    _check(libc.capget(_HEADER, data))
    _, permitted, *_ = _DATA.unpack(data.raw)
    left = permitted & sum(1 << one for one in USED)
    _check(libc.capset(_HEADER, _DATA.pack(left, left, 0, 0, 0, 0)))
    _keepAll(False)


def _keepAll(kept: bool) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.prctl(_PR_SET_KEEPCAPS, int(kept), 0, 0, 0))


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
