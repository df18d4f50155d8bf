"""
Simulated groups whose hosts do not run for a while.
"""

from __future__ import annotations

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from tests.simulation.segment import LATENCY, Computer, Segment
from txcarp.protocol.effects import Reason, Role


def nap(segment: Segment, computer: Computer, seconds: float) -> None:
    """
    Keep a computer from running for some seconds.
    """
    computer.freeze()
    segment.run(seconds)
    computer.thaw()


class BusyMasterTests(SynchronousTestCase):
    """
    A master without an advbase on a busy host, whose beats are late by several intervals.
    """

    def test_nobodyElse(self) -> None:
        """
        No pause that is shorter than the dead time of the backup changes the master, however
        often it happens.
        """
        for dialect, advskew, other in (
            ("ucarp", 2, 100),
            ("ucarp", 9, 100),
            ("openbsd", 0, 30),
            ("openbsd", 2, 30),
        ):
            segment = Segment()
            master = segment.add("10.99.0.1", advbase=0, advskew=advskew, dialect=dialect)
            master.start()
            segment.run(1)
            backup = segment.add("10.99.0.2", advbase=0, advskew=other, dialect=dialect)
            backup.start()
            for pause in range(100):
                segment.run(0.3)
                nap(segment, master, 0.012 + pause / 400)
            self.assertEqual(segment.masters(), [master], (dialect, advskew))
            self.assertEqual(len(segment.reigns), 1, (dialect, advskew))

    def test_replaced(self) -> None:
        """
        A master that was replaced while it did not run hears that before it does anything.  If
        the other host is preferred, it stays master; otherwise it yields at once.
        """
        for other, winner in ((15, 1), (30, 0)):
            segment = Segment()
            hosts = [
                segment.add(f"10.99.0.{number}", advbase=0, advskew=advskew, dialect="openbsd")
                for number, advskew in ((1, 20), (2, other))
            ]
            hosts[0].start()
            segment.run(1)
            hosts[1].start()
            segment.run(1)
            self.assertEqual(segment.masters(), [hosts[0]])
            hosts[0].freeze()
            segment.run(0.7)
            self.assertIs(hosts[1].role, Role.MASTER)
            thawed = segment.clock.seconds()
            hosts[0].thaw()
            segment.run(2 * LATENCY)
            self.assertEqual(segment.masters(), [hosts[winner]])
            self.assertLessEqual(segment.longestOverlap(thawed), LATENCY)
            reasons = [moment.change.reason for moment in hosts[0].changes]
            self.assertNotIn(Reason.PAUSED, reasons)

    def test_stopped(self) -> None:
        """
        A master that did not run for longer than any peer waits is backup when it runs again.
        """
        for dialect, pause in (("ucarp", 1.0), ("openbsd", 3.0)):
            segment = Segment()
            hosts = [
                segment.add(f"10.99.0.{number}", advbase=0, advskew=advskew, dialect=dialect)
                for number, advskew in ((1, 20), (2, 30))
            ]
            hosts[0].start()
            segment.run(1)
            hosts[1].start()
            with capturedLogs():
                nap(segment, hosts[0], pause)
            self.assertIn(Reason.PAUSED, [moment.change.reason for moment in hosts[0].changes])
            segment.run(1)
            self.assertEqual(len(segment.masters()), 1)
