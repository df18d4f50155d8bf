"""
Tests for L{txcarp.network.connections}.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable
from typing import Any, cast
from unittest import SkipTest

from twisted.internet import reactor as globalReactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from tests.testbed.fixture import makeTestbed
from txcarp.interfaces import IConnections
from txcarp.netlink.format import NLM_F_MULTI, NLMSG_DONE, NLMSG_ERROR, pack, readMessages
from txcarp.network import connections as module
from txcarp.network.connections import Connections

V4, OTHER, CLIENT = "10.99.0.100", "10.99.0.1", "10.99.0.2"
V6 = "fd00::100"


class KernelTests(TestCase):
    """
    A server and its clients in two network namespaces.
    """

    timeout = 60

    def setUp(self) -> None:
        testbed = makeTestbed(self)
        switch = testbed.switch("switch")
        self.server, self.client = testbed.node("server"), testbed.node("client")
        self.server.connect(switch, f"{OTHER}/24")
        self.server.addAddress(f"{V4}/24")
        self.server.addAddress(f"{V6}/64")
        self.client.connect(switch, f"{CLIENT}/24")
        self.client.addAddress("fd00::2/64")
        with self.server.inside():
            self.connections = Connections(cast(Any, globalReactor))

    def listen(self, family: int, port: int) -> socket.socket:
        """
        Listen on all addresses of the server.
        """
        listener = self.server.socket(family, socket.SOCK_STREAM)
        self.addCleanup(listener.close)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(("", port))
        listener.listen(200)
        return listener

    def connect(self, listener: socket.socket, address: str) -> tuple[socket.socket, socket.socket]:
        """
        Connect to the server.

        @return: The socket of the client, and that of the server.
        """
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        client = self.client.socket(family, socket.SOCK_STREAM)
        client.settimeout(20)
        self.addCleanup(client.close)
        client.connect((address, listener.getsockname()[1]))
        accepted, _ = listener.accept()
        self.addCleanup(accepted.close)
        return client, accepted

    async def reset(self, *addresses: str) -> int:
        """
        End the connections of some addresses.
        """
        with self.server.inside():
            whyNot, reset = self.connections.whyNot(), None
            packed = [
                socket.inet_pton(socket.AF_INET6 if ":" in one else socket.AF_INET, one)
                for one in addresses
            ]
        if why := await whyNot:
            raise SkipTest(why)
        with self.server.inside():
            reset = self.connections.reset(packed, None)
        return await reset

    def isReset(self, pair: tuple[socket.socket, socket.socket]) -> bool:
        """
        Whether the client of a connection was told that it is over.
        """
        client, _ = pair
        client.setblocking(False)
        try:
            client.recv(1)
        except ConnectionResetError:
            return True
        except BlockingIOError:
            return False
        raise AssertionError("the connection was closed in order")

    async def test_families(self) -> None:
        """
        The connections of an address are ended: those of IPv4 sockets, of IPv6 sockets in mapped
        form, and of IPv6.  Those of other addresses, and the sockets that listen, stay.
        """
        plain, both = self.listen(socket.AF_INET, 80), self.listen(socket.AF_INET6, 81)
        ended = [self.connect(plain, V4), self.connect(both, V4), self.connect(both, V6)]
        stay = [self.connect(plain, OTHER), self.connect(both, OTHER)]
        self.assertEqual(await self.reset(V4, V6), 3)
        self.assertEqual([self.isReset(pair) for pair in (*ended, *stay)], [True] * 3 + [False] * 2)
        self.assertFalse(self.isReset(self.connect(plain, V4)))
        self.assertFalse(self.isReset(self.connect(both, V6)))

    async def test_oneFamily(self) -> None:
        """
        The IPv6 connections stay if only the IPv4 address leaves.
        """
        both = self.listen(socket.AF_INET6, 81)
        pairs = [self.connect(both, V4), self.connect(both, V6)]
        self.assertEqual(await self.reset(V4), 1)
        self.assertEqual([self.isReset(pair) for pair in pairs], [True, False])

    async def test_many(self) -> None:
        """
        More connections than are ended at once, and than one part of the list has.
        """
        listener = self.listen(socket.AF_INET, 80)
        pairs = [self.connect(listener, V4) for _ in range(400)]
        self.assertEqual(await self.reset(V4), 400)
        self.assertTrue(all(map(self.isReset, pairs)))

    async def test_none(self) -> None:
        """
        Without connections, nothing is to be done.
        """
        self.listen(socket.AF_INET, 80)
        self.assertEqual(await self.reset(V4, V6), 0)
        self.assertEqual(await self.reset(), 0)

    async def test_linkLocal(self) -> None:
        """
        A link-local address belongs to one interface.
        """
        listener = self.listen(socket.AF_INET6, 81)
        [address] = [
            one.partition("/")[0] for one in self.server.addresses() if one.startswith("fe80:")
        ]
        client = self.client.socket(socket.AF_INET6, socket.SOCK_STREAM)
        self.addCleanup(client.close)
        client.settimeout(20)
        client.connect((address, 81, 0, self.client.link().index))
        pair = client, listener.accept()[0]
        self.addCleanup(pair[1].close)
        packed = socket.inet_pton(socket.AF_INET6, address)
        index = self.server.link().index
        for given, count in ((None, 0), (index + 1, 0), (index, 1)):
            with self.server.inside():
                reset = self.connections.reset([packed], given)
            self.assertEqual(await reset, count)
        self.assertTrue(self.isReset(pair))


class FakeSocket:
    """
    A netlink socket whose other end is a test.
    """

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.unread: list[bytes] = []
        self.error: OSError | None = None
        self.closed = False

    def send(self, data: bytes) -> None:
        if self.error is not None:
            raise self.error
        self.sent.append(data)

    def recvmsg(self, size: int) -> tuple[bytes, list[Any], int, tuple[int, int]]:
        if not self.unread:
            raise BlockingIOError
        return self.unread.pop(0), [], 0, (0, 0)

    def fileno(self) -> int:
        return 99

    def close(self) -> None:
        self.closed = True


class FakeReactor(MemoryReactorClock):
    """
    A reactor whose turns a test takes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Callable[[], Any]] = []

    def callFromThread(self, call: Callable[..., Any], *args: Any, **named: Any) -> None:
        self.calls.append(call)

    def turn(self) -> None:
        """
        Make the calls that wait, and not those that they ask for.
        """
        calls, self.calls = self.calls, []
        for call in calls:
            call()


def done(sequence: int) -> bytes:
    """
    The end of a list.
    """
    return pack(NLMSG_DONE, NLM_F_MULTI, sequence, struct.pack("=i", 0))


def failed(sequence: int, code: int) -> bytes:
    """
    An error.
    """
    return pack(NLMSG_ERROR, 0, sequence, struct.pack("=i", -code) + bytes(16))


def listed(count: int) -> bytes:
    """
    A part of a list of connections.
    """
    body = bytes((socket.AF_INET, 1, 0, 0)) + bytes(68)
    return b"".join(pack(20, NLM_F_MULTI, 1, body) for _ in range(count))


class ConversationTests(SynchronousTestCase):
    """
    What the kernel may answer.
    """

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.socket = FakeSocket()
        self.openError: OSError | None = None
        self.patch(module, "openNetlinkSocket", self.open)
        self.connections = Connections(cast(Any, self.reactor))

    def open(self, protocol: int) -> FakeSocket:
        self.assertEqual(protocol, 4)
        if self.openError is not None:
            raise self.openError
        return self.socket

    def begin(self) -> Deferred[int]:
        return self.connections.reset([socket.inet_pton(socket.AF_INET6, V6)], None)

    def answer(self, *datagrams: bytes) -> None:
        """
        Let the kernel answer.
        """
        self.socket.unread += datagrams
        for _ in range(20):
            for reader in list(self.reactor.getReaders()):
                reader.doRead()
            self.reactor.turn()

    def counts(self) -> list[int]:
        """
        How many requests there were in each datagram since the last call.
        """
        sent = [len([*readMessages(data)]) for data in self.socket.sent]
        self.socket.sent.clear()
        return sent

    def test_provided(self) -> None:
        """
        The interface.
        """
        verifyObject(IConnections, self.connections)

    def test_slices(self) -> None:
        """
        Many connections are ended in several turns of the reactor, and the list is read again
        until it is empty.  The number is that of those that the kernel has ended.
        """
        result = self.begin()
        self.answer(listed(120) + done(1))
        self.assertEqual(self.counts(), [1, 50, 50, 20, 1])
        self.answer(failed(2, errno.ENOENT), listed(1), done(1))
        self.assertEqual(self.counts(), [1, 1])
        self.answer(done(1))
        self.assertEqual(self.successResultOf(result), 120)
        self.assertTrue(self.socket.closed)

    def test_turns(self) -> None:
        """
        Each slice waits for a turn of the reactor.
        """
        self.begin()
        self.socket.unread.append(listed(120))
        [reader] = self.reactor.getReaders()
        reader.doRead()
        self.assertEqual((self.counts(), self.reactor.getReaders()), ([1], []))
        self.reactor.turn()
        self.assertEqual(self.counts(), [50])

    def test_again(self) -> None:
        """
        Clients that connect again all the time do not keep this busy for ever.
        """
        result = self.begin()
        for _ in range(10):
            self.answer(listed(1), done(1))
        self.assertEqual(self.successResultOf(result), 10)

    def test_refused(self) -> None:
        """
        An error of the kernel is the result, and nothing is asked after it.
        """
        for answers in (
            (failed(1, errno.EPERM),),
            (listed(60), failed(2, errno.EPERM)),
            (listed(1), failed(2, errno.EOPNOTSUPP), done(1)),
        ):
            self.socket.closed = False
            result = self.begin()
            self.answer(*answers)
            error = self.failureResultOf(result, OSError).value
            self.assertIn(error.errno, (errno.EPERM, errno.EOPNOTSUPP))
            self.assertTrue(self.socket.closed)

    def test_broken(self) -> None:
        """
        So are bytes that make no sense, and a socket that breaks.
        """
        result = self.begin()
        self.answer(b"\1\0")
        self.failureResultOf(result, OSError)
        result = self.begin()
        self.socket.error = OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))
        self.answer(listed(1))
        self.failureResultOf(result, OSError)
        self.openError = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        self.failureResultOf(self.begin(), OSError)
        self.assertEqual(self.successResultOf(self.connections.whyNot()), "Too many open files")

    def test_cancelled(self) -> None:
        """
        Cancelled, it ends at once.
        """
        result = self.begin()
        self.socket.unread.append(listed(120))
        [reader] = self.reactor.getReaders()
        reader.doRead()
        self.counts()
        result.cancel()
        self.reactor.turn()
        self.failureResultOf(result, CancelledError)
        self.assertEqual((self.counts(), self.socket.closed), ([], True))

    def test_whyNot(self) -> None:
        """
        Whether the kernel can do this.
        """
        for answers, words in (
            ((done(1), failed(2, errno.ENOENT)), ""),
            ((done(1), failed(2, errno.EOPNOTSUPP)), "this kernel lacks CONFIG_INET_DIAG_DESTROY"),
            ((failed(1, errno.ENOENT),), "this kernel lacks the module tcp_diag"),
            ((failed(1, errno.EPERM),), "Operation not permitted"),
            ((done(1), failed(2, errno.EPERM)), "Operation not permitted"),
        ):
            self.socket.closed = False
            why = self.connections.whyNot()
            for one in answers:
                self.assertNoResult(why)
                self.answer(one)
            self.assertEqual(self.successResultOf(why), words)
            self.assertTrue(self.socket.closed)
