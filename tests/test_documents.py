"""
The fragments of the news.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import txcarp

_ROOT = Path(txcarp.__file__).parent.parent


class NewsTests(SynchronousTestCase):
    """
    The fragments of the news.
    """

    def setUp(self) -> None:
        settings = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))
        self.types = [one["directory"] for one in settings["tool"]["towncrier"]["type"]]
        self.fragments = {
            path.name: path.read_text(encoding="utf-8")
            for path in (_ROOT / "newsfragments").iterdir()
            if path.name not in ("README.rst", "template.jinja")
        }

    def test_fragments(self) -> None:
        """
        Each has a known type and consists of whole sentences.
        """
        for name, text in self.fragments.items():
            self.assertRegex(name, rf"^[a-z0-9-]+\.({'|'.join(self.types)})\.rst$")
            self.assertRegex(text, r"^([A-Z]|``)(.|\n)+\.\n$", name)
            self.assertNotRegex(text, r"(?m)^.{101}", name)

    def test_draft(self) -> None:
        """
        towncrier makes news of them, without a network.
        """
        done = subprocess.run(
            [sys.executable, "-m", "towncrier", "build", "--draft"],
            cwd=_ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        for text in self.fragments.values():
            self.assertIn(text.splitlines()[0], done.stdout)
