"""
The silence of a shared address after its master died, at several rhythms: txcarp beside ucarp and
keepalived.

    python -m benchmarks.silences --repeats 10

Two hosts share an address.  A client pings it every 2 ms.  Then the host that has the address loses
its power, its daemon is killed, hangs, or is stopped in order.  Each of these happens with one
advertisement each second, each 100 ms, each 10 ms, and with the shortest interval of each program.
ucarp has no interval below a second.  With one advertisement each second, the power fails with the
probe of txcarp as well.

Killed is the process that was started: the daemon of txcarp, and the parent of keepalived.  The
child, which has a row of its own, is the guard of txcarp, and the process of keepalived that speaks
VRRP.  The process that hangs is the one that speaks with the other hosts.

The table has the median of the longest time without an answer and, in parentheses, the worst.  A
plus means that it had not ended when the measurement did.  The last columns say how many times
longer the client of another program waited.  Where two hosts have the address at the same time,
the time is a figure of its own, and there is no ratio: the client may get answers from the wrong
host.

The programs are measured side by side: each of the C{--repeats} is a round with all programs and
faults, in which C{--parallel} pairs with the same rhythm run at the same time, in networks of their
own; with the shorter rhythms half as many.  A measurement is repeated once if the machine paused,
or if the backup became master before anything had happened.  No round begins that would not end
within C{--minutes}.  Everything happens in network namespaces of this process.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any

import attrs

from benchmarks.contestants import ASSIGNING, CONTESTANTS, SHORTEST, Contestant, paced
from benchmarks.measuring import (
    INCONCLUSIVE,
    addCommonOptions,
    attempted,
    chosen,
    execute,
    expectPositive,
    say,
    takingPart,
    together,
)
from benchmarks.outcomes import PROBE, Outcome, attempt, median, worst
from benchmarks.scenes import PROBED, SILENCES, Fault, addFaultOption, faultsOf
from benchmarks.stage import Cue
from benchmarks.tables import grid, showRatio, showSpan
from tests.lab.holders import Span

#: The rhythms in the order of the rows, in seconds; 0 is the shortest interval of each program.
RHYTHMS = {"1 s": 1.0, "100 ms": 0.1, "10 ms": 0.01, "fastest": 0.0}

#: Seconds for which the client pings before the fault, and the number of intervals in which the
#: faults are spread.
_SETTLING, _SPREAD = 0.3, 1.2

#: The number of intervals, and of seconds more, for which the client goes on.  The child of
#: keepalived needs the most: it is started again, and waits for the dead time.
_INTERVALS, _MORE = 4.2, 0.8

#: Seconds until a pair has settled: to start each, the machine computes so long, and then waits.
_STARTING, _WAITING = 0.5, 3.5

#: How often a measurement is tried if it fails, or if the machine pauses meanwhile.
_ATTEMPTS = 2

#: An interval below which a pair must not wait while many others start, in seconds.
_BRISK = 0.1

#: Seconds with two holders that are worth a figure, and so many that there is no ratio.
_TWO, _MANY = 0.001, 0.1


@attrs.frozen
class Pair:
    """
    Two hosts with one program, and what happens to the first.

    @ivar interval: Seconds between advertisements.
    """

    fault: Fault
    program: str
    interval: float

    @property
    def watched(self) -> float:
        """
        Seconds for which the client goes on after the fault.
        """
        return self.interval * _INTERVALS + _MORE


def interval(program: str, rhythm: str) -> float | None:
    """
    The time between two advertisements of a program.

    @return: In seconds; C{None} if it cannot have that rhythm.
    """
    seconds = RHYTHMS[rhythm] or SHORTEST[program]
    return seconds if seconds >= SHORTEST[program] else None


def pairs(
    contestants: Sequence[Contestant], rhythms: Sequence[str], faults: Sequence[Fault]
) -> list[Pair]:
    """
    All that is measured in a round.  A pair stands in two rows if the shortest
    interval of its program is one of the others.
    """
    found = {
        Pair(fault, one.name, seconds)
        for fault in faults
        for rhythm in rhythms
        for one in contestants
        if fault.possible(one)
        and (seconds := interval(one.name, rhythm)) is not None
        # A probe is for those who advertise seldom.
        and (fault is not PROBED or seconds == 1)
    }
    return list(found)


def batches(all_: Sequence[Pair], size: int) -> Iterator[list[Pair]]:
    """
    The pairs that are measured side by side: all with the same interval, and in a random order.

    @param size: The largest number; with a short interval, half of it.
    """
    for seconds in sorted({pair.interval for pair in all_}, reverse=True):
        alike = [pair for pair in all_ if pair.interval == seconds]
        random.shuffle(alike)
        count = -(-len(alike) // (size if seconds >= _BRISK else max(1, size // 2)))
        yield from (alike[number::count] for number in range(count))


def estimate(all_: Sequence[Pair], size: int) -> float:
    """
    About how many seconds one round takes.
    """
    total = 0.0
    for batch in batches(all_, size):
        seconds = batch[0].interval
        total += len(batch) * _STARTING + min(1.0, seconds) * _WAITING
        total += _SETTLING + _SPREAD * seconds + batch[0].watched
    return total


async def measure(
    reactor: Any, batch: Sequence[Pair], programs: Mapping[str, Contestant]
) -> dict[Pair, Outcome]:
    """
    Measure some pairs with the same interval side by side.

    @return: Their outcomes, without those of pairs that failed.
    """
    begin = Cue(len(batch))

    async def one(pair: Pair) -> Outcome:
        contestant = paced(programs[pair.program], pair.interval)
        assert contestant is not None
        fault = attrs.evolve(pair.fault, seconds=pair.watched)
        spread = _SPREAD * pair.interval
        with begin.place() as ready:
            return await attempt(reactor, contestant, fault, ready, _SETTLING, spread)

    found = await together(
        attempted(one(pair), f"{pair.program} at {pair.interval:.3g} s, {pair.fault.name}")
        for pair in batch
    )
    return {pair: got for pair, got in zip(batch, found, strict=True) if got is not None}


async def runRound(
    reactor: Any, all_: Sequence[Pair], programs: Mapping[str, Contestant], size: int
) -> dict[Pair, Outcome]:
    """
    Measure every pair once.

    @param size: How many are measured side by side.
    @return: Their outcomes, without those of pairs that failed.
    """
    found: dict[Pair, Outcome] = {}
    left = all_
    for _ in range(_ATTEMPTS):
        for batch in batches(left, size):
            for pair, outcome in (await measure(reactor, batch, programs)).items():
                found[pair] = min(found.get(pair, outcome), outcome, key=attrgetter("resolution"))
        left = [one for one in all_ if one not in found or not found[one].isExact]
        if not left:
            break
        say(f"{len(left)} of {len(all_)} pairs failed, or the machine paused")
    return found


def describe(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """
    The figures of a pair; only the number of runs, which is 0, if all of them failed.
    """
    if not outcomes:
        return {"runs": 0}
    return {
        "runs": len(outcomes),
        "median": attrs.asdict(median(outcomes)),
        "worst": attrs.asdict(worst(outcomes)),
    }


def cells(outcomes: dict[Pair, list[Outcome]], rhythms: Sequence[str]) -> list[dict[str, Any]]:
    """
    The figures of all pairs, once for each row in which they stand.
    """
    found = []
    for fault in SILENCES:
        for rhythm in rhythms:
            for one in CONTESTANTS:
                seconds = interval(one.name, rhythm)
                pair = Pair(fault, one.name, seconds or 0.0)
                if pair in outcomes:
                    head = {"fault": fault.name, "rhythm": rhythm, "program": one.name}
                    found.append({**head, "interval": seconds, **describe(outcomes[pair])})
    return found


def ratio(cell: dict[str, Any] | None, own: dict[str, Any] | None) -> float | None:
    """
    How many times longer the client of another program waited than that of txcarp.

    @return: C{None} if that cannot be said: one was not measured, or two hosts had the address, or
        the silence did not end.  Less than the time between two probes counts as that time.
    """
    if cell is None or own is None or not cell["runs"] or not own["runs"]:
        return None
    middles = cell["median"], own["median"]
    if any(one["both"]["seconds"] > _MANY or one["silence"]["open"] for one in middles):
        return None
    theirs, ours = (max(one["silence"]["seconds"], PROBE) for one in middles)
    return float(theirs / ours)


def show(cell: dict[str, Any] | None) -> str:
    """
    The silence of a pair as text, and how long two hosts had the address.
    """
    if cell is None:
        return "cannot"
    if not cell["runs"]:
        return "unsteady"
    middle, most = cell["median"], cell["worst"]
    words = f"{_span(middle['silence'])} ({_span(most['silence'])})"
    if most["both"]["seconds"] > _TWO:
        words += f", two {_span(middle['both'])} ({_span(most['both'])})"
    return words


def _span(measured: dict[str, Any]) -> str:
    span = Span(**measured)
    return showSpan(span) if span.seconds else "0 ms"


def table(found: Sequence[dict[str, Any]]) -> str:
    """
    The figures as text.
    """
    measured = {(one["fault"], one["rhythm"], one["program"]): one for one in found}
    names = [one.name for one in CONTESTANTS if any(key[2] == one.name for key in measured)]
    peers = [name for name in names if name != ASSIGNING.name]
    rows = [["", *names, *(f"{name} / txcarp" for name in peers)]]
    for fault, rhythm in dict.fromkeys(key[:2] for key in measured):
        row = [f"{fault}, {rhythm}"]
        row += (
            show(measured.get((fault, rhythm, name)))
            if any(key[0] == fault and key[2] == name for key in measured)
            else "-"
            for name in names
        )
        own = measured.get((fault, rhythm, ASSIGNING.name))
        for name in peers:
            times = ratio(measured.get((fault, rhythm, name)), own)
            row.append("-" if times is None else showRatio(times, 1.0))
        rows.append(row)
    return grid(rows)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """
    Read the command line.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.silences",
        description="Measure for how long a client gets no answer after the master died.",
    )
    parser.add_argument("--repeats", type=int, default=10, help="rounds (10)")
    parser.add_argument(
        "--parallel", type=int, default=7, metavar="N", help="pairs at the same time (7)"
    )
    parser.add_argument("--minutes", type=float, default=15.0, help="to take at most (15)")
    parser.add_argument("--rhythms", metavar="LIST", help=f"some of {','.join(RHYTHMS)}")
    addFaultOption(parser)
    addCommonOptions(parser)
    options = parser.parse_args(arguments)
    expectPositive(parser, options, "repeats", "parallel")
    options.contestants = takingPart(parser, options)
    options.rhythms = chosen(parser, "--rhythms", options.rhythms, list(RHYTHMS))
    options.chosen = faultsOf(parser, options, SILENCES)
    return options


async def run(reactor: Any, options: argparse.Namespace) -> int:
    """
    Measure, and print the table.

    @return: The exit status.
    """
    contestants: list[Contestant] = options.contestants
    all_ = pairs(contestants, options.rhythms, options.chosen)
    whole = estimate(all_, options.parallel) * options.repeats
    say(f"{options.repeats} rounds of {len(all_)} pairs take about {whole / 60:.0f} minutes")
    programs = {one.name: one for one in contestants}
    outcomes: dict[Pair, list[Outcome]] = {pair: [] for pair in all_}
    began, longest, done = time.monotonic(), 0.0, 0
    while done < options.repeats:
        before = time.monotonic()
        if before - began + longest > options.minutes * 60:
            say(f"{options.minutes:g} minutes do not suffice for more than {done} rounds")
            break
        found = await runRound(reactor, all_, programs, options.parallel)
        for pair, outcome in found.items():
            outcomes[pair].append(outcome)
        done += 1
        longest = max(longest, time.monotonic() - before)
        say(f"round {done} of {options.repeats}: {time.monotonic() - before:.0f} s")
    figures = cells(outcomes, options.rhythms)
    versions = [one.version for one in contestants]
    pause = max((one["worst"]["resolution"] for one in figures if one["runs"]), default=0.0)
    if options.json:
        print(json.dumps({"programs": versions, "repeats": done, "cells": figures}, indent=2))
    else:
        print(f"\n{', '.join(versions)}\n\n{table(figures)}\n")
        print(
            f"Median (worst) of {done}; two: for how long two hosts had the address. "
            f"Probes every {PROBE * 1000:.0f} ms.\nThis process never paused for more than "
            f"{pause * 1000:.0f} ms, and no figure is more exact."
        )
    complete = done and all(len(runs) == done for runs in outcomes.values())
    return 0 if complete else INCONCLUSIVE


def main(arguments: Sequence[str]) -> None:
    """
    Run the command.
    """
    options = parse(arguments)
    execute("benchmarks.silences", lambda reactor: run(reactor, options))


if __name__ == "__main__":
    main(sys.argv[1:])
