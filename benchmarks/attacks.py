"""
What an attacker gets who captures advertisements and sends them again, changed or
not: a pair of txcarp hosts beside a pair of ucarp hosts.

    python -m benchmarks.attacks

A third host on the segment of each pair captures what the master says, for six
seconds, and does not know the password.  Then it attacks, all pairs at the same time.
The table shows for each attack and pair the longest time for which nobody had the
shared address, the longest for which both hosts had it, how often a host became
master, and who has the address in the end; C{a} is the master, C{b} the backup.  What
the hosts refused and said follows.

The columns are what the two hosts do: C{learn} and C{require} are txcarp with that
C{--seal}, and others can be asked for: C{mixed} is one host of each, C{off} is txcarp
without seals.

Everything happens in network namespaces of this process; Debian's C{ucarp} takes part
if it is installed.  An attack during which the machine stood still is repeated.  The
exit status is 1 if an attack that txcarp's seals are to stop did anything to its hosts,
and 3 if that could not be told.
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
from twisted.internet import task
from twisted.internet.defer import Deferred, gatherResults

from benchmarks.assaults import ATTACKS, Attack
from benchmarks.siege import PAIRS, USUAL, Outcome, Pair, Siege
from benchmarks.tables import layout, showSpan
from txcarp.daemon.scheduling import stayOnTime
from txcarp.testbed import Testbed, TestbedUnavailable

BROKEN, UNTOLD = 1, 3


async def mount(reactor: Any, attack: Attack, pairs: Sequence[Pair]) -> list[Outcome]:
    """
    Attack all pairs at once.

    @return: what came of it, a pair each.
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
    Attack all pairs, on a machine that does not stand still.
    """
    while True:
        outcomes = await mount(reactor, attack, pairs)
        attempts -= 1
        if attempts <= 0 or all(outcome.telling for outcome in outcomes):
            return outcomes
        _say(f"{attack.name:32}  again: this machine stood still")


def table(rows: Sequence[tuple[Attack, Sequence[Outcome]]], names: Sequence[str]) -> str:
    """
    The figures for people.
    """
    return layout(
        (
            ("nobody has it", lambda outcome: showSpan(outcome.nobody)),
            ("both have it", lambda outcome: showSpan(outcome.both)),
            ("changes of master", lambda outcome: str(outcome.changes)),
            ("has it in the end", lambda outcome: outcome.holders),
        ),
        names,
        [(attack.name, outcomes) for attack, outcomes in rows],
    )


def notes(rows: Sequence[tuple[Attack, Sequence[Outcome]]], names: Sequence[str]) -> str:
    """
    What the hosts refused and said.
    """
    lines = []
    for attack, outcomes in rows:
        lines.append(f"{attack.name}: {attack.what}")
        for name, outcome in zip(names, outcomes, strict=True):
            lines.append(
                f"    {name + ':':9} {outcome.sent} sent; refused {_counts(outcome.refused)}; "
                f"said {_counts(outcome.said)}"
            )
    return "\n".join(lines)


def _counts(counts: dict[str, int]) -> str:
    """
    Counts by host and words.
    """
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
        description="What an attacker gets who sends captured advertisements again.",
    )
    parser.add_argument(
        "--pairs",
        metavar="NAMES",
        default=",".join(USUAL),
        help=f"some of {','.join(PAIRS)} (default {','.join(USUAL)})",
    )
    parser.add_argument("--attacks", metavar="WORDS", help="whose names hold one of these")
    parser.add_argument(
        "--attempts",
        type=int,
        default=3,
        help="at an attack without the whole machine standing still (default 3)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    options = parser.parse_args(arguments)
    if options.attempts < 1:
        parser.error(f"--attempts {options.attempts}: expected 1 or more")
    for name in options.pairs.split(","):
        if name not in PAIRS:
            parser.error(f"--pairs {name}: expected some of {','.join(PAIRS)}")
    options.chosen = [PAIRS[name] for name in options.pairs.split(",")]
    words = options.attacks.split(",") if options.attacks else [""]
    options.mounted = [
        attack for attack in ATTACKS if any(word in attack.name for word in words)
    ]
    if not options.mounted:
        parser.error(f"--attacks {options.attacks}: they are {[one.name for one in ATTACKS]}")
    return options


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


async def run(reactor: Any, options: argparse.Namespace) -> int:
    """
    Fill the table.

    @return: the exit status.
    """
    pairs: list[Pair] = []
    for pair in options.chosen:
        missing = pair.contestant.missing()
        if missing:
            _say(f"{pair.name} takes no part: {missing}")
        else:
            pairs.append(pair)
    names = [pair.name for pair in pairs]
    rows: list[tuple[Attack, list[Outcome]]] = []
    broken: list[str] = []
    untold: list[str] = []
    for attack in options.mounted:
        outcomes = await measure(reactor, attack, pairs, options.attempts)
        rows.append((attack, outcomes))
        for pair, outcome in zip(pairs, outcomes, strict=True):
            _say(
                f"{attack.name:32}  {pair.name:8}  nobody {showSpan(outcome.nobody):>9}"
                f"  both {showSpan(outcome.both):>9}  changes {outcome.changes:>2}"
                f"  then {outcome.holders:8}  (+- {outcome.pause * 1000:.0f} ms)"
            )
            if not attack.isStoppedBy(pair):
                continue
            if outcome.telling:
                broken += [f"{attack.name}, {pair.name}: {words}" for words in outcome.faults]
            else:
                untold.append(f"{attack.name}, {pair.name}")
    versions = list(dict.fromkeys(pair.contestant.version() for pair in pairs))
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
        whole = {"programs": versions, "cells": cells, "broken": broken, "untold": untold}
        print(json.dumps(whole, indent=2))
    else:
        print(f"\n{', '.join(versions)}\n\n{table(rows, names)}\n")
        print("a: the master, b: the backup. +: still so at the end.\n")
        print(notes(rows, names))
        for words in broken:
            print(f"txcarp was touched: {words}")
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
        _say(f"benchmarks.attacks: {error}")
        raise SystemExit(2) from None


if __name__ == "__main__":
    main(sys.argv[1:])
