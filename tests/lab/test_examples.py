"""
The examples, as an administrator runs them, on two hosts.
"""

from __future__ import annotations

import signal
import time
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ClientFactory, Protocol, connectionDone
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure

import txcarp
from tests.lab.daemons import TWISTD, Daemon
from tests.lab.world import Host, LabTestCase, pathOf

EXAMPLES = Path(txcarp.__file__).parent.parent / "examples"

_PORT = 8080


class Answer(Protocol):
    """
    Everything that a web server says to one question.
    """

    def __init__(self, path: str) -> None:
        self.text: Deferred[str] = Deferred()
        self._path = path
        self._data = b""

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(f"GET {self._path} HTTP/1.0\r\n\r\n".encode())

    def dataReceived(self, data: bytes) -> None:
        self._data += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.text.callback(self._data.decode())


class ExampleTestCase(LabTestCase):
    """
    Hosts that run one of the examples.
    """

    needsUcarp = False

    def example(self, host: Host, name: str, **settings: str) -> Daemon:
        """
        Start an example with twistd.
        """
        password = host.directory / "password"
        password.write_text("not a secret\n")
        facts = {
            "CARP_SOURCE": host.address,
            "CARP_PASSWORD_FILE": str(password),
            **settings,
        }
        words = [f"{key}={value}" for key, value in facts.items()]
        command = [pathOf("env") or "/usr/bin/env", *words, *TWISTD]
        options = ["--nodaemon", "--pidfile=", "--python", str(EXAMPLES / name)]
        return host.run(f"{host.name} {name}", command, options)


class WebServerTests(ExampleTestCase):
    """
    A web server that is where the address is.
    """

    async def get(self, host: Host, address: str) -> str:
        """
        What a web server answers to somebody on a host; nothing if there is none.
        """
        import socket

        sock = host.node.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.settimeout(2.0)
        try:
            sock.connect((address, _PORT))
        except OSError:
            sock.close()
            return ""
        sock.setblocking(False)
        answer = Answer("/")
        reactor.adoptStreamConnection(  # type: ignore[attr-defined]
            sock.fileno(), socket.AF_INET, _Once(answer)
        )
        sock.close()
        return await answer.text

    async def test_moves(self) -> None:
        """
        The server answers at the virtual address, from the master, and moves with it.
        """
        a, b = self.host("a"), self.host("b")
        client = self.host("client")
        first = self.example(
            a, "web-server-while-master.tac", CARP_ADDRESS="10.99.0.100/24",
            WEB_PORT=str(_PORT), WEB_NAME="a",
        )  # fmt: skip
        await self.becomes(first, "MASTER")
