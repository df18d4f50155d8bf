"""
One host of the test network, with its daemon and its configuration file.
"""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

from twisted.internet.utils import getProcessOutputAndValue

from tests.lab.daemons import Daemon, environment, guardOf, programPath
from txcarp.testbed import Node
from txcarp.testbed.program import TXCARP

#: The port for metrics.
PORT = 9112


class Host:
    """
    A host with groups on C{eth0}, perhaps on C{eth2}, and with its metrics on C{eth1}.

    @ivar daemon: Its daemon, or the last one.
    @ivar address: Its address on C{eth0}, without prefix length.
    @ivar file: Its configuration file.
    """

    def __init__(
        self, reactor: Any, name: str, node: Node, directory: Path, address: str, metrics: str
    ) -> None:
        """
        @param directory: The directory for its files; its path is short, because that of a socket
            has 107 bytes at most.
        @param metrics: Its address on C{eth1}.
        """
        self.name = name
        self.node = node
        self.address = address
        self.directory = directory
        self.where = f"{metrics}:{PORT}"
        self.file = directory / "txcarp.toml"
        self.daemon = Daemon(name)
        self._isStarted = False
        self._reactor = reactor
        self._metrics = metrics
        directory.mkdir()
        self.password("password", "not a secret")

    def password(self, name: str, text: str) -> None:
        """
        Write a password file.
        """
        path = self.directory / name
        path.write_text(f"{text}\n")
        path.chmod(0o600)

    def write(self, text: str) -> None:
        """
        Write the configuration file.

        @param text: All but the settings of the daemon, and those of all groups.
        """
        self.file.write_text(
            f'[daemon]\nfacility = "none"\ncontrol = "{self.directory}/s"\n'
            f'http = "tcp:{PORT}:interface={self._metrics}"\n'
            f'[defaults]\ninterface = "eth0"\npassfile = "password"\n{text}'
        )

    def start(self) -> None:
        """
        Start the daemon.
        """
        self.daemon = Daemon(self.name, kept=200)
        self._isStarted = True
        command = [*TXCARP, "--config", str(self.file)]
        self.daemon.start(
            self._reactor, self.node, command, self.directory / "state", tied=True
        )

    async def txcarp(self, *words: str, good: bool = True) -> str:
        """
        Run a command that asks the daemon.

        @param good: Whether it is to succeed.
        @return: What it printed.
        """
        output, errors, status = await getProcessOutputAndValue(
            TXCARP[0],
            [*TXCARP[1:], words[0], "--control", f"{self.directory}/s", *words[1:]],
            env=environment(self.directory),
            reactor=self._reactor,
        )
        if (status == 0) is not good:
            raise RuntimeError(f"{self.name}: txcarp {' '.join(words)}: {(output + errors)!r}")
        return output.decode()

    async def run(self, program: str, *words: str) -> None:
        """
        Run a program for administrators on this host.

        @raise RuntimeError: If it fails.
        """
        path = programPath(program)
        if path is None:
            raise RuntimeError(f"{program} is not installed")
        with self.node.inside():
            done = getProcessOutputAndValue(path, words, reactor=self._reactor)
        _, errors, status = await done
        if status:
            raise RuntimeError(f"{self.name}: {program} {' '.join(words)}: {errors!r}")

    async def roles(self) -> list[str]:
        """
        Its roles, in the order of its groups; none if it does not answer yet.
        """
        try:
            text = await self.txcarp("status", "--json")
        except RuntimeError:
            return []
        return [one["role"] for one in json.loads(text)["groups"]]

    def signal(self, number: int) -> None:
        """
        Send a signal to the daemon.
        """
        self.daemon.signal(number)

    def guard(self) -> int | None:
        """
        The process of the guard; C{None} if none runs.
        """
        return guardOf(self.daemon.pid)

    def kill(self) -> None:
        """
        Kill the daemon and all that it has started.
        """
        if self._isStarted and not self.daemon.ended:
            self.daemon.signal(signal.SIGCONT)
            self.daemon.signalAll(signal.SIGKILL)
