"""
The hosts of the demonstration: real daemons, each in its own network namespace.
"""

from __future__ import annotations

import os
import signal
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready, ProcessTerminated
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from txcarp.protocol.timing import Timing
from txcarp.testbed import Node

VHID = 1

#: The ending of a daemon that was still in this session when Ctrl-C was typed.
INTERRUPTED = "killed by SIGINT"

_DEAD_RATIO = 3
_KEPT_LINES = 12
_LONGEST_LINE = 4096

#: Runs the program in its arguments, in its own session, where it gets no Ctrl-C.  The program is
#: killed when the process with the given number dies.
_TIED = (
    "import ctypes, os, signal, sys; "
    "ctypes.CDLL(None).prctl(1, signal.SIGKILL); "  # PR_SET_PDEATHSIG
    "os.getppid() == int(sys.argv[1]) or os._exit(1); "
    "os.setsid(); "
    "os.execv(sys.argv[2], sys.argv[2:])"
)


def writePassword(directory: Path, password: bytes) -> Path:
    """
    Write a password file that only its owner can read.

    @return: Its path.
    """
    path = directory / "password"
    path.touch(0o600)
    path.write_bytes(password + b"\n")
    return path


class Daemon(ProcessProtocol):
    """
    One run of C{txcarp}.

    @ivar ended: Fires with a description of how it ended.
    @ivar ending: The same description; empty while it runs.
    @ivar lines: The last lines that it logged.
    """

    def __init__(self, log: BinaryIO, said: Callable[[str], None]) -> None:
        """
        @param log: Gets everything that it writes; closed when it ends.
        @param said: Called with each line, and with an empty one when it ends.
        """
        self.ended: Deferred[str] = Deferred()
        self.ending = ""
        self.lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._log = log
        self._said = said
        self._rest = b""

    def signal(self, name: str) -> None:
        """
        Send it a signal, unless it has ended.

        @param name: The signal, such as C{"TERM"}.
        """
        assert self.transport is not None
        try:
            self.transport.signalProcess(name)
        except ProcessExitedAlready:
            pass

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        self._log.write(data)
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest[:_LONGEST_LINE]
        for line in lines:
            text = line[:_LONGEST_LINE].decode("utf-8", "backslashreplace")
            self.lines.append(text)
            self._said(text)

    def processEnded(self, reason: Failure) -> None:
        self._log.close()
        error = reason.value
        if isinstance(error, ProcessTerminated) and error.signal is not None:
            self.ending = f"killed by {signal.Signals(error.signal).name}"
        else:
            self.ending = f"exit status {getattr(error, 'exitCode', None)}"
        self.ended.callback(self.ending)
        self._said("")


class DemoHost:
    """
    A host of the group, with a power switch.

    @ivar name: Its name.
    @ivar hardwareAddress: The address of its network card, six bytes.
    @ivar daemon: Its newest daemon; C{None} before the first.
    @ivar participates: Whether the daemon has logged that it listens.
    @ivar noticed: Called when the daemon wrote something or ended.
    """

    def __init__(
        self,
        reactor: Any,
        node: Node,
        source: str,
        skew: int,
        address: str,
        passwordFile: Path,
        logs: Path,
    ) -> None:
        """
        @param node: A node with one interface, C{eth0}.
        @param source: The node's own address, without prefix length.
        @param skew: The advskew of the host.
        @param address: The virtual address, with prefix length.
        @param passwordFile: The password, in a directory for state files.
        @param logs: The directory for the log of the daemon.
        """
        self.name = node.name
        self.hardwareAddress = node.link().address
        self.daemon: Daemon | None = None
        self.participates = False
        self.noticed: Callable[[], None] = lambda: None
        self._reactor = reactor
        self._node = node
        self._source = source
        self._skew = skew
        self._address = address
        self._passwordFile = passwordFile
        self._log = logs / f"{node.name}.log"

    @property
    def deadTime(self) -> float:
        """
        Seconds of silence after which the host takes over.
        """
        return Timing(1, self._skew).deadTime(_DEAD_RATIO)

    @property
    def owns(self) -> bool:
        """
        Whether the host has the virtual address.
        """
        return self._address in self._node.addresses()

    def command(self) -> list[str]:
        """
        The command that an administrator would run.
        """
        return [
            *("txcarp", "--interface=eth0", "-s", self._source, "-v", str(VHID)),
            *("-k", str(self._skew), "-o", str(self._passwordFile), "-a", self._address),
            *("--assign", "-z", "-f", "none"),
        ]

    def start(self) -> None:
        """
        Start the daemon.

        @raise OSError: If that is impossible.
        """
        self.participates = False
        daemon = Daemon(self._log.open("ab", buffering=0), self._said)
        python = sys.executable
        command = [python, "-P", "-m", "txcarp.commands.main", *self.command()[1:]]
        tied = [python, "-ISc", _TIED, str(os.getpid()), *command]
        state = self._passwordFile.with_name(f"{self.name}-state")
        environment = {**os.environ, "STATE_DIRECTORY": str(state)}
        self._node.spawn(self._reactor, daemon, python, tied, env=environment)
        self.daemon = daemon  # only now has it a process that can be killed

    def stop(self) -> None:
        """
        Stop the daemon as C{systemctl stop} does.
        """
        if self.daemon is not None:
            self.daemon.signal("TERM")

    def cutPower(self) -> None:
        """
        Kill the daemon and remove the network card with its addresses.  The switch stays, so that
        the other host notices nothing.
        """
        if self.daemon is not None:
            self.daemon.signal("KILL")
        self._node.deleteInterface()
        self.participates = False

    def restorePower(self) -> None:
        """
        Put the network card back, with the host's own address.
        """
        self._node.createInterface()

    def _said(self, line: str) -> None:
        if "Switching to state: BACKUP (started" in line:
            self.participates = True
        self.noticed()
