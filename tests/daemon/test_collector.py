"""
Tests for L{txcarp.daemon.collector}.
"""

from __future__ import annotations

import gc

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from txcarp.daemon.collector import INTERVAL, SETTLED, Collector


class FakeCollector:
    """
    Keeps what the module L{gc} would have been asked.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.thresholds = (700, 10, 10)

    def get_threshold(self) -> tuple[int, int, int]:
        return self.thresholds

    def set_threshold(self, *thresholds: int) -> None:
        self.thresholds = thresholds  # type: ignore[assignment]

    def freeze(self) -> None:
        self.asked.append(("freeze",))

    def collect(self, generation: int = 2) -> None:
        self.asked.append(("collect", generation))


class CollectorTests(SynchronousTestCase):
    """
    Tests for L{Collector}.
    """

    def test_full(self) -> None:
        """
        No full collection comes by itself.  What the start made is in none.
        """
        clock, fake = Clock(), FakeCollector()
        collector = Collector(clock, fake)
        collector.startService()
        self.assertEqual(fake.thresholds[:2], (700, 10))
        self.assertGreater(fake.thresholds[2], 10**9)
        self.assertEqual(fake.asked, [("freeze",)])
        clock.advance(SETTLED)
        self.assertEqual(fake.asked[1:], [("collect", 1), ("freeze",)])
        for count in (1, 2):
            clock.advance(INTERVAL)
            self.assertEqual(fake.asked[3:], [("collect", 2)] * count)
        collector.stopService()
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_python(self) -> None:
        """
        With the collector of Python, a cycle that the start made is left alone, and a later one
        is not.
        """
        self.addCleanup(gc.unfreeze)
        self.addCleanup(gc.set_threshold, *gc.get_threshold())
        collector = Collector(Clock())
        collector.startService()
        self.addCleanup(collector.stopService)
        frozen = gc.get_freeze_count()
        self.assertGreater(frozen, 1000)
        cycle: list[object] = []
        cycle.append(cycle)
        del cycle
        self.assertGreaterEqual(gc.collect(), 1)
        self.assertEqual(gc.get_freeze_count(), frozen)

    def test_stopped(self) -> None:
        """
        A collector that was never started stops.
        """
        fake = FakeCollector()
        Collector(Clock(), fake).stopService()
        self.assertEqual(fake.asked, [])
