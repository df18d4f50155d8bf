"""
The hosts of the demonstration: real daemons, each in a network namespace of its own.
"""

from __future__ import annotations

import os
import signal
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready, ProcessTerminated
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from txcarp.protocol.timing import Timing
from txcarp.testbed import Node

VHID = 1

#: How a daemon ends that still had this terminal when Ctrl-C was typed there.
INTERRUPTED = "killed by SIGINT"

_DEAD_RATIO = 3
_KEPT_LINES = 12
_LONGEST_LINE = 4096

#: Runs the program in its arguments so that it dies with the process that is named
#: first, however that ends, and does not get what is typed on this terminal.
_TIED = (
    "import ctypes, os, signal, sys; "
    "ctypes.CDLL(None).prctl(1, signal.SIGKILL); "  # PR_SET_PDEATHSIG
    "os.getppid() == int(sys.argv[1]) or os._exit(1); "
    "os.setsid(); "
    "os.execv(sys.argv[2], sys.argv[2:])"
)

@attrs.frozen
class Equipment:
    """
    What both hosts have in common, in a directory of its own.

    @ivar address: the virtual address with its prefix length.
    @ivar passwordFile: readable by its owner only.
    """

    address: str
    passwordFile: Path

    @classmethod
    def make(cls, directory: Path, address: str, password: bytes) -> Equipment:
        """
        Write the file.

        @param address: with prefix length.
        """
        passwordFile = directory / "password"
        passwordFile.touch(0o600)
        passwordFile.write_bytes(password + b"\n")
        return cls(address, passwordFile)


def _twistd() -> list[str]:
    """
    The C{twistd} of the Python that runs this.
    """
    script = Path(sys.executable).with_name("twistd")
    if script.is_file():
        return [sys.executable, str(script)]
    return [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]


class Daemon(ProcessProtocol):
    """
    One run of C{twistd}.

    @ivar ended: fires with how it ended, in words.
    @ivar ending: the same, once it has.
    @ivar running: whether it has not.
    @ivar lines: the last lines that it logged.
    """

    def __init__(self, log: BinaryIO, said: Callable[[str], None]) -> None:
        """
        @param log: gets everything that it writes; closed at its end.
        @param said: called with each line.
        """
        self.ended: Deferred[str] = Deferred()
        self.ending = ""
        self.running = True
        self.lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._log = log
        self._said = said
        self._rest = b""

    def signal(self, name: str) -> None:
        """
        Send it a signal (C{"TERM"}), unless it is gone.
        """
        assert self.transport is not None
        try:
            self.transport.signalProcess(name)
        except ProcessExitedAlready:
            pass

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """
        It wrote something, to whichever descriptor.
        """
        self._log.write(data)
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest[:_LONGEST_LINE]
        for line in lines:
            text = line[:_LONGEST_LINE].decode("utf-8", "backslashreplace")
            self.lines.append(text)
            self._said(text)

    def processEnded(self, reason: Failure) -> None:
        """
        It is gone, and everything it wrote was read.
        """
        self.running = False
        self._log.close()
        self.ending = _ending(reason)
        self.ended.callback(self.ending)
        self._said("")


def _ending(reason: Failure) -> str:
    error = reason.value
    if isinstance(error, ProcessTerminated) and error.signal is not None:
        return f"killed by {signal.Signals(error.signal).name}"
    return f"exit status {getattr(error, 'exitCode', None)}"


class Host:
    """
    A computer that takes part, with its power switch.

    @ivar hardwareAddress: the six bytes of its card.
    @ivar name: what it is called.
    @ivar daemon: its newest run of C{twistd}; C{None} before the first.
    @ivar participates: whether that said that it listens to the group.
    @ivar noticed: called when something about the daemon changed.
    """

    def __init__(
        self, reactor: Any, node: Node, source: str, equipment: Equipment, skew: int, logs: Path
    ) -> None:
        """
        @param node: with one interface, C{eth0}.
        @param source: the node's own address, without prefix length.
        @param skew: of its advertisements.
        @param logs: the directory for what the daemon logs.
        """
        self.name = node.name
        self.hardwareAddress = node.link().address
        self.daemon: Daemon | None = None
        self.participates = False
        self.noticed: Callable[[], None] = lambda: None
        self._reactor = reactor
        self._node = node
        self._source = source
        self._equipment = equipment
        self._skew = skew
        self._log = logs / f"{node.name}.log"

    @property
    def deadTime(self) -> float:
        """
        Seconds of silence after which it takes over.
        """
        return Timing(1, self._skew).deadTime(_DEAD_RATIO)

    @property
    def owns(self) -> bool:
        """
        Whether the virtual address is on its card.
        """
        return self._equipment.address in self._node.addresses()

    def command(self) -> list[str]:
        """
        What an administrator would run.
        """
        files = self._equipment
        return [
            *("twistd", "--nodaemon", "--pidfile=", "txcarp", "--interface=eth0"),
            *("-s", self._source, "-v", str(VHID), "-k", str(self._skew)),
            *("-o", str(files.passwordFile), "-a", files.address),
            *("--assign", "-z", "-f", "none"),
        ]

    def start(self) -> None:
        """
        Start the daemon.

        @raise OSError: if the system does not let it.
        """
        self.participates = False
        daemon = Daemon(self._log.open("ab", buffering=0), self._said)
        command = [*_twistd(), *self.command()[1:]]
        tied = [sys.executable, "-ISc", _TIED, str(os.getpid()), *command]
        # What it remembers goes with the demonstration.
        state = self._equipment.passwordFile.parent / f"{self.name}-state"
        environment = {**os.environ, "STATE_DIRECTORY": str(state)}
        self._node.spawn(self._reactor, daemon, tied[0], tied, env=environment)
        self.daemon = daemon  # only now: one that could not be started cannot be ended

    def stop(self) -> None:
        """
        Ask the daemon to end, as C{systemctl stop} does.
        """
        if self.daemon is not None:
            self.daemon.signal("TERM")

    def kill(self) -> None:
        """
        End the daemon without asking.
        """
        if self.daemon is not None:
            self.daemon.signal("KILL")

    def cutPower(self) -> None:
        """
        Lose the daemon, and the card with all its addresses.  The switch stays, so that
        nobody else notices.
        """
        self.kill()
        self._node.deleteInterface()
        self.participates = False

    def restorePower(self) -> None:
        """
        Have a card again, with the host's own address.
        """
        self._node.createInterface()

    def _said(self, line: str) -> None:
        if "Switching to state: BACKUP (started" in line:
            self.participates = True
        self.noticed()
