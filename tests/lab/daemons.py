"""
The processes of a test: C{txcarp}, C{twistd txcarp} and C{ucarp}, and what they wrote.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.interfaces import IProcessTransport
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

import txcarp

_ROOT = str(Path(txcarp.__file__).parent.parent)

#: As an installed C{txcarp} is started.
TXCARP = (sys.executable, "-m", "txcarp.commands.main")

#: As C{twistd} is started; it need not be installed beside this Python.
TWISTD = (sys.executable, "-c", "from twisted.scripts.twistd import run; run()")

#: A virtual host that does what it reads; see there.
STEERED = (sys.executable, str(Path(__file__).with_name("steered.py")))


def ucarpPath() -> str | None:
    """
    Where ucarp is; L{None} if it is not installed.
    """
    return shutil.which("ucarp", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def environment(state: Path) -> dict[str, str]:
    """
    What a process of a test finds: this txcarp, wherever the tests run.

    @param state: where it may keep what it has to remember.
    """
    paths = [_ROOT, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "STATE_DIRECTORY": str(state),
    }


class Daemon(ProcessProtocol):
    """
    One process.

    @ivar name: what its lines begin with in the log of the test.
    @ivar lines: what it wrote, with the moment on the monotonic clock.
    @ivar ended: whether it did.
    @ivar status: its exit status; L{None} while it runs and if a signal ended it.
    @ivar killedBy: the number of the signal that ended it.
    """

    transport: IProcessTransport
    _log = Logger()

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: list[tuple[float, str]] = []
        self.ended = False
        self.status: int | None = None
        self.killedBy: int | None = None
        self.exit: Deferred[None] = Deferred()
        self._rest = {1: b"", 2: b""}

    @property
    def pid(self) -> int:
        """
        The number of the process.
        """
        pid: int | None = self.transport.pid
        if pid is None:
            raise ProcessLookupError(f"{self.name} has ended: status {self.status}")
        return pid

    @property
    def state(self) -> str:
        """
        What it last said that it is: C{"MASTER"}, C{"BACKUP"} or nothing yet.
        """
        for _, line in reversed(self.lines):
            _, found, words = line.partition("Switching to state: ")
            if found:
                return words.split()[0]
        return ""

    def said(self, words: str, since: float = 0.0) -> list[float]:
        """
        When it wrote lines with these words.
        """
        return [when for when, line in self.lines if words in line and when > since]

    def signal(self, number: int) -> None:
        """
        Send it a signal, if it still runs.
        """
        try:
            os.kill(self.pid, number)
        except (ProcessLookupError, ProcessExitedAlready):
            pass

    def tell(self, line: str) -> float:
        """
        Write it a line.

        @return: when, on the monotonic clock.
        """
        self.transport.write(f"{line}\n".encode())
        return time.monotonic()

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """
        See L{ProcessProtocol}.
        """
        *lines, self._rest[childFD] = (self._rest[childFD] + data).split(b"\n")
        for line in lines:
            self._keep(line)

    def processEnded(self, reason: Failure) -> None:
        """
        See L{ProcessProtocol}.
        """
        for line in filter(None, self._rest.values()):
            self._keep(line)
        self.ended = True
        if reason.check(ProcessDone):
            self.status = 0
        else:
            assert isinstance(reason.value, ProcessTerminated)
            self.status, self.killedBy = reason.value.exitCode, reason.value.signal
        self.exit.callback(None)

    def _keep(self, line: bytes) -> None:
        text = line.decode("utf-8", "backslashreplace")
        self.lines.append((time.monotonic(), text))
        self._log.info("{name}: {text}", name=self.name, text=text)
