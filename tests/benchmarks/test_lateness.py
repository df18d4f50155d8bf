"""
Tests for L{benchmarks.lateness}: the deadlines of the programs, and what is late.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.crowds import Rhythm, groupsOf
from benchmarks.lateness import crowds, lateness, pairs, percentile, table


class DeadlineTests(SynchronousTestCase):
    """
    L{Rhythm.deadTime}.
    """

    def test_second(self) -> None:
        """
        Three advertisements, and the skew of the backup: 1/256 s with CARP, and 156/256 s with a
        priority of 100.
        """
        rhythm = Rhythm(1.0, 1)
        self.assertEqual(rhythm.deadTime("txcarp"), 3 + 1 / 256)
        self.assertEqual(rhythm.deadTime("ucarp"), 3 + 1 / 256)
        self.assertEqual(rhythm.deadTime("keepalived"), 3 + 156 / 256)

    def test_short(self) -> None:
        """
        With VRRP version 3 the skew is a part of the interval; txcarp waits for two more of the
        master's intervals, or for 10 ms.
        """
        rhythm = Rhythm(0.01, 1)
        self.assertAlmostEqual(rhythm.deadTime("keepalived"), 0.03 + 0.01 * 156 / 256)
        self.assertAlmostEqual(rhythm.deadTime("txcarp"), 3 / 256 + 0.01)

    def test_addresses(self) -> None:
        """
        Every group has an address of its own, and none that a host has.
        """
        found = {one.address for one in groupsOf(1000)} - {"10.99.0.1", "10.99.0.2"}
        self.assertEqual(len(found), 1000)

    def test_groups(self) -> None:
        """
        With a short rhythm there are fewer groups, but one at least.
        """
        found = [crowds((1, 50), one) for one in (1.0, 0.1, 0.01)]
        self.assertEqual(found, [[1, 50], [1, 5], [1]])

    def test_pairs(self) -> None:
        """
        There are several pairs of hosts if few advertisements are sent.
        """
        found = [pairs(*one) for one in ((1, 1.0), (50, 1.0), (1, 0.1), (5, 0.1), (1, 0.01))]
        self.assertEqual(found, [5, 1, 5, 1, 1])


class LatenessTests(SynchronousTestCase):
    """
    L{lateness} and L{percentile}.
    """

    def test_late(self) -> None:
        """
        The deadline counts from the last advertisement before that of the backup.
        """
        heard = [10.0, 11.0, 15.5]
        self.assertAlmostEqual(lateness(heard, [14.25, 15.25], 11.5, 3.0) or 0.0, 0.25)

    def test_early(self) -> None:
        """
        A backup that advertises before its master is cut off is not late.
        """
        self.assertIsNone(lateness([10.0, 11.0], [11.25], 11.5, 3.0))

    def test_percentile(self) -> None:
        """
        Of a hundred values, one may be greater than the 99th percentile.
        """
        values = [float(number) for number in range(100, 0, -1)]
        self.assertEqual(percentile(values, 0.5), 50.0)
        self.assertEqual(percentile(values, 0.99), 99.0)
        self.assertEqual(percentile([7.0], 0.99), 7.0)

    def test_table(self) -> None:
        """
        Other programs are compared with txcarp at the same rhythm.
        """
        figures = {"interval": 1.0, "groups": 50, "samples": 100, "early": 0}
        late = [
            {**figures, "program": name, "p50": part / 2, "p99": part, "worst": part * 2}
            for name, part in (("txcarp", 0.001), ("keepalived", 0.02))
        ]
        first, second = table(late).splitlines()[2:]
        self.assertEqual(first.split()[-2:], ["-", "0"])
        self.assertEqual(second.split()[-2:], ["20x", "0"])
