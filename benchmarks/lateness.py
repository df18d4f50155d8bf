"""
How late a backup takes over, after its own deadline: txcarp beside ucarp and keepalived.

    python -m benchmarks.lateness --samples 100

Two hosts share one address, or fifty, each in a group of its own; with a short rhythm there are
fewer groups.  Again and again, the cable of the master passes nothing for some time, and the backup
takes over all groups at once; then the cable is mended, and the master has them back.  Several such
pairs of hosts run at the same time, so that it takes less time, if they have few groups.  A take-
over is late by the time from the deadline of its group to the first advertisement of the backup.
The deadline is the dead time, by the rules of the program, after the last advertisement that
arrived.  Both times are those of the kernel, on the interface of the backup.

The table has the median, the 99th percentile and the maximum, how many times later the 99th
percentile of another program is, and how often a backup advertised before its master was cut off.

txcarp and keepalived have one daemon for all groups of a host; ucarp has a process for each, and no
interval below a second.  txcarp's flap damping, which would keep a host out that loses mastership
so often, is off.  Everything happens in network namespaces of this process.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import signal
import socket
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import Any

import attrs
from twisted.internet import task
from twisted.internet.defer import Deferred, DeferredList

from benchmarks.contestants import ASSIGNING, SHORTEST, Contestant
from benchmarks.crowds import COMMANDS, ON_ONE, Rhythm, groupsOf, ownAddress
from benchmarks.measuring import (
    INCONCLUSIVE,
    addCommonOptions,
    attempted,
    execute,
    expectPositive,
    say,
    takingPart,
    until,
)
from benchmarks.stage import Stage, entered, staged
from benchmarks.tables import grid, showRatio
from tests.lab.daemons import Daemon
from tests.lab.wire import Wire
from txcarp.network.sockets import TIMESTAMP_SPACE, waited

#: The hosts and their own addresses.
_ADDRESSES = {name: ownAddress(name, 0) for name in "ab"}

#: By how much the backup is slower with CARP, in 256ths of a second.
_SKEW = 1

#: The numbers of groups by default.
_GROUPS = (1, 50)

#: The most advertisements per second in one run, and the most pairs of hosts.
_RATE, _PAIRS = 50, 5

#: Seconds in which all groups settle, and intervals in which a host must have been heard or not.
_SETTLING, _RECENT = 30.0, 3.0

#: The least seconds for which a backup must have been silent.
_SILENT = 0.2

#: The number of lines that a daemon logs for each group, until it has settled.
_LINES = 50

#: Seconds that a take-over may be late before a program counts as stuck.
_PATIENCE = 10.0


class Ear(Wire):
    """
    The times of the advertisements at the interface of a host, by the number of the group.

    @ivar heard: Those that arrived.
    @ivar sent: Those that it sent.
    """

    def __init__(self, *arguments: Any) -> None:
        self.heard: dict[int, list[float]] = defaultdict(list)
        self.sent: dict[int, list[float]] = defaultdict(list)
        super().__init__(*arguments)

    def receive(self, sock: socket.socket) -> tuple[bytes, float, str] | None:
        frame, ancillary, _, (_, _, kind, *_) = sock.recvmsg(2048, TIMESTAMP_SPACE)
        way = "sent" if kind == socket.PACKET_OUTGOING else "heard"
        return frame, time.monotonic() - waited(ancillary, time.time()), way

    def messageReceived(self, message: tuple[bytes, float, str]) -> None:
        frame, when, way = message
        if frame[12:14] == b"\x08\x00":
            vhid = frame[14 + (frame[14] & 15) * 4 + 1]
            (self.sent if way == "sent" else self.heard)[vhid].append(when)

    def clear(self) -> None:
        """
        Forget everything.
        """
        self.heard.clear()
        self.sent.clear()


@attrs.frozen
class Lateness:
    """
    How late take-overs were, in seconds.

    @ivar samples: The number of take-overs.
    @ivar early: The number of those for which the backup did not wait for the end of its master.
    """

    samples: int
    p50: float
    p99: float
    worst: float
    early: int


def percentile(values: Sequence[float], part: float) -> float:
    """
    The smallest of some values that a part of them does not exceed.
    """
    return sorted(values)[max(0, math.ceil(part * len(values)) - 1)]


def lateness(
    heard: Sequence[float], sent: Sequence[float], cutAt: float, deadTime: float
) -> float | None:
    """
    How late one take-over was.

    @param heard: When advertisements of the master arrived.
    @param sent: When the backup advertised.
    @param cutAt: When the cable of the master stopped passing packets.
    @return: In seconds; C{None} if the backup advertised before that.
    """
    first = sent[0]
    if first < cutAt:
        return None
    return first - max(when for when in heard if when < first) - deadTime


async def takeOver(stage: Stage, ear: Ear, count: int, interval: float) -> float:
    """
    Cut the cable of the master until the backup has advertised for all groups.

    @return: When the cable was cut.
    """
    vhids = range(1, count + 1)
    daemons = tuple(stage.daemons.values())
    await until(
        stage.reactor,
        lambda: all(_follows(ear, vhid, interval) for vhid in vhids),
        "the backup hears the master in all groups",
        *daemons,
        within=_SETTLING,
    )
    ear.clear()
    # A host may die at any moment between two advertisements, but the last one must be known.
    await task.deferLater(stage.reactor, interval * (1.1 + random.random()))
    cutAt = time.monotonic()
    stage.nodes["a"].cut()
    await until(
        stage.reactor,
        lambda: all(ear.sent[vhid] for vhid in vhids),
        "the backup takes over all groups",
        *daemons,
        within=_PATIENCE + 4 * interval,
    )
    stage.nodes["a"].heal()
    return cutAt


def _follows(ear: Ear, vhid: int, interval: float) -> bool:
    now = time.monotonic()
    heard, sent = ear.heard[vhid], ear.sent[vhid]
    isHeard = bool(heard) and heard[-1] > now - _RECENT * interval
    return isHeard and (not sent or sent[-1] < now - max(_SILENT, _RECENT * interval))


async def measure(
    reactor: Any, contestant: Contestant, rhythm: Rhythm, count: int, samples: int
) -> Lateness:
    """
    Measure the take-overs of one program with one rhythm.

    @param count: The number of groups.
    @param samples: The least number of take-overs.
    """
    number = pairs(count, rhythm.interval)
    cuts = math.ceil(samples / (count * number))
    running = [
        Deferred.fromCoroutine(measurePair(reactor, contestant, rhythm, count, cuts))
        for _ in range(number)
    ]
    await DeferredList(running)
    late = [one for each in running for one in await each]
    found = [one for one in late if one is not None]
    early = len(late) - len(found)
    if not found:
        raise RuntimeError(f"all of {early} take-overs began before the master was cut off")
    p50, p99 = percentile(found, 0.5), percentile(found, 0.99)
    return Lateness(len(found), p50, p99, max(found), early)


async def measurePair(
    reactor: Any, contestant: Contestant, rhythm: Rhythm, count: int, cuts: int
) -> list[float | None]:
    """
    Measure the take-overs of one pair of hosts.

    @param cuts: How often the master is cut off.
    @return: See L{lateness}.
    """
    dead = rhythm.deadTime(contestant.name)
    found: list[float | None] = []
    async with staged(reactor, _ADDRESSES) as stage:
        ear = Ear(reactor, stage.nodes["b"])
        try:
            for host in "ab":
                started = start(stage, contestant.name, rhythm, count, host)
                state = "MASTER" if host == "a" else "BACKUP"
                what = f"{host} is {state} in {count} groups"
                areIn = partial(_areIn, started, state, count)
                await until(reactor, areIn, what, *started, within=_SETTLING)
            for _ in range(cuts):
                cutAt = await takeOver(stage, ear, count, rhythm.interval)
                found += (
                    lateness(ear.heard[vhid], ear.sent[vhid], cutAt, dead)
                    for vhid in range(1, count + 1)
                )
        finally:
            ear.stop()
    return found


def _areIn(daemons: Sequence[Daemon], state: str, count: int) -> bool:
    return sum(entered(daemon, state) for daemon in daemons) >= count


def start(stage: Stage, program: str, rhythm: Rhythm, count: int, host: str) -> list[Daemon]:
    """
    Start the processes of a program on a host.

    @param count: The number of groups.
    """
    home = stage.directory / host
    home.mkdir()
    commands = COMMANDS[program](host, groupsOf(count), home, rhythm)
    started = []
    for number, command in enumerate(commands):
        state = home / str(number)
        state.mkdir()
        daemon = Daemon(f"{host} {program} {number}", kept=_LINES * count)
        daemon.start(stage.reactor, stage.nodes[host], command, state)
        stage.reactor.addSystemEventTrigger(
            "before", "shutdown", daemon.signalAll, signal.SIGKILL
        )
        stage.daemons[f"{host} {number}"] = daemon
        started.append(daemon)
    return started


def estimate(interval: float, samples: int, count: int) -> float:
    """
    About how many seconds it takes to measure one program with one rhythm.
    """
    cuts = math.ceil(samples / (count * pairs(count, interval)))
    return 8 + cuts * (0.4 + 9 * interval)


def crowds(counts: Sequence[int], interval: float) -> list[int]:
    """
    The numbers of groups with a rhythm: at most so many that all of them advertise no more often
    than they do with an advertisement each second.
    """
    return list(dict.fromkeys(max(1, min(one, round(one * interval))) for one in counts))


def pairs(count: int, interval: float) -> int:
    """
    The number of pairs of hosts that run at the same time.

    @param count: The number of groups of a pair.
    """
    return max(1, min(_PAIRS, round(_RATE * interval / count)))


def table(cells: Sequence[dict[str, Any]]) -> str:
    """
    The figures as text.
    """
    own = {
        (one["interval"], one["groups"]): one
        for one in cells
        if one["program"] == ASSIGNING.name
    }
    rows = [["", "groups", "take-overs", "p50", "p99", "max", "p99 / txcarp", "too early"]]
    for one in cells:
        first = own.get((one["interval"], one["groups"]))
        times = "-" if first in (None, one) else showRatio(one["p99"], first["p99"])
        figures = (f"{one[key] * 1000:.2f} ms" for key in ("p50", "p99", "worst"))
        title = f"{one['program']}, an advertisement each {one['interval'] * 1000:.4g} ms"
        counts = str(one["groups"]), str(one["samples"])
        rows.append([title, *counts, *figures, times, str(one["early"])])
    return grid(rows)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """
    Read the command line.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.lateness",
        description="Measure how late after its deadline a backup takes over.",
    )
    parser.add_argument("--samples", type=int, default=100, help="take-overs of each line (100)")
    parser.add_argument("--intervals", type=float, nargs="+", default=[1, 0.1, 0.01], metavar="S")
    parser.add_argument(
        "--groups",
        type=int,
        nargs="+",
        default=_GROUPS,
        metavar="N",
        help="numbers of groups; fewer below a second (1 50)",
    )
    addCommonOptions(parser)
    options = parser.parse_args(arguments)
    expectPositive(parser, options, "samples")
    for count in options.groups:
        if not 1 <= count <= ON_ONE:
            parser.error(f"--groups {count}: expected 1 to {ON_ONE}")
    for interval in options.intervals:
        if not 1 / 256 <= interval <= 10:
            parser.error(f"--intervals {interval:g}: expected 0.004 to 10 seconds")
    options.contestants = takingPart(parser, options)
    return options


async def run(reactor: Any, options: argparse.Namespace) -> int:
    """
    Measure, and print the table.

    @return: The exit status.
    """
    contestants: list[Contestant] = options.contestants
    lines = [
        (interval, count, contestant)
        for interval in options.intervals
        for count in crowds(options.groups, interval)
        for contestant in contestants
        if interval >= SHORTEST[contestant.name]
    ]
    whole = sum(estimate(interval, options.samples, count) for interval, count, _ in lines)
    say(f"this takes about {whole / 60:.0f} minutes")
    cells: list[dict[str, Any]] = []
    complete = True
    for interval, count, contestant in lines:
        title = f"{contestant.name} at {interval:g} s, groups: {count}"
        measuring = measure(reactor, contestant, Rhythm(interval, _SKEW), count, options.samples)
        late = await attempted(measuring, title)
        if late is None:
            complete = False
            continue
        head = {"program": contestant.name, "interval": interval, "groups": count}
        cells.append({**head, **attrs.asdict(late)})
        say(f"{title}: p99 {late.p99 * 1000:.2f} ms of {late.samples}")
    versions = [one.version for one in contestants]
    if options.json:
        print(json.dumps({"programs": versions, "cells": cells}, indent=2))
    else:
        print(f"\n{', '.join(versions)}\n\n{table(cells)}")
    return 0 if complete else INCONCLUSIVE


def main(arguments: Sequence[str]) -> None:
    """
    Run the command.
    """
    options = parse(arguments)
    execute("benchmarks.lateness", lambda reactor: run(reactor, options))


if __name__ == "__main__":
    main(sys.argv[1:])
