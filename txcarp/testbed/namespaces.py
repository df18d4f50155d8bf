"""
Network namespaces without names, which a thread enters for the time of a C{with} block.

Python has C{os.unshare} and C{os.setns} from 3.12 on; here ctypes makes these system calls.
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
"""Exit statuses of the child process that tries; every C{errno} is smaller."""

_enabled = False
"""Whether L{enable} has succeeded."""

_libc = ctypes.CDLL(None, use_errno=True)


class TestbedUnavailable(Exception):
    """
    This process may not make network namespaces.  The message is one sentence that says
    why, and what to do.
    """


class NetworkNamespace:
    """
    A network namespace.  The kernel keeps it as long as this object is open, or a process
    or socket is in it.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def current(cls) -> NetworkNamespace:
        """
        The namespace of this thread.
        """
        # Each thread can be in another namespace; /proc/self belongs to the main thread.
        return cls(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))

    @classmethod
    def create(cls) -> NetworkNamespace:
        """
        Make an empty namespace.  This thread does not move to it.

        @raise OSError: If this process may not (C{EPERM}), or the kernel refuses.
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
        The descriptor, which netlink requests use to move a link into the namespace.

        @raise ValueError: If this object is closed.
        """
        if self._descriptor < 0:
            raise ValueError("the network namespace is closed")
        return self._descriptor

    def close(self) -> None:
        """
        Close the descriptor.
        """
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    @contextmanager
    def inside(self) -> Iterator[None]:
        """
        Run a C{with} block in the namespace.  Sockets and processes that are created in it
        stay in the namespace.  Only this thread moves, and it moves back at the end of the
        block.  No reactor may run in the block.
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
    One sentence that says why this process cannot make network namespaces, and what to do;
    C{None} if it can.

    A child process tries it, so that this process stays as it is.
    """
    return None if _enabled else _probe()[1]


def enable() -> None:
    """
    Get the right to make network namespaces.  A process without it moves to a user
    namespace, where it is root over its own networks only, and stays there.

    @raise TestbedUnavailable: If that is not allowed.  The process is unchanged then.
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
    Whether a user namespace is needed, and a sentence if namespaces cannot be made.
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
    # user_namespaces(7): a process with several threads may not enter one.  The child had one.
    threads = len(os.listdir("/proc/self/task"))
    if code == _AS_USER and threads > 1:
        return True, (
            f"this process has {threads} threads, and only a process with one may enter a user "
            "namespace: make the test network before any thread is started, or run as root"
        )
    return code == _AS_USER, None


def _attempt() -> int:
    """
    Try to make a namespace.  This runs in a process that ends afterwards.

    @return: 0, L{_AS_USER} if it needed a user namespace, or the C{errno} of the failure.
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
    # Both in one call, which moves the process to both namespaces or to none.
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
