"""
Every piece of a configuration file in the documents can be read.
"""

from __future__ import annotations

import contextlib
import io
import tomllib
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import txcarp
from tests.recipes.__main__ import losses, main
from tests.recipes.runs import runs
from tests.recipes.text import (
    configurations,
    exchanged,
    exchangedSkews,
    forHost,
    isConfiguration,
    literals,
    recipes,
)
from txcarp.configuration.file import readText
from txcarp.configuration.request import Configuration

_ROOT = Path(txcarp.__file__).parent.parent

#: What a group has that shows nothing of it but something else.
_REST = {
    "interface": '"eth0"',
    "vhid": "{number}",
    "passfile": '"password"',
    "addresses": '["192.0.2.{number}/24"]',
    "source": '"192.0.2.200"',
}


class RecipeTests(SynchronousTestCase):
    """
    The blocks of the documents.
    """

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        (self.directory / "password").write_text("secret\n")
        (self.directory / "password").chmod(0o600)

    def read(self, block: str) -> Configuration:
        """
        Read a block, with a group around it if it is a part of one.
        """
        document = tomllib.loads(block)
        groups, before = dict(document.get("group", {})), ""
        for sync in document.get("sync", {}).values():
            groups.update({name: {} for name in sync["groups"] if name not in groups})
        for number, name in enumerate(groups, 1):
            missing = [
                f"{key} = {value.format(number=number)}\n"
                for key, value in _REST.items()
                if key not in groups[name] and key not in document.get("defaults", {})
            ]
            header = f"[group.{name}]\n"
            if header in block:
                block = block.replace(header, header + "".join(missing))
            else:
                before += header + "".join(missing)
        text = before + block
        if not groups:
            rest = "".join(f"{key} = {one.format(number=1)}\n" for key, one in _REST.items())
            text += f"[group.web]\n{rest}"
        path = str((self.directory / "txcarp.toml").absolute())
        return readText(path, text.encode(), {}, lambda *facts: b"\xc0\0\2\xc8")

    def test_documents(self) -> None:
        """
        Each block gives groups without a mistake.
        """
        count = 0
        for document in [*_ROOT.glob("*.rst"), *sorted((_ROOT / "docs").glob("*.rst"))]:
            for block in filter(isConfiguration, literals(document.read_text(encoding="utf-8"))):
                self.assertTrue(self.read(block).groups, block)
                count += 1
        self.assertGreater(count, 11)

    def test_complete(self) -> None:
        """
        The recipes are whole files: nothing but a source has to be added.
        """
        found = [block for title in recipes() for block in configurations(title)]
        self.assertGreater(len(found), 4)
        for block in found:
            document = tomllib.loads(block)
            for group in document["group"].values():
                given = {*group, *document.get("defaults", {})}
                self.assertLessEqual({*_REST} - given, {"source"})

    def test_runs(self) -> None:
        """
        Each configuration file of a recipe has a run, and each run has one.
        """
        shown = {
            (title, number) for title in recipes() for number, _ in enumerate(configurations(title))
        }
        self.assertEqual({(run.title, run.number) for run in runs()}, shown)

    def test_conntrackd(self) -> None:
        """
        The commands for conntrackd have the order of its own example: commit, flush, resync and
        bulk on the new master; timers and request on the other host.
        """
        [block] = configurations("A firewall that keeps connections: conntrackd")
        group, inner = self.read(block).groups
        asked = [check.check.addresses for one in (group, inner) for check in one.checks]
        self.assertEqual(asked, [(), (b"\x0a\1\1\5",)])
        self.assertEqual({one.sync.name for one in (group, inner)}, {"firewall"})
        self.assertEqual(inner.steps, ())
        inOrder = sorted(group.steps, key=lambda step: step.when == "after-addresses")
        self.assertEqual([step.command[1] for step in inOrder], ["-c", "-f", "-R", "-B"])
        undone = [step.undo[1] for step in reversed(inOrder) if step.undo]
        self.assertEqual(undone, ["-t", "-n"])
        self.assertFalse(any(step.required for step in group.steps))


class RunTests(SynchronousTestCase):
    """
    What the runs make of the recipes, and the command that runs them.
    """

    def test_forHost(self) -> None:
        """
        A host gets its advskew in the defaults, or else in each group.
        """
        self.assertEqual(
            forHost("[group.a]\nvhid = 1\n[group.b]\n", 100),
            "[group.a]\nadvskew = 100\nvhid = 1\n[group.b]\nadvskew = 100\n",
        )
        self.assertEqual(
            forHost("[defaults]\n[group.a]\n[group.a.check.x]\n", 0),
            "[defaults]\nadvskew = 0\n[group.a]\n[group.a.check.x]\n",
        )

    def test_otherHost(self) -> None:
        """
        The other host has the addresses and the skews the other way round.
        """
        text = "from 10.1.1.2 to 10.1.1.3 by 10.1.1.20\n"
        self.assertEqual(
            exchanged(text, ("10.1.1.2", "10.1.1.3")), "from 10.1.1.3 to 10.1.1.2 by 10.1.1.20\n"
        )
        self.assertEqual(
            exchangedSkews("advskew = 0\nadvskew = 100\n"), "advskew = 100\nadvskew = 0\n"
        )

    def test_losses(self) -> None:
        """
        What a run reports is read, also where trial writes its verdict behind it.
        """
        output = "  test_moves ... \n    lost: drained: 0.02 s (client) \n    lost: b: 1 s   [OK]\n"
        self.assertEqual(losses(output), ["drained: 0.02 s (client)", "b: 1 s"])

    def test_noRecipe(self) -> None:
        """
        Words that are in no title are an error.
        """
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors):
            self.assertEqual(main(["gopher"]), 2)
        self.assertIn("no recipe has one of these words in its title: gopher", errors.getvalue())
