"""
The units for systemd, C{packaging/systemd}.
"""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

import txcarp
from txcarp.configuration.options import WRONG_FILE
from txcarp.configuration.places import CONTROL_SOCKET

_ROOT = Path(txcarp.__file__).parent.parent
_UNITS = sorted((_ROOT / "packaging" / "systemd").glob("*.service"))

#: The highest exposure that C{systemd-analyze security} may find.
_EXPOSURE = 2.4


class UnitTests(SynchronousTestCase):
    """
    Tests of both units.
    """

    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir(parents=True)

    def analyze(self, *words: str) -> subprocess.CompletedProcess[str]:
        """
        Run C{systemd-analyze}, which is in CI.
        """
        path = shutil.which("systemd-analyze")
        if path is None:
            if os.environ.get("CI"):
                self.fail("in CI nothing is skipped: systemd-analyze is not installed")
            raise SkipTest("systemd-analyze is not installed")
        return subprocess.run([path, *words], capture_output=True, text=True)

    def unit(self, path: Path) -> configparser.ConfigParser:
        """
        Read a unit.
        """
        parser = configparser.ConfigParser(strict=False, interpolation=None)
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read(path)
        return parser

    def test_verified(self) -> None:
        """
        systemd understands every line.  The program is found in the directories that it is
        installed in.
        """
        self.assertEqual(len(_UNITS), 2)
        programs = self.directory / "bin"
        programs.mkdir()
        for name in ("txcarp", "kill"):
            (programs / name).write_text("#!/bin/sh\n")
            (programs / name).chmod(0o755)
        for path in _UNITS:
            text = path.read_text()
            pattern = r"(?m)^(ExecSearchPath=)/opt/txcarp/bin:"
            text, count = re.subn(pattern, rf"\1{programs}:", text)
            self.assertEqual(count, 1)
            text = text.replace("=txcarp ", f"={programs}/txcarp ")
            name = path.name.replace("@", "@web")
            (self.directory / name).write_text(text)
            done = self.analyze("verify", "--man=no", str(self.directory / name))
            mine = [line for line in done.stderr.splitlines() if name in line]
            self.assertEqual((done.returncode, mine), (0, []), done.stderr)

    def test_exposure(self) -> None:
        """
        The exposure is low, and each point that it has is explained in the manual.
        """
        text = " ".join((_ROOT / "docs" / "service.rst").read_text().split())
        chapter = text.partition("As a service of systemd ---")[2].partition(" One daemon ")[0]
        for path in _UNITS:
            arguments = ["security", "--offline=true", "--json=short", "--no-pager", str(path)]
            found = json.loads(self.analyze(*arguments).stdout)
            points = {one["name"].rstrip("=") for one in found if one["exposure"]}
            explained = {one for one in points if f"``{one.partition('=')[0]}``" in chapter}
            self.assertEqual(points - explained, set(), path.name)
            last = self.analyze("security", "--offline=true", "--no-pager", str(path)).stdout
            figure = float(re.findall(r"exposure level for \S+ (\d+\.\d+)", last)[0])
            self.assertLessEqual(figure, _EXPOSURE, path.name)

    def test_settings(self) -> None:
        """
        Both units have the same settings apart from what starts the program and where its files
        are; those settings fit the program.
        """
        paths = sorted(_UNITS, key=lambda path: len(path.name))
        one, template = map(self.unit, paths)
        own = ("ExecStart", "ExecReload", "EnvironmentFile", "LoadCredential")
        own += ("StateDirectory", "RuntimeDirectory")
        for name, value in one["Service"].items():
            if name not in own:
                self.assertEqual(template["Service"].get(name), value, name)
        directory = one["Service"]["RuntimeDirectory"]
        self.assertEqual(os.path.dirname(CONTROL_SOCKET), f"/run/{directory}")
        wanted = {"CAP_NET_ADMIN", "CAP_NET_RAW"}
        for key in ("AmbientCapabilities", "CapabilityBoundingSet"):
            self.assertEqual(set(one["Service"][key].split()), wanted)
        # A dynamic user's /var/lib/txcarp is a link, so there can be no directory below it.
        self.assertEqual(template["Service"]["StateDirectory"], "txcarp-%i")
        self.assertEqual(one["Unit"]["StartLimitIntervalSec"], "0")
        self.assertEqual(one["Service"]["Restart"], "on-failure")
        self.assertEqual(one["Service"]["RestartPreventExitStatus"], str(WRONG_FILE))
        # For the guard, which must outlive the daemon with its scripts ('python -m tests.machines
        # deaths' measures that), and runs with real-time priority.
        self.assertEqual(one["Service"]["KillMode"], "process")
        self.assertEqual(one["Service"]["LimitRTPRIO"], "1")
        self.assertNotIn("RestrictRealtime", one["Service"])

    def test_installed(self) -> None:
        """
        The wheel installs both.
        """
        setup = self.unit(_ROOT / "setup.cfg")
        files = setup["options.data_files"]["lib/systemd/system"].split()
        self.assertEqual({_ROOT / name for name in files}, set(_UNITS))
        self.assertIn("graft packaging", (_ROOT / "MANIFEST.in").read_text())
