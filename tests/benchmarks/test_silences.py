"""
Tests for L{benchmarks.silences}: which pairs there are, and what the table says of them.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import redirect_stderr
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from benchmarks import silences
from benchmarks.contestants import CONTESTANTS
from benchmarks.outcomes import Outcome
from benchmarks.scenes import PROBED, SILENCES
from benchmarks.silences import RHYTHMS, Pair, batches, cells, interval, pairs, ratio
from tests.lab.holders import Span

_POWER = SILENCES[0]
_NONE = Span()


def outcome(silence: float, both: Span = _NONE) -> Outcome:
    """
    The outcome of a fault.
    """
    return Outcome(both=both, silence=Span(silence), lost=0, holders="b", resolution=0.0)


def figures(outcomes: Mapping[str, list[Outcome]]) -> list[dict[str, Any]]:
    """
    The cells of a power cut with an advertisement each second, by the names of the programs.
    """
    return cells({Pair(_POWER, name, 1.0): runs for name, runs in outcomes.items()}, ["1 s"])


class PairTests(SynchronousTestCase):
    """
    What is measured.
    """

    def test_intervals(self) -> None:
        """
        Each program has the rhythms that it can have; the fastest is its own.
        """
        self.assertEqual([interval("ucarp", rhythm) for rhythm in RHYTHMS], [1.0, None, None, 1.0])
        self.assertEqual(interval("keepalived", "fastest"), 0.01)
        self.assertEqual(interval("txcarp", "fastest"), 1 / 256)

    def test_once(self) -> None:
        """
        A pair is measured once, even if it stands in two rows.
        """
        found = pairs(CONTESTANTS, list(RHYTHMS), [_POWER])
        names = sorted((one.program, one.interval) for one in found)
        self.assertEqual(len(names), len(set(names)))
        self.assertEqual([one for one in names if one[0] == "ucarp"], [("ucarp", 1.0)])
        whole = {one: [outcome(1.0)] for one in found}
        rows = [one["rhythm"] for one in cells(whole, list(RHYTHMS)) if one["program"] == "ucarp"]
        self.assertEqual(rows, ["1 s", "fastest"])

    def test_probe(self) -> None:
        """
        A probe is measured where there is one advertisement each second, and with txcarp only.
        """
        [pair] = pairs(CONTESTANTS, list(RHYTHMS), [PROBED])
        self.assertEqual((pair.program, pair.interval), ("txcarp", 1.0))

    def test_batches(self) -> None:
        """
        Pairs that run at the same time have one rhythm; all pairs are in one batch each.
        """
        everything = pairs(CONTESTANTS, list(RHYTHMS), SILENCES)
        found = list(batches(everything, 7))
        self.assertCountEqual([one for batch in found for one in batch], everything)
        for batch in found:
            [seconds] = {one.interval for one in batch}
            self.assertLessEqual(len(batch), 7 if seconds >= 0.1 else 3)


class TableTests(SynchronousTestCase):
    """
    What the table says.
    """

    def ratio(self, own: Outcome, theirs: Outcome) -> float | None:
        """
        How many times longer the silence of ucarp is.
        """
        first, second = figures({"txcarp": [own], "ucarp": [theirs]})
        return ratio(second, first)

    def test_ratio(self) -> None:
        """
        Silences are compared; none counts as shorter than the time between two probes.
        """
        self.assertEqual(self.ratio(outcome(0.5), outcome(2.0)), 4.0)
        self.assertEqual(self.ratio(outcome(0.0), outcome(2.0)), 1000.0)

    def test_noRatio(self) -> None:
        """
        A host that answers beside another is not faster.
        """
        self.assertIsNone(self.ratio(outcome(0.5), outcome(0.0, Span(3.0, open=True))))
        [own] = figures({"txcarp": [outcome(0.5)]})
        self.assertIsNone(ratio(None, own))
        [_, unsteady] = figures({"txcarp": [outcome(0.5)], "ucarp": []})
        self.assertIsNone(ratio(unsteady, own))

    def test_table(self) -> None:
        """
        The median, the worst, and two holders; what a program cannot do, or did not do.
        """
        runs = {
            "txcarp": [outcome(0.002), outcome(0.004), outcome(0.003)],
            "ucarp": [outcome(0.0, Span(3.0, open=True))],
            "keepalived": [],
        }
        line = silences.table(figures(runs)).splitlines()[-1]
        self.assertIn("3 ms (4 ms)", line)
        self.assertIn("0 ms (0 ms), two 3.00 s + (3.00 s +)", line)
        self.assertIn("unsteady", line)

    def test_cannot(self) -> None:
        """
        A rhythm that a program does not have.
        """
        found = {Pair(_POWER, name, 1.0): [outcome(1.0)] for name in ("txcarp", "ucarp")}
        found[Pair(_POWER, "txcarp", 0.1)] = [outcome(0.1)]
        line = silences.table(cells(found, ["1 s", "100 ms"])).splitlines()[-1]
        self.assertIn("cannot", line)


class ArgumentTests(SynchronousTestCase):
    """
    The command line.
    """

    def test_wrong(self) -> None:
        """
        Wrong values are refused by name.
        """
        for arguments, words in (
            (["--rhythms", "2 s"], "--rhythms 2 s: expected some of 1 s,100 ms,10 ms,fastest"),
            (["--only", "vrrpd"], "--only vrrpd"),
            (["--faults", "flood"], "--faults flood: expected words in power off"),
            (["--repeats", "0"], "--repeats 0"),
        ):
            with redirect_stderr(io.StringIO()) as written:
                error = self.assertRaises(SystemExit, silences.parse, arguments)
            self.assertEqual(error.code, 2)
            self.assertIn(words, written.getvalue())
