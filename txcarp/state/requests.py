"""
Requests to the process that uses a state file, through a Unix socket beside the file.

Only the owner of the process can connect.  A request is one line, a JSON object; so is the
answer.  There is one request: to forget that a host seals its advertisements.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort, IReactorUNIX
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.protocols.basic import LineOnlyReceiver
from twisted.protocols.policies import TimeoutMixin
from twisted.python.failure import Failure

from txcarp.addresses import parseAddress

#: Seconds until a connection without a request is closed, and until a client gives up.
PATIENCE = 15.0

#: Bytes of the longest request.
LONGEST = 1024

#: Forgets that a host seals: its packed address, and the name of a group or C{None} for all.
#: The result has the names of the groups that knew it.
Forget = Callable[[bytes, str | None], Deferred[list[str]]]

_log = Logger()


def socketPath(path: Path) -> Path:
    """
    Return the path of the socket of the process that uses a state file.
    """
    return path.with_name(f".{path.name}.sock")


class Requests(LineOnlyReceiver, TimeoutMixin):
    """
    A connection with one request.
    """

    delimiter = b"\n"
    MAX_LENGTH = LONGEST

    def __init__(self, forget: Forget) -> None:
        self._forget = forget

    def connectionMade(self) -> None:
        self.setTimeout(PATIENCE)  # type: ignore[no-untyped-call]

    def connectionLost(self, reason: Failure | None = None) -> None:
        self.setTimeout(None)  # type: ignore[no-untyped-call]

    def lineReceived(self, line: bytes) -> None:
        """
        Handle a request.
        """
        self.setTimeout(None)  # type: ignore[no-untyped-call]
        try:
            request = json.loads(line)
            address, group = parseAddress(request["forget"]), request.get("group")
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            self._answer({"error": f"the request is not understood: {error}"})
            return
        done = self._forget(address, group)
        done.addCallbacks(
            lambda groups: self._answer({"groups": groups}),
            lambda failure: self._answer({"error": str(failure.value)}),
        )

    def _answer(self, answer: dict[str, Any]) -> None:
        transport: Any = self.transport
        transport.write(json.dumps(answer).encode() + b"\n")
        transport.loseConnection()


class _Port(unix.Port):
    """
    A Unix socket whose file remains after the end.  Removing it would block while the disk hangs.
    """

    def connectionLost(self, reason: Failure) -> None:
        tcp.Port.connectionLost(self, reason)


def listen(reactor: IReactorUNIX, path: Path, forget: Forget) -> IListeningPort | None:
    """
    Accept requests, on behalf of a process that has the lock of a state file.

    @param path: The path of the state file.
    @return: What accepts them; C{None} if that is impossible, which is logged.
    """
    address = socketPath(path)
    try:
        address.unlink(missing_ok=True)  # an earlier process may have left it
        factory: Any = Factory.forProtocol(partial(Requests, forget))
        factory.noisy = False
        port: IListeningPort = _Port(os.fsencode(address), factory, mode=0o600, reactor=reactor)
        port.startListening()
        return port
    except Exception as error:  # Twisted raises CannotListenError, or what the kernel says
        _log.warn(
            "'txcarp forget' cannot reach this process: {address} cannot be opened: {error}",
            address=address,
            error=error,
        )
    return None


def ask(path: Path, request: dict[str, Any]) -> dict[str, Any]:
    """
    Send a request to the process that uses a state file, and wait for the answer.

    @raise OSError: If no process answers.
    @raise ValueError: If the answer is not understood.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(os.fspath(socketPath(path)))
        connection.sendall(json.dumps(request).encode() + b"\n")
        with connection.makefile("rb") as answer:
            found = json.loads(answer.readline(1 << 20))
    if not isinstance(found, dict):
        raise ValueError(f"{found!r} is no answer")
    return found
