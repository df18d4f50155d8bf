"""
Tests for the figures of the benchmarks, and for the moment at which several of them go on.
"""

from __future__ import annotations

import io
import statistics
from contextlib import redirect_stderr
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from benchmarks import groups
from benchmarks.contestants import ASSIGNING, KEEPALIVED, UCARP, paced
from benchmarks.measuring import attempted, together
from benchmarks.outcomes import Outcome, median
from benchmarks.stage import Cue, entered, isIn
from benchmarks.steadiness import Count
from benchmarks.tables import grid
from tests.lab.daemons import Daemon
from tests.lab.holders import Span


def outcome(silence: Span) -> Outcome:
    """
    The outcome of a fault.
    """
    return Outcome(both=Span(), silence=silence, lost=0, holders="b", resolution=0.0)


class MedianTests(SynchronousTestCase):
    """
    L{benchmarks.outcomes.median}.
    """

    def middle(self, *spans: Span) -> Span:
        """
        The median of some silences.
        """
        return median([outcome(span) for span in spans]).silence

    def test_odd(self) -> None:
        """
        The median of an odd number is the middle one.
        """
        self.assertEqual(self.middle(Span(5.0), Span(1.0), Span(2.0)), Span(2.0))

    def test_even(self) -> None:
        """
        The median of an even number is between the two in the middle.
        """
        seconds = (4.0, 1.0, 2.0, 9.0)
        expected = Span(statistics.median(seconds))
        self.assertEqual(self.middle(*map(Span, seconds)), expected)

    def test_open(self) -> None:
        """
        What had not ended is longer than everything that had.
        """
        last = Span(3.0, open=True)
        self.assertEqual(self.middle(Span(5.0), last, Span(6.0)), Span(6.0))
        self.assertEqual(self.middle(Span(5.0), last), last)


class CueTests(SynchronousTestCase):
    """
    L{benchmarks.stage.Cue}.
    """

    def setUp(self) -> None:
        self.said: list[str] = []
        self.cue = Cue(2, lambda: self.said.append("now"))

    async def measurement(self, name: str, before: Deferred[None]) -> None:
        """
        A measurement that is ready as soon as something has fired.
        """
        with self.cue.place() as ready:
            await before
            await ready()
            self.said.append(name)

    def test_together(self) -> None:
        """
        The measurements go on when the last of them is ready.
        """
        first, second = Deferred[None](), Deferred[None]()
        ended = [
            Deferred.fromCoroutine(self.measurement("first", first)),
            Deferred.fromCoroutine(self.measurement("second", second)),
        ]
        first.callback(None)
        self.assertEqual(self.said, [])
        second.callback(None)
        self.assertEqual(self.said, ["now", "first", "second"])
        for one in ended:
            self.successResultOf(one)

    def test_failed(self) -> None:
        """
        A measurement that fails before it is ready is not waited for.
        """
        first, second = Deferred[None](), Deferred[None]()
        going = Deferred.fromCoroutine(self.measurement("first", first))
        failing = Deferred.fromCoroutine(self.measurement("second", second))
        first.callback(None)
        second.errback(RuntimeError("it did not start"))
        self.assertEqual(self.said, ["now", "first"])
        self.successResultOf(going)
        self.failureResultOf(failing, RuntimeError)


class TogetherTests(SynchronousTestCase):
    """
    L{together} and L{attempted}.
    """

    async def result(self, source: Deferred[str]) -> str:
        """
        A measurement that waits for its result.
        """
        return await source

    def test_ordered(self) -> None:
        """
        The results have the order of the measurements, and not that in which these end.
        """
        first, second = Deferred[str](), Deferred[str]()
        found = Deferred.fromCoroutine(together(map(self.result, (first, second))))
        second.callback("second")
        self.assertNoResult(found)
        first.callback("first")
        self.assertEqual(self.successResultOf(found), ["first", "second"])

    def test_failed(self) -> None:
        """
        A failure is raised when all have ended, so that none goes on with its daemons.
        """
        first, second = Deferred[str](), Deferred[str]()
        found = Deferred.fromCoroutine(together(map(self.result, (first, second))))
        first.errback(RuntimeError("it ended"))
        self.assertNoResult(found)
        second.callback("second")
        self.failureResultOf(found, RuntimeError)

    def test_attempted(self) -> None:
        """
        A measurement that may fail says why, and has no result.
        """
        source = Deferred[str]()
        source.errback(RuntimeError("it ended"))
        with redirect_stderr(io.StringIO()) as written:
            found = Deferred.fromCoroutine(attempted(self.result(source), "ucarp at 1 s"))
        self.assertIsNone(self.successResultOf(found))
        self.assertEqual(written.getvalue(), "ucarp at 1 s: failed: it ended\n")


class StateTests(SynchronousTestCase):
    """
    What the daemons log about their state.
    """

    def test_words(self) -> None:
        """
        The words of ucarp and txcarp, and those of keepalived, are understood.
        """
        for before, after in (
            ("[INFO] Switching to state: BACKUP", "[WARNING] Switching to state: MASTER"),
            ("(benchmark) Entering BACKUP STATE (init)", "(benchmark) Entering MASTER STATE"),
        ):
            daemon = Daemon("a")
            self.assertFalse(isIn(daemon, "BACKUP"))
            daemon.lines += [(0.0, before), (1.0, after), (2.0, "Local advertised ethernet")]
            self.assertTrue(isIn(daemon, "MASTER"))
            self.assertFalse(isIn(daemon, "BACKUP"))
            self.assertEqual(entered(daemon, "MASTER"), 1)


class RateTests(SynchronousTestCase):
    """
    L{benchmarks.steadiness.Count}.
    """

    def test_hourly(self) -> None:
        """
        The rate is for an hour; if nothing was seen, the rule of three bounds it.
        """
        self.assertEqual(Count("txcarp", 0.01, 2, 600.0, 2).hourly, "12")
        self.assertEqual(Count("txcarp", 0.01, 2, 600.0, 0).hourly, "< 18")


class PaceTests(SynchronousTestCase):
    """
    L{benchmarks.contestants.paced}.
    """

    def test_shortest(self) -> None:
        """
        Each program is asked for no interval that it cannot have.
        """
        for interval, able in (
            (1.0, {"txcarp", "ucarp", "keepalived"}),
            (0.01, {"txcarp", "keepalived"}),
            (1 / 256, {"txcarp"}),
        ):
            found = {one.name for one in (ASSIGNING, UCARP, KEEPALIVED) if paced(one, interval)}
            self.assertEqual(found, able)


class GridTests(SynchronousTestCase):
    """
    L{benchmarks.tables.grid}.
    """

    def test_aligned(self) -> None:
        """
        The first column begins at the left, all others end at the right.
        """
        text = grid([["", "quiet", "busy"], ["txcarp", "< 18", "1200"]])
        self.assertEqual(text, "        quiet  busy\n-------------------\ntxcarp   < 18  1200")


class GroupsTests(SynchronousTestCase):
    """
    The table of L{benchmarks.groups}.
    """

    def test_table(self) -> None:
        """
        Programs are compared where they have as many groups; there are columns of the client if
        there was one.
        """
        late = {"p50": 0.0, "p99": 0.002, "worst": 0.003, "moved": 3.0, "memory": 2**20}
        client = {"lost": 0, "losers": 0, "silence": 0.0}
        cells: list[dict[str, Any]] = [
            {"program": program, "groups": count, "load": load, **late, **client}
            for program, count, load in (("txcarp", 1, 0.01), ("ucarp", 1, 0.03), ("ucarp", 9, 0.3))
        ]
        lines = groups.table(cells).splitlines()
        self.assertIn("3.0%   3.0x", lines[3])
        self.assertNotIn("x", lines[4])
        self.assertNotIn("silence", lines[0])
        self.assertIn("silence", groups.table([{**cells[0], "silence": 0.04}]).splitlines()[0])
