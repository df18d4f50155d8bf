"""
Tests for L{txcarp.network.sample}.  L{tests.network.test_linux} has one in the kernel.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.network.test_readers import FakeReactor, FakeSocket, message
from txcarp.network.sample import SAMPLE, Sample
from txcarp.protocol.envelope import Packet
from txcarp.protocol.family import Family


class FakeRaw:
    """
    A raw socket that reads from another one.
    """

    def __init__(self, sock: Any) -> None:
        self.socket = sock
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


class SampleTests(SynchronousTestCase):
    """
    Tests for L{Sample}, with a socket that always has a packet.
    """

    def setUp(self) -> None:
        """
        Begin to read a flood.
        """
        self.reactor: Any = FakeReactor()
        self.clock = Clock()
        self.socket: Any = FakeSocket()
        self.raw: Any = FakeRaw(self.socket)
        self.socket.waiting = [message(counter) for counter in range(1000)]
        self.received: list[Packet] = []
        self.closed = 0
        self.reader = Sample(
            self.reactor,
            self.clock,
            self.raw,
            "eth0",
            Family.IPV6,
            self.received.append,
            self.lost,
        )

    def lost(self) -> None:
        """
        Count.
        """
        self.closed += 1

    def read(self) -> int:
        """
        Let the reactor read for a while.

        @return: How many packets were received.
        """
        for _ in range(10):
            if self.reader in self.reactor.readers:
                self.reader.doRead()
        count = len(self.received)
        self.received.clear()
        return count

    def test_second(self) -> None:
        """
        In each second some packets are read.  A second begins with its first packet.
        """
        verifyObject(IReadDescriptor, self.reader)
        for _ in range(3):
            self.assertEqual((self.read(), self.reactor.readers), (SAMPLE, []))
            self.clock.advance(0.9)
            self.assertEqual(self.read(), 0)
            self.clock.advance(0.1)
        self.socket.waiting = self.socket.waiting[: SAMPLE - 1]
        self.assertEqual(self.read(), SAMPLE - 1)
        self.clock.advance(0.9)
        self.socket.waiting = [message(), message()]
        self.assertEqual(self.read(), 1)
        self.clock.advance(0.1)
        self.assertEqual(self.read(), 1)
        self.clock.advance(1)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.reactor.readers, [self.reader])

    def test_stop(self) -> None:
        """
        After a stop nothing is read, and no timer is left; also if it is stopped by a receiver.
        """
        self.read()
        self.reader.stop()
        self.assertEqual((self.clock.getDelayedCalls(), self.reactor.readers), ([], []))
        self.assertEqual(self.raw.closed, 1)
        other = Sample(
            self.reactor,
            self.clock,
            self.raw,
            "eth0",
            Family.IPV6,
            lambda packet: other.stop(),
            self.lost,
        )
        other.doRead()
        self.assertEqual((self.clock.getDelayedCalls(), self.reactor.readers), ([], []))
        self.assertEqual(self.closed, 0)

    def test_lost(self) -> None:
        """
        It is reported when the reactor gives the socket up.
        """
        self.reader.connectionLost(Failure(ConnectionDone()))
        self.assertEqual((self.closed, self.raw.closed), (1, 1))
