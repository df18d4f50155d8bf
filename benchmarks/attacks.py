"""
Attacks of a host without the password, which captures advertisements and sends them again,
changed or not: on a pair of txcarp hosts beside a pair of ucarp hosts.

    python -m benchmarks.attacks

A third host on the segment of each pair captures the master's advertisements for six seconds,
and then attacks; all pairs are attacked at the same time.  The table shows for each attack and
pair the longest time in which no host had the shared address, the longest time in which both
had it, how often a host became master, and the host that has the address in the end.  C{a} is
the master, C{b} the backup.  Below the table is what the hosts refused and logged.

The columns are the programs of the two hosts: C{learn} and C{require} are txcarp with that
value of C{--seal}.  C{--pairs} can add C{mixed} (one host of each) and C{off} (txcarp without
seals).

Everything happens in network namespaces of this process.  Debian's C{ucarp} takes part if it is
installed.  An attack during which the machine pauses is repeated.  The exit status is 1 if an
attack that txcarp's seals must stop did any harm, and 3 if the machine paused for too long to
judge that.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Coroutine, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import Deferred, gatherResults

from benchmarks.assaults import ATTACKS, Attack
from benchmarks.measuring import execute, expectPositive, say, verdict
from benchmarks.siege import PAIRS, USUAL, Outcome, Pair, Siege
from benchmarks.tables import layout, showSpan
from txcarp.testbed import Testbed


async def mount(reactor: Any, attack: Attack, pairs: Sequence[Pair]) -> list[Outcome]:
    """
    Attack all pairs at the same time, once.

    @return: The outcome for each pair.
    """
    sieges: list[Siege] = []
    with ExitStack() as stack:
        try:
            for pair in pairs:
                directory = stack.enter_context(tempfile.TemporaryDirectory())
                testbed = stack.enter_context(Testbed.create())
                sieges.append(Siege(reactor, pair, attack.options, Path(directory), testbed))
            await _together(siege.prepare() for siege in sieges)
            await _together(attack.prepare(siege) for siege in sieges)
            for siege in sieges:
                siege.begin()
            expected = await _together(attack.mount(siege) for siege in sieges)
            return [
                siege.outcome(expectation)
                for siege, expectation in zip(sieges, expected, strict=True)
            ]
        finally:
            for siege in sieges:
                await siege.end()


async def _together(steps: Any) -> list[Any]:
    waiting: list[Coroutine[Any, Any, Any]] = list(steps)
    results: list[Any] = await gatherResults(
        [Deferred.fromCoroutine(each) for each in waiting], consumeErrors=True
    )
    return results


async def measure(
    reactor: Any, attack: Attack, pairs: Sequence[Pair], attempts: int
) -> list[Outcome]:
    """
    Attack all pairs at the same time.  An attack during which the machine paused is repeated.

    @param attempts: The largest number of attacks.
    @return: The last outcome for each pair.
    """
    while True:
        outcomes = await mount(reactor, attack, pairs)
        attempts -= 1
        if attempts <= 0 or all(outcome.conclusive for outcome in outcomes):
            return outcomes
        say(f"{attack.name:32}  again: this machine paused")


def table(rows: Sequence[tuple[Attack, Sequence[Outcome]]], names: Sequence[str]) -> str:
    """
    The figures as text.
    """
    return layout(
        (
            ("no host has it", lambda outcome: showSpan(outcome.nobody)),
            ("both have it", lambda outcome: showSpan(outcome.both)),
            ("changes of master", lambda outcome: str(outcome.changes)),
            ("has it in the end", lambda outcome: outcome.holders),
        ),
        names,
        [(attack.name, outcomes) for attack, outcomes in rows],
    )


def notes(rows: Sequence[tuple[Attack, Sequence[Outcome]]], names: Sequence[str]) -> str:
    """
    What the hosts refused and logged, as text.
    """
    lines = []
    for attack, outcomes in rows:
        lines.append(f"{attack.name}: {attack.what}")
        for name, outcome in zip(names, outcomes, strict=True):
            lines.append(
                f"    {name + ':':9} {outcome.sent} sent; refused {_counts(outcome.refused)}; "
                f"logged {_counts(outcome.said)}"
            )
    return "\n".join(lines)


def _counts(counts: dict[str, int]) -> str:
    found = []
    for key, count in counts.items():
        host, _, words = key.partition(": ")
        found.append(f"{host} {count} x {words}")
    return ", ".join(found) or "nothing"


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """
    Read the command line.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.attacks",
        description="Attack pairs of hosts with captured advertisements.",
    )
    parser.add_argument(
        "--pairs",
        metavar="NAMES",
        default=",".join(USUAL),
        help=f"some of {','.join(PAIRS)} ({','.join(USUAL)})",
    )
    parser.add_argument(
        "--attacks", metavar="WORDS", help="attacks whose names contain one of these words"
    )
    parser.add_argument(
        "--attempts", type=int, default=3, help="attempts at an attack without a pause (3)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    options = parser.parse_args(arguments)
    expectPositive(parser, options, "attempts")
    for name in options.pairs.split(","):
        if name not in PAIRS:
            parser.error(f"--pairs {name}: expected some of {','.join(PAIRS)}")
    options.chosen = [PAIRS[name] for name in options.pairs.split(",")]
    words = options.attacks.split(",") if options.attacks else [""]
    options.mounted = [
        attack for attack in ATTACKS if any(word in attack.name for word in words)
    ]
    if not options.mounted:
        names = [attack.name for attack in ATTACKS]
        parser.error(f"--attacks {options.attacks}: expected words in {', '.join(names)}")
    return options


async def run(reactor: Any, options: argparse.Namespace) -> int:
    """
    Attack, and print the table.

    @return: The exit status.
    """
    pairs: list[Pair] = []
    for pair in options.chosen:
        missing = pair.contestant.missing()
        if missing:
            say(f"{pair.name} takes no part: {missing}")
        else:
            pairs.append(pair)
    names = [pair.name for pair in pairs]
    rows: list[tuple[Attack, list[Outcome]]] = []
    broken: list[str] = []
    inconclusive: list[str] = []
    for attack in options.mounted:
        outcomes = await measure(reactor, attack, pairs, options.attempts)
        rows.append((attack, outcomes))
        for pair, outcome in zip(pairs, outcomes, strict=True):
            say(
                f"{attack.name:32}  {pair.name:8}  nobody {showSpan(outcome.nobody):>9}"
                f"  both {showSpan(outcome.both):>9}  changes {outcome.changes:>2}"
                f"  then {outcome.holders:8}  (+- {outcome.pause * 1000:.0f} ms)"
            )
            if not attack.isStoppedBy(pair):
                continue
            if outcome.conclusive:
                broken += [f"{attack.name}, {pair.name}: {words}" for words in outcome.faults]
            else:
                inconclusive.append(f"{attack.name}, {pair.name}")
    versions = list(dict.fromkeys(pair.contestant.version for pair in pairs))
    if options.json:
        cells = [
            {
                "attack": attack.name,
                "pair": name,
                "stopped": not outcome.faults,
                **attrs.asdict(outcome),
            }
            for attack, outcomes in rows
            for name, outcome in zip(names, outcomes, strict=True)
        ]
        whole = {"programs": versions, "cells": cells}
        print(json.dumps({**whole, "broken": broken, "inconclusive": inconclusive}, indent=2))
    else:
        print(f"\n{', '.join(versions)}\n\n{table(rows, names)}\n")
        print("a: the master, b: the backup. +: not over at the end.\n")
        print(notes(rows, names))
    return verdict(broken, inconclusive, "txcarp was harmed")


def main(arguments: Sequence[str]) -> None:
    """
    Run the command.
    """
    options = parse(arguments)
    execute("benchmarks.attacks", lambda reactor: run(reactor, options))


if __name__ == "__main__":
    main(sys.argv[1:])
