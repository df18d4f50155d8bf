"""
Take-overs without a cause, at short intervals: txcarp beside ucarp and keepalived.

    python -m benchmarks.steadiness --intervals 1 0.1 0.01 0.004 --seconds 600

Two hosts share an address, and nothing happens to either of them.  Each time the backup becomes
master nevertheless is a false take-over: the master advertised late, or the backup looked late.
All pairs run at the same time: first while the machine has nothing else to do; then while every
processor is kept busy by ordinary processes as well (C{--burn} sets how many).

The table shows the number of false take-overs in each hour, for each interval.  If none was seen in
a time, the true rate can still be greater than 0: it is less than 3 in that time with a confidence
of 95 % (the rule of three).  The table then shows this bound.

Everything happens in network namespaces of this process.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import attrs
from twisted.internet import task

from benchmarks.contestants import CONTESTANTS, Contestant, paced
from benchmarks.measuring import INCONCLUSIVE, attempted, execute, expectPositive, say, together
from benchmarks.processes import busy
from benchmarks.stage import Cue, entered, staged
from benchmarks.tables import grid

#: Seconds after which the hosts have settled who is master.
_SETTLING = 3.0

#: Seconds between advertisements; the last is the shortest of txcarp.
_INTERVALS = (1.0, 0.1, 0.01, 0.004)

#: The rule of three: with a confidence of 95 %, that many events or fewer are to be expected in a
#: time in which none was seen.
_UNSEEN = 3


@attrs.frozen
class Count:
    """
    The false take-overs of one pair.

    @ivar program: The name of its program.
    @ivar interval: Seconds between advertisements.
    @ivar busy: The number of busy loops meanwhile.
    @ivar seconds: The seconds that were watched.
    @ivar takeovers: How often a host became master.
    """

    program: str
    interval: float
    busy: int
    seconds: float
    takeovers: int

    @property
    def hourly(self) -> str:
        """
        How many there are in an hour, or less than how many if there was none.
        """
        if self.takeovers:
            return f"{self.takeovers * 3600 / self.seconds:.0f}"
        return f"< {_UNSEEN * 3600 / self.seconds:.0f}"


async def measure(reactor: Any, contestant: Contestant, begin: Cue, seconds: float) -> int:
    """
    Count the false take-overs in some seconds.

    @param begin: Passed as soon as the pair has settled.
    """
    with begin.place() as ready:
        async with staged(reactor) as stage:
            daemons = await stage.pair(contestant)
            await task.deferLater(reactor, _SETTLING)
            await ready()
            before = sum(entered(one, "MASTER") for one in daemons)
            await task.deferLater(reactor, seconds)
            if any(daemon.ended for daemon in daemons):
                raise RuntimeError(f"{contestant.name} ended")
            # One host that takes over from the other, and back, has done so twice.
            return sum(entered(one, "MASTER") for one in daemons) - before


def pairs(intervals: Sequence[float]) -> list[tuple[float, Contestant]]:
    """
    The intervals that each program can have.
    """
    found = []
    for interval in intervals:
        for program in CONTESTANTS:
            contestant = paced(program, interval)
            missing = program.missing() if contestant is not None else "it has no such interval"
            if missing or contestant is None:
                say(f"{program.name} at {interval:g} s takes no part: {missing}")
            else:
                found.append((interval, contestant))
    return found


async def run(reactor: Any, options: argparse.Namespace) -> int:
    """
    Measure, and print the table.

    @return: The exit status.
    """
    chosen = pairs(options.intervals)
    say(f"this takes about {2 * (options.seconds + _SETTLING + 2 * len(chosen)) / 60:.0f} minutes")
    counts = []
    for burn in (0, options.burn):
        with ExitStack() as stack:
            begin = Cue(len(chosen), partial(stack.enter_context, busy(burn)))
            found = await together(
                attempted(
                    measure(reactor, contestant, begin, options.seconds),
                    f"{contestant.name} at {interval:g} s",
                )
                for interval, contestant in chosen
            )
        for (interval, contestant), number in zip(chosen, found, strict=True):
            if number is None:
                continue
            count = Count(contestant.name, interval, burn, options.seconds, number)
            counts.append(count)
            say(f"{count.program:12}{interval:8g} s   {burn} busy   {count.hourly:>8} in an hour")
    status = 0 if len(counts) == 2 * len(chosen) else INCONCLUSIVE
    if options.json:
        print(json.dumps([attrs.asdict(count) for count in counts], indent=2))
        return status
    rows = [["false take-overs in an hour", "quiet", "busy"]]
    for interval, contestant in chosen:
        title = f"{contestant.name}, an advertisement each {interval:g} s"
        mine = {
            bool(one.busy): one.hourly
            for one in counts
            if (one.program, one.interval) == (contestant.name, interval)
        }
        rows.append([title, *(mine.get(isBusy, "-") for isBusy in (False, True))])
    print(f"\n{grid(rows)}")
    return status


def main(arguments: Sequence[str]) -> None:
    """
    Run the command.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.steadiness",
        description="Count take-overs without a cause.",
    )
    parser.add_argument("--intervals", type=float, nargs="+", default=_INTERVALS, metavar="S")
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
