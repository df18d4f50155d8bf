"""
A flood of packets at the door of a backup while its master dies: txcarp beside ucarp.

    python -m benchmarks.floods --runs 3
    python -m benchmarks.floods --rates 30000 --kinds digest version hops vhid length

Two hosts share an address, each with the default timing; then a third host on the segment sends
packets of protocol 112 with the number of their group to the group, as fast as said.  By default
only their digest is wrong, which no kernel can find out; C{--kinds} has others.  After some
seconds the master is cut off and killed.  The table shows by how much the first advertisement of
the backup came later than its dead time, and how much processor time each of the two used.

The flood is received by both hosts, by the bridge and by the machine that all of them share: its
own cost is the difference between the backups.  Everything happens in network namespaces of this
process.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import attrs
from twisted.internet import task

from benchmarks.contestants import ASSIGNING, UCARP, Contestant
from benchmarks.measuring import execute, expectPositive, say, until
from benchmarks.processes import processorSeconds
from benchmarks.scenes import ADDRESSES
from benchmarks.stage import staged
from benchmarks.tables import grid
from tests import crafted
from tests.lab.wire import STRANGER
from txcarp.testbed import Node

#: Seconds of silence after which a backup with the default timing takes over.
_DEADLINE = 3.0

#: Seconds of the flood before the master dies, and after which a backup counts as stuck.
_BEFORE, _PATIENCE = 2.0, 15.0

#: Packets that are sent in one go, and the source of all.
_BURST, _SOURCE = 16, "10.99.0.77"

_GROUP = bytes.fromhex("01005e000012")
_VHID = 7

#: Seconds that a run takes.
_RUN = 12.0

#: The figures of a run.
_FIGURES = ("late", "load", "masterLoad", "rate")

#: Packets in a second.
_RATES = (0, 10_000, 30_000, 100_000)

#: The packets of each kind of flood: what is wrong with them.
_KINDS = {
    "digest": crafted.packet(vhid=_VHID, advbase=1, badDigest=True, source=_SOURCE),
    "version": crafted.packet(vhid=_VHID, advbase=1, version=1, source=_SOURCE),
    "hops": crafted.packet(vhid=_VHID, advbase=1, ttl=64, source=_SOURCE),
    "vhid": crafted.packet(vhid=_VHID + 1, advbase=1, source=_SOURCE),
    "length": crafted.packet(crafted.payload(vhid=_VHID)[:30], source=_SOURCE),
}


@attrs.frozen
class Outcome:
    """
    One death of a master in a flood.

    @ivar late: Seconds from the end of the dead time to the first advertisement of the backup.
    @ivar load: The part of one processor that the backup used.
    @ivar masterLoad: The part of one processor that the master used while it lived.
    @ivar rate: Packets of the flood in a second.
    """

    late: float
    load: float
    masterLoad: float
    rate: float


def _flood(rate: int, kind: str) -> None:
    """
    Send packets until the standard input ends, and write how many.
    """
    frame = _GROUP + STRANGER + bytes(4) + b"\x08\x00" + _KINDS[kind]
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    sock.bind(("eth0", 0))
    os.set_blocking(0, False)
    sent, began = 0, time.monotonic()
    while True:
        due = int((time.monotonic() - began) * rate)
        for _ in range(min(due - sent, _BURST)):
            sock.send(frame)
            sent += 1
        if due - sent < _BURST:
            time.sleep(_BURST / rate / 2)
        if sent % (64 * _BURST) < _BURST:
            try:
                if os.read(0, 1) == b"":
                    break
            except BlockingIOError:
                pass
    print(sent / (time.monotonic() - began))


def _startFlood(node: Node, rate: int, kind: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "benchmarks.floods", "--flood", str(rate), "--kinds", kind]
    with node.inside():
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


async def measure(reactor: Any, contestant: Contestant, rate: int, kind: str) -> Outcome:
    """
    Let a master die in a flood.

    @param rate: Packets in a second.
    @param kind: What is wrong with them.
    """
    flood: subprocess.Popen[bytes] | None = None
    async with staged(reactor) as stage:
        wire = stage.listen()
        master, backup = await stage.pair(contestant)
        a, b = ADDRESSES["a"], ADDRESSES["b"]
        try:
            if rate:
                flood = _startFlood(stage.nodes["client"], rate, kind)
            usedByMaster, used = processorSeconds(master.pid), processorSeconds(backup.pid)
            began = time.monotonic()
            await task.deferLater(reactor, _BEFORE)
            masterLoad = (processorSeconds(master.pid) - usedByMaster) / (time.monotonic() - began)
            stage.crash("a")
            await until(reactor, lambda: wire.of(b), "the backup takes over", within=_PATIENCE)
            load = (processorSeconds(backup.pid) - used) / (time.monotonic() - began)
            first = wire.of(b)[0].time
            last = [advert.time for advert in wire.of(a) if advert.time < first][-1]
            reached = 0.0
            if flood is not None:
                reached = float(flood.communicate()[0])
                flood = None
            return Outcome(first - last - _DEADLINE, load, masterLoad, reached)
        finally:
            if flood is not None:
                flood.kill()
                flood.communicate()


async def run(reactor: Any, options: argparse.Namespace) -> int:
    """
    Measure all rates, and print the table.

    @return: The exit status.
    """
    contestants = []
    for contestant in (ASSIGNING, UCARP):
        missing = contestant.missing()
        if missing:
            say(f"{contestant.name} takes no part: {missing}")
        else:
            contestants.append(contestant)
    scenes = list(itertools.product(options.rates, options.kinds))
    whole = len(scenes) * options.runs * len(contestants) * _RUN
    say(f"this takes about {whole / 60:.0f} minutes")
    cells = []
    for rate, kind in scenes:
        for _, contestant in itertools.product(range(options.runs), contestants):
            outcome = await measure(reactor, contestant, rate, kind)
            row = {"program": contestant.name, "kind": kind, "wanted": rate}
            cells.append({**row, **attrs.asdict(outcome)})
            say(
                f"{contestant.name:8}{kind:8}{rate:8}/s  {outcome.late * 1000:8.1f} ms late, "
                f"backup {outcome.load:4.0%}, master {outcome.masterLoad:4.0%} of a "
                f"processor, at {outcome.rate:.0f}/s"
            )
    print(json.dumps(cells, indent=2) if options.json else f"\n{table(cells)}")
    return 0


def summaries(cells: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """
    The medians of all runs of each line, the worst lateness, and how many times later than txcarp
    the median of another program is.

    @return: For each line the keys of a cell, and C{worst} and C{ratio}.
    """
    found = []
    for program, kind, wanted in dict.fromkeys(map(_line, cells)):
        runs = [one for one in cells if _line(one) == (program, kind, wanted)]
        figures = {key: statistics.median(one[key] for one in runs) for key in _FIGURES}
        own = [one["late"] for one in cells if _line(one) == (ASSIGNING.name, kind, wanted)]
        isCompared = program != ASSIGNING.name and own
        found.append(
            {
                "program": program,
                "kind": kind,
                "wanted": wanted,
                **figures,
                "worst": max(one["late"] for one in runs),
                "ratio": figures["late"] / statistics.median(own) if isCompared else None,
            }
        )
    return found


def _line(cell: dict[str, Any]) -> tuple[str, str, int]:
    return cell["program"], cell["kind"], cell["wanted"]


def table(cells: Sequence[dict[str, Any]]) -> str:
    """
    The figures as text.
    """
    rows = [["", "packets/s", "late: median", "worst", "/ txcarp", "backup", "master"]]
    for one in summaries(cells):
        rows.append(
            [
                f"{one['program']}, wrong {one['kind']}",
                f"{one['rate']:.0f}",
                *(f"{one[key] * 1000:.1f} ms" for key in ("late", "worst")),
                "-" if one["ratio"] is None else f"{one['ratio']:,.1f}x",
                *(f"{one[key]:.1%}" for key in ("load", "masterLoad")),
            ]
        )
    return grid(rows)


def main(arguments: Sequence[str]) -> None:
    """
    Run the command.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.floods",
        description="Measure how late a backup takes over in a flood of packets.",
    )
    parser.add_argument("--runs", type=int, default=3, help="runs of each line (3)")
    parser.add_argument(
        "--rates", type=int, nargs="+", default=_RATES, metavar="N", help="packets in a second"
    )
    parser.add_argument(
        "--kinds",
        nargs="+",
        choices=_KINDS,
        default=["digest"],
        metavar="KIND",
        help=f"what is wrong with the packets: {', '.join(_KINDS)} (digest)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--flood", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.flood:
        _flood(options.flood, options.kinds[0])
        return
    expectPositive(parser, options, "runs")
    execute("benchmarks.floods", lambda reactor: run(reactor, options))


if __name__ == "__main__":
    main(sys.argv[1:])
