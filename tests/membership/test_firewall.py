"""
Tests for L{txcarp.membership.firewall}.
"""

from __future__ import annotations

import attrs
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from tests import crafted
from tests.crafted import packed
from tests.fakes import FakeTransport, Journal, configured, runTo
from txcarp.logs.limits import SayOnce
from txcarp.membership.channel import Channel
from txcarp.membership.firewall import FirewallWatch
from txcarp.protocol.envelope import Packet, readPacket
from txcarp.protocol.family import Family

#: Seconds; longer than the two sockets may be apart.
MOMENT = 0.05


class FirewallWatchTests(SynchronousTestCase):
    """
    Tests for L{FirewallWatch}.
    """

    def setUp(self) -> None:
        """
        Begin to watch the front.
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
        Record a packet, which is valid unless the test says otherwise.
        """
        self.delivered.append(packet)
        return self.good

    def discovered(self) -> None:
        """
        Count the times that a dropped packet was detected.
        """
        self.discoveries += 1

    def wait(self, seconds: float = MOMENT) -> None:
        """
        Let time pass.
        """
        runTo(self.clock, self.clock.seconds() + seconds)

    def packet(self, counter: int, **fields: int) -> Packet:
        """
        Make one of a series of advertisements.
        """
        return readPacket(crafted.packet(counter=counter, **fields))

    def test_dropped(self) -> None:
        """
        A packet that the raw socket does not receive within a moment was dropped: it is delivered,
        and the drop is reported.
        """
        self.watch.seen(self.packet(1))
        self.assertEqual(self.delivered, [])
        self.wait()
        self.assertEqual(self.delivered, [self.packet(1)])
        self.assertEqual(self.discoveries, 1)

    def test_fromThenOn(self) -> None:
        """
        From then on packets are delivered at once, without another report.
        """
        self.watch.seen(self.packet(1))
        self.wait()
        self.watch.seen(self.packet(2))
        self.assertEqual(self.delivered, [self.packet(1), self.packet(2)])
        self.assertEqual(self.discoveries, 1)

    def test_broken(self) -> None:
        """
        A drop of a packet that is not valid is not reported: the kernel itself drops packets with
        a bad IP header, which anyone can send.
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

    def test_otherCulprit(self) -> None:
        """
        The firewall is not blamed where the kernel has another reason to drop the packet, or its
        source is a virtual address.  The reason is logged once a minute.
        """
        for source, why in (
            (crafted.PEER, "rp_filter drops it"),
            (crafted.ADDRESS, "it is a virtual address"),
        ):
            self.clock.advance(60)
            self.transport.culprits = {packed(crafted.PEER): "rp_filter drops it"}
            with capturedLogs() as events:
                for counter in range(3):
                    self.watch.seen(readPacket(crafted.packet(counter=counter, source=source)))
                    self.wait()
            self.assertEqual(self.discoveries, 0)
            self.assertEqual(len(events), 1)
            line = formatEvent(events[0]) or ""
            self.assertIn(source.partition("/")[0], line)
            self.assertIn(why, line)
        self.assertEqual(len(self.delivered), 6)
        self.watch.seen(readPacket(crafted.packet(counter=9, source="10.99.0.44")))
        self.wait()
        self.assertEqual(self.discoveries, 1)

    def test_readLate(self) -> None:
        """
        A packet is recognized even if a busy host reads the second socket long after the first.
        """
        self.watch.passed(self.packet(1), True, expectsSilence=True)
        self.wait(0.5)
        self.watch.seen(self.packet(1))
        self.wait()
        self.assertEqual((self.delivered, self.discoveries), ([], 0))

    def test_overflow(self) -> None:
        """
        The queue of the raw socket may be full, or not read yet.  A packet that is missing
        there is delivered, but no drop is reported if other packets pass or are unread.
        """
        self.watch.seen(self.packet(1))
        self.watch.passed(self.packet(2), True, expectsSilence=True)
        self.wait()
        self.assertEqual((self.delivered, self.discoveries), ([self.packet(1)], 0))
        self.transport.unread = True
        self.watch.seen(self.packet(3))
        self.wait()
        self.assertEqual((self.delivered[1:], self.discoveries), ([self.packet(3)], 0))

    def test_passed(self) -> None:
        """
        A packet that the raw socket receives was not dropped, whichever socket is read first.
        """
        self.watch.seen(self.packet(1))
        self.watch.passed(self.packet(1), True, expectsSilence=True)
        self.watch.passed(self.packet(2), True, expectsSilence=True)
        self.watch.seen(self.packet(2))
        self.wait()
        self.assertEqual(self.delivered, [])
        self.assertEqual(self.discoveries, 0)

    def test_rewritten(self) -> None:
        """
        A packet is recognized even if its header has changed or bytes were added.
        """
        self.watch.seen(self.packet(1))
        changed = crafted.packet(counter=1, tos=0, identification=5) + b"\0\0"
        self.watch.passed(readPacket(changed), True, expectsSilence=True)
        self.wait()
        self.assertEqual(self.delivered, [])

    def test_onlySome(self) -> None:
        """
        A firewall may drop the packets of one sender only.
        """
        good = readPacket(crafted.packet(source="10.99.0.7"))
        bad = readPacket(crafted.packet(source="10.99.0.8"))
        self.watch.seen(good)
        self.watch.seen(bad)
        self.watch.passed(good, True, expectsSilence=True)
        self.wait()
        self.assertEqual(self.delivered, [bad])

    def test_opened(self) -> None:
        """
        When the raw socket receives packets again, the front is not used.  A later drop is
        reported again.
        """
        self.watch.seen(self.packet(1))
        self.wait()
        self.watch.passed(self.packet(2), True, expectsSilence=True)
        self.watch.seen(self.packet(2))
        self.wait()
        self.assertEqual(self.delivered, [self.packet(1)])
        self.watch.seen(self.packet(3))
        self.wait()
        self.assertEqual(self.discoveries, 2)

    def test_sameBytes(self) -> None:
        """
        OpenBSD may send the same bytes each time.  That they passed once does not mean that they
        pass now.
        """
        for _ in range(40):
            self.watch.passed(self.packet(1), True, expectsSilence=False)
            self.wait(1)
        self.wait(5)
        self.watch.seen(self.packet(1))
        self.wait()
        self.assertEqual(self.delivered, [self.packet(1)])
        self.assertEqual(self.discoveries, 1)

    def test_eachInItsTime(self) -> None:
        """
        Each of several packets is held for a moment of its own.
        """
        self.watch.seen(self.packet(1))
        self.wait(0.015)
        self.watch.seen(self.packet(2))
        self.wait(0.01)
        self.assertEqual(len(self.delivered), 1)
        self.watch.passed(self.packet(2), True, expectsSilence=True)
        self.wait()
        self.assertEqual(len(self.delivered), 1)

    def test_asksForNothing(self) -> None:
        """
        While the raw socket receives packets, the front is not watched.  It is watched again
        after two intervals of silence.
        """
        self.assertTrue(self.transport.front)
        for counter in range(5):
            self.watch.passed(self.packet(counter), True, expectsSilence=False)
            self.assertFalse(self.transport.front)
            self.wait(1.9)
        self.assertFalse(self.transport.front)
        self.wait(0.1)
        self.assertTrue(self.transport.front)

    def test_looksOn(self) -> None:
        """
        A master, which expects silence, continues to watch the front.
        """
        self.watch.passed(self.packet(1), True, expectsSilence=True)
        self.assertTrue(self.transport.front)

    def test_bounded(self) -> None:
        """
        Only a part of a flood in front is held.
        """
        for counter in range(10000):
            self.watch.seen(self.packet(counter % 5000))
        self.assertLessEqual(len(self.clock.getDelayedCalls()), 1)
        self.wait()
        self.assertLess(len(self.delivered), 100)

    def test_stop(self) -> None:
        """
        After a stop no packet is delivered, the front is not watched, and no timer is left.
        """
        self.watch.passed(self.packet(1), True, expectsSilence=False)
        self.watch.watch(True)
        self.watch.seen(self.packet(2))
        self.watch.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertFalse(self.transport.front)
        self.wait(100)
        self.assertEqual(self.delivered, [])

    def test_garbage(self) -> None:
        """
        A payload that is no advertisement is held and compared, too.
        """
        for payload in (b"", b"x", b"\xff" * 30):
            packet = attrs.evolve(self.packet(1), payload=payload)
            self.watch.seen(packet)
            self.watch.passed(packet, True, expectsSilence=True)
        self.wait()
        self.assertEqual(self.delivered, [])

    def test_badOnesPass(self) -> None:
        """
        That bad packets pass does not prove that those of the master do: the front is watched after
        a silence of good ones, and good packets that do not pass are delivered at once.
        """
        self.watch.passed(self.packet(1), True, expectsSilence=False)
        self.assertFalse(self.transport.front)
        for counter in range(100):
            self.wait(0.1)
            self.watch.passed(self.packet(100 + counter), False, expectsSilence=False)
        self.assertTrue(self.transport.front)
        self.wait(1)
        self.watch.seen(self.packet(2))
        self.wait()
        self.assertEqual((self.delivered, self.discoveries), ([self.packet(2)], 1))
        self.watch.passed(self.packet(300), False, expectsSilence=False)
        self.watch.seen(self.packet(3))
        self.assertEqual(self.delivered, [self.packet(2), self.packet(3)])
        self.assertTrue(self.transport.front)

    def test_missing(self) -> None:
        """
        The transport is told whose good packets do not pass, until one of them passes, or the front
        is not watched any more.
        """
        peer, other = (
            readPacket(crafted.packet(source=one)) for one in (crafted.PEER, "10.99.0.9")
        )
        for one in peer, other:
            self.watch.seen(one)
            self.wait()
        sources = packed(crafted.PEER), packed("10.99.0.9")
        self.assertEqual(self.transport.missingInFront, frozenset(sources))
        self.watch.passed(peer, False, expectsSilence=True)
        self.assertEqual(self.transport.missingInFront, frozenset(sources))
        self.watch.passed(peer, True, expectsSilence=True)
        self.assertEqual(self.transport.missingInFront, frozenset(sources[1:]))
        self.watch.passed(peer, True, expectsSilence=False)
        self.assertEqual(self.transport.missingInFront, frozenset())

    def test_missingBad(self) -> None:
        """
        Senders of bad packets are not named, and no more than a few of good ones.
        """
        self.good = False
        self.watch.seen(self.packet(1))
        self.wait()
        self.assertEqual(self.transport.missingInFront, frozenset())
        self.good = True
        for number in range(1, 100):
            self.watch.seen(readPacket(crafted.packet(source=f"10.99.1.{number}")))
            self.wait()
        self.assertEqual(len(self.transport.missingInFront), 8)
