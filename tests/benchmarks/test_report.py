"""
Tests for L{benchmarks.report}.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from benchmarks import report
from benchmarks.scenes import FAULTS

_DOCUMENT = Path(report.__file__).parent.parent / "docs" / "measurements.rst"

#: What L{benchmarks.attacks} may print.
_ATTACKS = {
    "programs": [],
    "cells": [
        {"attack": "255/255 as the master", "pair": pair, "stopped": True}
        for pair in ("learn", "ucarp")
    ],
}

#: What is in the paragraphs that are not always the same.
_VARYING = ("* -", "list-table", "Measured on", "the median of")


def lasting(seconds: float, isOpen: bool = False) -> dict[str, Any]:
    """
    A span of time as the benchmarks print it.
    """
    return {"seconds": seconds, "open": isOpen}


def fault(silence: dict[str, Any], both: dict[str, Any]) -> dict[str, Any]:
    """
    A cell of L{benchmarks.faults}.
    """
    cell: dict[str, Any] = {"fault": "SIGKILL", "program": "txcarp", "resolution": 0.02}
    return {**cell, "silence": silence, "both": both}


class WordsTests(SynchronousTestCase):
    """
    What the cells say.
    """

    def test_consequence(self) -> None:
        """
        The time without an answer, and that with the address on two hosts if it matters.
        """
        none = lasting(0.0)
        for silence, both, expected in (
            (lasting(0.0003), none, "0"),
            (lasting(0.0066), lasting(0.05), "7 ms"),
            (lasting(2.94), none, "2.9 s"),
            (lasting(6.0, True), none, "for good"),
            (none, lasting(4.0), "0; on two hosts for 4.0 s"),
            (none, lasting(4.0, True), "0; on two hosts for good"),
        ):
            self.assertEqual(report.consequence(fault(silence, both)), expected)
        self.assertEqual(report.consequence(None), "")

    def test_harm(self) -> None:
        """
        An attack that is stopped does nothing, also if a death is part of it.
        """
        cell = {"stopped": False, "nobody": lasting(7.0, True), "both": lasting(0.77)}
        self.assertEqual(report.harm(cell), "no master for good; two masters for 770 ms")
        self.assertEqual(report.harm({**cell, "stopped": True}), "nothing")


class DocumentTests(SynchronousTestCase):
    """
    The chapter.
    """

    def test_everyFault(self) -> None:
        """
        Every fault that is measured has words for people.
        """
        self.assertEqual(set(report._FAULTS), {fault.name for fault in FAULTS})

    def test_made(self) -> None:
        """
        Programs are columns, and faults are rows; a program without a fault has an empty cell.
        """
        cells = [
            fault(lasting(0.003), lasting(0.0)),
            {**fault(lasting(3.1), lasting(0.0)), "fault": "power off", "program": "ucarp"},
        ]
        text = report.measurements({"programs": ["txcarp 1"], "cells": cells}, _ATTACKS, 5)
        self.assertIn("   * - the daemon is killed\n     - 3 ms\n     -\n", text)
        self.assertIn("   * - the power fails\n     -\n     - 3.1 s\n", text)
        self.assertIn("the median of 5 runs. The machine paused for\n20 ms at most", text)
        self.assertIn("with txcarp 1.\n", text)
        self.assertIn("a bow-out, once a second\n     - nothing\n     - nothing\n", text)

    def test_written(self) -> None:
        """
        The chapter of the manual is one that this program has written.
        """
        text = _DOCUMENT.read_text(encoding="utf-8")
        cells = [fault(lasting(1.0), lasting(0.0))]
        like = report.measurements({"programs": [], "cells": cells}, _ATTACKS, 3)
        for part in like.split("\n\n"):
            if not any(words in part for words in _VARYING):
                self.assertIn(part, text)
