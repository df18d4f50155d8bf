"""
Tests for L{txcarp.membership.firewall}.
"""

from __future__ import annotations

import attrs
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests import crafted
from tests.fakes import FakeTransport, Journal, configured, runTo
from txcarp.logs.limits import SayOnce
from txcarp.membership.channel import Channel
from txcarp.membership.firewall import FirewallWatch
from txcarp.protocol.envelope import Packet, readPacket
from txcarp.protocol.family import Family

#: Longer than the two sockets may be apart.
MOMENT = 0.05


class FirewallWatchTests(SynchronousTestCase):
    """
    Tests for L{FirewallWatch}.
    """

    def setUp(self) -> None:
        """
        Begin to watch.
        """
        self.clock = Clock()
        self.transport = FakeTransport(Journal(), self.clock)
        self.delivered: list[Packet] = []
        self.good = True
        self.discoveries = 0
        self.watch = FirewallWatch(
            self.clock,
            Channel(configured(), Family.IPV4, self.transport),
            configured(),
            self.deliver,
            SayOnce(self.clock),
        )
        self.patch(self.watch, "_sayDropped", self.discovered)
        self.watch.watch(True)

    def deliver(self, packet: Packet) -> bool:
        """
        Record a packet, and say that it is as good as the test has it.
        """
        self.delivered.append(packet)
        return self.good

    def discovered(self) -> None:
        """
        A packet was found to be dropped.
        """
        self.discoveries += 1

    def wait(self, seconds: float = MOMENT) -> None:
        """
        Let time pass.
        """
        runTo(self.clock, self.clock.seconds() + seconds)

    def packet(self, counter: int, **fields: int) -> Packet:
        """
        One of a series of advertisements.
        """
        return readPacket(crafted.packet(counter=counter, **fields))

    def test_dropped(self) -> None:
        """
        A packet that the raw socket does not show within a moment was dropped:
        it is delivered, and the discovery told.
        """
        self.watch.seen(self.packet(1))
        self.assertEqual(self.delivered, [])
        self.wait()
        self.assertEqual(self.delivered, [self.packet(1)])
        self.assertEqual(self.discoveries, 1)

    def test_fromThenOn(self) -> None:
        """
        From then on packets are delivered at once, without another discovery.
        """
        self.watch.seen(self.packet(1))
        self.wait()
        self.watch.seen(self.packet(2))
        self.assertEqual(self.delivered, [self.packet(1), self.packet(2)])
        self.assertEqual(self.discoveries, 1)

    def test_broken(self) -> None:
        """
        The kernel drops packets whose IP header is wrong, and those are no good
        either: no firewall is blamed for what somebody on the network makes up.
        """
        self.good = False
        self.watch.seen(self.packet(1))
        self.wait()
        self.assertEqual(self.delivered, [self.packet(1)])
        self.assertEqual(self.discoveries, 0)
        self.good = True
        self.watch.seen(self.packet(2))
        self.wait()
        self.assertEqual(self.discoveries, 1)

    def test_readLate(self) -> None:
        """
        A busy host may read the second socket long after the first; the same
        packet is still the same packet.
        """
        self.watch.passed(self.packet(1), expectsSilence=True)
        self.wait(0.5)
        self.watch.seen(self.packet(1))
        self.wait()
        self.assertEqual((self.delivered, self.discoveries), ([], 0))

    def test_overflow(self) -> None:
        """
        The queue of the raw socket may be too full for a packet, or not read
        yet: where others pass the firewall is not blamed, but the packet is
        not lost either.
        """
        self.watch.seen(self.packet(1))
        self.watch.passed(self.packet(2), expectsSilence=True)
        self.wait()
        self.assertEqual((self.delivered, self.discoveries), ([self.packet(1)], 0))
        self.transport.unread = True
        self.watch.seen(self.packet(3))
        self.wait()
        self.assertEqual((self.delivered[1:], self.discoveries), ([self.packet(3)], 0))

    def test_passed(self) -> None:
        """
        A packet that the raw socket shows as well was not dropped, whichever
        socket is read first.
        """
        self.watch.seen(self.packet(1))
        self.watch.passed(self.packet(1), expectsSilence=True)
        self.watch.passed(self.packet(2), expectsSilence=True)
        self.watch.seen(self.packet(2))
        self.wait()
        self.assertEqual(self.delivered, [])
        self.assertEqual(self.discoveries, 0)

    def test_rewritten(self) -> None:
        """
        Both are the same packet also if the header was changed on the way in,
        or bytes follow.
        """
        self.watch.seen(self.packet(1))
        changed = crafted.packet(counter=1, tos=0, identification=5) + b"\0\0"
        self.watch.passed(readPacket(changed), expectsSilence=True)
        self.wait()
        self.assertEqual(self.delivered, [])

    def test_onlySome(self) -> None:
        """
        A firewall may drop one sender and not another.
        """
        good = readPacket(crafted.packet(source="10.99.0.7"))
        bad = readPacket(crafted.packet(source="10.99.0.8"))
        self.watch.seen(good)
        self.watch.seen(bad)
        self.watch.passed(good, expectsSilence=True)
        self.wait()
        self.assertEqual(self.delivered, [bad])

    def test_opened(self) -> None:
        """
        When the raw socket hears again that is the way; a drop after that is
        another discovery.
        """
        self.watch.seen(self.packet(1))
        self.wait()
        self.watch.passed(self.packet(2), expectsSilence=True)
        self.watch.seen(self.packet(2))
        self.wait()
        self.assertEqual(self.delivered, [self.packet(1)])
        self.watch.seen(self.packet(3))
        self.wait()
        self.assertEqual(self.discoveries, 2)

    def test_sameBytes(self) -> None:
        """
        Some hosts (OpenBSD) send the same advertisement for ever: that it
        passed once does not mean that it passes now.
        """
        for _ in range(40):
            self.watch.passed(self.packet(1), expectsSilence=False)
            self.wait(1)
        self.wait(5)
        self.watch.seen(self.packet(1))
        self.wait()
        self.assertEqual(self.delivered, [self.packet(1)])
        self.assertEqual(self.discoveries, 1)

    def test_eachInItsTime(self) -> None:
        """
        Packets that come one after another wait a moment each.
        """
        self.watch.seen(self.packet(1))
        self.wait(0.015)
        self.watch.seen(self.packet(2))
        self.wait(0.01)
        self.assertEqual(len(self.delivered), 1)
        self.watch.passed(self.packet(2), expectsSilence=True)
        self.wait()
        self.assertEqual(len(self.delivered), 1)

    def test_asksForNothing(self) -> None:
        """
        While the raw socket hears the group nothing in front is asked for; it
        is again after as long a silence as was said.
        """
        self.assertTrue(self.transport.front)
        for counter in range(5):
            self.watch.passed(self.packet(counter), expectsSilence=False)
            self.assertFalse(self.transport.front)
            self.wait(1.9)
        self.assertFalse(self.transport.front)
        self.wait(0.1)
        self.assertTrue(self.transport.front)

    def test_looksOn(self) -> None:
        """
        A master, who expects silence, looks on without a pause.
        """
        self.watch.passed(self.packet(1), expectsSilence=True)
        self.assertTrue(self.transport.front)

    def test_bounded(self) -> None:
        """
        A flood in front is held only in part.
        """
        for counter in range(10000):
            self.watch.seen(self.packet(counter % 5000))
        self.assertLessEqual(len(self.clock.getDelayedCalls()), 1)
        self.wait()
        self.assertLess(len(self.delivered), 100)

    def test_stop(self) -> None:
        """
        After the end nothing is delivered, asked for, or left on the clock.
        """
        self.watch.passed(self.packet(1), expectsSilence=False)
        self.watch.watch(True)
        self.watch.seen(self.packet(2))
        self.watch.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertFalse(self.transport.front)
        self.wait(100)
        self.assertEqual(self.delivered, [])

    def test_garbage(self) -> None:
        """
        A payload that is no advertisement is held and compared like one.
        """
        for payload in (b"", b"x", b"\xff" * 30):
            packet = attrs.evolve(self.packet(1), payload=payload)
            self.watch.seen(packet)
            self.watch.passed(packet, expectsSilence=True)
        self.wait()
        self.assertEqual(self.delivered, [])
