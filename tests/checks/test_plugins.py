"""
Tests for L{txcarp.checks.plugins}: each in a process of its own, with directories of modules.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import txcarp

_ROOT = Path(txcarp.__file__).parent.parent

_FILE = """
[group.web]
interface = "eth0"
vhid = 1
passfile = "password"
addresses = ["10.1.1.252/24"]
source = "10.1.1.1"
[group.web.check.own]
plugin = "%s"
%s
"""

_READ = """
import sys
from txcarp.configuration.file import readFile
from txcarp.configuration.problems import FileError
assert "twisted.plugin" not in sys.modules
try:
    [check] = readFile(sys.argv[1]).groups[0].checks
except FileError as error:
    print(str(error))
else:
    print(check.check, "-", check.check.run(None, 1.0))
"""


class PluginTests(SynchronousTestCase):
    """
    Configuration files that name a plugin.
    """

    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        (self.directory / "txcarp/plugins").mkdir(parents=True)
        (self.directory / "password").write_text("not a secret\n")
        (self.directory / "password").chmod(0o600)

    def install(self, name: str, text: str) -> None:
        """
        Install a module with plugins.
        """
        (self.directory / "txcarp/plugins" / name).write_text(text)

    def read(self, plugin: str, more: str = "") -> str:
        """
        What comes of a file with a plugin.
        """
        path = self.directory / "txcarp.toml"
        path.write_text(_FILE % (plugin, more))
        environment = {**os.environ, "PYTHONPATH": f"{self.directory}:{_ROOT}"}
        done = subprocess.run(
            [sys.executable, "-c", _READ, str(path)],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
        self.errors = done.stderr
        return done.stdout

    def example(self) -> str:
        """
        The example.
        """
        return (_ROOT / "examples/plugins/txcarp/plugins/load_check.py").read_text()

    def test_example(self) -> None:
        """
        The example is found by its name, and gets its arguments.  Its documentation is right.
        """
        self.install("load_check.py", self.example())
        found = self.read("load", "arguments = {limit = 1000000}")
        self.assertRegex(found, r"\ALoadCheck\(limit=1000000\) - the load is \d+\.\d\n\Z")
        self.assertEqual(self.errors, "")
        chapter = (_ROOT / "docs/checks.rst").read_text().replace("\n    ", "\n")
        start = self.example().index("@implementer")
        self.assertIn(self.example()[start:].strip(), chapter)

    def test_wrongArguments(self) -> None:
        """
        Arguments that the plugin refuses are an error of the file.
        """
        self.install("load_check.py", self.example())
        said = self.read("load", "arguments = {most = 5}")
        self.assertIn("'load' gives no check: TypeError: ", said)

    def test_unknown(self) -> None:
        """
        A name that no plugin has is an error, with the names that there are.
        """
        self.assertIn("no plugin is called 'load'; there is none in", self.read("load"))
        self.install("load_check.py", self.example())
        self.assertIn("no plugin is called 'lod'; there are: load", self.read("lod"))

    def test_twice(self) -> None:
        """
        A name that two plugins have is an error.
        """
        self.install("load_check.py", self.example())
        self.install("other.py", self.example())
        self.assertIn("there are 2 plugins 'load': ", self.read("load"))

    def test_broken(self) -> None:
        """
        A module that cannot be imported, or whose objects are broken, hides no other.  It is named
        if it may be what is missing.
        """
        self.install("load_check.py", self.example())
        self.install("broken.py", "1 / 0\n")
        self.install("worse.py", "def\n")
        found = self.read("load", "arguments = {limit = 1000000}")
        self.assertIn("LoadCheck", found)
        self.assertIn("broken.py", self.errors)
        said = self.read("queue")
        self.assertIn("there are: load; these are broken: ", said)
        self.assertRegex(said, r"broken\.py \(ZeroDivisionError: division by zero\)")
        self.assertRegex(said, r"worse\.py \(SyntaxError: ")
