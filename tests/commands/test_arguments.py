"""
Tests of L{txcarp.commands.arguments}, and of what commands import.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import txcarp
from txcarp.commands.arguments import WIDTH, CommandParser, parserOf
from txcarp.commands.main import COMMANDS

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


class HelpTests(SynchronousTestCase):
    """
    The help of every command.
    """

    def parsers(self) -> dict[str, CommandParser]:
        """
        The parser of each command.
        """
        return {name: parserOf(command.load()) for name, command in COMMANDS.items()}

    def test_width(self) -> None:
        """
        It fits 80 columns, also on a terminal that is wider.
        """
        for columns in ("80", "200"):
            self.patch(os, "environ", {**os.environ, "COLUMNS": columns})
            for command, parser in self.parsers().items():
                for line in parser.format_help().splitlines():
                    self.assertLessEqual(len(line), WIDTH, f"{command}: {line}")

    def test_examples(self) -> None:
        """
        It has an example at least, which the command understands.  For a new command, add one to
        L{txcarp.commands.examples}, or to its own help.
        """
        for command, parser in self.parsers().items():
            text = parser.format_help().replace("\\\n", "")
            lines = re.findall(rf"(?m)^  (?:.*\b)?txcarp {command}\b(.*)$", text)
            self.assertGreater(len(lines), 0, f"txcarp {command} --help has no example")
            for line in lines:
                words = re.split(r" [|&<>]|\)\"", line)[0]
                parser.parse_args(shlex.split(words))

    def test_noParser(self) -> None:
        """
        A function that parses nothing is no command, and parsers work afterwards.
        """
        self.assertRaises(TypeError, parserOf, list)
        self.assertEqual(CommandParser("test", "", "").parse_args([]).__dict__, {})


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
        The help of a command needs neither Twisted nor rich nor cattrs nor attrs.
        """
        lines = """
    from txcarp.commands.main import COMMANDS
    for name, command in COMMANDS.items():
        try:
            command.load()(["--help"])
        except SystemExit as end:
            assert not end.code
        assert not {"twisted", "rich", "cattrs", "attr"} & set(sys.modules), name
"""
        self.assertEqual(self.imported(lines), [])

    def test_few(self) -> None:
        """
        A command that asks a running process needs few modules: it starts in less than 100 ms.
        """
        for words in (["status"], ["explain", "web"], ["drain", "web"], ["completion", "groups"]):
            given = [*words, "--control", "/nonexistent/x"]
            code = f"import sys; sys.argv[1:] = {given!r}\nfrom txcarp.commands.main import main\n"
            code += "try:\n    main()\nexcept SystemExit:\n    print(len(sys.modules))"
            done = subprocess.run(
                [sys.executable, "-S", "-c", code],
                cwd=_ROOT,
                capture_output=True,
                text=True,
                check=True,
            )
            self.assertLess(int(done.stdout), 160, words)

    def test_asking(self) -> None:
        """
        A command that asks a running process needs none of them, except for a table on a terminal.
        """
        self.assertEqual(self.imported("import txcarp.operate.client, http.client"), [])
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
