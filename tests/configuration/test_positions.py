"""
Tests for L{txcarp.configuration.positions}.
"""

from __future__ import annotations

import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txcarp.configuration.positions import Path, Place, Positions

TEXT = '''\
top = 1 # comment = 2
[ a . "b c" ]
plain = [1, "two, [x]", # and ] this
   'three', [4, 5]]
"quoted = key" = """
many
lines""" # end
in.side = {x = 1, y.z = "}"}
date = 1979-05-27 07:32:00
[[list]]
k = 1
[[list]]
k = true
[list.sub]
deep = """""x"""
'''


def paths(value: Any, path: Path = ()) -> list[Path]:
    """
    The paths of all keys and members of a document.
    """
    found = []
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, one in items:
        found.append((*path, key))
        if isinstance(one, dict | list):
            found += paths(one, (*path, key))
    return found


class PositionTests(SynchronousTestCase):
    """
    Tests for L{Positions}.
    """

    def shown(self, place: Place, text: str = TEXT) -> str:
        """
        The text at a place.
        """
        line = text.split("\n")[place.line - 1]
        return line[place.column : place.column + place.length]

    def test_forms(self) -> None:
        """
        Keys and values are found in all forms that they have.
        """
        found = Positions(TEXT)
        table = ("a", "b c")
        for path, key, value in (
            (("top",), "top", "1"),
            (table, '"b c"', None),
            ((*table, "plain", 1), None, '"two, [x]"'),
            ((*table, "plain", 2), None, "'three'"),
            ((*table, "plain", 3, 1), None, "5"),
            ((*table, "quoted = key"), '"quoted = key"', '"""'),
            ((*table, "in", "side", "x"), "x", "1"),
            ((*table, "in", "side", "y", "z"), "z", '"}"'),
            ((*table, "date"), "date", "1979-05-27 07:32:00"),
            (("list", 0, "k"), "k", "1"),
            (("list", 1, "k"), "k", "true"),
            (("list", 1, "sub", "deep"), "deep", '"""""x"""'),
        ):
            if key is not None:
                self.assertEqual(self.shown(found.of(path)), key, path)
            if value is not None:
                self.assertEqual(self.shown(found.ofValue(path)), value, path)
        self.assertEqual(found.of((*table, "plain")).line, 3)
        self.assertEqual(found.ofValue((*table, "plain", 2)).line, 4)

    def test_complete(self) -> None:
        """
        Every key of the document has a place, and every member of a list.
        """
        found = Positions(TEXT)
        for path in paths(tomllib.loads(TEXT)):
            place = found.keys if isinstance(path[-1], str) else found.values
            if path not in (("list", 0), ("list", 1)):
                self.assertIn(path, place)

    def test_fallback(self) -> None:
        """
        What has no place has that of the table around it, or else that of the text.
        """
        found = Positions("[table]\n")
        self.assertEqual(found.of(("table", "key", "part")), Place(1, 1, 5))
        self.assertEqual(found.of(("other",)), Place(1, 0, 0))

    @given(st.text(alphabet='ab.= \n[]{}"\'#,1\\'))
    def test_anything(self, text: str) -> None:
        """
        No text makes it raise anything or search for ever, also one that is not TOML.
        """
        Positions(text)
