"""
Network namespaces of this process: made without a name, entered for a moment, gone with
their descriptor.

C{os.unshare} exists from Python 3.12; these are the same system calls by ctypes.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000

_AS_USER, _UNKNOWN = 254, 255
"""Exit statuses of the child that tries; no C{errno} is that large."""

_enabled = False
"""Whether it was tried already, with success."""

_libc = ctypes.CDLL(None, use_errno=True)


class TestbedUnavailable(Exception):
    """
    This process may not make networks of its own.  The message is one sentence that
    says why and what to do.
    """


class NetworkNamespace:
    """
    A network namespace, which is there as long as this object is open, or a process or
    socket is in it.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def current(cls) -> NetworkNamespace:
        """
        The one that this thread is in.
        """
        # A process may have a thread in each namespace: /proc/self is the main one's.
        return cls(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))

    @classmethod
    def create(cls) -> NetworkNamespace:
        """
        A new, empty one; this thread stays where it is.

        @raise OSError: C{EPERM} without the right to make one.
        """
        home = cls.current()
        try:
            _unshare(CLONE_NEWNET)
            try:
                return cls.current()
            finally:
                home._enter()
        finally:
            home.close()

    def fileno(self) -> int:
        """
        The descriptor, for netlink requests that place a link into the namespace.

        @raise ValueError: when closed.
        """
        if self._descriptor < 0:
            raise ValueError("the network namespace is closed")
        return self._descriptor

    def close(self) -> None:
        """
        Let go of the namespace.
        """
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    @contextmanager
    def inside(self) -> Iterator[None]:
        """
        Run a C{with} block in the namespace: sockets opened and processes started there
        are born in it and stay.  Only this thread moves, and back at the end, however
        that comes.  No reactor may run in the block.
        """
        before = NetworkNamespace.current()
        try:
            self._enter()
            try:
                yield
            finally:
                before._enter()
        finally:
            before.close()

    def _enter(self) -> None:
        if _libc.setns(self.fileno(), CLONE_NEWNET):
            raise _lastError("setns")


def unavailable() -> str | None:
    """
    Why this process cannot have networks of its own, with what to do; C{None} if it
    can.

    Nothing about the process changes: a child tries.
    """
    return None if _enabled else _probe()[1]


def enable() -> None:
    """
    Get the right to make network namespaces, if this process does not have it: by
    moving it, for good, to a user namespace where it is root over networks of its own
    and nothing else.

    @raise TestbedUnavailable: when that is not allowed; the process is unchanged then.
    """
    global _enabled
    if _enabled:
        return
    needsUser, reason = _probe()
    if reason is not None:
        raise TestbedUnavailable(reason)
    if needsUser:
        _enterUserNamespace()
    _enabled = True


def _probe() -> tuple[bool, str | None]:
    """
    Whether a user namespace is needed, and why it will not work.
    """
    child = os.fork()
    if child == 0:
        status = _UNKNOWN
        try:
            status = _attempt()
        finally:
            os._exit(status)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code not in (0, _AS_USER):
        return False, _explanation(code)
    # user_namespaces(7): only a process with one thread may enter a new one; the child had one.
    threads = len(os.listdir("/proc/self/task"))
    if code == _AS_USER and threads > 1:
        return True, (
            f"{threads} threads run in this process and only one may when a user namespace is "
            "made: make the test network before anything starts a thread, or run as root"
        )
    return code == _AS_USER, None


def _attempt() -> int:
    """
    Do all that is needed, in a process that ends afterwards.

    @return: 0, L{_AS_USER}, or the C{errno} of what failed.
    """
    try:
        try:
            NetworkNamespace.create()
            return 0
        except PermissionError:
            _enterUserNamespace()
            NetworkNamespace.create()
            return _AS_USER
    except OSError as error:
        return error.errno or _UNKNOWN


def _enterUserNamespace() -> None:
    user, group = os.geteuid(), os.getegid()
    # Both in one call: it either moves the process to a usable place or leaves it alone.
    _unshare(CLONE_NEWUSER | CLONE_NEWNET)
    own = Path("/proc/self")
    # user_namespaces(7): an unprivileged process must give up setgroups to map its group.
    (own / "setgroups").write_text("deny")
    (own / "uid_map").write_text(f"0 {user} 1")
    (own / "gid_map").write_text(f"0 {group} 1")


def _unshare(flags: int) -> None:
    if _libc.unshare(flags):
        raise _lastError("unshare")


def _lastError(call: str) -> OSError:
    code = ctypes.get_errno()
    return OSError(code, f"{call}: {os.strerror(code)}")


def _explanation(code: int) -> str:
    if _setting("kernel/apparmor_restrict_unprivileged_userns") == "1":
        return (
            "AppArmor forbids user namespaces here: run as root, or "
            "'sysctl kernel.apparmor_restrict_unprivileged_userns=0'"
        )
    if _setting("kernel/unprivileged_userns_clone") == "0":
        return (
            "this system forbids user namespaces to users: run as root, or "
            "'sysctl kernel.unprivileged_userns_clone=1'"
        )
    if _setting("user/max_user_namespaces") == "0":
        return (
            "user namespaces are switched off here: run as root, or "
            "'sysctl user.max_user_namespaces=1000'"
        )
    if code in (errno.ENOSPC, errno.EUSERS):
        return (
            "too many namespaces are in use: end some, or raise user.max_user_namespaces and "
            "user.max_net_namespaces"
        )
    if code in (errno.EPERM, errno.EACCES):
        return (
            "neither network nor user namespaces are allowed here (a container?): run as root, or "
            "give the container CAP_SYS_ADMIN and CAP_NET_ADMIN"
        )
    words = os.strerror(code) if code != _UNKNOWN else "unknown error"
    return (
        f"network namespaces cannot be made ({words}): a Linux kernel with CONFIG_NET_NS is needed"
    )


def _setting(name: str) -> str:
    try:
        return Path("/proc/sys", name).read_text().strip()
    except OSError:
        return ""
