"""
What becomes of an address when its host fails: txcarp beside ucarp and keepalived.

    python -m benchmarks.faults

Two hosts share an address, with the default timing of the program that they run;
a client pings it every 2 ms.  Then something happens to the host that holds it.
The table shows for each program and fault the longest time in which both hosts had
the address, the silence that the client noticed, the probes that nobody answered,
and which host has the address in the end (C{a} is the one that failed).

Everything happens in network namespaces of this process; Debian's C{ucarp} and
C{keepalived} take part if they are installed.  With C{--runs} more than one, the
figures are the worst of all runs.  A virtual machine that stands still now and then
spoils the figures: such a cell is measured again.  The exit status is 1 if txcarp did
not do what it promises, and 3 if that could not be told.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from twisted.internet import task
from twisted.internet.defer import Deferred

from benchmarks.contestants import ALL, Contestant
from benchmarks.outcomes import PROBE, Outcome, measure, worst
from benchmarks.scenes import FAULTS
from benchmarks.tables import layout, showSpan
from tests.lab.holders import Span
from txcarp.daemon.scheduling import stayOnTime
from txcarp.testbed import TestbedUnavailable

BROKEN, UNTOLD = 1, 3


def table(
    contestants: Sequence[Contestant], outcomes: dict[tuple[str, str], Outcome]
) -> str:
    """
    The figures for people.
    """
    faults = [fault for fault in FAULTS if any(key[0] == fault.name for key in outcomes)]
    names = [contestant.name for contestant in contestants]
    return layout(
        (
            ("both hosts have it", lambda outcome: showSpan(outcome.both)),
            ("client hears nothing", lambda outcome: showSpan(outcome.silence)),
            ("probes lost", lambda outcome: str(outcome.lost)),
            ("has it in the end", lambda outcome: outcome.holders),
        ),
        names,
        [(fault.name, [outcomes[fault.name, name] for name in names]) for fault in faults],
    )


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """
    Read the command line.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.faults",
        description="What becomes of an address when its host fails.",
    )
    names = [contestant.name for contestant in ALL]
    parser.add_argument("--runs", type=int, default=1, help="of each cell (default 1)")
    parser.add_argument(
        "--attempts",
        type=int,
        default=3,
        help="to measure a cell without the whole machine standing still (default 3)",
    )
    parser.add_argument("--only", metavar="NAMES", help=f"some of {','.join(names)}")
    parser.add_argument("--faults", metavar="WORDS", help="those whose names hold one of these")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    options = parser.parse_args(arguments)
    for name in ("runs", "attempts"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} {getattr(options, name)}: expected 1 or more")
    chosen = options.only.split(",") if options.only else names
    for name in chosen:
        if name not in names:
            parser.error(f"--only {name}: expected some of {','.join(names)}")
    options.contestants = [contestant for contestant in ALL if contestant.name in chosen]
    words = options.faults.split(",") if options.faults else [""]
    options.chosen = [fault for fault in FAULTS if any(word in fault.name for word in words)]
    if not options.chosen:
        parser.error(f"--faults {options.faults}: the faults are {[f.name for f in FAULTS]}")
    return options


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


async def run(reactor: Any, options: argparse.Namespace) -> int:
    """
    Fill the table.

    @return: the exit status.
    """
    contestants = []
    for contestant in options.contestants:
        missing = contestant.missing()
        if missing:
            _say(f"{contestant.name} takes no part: {missing}")
        else:
            contestants.append(contestant)
    outcomes: dict[tuple[str, str], Outcome] = {}
    broken: list[str] = []
    untold: list[str] = []
    for fault in options.chosen:
        for contestant in contestants:
            runs = []
            for _ in range(options.runs):
                outcome = await measure(reactor, contestant, fault, options.attempts, _say)
                runs.append(outcome)
                _say(
                    f"{contestant.name:10}  {fault.name:20}  both {showSpan(outcome.both):>9}"
                    f"  silence {showSpan(outcome.silence):>9}  lost {outcome.lost:>4}"
                    f"  then {outcome.holders:8}  (+- {showSpan(Span(outcome.resolution))})"
                )
                if contestant.name != "txcarp":
                    continue
                if not outcome.telling:
                    untold.append(fault.name)
                else:
                    broken += [f"{fault.name}: {words}" for words in outcome.broken(fault)]
            outcomes[fault.name, contestant.name] = worst(runs)
    resolution = max((outcome.resolution for outcome in outcomes.values()), default=0.0)
    versions = [contestant.version() for contestant in contestants]
    if options.json:
        cells = [
            {"fault": fault, "program": name, **outcome.describe()}
            for (fault, name), outcome in outcomes.items()
        ]
        whole = {"programs": versions, "cells": cells, "broken": broken, "untold": untold}
        print(json.dumps(whole, indent=2))
    else:
        print(f"\n{', '.join(versions)}\n\n{table(contestants, outcomes)}\n")
        print(
            f"a: the host that failed, b: the other. +: still so at the end. Probes every "
            f"{PROBE * 1000:.0f} ms;\nthis process was never late by more than "
            f"{resolution * 1000:.0f} ms. Worst of {options.runs} run(s)."
        )
        for words in broken:
            print(f"txcarp broke its promise: {words}")
        for words in untold:
            print(f"not judged, because this machine stood still: {words}")
    return BROKEN if broken else UNTOLD if untold else 0


def main(arguments: Sequence[str]) -> None:
    """
    The command.
    """
    options = parse(arguments)
    # On a busy machine the observer must not be what is late.
    stayOnTime()

    def begin(reactor: Any) -> Deferred[None]:
        async def whole() -> None:
            status = await run(reactor, options)
            if status:
                raise SystemExit(status)

        return Deferred.fromCoroutine(whole())

    try:
        task.react(begin)
    except TestbedUnavailable as error:
        _say(f"benchmarks.faults: {error}")
        raise SystemExit(2) from None


if __name__ == "__main__":
    main(sys.argv[1:])
