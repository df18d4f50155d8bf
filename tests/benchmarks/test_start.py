"""
Tests for L{benchmarks.start}: what its tables say.
"""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.contestants import ASSIGNING, UCARP
from benchmarks.start import brisk, summary, tables


class TableTests(SynchronousTestCase):
    """
    The tables.
    """

    def test_summary(self) -> None:
        """
        The median and the worst of what there is.
        """
        self.assertEqual(summary([3.0, None, 1.0, 2.0]), {"median": 2.0, "worst": 3.0})
        self.assertIsNone(summary([None]))

    def test_daemons(self) -> None:
        """
        A program that says nothing to its service manager has no time for that; memory is compared
        with that of txcarp.
        """
        times = summary([0.2, 0.3, 0.1])
        daemons = [
            {"program": "txcarp", "ready": times, "advertised": times, "memory": 20 << 20},
            {"program": "ucarp", "ready": None, "advertised": times, "memory": 5 << 20},
        ]
        commands = [{"command": "ucarp --help", "seconds": summary([0.004])}]
        lines = [re.split(" {2,}", line) for line in tables(daemons, commands).splitlines()]
        shown = ["200 ms (300 ms)"] * 2
        self.assertEqual(lines[2], ["txcarp", *shown, "20.0 MiB", "-"])
        self.assertEqual(lines[3], ["ucarp", "-", shown[0], "5.0 MiB", "0.25x"])
        self.assertEqual(lines[-1], ["ucarp --help", "4 ms (4 ms)"])


class BriskTests(SynchronousTestCase):
    """
    L{brisk}.
    """

    def test_interval(self) -> None:
        """
        A program that waits for its dead time first does so for a moment only.
        """
        for contestant in (ASSIGNING, UCARP):
            home = Path(self.mktemp())
            home.mkdir()
            words = brisk(contestant).command("10.99.0.1", home)
            self.assertEqual(words[-4:], ["-b", "0", "-k", "1"])
