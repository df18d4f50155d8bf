"""
Tests for C{docs/features.rst}: what it says is here exists.
"""

from __future__ import annotations

import re
from pathlib import Path

from docutils import nodes
from docutils.core import publish_doctree
from docutils.parsers.rst import roles
from twisted.trial.unittest import SynchronousTestCase

import txcarp
from txcarp.commands.grammar import Command, grammar
from txcarp.configuration.checks import CHECK_KEYS
from txcarp.configuration.options import OPTIONS
from txcarp.configuration.settings import KEYS

_ROOT = Path(txcarp.__file__).parent.parent

#: What the second column may say.
_ANSWERS = {"yes", "in part", "not yet", "left out"}


class FeatureTests(SynchronousTestCase):
    """
    The rows of the tables.
    """

    def setUp(self) -> None:
        text = (_ROOT / "docs/features.rst").read_text()
        for role in ("doc", "ref"):
            roles.register_local_role(role, roles.GenericRole(role, nodes.inline))
        tree = publish_doctree(text, settings_overrides={"report_level": 2, "halt_level": 2})
        self.rows = []
        for body in tree.findall(nodes.tbody):
            for row in body.findall(nodes.row):
                what, answer, where = (entry for entry in row.children)
                literals = [one.astext() for one in where.findall(nodes.literal)]
                self.rows.append((what.astext(), answer.astext(), where.astext(), literals))
        self.commands: dict[str, Command] = {one.name: one for one in grammar()}
        self.control = (_ROOT / "docs/control.rst").read_text()
        self.file = (_ROOT / "docs/file.rst").read_text()
        self.keys = {*CHECK_KEYS, *(key.name for key in KEYS), "facility"}

    def exists(self, name: str) -> bool:
        """
        Whether there is an option, a key, a command or another thing of this name.
        """
        name = name.partition(" = ")[0]
        if match := re.fullmatch(r"txcarp ([a-z-]+)((?: --[a-z-]+)*)", name):
            command = self.commands.get(match[1])
            flags = [one for flag in command.flags for one in flag.names] if command else []
            return command is not None and {*match[2].split()} <= {*flags}
        if name == "--watch":
            return self.exists("txcarp status --watch")
        if name.startswith("--"):
            return any(name == f"--{option.name}" for option in OPTIONS)
        if name.startswith("txcarp."):
            return hasattr(txcarp, name.removeprefix("txcarp."))
        if name.startswith("GET "):
            return f"``{name}``" in self.control
        if name.startswith("["):
            return name in self.file
        if "/" in name or name == "benchmarks":
            return (_ROOT / name).exists()
        return name in self.keys or name == "twistd --uid"

    def test_named(self) -> None:
        """
        Each row says whether it is here.  One that is has the name of something that exists, and
        nothing is named that does not exist.
        """
        self.assertGreater(len(self.rows), 40)
        for what, answer, where, literals in self.rows:
            self.assertIn(answer, _ANSWERS, what)
            self.assertGreater(len(where), 20, what)
            if answer == "yes" and what not in ("knows that it was paused", "leaves without a gap"):
                self.assertTrue(literals, what)
            for name in literals:
                self.assertTrue(self.exists(name), f"{what}: there is no {name}")

    def test_missing(self) -> None:
        """
        The test finds out what does not exist.
        """
        for name in (
            *("--nonsense", "txcarp nonsense", "txcarp status --nonsense", "txcarp.Nonsense"),
            *("GET /nonsense", "nonsense", "docs/nonsense.rst", "[nonsense]"),
        ):
            self.assertFalse(self.exists(name), name)
