"""
The side of the daemon: starts the guard, hands over the wills, and replaces a guard that died.
"""

from __future__ import annotations

import contextlib
import errno
import marshal
import mmap
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import attrs
from twisted.internet.interfaces import IDelayedCall, IReactorFDSet, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from txcarp import companion
from txcarp.bequest import Bequest
from txcarp.guard import sentry
from txcarp.guard.deeds import Deeds
from txcarp.interfaces import IGuard, IWill
from txcarp.socketreader import SocketReader
from txcarp.status.process import GuardStatus

#: The capabilities that the guard has from this process: CAP_NET_ADMIN, to remove addresses;
#: CAP_IPC_LOCK and CAP_SYS_NICE.
_LENT = (12, 14, 23)

#: The most groups of a process that have a will.
MOST_WILLS = 1 << 14

#: Bytes of messages that wait for the guard: those of some thousand groups.
_QUEUE = 1 << 22

#: Seconds in which a guard takes nothing out of a full queue until it is replaced.
_STUCK = 2.0

#: Seconds from a start of the guard until its death is no reason to wait long before the next one;
#: the shortest wait, in which the dead one can be asked how it ended; and the longest.
_STEADY = 10.0
_SHORTEST_WAIT, _LONGEST_WAIT = 0.05, 60.0

# asm-generic/socket.h, linux/in6.h: not in the socket module.
_SO_SNDBUFFORCE = 32
_IPV6_HDRINCL = 36

#: The priority of control traffic in the queue of the network card (socket(7), SO_PRIORITY).
_CONTROL_TRAFFIC = 6


@implementer(IWill)
class Will:
    """
    The will of one virtual host.

    @ivar lost: Called when a guard has died.
    """

    def __init__(self, guard: Guard, slot: int, name: str, lost: Callable[[], None]) -> None:
        self._guard = guard
        self._slot = slot
        self._name = name
        self._number = 0
        self._beat: tuple[Any, ...] | None = None
        self._bequest: Bequest = Bequest()
        self.lost = lost

    @property
    def isOpen(self) -> bool:
        """
        Whether there is anything to be carried out.
        """
        return self._number != 0

    @property
    def isDeposed(self) -> bool:
        number = self._number
        return number != 0 and self._guard.marks[self._slot] == number

    def begin(self, bequest: Bequest) -> None:
        self._number = self._guard.nextNumber()
        self._beat = None
        self._bequeath(bequest)

    def change(self, bequest: Bequest) -> None:
        if self._number and self._bequest != bequest:
            self._bequeath(bequest)

    def _bequeath(self, bequest: Bequest) -> None:
        self._bequest = bequest
        self._guard.post(self, self._message())

    def beat(
        self,
        expected: float,
        patience: float,
        lasting: float,
        parcels: Sequence[tuple[int, bytes, bytes]],
    ) -> None:
        if self._number:
            due, grace = self._due(expected, patience)
            expires = self._guard.ages() + lasting
            self._beat = ("beat", self._slot, due, grace, expires, parcels)
            self._guard.post(self, self._beat)

    def alive(self, expected: float, patience: float) -> None:
        if self._number and self._beat is not None:
            self._guard.post(self, ("alive", self._slot, *self._due(expected, patience)))

    def _due(self, expected: float, patience: float) -> tuple[float, float]:
        """
        When patience ends, and the seconds from the expected sign of life until then.  The guard
        may read this later, so that no time is relative to now.
        """
        return self._guard.seconds() + patience, patience - expected

    def silence(self) -> None:
        if self._number:
            self._beat = None
            self._guard.post(self, ("silent", self._slot))

    def withdraw(self) -> None:
        if self._number:
            self._number = 0
            self._beat = None
            self._guard.post(self, ("gone", self._slot))

    def close(self) -> None:
        self.withdraw()
        self._guard.closed(self._slot)

    def _message(self) -> tuple[Any, ...]:
        left, script = self._bequest, self._bequest.script
        run = None if script is None else attrs.astuple(script)
        return "will", self._slot, self._number, self._name, left.addresses, run, left.first

    def messages(self) -> list[tuple[Any, ...]]:
        """
        All that a guard must know that knows nothing of this will, or an older state of it.
        """
        if not self._number:
            return [("gone", self._slot)]
        return [self._message(), ("silent", self._slot) if self._beat is None else self._beat]


class _Line(SocketReader[bytes]):
    """
    The connection to one guard.
    """

    def __init__(
        self,
        reactor: IReactorFDSet,
        sock: socket.socket,
        said: Callable[[tuple[Any, ...]], None],
        ended: Callable[[], None],
    ) -> None:
        super().__init__(reactor, "txcarp guard", sock)
        self._said = said
        self._ended = ended

    def receive(self, sock: socket.socket) -> bytes:
        return sock.recv(sentry.LARGEST)

    def messageReceived(self, message: bytes) -> None:
        if message:
            self._said(marshal.loads(message))  # noqa: S302 (nobody else has the socket)
        else:
            self._ended()

    def readFailed(self, error: OSError) -> None:
        self._ended()

    def lost(self) -> None:
        self._ended()

    def send(self, message: tuple[Any, ...]) -> None:
        """
        @raise BlockingIOError: If the queue is full.
        @raise OSError: If the guard is dead.
        """
        if self._socket is not None:
            self._socket.send(marshal.dumps(message))


@implementer(IGuard)
class Guard:
    """
    The guard of this process, whatever the number of its virtual hosts.

    The sockets that the guard sends from are opened here: a guard that is started later, when this
    process has given up its privileges, could not open them.

    @ivar marks: The memory that the guard shares: the number of the last will of each slot that
        was carried out although this process lives.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: IReactorFDSet,
        clock: IReactorTime,
        facility: int | None = None,
        record: str | None = None,
        start: Callable[..., subprocess.Popen[bytes]] = companion.start,
        seconds: Callable[[], float] = time.monotonic,
        ages: Callable[[], float] = sentry.ages,
    ) -> None:
        """
        @param facility: The number of the syslog facility that the guard writes to when this
            process is dead; C{None} for none.
        @param record: The file that has over a restart what guards have done; C{None} for none.
        @param start: Starts a process, as L{companion.start} does.
        @param seconds: Returns the seconds on the clock of the guard.
        @param ages: Returns those on its clock that runs while the machine sleeps.
        """
        self.seconds = seconds
        self.ages = ages
        self._facility = -1 if facility is None else facility
        self._reactor = reactor
        self._clock = clock
        self._startProcess = start
        self._memory = -1
        self._deeds = Deeds(record)
        self._starts = 0
        self.marks: memoryview[int] = memoryview(bytes(4 * MOST_WILLS)).cast("I")
        self._sockets: list[socket.socket | None] = []
        self._wills: dict[int, Will] = {}
        self._free = list(range(MOST_WILLS - 1, -1, -1))
        self._number = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._line: _Line | None = None
        self._startedAt = 0.0
        self._deaths = 0
        self._again: IDelayedCall | None = None
        self._behind: dict[Will, None] = {}
        self._stuckSince: float | None = None
        self._flushing: IDelayedCall | None = None
        self._complained = False

    def start(self) -> None:
        """
        Open the sockets, unless they are open.  The process is started when there is a virtual
        host that may need it.

        @raise OSError: If the kernel refuses what needs no privilege.
        """
        if self._memory < 0:
            self._memory = _sharedMemory()
            os.truncate(self._memory, 4 * MOST_WILLS)
            self.marks = memoryview(mmap.mmap(self._memory, 4 * MOST_WILLS)).cast("I")
            self._deeds.open()
            self._sockets = [
                _open(socket.AF_PACKET, socket.SOCK_DGRAM, 0),
                _open(socket.AF_PACKET, socket.SOCK_RAW, 0),
                _open(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW),
                _open(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW),
            ]

    def status(self) -> GuardStatus:
        acted, when = self._deeds.read()
        return GuardStatus(
            running=self._line is not None,
            starts=self._starts,
            wills=sum(will.isOpen for will in self._wills.values()),
            acted=acted,
            actedAt=when if acted else None,
        )

    def stop(self) -> None:
        """
        Dismiss the guard: nothing is left to do for it.
        """
        for timer in self._again, self._flushing:
            if timer is not None and timer.active():
                timer.cancel()
        self._again = self._flushing = None
        line, self._line = self._line, None
        if line is not None:
            try:
                line.send(("dismissed", 0))
            except OSError:
                self._kill()
            line.stop()
        if self._process is not None:
            companion.leave(self._process)
            self._process = None
        for sock in self._sockets:
            if sock is not None:
                sock.close()
        self._sockets = []
        if self._memory >= 0:
            os.close(self._memory)
            self._memory = -1
            self._deeds.close()

    # Wills.

    def will(self, name: str, lost: Callable[[], None]) -> IWill:
        if not self._free:
            raise OSError(errno.EUSERS, f"it has {MOST_WILLS} virtual hosts already")
        slot = self._free.pop()
        will = self._wills[slot] = Will(self, slot, name, lost)
        if self._memory >= 0 and self._line is None and self._again is None:
            self._begin()
        return will

    def closed(self, slot: int) -> None:
        """
        Forget a will that is withdrawn.
        """
        if self._wills.pop(slot, None) is not None:  # the guard may still have to be told
            self._free.append(slot)

    def nextNumber(self) -> int:
        """
        Return a number for a will that no other has.
        """
        self._number = self._number % 0xFFFFFFFF + 1
        return self._number

    def post(self, will: Will, message: tuple[Any, ...]) -> None:
        """
        Hand over a change of a will.
        """
        if self._line is None:
            return  # the next guard gets all that is valid then
        if self._behind:
            self._fallBehind(will)
            return
        try:
            self._line.send(message)
        except BlockingIOError:
            self._fallBehind(will)
        except OSError:
            pass  # the end of the connection is about to be read

    # Its queue.

    def _fallBehind(self, will: Will) -> None:
        """
        Note a will whose state the guard must get when it reads again.
        """
        self._behind[will] = None
        now = self._clock.seconds()
        if self._stuckSince is None:
            self._stuckSince = now
        if self._flushing is None:
            self._flushing = self._clock.callLater(0.01, self._flush)

    def _flush(self) -> None:
        self._flushing = None
        if self._line is None:
            return
        try:
            while self._behind:
                will = next(iter(self._behind))
                for message in will.messages():
                    self._line.send(message)
                del self._behind[will]
                self._stuckSince = None
        except BlockingIOError:
            now = self._clock.seconds()
            if self._stuckSince is None:
                self._stuckSince = now
            if now - self._stuckSince < _STUCK:
                self._flushing = self._clock.callLater(0.01, self._flush)
                return
            self._log.error(
                "The guard (process {pid}) hangs: it is killed, and another one is started",
                pid=self._pid,
            )
            self._ended()
        except OSError:
            pass

    # The process.

    @property
    def _pid(self) -> int:
        return 0 if self._process is None else self._process.pid

    def _begin(self) -> None:
        self._again = None
        self._startedAt = self._clock.seconds()
        try:
            own = self._spawn()
        except OSError as error:
            self._cannotStart(error)
            return
        self._line = _Line(self._reactor, own, self._said, self._ended)
        self._line.startReading()
        self._starts += 1
        self._behind.clear()
        self._stuckSince = None
        for will in self._wills.values():
            if will.isOpen:
                self._behind[will] = None
        self._flush()

    def _spawn(self) -> socket.socket:
        """
        Start a process.

        @return: The connection to it.
        @raise OSError: If that is not possible.
        """
        own, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            own.setblocking(False)
            try:
                own.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _QUEUE)
            except OSError:
                own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _QUEUE)
            numbers = [theirs.fileno(), self._memory, self._deeds.file]
            numbers += [-1 if sock is None else sock.fileno() for sock in self._sockets]
            with companion.lending(_LENT) as lent:
                self._process = self._startProcess(
                    sentry.__file__,
                    *map(str, (lent, self._facility, *numbers)),
                    descriptors=[number for number in numbers if number >= 0],
                )
        except BaseException:
            own.close()
            raise
        finally:
            theirs.close()
        return own

    def _cannotStart(self, error: OSError) -> None:
        if not self._complained:
            self._complained = True
            self._log.error(
                "The guard cannot be started: {reason}. If txcarp dies, its addresses stay until "
                "their lease ends, and the backups wait for the dead time; txcarp tries again "
                "every {seconds:.0f} s",
                reason=error.strerror or str(error),
                seconds=_LONGEST_WAIT,
            )
        self._again = self._clock.callLater(_LONGEST_WAIT, self._begin)

    def _said(self, message: tuple[Any, ...]) -> None:
        what, said = message
        if what == "ready":
            self._complained = False
            if said:
                self._log.info(
                    "The guard (process {pid}) runs without {lacking}",
                    pid=self._pid,
                    lacking=" and without ".join(said),
                )
        elif what == "acted":
            self._deeds.add(said)
        else:
            self._log.warn("The guard (process {pid}): {line}", pid=self._pid, line=said)

    def _ended(self) -> None:
        """
        Replace a guard that is dead, or does not run.
        """
        line, self._line = self._line, None
        if line is None:
            return
        # A guard that does not run would take the end of the connection for a death.
        self._kill()
        line.stop()
        steady = self._clock.seconds() - self._startedAt >= _STEADY
        self._deaths = 0 if steady else self._deaths + 1
        wait = min(_LONGEST_WAIT, _SHORTEST_WAIT * 4.0**self._deaths)
        self._again = self._clock.callLater(wait, self._replace)
        for will in list(self._wills.values()):
            will.lost()

    def _replace(self) -> None:
        status = None if self._process is None else self._process.poll()
        how = ""
        if status is not None:
            how = f" by signal {-status}" if status < 0 else f" with status {status}"
        self._log.error(
            "The guard (process {pid}) has ended{how}, and another one is started",
            pid=self._pid,
            how=how,
        )
        if self._process is not None:
            companion.leave(self._process)
        self._begin()

    def _kill(self) -> None:
        if self._process is not None:
            with contextlib.suppress(OSError):
                self._process.kill()


def _open(family: int, kind: int, protocol: int) -> socket.socket | None:
    """
    Open a socket that the guard sends from.

    @return: The socket; C{None} if this process may not, or the kernel has no such family.
    """
    try:
        sock = socket.socket(family, kind | socket.SOCK_NONBLOCK, protocol)
    except OSError:
        return None
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, _CONTROL_TRAFFIC)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_HDRINCL, 1)
    return sock


def _sharedMemory() -> int:
    """
    Return the descriptor of an empty file in memory, or of one without a name where a filter of
    system calls, say, forbids the former.

    @raise OSError: If no file can be made.
    """
    try:
        return os.memfd_create("txcarp-guard", os.MFD_CLOEXEC)
    except OSError:
        with tempfile.TemporaryFile() as file:
            return os.dup(file.fileno())
