"""
The exhaustive model: C{python -m tests.model}.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed

from tests.model.check import Report, checkNamed
from tests.model.scenarios import SCENARIOS, Scenario

_ROW = "{:28} {:5} {:>10} {:>7}  {:>13} {:>13}  {}"


def _rules(scenario: Scenario) -> str:
    return ", ".join(spec.rules for spec in scenario.hosts)


def _limits(scenario: Scenario) -> str:
    return ", ".join(f"{limit} {kind.name.lower()}" for kind, limit in scenario.limits.items())


def _reports(names: Iterable[str], processes: int) -> Iterable[Report]:
    if processes == 1:
        yield from map(checkNamed, names)
        return
    # A process for each scenario: its memory is free afterwards.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, max_tasks_per_child=1) as pool:
        for done in as_completed([pool.submit(checkNamed, name) for name in names]):
            yield done.result()


def main(arguments: list[str]) -> int:
    """
    Check scenarios, and print a table.

    @return: The exit status: 0 if every scenario is as good as the plain protocol, 1 otherwise.
    """
    parser = argparse.ArgumentParser(
        prog="python -m tests.model",
        description="Explore every state that a group can reach, and compare it with the plain "
        "protocol.",
    )
    parser.add_argument(
        "scenarios", nargs="*", metavar="SCENARIO", help="a scenario, or the beginning of its name"
    )
    parser.add_argument("--list", action="store_true", help="only list the scenarios")
    parser.add_argument("--processes", type=int, default=2, help="how many work at once (2)")
    options = parser.parse_args(arguments)
    wanted = tuple(options.scenarios) or ("",)
    names = [name for name in SCENARIOS if name.startswith(wanted)]
    unknown = [one for one in wanted if not any(name.startswith(one) for name in names)]
    if unknown or options.processes < 1:
        parser.error(
            f"there is no scenario {unknown[0]!r}; see --list"
            if unknown
            else f"--processes must be at least 1, not {options.processes}"
        )
    if options.list:
        for name in names:
            scenario = SCENARIOS[name]
            print(f"{name:28} {_rules(scenario)}; {_limits(scenario)}")
        return 0
    return _run(names, options.processes)


def _run(names: list[str], processes: int) -> int:
    began = time.monotonic()
    print("Longest times after the last fault in seconds, and in brackets what the plain protocol")
    print("takes with the same number of faults of any kind.")
    print(_ROW.format("SCENARIO", "HOSTS", "STATES", "SECONDS", "NO MASTER", "TWO", "VERDICT"))
    states, bad = 0, []
    for report in _reports(names, processes):
        states += report.states
        if report.found:
            bad.append(report)
        print(
            _ROW.format(
                report.name,
                len(SCENARIOS[report.name].hosts),
                f"{report.states:,}",
                f"{report.seconds:.1f}",
                f"{report.none:.2f} ({report.plain[0]:.2f})",
                f"{report.several:.2f} ({report.plain[1]:.2f})",
                "WORSE" if report.found else "good",
            ),
            flush=True,
        )
    for report in bad:
        scenario = SCENARIOS[report.name]
        for found in report.found:
            print(f"\n{report.name} ({_rules(scenario)}): {found.title}.\n{found.text}")
    seconds = time.monotonic() - began
    print(
        f"\n{len(names) - len(bad)} of {len(names)} scenarios are as good as the plain protocol: "
        f"{states:,} states in {seconds:.0f} s, {states / seconds:,.0f} in a second"
    )
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
