"""
What is said and done about each ailment.
"""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import txcarp
from tests.ailments import AILMENTS
from txcarp.doctor.complaint import Ailment

_ALL = sorted(one.value for one in Ailment)


class AilmentTests(SynchronousTestCase):
    """
    Each ailment is in the manual, and is provoked.
    """

    def test_manual(self) -> None:
        """
        The table of the manual has each ailment, and nothing else.
        """
        text = (Path(txcarp.__file__).parent.parent / "docs/trouble.rst").read_text()
        _, _, text = text.partition("\nproblem                 meaning\n")
        table = text.partition("\n\n")[0]
        self.assertEqual(sorted(re.findall(r"(?m)^``([a-z0-9-]+)``", table)), _ALL)

    def test_provoked(self) -> None:
        """
        L{tests.ailments} provokes each ailment.
        """
        found = {ailment for one in AILMENTS for ailment in (*one.left, *one.right)}
        self.assertEqual(sorted(found), _ALL)
