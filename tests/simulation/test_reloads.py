"""
A few random reloads; C{python -m tests.simulation.reloads 100000} makes many.
"""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.simulation.edits import Editor, Sensor
from tests.simulation.reloads import LIMITS, Play, played
from txcarp.daemon import reload
from txcarp.interfaces import ICheck


class ReloadTests(SynchronousTestCase):
    """
    Plays with the seeds 0 to 3.
    """

    def setUp(self) -> None:
        self.patch(reload, "checkCapabilities", lambda assign: None)
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()

    def test_played(self) -> None:
        """
        Nothing is wrong at any moment, and all kinds of edits are made.
        """
        report = played(range(4), 75)
        self.assertEqual(report.faults, {})
        self.assertGreaterEqual(report.reloads, 300)
        self.assertEqual(len(report.done), 11)
        self.assertLessEqual(report.longest.get("two masters", 0.0), LIMITS["two masters"])
        self.assertGreater(report.longest["two holders"], 0.0)

    def test_offer(self) -> None:
        """
        A demoted master makes an offer to a backup with another dead ratio, which is not better.
        """
        self.assertEqual(played([1429]).faults, {})

    def test_noticed(self) -> None:
        """
        A fault is noticed: here a host keeps the addresses of a group that it has left.
        """
        Editor.writePasswords(self.directory)
        play = Play(1, self.directory)
        for host in play._hosts:
            self.patch(host.simulated.addresses, "drop", lambda interface, addresses: None)
        faults = []
        try:
            play.run(75)
        except Exception as error:
            faults.append(str(error))
        self.assertEqual(len(faults), 1)
        self.assertRegex(faults[0], "two holders|address without a master")

    def test_sensor(self) -> None:
        """
        The check of the plays is a check.
        """
        self.assertTrue(ICheck.providedBy(Sensor(0, 0, 0)))
