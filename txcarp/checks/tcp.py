"""
Checks of a server by TCP: whether it accepts a connection, and what it answers.

A check asks an address, not a name: otherwise a name server that fails would look like a server
that fails.  What is read from a server is limited in size.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from ipaddress import ip_address

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IConnector, ITCPTransport
from twisted.internet.protocol import ClientFactory, Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from txcarp.interfaces import ICheck, IPlatform

#: The most bytes that are read from a server in one run.
MOST_BYTES = 65536


class CheckFailed(Exception):
    """
    What was checked does not work.
    """


def hostAndPort(text: str, port: int | None = None) -> tuple[str, int]:
    """
    Read an address with a port, such as C{127.0.0.1:443} or C{[::1]:443}.

    @param port: The port if the text has none; C{None} if it must have one.
    @raise ValueError: If it is something else, such as a name.
    """
    host, colon, number = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, number = text, "" if port is None else str(port)
    isBracketed = host.startswith("[") and host.endswith("]")
    try:
        address = ip_address(host[1:-1] if isBracketed else host)
        isAddress = isBracketed == (address.version == 6)
    except ValueError:
        isAddress = False
    if not isAddress:
        raise ValueError(
            f"{text!r} is not an address with a port, such as 127.0.0.1:443 or [::1]:443; a check "
            "takes no names"
        )
    if not (number.isascii() and number.isdecimal() and 0 < int(number[:6]) < 65536):
        raise ValueError(f"{text!r} has no port from 1 to 65535")
    return str(address), int(number)


@implementer(ICheck)
@attrs.frozen
class TCPCheck:
    """
    Whether a server accepts a TCP connection.

    @ivar server: Its address and port, such as C{127.0.0.1:443}.
    """

    server: str = attrs.field()

    @server.validator
    def _validate(self, attribute: object, value: str) -> None:
        hostAndPort(value)

    def run(self, platform: IPlatform, timeout: float) -> Deferred[str]:
        return ask(platform, *hostAndPort(self.server), b"", lambda data, isWhole: "accepted")


#: Reads what has arrived, and whether that is all.  Returns what the check says, or C{None} if more
#: is needed; raises L{CheckFailed}.
Reader = Callable[[bytes, bool], str | None]


def ask(
    platform: IPlatform,
    host: str,
    port: int,
    request: bytes,
    read: Reader,
    tls: Callable[[ssl.MemoryBIO, ssl.MemoryBIO], ssl.SSLObject] | None = None,
) -> Deferred[str]:
    """
    Connect to a server, send a request, and read the answer.

    @param tls: Makes the client's side of TLS, from what arrives and what leaves.
    @return: Fires with what the reader says.  Fails with L{CheckFailed}, or with the error of the
        connection.  If it is cancelled, the connection is closed.
    """
    if platform.reactor is None:
        raise CheckFailed("this platform has no reactor to connect with")
    conversation = _Conversation(request, read, tls)
    factory = _Factory(conversation)
    connector: list[IConnector] = []

    def cancel(answer: Deferred[str]) -> None:
        conversation.answer = None
        if conversation.transport is None:
            connector[0].stopConnecting()
        else:
            conversation.close()

    answer = conversation.answer = Deferred(cancel)
    # The deadline is the caller's: the timers of the reactor run on the wall clock.
    connector.append(platform.reactor.connectTCP(host, port, factory, timeout=None))
    return answer


class _Factory(ClientFactory):
    noisy = False

    def __init__(self, conversation: _Conversation) -> None:
        self._conversation = conversation

    def buildProtocol(self, address: object) -> Protocol:
        return self._conversation

    def clientConnectionFailed(self, connector: object, reason: Failure) -> None:
        self._conversation.fail(CheckFailed(_explain(reason)))


class _Conversation(Protocol):
    """
    One connection to a server.

    @ivar answer: Fires with what the check says; C{None} afterwards.
    """

    transport: ITCPTransport

    def __init__(
        self,
        request: bytes,
        read: Reader,
        tls: Callable[[ssl.MemoryBIO, ssl.MemoryBIO], ssl.SSLObject] | None,
    ) -> None:
        self.answer: Deferred[str] | None = None
        self._request = request
        self._read = read
        self._data = bytearray()
        self._received = 0
        self._arrived, self._leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = None if tls is None else tls(self._arrived, self._leaving)
        self._isSafe = False

    def connectionMade(self) -> None:
        if self.transport.getHost() == self.transport.getPeer():
            # Where nobody listens, the kernel may choose the same port for this end.
            self.fail(CheckFailed("nobody listens: the connection was to itself"))
        elif self._tls is not None:
            self._advance(self._tls)
        else:
            self.transport.write(self._request)
            if not self._request:
                self._look(False)

    def dataReceived(self, data: bytes) -> None:
        if self.answer is None:
            return
        self._received += len(data)
        if self._tls is None:
            self._got(data)
        elif self._received > 2 * MOST_BYTES:
            self.fail(CheckFailed(f"the server sends more than {MOST_BYTES} bytes"))
        else:
            self._arrived.write(data)
            self._advance(self._tls)

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        if self.answer is None:
            return
        if self._tls is not None and not self._isSafe:
            self.fail(CheckFailed("the server closed the connection during the TLS handshake"))
        elif reason.check(ConnectionDone):
            self._look(True)
        else:
            self.fail(CheckFailed(_explain(reason)))

    def close(self) -> None:
        """
        Close the connection at once, if there is one.
        """
        if self.transport is not None:
            self.transport.abortConnection()

    def fail(self, error: CheckFailed) -> None:
        """
        End the conversation without an answer.
        """
        answer, self.answer = self.answer, None
        if answer is not None:
            self.close()
            answer.errback(Failure(error))

    def _advance(self, tls: ssl.SSLObject) -> None:
        """
        Decrypt what has arrived, and send what has to be sent.
        """
        try:
            if not self._isSafe:
                tls.do_handshake()
                self._isSafe = True
                tls.write(self._request)
            while self.answer is not None and (data := tls.read(16384)):
                self._got(data)
        except ssl.SSLWantReadError:
            pass
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            self._look(True)
        except ssl.SSLError as error:
            self.fail(CheckFailed(f"TLS: {getattr(error, 'verify_message', '') or error.reason}"))
        if self.answer is not None and (out := self._leaving.read()):
            self.transport.write(out)

    def _got(self, data: bytes) -> None:
        room = MOST_BYTES - len(self._data)
        self._data += data[:room]
        self._look(False)
        if len(data) > room:
            self.fail(CheckFailed(f"the answer has more than {MOST_BYTES} bytes"))

    def _look(self, isWhole: bool) -> None:
        if self.answer is None:
            return
        try:
            said = self._read(bytes(self._data), isWhole)
            if said is None and isWhole:
                raise CheckFailed("the server closed the connection before it had answered")
        except CheckFailed as error:
            self.fail(error)
            return
        if said is not None:
            answer, self.answer = self.answer, None
            self.transport.loseConnection()
            answer.callback(said)


def _explain(reason: Failure) -> str:
    """
    The error of a connection as a phrase.
    """
    error = reason.value
    if isinstance(error, ConnectionLost):
        return "the server broke off the connection"
    number = getattr(error, "osError", None)
    return os.strerror(number).lower() if isinstance(number, int) else str(error)
