"""
Sets of virtual hosts of which one member is drained, or all are.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from tests.simulation.sides import Site
from tests.simulation.test_sides import SidesTestCase
from txcarp.change import Drained, NotDrained
from txcarp.mastership.handover import SUCCESSION
from txcarp.protocol.events import HoldReason
from txcarp.service import CARPService


class DrainedSidesTests(SidesTestCase):
    """
    A set is drained as a whole.
    """

    def service(self, site: Site) -> CARPService:
        """
        The program of a host.
        """
        assert site.service is not None
        return site.service

    def drained(self, site: Site, *sides: int) -> list[Any]:
        """
        Drain members, and wait for the results.
        """
        hosts = self.service(site).virtualHosts
        done: list[Deferred[Any]] = [
            hosts[side].drain().addErrback(lambda failure: failure.value) for side in sides
        ]
        self.sides.run(SUCCESSION + 0.5)
        return [self.successResultOf(one) for one in done]

    def test_successor(self) -> None:
        """
        Another host takes over all sides, whether one member or all are drained.
        """
        for sides in ((0,), (1,), (0, 1)):
            first, _ = self.build()
            results = self.drained(first, *sides)
            self.assertEqual([type(one) for one in results], [Drained] * len(sides))
            self.assertMaster(1)
            self.assertLess(self.sides.nobody.seconds, 0.01)
            for side in sides:
                reasons = [one.reason for one in self.status(first, side).holds]
                self.assertIn(HoldReason.DRAINED, reasons)

    def test_nobody(self) -> None:
        """
        Without a successor, the host is master of all sides again, and had the addresses all the
        time.
        """
        for sides in ((0,), (1,), (0, 1)):
            [first] = self.build(hosts=1)
            results = self.drained(first, *sides)
            self.assertEqual([type(one) for one in results], [NotDrained] * len(sides), sides)
            self.assertEqual({one.word for one in results}, {"no-successor"})
            self.assertMaster(0)
            self.assertEqual(self.sides.nobody.seconds, 0, sides)
            for side in (0, 1):
                self.assertEqual(self.status(first, side).holds, [])

    def test_heardElsewhere(self) -> None:
        """
        A host that does not hear its successor on one side does not take the group back if it hears
        it on the other.
        """
        for sides in ((0,), (0, 1)):
            first, _ = self.build()
            self.sides.cuts.add((1, 0, 0))
            results = self.drained(first, *sides)
            self.assertEqual(results[0].word, "no-successor")
            self.assertMaster(1)
            self.assertLess(self.sides.doubled.seconds, SUCCESSION + 0.1)
            self.sides.run(30)
            self.assertMaster(1)
