"""
A short run of the exhaustive model of sets: L{tests.model.sides} explores more.
"""

from __future__ import annotations

import attrs
from twisted.trial.unittest import SynchronousTestCase

from tests.model import sides
from tests.model.sides import SCENARIOS, explore
from txcarp.protocol import together
from txcarp.protocol.together import Answer


class SidesTests(SynchronousTestCase):
    """
    Two hosts with two members each.
    """

    def test_short(self) -> None:
        """
        Whatever happens, a host is master of both sides or of none, and all comes to rest.
        """
        for name, faults in (
            ("ordered preempting", (1, 0, 0, 1, 0)),
            ("ordered", (0, 2, 0, 0, 0)),
            ("crossed", (0, 1, 0, 0, 1)),
            ("equal", (0, 0, 1, 0, 0)),
        ):
            found = explore(attrs.evolve(SCENARIOS[f"{name}, losses"], faults=faults))
            self.assertEqual(found.problems, [], name)
            self.assertGreater(found.states, 200, name)

    def test_alone(self) -> None:
        """
        The model finds what goes wrong when each member decides alone about silence: with one way
        cut, roles change for ever.
        """
        scenario = attrs.evolve(SCENARIOS["ordered, losses"], faults=(0, 1, 0, 0, 0))
        self.patch(together, "mayTakeOver", lambda *_: Answer.YES)
        found = sides.explore(scenario)
        self.assertTrue(any("for ever" in one for one in found.problems), found.problems[:3])
