"""
Tests of L{txcarp.observer.ear}.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import Any, cast

from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests import crafted
from txcarp.observer.ear import Ear
from txcarp.observer.reports import Kind
from txcarp.protocol.envelope import readPacket

_FOUR, _SIX = crafted.packet(), crafted.packet6()


class FakeReactor:
    """
    A reactor that records its readers.
    """

    def __init__(self) -> None:
        self.readers: list[object] = []

    def addReader(self, reader: object) -> None:
        self.readers.append(reader)

    def removeReader(self, reader: object) -> None:
        if reader in self.readers:
            self.readers.remove(reader)

    def callFromThread(self, call: Callable[[], object]) -> None:
        call()


class FakeSocket:
    """
    A socket with some packets, and an error after them.
    """

    def __init__(self) -> None:
        self.packets: list[tuple[bytes, int]] = []
        self.error: OSError = BlockingIOError()
        self.closed = False

    def recvmsg(self, size: int, ancillary: int) -> tuple[bytes, list[Any], int, tuple[Any, ...]]:
        if not self.packets:
            raise self.error
        packet, ethertype = self.packets.pop(0)
        return packet, [], 0, ("eth0", ethertype, 4, 1, b"\2\0\0\0\0\1")

    def fileno(self) -> int:
        return 77

    def close(self) -> None:
        self.closed = True


class EarTests(SynchronousTestCase):
    """
    Tests of L{Ear}, with this test as the watch.
    """

    def setUp(self) -> None:
        self.clock, self.reactor = Clock(), FakeReactor()
        self.told: list[object] = []
        self.sockets: list[FakeSocket] = []
        self.trouble = 0
        reactor, watch = cast(Any, self.reactor), cast(Any, self)
        self.ear = Ear(reactor, self.clock, "eth0", watch, self.told.extend, self.open)

    def open(self, interface: str) -> socket.socket:
        self.assertEqual(interface, "eth0")
        if self.trouble:
            raise OSError(self.trouble, "trouble")
        self.sockets.append(FakeSocket())
        return cast(socket.socket, self.sockets[-1])

    def heard(self, *packet: object) -> list[object]:
        return [packet]

    def listens(self, now: float, interface: str) -> list[object]:
        return ["listens"]

    def deafened(self, now: float, interface: str, kind: Kind) -> list[object]:
        return [kind]

    def lose(self) -> None:
        """
        Let the interface go down, as the reactor reports it.
        """
        self.ear.connectionLost(Failure(ConnectionLost()))

    def test_packets(self) -> None:
        """
        Packets with an IP ethertype and an IP header are reported, a limited number in one turn
        of the reactor.
        """
        verifyObject(IReadDescriptor, self.ear)
        self.ear.start()
        self.assertEqual((self.reactor.readers, self.ear.fileno()), ([self.ear], 77))
        self.sockets[0].packets = [
            (_FOUR, 0x0800),
            (_FOUR, 0x8100),
            (b"", 0x0800),
            (b"nonsense", 0x0800),
            (_SIX, 0x86DD),
        ]
        self.ear.doRead()
        first, *arrivals = self.told
        self.assertEqual(first, "listens")
        self.assertEqual(
            arrivals,
            [(0.0, "eth0", readPacket(data), b"\2\0\0\0\0\1", True) for data in (_FOUR, _SIX)],
        )
        self.sockets[0].packets = [(_FOUR, 0x0800)] * 1000
        self.ear.doRead()
        self.assertGreater(len(self.sockets[0].packets), 900)

    def test_down(self) -> None:
        """
        An interface that went down is listened to again once it is up.
        """
        self.ear.start()
        self.trouble = errno.ENETDOWN
        self.lose()
        self.assertEqual((self.reactor.readers, self.ear.fileno()), ([], -1))
        self.assertTrue(self.sockets[0].closed)
        self.clock.pump([1.0] * 5)
        self.trouble = 0
        self.clock.advance(1.0)
        self.assertEqual(self.told, ["listens", *[Kind.DOWN] * 6, "listens"])
        self.assertEqual(self.reactor.readers, [self.ear])

    def test_readError(self) -> None:
        """
        An error while reading has the same effect as one from the reactor.
        """
        self.ear.start()
        self.trouble = errno.ENODEV
        self.sockets[0].error = OSError(errno.ENETDOWN, "down")
        self.ear.doRead()
        self.assertEqual(self.told, ["listens", Kind.GONE])
        self.assertTrue(self.sockets[0].closed)

    def test_blink(self) -> None:
        """
        If the interface is up again at once, it is listened to at once.
        """
        self.ear.start()
        self.lose()
        self.assertEqual(self.told, ["listens", "listens"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_downAtStart(self) -> None:
        """
        An interface that is down at the start is waited for.
        """
        self.trouble = errno.ENETDOWN
        self.ear.start()
        self.assertEqual(self.told, [Kind.DOWN])
        self.trouble = 0
        self.clock.advance(1.0)
        self.assertEqual(self.told, [Kind.DOWN, "listens"])

    def test_cannotStart(self) -> None:
        """
        An interface that does not exist at the start is an error.
        """
        self.trouble = errno.ENODEV
        self.assertRaises(OSError, self.ear.start)
        self.assertEqual((self.told, self.clock.getDelayedCalls()), ([], []))

    def test_stop(self) -> None:
        """
        L{Ear.stop} leaves no reader and no timer, whether or not the interface is up.
        """
        self.ear.start()
        self.ear.stop()
        self.lose()
        self.assertTrue(self.sockets[0].closed)
        self.assertEqual((self.reactor.readers, self.told), ([], ["listens"]))
        self.ear.start()
        self.trouble = errno.ENETDOWN
        self.lose()
        self.ear.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopWhileReading(self) -> None:
        """
        If a packet causes a stop, no further packet is read.
        """
        self.ear.start()
        self.sockets[0].packets = [(_FOUR, 0x0800)] * 2
        self.patch(self, "heard", lambda *packet: self.ear.stop() or [])
        self.ear.doRead()
        self.assertEqual(len(self.sockets[0].packets), 1)
