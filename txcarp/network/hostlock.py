"""
The lock that keeps one virtual host from running twice on one host.

Two daemons with the same interface and vhid in one network namespace would both become master,
and each would remove the addresses of the other.  The lock is an abstract Unix socket: like the
virtual host it is unique in a network namespace, whatever containers, users and directories
there are; it needs no privileges; the kernel names its owner, and frees it when that process
ends in any way.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import time
from contextlib import suppress
from pathlib import Path

from twisted.logger import Logger

_log = Logger()

#: Seconds that L{awaitPredecessor} waits for a process that is leaving its group.
PATIENCE = 10.0

#: Seconds between two looks at that process.
_LOOK = 0.05

#: Nobody accepts the connections of other processes, which ask for the owner: so many fit.
_BACKLOG = 4096

_CREDENTIALS = struct.Struct("iII")
_CAP_NET_RAW = 13  # linux/capability.h


class AlreadyRunning(OSError):
    """
    Another process on this host runs the same virtual host.

    @ivar pid: The number of the process; 0 if it cannot be known, as in another container.
    """

    def __init__(self, interface: str, vhid: int, pid: int) -> None:
        process = f"process {pid}" if pid else "a process that is not visible from here"
        super().__init__(
            errno.EADDRINUSE,
            f"virtual host {vhid} on {interface} already runs on this host, in {process}: stop "
            "that one first, or give this one another vhid",
        )
        self.pid = pid


class HostLock:
    """
    The lock of one virtual host, held until L{release}.
    """

    def __init__(self, interface: str, vhid: int) -> None:
        """
        @raise ValueError: If this process holds the lock already.
        @raise AlreadyRunning: If another process holds it.
        """
        self._name = _nameOf(interface, vhid)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._leaving: socket.socket | None = None
        try:
            self._socket.bind(self._name)
            self._socket.listen(_BACKLOG)
        except OSError as error:
            self._socket.close()
            if error.errno != errno.EADDRINUSE:
                raise
            pid, user = _owner(self._name) or (0, 0)
            if pid == os.getpid():
                raise ValueError(
                    f"virtual host {vhid} is configured twice on {interface}"
                ) from None
            if _canRun(pid, user):
                raise AlreadyRunning(interface, vhid, pid) from None
            _log.warn(
                "Process {pid} of user {user} keeps the name that shows that virtual host {vhid} "
                "runs on {interface}, but may not run one. It is ignored, and nothing prevents "
                "this virtual host from being started twice: end that process",
                pid=pid,
                user=user,
                vhid=vhid,
                interface=interface,
            )

    def markLeaving(self, leaving: bool) -> None:
        """
        Let other processes know whether the lock will soon be released.
        """
        if self._leaving is not None:
            self._leaving.close()
            self._leaving = None
        if leaving:
            self._leaving = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            with suppress(OSError):  # nobody waits then
                self._leaving.bind(_leavingName(self._name))

    def release(self) -> None:
        """
        Let another process, or this one, take the lock.
        """
        self._socket.close()
        self.markLeaving(False)


def holder(interface: str, vhid: int) -> int | None:
    """
    The number of the process that runs a virtual host on this host, 0 if it cannot be known;
    C{None} if there is none.
    """
    owner = _owner(_nameOf(interface, vhid))
    return owner[0] if owner is not None and _canRun(*owner) else None


def awaitPredecessor(interface: str, vhid: int, patience: float = PATIENCE) -> None:
    """
    Block while another process that runs the same virtual host is leaving its group.

    A daemon is often stopped and started in one line, and the first still hands over when the
    second begins.  With one that is not about to leave, waiting would only hide the mistake.

    @param patience: Seconds to wait at most.
    @raise AlreadyRunning: If that process does not leave, or not in time.
    """
    name = _nameOf(interface, vhid)
    end = time.monotonic() + patience
    while (owner := _owner(name)) is not None and _canRun(*owner):
        if not _isBound(_leavingName(name)) or time.monotonic() >= end:
            raise AlreadyRunning(interface, vhid, owner[0])
        time.sleep(_LOOK)


def _nameOf(interface: str, vhid: int) -> bytes:
    return b"\0txcarp/%b/%d" % (os.fsencode(interface), vhid)


def _leavingName(name: bytes) -> bytes:
    return name + b"/leaving"


def _owner(name: bytes) -> tuple[int, int] | None:
    """
    The process and the user that listen on an abstract socket, zeros if they cannot be known;
    C{None} if nobody does.
    """
    kind = socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
    with socket.socket(socket.AF_UNIX, kind) as asking:
        try:
            asking.connect(name)
        except ConnectionRefusedError:
            return None
        except BlockingIOError:
            return 0, 0  # the backlog is full
        packed = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, user, _ = _CREDENTIALS.unpack(packed)
    return pid, user


def _isBound(name: bytes) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as asking:
        return asking.connect_ex(name) == 0


def _canRun(pid: int, user: int) -> bool:
    """
    Whether a process may open raw sockets here.  Otherwise any user could keep txcarp from
    starting by taking the name of the lock.  In doubt the answer is yes.
    """
    if not pid or user in (0, os.geteuid()):
        return True
    process = Path("/proc", str(pid))
    try:
        status = (process / "status").read_text(errors="replace")
        # In a user namespace of its own a process has all capabilities, which mean nothing here.
        foreign = os.readlink(process / "ns/user") != os.readlink("/proc/self/ns/user")
    except OSError:
        return True
    _, _, permitted = status.partition("CapPrm:")
    return not foreign and bool(int(permitted.split()[0], 16) >> _CAP_NET_RAW & 1)
