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
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import attrs
from twisted.internet import task

from benchmarks.contestants import ASSIGNING, strike
from benchmarks.measuring import execute, expectPositive, say, until, verdict
from benchmarks.scenes import ADDRESSES
from tests.lab.daemons import Daemon
from txcarp.operate.client import Client
from txcarp.testbed import Testbed

#: Seconds until the daemons have settled.
_SETTLING = 3.0

_TICK = os.sysconf("SC_CLK_TCK")

_BURN = (sys.executable, "-c", "while True: pass")


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


def _used(daemon: Daemon) -> float:
    """
    Seconds of processor time of a daemon, its threads included.
    """
    fields = Path(f"/proc/{daemon.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


async def measure(reactor: Any, minutes: float, interval: float, burn: bool) -> Bill:
    """
    Measure for some minutes.
    """
    daemons: list[Daemon] = []
    loops: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryDirectory() as directory, Testbed.create() as testbed:
        others = {"plain": "10.99.0.3"}
        nodes = {
            name: testbed.node(name, f"{own}/24") for name, own in {**ADDRESSES, **others}.items()
        }
        probe = ("--probe", str(interval), "--witness", ADDRESSES["client"])
        control = str(Path(directory, "control"))
        options = {"a": (), "b": ("-k", "100", *probe), "plain": ("-k", "200")}
        try:
            for name, more in options.items():
                own = {**ADDRESSES, **others}[name]
                words = (*more, "--control", control) if name == "b" else more
                daemon = ASSIGNING.start(reactor, nodes[name], own, Path(directory, name), *words)
                daemons.append(daemon)
                state = "MASTER" if name == "a" else "BACKUP"
                await until(reactor, partial(_is, daemon, state), name, daemon)
            _, probing, plain = daemons
            await until(reactor, lambda: probing.said("The probe is ready"), "ready", probing)
            await task.deferLater(reactor, _SETTLING)
            before = [_used(one) for one in (probing, plain)]
            changes = _changes(daemons)
            if burn:
                loops = [subprocess.Popen(_BURN) for _ in os.sched_getaffinity(0)]
            for minute in range(round(minutes)):
                await task.deferLater(reactor, 60.0)
                say(f"{minute + 1} min: {_changes(daemons) - changes} changes")
            percent = [
                100 * (_used(one) - used) / (60 * round(minutes))
                for one, used in zip((probing, plain), before, strict=True)
            ]
            [group] = Client(control, timeout=30.0).status()["groups"]
            probes = group["probes"]
            return Bill(
                round(minutes),
                len(loops),
                _changes(daemons) - changes,
                percent[0],
                percent[1],
                sum(one["asked"] for one in probes),
                sum(one["missed"] for one in probes),
            )
        finally:
            for loop in loops:
                loop.kill()
                loop.wait()
            for daemon in daemons:
                strike(daemon, signal.SIGKILL)
                await daemon.exit


def _is(daemon: Daemon, state: str) -> bool:
    return daemon.state == state


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
