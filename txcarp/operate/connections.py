"""
The connections of programs that ask and tell, as HTTP.

Each connection has one request and one answer.  Everything is bounded: the number of connections,
the size of a request, and the time until it is complete and the answer is read.
"""

from __future__ import annotations

import os
import pwd
import socket
import struct
from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs, unquote

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IHalfCloseableProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web import http
from zope.interface import implementer

from txcarp.addresses import parseAddress
from txcarp.operate.control import Control, Streaming
from txcarp.operate.documents import Answer, refusal
from txcarp.operate.request import Request
from txcarp.protocol.actor import Actor

#: The most connections at a time.
MOST_CLIENTS = 200

#: Connections that are accepted in one turn of the reactor.
ACCEPTS = 4

#: Bytes of the longest body of a request.
LONGEST_BODY = 4096

#: Bytes of a request that are kept until it is its turn.
_LONGEST_REQUEST = 1 << 16

#: Seconds until a request must be complete, and then until its answer must be read.
PATIENCE = 10.0

#: Seconds that carrying out a request may take.
ACTION_PATIENCE = 300.0

#: The process, user and group of the other end of a Unix socket (C{struct ucred}, unix(7)).
_CREDENTIALS = struct.Struct("3i")


class HTTPRequest(http.Request):
    """
    One request of HTTP.
    """

    _log = Logger()
    channel: Any
    content: Any
    _tooLong = _gone = False

    def gotLength(self, length: int | None) -> None:
        """
        Keep the body in memory, whatever its announced length is.
        """
        self.content = BytesIO()

    def handleContentChunk(self, data: bytes) -> None:
        """
        Keep a piece of the body, if it is not too long.
        """
        if self.content.tell() + len(data) > LONGEST_BODY:
            self._tooLong = True
        else:
            self.content.write(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """
        Answer the request, which is complete.  Forms are not parsed.
        """
        self.method, self.uri, self.clientproto = command, path, version
        self.channel.awaitsAnswer = True
        if self._tooLong:
            words = f"A request has at most {LONGEST_BODY} bytes besides its headers."
            self._write(refusal(413, "too-long", words))
            return
        self.channel.expireIn(ACTION_PATIENCE)
        if self.channel.factory.isPublic and not isOwnName(self.getHeader("Host") or ""):
            words = "Ask by an address, by localhost or by the name of this host."
            self._write(refusal(403, "wrong-host", words))
            return
        if command not in (b"GET", b"HEAD") and self.getHeader("Origin") is not None:
            # Somebody has a browser reach the socket, as through ssh -L.
            words = "A page in a browser may not change anything."
            self._write(refusal(403, "from-a-page", words))
            return
        parts = path.partition(b"?")[0].split(b"/")[1:]
        names = [unquote(part.decode("latin-1"), errors="replace") for part in parts]
        request = requestOf(self, names, self.content.getvalue(), self.channel.actor)
        answered = maybeDeferred(self.channel.factory.control.answer, request)
        answered.addErrback(self._failed).addCallback(self._answer)

    def _failed(self, failure: Failure) -> Answer:
        self._log.failure("Internal error while a request was answered", failure)
        return refusal(500, "internal-error", "This is a fault of txcarp; its log has more.")

    def _answer(self, answer: Answer | Streaming) -> None:
        if self._gone:
            return
        if isinstance(answer, Answer):
            self._write(answer)
        else:
            self.channel.expireIn(None)
            self.channel.awaitsAnswer = False
            stream(self, answer, self._end)

    def _write(self, answer: Answer) -> None:
        self.channel.expireIn(PATIENCE)
        write(self, answer)

    def _end(self) -> None:
        """
        End a stream.  What is still to be written must be read soon.
        """
        if not self._gone:
            self.channel.expireIn(PATIENCE)
            self.finish()  # type: ignore[no-untyped-call]

    def connectionLost(self, reason: Failure) -> None:
        """
        Write nothing from now on.
        """
        self._gone = True
        http.Request.connectionLost(self, reason)


@implementer(IHalfCloseableProtocol)
class Channel(http.HTTPChannel):
    """
    A connection.

    @ivar actor: The user at the other end.
    @ivar awaitsAnswer: Whether its request is complete, and the answer has an end.
    """

    requestFactory = HTTPRequest
    factory: Any
    transport: Any
    callLater: Any
    actor: Actor | None = None
    _timer: IDelayedCall | None = None
    _unread = b""
    awaitsAnswer = _isOver = False

    def readConnectionLost(self) -> None:
        """
        Handle that nothing more will arrive.  A program may end its side when it has asked, and
        read the answer after that.
        """
        self._isOver = True
        if not (self._unread or self.awaitsAnswer):
            self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """
        Do nothing: this side is never closed alone.
        """

    def dataReceived(self, data: bytes) -> None:
        """
        Keep what arrives until it is the turn of this connection (L{ControlFactory.queue}).
        """
        self._unread += data
        if len(self._unread) > _LONGEST_REQUEST:
            self.transport.abortConnection()
        else:
            self.factory.queue(self)

    def takeTurn(self) -> None:
        """
        Handle what has arrived.
        """
        data, self._unread = self._unread, b""
        if data and self.transport is not None:
            http.HTTPChannel.dataReceived(self, data)
            if self._isOver and not self.awaitsAnswer:
                self.transport.loseConnection()

    def connectionMade(self) -> None:
        """
        Find out who has connected.
        """
        http.HTTPChannel.connectionMade(self)
        self.factory.connected += 1
        if not self.factory.isPublic:
            self.actor = self.factory.actorOf(self.transport.socket)
        self.expireIn(PATIENCE)

    def expireIn(self, seconds: float | None) -> None:
        """
        Cut the connection off after a time; C{None} for never.
        """
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if seconds is not None:
            self._timer = self.callLater(seconds, self.transport.abortConnection)

    def checkPersistence(self, request: http.Request, version: bytes) -> bool:
        """
        Close the connection after each request.  Otherwise many requests in one packet would make
        many answers, all of which had to be kept until they are read.
        """
        return False

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        Stop waiting.
        """
        self.factory.connected -= 1
        self._unread = b""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        http.HTTPChannel.connectionLost(self, reason)


class _TooMany(Protocol):
    """
    A connection that is one too many.
    """

    def connectionMade(self) -> None:
        """
        Say so, and close it.
        """
        transport: Any = self.transport
        body = refusal(503, "too-many-clients", "Too many programs ask at a time: try later.").body
        head = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
        transport.write(head + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(body))
        transport.write(body)
        transport.loseConnection()


class ControlFactory(http.HTTPFactory):
    """
    Makes connections.

    @ivar connected: The number of connections.
    @ivar isPublic: Whether it is not known who connects, so that nobody may change anything.
    """

    protocol: Any = Channel
    noisy = False

    def __init__(self, control: Control, reactor: Any, isPublic: bool = False) -> None:
        http.HTTPFactory.__init__(self, timeout=None, reactor=reactor)  # type: ignore[arg-type]
        self.control = control
        self.connected = 0
        self.isPublic = isPublic
        self._reactor = reactor
        self._waiting: dict[Channel, None] = {}
        #: The names of users who may act.  Looking up others could block.
        self._users = {uid: _userName(uid) for uid in (0, os.geteuid())}

    def buildProtocol(self, addr: Any) -> Any:
        """
        Make a connection, unless there are too many.
        """
        if self.connected >= MOST_CLIENTS:
            return _TooMany()
        return http.HTTPFactory.buildProtocol(self, addr)

    def queue(self, channel: Channel) -> None:
        """
        Let a connection handle what has arrived, in a turn of the reactor in which no other one
        does.  Otherwise an advertisement that is due would wait for all requests that arrive at
        the same time.
        """
        if not self._waiting:
            self._reactor.callLater(0, self._next)
        self._waiting[channel] = None

    def _next(self) -> None:
        channel = next(iter(self._waiting))
        del self._waiting[channel]
        if self._waiting:
            self._reactor.callLater(0, self._next)
        channel.takeTurn()

    def actorOf(self, connection: socket.socket) -> Actor:
        """
        Find out from the kernel who is at the other end.
        """
        pid, uid = credentialsOf(connection)
        # The process may have got another user since it has opened the socket.
        return Actor(uid, self._users.get(uid, ""), pid, uid in (0, os.geteuid()))

    def startFactory(self) -> None:
        """
        Do nothing: there is no log of accesses, and no time for its lines.
        """

    def stopFactory(self) -> None:
        """
        Do nothing.
        """

    def log(self, request: http.Request) -> None:
        """
        Log nothing: what is done is logged, and not what is read.
        """


def isOwnName(header: str) -> bool:
    """
    Whether the C{Host} of a request is an address or a name of this host.  The page of another
    site, whose name was made to lead here, could otherwise read answers (DNS rebinding).
    """
    name = header.strip().lower()
    if not name.endswith("]"):
        before, colon, port = name.rpartition(":")
        name = before if colon and port.isdigit() else name
    name = name.removesuffix(".")
    own = socket.gethostname().lower()
    if name in ("", "localhost", own, own.partition(".")[0]):
        return True
    try:
        parseAddress(name[1:-1] if name.startswith("[") and name.endswith("]") else name)
    except ValueError:
        return False
    return True


def requestOf(
    request: http.Request, path: Sequence[str], body: bytes, actor: Actor | None
) -> Request:
    """
    A request of HTTP without what belongs to its connection.

    @param path: The parts of the path.
    """
    query = request.uri.partition(b"?")[2]
    headers = request.requestHeaders

    def header(name: bytes) -> str:
        return b",".join(headers.getRawHeaders(name, ())).decode("latin-1")

    return Request(
        request.method.decode("latin-1"),
        tuple(path),
        body,
        actor,
        parse_qs(query.decode("latin-1"), errors="replace"),
        header(b"Accept").lower(),
        header(b"Last-Event-ID"),
    )


def write(request: http.Request, answer: Answer) -> None:
    """
    Write an answer, which ends the request.
    """
    request.setResponseCode(answer.code)
    _head(request, answer.contentType)
    for name, value in answer.headers:
        request.responseHeaders.setRawHeaders(name, [value])
    request.responseHeaders.setRawHeaders(b"Content-Length", [b"%d" % len(answer.body)])
    request.write(answer.body)
    request.finish()


def stream(request: http.Request, answer: Streaming, end: Callable[[], object]) -> None:
    """
    Write an answer without an end.

    @param end: Called to end the request.
    """
    _head(request, answer.contentType)

    def finish() -> None:
        request.unregisterProducer()
        end()

    finished: Deferred[None] = request.notifyFinish()
    reader = answer.begin(request.write, finish)
    finished.addBoth(lambda _: reader.gone())
    request.registerProducer(reader, True)


def _head(request: http.Request, contentType: bytes) -> None:
    request.responseHeaders.setRawHeaders(b"Content-Type", [contentType])
    request.responseHeaders.setRawHeaders(b"Cache-Control", [b"no-store"])
    # A browser must not take an answer for anything else, or give it to another site.
    request.responseHeaders.setRawHeaders(b"X-Content-Type-Options", [b"nosniff"])
    request.responseHeaders.setRawHeaders(b"Cross-Origin-Resource-Policy", [b"same-origin"])


def credentialsOf(connection: socket.socket) -> tuple[int, int]:
    """
    The process ID and the user of the other end of a Unix socket.
    """
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(data)
    return pid, uid


def _userName(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""
