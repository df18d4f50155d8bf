"""
Sets of virtual hosts that probe the host of the master on each side.
"""

from __future__ import annotations

from tests.simulation.test_sides import SidesTestCase
from txcarp.protocol.effects import Reason
from txcarp.protocol.events import HoldReason

EVERY = 1 / 128

PROBED = {"probe": EVERY, "witnesses": [["10.0.0.254"], ["10.1.0.254"]]}

#: Seconds in which a set takes over.
SOON = 8 * EVERY


class ProbedSidesTests(SidesTestCase):
    """
    A set takes over when the host of the master is gone on every side.
    """

    def reasons(self, site: int) -> set[Reason]:
        """
        Why a host is master of each side.
        """
        service = self.sides.sites[site].service
        assert service is not None
        return {one.status().changes[-1].change.reason for one in service.virtualHosts}

    def test_powerOff(self) -> None:
        """
        All sides are taken over together, at whatever moment the power fails.
        """
        for delay in range(16):
            first, _ = self.build(**PROBED)
            self.sides.run(delay / 13)
            first.powerOff()
            self.sides.run(SOON)
            self.assertMaster(1)
            self.assertIn(Reason.VANISHED, self.reasons(1))
            self.assertEqual(self.sides.half.seconds, 0.0)

    def test_oneSide(self) -> None:
        """
        A master that is gone on one side only lives.
        """
        for way in ("mute", "deaf"):
            self.build(**PROBED)
            getattr(self.sides, way).add((0, 1))
            self.sides.run(60.0)
            self.assertMaster(0)
            self.assertQuiet()

    def test_oneProbe(self) -> None:
        """
        A side without a probe has to be silent for the dead time.
        """
        first, _ = self.build(**{**PROBED, "probe": [EVERY, None]})
        first.powerOff()
        self.sides.run(1.5)
        self.assertEqual(self.sides.masters(0) + self.sides.masters(1), [])
        self.sides.run(2.0)
        self.assertMaster(1)

    def test_otherStagger(self) -> None:
        """
        The sides need not notice it at the same time.
        """
        first, _ = self.build(**{**PROBED, "probe": [EVERY, 3 * EVERY]})
        first.powerOff()
        self.sides.run(16 * EVERY)
        self.assertMaster(1)

    def test_unread(self) -> None:
        """
        A set that still has packets to read asks again in a moment.
        """
        first, second = self.build(**PROBED)
        until = self.sides.clock.seconds() + 5 * EVERY
        second.hasUnread = lambda side: self.sides.clock.seconds() < until  # type: ignore[method-assign]
        first.powerOff()
        self.sides.run(0.2)
        self.assertMaster(1)

    def test_lacking(self) -> None:
        """
        A set that cannot be master does not take over.
        """
        first, second = self.build(**PROBED)
        second.plug(1, False)
        self.sides.run(1.0)
        first.powerOff()
        self.sides.run(10.0)
        self.assertMaster()
        self.assertEqual(self.status(second, 0).holds[0].reason, HoldReason.SYNC)
