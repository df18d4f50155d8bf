"""
Faults of the host that holds an address: txcarp beside ucarp and keepalived.

    python -m benchmarks.faults

Two hosts share an address, with the default timing of the program that they run, or with that of
C{--interval}; a client
pings the address every 2 ms.  Then the host that holds it has a fault.  The table shows for
each program and fault the longest time in which both hosts had the address, the longest time
in which the client got no answer, the number of lost probes, the time until the other host had
the address, and the host that has it in the end.  C{a} is the host with the fault.

txcarp and keepalived are several processes.  C{SIGKILL} ends the one that was started: the daemon
of txcarp, and the parent of keepalived, which supervises the others.  The child is the guard of
txcarp, and the process of keepalived that speaks VRRP.

Everything happens in network namespaces of this process.  Debian's C{ucarp} and C{keepalived}
take part if they are installed.  With several C{--runs} the figures are the worst of all runs.
A measurement during which a virtual machine pauses is repeated.  The exit status is 1 if txcarp
broke a promise, and 3 if the machine paused for too long to judge it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

import attrs

from benchmarks.contestants import ASSIGNING, Contestant, paced
from benchmarks.measuring import (
    addCommonOptions,
    execute,
    expectPositive,
    say,
    takingPart,
    verdict,
)
from benchmarks.outcomes import PROBE, Outcome, measure, median, worst
from benchmarks.scenes import FAULTS, addFaultOption, faultsOf
from benchmarks.tables import layout, showSpan
from tests.lab.holders import Span


def table(
    contestants: Sequence[Contestant], outcomes: dict[tuple[str, str], Outcome]
) -> str:
    """
    The figures as text.
    """
    faults = [fault for fault in FAULTS if any(key[0] == fault.name for key in outcomes)]
    names = [contestant.name for contestant in contestants]
    rows = [(fault.name, [outcomes.get((fault.name, one)) for one in names]) for fault in faults]
    return layout(
        (
            ("both hosts have it", _cell(lambda outcome: showSpan(outcome.both))),
            ("client gets no answer", _cell(lambda outcome: showSpan(outcome.silence))),
            ("probes lost", _cell(lambda outcome: str(outcome.lost))),
            ("taken over after", _cell(lambda outcome: _after(outcome.taken))),
            ("has it in the end", _cell(lambda outcome: outcome.holders)),
        ),
        names,
        rows,
    )


def _cell(show: Callable[[Outcome], str]) -> Callable[[Outcome | None], str]:
    return lambda outcome: "-" if outcome is None else show(outcome)


def _after(seconds: float | None) -> str:
    return "never" if seconds is None else showSpan(Span(seconds))


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """
    Read the command line.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.faults",
        description="Measure what faults of a host do to the address that it shares.",
    )
    parser.add_argument("--runs", type=int, default=1, help="runs of each fault (1)")
    parser.add_argument(
        "--attempts", type=int, default=3, help="attempts at a run without a pause (3)"
    )
    parser.add_argument(
        "--interval",
        type=float,
        default=1.0,
        metavar="SECONDS",
        help="time between advertisements (1); ucarp has no shorter one",
    )
    parser.add_argument("--median", action="store_true", help="show medians, not the worst")
    addFaultOption(parser)
    addCommonOptions(parser)
    options = parser.parse_args(arguments)
    expectPositive(parser, options, "runs", "attempts")
    if not 1 / 256 <= options.interval <= 10:
        parser.error(f"--interval {options.interval}: expected 0.004 to 10 seconds")
    paces = (paced(one, options.interval) for one in takingPart(parser, options))
    options.contestants = [one for one in paces if one is not None]
    options.chosen = faultsOf(parser, options, FAULTS)
    return options


async def run(reactor: Any, options: argparse.Namespace) -> int:
    """
    Measure, and print the table.

    @return: The exit status.
    """
    contestants: list[Contestant] = options.contestants
    outcomes: dict[tuple[str, str], Outcome] = {}
    summary = median if options.median else worst
    broken: list[str] = []
    inconclusive: list[str] = []
    for fault in options.chosen:
        for contestant in contestants:
            if not fault.possible(contestant):
                continue
            runs = []
            for _ in range(options.runs):
                outcome = await measure(reactor, contestant, fault, options.attempts)
                runs.append(outcome)
                say(
                    f"{contestant.name:10}  {fault.name:20}  both {showSpan(outcome.both):>9}"
                    f"  silence {showSpan(outcome.silence):>9}  lost {outcome.lost:>4}"
                    f"  taken {_after(outcome.taken):>9}  then {outcome.holders:8}"
                    f"  (+- {showSpan(Span(outcome.resolution))})"
                )
                # The promises are for the default timing.
                if contestant is not ASSIGNING:
                    continue
                if not outcome.conclusive:
                    inconclusive.append(fault.name)
                else:
                    broken += [f"{fault.name}: {words}" for words in outcome.broken(fault)]
            outcomes[fault.name, contestant.name] = summary(runs)
    resolution = max((outcome.resolution for outcome in outcomes.values()), default=0.0)
    versions = [contestant.version for contestant in contestants]
    if options.json:
        cells = [
            {"fault": fault, "program": name, **attrs.asdict(outcome)}
            for (fault, name), outcome in outcomes.items()
        ]
        whole = {"programs": versions, "runs": options.runs, "cells": cells}
        print(json.dumps({**whole, "broken": broken, "inconclusive": inconclusive}, indent=2))
    else:
        print(f"\n{', '.join(versions)}\n\n{table(contestants, outcomes)}\n")
        print(
            f"a: the host with the fault, b: the other one. +: not over at the end. Probes every "
            f"{PROBE * 1000:.0f} ms;\nthis process never paused for more than "
            f"{resolution * 1000:.0f} ms. {'Median' if options.median else 'Worst'} of "
            f"{options.runs} run(s)."
        )
    return verdict(broken, inconclusive, "txcarp broke a promise")


def main(arguments: Sequence[str]) -> None:
    """
    Run the command.
    """
    options = parse(arguments)
    execute("benchmarks.faults", lambda reactor: run(reactor, options))


if __name__ == "__main__":
    main(sys.argv[1:])
