"""
Plays honest schedules twice, with txcarp and with the plain protocol, and compares who is master:
C{python -m tests.simulation.honest 10000}.

L{tests.simulation.twice} says what is compared.  Each schedule has a number, its seed, and is the
same each time: C{python -m tests.simulation.honest 1 --seed 1234} plays one of them again.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor

from twisted.logger import LogEvent, globalLogBeginner

from tests.simulation.narrator import tell
from tests.simulation.twice import Verdict, judge

#: How many schedules a process plays before it reports.
_BATCH = 50

#: How many failing schedules are shown.  The others are only named.
_SHOWN = 5

#: Seconds between two lines about the progress.
_PROGRESS = 10.0


def failing(seeds: Sequence[int]) -> list[int]:
    """
    The seeds of the schedules that fail.
    """
    return [seed for seed in seeds if judge(tell(seed)).faults]


def shrunk(seed: int) -> Verdict:
    """
    The verdict on the shortest part of a schedule that fails, too.
    """
    return judge(tell(seed).shrunk(lambda story: bool(judge(story).faults)))


def _quiet() -> None:
    """
    Drop all log lines.
    """

    def ignore(event: LogEvent) -> None:
        pass

    globalLogBeginner.beginLoggingTo([ignore], redirectStandardIO=False, discardBuffer=True)


def _playedIn(processes: int, batches: Iterable[Sequence[int]]) -> Iterator[list[int]]:
    if processes == 1:
        yield from map(failing, batches)
        return
    with ProcessPoolExecutor(processes) as pool:  # forked, and as quiet as this process
        yield from pool.map(failing, batches)


def main(arguments: Sequence[str]) -> int:
    """
    Play schedules.

    @return: The exit status: 0 if none fails, and 1 otherwise.
    """
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation.honest",
        description="Play honest schedules with txcarp and with the plain protocol, and compare.",
    )
    parser.add_argument("count", type=int, nargs="?", default=200, help="how many schedules")
    parser.add_argument("--seed", type=int, default=0, help="the seed of the first schedule")
    parser.add_argument("--processes", type=int, default=min(os.cpu_count() or 1, 8))
    parser.add_argument(
        "--whole", action="store_true", help="show failing schedules as they are, not shortened"
    )
    options = parser.parse_args(arguments)
    seeds = range(options.seed, options.seed + options.count)
    batches = [seeds[at : at + _BATCH] for at in range(0, len(seeds), _BATCH)]
    processes = max(1, min(options.processes, len(batches)))
    failed: list[int] = []
    done = 0
    started = reported = time.monotonic()
    for batch, found in zip(batches, _playedIn(processes, batches), strict=True):
        failed += found
        for seed in found:
            print(f"Schedule {seed} fails", flush=True)
        done += len(batch)
        now = time.monotonic()
        if now - reported >= _PROGRESS:
            reported = now
            rate = done / (now - started)
            print(
                f"{done} of {len(seeds)} schedules, {rate:.0f} per second, {len(failed)} fail",
                flush=True,
            )
    for seed in failed[:_SHOWN]:
        verdict = judge(tell(seed)) if options.whole else shrunk(seed)
        print(f"\nSchedule {seed}:\n{verdict}")
    if len(failed) > _SHOWN:
        print(f"\nThese fail as well: {', '.join(map(str, failed[_SHOWN:]))}")
    seconds = time.monotonic() - started
    print(
        f"{len(seeds)} schedules, each played twice, in {seconds:.0f} s: "
        f"{f'{len(failed)} fail' if failed else 'in all of them the masters are the same'}"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    _quiet()
    sys.exit(main(sys.argv[1:]))
