"""
Tests for the checks of servers, against real servers on this host.
"""

from __future__ import annotations

import ssl
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred, inlineCallbacks, succeed
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from txcarp.checks import http
from txcarp.checks.dns import DNSCheck
from txcarp.checks.health import HealthCheck
from txcarp.checks.http import HTTPCheck
from txcarp.checks.runner import Runner
from txcarp.checks.tcp import MOST_BYTES, CheckFailed, TCPCheck, hostAndPort
from txcarp.checks.verdict import Outcome, Verdict
from txcarp.interfaces import ICheck
from txcarp.testing import Segment, SimulatedHost

reactor: Any = installed

_CERTIFICATE = Path(__file__).with_name("server.pem")


def machine() -> SimulatedHost:
    """
    A host whose checks use the reactor of the test.
    """
    host = Segment().host("10.1.1.1")
    host.reactor = host.clock = reactor
    return host


class Server(Protocol):
    """
    Answers a request with some bytes.

    @ivar answer: What it sends; C{None} to send nothing.
    @ivar closes: Whether it closes the connection afterwards.
    """

    def __init__(self, answer: bytes | None, closes: bool, lost: Deferred[None]) -> None:
        self.answer = answer
        self.closes = closes
        self.lost = lost
        self.request = b""

    def dataReceived(self, data: bytes) -> None:
        self.request += data
        if self.answer is not None and b"\r\n\r\n" in self.request:
            assert self.transport is not None
            self.transport.write(self.answer)
            if self.closes:
                self.transport.loseConnection()

    def connectionLost(self, reason: object = None) -> None:
        if not self.lost.called:
            self.lost.callback(None)


class SecureServer(Server):
    """
    The same behind TLS.
    """

    def connectionMade(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(_CERTIFICATE)
        self.arrived, self.leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.arrived, self.leaving, server_side=True)
        self.isSafe = False

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.arrived.write(data)
        try:
            if not self.isSafe:
                self.tls.do_handshake()
                self.isSafe = True
            self.request += self.tls.read(65536)
            if self.answer is not None and b"\r\n\r\n" in self.request:
                self.tls.write(self.answer)
                self.tls.unwrap()
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            pass
        except ssl.SSLError:
            self.transport.loseConnection()  # the client does not trust this server
        self.transport.write(self.leaving.read())


class ServerTestCase(TestCase):
    """
    Servers on the loopback interface.
    """

    timeout = 60

    def serve(
        self, answer: bytes | None, *, closes: bool = True, kind: type[Server] = Server
    ) -> int:
        """
        Start a server.

        @return: Its port.
        """
        self.lost: Deferred[None] = Deferred()
        self.served: list[Server] = []

        class Making(Factory):
            noisy = False

            def buildProtocol(made, address: object) -> Protocol:
                self.served.append(kind(answer, closes, self.lost))
                return self.served[-1]

        port = reactor.listenTCP(0, Making(), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.addCleanup(self.hangUp)
        return int(port.getHost().port)

    def hangUp(self) -> Deferred[None] | None:
        """
        Close what a server has open.
        """
        if not self.served:
            return None
        for one in self.served:
            if one.transport is not None:
                one.transport.abortConnection()  # type: ignore[attr-defined]
        return self.lost

    def closedPort(self) -> Deferred[int]:
        """
        A port that nobody listens on.
        """
        port = reactor.listenTCP(0, Factory(), interface="127.0.0.1")
        number = port.getHost().port
        closed: Deferred[Any] = port.stopListening()
        return closed.addCallback(lambda _: number)

    def run_(self, check: Any) -> Deferred[str]:
        """
        Run a check once.
        """
        verifyObject(ICheck, check)
        running: Deferred[str] = check.run(machine(), 10.0)
        return running

    def fails(self, check: Any, words: str) -> Deferred[None]:
        """
        Run a check that fails, with these words in its text.
        """

        def look(error: CheckFailed) -> None:
            self.assertIn(words, str(error))

        return self.assertFailure(self.run_(check), CheckFailed).addCallback(look)

    def hangs(self, check: Any, closed: Callable[[], Deferred[None]]) -> Deferred[Any]:
        """
        Run a check of a server that does not answer.  It is a timeout, and leaves nothing open.
        """
        done: Deferred[Runner] = Deferred()
        settings = HealthCheck("test", check, interval=60.0, timeout=0.2)
        runner = Runner(settings, machine(), Verdict(), done.callback)
        runner.start()
        self.addCleanup(runner.stop)

        def look(runner: Runner) -> Deferred[None]:
            self.assertIs(runner.outcome, Outcome.TIMEOUT)
            self.assertEqual(runner.text, "timeout: no result within 0.2 s")
            return closed()

        return done.addCallback(look)


class TCPTests(ServerTestCase):
    """
    Tests for L{TCPCheck}.
    """

    @inlineCallbacks
    def test_accepted(self) -> Any:
        """
        A server that accepts is good.  The connection is closed.
        """
        said = yield self.run_(TCPCheck(f"127.0.0.1:{self.serve(None)}"))
        self.assertEqual(said, "accepted")
        yield self.lost

    def test_hangs(self) -> None:
        """
        The attempt to connect ends at the timeout.
        """
        host = Segment().host("10.1.1.1")
        host.reactor = MemoryReactorClock()
        running = TCPCheck("192.0.2.1:80").run(host, 1.0)
        [connector] = host.reactor.connectors
        running.cancel()
        self.failureResultOf(running, CancelledError)
        self.assertTrue(connector.stoppedConnecting)

    @inlineCallbacks
    def test_refused(self) -> Any:
        """
        A server that does not listen is bad.
        """
        port = yield self.closedPort()
        yield self.fails(TCPCheck(f"127.0.0.1:{port}"), "connection refused")

    def test_itself(self) -> None:
        """
        A connection whose two ends are the same is none: nobody listens.
        """
        here = IPv4Address("TCP", "127.0.0.1", 40000)
        host = Segment().host("10.1.1.1")
        host.reactor = MemoryReactorClock()
        running = TCPCheck("127.0.0.1:40000").run(host, 1.0)
        [(address, port, factory, limit, _)] = host.reactor.tcpClients
        self.assertEqual((address, port, limit), ("127.0.0.1", 40000, None))
        transport = StringTransport(hostAddress=here, peerAddress=here)
        factory.buildProtocol(here).makeConnection(transport)
        failure = self.failureResultOf(running, CheckFailed)
        self.assertIn("nobody listens", failure.getErrorMessage())
        self.assertTrue(transport.disconnecting)

    def test_noReactor(self) -> None:
        """
        A platform without a reactor is an error, and no surprise.
        """
        host = Segment().host("10.1.1.1")
        self.assertRaises(CheckFailed, TCPCheck("127.0.0.1:1").run, host, 1.0)
        self.assertRaises(CheckFailed, DNSCheck("example.org").run, host, 1.0)


class AddressTests(SynchronousTestCase):
    """
    Tests for L{hostAndPort}.
    """

    def test_good(self) -> None:
        """
        An address has a port, or a default one.
        """
        for text, port, expected in (
            ("127.0.0.1:443", None, ("127.0.0.1", 443)),
            ("[::1]:443", None, ("::1", 443)),
            ("127.0.0.1", 53, ("127.0.0.1", 53)),
            ("[::1]", 53, ("::1", 53)),
        ):
            self.assertEqual(hostAndPort(text, port), expected)

    def test_bad(self) -> None:
        """
        Names, bare IPv6 addresses and strange ports are refused.
        """
        for text in ("localhost:80", "::1:443", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536"):
            self.assertRaises(ValueError, TCPCheck, text)
        for text in ("127.0.0.1:x", "[127.0.0.1]:80", "127.0.0.1:\u0661", ":80", ""):
            self.assertRaises(ValueError, TCPCheck, text)


class HTTPTests(ServerTestCase):
    """
    Tests for L{HTTPCheck}.
    """

    def check(self, answer: bytes | None, *, closes: bool = True, **settings: Any) -> HTTPCheck:
        """
        A check of a server that answers with these bytes.
        """
        port = self.serve(answer, closes=closes)
        return HTTPCheck(f"http://127.0.0.1:{port}/health?a=b", **settings)

    @inlineCallbacks
    def test_good(self) -> Any:
        """
        The status and the text in the body are what is wanted.
        """
        page = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nall is wel"
        for answer, settings, expected in (
            (page, {}, "status 200"),
            (page, {"body": "is"}, "status 200, with 'is'"),
            (b"HTTP/1.0 302 Found\r\n\r\n", {}, "status 302"),
            (b"HTTP/1.0 404\n\n", {"status": [404]}, "status 404"),
        ):
            said = yield self.run_(self.check(answer, **settings))
            self.assertEqual(said, expected)
            request = self.served[0].request
            self.assertTrue(request.startswith(b"GET /health?a=b HTTP/1.0\r\nHost: 127.0.0.1:"))
            yield self.hangUp()

    @inlineCallbacks
    def test_bad(self) -> Any:
        """
        Everything else is bad, and the text says why.
        """
        page = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nall is wel"
        for answer, closes, settings, words in (
            (b"HTTP/1.1 503 Busy\r\n\r\n", True, {}, "status 503"),
            (page, True, {"status": [204]}, "status 200"),
            (page, True, {"body": "ill"}, "'ill' is not in the answer"),
            (page, False, {"body": "ill"}, "'ill' is not in the answer"),
            (page, True, {"body": "Length"}, "'Length' is not in the answer"),
            (b"SSH-2.0-x\r\n", False, {}, "the answer is not HTTP: b'SSH-2.0-x"),
            (b"HTTP/1.1 2000 OK\r\n", False, {}, "the answer is not HTTP"),
            (b"x" * 5000, False, {}, "the answer is not HTTP"),
            (b"", True, {}, "closed the connection before it had answered"),
            (b"HTTP/1.1 200 OK\r\nno end", True, {"body": "x"}, "closed the connection"),
            (
                b"HTTP/1.1 200 OK\r\n\r\n" + bytes(3 * MOST_BYTES),
                False,
                {"body": "x"},
                f"more than {MOST_BYTES} bytes",
            ),
            (
                b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * MOST_BYTES,
                False,
                {"body": "x"},
                f"more than {MOST_BYTES} bytes",
            ),
        ):
            yield self.fails(self.check(answer, closes=closes, **settings), words)
            yield self.hangUp()

    def test_hangs(self) -> Any:
        """
        A server that accepts and says nothing, or not enough, is a timeout.  The connection is
        closed.
        """
        return self.hangs(self.check(None), lambda: self.lost)

    def test_dribbles(self) -> Any:
        """
        The deadline is one for the whole answer.
        """
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nall"
        return self.hangs(self.check(answer, closes=False, body="wel"), lambda: self.lost)

    def test_wrong(self) -> None:
        """
        A URL has an address, and nothing that could be another request.
        """
        for url in (
            "http://localhost/",
            "ftp://127.0.0.1/",
            "127.0.0.1:80",
            "http://127.0.0.1/ HTTP/1.0",
            "http://127.0.0.1/\u00e9",
            "http://root:x@127.0.0.1/",
            "http://127.0.0.1:99999/",
        ):
            self.assertRaises(ValueError, HTTPCheck, url)
        self.assertRaises(ValueError, HTTPCheck, "http://127.0.0.1/", status=[1000])
        self.assertRaises(ValueError, HTTPCheck, "http://127.0.0.1/", host="a\r\nb")


class HTTPSTests(ServerTestCase):
    """
    L{HTTPCheck} with TLS.
    """

    def check(self, answer: bytes | None, kind: type[Server], **settings: Any) -> HTTPCheck:
        """
        A check of a server that answers with these bytes.
        """
        port = self.serve(answer, kind=kind)
        return HTTPCheck(f"https://127.0.0.1:{port}/", **settings)

    @inlineCallbacks
    def test_unverified(self) -> Any:
        """
        Without verification, any certificate will do.
        """
        page = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 40000 + b"wel"
        check = self.check(page, SecureServer, verify=False, body="wel")
        said = yield self.run_(check)
        self.assertEqual(said, "status 200, with 'wel'")

    @inlineCallbacks
    def test_verified(self) -> Any:
        """
        A certificate must be trusted, and be for the name of the server.
        """
        page = b"HTTP/1.1 200 OK\r\n\r\n"
        yield self.fails(self.check(page, SecureServer), "TLS: self-signed certificate")
        yield self.lost
        trusting = ssl.create_default_context(cafile=str(_CERTIFICATE))
        self.patch(http, "contextFor", {True: trusting}.__getitem__)
        for name in ("www.example.org", "www.example.com"):
            check = self.check(page, SecureServer, host=name)
            if name == "www.example.org":
                said = yield self.run_(check)
                self.assertEqual(said, "status 200")
                self.assertIn(b"\r\nHost: www.example.org\r\n", self.served[0].request)
            else:
                yield self.fails(check, "TLS: Hostname mismatch")
            yield self.hangUp()

    @inlineCallbacks
    def test_notTLS(self) -> Any:
        """
        A server without TLS is bad.
        """

        class Plain(Server):
            def dataReceived(self, data: bytes) -> None:
                assert self.transport is not None
                self.transport.write(b"HTTP/1.0 400 no\r\n\r\n")
                self.transport.loseConnection()

        yield self.fails(self.check(None, Plain), "TLS: ")

    @inlineCallbacks
    def test_huge(self) -> Any:
        """
        What is read is limited here, too.
        """
        page = b"HTTP/1.1 200 OK\r\n\r\n" + bytes(3 * MOST_BYTES)
        check = self.check(page, SecureServer, verify=False, body="x")
        yield self.fails(check, f"more than {MOST_BYTES} bytes")

    def test_hangs(self) -> Any:
        """
        A handshake that does not end is a timeout.
        """
        return self.hangs(self.check(None, Server), lambda: self.lost)


class NameServer(DatagramProtocol):
    """
    Answers questions.

    @ivar answers: Makes the answers to a question.
    """

    noisy = False

    def __init__(self, answers: Callable[[bytes], list[bytes]]) -> None:
        self.answers = answers

    def datagramReceived(self, datagram: bytes, address: Any) -> None:
        assert self.transport is not None
        for answer in self.answers(datagram):
            self.transport.write(answer, address)


def answered(flags: int, answers: int, number: int = 0) -> Callable[[bytes], list[bytes]]:
    """
    Make an answer with these flags and this number of records.

    @param number: How far the number of the answer is from that of the question.
    """

    def answer(question: bytes) -> list[bytes]:
        [asked] = struct.unpack_from("!H", question)
        header = struct.pack("!HHHHHH", asked ^ number, flags, 1, answers, 0, 0)
        return [header + question[12:]]

    return answer


class DNSTests(ServerTestCase):
    """
    Tests for L{DNSCheck}.
    """

    def check(self, answers: Callable[[bytes], list[bytes]], **settings: Any) -> DNSCheck:
        """
        A check of a name server.
        """
        self.served = []
        port = reactor.listenUDP(0, NameServer(answers), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return DNSCheck("www.example.org", f"127.0.0.1:{port.getHost().port}", **settings)

    @inlineCallbacks
    def test_good(self) -> Any:
        """
        An answer with a record is good.  Datagrams that are no answer to the question count for
        nothing.
        """

        def answers(question: bytes) -> list[bytes]:
            good = answered(0x8180, 2)(question)[0]
            other = answered(0x8180, 9)(question)[0][:-1] + b"\x05"
            return [b"", b"x", *answered(0x8182, 1, 7)(question), other, good]

        said = yield self.run_(self.check(answers, record="AAAA"))
        self.assertEqual(said, "2 records")

    @inlineCallbacks
    def test_bad(self) -> Any:
        """
        An error, no record and no server are bad.
        """
        yield self.fails(self.check(answered(0x8182, 0)), "answered SERVFAIL")
        yield self.fails(self.check(answered(0x8183, 0)), "answered NXDOMAIN")
        yield self.fails(self.check(answered(0x8180, 0)), "answered without a record")
        port = reactor.listenUDP(0, DatagramProtocol(), interface="127.0.0.1")
        number = port.getHost().port
        yield port.stopListening()
        yield self.fails(DNSCheck("example.org", f"127.0.0.1:{number}"), "connection refused")

    def test_hangs(self) -> Any:
        """
        A server that does not answer is a timeout.  The socket is closed.
        """
        check = self.check(lambda question: [])
        return self.hangs(check, lambda: succeed(None))

    def test_wrong(self) -> None:
        """
        Names and types that cannot be are refused.
        """
        for name in ("", "a..b", "a b", "x" * 64, "a." * 200, "b\u00fccher.example"):
            self.assertRaises(ValueError, DNSCheck, name)
        self.assertRaises(ValueError, DNSCheck, "example.org", record="X")
        self.assertRaises(ValueError, DNSCheck, "example.org", "ns.example.org")
        self.assertEqual(DNSCheck("example.org")._question[:13], b"\7example\3org\0")
