"""
Tests of L{txcarp.observer.sealjudge}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txcarp.observer.sealjudge import SealJudge
from txcarp.protocol.seal import EPOCH, Fields, Seal, Ticks

_WALL = EPOCH + 2e8
_COUNTERS = st.integers(0, 2**64 - 1)


class Sender:
    """
    A host that seals.
    """

    def __init__(self) -> None:
        self.ticks = Ticks()
        self.seal = Seal(b"secret", 7)

    def counter(self, now: float) -> int:
        tick = self.ticks.next(_WALL + now, now)
        assert tick is not None
        return self.seal.counter(tick, Fields(1, 0), b"\x0a\0\0\1")


class JudgeTests(SynchronousTestCase):
    """
    Tests of L{SealJudge}.
    """

    def setUp(self) -> None:
        self.judge = SealJudge()

    @given(st.lists(st.floats(1 / 256, 300), min_size=4, max_size=12))
    def test_sealed(self, gaps: list[float]) -> None:
        """
        Sealed counters look sealed after the fourth, at any rate of advertisements.
        """
        judge, sender, now = SealJudge(), Sender(), 0.0
        for number, gap in enumerate(gaps):
            self.assertIs(judge.sealed, True if number > 3 else None)
            now += gap
            judge.saw(now, sender.counter(now))
        self.assertIs(judge.sealed, True)

    @given(st.lists(_COUNTERS, min_size=5, max_size=12, unique=True))
    def test_random(self, counters: list[int]) -> None:
        """
        Random counters never look sealed.
        """
        judge = SealJudge()
        for number, counter in enumerate(counters):
            # Draws of hypothesis are not as random as a host's.
            judge.saw(float(number), (counter * 0x9E3779B97F4A7C15) % 2**64)
            self.assertIsNot(judge.sealed, True)

    @given(_COUNTERS, st.integers(0, 1), st.floats(0.1, 60))
    def test_counting(self, first: int, step: int, interval: float) -> None:
        """
        Counters that count, or are constant, look unsealed after the third.
        """
        judge = SealJudge()
        for number in range(3):
            self.assertIsNone(judge.sealed)
            judge.saw(number * interval, (first + number * step) % 2**64)
        self.assertIs(judge.sealed, False)

    def sealed(self) -> Sender:
        sender = Sender()
        for now in range(5):
            self.judge.saw(float(now), sender.counter(float(now)))
        self.assertIs(self.judge.sealed, True)
        return sender

    def test_replay(self) -> None:
        """
        Occasional replayed packets do not make a host look unsealed.
        """
        sender = self.sealed()
        old = sender.counter(5.0)
        for now in range(6, 20, 2):
            self.judge.saw(float(now), sender.counter(float(now)))
            self.judge.saw(now + 0.5, old)
        self.assertIs(self.judge.sealed, True)

    def test_leap(self) -> None:
        """
        A leap into the future, caused by a host with another clock, does not either.
        """
        sender = self.sealed()
        sender.ticks.heard(sender.ticks.last + 10**9, 4.0)
        for now in range(5, 10):
            self.judge.saw(float(now), sender.counter(float(now)))
            self.assertIs(self.judge.sealed, True)

    def test_noMore(self) -> None:
        """
        Two unsealed counters in a row make a host look unsealed, and four sealed ones sealed
        again.
        """
        self.sealed()
        self.judge.saw(5.0, 17)
        self.assertIs(self.judge.sealed, True)
        self.judge.saw(6.0, 18)
        self.assertIs(self.judge.sealed, False)
        sender = Sender()
        for now in range(7, 11):
            self.assertIs(self.judge.sealed, False)
            self.judge.saw(float(now), sender.counter(float(now)))
        self.assertIs(self.judge.sealed, True)
