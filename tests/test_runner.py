"""
Tests for L{tests.__main__}, which runs all others.
"""

from __future__ import annotations

import io
import os
import re
import sys
import tempfile
from pathlib import Path

from twisted.python.reflect import namedAny
from twisted.trial.unittest import SynchronousTestCase

from tests import __main__ as runner
from tests.__main__ import ROOT, Outcome, onceMore, parts

#: What trial prints of a module with a test that fails, one that leaves something behind
#: as well, and two that are good.
OUTPUT = """\
tests.lab.test_link
  LinkTests
    test_carrier ...                                                       [OK]
    test_missing ...                                                     [FAIL]
    test_renamed ...                                                    [ERROR]
                                                                        [ERROR]

===============================================================================
[FAIL]
Traceback (most recent call last):
twisted.trial.unittest.FailTest: not within 3 s: the up script

tests.lab.test_link.LinkTests.test_missing
===============================================================================
[ERROR]
Traceback (most recent call last):
twisted.internet.defer.TimeoutError: still running at 120 secs

tests.lab.test_link.LinkTests.test_renamed
===============================================================================
[ERROR]
Traceback (most recent call last):
Failure: twisted.trial.util.DirtyReactorAggregateError: Reactor was unclean.

tests.lab.test_link.LinkTests.test_renamed
-------------------------------------------------------------------------------
Ran 4 tests in 36.366s

FAILED (failures=1, errors=2, successes=2, skips=1)
"""

NAMES = ["tests.lab.test_link.LinkTests.test_missing", "tests.lab.test_link.LinkTests.test_renamed"]


def outcome(output: str, good: bool = False) -> Outcome:
    """
    What became of a part with this output.
    """
    command = ("coverage", "run", "-m", "twisted.trial", "tests.lab.test_link")
    return Outcome("the links", command, good, output)


class OutcomeTests(SynchronousTestCase):
    """
    Tests for L{Outcome}.
    """

    def test_read(self) -> None:
        """
        Each failure is counted, and belongs to a test.
        """
        self.assertEqual(outcome(OUTPUT).counts, (2, 3, 1))
        self.assertEqual(outcome(OUTPUT).failures, [*NAMES, NAMES[1]])
        self.assertEqual(outcome("PASSED (successes=7)\n").counts, (7, 0, 0))
        self.assertEqual(outcome("Segmentation fault\n").counts, (0, 0, 0))

    def test_accidents(self) -> None:
        """
        What fails in real time may be an accident; what has no name, and what needs no
        time, is none.
        """
        self.assertTrue(outcome(OUTPUT).mayBeAccident)
        for other in (
            OUTPUT.replace(f"\n{NAMES[0]}\n", "\n"),
            OUTPUT.replace(".lab.", ".protocol."),
            "Segmentation fault\n",
            "PASSED (successes=7)\n",
        ):
            self.assertFalse(outcome(other).mayBeAccident)

    def test_onceMore(self) -> None:
        """
        Only the tests that failed are run once more, each once, and only if all that failed
        may be accidents.
        """
        commands: list[tuple[str, ...]] = []

        def run(title: str, *command: str) -> Outcome:
            commands.append((title, *command))
            return outcome("PASSED (successes=2)\n", True)

        self.patch(runner, "run", run)
        good, bad = outcome("PASSED (successes=7)\n", True), outcome(OUTPUT)
        self.assertEqual(list(onceMore([good, bad])), ["the links"])
        traced = ("coverage", "run", "-m", "twisted.trial")
        self.assertEqual(commands, [("the links, once more", *traced, *NAMES)])
        for others in ([good], [bad, outcome("Segmentation fault\n")], [bad] * 4):
            self.assertEqual(onceMore(others), {})
        self.assertEqual(len(commands), 1)


class MainTests(SynchronousTestCase):
    """
    Tests for L{runner.main}.
    """

    def main(self, output: str, good: bool) -> tuple[int, list[str]]:
        """
        The exit status, and the lines of the summary, where one of two parts, which has no
        tests in real time, ends like this.
        """

        def run(title: str, *command: str) -> Outcome:
            if title == "odd":
                return Outcome(title, command, good, output)
            return Outcome(title, command, True, "PASSED (successes=2, skips=1)\n")

        shown = io.StringIO()
        self.patch(sys, "stdout", shown)
        self.patch(runner, "run", run)
        self.patch(runner, "ROOT", Path(self.mktemp()))
        self.patch(runner, "parts", lambda: iter((("odd", "tests.a"), ("even", "tests.b"))))
        return runner.main([]), shown.getvalue().splitlines()

    def test_verdicts(self) -> None:
        """
        A part in which nothing fails is good, although all of it may be skipped; one that
        crashes, has no tests, or did not succeed in spite of what it says, is bad.
        """
        self.patch(os, "environ", {})
        failed = "FAILED (failures=1, successes=3)\n"
        for output, good, status, counts in (
            ("PASSED (successes=7)\n", True, 0, "9 passed, 0 failed, 1 skipped"),
            ("PASSED (skips=5)\n", True, 0, "2 passed, 0 failed, 6 skipped"),
            ("PASSED (successes=0)\n", True, 1, "2 passed, 0 failed, 1 skipped"),
            ("", True, 1, "2 passed, 0 failed, 1 skipped"),
            ("Segmentation fault\n", False, 1, "2 passed, 0 failed, 1 skipped"),
            ("PASSED (successes=7)\n", False, 1, "9 passed, 0 failed, 1 skipped"),
            (failed, False, 1, "5 passed, 1 failed, 1 skipped"),
        ):
            with self.subTest(output=output, good=good):
                got, lines = self.main(output, good)
                self.assertEqual((got, lines[-1]), (status, counts))
                self.assertIn("BAD   odd" if status else "good  odd", lines)

    def test_skippedInCI(self) -> None:
        """
        Where everything can be installed, a test that is skipped is a failure.
        """
        self.patch(os, "environ", {"CI": "true"})
        status, lines = self.main("PASSED (successes=7)\n", True)
        self.assertEqual(status, 1)
        self.assertIn("BAD   no test is skipped", lines)


class PartTests(SynchronousTestCase):
    """
    Tests for L{parts}.
    """

    def test_complete(self) -> None:
        """
        Every module with tests is in one part, but for what is run on other reactors, which
        exists.
        """
        words = [word for title, *words in parts() if "reactor" not in title for word in words]
        for path in (ROOT / "tests").rglob("test_*.py"):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            self.assertEqual(words.count(name) + words.count(name.rpartition(".")[0]), 1, name)
        titles = [title for title, *_ in parts()]
        self.assertEqual(len(set(titles)), len(titles))
        for name in runner.ON_EACH_REACTOR:
            namedAny(name)


class RunTests(SynchronousTestCase):
    """
    Tests for L{runner.run}.
    """

    def test_shown(self) -> None:
        """
        What a command prints is shown, both its output and its errors, under its title.
        """
        with tempfile.TemporaryDirectory() as directory:
            (Path(directory) / "speaks.py").write_text(
                "import sys\nprint('out')\nprint('err', file=sys.stderr)\nsys.exit(3)\n"
            )
            self.patch(runner, "ROOT", Path(directory))
            shown = io.StringIO()
            self.patch(sys, "stdout", shown)
            done = runner.run("a title", "speaks")
        self.assertFalse(done.good)
        self.assertEqual(sorted(done.output.split()), ["err", "out"])
        self.assertTrue(re.match(r"--- a title \(\d+ s\)\n", shown.getvalue()))
        self.assertTrue(shown.getvalue().endswith(done.output))

    def test_hangs(self) -> None:
        """
        A command that does not end is killed, and was not good.
        """
        with tempfile.TemporaryDirectory() as directory:
            (Path(directory) / "hangs.py").write_text("import time\ntime.sleep(3600)\n")
            self.patch(runner, "ROOT", Path(directory))
            self.patch(runner, "TIME_LIMIT", 0.1)
            self.patch(sys, "stdout", io.StringIO())
            done = runner.run("a title", "hangs")
        self.assertFalse(done.good)
        self.assertIn("killed", done.output)
