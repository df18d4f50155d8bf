"""
Whether a name server answers a question (RFC 1035).
"""

from __future__ import annotations

import re
import struct

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IUDPTransport
from twisted.internet.protocol import DatagramProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from txcarp.checks.tcp import CheckFailed, hostAndPort
from txcarp.interfaces import ICheck, IPlatform

#: The types of records that can be asked for.
TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28}

_IN = 1

_RESPONSE, _RECURSION_DESIRED, _RCODE = 0x8000, 0x0100, 0x000F

_CODES = {1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}

_LABEL = re.compile(r"[A-Za-z0-9_-]{1,63}")


@implementer(ICheck)
@attrs.frozen
class DNSCheck:
    """
    Whether a name server answers a question with one record at least.

    @ivar name: The name to ask for.
    @ivar server: The address of the name server, with a port unless that is 53.
    @ivar record: The type of records to ask for; see L{TYPES}.
    """

    name: str
    server: str = "127.0.0.1"
    record: str = "A"
    _question: bytes = attrs.field(init=False, repr=False, eq=False)

    @_question.default
    def _encode(self) -> bytes:
        hostAndPort(self.server, 53)
        if self.record not in TYPES:
            raise ValueError(f"{self.record!r} is not one of {', '.join(TYPES)}")
        labels = self.name.rstrip(".").split(".") if self.name != "." else []
        if any(_LABEL.fullmatch(one) is None for one in labels) or len(self.name) > 253:
            raise ValueError(f"{self.name!r} is not a DNS name")
        encoded = b"".join(bytes([len(one)]) + one.encode("ascii") for one in labels)
        return encoded + b"\0" + struct.pack("!HH", TYPES[self.record], _IN)

    def run(self, platform: IPlatform, timeout: float) -> Deferred[str]:
        if platform.reactor is None:
            raise CheckFailed("this platform has no reactor to ask with")
        host, port = hostAndPort(self.server, 53)
        question = _Question(host, port, platform.random(16), self._question)
        interface = "::" if ":" in host else ""
        platform.reactor.listenUDP(0, question, interface=interface, maxPacketSize=4096)
        return question.answer


class _Question(DatagramProtocol):
    """
    One question to a name server.

    @ivar answer: Fires when it is answered.  If it is cancelled, the socket is closed.
    """

    noisy = False
    transport: IUDPTransport

    def __init__(self, host: str, port: int, number: int, question: bytes) -> None:
        self.answer: Deferred[str] = Deferred(lambda answer: self._close())
        self._server = host, port
        self._number = number
        self._question = question

    def startProtocol(self) -> None:
        # The kernel then drops what others send, and reports that nobody listens.
        self.transport.connect(*self._server)
        header = struct.pack("!HHHHHH", self._number, _RECURSION_DESIRED, 1, 0, 0, 0)
        try:
            self.transport.write(header + self._question, self._server)
        except OSError as error:
            self._end(CheckFailed((error.strerror or str(error)).lower()))

    def connectionRefused(self) -> None:
        self._end(CheckFailed("connection refused"))

    def stopProtocol(self) -> None:
        # Some reactors report an error of the socket in no other way.
        self._end(CheckFailed("connection refused, or no route to the server"))

    def datagramReceived(self, datagram: bytes, address: object) -> None:
        if len(datagram) < 12 + len(self._question):
            return
        number, flags, _, answers, _, _ = struct.unpack_from("!HHHHHH", datagram)
        echoed = datagram[12 : 12 + len(self._question)]
        if number != self._number or not flags & _RESPONSE:
            return
        if echoed.lower() != self._question.lower():
            return
        code = flags & _RCODE
        if code:
            self._end(CheckFailed(f"answered {_CODES.get(code, code)}"))
        elif not answers:
            self._end(CheckFailed("answered without a record"))
        else:
            self._end(f"{answers} record{'' if answers == 1 else 's'}")

    def _end(self, result: str | CheckFailed) -> None:
        if self.answer.called:
            return
        self._close()
        if isinstance(result, CheckFailed):
            self.answer.errback(Failure(result))
        else:
            self.answer.callback(result)

    def _close(self) -> None:
        if self.transport is not None:
            self.transport.stopListening()
