"""
Tests of L{txcarp.commands.arguments}, and of what commands import.
"""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import txcarp
from txcarp.commands.arguments import CommandParser

_ROOT = Path(txcarp.__file__).parent.parent

#: Runs some lines, and says which of the named packages were imported.
_IMPORTED = """
import sys
try:
    {lines}
except SystemExit as end:
    assert not end.code, end.code
print(*sorted({{"cattrs", "rich", "twisted"}} & set(sys.modules)), file=sys.stderr)
"""


class ParserTests(SynchronousTestCase):
    """
    Tests of L{CommandParser}.
    """

    def run_(self, *arguments: str) -> tuple[object, str, str]:
        output, errors = io.StringIO(), io.StringIO()
        self.patch(sys, "stdout", output)
        self.patch(sys, "stderr", errors)
        parser = CommandParser("test", "Before.", "After.")
        ended = self.assertRaises(SystemExit, parser.parse_args, list(arguments))
        return ended.code, output.getvalue(), errors.getvalue()

    def test_wrong(self) -> None:
        """
        A wrong command line is status 1, and said in one line, with a hint.
        """
        status, output, errors = self.run_("--nonsense")
        self.assertEqual((status, output), (1, ""))
        self.assertRegex(errors, r"^txcarp test: .*--nonsense\nTry 'txcarp test --help'\.\n$")

    def test_asked(self) -> None:
        """
        Help and version are printed, with status 0.
        """
        status, output, errors = self.run_("--version")
        self.assertEqual((status, output, errors), (0, f"txcarp {txcarp.__version__}\n", ""))
        status, output, errors = self.run_("--help")
        self.assertEqual((status, errors), (0, ""))
        self.assertRegex(output, r"(?s)^usage: txcarp test .*\n\nBefore\.\n\n.*\nAfter\.\n$")


class ImportTests(SynchronousTestCase):
    """
    What is imported when.
    """

    def imported(self, lines: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", _IMPORTED.format(lines=lines)],
            cwd=_ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stderr.split()

    def test_help(self) -> None:
        """
        The help of a command needs neither Twisted nor rich nor cattrs.
        """
        for command in ("check", "convert", "demo", "observe"):
            lines = f"from txcarp.commands.{command} import main; main(['--help'])"
            self.assertEqual(self.imported(lines), [])

    def test_asking(self) -> None:
        """
        A command that asks a running process needs none of them, except for a table on a terminal.
        """
        self.assertEqual(self.imported("import txcarp.client, http.client"), [])
        for module in ("status", "explain", "ismaster", "demotion", "takeover", "reload"):
            self.assertEqual(self.imported(f"import txcarp.commands.{module}"), [])
        # Where no process answers, the exit status is 3.
        lines = "from txcarp.commands.status import main; assert main(['--control=/none/x']) == 3"
        self.assertEqual(self.imported(lines)[-2:], ["--control", "here"])

    def test_observe(self) -> None:
        """
        Observing needs rich only for its tables.
        """
        self.assertEqual(self.imported("import txcarp.observer.observation"), ["twisted"])

    def test_daemon(self) -> None:
        """
        The daemon never needs rich, and cattrs only to read a file.
        """
        lines = "import txcarp.commands.main, twisted.plugins.txcarp_plugin, txcarp.service"
        self.assertEqual(self.imported(lines), ["twisted"])
