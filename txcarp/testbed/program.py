"""
Programs that run on the nodes of a test network, and what they write.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.interfaces import IProcessTransport, IReactorProcess
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from txcarp.testbed.node import Node

#: The command C{txcarp}, run by this Python; nothing is imported from the current directory.
TXCARP = (sys.executable, "-P", "-m", "txcarp.commands.main")

#: The longest line that is kept, in bytes.
_LONGEST_LINE = 4096

#: Runs the program in its arguments, in a session of its own, where it gets no Ctrl-C.
#: The kernel kills the program when the process with the given number dies.
_TIED = (
    "import ctypes, os, signal, sys; "
    "ctypes.CDLL(None).prctl(1, signal.SIGKILL); "  # PR_SET_PDEATHSIG
    "os.getppid() == int(sys.argv[1]) or os._exit(1); "
    "os.setsid(); "
    "os.execv(sys.argv[2], sys.argv[2:])"
)


class Program(ProcessProtocol):
    """
    One run of a program on a node.

    @ivar name: Its name in messages.
    @ivar lines: The lines that it wrote, each with its time on the monotonic clock.
    @ivar ended: Whether it has ended.
    @ivar exit: Fires when it has ended and everything that it wrote was read.
    @ivar status: Its exit status; C{None} while it runs, and if a signal ended it.
    @ivar killedBy: The number of the signal that ended it; C{None} if none did.
    """

    transport: IProcessTransport

    def __init__(
        self,
        name: str,
        *,
        notify: Callable[[str], None] = lambda line: None,
        log: BinaryIO | None = None,
        kept: int | None = None,
    ) -> None:
        """
        @param notify: Called with each line, and with an empty one when the process ends.
        @param log: Gets everything that the process writes; closed when it ends.
        @param kept: The number of lines to keep; C{None} for all.
        """
        self.name = name
        self.lines: list[tuple[float, str]] = []
        self._kept = kept
        self.ended = False
        self.status: int | None = None
        self.killedBy: int | None = None
        self.exit: Deferred[None] = Deferred()
        self._notify = notify
        self._log = log
        self._rest = {1: b"", 2: b""}

    def start(
        self,
        reactor: IReactorProcess,
        node: Node,
        command: Sequence[str],
        state: Path,
        *,
        tied: bool = False,
        **settings: Any,
    ) -> None:
        """
        Start the process.

        @param command: The program's path and its arguments.
        @param state: The directory for its state files.
        @param tied: Whether it gets no Ctrl-C, and dies with this process.
        @param settings: More arguments of L{Node.spawn}.
        @raise OSError: If it cannot be started.
        """
        argv = list(command)
        if tied:
            argv = [sys.executable, "-ISc", _TIED, str(os.getpid()), *argv]
        node.spawn(reactor, self, argv[0], argv, self.environment(state), **settings)

    def environment(self, state: Path) -> dict[str, str]:
        """
        The environment of the process.

        @param state: The directory for its state files.
        """
        return {**os.environ, "STATE_DIRECTORY": str(state)}

    @property
    def pid(self) -> int:
        """
        The process number.

        @raise ProcessLookupError: If the process has ended.
        """
        pid: int | None = self.transport.pid
        if pid is None:
            raise ProcessLookupError(f"{self.name} has ended ({self.ending})")
        return pid

    @property
    def ending(self) -> str:
        """
        How the process ended, in words; empty while it runs.
        """
        if not self.ended:
            return ""
        if self.killedBy is not None:
            return f"killed by {signal.Signals(self.killedBy).name}"
        return f"exit status {self.status}"

    def signal(self, number: int) -> None:
        """
        Send a signal to the process, unless it has ended.
        """
        try:
            self.transport.signalProcess(number)
        except ProcessExitedAlready:
            pass

    def signalAll(self, number: int) -> None:
        """
        Send a signal to the process and to all that it has started, unless it has ended.  If it is
        to kill them, they are stopped before, so that none reacts to the death of another.
        """
        if self.ended:
            return
        processes = [self.pid, *descendants(self.pid)]
        for each in (signal.SIGSTOP, number) if number == signal.SIGKILL else (number,):
            for pid in processes:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, each)

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """
        Keep the whole lines in what the process wrote.
        """
        if self._log is not None:
            self._log.write(data)
        *lines, rest = (self._rest[childFD] + data).split(b"\n")
        self._rest[childFD] = rest[:_LONGEST_LINE]
        for line in lines:
            self._keep(line)

    def processEnded(self, reason: Failure) -> None:
        """
        Note how the process ended.
        """
        for line in filter(None, self._rest.values()):
            self._keep(line)
        if self._log is not None:
            self._log.close()
        self.ended = True
        if reason.check(ProcessDone):
            self.status = 0
        else:
            assert isinstance(reason.value, ProcessTerminated)
            self.status, self.killedBy = reason.value.exitCode, reason.value.signal
        self.exit.callback(None)
        self._notify("")

    def _keep(self, line: bytes) -> None:
        text = line[:_LONGEST_LINE].decode("utf-8", "backslashreplace")
        self.lines.append((time.monotonic(), text))
        if self._kept is not None:
            del self.lines[: -self._kept]
        self._notify(text)


def descendants(pid: int) -> Iterator[int]:
    """
    Yield the processes that a process has started, and those that they have.
    """
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return
    for child in map(int, text.split()):
        yield child
        yield from descendants(child)
