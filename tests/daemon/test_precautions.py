"""
Tests for L{txcarp.daemon.precautions}.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import configured
from txcarp.configuration.steps import ConfiguredStep
from txcarp.daemon import precautions
from txcarp.daemon.precautions import warn


class WarningTests(SynchronousTestCase):
    """
    Warnings at the start.
    """

    def warnings(self, **scripts: Any) -> list[str]:
        """
        The warnings about a configuration.
        """
        settings = {"upScript": None, "downScript": None, **scripts}
        with capturedLogs() as events:
            warn(configured(**settings))
        return [formatEvent(event) or "" for event in events]

    def test_otherName(self) -> None:
        """
        A warning says which interface has the name as an alternative one.
        """
        self.patch(socket, "if_nametoindex", lambda name: 2)
        self.patch(socket, "if_indextoname", lambda index: "eth0")
        self.assertEqual(self.warnings(interface="eth0"), [])
        [warning] = self.warnings(interface="wan0")
        self.assertIn("wan0 is another name of eth0", warning)

    def test_steps(self) -> None:
        """
        So it does for the programs of steps, each once.
        """
        steps = [
            ConfiguredStep(name="a", command=["/missing/x", "up"], undo=["/missing/x", "down"]),
            ConfiguredStep(name="b", undo=["/bin/sh", "-c", "/missing/y"]),
            ConfiguredStep(name="c", unit="x.service"),
        ]
        self.patch(precautions, "SYSTEMCTL", "/missing/systemctl")
        self.assertEqual(
            self.warnings(steps=steps),
            [
                "Step a: /missing/x cannot be run: No such file or directory",
                "Step c: /missing/systemctl cannot be run: No such file or directory",
            ],
        )

    def test_scripts(self) -> None:
        """
        A warning names a script that cannot be run, and the reason.
        """
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        plain = directory / "plain"
        plain.write_text("")
        good = directory / "good"
        good.write_text("#!/bin/sh\n")
        good.chmod(0o755)
        for path, why in (
            (directory / "missing", "No such file or directory"),
            (plain / "below", "Not a directory"),
            (directory, "it is not a file"),
            (plain, "it is not executable"),
        ):
            self.assertEqual(
                self.warnings(upScript=str(path), downScript=str(good)),
                [f"The up script {path} cannot be run: {why}"],
            )
            self.assertEqual(
                self.warnings(downScript=str(path)),
                [f"The down script {path} cannot be run: {why}"],
            )
        self.assertEqual(self.warnings(upScript=str(good), downScript=""), [])
        [nul] = self.warnings(upScript="a\0b")
        self.assertIn("cannot be run", nul)
