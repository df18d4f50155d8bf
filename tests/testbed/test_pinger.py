"""
Tests for L{txcarp.testbed.pinger}.
"""

from __future__ import annotations

import select
import struct
import time
from collections.abc import Callable

from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.testbed.fixture import makeTestbed, until
from txcarp.clock.monotonic import MonotonicClock
from txcarp.protocol.checksum import internetChecksum
from txcarp.testbed.pinger import Gap, Pinger, Probe, openPingSocket


class FakeSocket:
    """
    A socket whose network is the test.
    """

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.incoming: list[tuple[bytes, list[tuple[int, int, bytes]], str] | OSError] = []
        self.refusal: OSError | None = None

    def sendto(self, data: bytes, target: tuple[str, int]) -> None:
        """
        Remember a probe, or refuse it.
        """
        self.sent.append(data)
        if self.refusal is not None:
            raise self.refusal

    def recvmsg(
        self, size: int, ancillary: int
    ) -> tuple[bytes, list[tuple[int, int, bytes]], int, tuple[str, int]]:
        """
        The next that arrived.
        """
        if not self.incoming:
            raise BlockingIOError
        arrived = self.incoming.pop(0)
        if isinstance(arrived, OSError):
            raise arrived
        data, control, sender = arrived
        return data, control, 0, (sender, 0)

    def fileno(self) -> int:
        """
        Some descriptor.
        """
        return 99

    def close(self) -> None:
        """
        Nothing to close.
        """

    def reply(self, number: int, sender: str = "10.0.0.1", type: int = 0, options: int = 0) -> None:
        """
        Answer a probe, behind an IPv4 header.
        """
        header = bytes((0x45 + options,)) + bytes(19 + 4 * options)
        self.incoming.append((header + bytes((type,)) + self.sent[number][1:], [], sender))


class FakeReactor(MemoryReactorClock):
    """
    A reactor whose next turn is at once.
    """

    def callFromThread(self, call: Callable[[], object]) -> None:
        """
        See C{IReactorFromThreads}.
        """
        call()


class PingerTests(SynchronousTestCase):
    """
    Pacing and bookkeeping, without a network.
    """

    def setUp(self) -> None:
        """
        A pinger that begins now.
        """
        self.clock = Clock()
        self.socket = FakeSocket()
        self.reactor = FakeReactor()
        self.pinger = self.make()
        self.pinger.start()

    def make(self, keep: int = 100_000) -> Pinger:
        """
        A pinger on the test's clock.
        """
        return Pinger(
            self.reactor,
            self.clock,
            self.socket,  # type: ignore[arg-type]
            "10.0.0.1",
            interval=0.25,
            keep=keep,
        )

    def test_pacing(self) -> None:
        """
        One probe at once, then one an interval.
        """
        self.clock.pump([0.125] * 8)
        self.assertEqual((self.pinger.sent, len(self.socket.sent)), (5, 5))

    def test_packet(self) -> None:
        """
        A probe is an echo request with a good checksum; two differ.
        """
        self.clock.advance(0.25)
        first, second = self.socket.sent
        self.assertEqual(first[:2], b"\x08\0")
        self.assertEqual(internetChecksum(first), 0)
        self.assertNotEqual(first, second)

    def test_replies(self) -> None:
        """
        An answer belongs to its probe; a second one to the same probe is not counted.
        """
        self.clock.pump([0.25, 0.25])
        self.socket.reply(2)
        self.socket.reply(0, options=2)
        self.socket.reply(0)
        self.pinger.doRead()
        self.assertEqual(self.pinger.received, 2)
        answered = [probe.repliedAt is not None for probe in self.pinger.probes]
        self.assertEqual(answered, [True, False, True])

    def test_foreign(self) -> None:
        """
        Answers of others, to others, of other kinds, and rubbish are passed over.
        """
        self.socket.reply(0, sender="10.0.0.2")
        self.socket.reply(0, type=8)
        self.socket.sent.append(struct.pack("!BBHHH8sQ", 0, 0, 0, 0, 0, b"stranger", 0))
        self.socket.reply(1)
        for data in (b"", b"\x45", b"\x4f" * 30, bytes(27)):
            self.socket.incoming.append((data, [], "10.0.0.1"))
        self.socket.incoming.append(OSError("unreachable"))
        self.pinger.doRead()
        self.assertEqual((self.pinger.received, self.socket.incoming), (0, []))

    def test_refusedSend(self) -> None:
        """
        A probe that the kernel does not send is a lost one, and pinging goes on.
        """
        self.socket.refusal = OSError("no route")
        self.clock.advance(0.25)
        self.socket.refusal = None
        self.clock.advance(0.25)
        self.socket.reply(2)
        self.pinger.doRead()
        gap = self.pinger.gaps()
        self.assertEqual((gap.sent, gap.lost, gap.pending), (3, 2, 0))

    def test_bounded(self) -> None:
        """
        No more probes are remembered than asked for, and answers to older ones are
        ignored.
        """
        self.pinger.stop()
        self.pinger = self.make(keep=2)
        self.pinger.start()
        self.clock.pump([0.25] * 3)
        for number in range(1, 5):
            self.socket.reply(number)
        self.pinger.doRead()
        self.assertEqual([probe.sequence for probe in self.pinger.probes], [2, 3])
        self.assertEqual((self.pinger.sent, self.pinger.received), (4, 2))

    def test_stop(self) -> None:
        """
        After its end a pinger neither sends nor reads, and cannot begin again.
        """
        self.pinger.stop()
        self.pinger.stop()
        self.clock.advance(1)
        self.assertEqual(len(self.socket.sent), 1)
        self.assertEqual((self.reactor.getReaders(), self.pinger.fileno()), ([], -1))
        self.assertRaises(ValueError, self.pinger.start)

    def test_pause(self) -> None:
        """
        A pinger that pauses still hears.
        """
        self.pinger.pause()
        self.clock.advance(1)
        self.socket.reply(0)
        self.pinger.doRead()
        self.assertEqual((self.pinger.sent, self.pinger.received), (1, 1))

    def test_descriptorLost(self) -> None:
        """
        A pinger whose descriptor the reactor gives up ends.
        """
        self.pinger.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def gap(self, *probes: tuple[float, float | None], since: float = 0.0) -> Gap:
        """
        What is noticed when probes were sent and answered at these times.
        """
        self.pinger.probes.clear()
        self.pinger.probes.extend(
            Probe(number, sent, replied) for number, (sent, replied) in enumerate(probes)
        )
        return self.pinger.gaps(since)

    def test_gaps(self) -> None:
        """
        The longest silence is between two answers; what is lost was sent before the
        newest answer's probe, what is pending after it.
        """
        gap = self.gap((1.0, 1.5), (2.0, 2.5), (3.0, None), (4.0, 5.5), (5.5, None))
        self.assertEqual(gap, Gap(silence=3.0, startedAt=2.5, lost=1, pending=1, sent=5, pause=1.5))

    def test_disorder(self) -> None:
        """
        Answers that overtake each other make no silence of their own.
        """
        gap = self.gap((1.0, 4.0), (2.0, 2.5), (3.0, 3.5))
        self.assertEqual((gap.silence, gap.startedAt, gap.lost), (1.0, 2.5, 0))

    def test_since(self) -> None:
        """
        A silence counts when it ended after C{since}, also when it began before.
        """
        probes = ((1.0, 1.0), (2.0, None), (6.0, 6.0), (7.0, 7.0), (9.0, 9.0))
        gap = self.gap(*probes, since=5.0)
        self.assertEqual((gap.silence, gap.startedAt, gap.lost, gap.sent), (5.0, 1.0, 0, 3))
        self.assertEqual(self.gap(*probes, since=6.5).silence, 2.0)

    def test_noAnswers(self) -> None:
        """
        With less than two answers no silence is known.
        """
        self.assertEqual(self.gap(), Gap(0.0, None, 0, 0, 0, 0.0))
        self.assertEqual(self.gap((1.0, None), (2.0, None)), Gap(0.0, None, 0, 2, 2, 1.0))


class NetworkTests(TestCase):
    """
    Pinging from node to node.
    """

    timeout = 30.0

    def pinger(self, target: str) -> Pinger:
        """
        A pinger in the client's node.
        """
        from twisted.internet import reactor

        testbed = makeTestbed(self)
        client = testbed.node("client", "10.99.0.3/24", "fd00::3/64")
        self.server = testbed.node("server", "10.99.0.1/24", "fd00::1/64")
        with client.inside():
            sock = openPingSocket(target)
        clock = MonotonicClock(reactor)
        self.addCleanup(clock.stop)
        pinger = Pinger(reactor, clock, sock, target)
        self.addCleanup(pinger.stop)
        pinger.start()
        return pinger

    async def silence(self, target: str) -> None:
        """
        Cut the network for a while, and look at what was noticed.
        """
        pinger = self.pinger(target)
        await until(lambda: pinger.received > 20)
        self.server.cut()
        before = pinger.sent
        await until(lambda: pinger.sent > before + 50)
        cutFor = pinger.probes[-1].sentAt - pinger.probes[before].sentAt
        self.server.heal()
        received = pinger.received
        await until(lambda: pinger.received > received + 5)
        gap = pinger.gaps()
        self.assertGreaterEqual(gap.silence, cutFor)
        self.assertGreaterEqual(gap.lost, 45)

    async def test_silence(self) -> None:
        """
        A network that is cut for a while is a silence of at least that length.
        """
        await self.silence("10.99.0.1")

    async def test_silenceIPv6(self) -> None:
        """
        The same for IPv6.
        """
        await self.silence("fd00::1")

    def test_notAnAddress(self) -> None:
        """
        A target that is not an address is refused by name.
        """
        error = self.assertRaises(ValueError, openPingSocket, "example")
        self.assertIn("'example'", str(error))

    async def test_arrivalTime(self) -> None:
        """
        The time of an answer is when it arrived, however late it is read.
        """
        pinger = self.pinger("10.99.0.1")
        await until(lambda: pinger.received > 3)
        pinger.pause()
        await until(lambda: pinger.received == pinger.sent)
        pinger._probe()
        select.select([pinger], [], [], 10)
        arrived = time.monotonic()
        time.sleep(0.3)
        pinger.doRead()
        probe = pinger.probes[-1]
        assert probe.repliedAt is not None
        self.assertTrue(probe.sentAt < probe.repliedAt < arrived + 0.25)
