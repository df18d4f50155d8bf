"""
The Unix socket on which a running process is asked and told.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, cast

from twisted.application.service import MultiService, Service
from twisted.internet import tcp, unix
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from txcarp.configuration.places import CONTROL_SOCKET
from txcarp.interfaces import IReloader
from txcarp.operate.connections import ACCEPTS, MOST_CLIENTS, ControlFactory, credentialsOf
from txcarp.operate.control import Control
from txcarp.operate.endpoints import ReadingService
from txcarp.operate.opening import RETRY, Opening
from txcarp.operate.page import loaded
from txcarp.service import CARPService

#: The mode of the socket: its group may read, and only some of its users may act.
_MODE = 0o660


class InUse(Exception):
    """
    Another process that lives uses the socket.
    """


class _Port(unix.Port):
    """
    A Unix socket whose file may be gone or replaced when it is closed.

    @ivar path: The path of the file.
    @ivar identity: The device and the inode of the file.
    """

    path = ""
    identity: tuple[int, int] | None = None

    @property
    def numberAccepts(self) -> int:
        """
        The most connections that are accepted in one turn of the reactor.
        """
        return ACCEPTS

    @numberAccepts.setter
    def numberAccepts(self, number: int) -> None:
        """
        Ignore what Twisted finds sensible, up to some hundred: each connection soon has a request,
        and an advertisement that is due would wait for all of them.
        """

    def connectionLost(self, reason: Failure) -> None:
        """
        Remove the file if it is that of this socket.
        """
        with suppress(OSError):
            if _identity(self.path) == self.identity:
                os.unlink(self.path)
        tcp.Port.connectionLost(self, reason)


class ControlService(Opening):
    """
    Answers on a Unix socket.

    What keeps the socket from being opened is logged, and does not keep this process from its
    work.  If another process uses the socket, it is tried again, because that may be the
    predecessor of this one, which is about to end.
    """

    _log = Logger()

    def __init__(
        self,
        control: Control,
        path: str,
        reactor: Any,
        owner: tuple[int, int] | None = None,
    ) -> None:
        """
        @param path: The path of the socket.
        @param owner: The user and the group that this process becomes after it has opened the
            socket, which then belongs to them; C{None} if it stays the same user.
        """
        super().__init__(control, reactor)
        self._path = path
        self._owner = owner
        self._lock: int | None = None

    def _closed(self) -> None:
        self._unlock()

    def _unlock(self) -> None:
        lock, self._lock = self._lock, None
        if lock is not None:
            with suppress(OSError):
                os.unlink(_lockPath(self._path))
            os.close(lock)

    def _open(self) -> None:
        try:
            if self._path == CONTROL_SOCKET:
                self._makeDirectory(os.path.dirname(self._path))
            self._lock = lockBeside(self._path)
            try:
                removeStale(self._path)
                self._port = self._listen()
            except BaseException:
                self._unlock()
                raise
        except InUse as error:
            self._again()
            self._report(
                f"{error}. It is tried again every {RETRY:.0f} s; to run both, give this one a "
                "path of its own (--control, or control in [daemon])"
            )
        except (OSError, CannotListenError) as error:
            # Twisted wraps what the kernel says.
            reason = getattr(error, "socketError", error)
            text = getattr(reason, "strerror", None) or str(reason)
            self._report(f"{self._path} cannot be opened: {text}")
        else:
            self._log.info(
                "Commands such as 'txcarp status' reach this process through {path}",
                path=self._path,
            )

    def _makeDirectory(self, path: str) -> None:
        with suppress(FileExistsError):
            os.mkdir(path, 0o755)
            self._give(path)

    def _give(self, path: str) -> None:
        """
        Give a file to the user that this process becomes.
        """
        if self._owner is not None:
            os.chown(path, *self._owner, follow_symlinks=False)

    def _listen(self) -> IListeningPort:
        factory = ControlFactory(self._control, self._reactor)
        port = _Port(
            os.fsencode(self._path), factory, MOST_CLIENTS, _MODE, reactor=self._reactor
        )
        port.startListening()  # type: ignore[no-untyped-call]
        port.path, port.identity = self._path, _identity(self._path)
        self._give(self._path)
        return port

    def _report(self, text: str) -> None:
        if not self._reported:
            self._reported = True
            self._log.warn(
                "Commands such as 'txcarp status' cannot reach this process: {text}", text=text
            )


def controlService(
    carp: CARPService,
    path: str | None,
    reloader: IReloader | None = None,
    owner: tuple[int, int] | None = None,
    http: Sequence[str] = (),
    page: bool = False,
) -> MultiService:
    """
    Make the control side of a process, on the global reactor.

    @param path: The path of the socket; C{None} for none.
    @param reloader: Reads the configuration file again; C{None} if there is none.
    @param owner: The user and the group that this process becomes; see L{ControlService}.
    @param http: The endpoints on which everybody may read, as in C{tcp:9112:interface=127.0.0.1}.
    @param page: Whether there is a page for browsers.
    """
    from twisted.internet import reactor

    control = Control(carp, cast(IReactorTime, reactor), reloader, loaded(page))
    service = MultiService()
    parts: list[Service] = [ReadingService(control, one, reactor) for one in http]
    if path is not None:
        parts.append(ControlService(control, path, reactor, owner))
    for part in parts:
        part.setServiceParent(service)
    return service


def lockBeside(path: str) -> int:
    """
    Lock a file beside a socket.  Only the process that has the lock may remove a stale socket and
    make its own: of two that do so at one instant, the second would remove the new socket of the
    first.  The kernel ends the lock with the process.

    @return: The descriptor of the file.  The owner removes the file before it closes this.
    @raise InUse: If another process has the lock.
    @raise OSError: If the file cannot be opened.
    """
    name = _lockPath(path)
    while True:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        lock = os.open(name, flags, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found = os.fstat(lock)
            with suppress(FileNotFoundError):
                if _identity(name) == (found.st_dev, found.st_ino):
                    return lock
            # The process before has removed this file after it was opened here.
        except BlockingIOError:
            os.close(lock)
            raise InUse(_occupant(path) or f"another process is about to open {path}") from None
        except BaseException:
            os.close(lock)
            raise
        os.close(lock)


def _lockPath(path: str) -> str:
    return f"{path}.lock"


def removeStale(path: str) -> None:
    """
    Remove the socket of a process that has died.

    @raise InUse: If the process lives.
    @raise OSError: If that is impossible, or the file is no socket.
    """
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise OSError(errno.EEXIST, "the file exists, and is no socket")
    except FileNotFoundError:
        return
    if occupant := _occupant(path):
        raise InUse(occupant)
    os.unlink(path)


def _occupant(path: str) -> str:
    """
    Who answers on a socket, as a sentence; an empty string if nobody does.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return ""
        except BlockingIOError:
            return f"another process answers on {path}"
        return f"process {credentialsOf(probe)[0]} answers on {path}"


def _identity(path: str | bytes) -> tuple[int, int]:
    found = os.lstat(path)
    return found.st_dev, found.st_ino
