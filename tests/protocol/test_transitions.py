"""
Tests for the printed table of the election: what the documentation says of it, and what
ucarp does.
"""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import txcarp
from tests.protocol.transitions import SITUATIONS, rows, table
from txcarp.protocol.effects import Effect
from txcarp.protocol.election import BACKUP, INIT, MASTER, WAITING, ICARPState

#: ucarp 1.5.2, src/carp.c: from where, on what (in the words of the table, the rest of which
#: it does not have), to where, and what is done, in this order. Its up script runs before
#: its first advertisement; here the advertisement leaves first, so that nobody else times
#: out while a script runs. That is the only difference.
_UCARP = {
    ("INIT", "started"): ("BACKUP", "release; deadline in T"),
    ("BACKUP", "deadline"): ("MASTER", "no deadline; advertise in rhythm; acquire"),
    ("BACKUP", "heard; preempting, mine < theirs (B1)"): (
        "MASTER",
        "no deadline; advertise in rhythm; acquire",
    ),
    ("BACKUP", "heard; theirs > (advbase * deadratio, advskew) (B2)"): (
        "MASTER",
        "no deadline; advertise in rhythm; acquire",
    ),
    ("BACKUP", "heard; a bow-out (B2)"): ("MASTER", "no deadline; advertise in rhythm; acquire"),
    ("BACKUP", "heard; otherwise (B3)"): ("BACKUP", "deadline in T, of that family"),
    ("MASTER", "heard; mine > theirs (M1)"): (
        "BACKUP",
        "advertise once; be quiet; release; deadline in T",
    ),
    ("MASTER", "heard; equal, they win the tie (M1)"): (
        "BACKUP",
        "advertise once; be quiet; release; deadline in T",
    ),
    ("MASTER", "heard; equal, I win the tie (M2)"): ("MASTER", "announce again"),
    ("MASTER", "heard; mine < theirs (M2)"): ("MASTER", "announce again"),
    ("MASTER", "heard; a bow-out (M2)"): ("MASTER", "announce again"),
}


class PrintedTests(SynchronousTestCase):
    """
    The table as it is printed.
    """

    def test_documented(self) -> None:
        """
        C{docs/protocol.rst} has the table that the code has now.
        """
        root = Path(txcarp.__file__).parent.parent
        text = (root / "docs" / "protocol.rst").read_text(encoding="utf-8")
        self.assertIn(table(), text, "python -m tests.protocol.transitions prints the new one")

    def test_ucarp(self) -> None:
        """
        C19: what ucarp has a rule for is done by that rule.
        """
        printed = {(state, words): (to, done) for state, words, to, done in rows()}
        for situation, expected in _UCARP.items():
            self.assertEqual(printed[situation], expected, situation)

    def test_complete(self) -> None:
        """
        Every pair of states that one event leads from and to is in it, and every effect.
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
