"""
Tests for L{txcarp.logs.limits}.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from txcarp.logs.limits import SayOnce


class SayOnceTests(SynchronousTestCase):
    """
    Tests for L{SayOnce}.
    """

    def setUp(self) -> None:
        """
        Make a limit of three keys and one minute.
        """
        self.clock = Clock()
        self.once = SayOnce(self.clock, 60, 3)

    def test_counts(self) -> None:
        """
        After a line the next is logged when the interval has passed, and it is told
        how many were omitted.
        """
        self.assertEqual([self.once.ready("a") for _ in range(4)], [0, None, None, None])
        self.clock.advance(59.5)
        self.assertIsNone(self.once.ready("a"))
        self.clock.advance(0.5)
        self.assertEqual([self.once.ready("a") for _ in range(2)], [4, None])
        self.clock.advance(200)
        self.assertEqual(self.once.ready("a"), 1)

    def test_keys(self) -> None:
        """
        Keys do not disturb each other.
        """
        self.assertEqual(self.once.ready("a"), 0)
        self.assertEqual(self.once.ready(("b", 1)), 0)
        self.assertIsNone(self.once.ready("a"))

    def test_full(self) -> None:
        """
        A new key is not logged while all remembered keys are in their interval;
        then it takes the place of the key that was logged longest ago.
        """
        for key in "abc":
            self.assertEqual(self.once.ready(key), 0)
            self.clock.advance(10)
        self.assertIsNone(self.once.ready("d"))
        self.clock.advance(30)
        self.assertEqual(self.once.ready("d"), 0)
        self.assertIsNone(self.once.ready("a"))
        self.assertIsNone(self.once.ready("b"))

    def test_countWhileFull(self) -> None:
        """
        Omitted lines are counted while there is no room for another key.
        """
        for key in "abca":
            self.once.ready(key)
        self.clock.advance(60)
        self.assertEqual(self.once.ready("a"), 1)

    def test_loggedAgainIsNotOldest(self) -> None:
        """
        A key that was logged again is no longer the oldest.
        """
        for key in "abc":
            self.once.ready(key)
            self.clock.advance(20)
        self.once.ready("a")
        self.clock.advance(20)
        self.assertEqual(self.once.ready("d"), 0)
        self.assertIsNone(self.once.ready("a"))

    @settings(deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 20)), max_size=200))
    def test_bounded(self, history: list[tuple[int, int]]) -> None:
        """
        For any keys, memory is bounded, and so is the number of lines in any
        interval.
        """
        clock = Clock()
        once = SayOnce(clock, 60, 3)
        said: list[float] = []
        for key, pause in history:
            clock.advance(pause)
            if once.ready(key) is not None:
                said.append(clock.seconds())
            self.assertLessEqual(len(once._lines), 3)
        for first, fourth in zip(said, said[3:], strict=False):
            self.assertGreaterEqual(fourth - first, 60)
