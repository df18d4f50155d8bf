"""
Tests for L{txcarp.commands.doctor}.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.doctor.case import OTHER, host, link, path
from txcarp.commands.doctor import main
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.doctor import examination
from txcarp.doctor.facts import Daemon, Facts

FILE = """
[defaults]
interface = "lo"
passfile = "password"
source = "127.0.0.9"
[group.web]
vhid = 7
addresses = ["10.1.1.252/24"]
[group.dns]
vhid = 8
addresses = ["10.1.1.253/24"]
"""


class DoctorTests(SynchronousTestCase):
    """
    C{txcarp doctor}.
    """

    facts = Facts(host(), [path()])

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.file = self.directory / "txcarp.toml"
        self.file.write_text(FILE)
        (self.directory / "password").write_text("secret\n")
        self.asked: list[Any] = []
        self.patch(examination, "examine", self.examine)

    def examine(
        self,
        groups: Sequence[VirtualHostConfiguration],
        others: Sequence[bytes],
        wait: float,
        progress: object,
    ) -> Facts:
        """
        Takes the place of the examination.
        """
        self.asked = [[(one.interface, one.vhid) for one in groups], list(others), wait]
        self.groups = groups
        return self.facts

    def run_(self, *arguments: str) -> tuple[int, str, str]:
        output, errors = io.StringIO(), io.StringIO()
        self.patch(sys, "stdout", output)
        self.patch(sys, "stderr", errors)
        status = main(arguments)
        return status, output.getvalue(), errors.getvalue()

    def test_file(self) -> None:
        """
        All groups of a file, or those that are named.
        """
        config = "--config", str(self.file)
        status, output, errors = self.run_(*config, "--wait", "5", "--other", "10.1.1.2")
        self.assertEqual((status, errors), (0, ""))
        self.assertTrue(output.endswith("No problem found.\n"), output)
        self.assertEqual(self.asked, [[("lo", 7), ("lo", 8)], [OTHER], 5.0])
        self.run_(*config, "dns")
        self.assertEqual(self.asked, [[("lo", 8)], [], 0.0])
        text = self.file.read_text()
        self.assertIn("passfile", text)
        self.file.write_text(text.replace("passfile", "credential"))
        self.assertEqual(self.run_(*config)[0], 0)

    def test_options(self) -> None:
        """
        The options of one group.  Its source is found, or missing, which is for the doctor to say.
        """
        group = "-v", "7", "-a", "10.1.1.252", "-p", "secret"
        self.run_("-i", "lo", *group)
        self.assertEqual(self.asked[0], [("lo", 7)])
        self.assertEqual(self.groups[0].source, b"\x7f\0\0\1")
        self.assertEqual(self.run_("-i", "nothing0", *group)[0], 0)
        self.run_("-i", "lo", *group, "-s", "10.9.9.9", "--peer", "10.1.1.2", "-k", "5")
        self.assertEqual(self.groups[0].source, b"\x0a\x09\x09\x09")
        self.assertEqual((self.groups[0].peers, self.groups[0].advskew), ((OTHER,), 5))
        self.run_("-i", "lo", "-v", "7", "-a", "10.1.1.252/24", "--assign", "-p", "secret")
        self.assertTrue(self.groups[0].assign)

    def test_statuses(self) -> None:
        """
        Trouble is 2, and something that was not tested is 3.
        """
        config = "--config", str(self.file)
        self.facts = Facts(host(links=[link(up=False)]), [path()], ["x"])
        self.assertEqual(self.run_(*config)[0], 2)
        self.facts = Facts(host(), [path()], ["x"])
        self.assertEqual(self.run_(*config)[0], 3)
        daemons = {("eth0", 7): (Daemon("txcarp", 5, None, 0),)}
        self.facts = Facts(host(daemons=daemons), [path()])
        self.assertEqual(self.run_(*config)[0], 0)
        self.facts = Facts(host(), [path(partners=[])])
        status, output, _ = self.run_(*config, "--json")
        self.assertEqual(status, 3)
        self.assertEqual(len(json.loads(output)["untested"]), 1)

    def test_wrong(self) -> None:
        """
        A wrong command line or file is status 1, and one line says why.
        """
        config = "--config", str(self.file)
        for arguments, words in (
            ((*config, "wob"), "the file has no group 'wob'; there are: web, dns"),
            (("--config", "/nowhere"), "/nowhere"),
            (("-i", "lo", "-v", "7", "-a", "10.1.1.252"), "You must supply a password"),
            (("-i", "lo", "-v", "7", "-a", "x", "-p", "secret"), "x"),
            ((*config, "--other", "x"), "--other: "),
        ):
            status, output, errors = self.run_(*arguments)
            self.assertEqual((status, output), (1, ""), arguments)
            self.assertTrue(errors.startswith("txcarp doctor: "), errors)
            self.assertIn(words, errors)
            self.assertNotIn("secret", errors)
        for arguments in ((*config, "-i", "lo"), (*config, "--wait", "x"), ("web", "-v", "7")):
            ended = self.assertRaises(SystemExit, self.run_, *arguments)
            self.assertEqual(ended.code, 1)

    def test_mistake(self) -> None:
        """
        A mistake in the file is said as 'txcarp check' says it.
        """
        self.file.write_text(FILE.replace("vhid = 8", "vhid = 800"))
        status, _, errors = self.run_("--config", str(self.file))
        self.assertEqual(status, 1)
        self.assertIn("txcarp.toml:10: vhid: 800", errors)
