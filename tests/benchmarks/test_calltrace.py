"""
Tests for the tables of L{benchmarks.calltrace}.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.calltrace import KINDS, SCENES, Trace, callsTable, timesTable


def _found(checkout: str, microseconds: float) -> dict[str, Any]:
    """
    What is found in a checkout of which each packet takes so long.
    """
    figures = {"calls": 34, "functions": 32, "files": 13, "changesOfFile": 19}
    traced = {"own": figures, "all": figures, "list": ["a.py:f"]}
    times = {"least": microseconds, "median": microseconds + 1, "reading alone": 1.1}
    return {
        "checkout": checkout,
        "scenes": dict.fromkeys(SCENES, traced),
        "microseconds": dict.fromkeys(KINDS, times),
    }


class TablesTests(SynchronousTestCase):
    """
    Tests for the tables.
    """

    def test_calls(self) -> None:
        """
        There are two lines for each scene, and the calls if they are wanted.
        """
        found = [_found("/here/one", 10.0)]
        head, first, *_ = table = callsTable(found, False).splitlines()
        self.assertEqual(head.split()[:3], ["one", "calls", "functions"])
        self.assertEqual(first.split()[-4:], ["34", "32", "13", "19"])
        self.assertEqual(len(table), 1 + 2 * len(SCENES))
        self.assertEqual(callsTable(found, True).count("    a.py:f\n"), len(SCENES) - 1)

    def test_times(self) -> None:
        """
        There is a line for each kind of packet and checkout, and a ratio of two checkouts.
        """
        one, other = _found("/here/one", 10.0), _found("/here/other", 5.0)
        head, *lines = timesTable([one]).splitlines()
        self.assertTrue(head.endswith("reading alone"))
        figures = [line.split()[-3:] for line in lines]
        self.assertEqual(figures, [["10.0", "11.0", "1.1"]] * len(KINDS))
        _, first, second, *_ = timesTable([one, other]).splitlines()
        self.assertEqual(first.split()[-4:], ["one", "10.0", "11.0", "1.1"])
        self.assertEqual(second.split()[-6:], ["other", "5.0", "6.0", "1.1", "ratio", "0.50"])

    def test_changes(self) -> None:
        """
        A scene begins when the reactor reads a descriptor, and calls of the clock do not count.
        """
        trace = Trace(Path("/nowhere"))

        def turn() -> None:
            trace.calls += [
                ("clock/monotonic.py", "MonotonicClock.seconds"),
                ("a.py", "Reader.doRead"),
                ("clock/monotonic.py", "MonotonicClock.seconds"),
                ("b.py", "f"),
                ("b.py", "f"),
                ("a.py", "g"),
            ]

        trace.record(turn)
        own = {"calls": 4, "functions": 3, "files": 2, "changesOfFile": 2}
        summary = trace.summary()
        self.assertEqual(summary["own"], own)
        self.assertEqual(summary["all"]["calls"], 5)
        self.assertEqual(summary["list"][0], "a.py:Reader.doRead")
