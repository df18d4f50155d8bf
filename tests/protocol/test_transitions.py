"""
Tests for the printed table of the election, against the documentation and ucarp.
"""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import txcarp
from tests.protocol.transitions import SITUATIONS, rows, table
from txcarp.protocol.effects import Effect
from txcarp.protocol.election import BACKUP, INIT, MASTER, WAITING, ICARPState

#: The rules of ucarp 1.5.2 (C{src/carp.c}) in the words of the table: state and situation,
#: then the next state and the effects in their order.  ucarp has no rules for the other
#: situations.  There is one difference: ucarp runs its up script before its first
#: advertisement.  txcarp advertises first, so that no other host times out while the script
#: runs.
_UCARP = {
    ("INIT", "start"): ("BACKUP", "release; set deadline to T"),
    ("BACKUP", "deadline"): ("MASTER", "clear deadline; start advertising; acquire"),
    ("BACKUP", "advert, mine < theirs, preempting (B1)"): (
        "MASTER",
        "clear deadline; start advertising; acquire",
    ),
    ("BACKUP", "advert, theirs > (advbase * deadratio, advskew) (B2)"): (
        "MASTER",
        "clear deadline; start advertising; acquire",
    ),
    ("BACKUP", "bow-out (B2)"): ("MASTER", "clear deadline; start advertising; acquire"),
    ("BACKUP", "other advert (B3)"): ("BACKUP", "set deadline of that family to T"),
    ("MASTER", "advert, mine > theirs (M1)"): (
        "BACKUP",
        "send advert; stop advertising; release; set deadline to T",
    ),
    ("MASTER", "advert, equal timing, tie lost (M1)"): (
        "BACKUP",
        "send advert; stop advertising; release; set deadline to T",
    ),
    ("MASTER", "advert, equal timing, tie won (M2)"): ("MASTER", "announce addresses again"),
    ("MASTER", "advert, mine < theirs (M2)"): ("MASTER", "announce addresses again"),
    ("MASTER", "bow-out (M2)"): ("MASTER", "announce addresses again"),
}


class PrintedTests(SynchronousTestCase):
    """
    The printed table.
    """

    def test_documented(self) -> None:
        """
        C{docs/protocol.rst} has the table that is printed now.
        """
        root = Path(txcarp.__file__).parent.parent
        text = (root / "docs" / "protocol.rst").read_text(encoding="utf-8")
        self.assertIn(table(), text, "python -m tests.protocol.transitions prints the new one")

    def test_ucarp(self) -> None:
        """
        C19: where ucarp has a rule, the election follows it.
        """
        printed = {(state, words): (to, done) for state, words, to, done in rows()}
        for situation, expected in _UCARP.items():
            self.assertEqual(printed[situation], expected, situation)

    def test_complete(self) -> None:
        """
        The table has every possible transition between two states, and every effect.
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
