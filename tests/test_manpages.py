"""
The manual pages in C{docs/man}.
"""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import txcarp
from tests.optional import needing
from txcarp.commands.grammar import grammar
from txcarp.commands.main import COMMANDS
from txcarp.configuration.checks import CHECK_KEYS
from txcarp.configuration.options import OPTIONS
from txcarp.configuration.sets import SET_KEYS
from txcarp.configuration.settings import DAEMON_KEYS, KEYS
from txcarp.configuration.stepkeys import STEP_KEYS

_DOCS = Path(txcarp.__file__).parent.parent / "docs"


def plain(page: str) -> str:
    """
    The text of a page without its fonts and escapes.
    """
    return re.sub(r"\\f[BIR]", "", page).replace(r"\-", "-").replace(r"\e", "\\")


class PageTests(SynchronousTestCase):
    """
    All pages together.
    """

    def setUp(self) -> None:
        self.pages = {
            path.name: path.read_text(encoding="utf-8") for path in (_DOCS / "man").iterdir()
        }

    def test_current(self) -> None:
        """
        The pages are those of the tables and parsers; if not, C{docs/manual.py} writes them again.
        """
        self.patch(sys, "path", [str(_DOCS), *sys.path])
        self.addCleanup(sys.modules.pop, "manual", None)
        self.addCleanup(sys.modules.pop, "manpages", None)
        texts = importlib.import_module("manpages").pages()
        self.assertEqual(sorted(texts), sorted(self.pages))
        for name, text in texts.items():
            self.assertEqual(self.pages[name], text)

    def test_options(self) -> None:
        """
        txcarp(8) has every option of the daemon by all its names, and every command.
        """
        page = plain(self.pages["txcarp.8"])
        for option in OPTIONS:
            self.assertIn(f"\n.TP\n{option.spelling.replace('=', ' ')}\n", page)
        for command in COMMANDS:
            self.assertIn(f"\n.TP\ntxcarp-{command}(1)\n", page)

    def test_keys(self) -> None:
        """
        txcarp.toml(5) has every key of every table of the file.
        """
        page = plain(self.pages["txcarp.toml.5"])
        names = [key.name for key in KEYS]
        for key in (*names, *CHECK_KEYS, *STEP_KEYS, *SET_KEYS, *DAEMON_KEYS):
            self.assertIn(f"\n.TP\n{key}\n", page)

    def test_commands(self) -> None:
        """
        txcarp-COMMAND(1) has every option and argument of the command, its exit status, and an
        example.
        """
        for command in grammar()[1:]:
            page = plain(self.pages[f"txcarp-{command.name}.1"])
            for flag in command.flags:
                self.assertRegex(page, rf"\n\.TP\n{', '.join(flag.names)}( .+)?\n[A-Z]")
            for value in command.values:
                self.assertRegex(page, rf"\n\.TP\n{value.name}\n[A-Z]")
            self.assertIn("\n.SH EXIT STATUS\n0", page)
            self.assertRegex(page, rf'\n\.EX\n(eval "\$\()?txcarp {command.name}\b')

    def messages(self, *command: str) -> list[str]:
        """
        What a program that reads pages prints about each of them.
        """
        found = []
        for name in self.pages:
            done = subprocess.run(
                [*command, str(_DOCS / "man" / name)],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            found += done.stdout.splitlines()
        return found

    @needing("mandoc")
    def test_mandoc(self) -> None:
        """
        mandoc finds no fault, not even of style.
        """
        self.assertEqual(self.messages("mandoc", "-Tlint"), [])

    @needing("groff")
    def test_groff(self) -> None:
        """
        groff, which man(1) runs, has no warning.
        """
        self.assertEqual(self.messages("groff", "-man", "-ww", "-Tutf8", "-z"), [])
