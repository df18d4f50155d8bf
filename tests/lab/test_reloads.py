"""
A few random reloads of two daemons; C{python -m benchmarks.reloads 1000} makes many.
"""

from __future__ import annotations

from twisted.internet import reactor

from benchmarks.reloads import measure
from tests.lab.world import LabTestCase


class ReloadTests(LabTestCase):
    """
    Two daemons whose files change all the time, with pings of what does not change.
    """

    needsUcarp = False

    async def test_reloads(self) -> None:
        """
        Nothing is wrong.
        """
        figures = await measure(reactor, 20, 5)
        for line in figures.lines():
            self.report(line)
        self.assertEqual(figures.faults, [])
        self.assertGreaterEqual(figures.reloads, 20)
        self.assertGreater(figures.probes, 1000)
