"""
Tests for L{txcarp.configuration.options}: what is said of the options.
"""

from __future__ import annotations

import re
import runpy
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import txcarp
from txcarp import __version__
from txcarp.configuration.options import OPTIONS, CommandLineError, helpText, information
from txcarp.configuration.settings import KEYS
from txcarp.configuration.ucarp import READERS
from txcarp.protocol.dialect import DIALECTS
from txcarp.protocol.seal import Verification

_DOCS = Path(txcarp.__file__).parent.parent / "docs"


class InformationTests(SynchronousTestCase):
    """
    Tests for L{information}.
    """

    def test_version(self) -> None:
        """
        The version is one line.
        """
        self.assertEqual(information(["--version"]), f"txcarp {__version__}\n")

    def test_help(self) -> None:
        """
        The help is asked for by name, or by nothing at all as in ucarp.
        """
        for line in (["-h"], ["--help"], ["--he"], [], ["-zh"], ["-i", "eth0", "word", "-h"]):
            self.assertEqual(information(line), helpText(), line)
        first, *_ = (information([], "Usage: other") or "").splitlines()
        self.assertEqual(first, "Usage: other")

    def test_nothing(self) -> None:
        """
        Other command lines do not ask for information, whatever the values of their options look
        like.
        """
        for line in (["-i", "eth0"], ["-x", "-h"], ["--", "-h"], ["stray"], ["-x--version"]):
            self.assertIsNone(information(line), line)

    def test_wrong(self) -> None:
        """
        A wrong command line is an error, also if it asks for help.
        """
        self.assertRaises(CommandLineError, information, ["-h", "--nonsense"])


class KindTests(SynchronousTestCase):
    """
    The kinds of values.
    """

    def test_words(self) -> None:
        """
        The words that an option takes are those that its reader knows.
        """
        words = {one.setting: one.words for one in OPTIONS if one.words}
        self.assertEqual(words.keys(), {"dialect", "verification"})
        self.assertEqual(set(words["dialect"]), set(DIALECTS))
        self.assertEqual(set(words["verification"]), {one.value for one in Verification})

    def test_readers(self) -> None:
        """
        Each option with a value has a reader, and each reader an option.
        """
        self.assertEqual({one.kind for one in OPTIONS if one.takesValue}, set(READERS))

    def test_flags(self) -> None:
        """
        A flag has no kind of its own.
        """
        self.assertEqual({one.kind for one in OPTIONS if not one.takesValue}, {"text"})


class TextTests(SynchronousTestCase):
    """
    The table as text.
    """

    def test_help(self) -> None:
        """
        The help has every option in a group, shows an example, and fits a terminal.
        """
        text = helpText()
        for option in OPTIONS:
            self.assertRegex(text, rf"(?m)^ +{re.escape(option.spelling)}(  |$)")
        for heading in ("Group:", "Addresses:", "Election:", "Security:", "Process:"):
            self.assertIn(f"\n\n{heading}\n  ", text)
        self.assertIn("txcarp -i eth0 -s 10.1.1.1", text)
        self.assertLessEqual(max(map(len, text.splitlines())), 80)

    def test_documents(self) -> None:
        """
        The references are those of the tables (if not, C{docs/manual.py} writes them again), and
        have every option by all its names, and every key.
        """
        manual = runpy.run_path(str(_DOCS / "manual.py"))
        reference, keys = manual["reference"](), manual["keyReference"]()
        statuses = runpy.run_path(str(_DOCS / "statuses.py"))["statuses"]()
        for name, text in (
            *(("options.rst", reference), ("keys.rst", keys)),
            ("statuses.rst", statuses),
        ):
            self.assertEqual((_DOCS / name).read_text(encoding="utf-8"), text)
        for key in KEYS:
            self.assertIn(f"\n``{key.name}``\n    {key.help[:1].upper()}", keys)
        for option in OPTIONS:
            for name in option.names.split(", "):
                self.assertRegex(reference, rf"(?m)^(``.*, )?``{name}( \S+)?``")
