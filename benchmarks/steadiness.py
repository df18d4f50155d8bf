"""
Take-overs without a cause, at short intervals: txcarp beside keepalived.

    python -m benchmarks.steadiness --intervals 1 0.1 0.01 --seconds 600

Two hosts share an address, and nothing happens to either of them.  Each time the backup becomes
master nevertheless is a false take-over: the master advertised late, or the backup looked late.
The hosts are quiet at first; then every processor of this machine is kept busy by ordinary
processes as well (C{--burn} sets how many).  The table shows the number of false take-overs in each
hour, for each interval.

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

from twisted.internet import task

from benchmarks.contestants import ASSIGNING, KEEPALIVED, Contestant, paced, strike
from benchmarks.measuring import execute, expectPositive, say, until
from benchmarks.scenes import ADDRESSES
from tests.lab.daemons import Daemon
from tests.lab.wire import Wire
from txcarp.testbed import Testbed

#: Seconds after which the hosts have settled who is master.
_SETTLING = 3.0

#: What the programs log when they become master.
_TAKES = {"txcarp": "Switching to state: MASTER", "keepalived": "Entering MASTER STATE"}

_BUSY = [sys.executable, "-c", "while True: pass"]


async def measure(reactor: Any, contestant: Contestant, seconds: float, burn: int) -> int:
    """
    Count the false take-overs in some seconds.

    @param burn: The number of processes that keep the machine busy meanwhile.
    """
    daemons: list[Daemon] = []
    busy: list[subprocess.Popen[bytes]] = []
    takes = _TAKES[contestant.name]
    with tempfile.TemporaryDirectory() as directory, Testbed.create() as testbed:
        nodes = {name: testbed.node(name, f"{ADDRESSES[name]}/24") for name in "ab"}
        wire = Wire(reactor, testbed.lan)
        try:
            for name in "ab":
                home = Path(directory, name)
                daemon = contestant.start(reactor, nodes[name], ADDRESSES[name], home)
                daemons.append(daemon)
                if name == "a":
                    has = partial(daemon.said, takes)
                    await until(reactor, has, f"{contestant.name} is master", daemon)
            await task.deferLater(reactor, _SETTLING)
            busy += (subprocess.Popen(_BUSY) for _ in range(burn))
            before = [len(daemon.said(takes)) for daemon in daemons]
            wire.adverts.clear()
            left = seconds
            while left > 0:
                step = min(left, 10.0)
                await task.deferLater(reactor, step)
                left -= step
                wire.adverts.clear()
            after = [len(daemon.said(takes)) for daemon in daemons]
            if any(daemon.ended for daemon in daemons):
                raise RuntimeError(f"{contestant.name} ended")
            # One host that takes over from the other, and back, has done so twice.
            return sum(after) - sum(before)
        finally:
            wire.stop()
            for process in busy:
                process.kill()
                process.wait()
            for daemon in daemons:
                strike(daemon, signal.SIGKILL)
                await daemon.exit


async def run(reactor: Any, options: argparse.Namespace) -> int:
    """
    Measure, and print the table.

    @return: The exit status.
    """
    cells = []
    for interval in options.intervals:
        for program in (ASSIGNING, KEEPALIVED):
            contestant = paced(program, interval)
            missing = program.missing() if contestant is not None else "it has no such interval"
            if missing or contestant is None:
                say(f"{program.name} at {interval:g} s takes no part: {missing}")
                continue
            for burn in (0, options.burn):
                count = await measure(reactor, contestant, options.seconds, burn)
                rate = count * 3600 / options.seconds
                cells.append(
                    {
                        "program": program.name,
                        "interval": interval,
                        "busy": burn,
                        "seconds": options.seconds,
                        "takeovers": count,
                    }
                )
                say(
                    f"{program.name:12}{interval:8g} s   {burn} busy   {count:5} in "
                    f"{options.seconds:.0f} s   {rate:8.1f} in an hour"
                )
    if options.json:
        print(json.dumps(cells, indent=2))
    else:
        print(f"\n{'false take-overs in an hour':32}{'quiet':>10}{'busy':>10}")
        rows = dict.fromkeys((cell["program"], cell["interval"]) for cell in cells)
        for row in rows:
            counts = [
                cell["takeovers"] * 3600 / options.seconds
                for cell in cells
                if (cell["program"], cell["interval"]) == row
            ]
            title = f"{row[0]}, an advertisement each {row[1]:g} s"
            print(f"{title:40}" + "".join(f"{count:10.1f}" for count in counts))
    return 0


def main(arguments: Sequence[str]) -> None:
    """
    Run the command.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.steadiness",
        description="Count take-overs without a cause.",
    )
    parser.add_argument("--intervals", type=float, nargs="+", default=[1, 0.1, 0.01], metavar="S")
    parser.add_argument("--seconds", type=float, default=600.0, help="of each measurement (600)")
    parser.add_argument(
        "--burn", type=int, default=os.cpu_count() or 1, help="busy processes (the processors)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    options = parser.parse_args(arguments)
    expectPositive(parser, options, "burn")
    if options.seconds <= 0:
        parser.error(f"--seconds {options.seconds}: expected more than 0")
    execute("benchmarks.steadiness", lambda reactor: run(reactor, options))


if __name__ == "__main__":
    main(sys.argv[1:])
