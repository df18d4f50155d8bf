"""
The hosts of the demonstration: real daemons, each in its own network namespace.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.interfaces import IProtocolFactory

from txcarp.protocol.timing import Timing
from txcarp.testbed import Node
from txcarp.testbed.program import TXCARP, Program

VHID = 1

#: The ending of a daemon that was still in this session when Ctrl-C was typed.
INTERRUPTED = "killed by SIGINT"

#: The port of the page, on the host.
_PORT = 9112

_DEAD_RATIO = 3
_KEPT_LINES = 12


def writePassword(directory: Path, password: bytes) -> Path:
    """
    Write a password file that only its owner can read.

    @return: Its path.
    """
    path = directory / "password"
    path.touch(0o600)
    path.write_bytes(password + b"\n")
    return path


class DemoHost:
    """
    A host of the group, with a power switch and a service.

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
        skew: int,
        address: str,
        passwordFile: Path,
        logs: Path,
        page: bool = False,
    ) -> None:
        """
        @param node: A node with one interface, C{eth0}.
        @param skew: The advskew of the host.
        @param address: The virtual address, with prefix length.
        @param passwordFile: The password, in a directory for state files.
        @param logs: The directory for the log of the daemon.
        @param page: Whether the daemon has a page for browsers.
        """
        self.name = node.name
        self.hardwareAddress = node.link().address
        self.daemon: Program | None = None
        self.participates = False
        self.noticed: Callable[[], None] = lambda: None
        self._reactor = reactor
        self._node = node
        self._skew = skew
        self._address = address
        self._passwordFile = passwordFile
        self._log = logs / f"{node.name}.log"
        self._file = passwordFile.with_name(f"{node.name}.toml")
        #: What the health check looks for.
        self._service = passwordFile.with_name(f"{node.name}-service")
        self._page = page

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
        return ["txcarp", "--config", str(self._file)]

    def start(self) -> None:
        """
        Start the daemon.

        @raise OSError: If that is impossible.
        """
        self.participates = False
        self._file.write_text(self._configuration())
        self._service.touch()
        log = self._log.open("ab", buffering=0)
        daemon = Program(self.name, notify=self._said, log=log, kept=_KEPT_LINES)
        state = self._passwordFile.with_name(f"{self.name}-state")
        command = [*TXCARP, *self.command()[1:]]
        daemon.start(self._reactor, self._node, command, state, tied=True)
        self.daemon = daemon  # only now has it a process that can be killed

    def _configuration(self) -> str:
        page = f'http = "tcp:{_PORT}:interface=127.0.0.1"\npage = true\n' if self._page else ""
        return f"""\
[daemon]
facility = "none"
control = false
{page}
[group.web]
interface = "eth0"
vhid = {VHID}
passfile = "{self._passwordFile.name}"
addresses = ["{self._address}"]
advskew = {self._skew}

[group.web.check.service]
file = "{self._service.name}"
interval = "100ms"
rise = 1
fall = 1
"""

    def visit(self, factory: IProtocolFactory) -> None:
        """
        Connect to the page.
        """
        with self._node.inside():  # the socket is made now, and belongs to the host
            self._reactor.connectTCP("127.0.0.1", _PORT, factory)

    def kill(self) -> None:
        """
        Kill the daemon.  Its guard lives.
        """
        if self.daemon is not None:
            self.daemon.signal(signal.SIGKILL)

    def breakService(self) -> None:
        """
        Make the health check of the host fail.
        """
        self._service.unlink(missing_ok=True)

    def mendService(self) -> None:
        """
        Make the health check of the host good again.
        """
        self._service.touch()

    def stop(self) -> None:
        """
        Stop the daemon as C{systemctl stop} does.
        """
        if self.daemon is not None:
            self.daemon.signal(signal.SIGTERM)

    def cutPower(self) -> None:
        """
        Kill the daemon and remove the network card with its addresses.  The switch stays, so that
        the other host notices nothing.
        """
        if self.daemon is not None:
            self.daemon.signalAll(signal.SIGKILL)
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
