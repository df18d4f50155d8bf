"""
What a probe costs, and whether it takes a living host for dead.

    python -m benchmarks.probing --minutes 10 --burn

Two hosts share an address, and the backup probes the host of the master; a third host is the
witness.  Nothing happens for some minutes, in which busy loops may use all processors.  The table
shows how often a host changed its role, the processor time of the backup with the probe and of one
without, how many questions it asked, how many of them were not answered in time, and how late its
timers were.  The exit status is 1 if the backup took over.

Everything happens in network namespaces of this process.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

import attrs
from twisted.internet import task

from benchmarks.contestants import ASSIGNING
from benchmarks.measuring import execute, expectPositive, say, until, verdict
from benchmarks.processes import busy, processorSeconds
from benchmarks.scenes import ADDRESSES
from benchmarks.stage import staged
from tests.lab.daemons import Daemon
from txcarp.operate.client import Client

#: Seconds until the daemons have settled.
_SETTLING = 3.0


@attrs.frozen
class Bill:
    """
    What was measured.

    @ivar minutes: For how long.
    @ivar burnt: The number of busy loops.
    @ivar changes: How often a host changed its role.
    @ivar probing: Processor time of the backup with the probe, in percent of one processor.
    @ivar plain: That of a backup without.
    @ivar asked: The number of questions.
    @ivar missed: The number of those that were not answered in time.
    """

    minutes: float
    burnt: int
    changes: int
    probing: float
    plain: float
    asked: int
    missed: int


async def measure(reactor: Any, minutes: float, interval: float, burn: bool) -> Bill:
    """
    Measure for some minutes.
    """
    addresses = {**ADDRESSES, "plain": "10.99.0.3"}
    loops = len(os.sched_getaffinity(0)) if burn else 0
    async with staged(reactor, addresses) as stage:
        probe = ("--probe", str(interval), "--witness", ADDRESSES["client"])
        control = str(stage.directory / "control")
        await stage.settle("a", ASSIGNING, "MASTER")
        words = ("-k", "100", *probe, "--control", control)
        probing = await stage.settle("b", ASSIGNING, "BACKUP", *words)
        plain = await stage.settle("plain", ASSIGNING, "BACKUP", "-k", "200")
        daemons = list(stage.daemons.values())
        await until(reactor, lambda: probing.said("The probe is ready"), "ready", probing)
        await task.deferLater(reactor, _SETTLING)
        before = [processorSeconds(one.pid) for one in (probing, plain)]
        changes = _changes(daemons)
        with busy(loops):
            for minute in range(round(minutes)):
                await task.deferLater(reactor, 60.0)
                say(f"{minute + 1} min: {_changes(daemons) - changes} changes")
        percent = [
            100 * (processorSeconds(one.pid) - used) / (60 * round(minutes))
            for one, used in zip((probing, plain), before, strict=True)
        ]
        [group] = Client(control, timeout=30.0).status()["groups"]
        probes = group["probes"]
        return Bill(
            round(minutes),
            loops,
            _changes(daemons) - changes,
            percent[0],
            percent[1],
            sum(one["asked"] for one in probes),
            sum(one["missed"] for one in probes),
        )


def _changes(daemons: Sequence[Daemon]) -> int:
    return sum(len(daemon.said("Switching to state")) for daemon in daemons)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """
    Read the command line.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.probing",
        description="Measure what a probe costs, and whether it takes a living host for dead.",
    )
    parser.add_argument("--minutes", type=int, default=10, help="minutes to watch (10)")
    parser.add_argument("--probe", type=float, default=0.005, help="seconds of --probe (0.005)")
    parser.add_argument("--burn", action="store_true", help="use all processors meanwhile")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    options = parser.parse_args(arguments)
    expectPositive(parser, options, "minutes")
    return options


async def run(reactor: Any, options: argparse.Namespace) -> int:
    """
    Measure, and print the result.

    @return: The exit status.
    """
    bill = await measure(reactor, options.minutes, options.probe, options.burn)
    if options.json:
        print(json.dumps(attrs.asdict(bill), indent=2))
    else:
        print(
            f"{bill.minutes:.0f} min, {bill.burnt} busy loops: {bill.changes} changes of role; "
            f"{bill.asked} questions, {bill.missed} missed;\nprocessor time of the backup: "
            f"{bill.probing:.2f} % with --probe {options.probe:g}, {bill.plain:.2f} % without"
        )
    broken = [f"{bill.changes} changes of role"] if bill.changes else []
    return verdict(broken, [], "txcarp broke a promise")


def main(arguments: Sequence[str]) -> None:
    """
    Run the command.
    """
    options = parse(arguments)
    execute("benchmarks.probing", lambda reactor: run(reactor, options))


if __name__ == "__main__":
    main(sys.argv[1:])
