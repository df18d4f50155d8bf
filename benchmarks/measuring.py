"""
The frame of each benchmark with daemons: wait, judge, report, exit.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, TypeVar

from twisted.internet import task
from twisted.internet.defer import Deferred, DeferredList
from twisted.python.failure import Failure

from benchmarks.contestants import CONTESTANTS, Contestant
from tests.lab.daemons import Daemon
from txcarp.daemon.scheduling import stayOnTime
from txcarp.testbed import TestbedUnavailable

_Result = TypeVar("_Result")

#: Exit statuses: txcarp broke a promise; this machine cannot run the benchmark; the machine
#: paused for so long that nothing can be concluded.
BROKEN, IMPOSSIBLE, INCONCLUSIVE = 1, 2, 3

#: Seconds that a daemon may take to start.
STARTING = 60.0

#: Lines of a daemon that an error shows.
_LAST_LINES = 10


def say(words: str) -> None:
    """
    Write a line about the progress.
    """
    print(words, file=sys.stderr, flush=True)


async def until(
    reactor: Any,
    condition: Callable[[], object],
    what: str,
    *daemons: Daemon,
    within: float = STARTING,
) -> None:
    """
    Wait for a condition.

    @param what: The condition in words.
    @param daemons: Daemons that have to run meanwhile.
    @param within: Seconds to wait.
    @raise RuntimeError: If the condition did not come true.
    """
    end = time.monotonic() + within
    while not condition():
        ended = [daemon for daemon in daemons if daemon.ended]
        if ended or time.monotonic() > end:
            why = f"{ended[0].name} ended" if ended else f"not within {within:.0f} s"
            lines = [
                f"\n    {daemon.name}: {line}"
                for daemon in daemons
                for _, line in daemon.lines[-_LAST_LINES:]
            ]
            raise RuntimeError(f"{why}: {what}{''.join(lines)}")
        await task.deferLater(reactor, 0.02)


async def together(measurements: Iterable[Coroutine[Any, Any, _Result]]) -> list[_Result]:
    """
    Run several measurements at the same time.

    @return: Their results, in order.
    @raise Exception: That of the first that failed, after all have ended.
    """
    running = [Deferred.fromCoroutine(one) for one in measurements]
    found = await DeferredList(running, consumeErrors=True)
    for _, result in found:
        if isinstance(result, Failure):
            result.raiseException()
    return [result for _, result in found]


async def attempted(measurement: Coroutine[Any, Any, _Result], what: str) -> _Result | None:
    """
    The result of a measurement that may fail; C{None} if it did, which is said.
    """
    try:
        return await measurement
    except (RuntimeError, OSError) as error:
        say(f"{what}: failed: {error}")
        return None


def chosen(
    parser: argparse.ArgumentParser, option: str, value: str | None, names: Sequence[str]
) -> list[str]:
    """
    The names in the value of an option, which are separated by commas; all if there is none.
    """
    found = value.split(",") if value else list(names)
    for name in found:
        if name not in names:
            parser.error(f"{option} {name}: expected some of {','.join(names)}")
    return found


def addCommonOptions(parser: argparse.ArgumentParser) -> None:
    """
    Add the options of all benchmarks that compare programs.
    """
    names = ",".join(one.name for one in CONTESTANTS)
    parser.add_argument("--only", metavar="NAMES", help=f"programs, some of {names}")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def takingPart(
    parser: argparse.ArgumentParser, options: argparse.Namespace
) -> list[Contestant]:
    """
    The programs that the options name, and that can take part here; why others cannot is said.
    """
    names = chosen(parser, "--only", options.only, [one.name for one in CONTESTANTS])
    found = []
    for contestant in CONTESTANTS:
        if contestant.name not in names:
            continue
        missing = contestant.missing()
        if missing:
            say(f"{contestant.name} takes no part: {missing}")
        else:
            found.append(contestant)
    return found


def expectPositive(
    parser: argparse.ArgumentParser, options: argparse.Namespace, *names: str
) -> None:
    """
    Refuse a count below 1.
    """
    for name in names:
        if getattr(options, name) < 1:
            parser.error(f"--{name} {getattr(options, name)}: expected 1 or more")


def verdict(broken: Sequence[str], inconclusive: Sequence[str], words: str) -> int:
    """
    Write what was wrong.

    @param words: Introduces each line about txcarp.
    @return: The exit status.
    """
    for each in broken:
        say(f"{words}: {each}")
    for each in inconclusive:
        say(f"inconclusive, because this machine paused: {each}")
    return BROKEN if broken else INCONCLUSIVE if inconclusive else 0


def execute(name: str, run: Callable[[Any], Coroutine[Any, Any, int]]) -> None:
    """
    Run a benchmark on the reactor, and exit.

    @param name: The module of the benchmark.
    @param run: Measures, and returns the exit status.
    """
    # On a busy machine the observer must not be late.
    stayOnTime()

    async def whole(reactor: Any) -> None:
        status = await run(reactor)
        if status:
            raise SystemExit(status)

    try:
        task.react(lambda reactor: Deferred.fromCoroutine(whole(reactor)))
    except TestbedUnavailable as error:
        say(f"{name}: {error}")
        raise SystemExit(IMPOSSIBLE) from None
