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
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs

ROOT = Path(__file__).resolve().parent.parent

#: Percent of lines and branches that the tests must reach.
COVERAGE_FLOOR = 90

#: What is tested on each reactor that can watch a descriptor, the default one
#: (epoll) being that of all other parts: what really uses it.
OTHER_REACTORS = ("poll", "select", "asyncio")
ON_EACH_REACTOR = (
    "tests.clock.test_monotonic.ReactorTests",
    "tests.testbed.test_pinger.NetworkTests",
    "tests.test_reactors",
    "tests.network.test_addresstable",
    "tests.network.test_linkmonitor",
    "tests.netlink.test_client",
    "tests.network.test_linux",
)

#: What needs no test.
CHECKS = (
    ("lint", "ruff", "check", "."),
    ("types", "mypy"),
    ("interfaces' documentation", "pydoctor", "--quiet", "txcarp"),
    ("manual", "sphinx", "-nWq", "docs", "docs/html"),
)

#: How many parts run at the same time.  The tests of real processes, which take longest,
#: do little but wait; with many more of them than processors they would wait for each other.
AT_ONCE = min((os.cpu_count() or 1) + 1, 6)

#: Seconds after which a part is taken for one that hangs; trial ends tests that wait, not
#: those that never return to the reactor.
TIME_LIMIT = 1800.0

#: Tests of real processes in real time.  A machine that stands still for a
#: second, as virtual ones do, fails them; a fault fails them again.
REAL_TIME = (
    "tests.lab.",
    "tests.demo.",
    "tests.testbed.",
    "tests.netlink.",
    "tests.network.",
    "tests.logs.",
    "tests.mastership.test_scripts",
    "tests.observer.test_command",
    "tests.observer.test_wire",
    "tests.clock.test_monotonic",
    "tests.test_reactors",
    "tests.state.test_store",
)

#: More failures than this are no accident.
REPEATED = 10


@attrs.frozen
class Outcome:
    """
    What became of a command.

    @ivar command: a module of Python, and its arguments.
    @ivar good: whether its exit status was 0.
    @ivar output: what it printed.
    """

    title: str
    command: Sequence[str]
    good: bool
    output: str

    @property
    def counts(self) -> tuple[int, int, int]:
        """
        How many tests passed, failed and were skipped, from trial's last line.
        """
        summaries = re.findall(r"^(?:PASSED|FAILED).*$", self.output, re.MULTILINE)
        numbers = dict(re.findall(r"(\w+)=(\d+)", summaries[-1])) if summaries else {}
        failed = int(numbers.get("failures", 0)) + int(numbers.get("errors", 0))
        return int(numbers.get("successes", 0)), failed, int(numbers.get("skips", 0))

    @property
    def passed(self) -> bool:
        """
        Whether there were tests, and none failed.  All of a part may be skipped, for want
        of ucarp or of privileges.
        """
        passed, _, skipped = self.counts
        return self.good and passed + skipped > 0

    @property
    def failures(self) -> list[str]:
        """
        The names of the tests that failed, one for each failure: a test may have several.
        """
        # They follow the tracebacks.  The names of modules, without a class, are lines as well.
        return re.findall(r"^(tests\.[\w.]+\.[A-Z]\w*\.test\w+)$", self.output, re.MULTILINE)

    @property
    def mayBeAccident(self) -> bool:
        """
        Whether all that failed are tests in real time.
        """
        failures = self.failures
        inRealTime = all(name.startswith(REAL_TIME) for name in failures)
        return 0 < len(failures) == self.counts[1] and inRealTime


def run(title: str, *command: str) -> Outcome:
    """
    Run a command to its end, then show what it printed.  One that hangs is killed.
    """
    began = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=TIME_LIMIT,
            check=False,
        )
        good, printed, end = done.returncode == 0, done.stdout, ""
    except subprocess.TimeoutExpired as expired:
        good, printed = False, expired.stdout or b""
        end = f"\nkilled: it, or something that it started, ran for {TIME_LIMIT:.0f} s\n"
    took = time.monotonic() - began
    output = printed.decode(errors="replace") + end
    # In one piece: others run at the same time.
    sys.stdout.write(f"--- {title} ({took:.0f} s)\n{output}")
    sys.stdout.flush()
    return Outcome(title, command, good, output)


def parts() -> Iterator[tuple[str, ...]]:
    """
    All tests, a title and a command for each part: the modules of the lab, which take
    longest and so come first, the other directories, and the modules that are in none.
    """
    tests = ROOT / "tests"
    for module in sorted((tests / "lab").glob("test_*.py")):
        name = f"tests.lab.{module.stem}"
        # The lab is about time: its daemons are not slowed down by being traced.
        yield name, "twisted.trial", name
    traced = ("coverage", "run", "-m", "twisted.trial")
    for directory in sorted({path.parent.name for path in tests.glob("*/test_*.py")} - {"lab"}):
        name = f"tests.{directory}"
        yield name, *traced, name
    yield "tests", *traced, *sorted(f"tests.{path.stem}" for path in tests.glob("test_*.py"))
    for reactor in OTHER_REACTORS:
        title = f"tests on the {reactor} reactor"
        yield title, "twisted.trial", f"--reactor={reactor}", *ON_EACH_REACTOR


def onceMore(outcomes: list[Outcome]) -> dict[str, Outcome]:
    """
    Run the tests that failed once more, now that nothing else runs, if that may have been
    an accident.

    @return: the new outcomes, by title.
    """
    bad = [outcome for outcome in outcomes if not outcome.good]
    if not all(outcome.mayBeAccident for outcome in bad):
        return {}
    if sum(outcome.counts[1] for outcome in bad) > REPEATED:
        return {}
    return {
        outcome.title: run(
            f"{outcome.title}, once more",
            *(word for word in outcome.command if not word.startswith("tests")),
            *sorted(set(outcome.failures)),
        )
        for outcome in bad
    }


def main(arguments: list[str]) -> int:
    """
    @return: The exit status.
    """
    if arguments:
        return subprocess.call([sys.executable, "-m", "twisted.trial", *arguments], cwd=ROOT)
    for stale in ROOT.glob(".coverage*"):
        stale.unlink()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        done = list(pool.map(lambda part: run(*part), [*parts(), *CHECKS]))
    outcomes, checks = done[: -len(CHECKS)], done[-len(CHECKS) :]
    again = onceMore(outcomes)
    last = [again.get(outcome.title, outcome) for outcome in outcomes]
    results = {outcome.title: outcome.passed for outcome in last}
    results |= {check.title: check.good for check in checks}
    run("coverage data", "coverage", "combine", "--quiet")
    report = run("coverage", "coverage", "report", f"--fail-under={COVERAGE_FLOOR}")
    results["coverage"] = report.good
    passed = sum(outcome.counts[0] for outcome in (*outcomes, *again.values()))
    failed = sum(outcome.counts[1] for outcome in last)
    skipped = sum(outcome.counts[2] for outcome in outcomes)
    if os.environ.get("CI"):
        # Where all that is needed can be installed, nothing goes untested.
        results["no test is skipped"] = not skipped
    for name, good in results.items():
        print(f"{'good' if good else 'BAD '}  {name}")
    for title, second in again.items():
        [first] = [outcome for outcome in outcomes if outcome.title == title]
        for name in sorted(set(first.failures)):
            verdict = "failed twice" if name in second.failures else "failed, then passed alone"
            print(f"NOTE  {name} {verdict} ({title})")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 0 if all(results.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
