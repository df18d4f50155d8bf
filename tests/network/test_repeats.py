"""
Tests for L{txcarp.network.repeats}.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.crafted import packed
from txcarp.network.admission import MOST_PASSING, Omitted
from txcarp.network.repeats import ALL, EACH, TURN, Repeats

A, B = packed("10.99.0.1"), packed("10.99.0.2")

NONE = Omitted()


class RepeatsTests(SynchronousTestCase):
    """
    Tests for L{Repeats}.
    """

    def setUp(self) -> None:
        """
        Begin to count.
        """
        self.clock = Clock()
        self.changes = 0
        self.repeats = Repeats(self.clock, self.changed)

    def changed(self) -> None:
        """
        Count.
        """
        self.changes += 1

    @property
    def omitted(self) -> Omitted:
        """
        What the front need not receive.
        """
        return self.repeats.omitted(frozenset())

    def twice(self, source: bytes, vhid: int = 7, count: int = 1, frontFirst: bool = False) -> None:
        """
        Read packets on both sides of the firewall.
        """
        for _ in range(count):
            if frontFirst:
                self.repeats.seen(source, vhid)
            self.repeats.passed(source, vhid)
            if not frontFirst:
                self.repeats.seen(source, vhid)

    def test_passes(self) -> None:
        """
        When some packets of a sender for one virtual host pass, the next ones are omitted until the
        turn ends, whichever side is read first.
        """
        for frontFirst in (False, True):
            self.twice(A, count=EACH - 1, frontFirst=frontFirst)
            self.twice(A, 8, frontFirst=frontFirst)
            self.assertEqual((self.omitted, self.changes), (NONE, 0))
            self.twice(A, frontFirst=frontFirst)
            self.assertEqual((self.omitted, self.changes), (Omitted(frozenset({(A, 7)})), 1))
            self.clock.advance(TURN)
            self.assertEqual((self.omitted, self.changes), (NONE, 2))
            self.assertEqual(self.clock.getDelayedCalls(), [])
            self.changes = 0

    def test_slow(self) -> None:
        """
        A sender that is slow is never omitted, and costs no timer.
        """
        for _ in range(10 * EACH):
            self.twice(A)
            self.clock.advance(TURN / (EACH - 1) + 0.001)
        self.assertEqual((self.omitted, self.changes), (NONE, 0))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_dropped(self) -> None:
        """
        The packets of a sender that do not pass are never omitted, however many there are, and
        whatever others do.
        """
        self.twice(B, count=100)
        for number in range(5000):
            self.repeats.seen(A, 7)
            self.repeats.seen(number.to_bytes(4), 7)
        self.assertEqual(self.omitted, Omitted(frozenset({(B, 7)})))

    def test_waiting(self) -> None:
        """
        Packets that had waited in front when they were omitted are not looked at, unless their
        sender is known to be dropped.
        """
        for _ in range(EACH):
            self.repeats.passed(A, 7)
            self.assertTrue(self.repeats.seen(A, 7))
        self.assertEqual(self.omitted, Omitted(frozenset({(A, 7)})))
        self.assertFalse(self.repeats.seen(A, 7))
        self.assertTrue(self.repeats.seen(A, 8))
        self.assertTrue(self.repeats.seen(B, 7))
        self.repeats.omitted(frozenset({A}))
        self.assertTrue(self.repeats.seen(A, 7))

    def test_invented(self) -> None:
        """
        When too many senders are invented, the rest is sampled until the turn ends.
        """
        for frontFirst in (False, True):
            for number in range(ALL - 1):
                self.twice(number.to_bytes(4), frontFirst=frontFirst)
            self.assertEqual((self.omitted, self.changes), (NONE, 0))
            self.twice(A, frontFirst=frontFirst)
            self.assertEqual(
                (self.repeats.omitted(frozenset({B})), self.changes),
                (Omitted(missing=frozenset({B}), isSampled=True), 1),
            )
            for number in range(5000):
                self.twice(number.to_bytes(4), frontFirst=frontFirst)
            self.assertEqual(self.changes, 1)
            self.clock.advance(TURN)
            self.assertEqual((self.omitted, self.changes), (NONE, 2))
            self.changes = 0

    def test_several(self) -> None:
        """
        Several senders are omitted one by one.  Those that are too many are sampled.
        """
        for number in range(MOST_PASSING):
            self.twice(number.to_bytes(4), count=2 * EACH)
        self.assertEqual(len(self.omitted.passing), MOST_PASSING)
        self.assertFalse(self.omitted.isSampled)
        self.twice(A, count=ALL)
        self.assertEqual(len(self.omitted.passing), MOST_PASSING)
        self.assertTrue(self.omitted.isSampled)

    def test_more(self) -> None:
        """
        With many virtual hosts, more packets are usual.
        """
        self.repeats.most = 2 * ALL
        for number in range(2 * ALL - 1):
            self.twice(A, number)
        self.assertEqual(self.changes, 0)

    def test_stop(self) -> None:
        """
        After a stop there is no timer, and nothing is omitted.
        """
        self.twice(A, count=EACH)
        self.repeats.stop()
        self.assertEqual((self.clock.getDelayedCalls(), self.omitted), ([], NONE))
        self.repeats.stop()
