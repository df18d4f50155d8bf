"""
Tests for the printed table of the election: it is the one in the documentation, and agrees with
ucarp.
"""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import txcarp
from tests.protocol.transitions import SITUATIONS, rows, table
from txcarp.protocol.effects import Effect
from txcarp.protocol.election import BACKUP, INIT, MASTER, WAITING, ICARPState

#: The rules of ucarp 1.5.2 (src/carp.c) in the words of the table: from a state on an event to a
#: state, with the effects in order.  ucarp does not have the other rows.  The only difference is
#: that ucarp runs its up script before its first advertisement.  Here the advertisement is sent
#: first, so that no other backup times out while a script runs.
_UCARP = {
    ("INIT", "started"): ("BACKUP", "release; deadline in T"),
    ("BACKUP", "deadline passes"): ("MASTER", "no deadline; start advertising; acquire"),
    ("BACKUP", "heard; preempting, mine < theirs (B1)"): (
        "MASTER",
        "no deadline; start advertising; acquire",
    ),
    ("BACKUP", "heard; theirs > (advbase * deadratio, advskew) (B2)"): (
        "MASTER",
        "no deadline; start advertising; acquire",
    ),
    ("BACKUP", "heard; a bow-out (B2)"): ("MASTER", "no deadline; start advertising; acquire"),
    ("BACKUP", "heard; otherwise (B3)"): ("BACKUP", "deadline in T, in that family"),
    ("MASTER", "heard; mine > theirs (M1)"): (
        "BACKUP",
        "advertise once; stop advertising; release; deadline in T",
    ),
    ("MASTER", "heard; equal, they win the tie (M1)"): (
        "BACKUP",
        "advertise once; stop advertising; release; deadline in T",
    ),
    ("MASTER", "heard; equal, I win the tie (M2)"): ("MASTER", "announce again"),
    ("MASTER", "heard; mine < theirs (M2)"): ("MASTER", "announce again"),
    ("MASTER", "heard; a bow-out (M2)"): ("MASTER", "announce again"),
}


class PrintedTests(SynchronousTestCase):
    """
    The printed table.
    """

    def test_documented(self) -> None:
        """
        C{docs/protocol.rst} contains the table that the code prints now.
        """
        root = Path(txcarp.__file__).parent.parent
        text = (root / "docs" / "protocol.rst").read_text(encoding="utf-8")
        self.assertIn(table(), text, "python -m tests.protocol.transitions prints the new one")

    def test_ucarp(self) -> None:
        """
        C19: where ucarp has a rule, the table has the same.
        """
        printed = {(state, words): (to, done) for state, words, to, done in rows()}
        for situation, expected in _UCARP.items():
            self.assertEqual(printed[situation], expected, situation)

    def test_complete(self) -> None:
        """
        The table contains every effect, and every pair of different states between which an event
        can lead.
        """
        pairs: set[tuple[ICARPState, ICARPState]] = set()
        effects: set[type[Effect]] = set()
        for one in SITUATIONS:
            following, done = one.state.decide(one.standing, one.event)
            pairs.add((one.state, following))
            effects.update(map(type, done))
        everything = {(one, other) for one in _STATES for other in _STATES if one is not other}
        impossible = {
            *((INIT, MASTER), (BACKUP, BACKUP), (WAITING, MASTER)),
        }
        self.assertEqual({(a, b) for a, b in pairs if a is not b}, everything - impossible)
        self.assertEqual(effects, set(Effect.__subclasses__()))


_STATES = (INIT, WAITING, BACKUP, MASTER)
