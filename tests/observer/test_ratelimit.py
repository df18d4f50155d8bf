"""
Tests of L{txcarp.observer.ratelimit}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txcarp.observer import ratelimit
from txcarp.observer.ratelimit import (
    BURST,
    INTERVAL,
    TOTAL_BURST,
    TOTAL_INTERVAL,
    RateLimiter,
)
from txcarp.observer.reports import Kind, Report


def report(number: int, interface: str = "eth0", kind: Kind = Kind.IGNORED) -> Report:
    """
    A report with a number.
    """
    return Report(kind, float(number), interface, detail=str(number))


class RateLimiterTests(SynchronousTestCase):
    """
    Tests of L{RateLimiter}.
    """

    def setUp(self) -> None:
        self.limiter = RateLimiter()

    def test_few(self) -> None:
        """
        A few reports pass at once.
        """
        for number in range(BURST):
            one = report(number)
            self.assertEqual(self.limiter.admit([one], 0.0), [one])
        self.assertEqual(self.limiter.release(100.0), [])

    def test_many(self) -> None:
        """
        Of many reports the newest passes later, with the number of omitted ones.
        """
        said = self.limiter.admit([report(number) for number in range(100)], 0.0)
        self.assertEqual([one.detail for one in said], [str(number) for number in range(BURST)])
        self.assertEqual(self.limiter.release(INTERVAL - 0.1), [])
        (last,) = self.limiter.release(INTERVAL)
        self.assertEqual((last.detail, last.omitted), ("99", 100 - BURST - 1))
        self.assertEqual(self.limiter.release(INTERVAL + 0.1), [])

    def test_order(self) -> None:
        """
        No report overtakes a waiting one of its kind, even if it could pass.
        """
        self.limiter.admit([report(number) for number in range(BURST + 1)], 0.0)
        self.assertEqual(self.limiter.admit([report(99)], 10 * INTERVAL), [])
        (last,) = self.limiter.release(10 * INTERVAL)
        self.assertEqual((last.detail, last.omitted), ("99", 1))

    def test_each(self) -> None:
        """
        Each kind and interface has a limit of its own.
        """
        self.limiter.admit([report(number) for number in range(100)], 0.0)
        for other in (report(1, "eth1"), report(1, kind=Kind.DOWN)):
            self.assertEqual(self.limiter.admit([other], 0.0), [other])

    def test_all(self) -> None:
        """
        All reports together have a limit, and all pass eventually.
        """
        said = self.limiter.admit([report(n, f"eth{n}") for n in range(2 * TOTAL_BURST)], 0.0)
        self.assertEqual(len(said), TOTAL_BURST)
        self.assertEqual(len(self.limiter.release(10.5 * TOTAL_INTERVAL)), 10)
        rest = self.limiter.release(1000.0)
        self.assertEqual(len(rest), TOTAL_BURST - 10)
        self.assertEqual({one.omitted for one in rest}, {0})

    def test_memory(self) -> None:
        """
        Kinds that have been quiet are forgotten.
        """
        self.patch(ratelimit, "_REMEMBERED", 10)
        for number in range(100):
            self.limiter.admit([report(number, f"eth{number}")], number * 10 * INTERVAL)
            self.limiter.release(number * 10 * INTERVAL)
            self.assertLessEqual(len(self.limiter._usedUp), 11)

    @given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 2)), max_size=60))
    def test_lastWord(self, happened: list[tuple[int, float]]) -> None:
        """
        Every report passes or is counted, and the last one of each kind passes.
        """
        limiter, now, said = RateLimiter(), 0.0, []
        for number, (interface, passed) in enumerate(happened):
            now += passed
            said += limiter.release(now)
            said += limiter.admit([report(number, f"eth{interface}")], now)
        while limiter._waiting:
            now += 1
            said += limiter.release(now)
        self.assertEqual(sum(1 + one.omitted for one in said), len(happened))
        for interface in range(4):
            name = f"eth{interface}"
            numbers = [number for number, (which, _) in enumerate(happened) if which == interface]
            spoken = [int(one.detail) for one in said if one.interface == name]
            self.assertEqual(spoken[-1:], numbers[-1:])
            self.assertEqual(spoken, sorted(spoken))
