"""
Everything that must be true before a change is good: C{python -m tests}.

Tests (with coverage), lint, types and the documentation of the interfaces.
With arguments, only the tests that they name are run, and nothing else.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

#: Percent of lines and branches that the tests must reach.
COVERAGE_FLOOR = 90

#: What is tested on each reactor that can watch a descriptor, the default one
#: (epoll) being that of the whole run.
OTHER_REACTORS = ("poll", "select", "asyncio")
ON_EACH_REACTOR = ("tests.test_clock", "tests.network", "tests.test_reactors")

#: Tests of real processes in real time.  A machine that stands still for a
#: second, as virtual ones do, fails them; a fault fails them again.
REAL_TIME = (
    "tests.lab.",
    "tests.demo.",
    "tests.testbed.",
    "tests.network.",
    "tests.logs.",
    "tests.mastership.test_scripts",
    "tests.observer.test_command",
    "tests.test_clock",
    "tests.test_pinger",
    "tests.test_reactors",
)

#: More failures than this are no accident.
REPEATED = 30


def run(title: str, *command: str) -> tuple[bool, str]:
    """
    Run a command, showing what it prints.

    @return: Whether it succeeded, and what it printed.
    """
    print(f"--- {title}", flush=True)
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        print(line, end="", flush=True)
        lines.append(line)
    return process.wait() == 0, "".join(lines)


def count(output: str) -> tuple[int, int, int]:
    """
    How many tests passed, failed and were skipped, from trial's last line.
    """
    summaries = re.findall(r"^(?:PASSED|FAILED).*$", output, re.MULTILINE)
    numbers = dict(re.findall(r"(\w+)=(\d+)", summaries[-1])) if summaries else {}
    failed = int(numbers.get("failures", 0)) + int(numbers.get("errors", 0))
    return int(numbers.get("successes", 0)), failed, int(numbers.get("skips", 0))


def failures(output: str) -> list[str]:
    """
    The names of the tests that failed, which follow their tracebacks.
    """
    return sorted(set(re.findall(r"^(tests\.[\w.]+\.test\w+)$", output, re.MULTILINE)))


def main(arguments: list[str]) -> int:
    """
    @return: The exit status.
    """
    if arguments:
        return 0 if run("tests", "twisted.trial", *arguments)[0] else 1
    results = {}
    totals = [0, 0, 0]

    def tests(title: str, *command: str) -> None:
        good, output = run(title, *command)
        passed, failed, skipped = count(output)
        again = failures(output)
        inRealTime = all(name.startswith(REAL_TIME) for name in again)
        if 0 < len(again) <= REPEATED and failed == len(again) and inRealTime:
            repeated = [part for part in command if not part.startswith("tests")]
            good, second = run(f"{title}: {len(again)} once more", *repeated, *again)
            rescued = count(second)[0]
            passed, failed = passed + rescued, failed - rescued
        for index, number in enumerate((passed, failed, skipped)):
            totals[index] += number
        if os.environ.get("CI") and skipped:
            print(f"{skipped} tests were skipped, which must not be where CI is set")
            good = False
        results[title] = good and passed > 0

    for stale in ROOT.glob(".coverage*"):
        stale.unlink()
    tests("tests", "coverage", "run", "-m", "twisted.trial", "tests")
    for reactor in OTHER_REACTORS:
        tests(
            f"tests on the {reactor} reactor",
            "twisted.trial",
            f"--reactor={reactor}",
            *ON_EACH_REACTOR,
        )
    run("coverage data", "coverage", "combine", "--quiet")
    results["coverage"] = run(
        "coverage", "coverage", "report", f"--fail-under={COVERAGE_FLOOR}"
    )[0]
    results["lint"] = run("lint", "ruff", "check", ".")[0]
    results["types"] = run("types", "mypy")[0]
    results["interfaces' documentation"] = run("documentation", "pydoctor", "--quiet", "txcarp")[0]
    for name, good in results.items():
        print(f"{'good' if good else 'BAD '}  {name}")
    passed, failed, skipped = totals
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 0 if all(results.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
