"""
Files that are converted.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from txcarp.conversion import checked
from txcarp.conversion.draft import Conversion

#: A secret that nothing may show.
SECRET = "Geheimnis"


class ConversionTestCase(SynchronousTestCase):
    """
    A directory with files.

    @cvar kind: The kind of the files.
    """

    kind = ""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.conversion = Conversion()

    def convert(self, text: str) -> dict[str, Any]:
        """
        Convert a text, and load the result as txcarp does.

        @return: What is in the result.
        """
        path = str(self.directory / "file")
        self.conversion = checked.convert(self.kind, text, path)
        written = checked.written(self.conversion, "")
        self.assertNotIn(SECRET, f"{written}{self.conversion}{self.conversion.remarks}")
        return tomllib.loads(written)

    def good(self, text: str) -> dict[str, Any]:
        """
        Convert a text whose result can be used.

        @return: The groups.
        """
        document = self.convert(text)
        self.assertEqual(checked.problemsIn(self.conversion), "")
        groups: dict[str, Any] = document["group"]
        return groups

    def remarks(self) -> dict[int, list[str]]:
        """
        What does not carry over, by line.
        """
        found: dict[int, list[str]] = {}
        for remark in self.conversion.remarks:
            found.setdefault(remark.place.line, []).append(remark.text)
        return found

    def assertSaid(self, line: int, *words: str) -> None:
        """
        Assert that there are remarks about a line with these words.
        """
        said = self.remarks().get(line, [])
        for one in words:
            self.assertTrue(any(one in text for text in said), f"{one!r} is not in {said}")
