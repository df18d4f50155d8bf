"""
Tests for L{txcarp.network.readers}, with sockets and reactors that a test drives.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests import crafted
from tests.network.scenery import GROUP6, ipv6Packet
from txcarp.network.readers import IPv4Reader, IPv6Reader
from txcarp.protocol.envelope import Packet, readPacket

#: What is read at most before others have their turn.
TURN = 64


class FakeReactor:
    """
    Keeps its readers and ports.
    """

    def __init__(self) -> None:
        self.readers: list[Any] = []
        self.adopted: list[tuple[Any, ...]] = []
        self.port = FakePort()
        self.nextTurn: list[Any] = []

    def addReader(self, reader: Any) -> None:
        self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        if reader in self.readers:
            self.readers.remove(reader)

    def callFromThread(self, call: Any) -> None:
        self.nextTurn.append(call)

    def turn(self) -> None:
        """
        Begin the next turn.
        """
        calls, self.nextTurn[:] = list(self.nextTurn), []
        for call in calls:
            call()

    def adoptDatagramPort(self, *details: Any) -> FakePort:
        self.adopted.append(details)
        return self.port


class FakePort:
    """
    The part of a datagram port that is used.
    """

    maxThroughput = 0
    stopped = False

    def stopListening(self) -> None:
        self.stopped = True


class FakeSocket:
    """
    A socket to read from.

    @ivar waiting: The results of C{recvmsg}, or errors; it would block when there are none.
    """

    def __init__(self) -> None:
        self.closed = False
        self.waiting: list[Any] = []

    def fileno(self) -> int:
        return 77

    def dup(self) -> FakeSocket:
        return self

    def close(self) -> None:
        self.closed = True

    def recvmsg(self, size: int, ancillary: int) -> Any:
        if not self.waiting:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        answer = self.waiting.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer


def message(
    counter: int = 1, hopLimit: int | None = 255, source: str = "fe80::77%eth0"
) -> tuple[Any, ...]:
    """
    An advertisement as C{recvmsg} returns it.
    """
    ancillary = [(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, b"\0\0\0\0")]
    if hopLimit is not None:
        ancillary += [
            (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, GROUP6 + struct.pack("=I", 7)),
            (socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT, struct.pack("=i", hopLimit)),
        ]
    return crafted.payload(counter=counter), ancillary, 0, (source, 0, 0, 7)


class IPv6ReaderTests(SynchronousTestCase):
    """
    Tests for L{IPv6Reader}.
    """

    def setUp(self) -> None:
        """
        Make one.
        """
        self.reactor: Any = FakeReactor()
        self.socket: Any = FakeSocket()
        self.received: list[Packet] = []
        self.closed = 0
        self.reader = IPv6Reader(
            self.reactor, self.socket, "eth0", self.received.append, self.lost
        )

    def lost(self) -> None:
        """
        Count.
        """
        self.closed += 1

    def test_interface(self) -> None:
        """
        It is a descriptor that the reactor reads until it is stopped.
        """
        verifyObject(IReadDescriptor, self.reader)
        self.assertEqual(self.reactor.readers, [self.reader])
        self.assertEqual(self.reader.fileno(), 77)
        self.assertEqual(self.reader.logPrefix(), "txcarp eth0 IPv6")
        self.reader.stop()
        self.assertEqual(self.reactor.readers, [])
        self.reactor.turn()
        self.assertTrue(self.socket.closed)

    def test_header(self) -> None:
        """
        A packet has what the kernel says of its header: the source without its scope, the
        destination, the protocol and the hop limit.
        """
        self.socket.waiting = [message(), message(hopLimit=63, source="2001:db8::1")]
        self.reader.doRead()
        packets = ipv6Packet(), ipv6Packet(hopLimit=63, source="2001:db8::1")
        self.assertEqual(self.received, [readPacket(packet) for packet in packets])

    def test_unsaid(self) -> None:
        """
        If the kernel does not say the hop limit and the destination, the packet has values that
        no advertisement may have.
        """
        self.socket.waiting = [message(hopLimit=None)]
        self.reader.doRead()
        unsaid = readPacket(ipv6Packet(hopLimit=0, destination=bytes(16)))
        self.assertEqual(self.received, [unsaid])

    def test_turn(self) -> None:
        """
        A turn of the reactor reads a limited number of packets.
        """
        self.socket.waiting = [message(counter) for counter in range(TURN + 1)]
        self.reader.doRead()
        self.assertEqual(len(self.received), TURN)
        self.reader.doRead()
        self.assertEqual(len(self.received), TURN + 1)

    def test_errors(self) -> None:
        """
        Reading continues after an error of the socket.
        """
        self.socket.waiting = [OSError(errno.ENETDOWN, ""), message()]
        self.assertIsNone(self.reader.doRead())
        self.assertEqual((len(self.received), self.closed), (1, 0))

    def test_stopped(self) -> None:
        """
        If it is stopped while a packet is handled, no further packet is delivered, and the
        socket is not reported as lost.
        """
        self.reader = IPv6Reader(
            self.reactor, self.socket, "eth0", lambda packet: self.reader.stop(), self.lost
        )
        self.socket.waiting = [message(), message()]
        self.reader.doRead()
        self.assertEqual(len(self.socket.waiting), 1)
        self.reader.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.closed, 0)

    def test_lost(self) -> None:
        """
        It is reported once when the reactor gives the socket up.
        """
        for _ in range(2):
            self.reader.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.closed, 1)


class IPv4ReaderTests(SynchronousTestCase):
    """
    Tests for L{IPv4Reader}.
    """

    def setUp(self) -> None:
        """
        Make one.
        """
        self.reactor: Any = FakeReactor()
        self.received: list[Packet] = []
        self.closed = 0
        sock: Any = FakeSocket()
        self.reader = IPv4Reader(self.reactor, sock, "eth0", self.received.append, self.lost)

    def lost(self) -> None:
        """
        Count.
        """
        self.closed += 1

    def test_adopted(self) -> None:
        """
        The reactor reads the socket in portions and delivers whole packets.
        """
        ((descriptor, family, reader, size),) = self.reactor.adopted
        self.assertEqual((descriptor, family, reader), (77, socket.AF_INET, self.reader))
        self.assertGreater(size, 60 + 36)
        self.assertEqual(self.reactor.port.maxThroughput, TURN * 56)
        self.reader.datagramReceived(crafted.packet(), (crafted.PEER, 0))
        self.assertEqual(self.received, [readPacket(crafted.packet())])
        self.assertEqual(self.reader.logPrefix(), "txcarp eth0")

    def test_stopped(self) -> None:
        """
        After a stop nothing is delivered, and the end of the port is not reported.
        """
        self.reader.stop()
        self.assertTrue(self.reactor.port.stopped)
        self.reader.datagramReceived(crafted.packet(), (crafted.PEER, 0))
        self.reader.stopProtocol()
        self.assertEqual((self.received, self.closed), ([], 0))

    def test_lost(self) -> None:
        """
        It is reported once when the reactor gives the socket up.
        """
        for _ in range(2):
            self.reader.stopProtocol()
        self.assertEqual(self.closed, 1)
