"""
Many groups on two hosts: what they cost, and how long it takes until all of them have moved.

    python -m benchmarks.groups --groups 1 100 250 1000

Each host runs one daemon with all groups: txcarp with a configuration file, and keepalived with as
many VRRP instances; and up to a hundred processes of ucarp.  Every group has an address, and
advertises once a second; the hosts have an interface for each 250 groups.  The table shows, for the
host that has all addresses, the processor time (of txcarp and its guard, or of all processes), the
memory that it does not share with others, and by how much its advertisements were later than a
second after the last one.  Then that host loses its power: its cables pass nothing, and all of its
processes are killed.  With C{--kill}, its daemon alone is killed, and with C{--stop} it gets
SIGTERM.  The column I{all moved} is the time until the other host has announced every address.

With C{--kill} and C{--stop} a client on a third host asks the addresses (250 of them at most) every
20 ms whether they are there.  I{lost} is how many questions had no answer, of how many addresses,
and I{silence} the longest time in which an address answered none.

Everything happens in network namespaces of this process.
"""

from __future__ import annotations

import argparse
import itertools
import json
import signal
import socket
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import attrs
from twisted.internet import task

from benchmarks.contestants import KEEPALIVED, UCARP, Contestant, strike
from benchmarks.crowds import COMMANDS, ON_ONE, Group, Rhythm, groupsOf, ownAddress
from benchmarks.measuring import execute, expectPositive, say, until
from benchmarks.processes import ownMemory, processorSeconds
from benchmarks.tables import grid, showRatio
from tests.lab.daemons import Daemon
from tests.lab.wire import Wire
from txcarp.testbed import Node, Testbed
from txcarp.testbed.program import descendants

#: The most processes of ucarp.
_MOST_UCARP = 100

#: Seconds in which all groups must find a master, and in which all must move.
_SETTLING, _MOVING = 120.0, 60.0

#: The number of the client's address on each network, seconds between its questions to one
#: address, the most addresses that it asks, and seconds for which it asks before and afterwards.
_CLIENT, _ASKING, _MOST_ASKED, _BEFORE, _AFTERWARDS = 3, 0.02, 250, 1.0, 2.0

#: Seconds that a run takes beside those that are asked for, and more for each group.
_MORE, _EACH = 12.0, 0.02

#: Seconds between two advertisements.
_INTERVAL = 1.0


@attrs.frozen
class Outcome:
    """
    What some groups cost, and how they moved.

    @ivar load: The part of one processor that the master used.
    @ivar memory: Bytes that its processes do not share with others.
    @ivar p50: The median lateness of an advertisement, in seconds.
    @ivar p99: The lateness that 99 of 100 did not exceed.
    @ivar worst: The greatest one.
    @ivar moved: Seconds until all addresses were announced by the other host.
    @ivar lost: The number of questions of the client without an answer.
    @ivar losers: The number of addresses that did not answer one.
    @ivar silence: The longest time in which an address did not answer, in seconds.
    """

    load: float
    memory: int
    p50: float
    p99: float
    worst: float
    moved: float
    lost: int = 0
    losers: int = 0
    silence: float = 0.0


class Beats(Wire):
    """
    The times of the advertisements of each group, of CARP or VRRP.

    @ivar times: By the port of the switch, the source and the number of the group.
    """

    def __init__(self, *arguments: Any) -> None:
        self.times: dict[tuple[str, bytes, int], list[float]] = defaultdict(list)
        super().__init__(*arguments)

    def messageReceived(self, message: tuple[bytes, float, str]) -> None:
        frame, arrival, port = message
        if frame[12:14] == b"\x08\x00":
            start = 14 + (frame[14] & 15) * 4
            self.times[port, frame[26:30], frame[start + 1]].append(arrival)
        else:
            super().messageReceived(message)


def _pids(daemons: Sequence[Daemon]) -> list[int]:
    return [pid for daemon in daemons for pid in (daemon.pid, *descendants(daemon.pid))]


async def measure(reactor: Any, program: str, options: argparse.Namespace, count: int) -> Outcome:
    """
    Measure one program with one number of groups.
    """
    groups = groupsOf(count)
    sides = range(groups[-1].side + 1)
    hosts: dict[str, list[Daemon]] = {}
    prober: Daemon | None = None
    with tempfile.TemporaryDirectory() as directory, Testbed.create() as testbed:
        switches = [testbed.lan, *(testbed.switch(f"lan{side}") for side in sides[1:])]
        nodes = {}
        for name in "ab":
            nodes[name] = testbed.node(name, f"{ownAddress(name, 0)}/24")
            for side in sides[1:]:
                nodes[name].connect(switches[side], f"{ownAddress(name, side)}/24")
        wires = [Beats(reactor, switch) for switch in switches]
        try:
            for name in "ab":
                hosts[name] = _start(reactor, program, name, nodes[name], groups, directory)
                if name == "a":
                    addresses = {one.address for one in groups}
                    what = f"{program} has {count} addresses"
                    has = partial(_hasAnnounced, wires, nodes["a"], addresses, 0.0)
                    await until(reactor, has, what, *hosts["a"], within=_SETTLING)
            await task.deferLater(reactor, options.settle)
            pids = _pids(hosts["a"])
            for wire in wires:
                wire.times.clear()
            used, began = processorSeconds(*pids), time.monotonic()
            await task.deferLater(reactor, options.seconds)
            load = (processorSeconds(*pids) - used) / (time.monotonic() - began)
            memory = ownMemory(*pids)
            late = _lateness(wires)
            if options.kill or options.stop:
                client = testbed.node("c", f"10.99.0.{_CLIENT}/24")
                for side in sides[1:]:
                    client.connect(switches[side], f"10.99.{side}.{_CLIENT}/24")
                prober = await _asking(reactor, client, groups, directory)
                await task.deferLater(reactor, _BEFORE)
            struck = time.monotonic()
            if options.kill or options.stop:
                for daemon in hosts["a"]:
                    daemon.signal(signal.SIGKILL if options.kill else signal.SIGTERM)
            else:
                for side in sides:
                    nodes["a"].cut(f"eth{side}")
                for daemon in hosts["a"]:
                    strike(daemon, signal.SIGKILL)
            has = partial(_hasAnnounced, wires, nodes["b"], addresses, struck)
            await until(reactor, has, f"{program} moves", *hosts["b"], within=_MOVING)
            moved = _lastAnnounced(wires, nodes["b"], addresses, struck) - struck
            outcome = Outcome(
                load, memory, late[len(late) // 2], late[len(late) * 99 // 100], late[-1], moved
            )
            if prober is not None:
                await task.deferLater(reactor, _AFTERWARDS)
                prober.signal(signal.SIGTERM)
                await prober.exit
                found = json.loads(prober.lines[-1][1])
                say(f"the client: {prober.lines[-1][1]}")
                names = "lost", "losers", "silence"
                outcome = attrs.evolve(outcome, **{name: found[name] for name in names})
            return outcome
        finally:
            for wire in wires:
                wire.stop()
            for daemon in itertools.chain(*hosts.values()):
                strike(daemon, signal.SIGKILL)
                await daemon.exit


def _start(
    reactor: Any, program: str, name: str, node: Node, groups: Sequence[Group], directory: str
) -> list[Daemon]:
    home = Path(directory, name)
    home.mkdir()
    started = []
    for number, command in enumerate(COMMANDS[program](name, groups, home, Rhythm(_INTERVAL))):
        daemon = Daemon(f"{name} {program} {number}", kept=50)
        state = home / str(number)
        state.mkdir()
        daemon.start(reactor, node, command, state)
        reactor.addSystemEventTrigger("before", "shutdown", strike, daemon, signal.SIGKILL)
        started.append(daemon)
    return started


async def _asking(
    reactor: Any, node: Node, groups: Sequence[Group], directory: str
) -> Daemon:
    """
    Start the client, and wait until all addresses have answered.
    """
    prober = Daemon("the client")
    step = -(-len(groups) // _MOST_ASKED)
    asked = [one.address for one in groups[::step]]
    home = Path(directory, "client")
    home.mkdir()
    command = [sys.executable, "-P", "-m", "benchmarks.prober", str(_ASKING), *asked]
    prober.start(reactor, node, command, home)
    reactor.addSystemEventTrigger("before", "shutdown", strike, prober, signal.SIGKILL)
    await until(reactor, lambda: prober.lines, "all addresses answer", prober)
    return prober


def _announced(wires: Sequence[Wire], node: Node, since: float) -> dict[str, float]:
    """
    When each address was first announced by a node.
    """
    sides = {node.link(f"eth{side}").address for side in range(len(wires))}
    found: dict[str, float] = {}
    for wire in wires:
        for one in wire.announcements:
            if one.time > since and one.hardware in sides:
                found.setdefault(one.address, one.time)
    return found


def _hasAnnounced(wires: Sequence[Wire], node: Node, addresses: set[str], since: float) -> bool:
    return addresses <= _announced(wires, node, since).keys()


def _lastAnnounced(wires: Sequence[Wire], node: Node, addresses: set[str], since: float) -> float:
    found = _announced(wires, node, since)
    return max(found[address] for address in addresses)


def _lateness(wires: Sequence[Beats]) -> list[float]:
    """
    By how much each advertisement was later than an interval after the last one, sorted.
    """
    first = {socket.inet_aton(ownAddress("a", side)) for side in range(len(wires))}
    return sorted(
        max(0.0, later - earlier - _INTERVAL)
        for wire in wires
        for (_, source, _), times in wire.times.items()
        if source in first
        for earlier, later in itertools.pairwise(times)
    )


async def run(reactor: Any, options: argparse.Namespace) -> int:
    """
    Measure, and print the table.

    @return: The exit status.
    """
    programs = []
    for program in options.only.split(","):
        contestants: dict[str, Contestant] = {"keepalived": KEEPALIVED, "ucarp": UCARP}
        missing = contestants[program].missing() if program in contestants else None
        if missing:
            say(f"{program} takes no part: {missing}")
        else:
            programs.append(program)
    runs: dict[tuple[str, int], list[Outcome]] = {}
    scenes = [
        (count, [one for one in programs if one != "ucarp" or count <= _MOST_UCARP])
        for count in options.groups
    ]
    whole = sum(
        len(able) * options.runs * (options.settle + options.seconds + _MORE + count * _EACH)
        for count, able in scenes
    )
    say(f"this takes about {whole / 60:.0f} minutes")
    for count, able in scenes:
        # The programs take turns.
        for _, program in itertools.product(range(options.runs), able):
            outcome = await measure(reactor, program, options, count)
            say(_row(program, count, outcome))
            runs.setdefault((program, count), []).append(outcome)
    cells = [
        {"program": program, "groups": count, **attrs.asdict(_median(outcomes))}
        for (program, count), outcomes in runs.items()
    ]
    print(json.dumps(cells, indent=2) if options.json else f"\n{table(cells)}")
    return 0


def _median(outcomes: Sequence[Outcome]) -> Outcome:
    fields = (field.name for field in attrs.fields(Outcome))
    return Outcome(
        **{name: statistics.median(getattr(one, name) for one in outcomes) for name in fields}
    )


def ratios(cells: Sequence[dict[str, Any]], one: dict[str, Any]) -> dict[str, str]:
    """
    How many times more the figures of a program are than those of txcarp with as many groups, as
    text; empty where that cannot be said.
    """
    key = "txcarp", one["groups"]
    own = [each for each in cells if (each["program"], each["groups"]) == key and each is not one]
    return {
        name: showRatio(one[name], own[0][name]) if own and own[0][name] > 0 else ""
        for name in ("load", "memory", "p99", "moved")
    }


def table(cells: Sequence[dict[str, Any]]) -> str:
    """
    The figures as text.
    """
    hasClient = any(one["silence"] for one in cells)
    head = ["", "processor", "memory", "late: p50", "p99", "max", "all moved"]
    rows = [head + (["lost", "silence"] if hasClient else [])]
    for one in cells:
        times = {name: f" {text:>6}" for name, text in ratios(cells, one).items()}
        row = [
            f"{one['program']}, {one['groups']:,}",
            f"{one['load']:.1%}" + times["load"],
            f"{one['memory'] / 2**20:.1f} MiB" + times["memory"],
            f"{one['p50'] * 1000:.2f} ms",
            f"{one['p99'] * 1000:.2f} ms" + times["p99"],
            f"{one['worst'] * 1000:.2f} ms",
            f"{one['moved']:.2f} s" + times["moved"],
        ]
        if hasClient:
            row += [f"{one['lost']:.0f} of {one['losers']:.0f}", f"{one['silence'] * 1000:.0f} ms"]
        rows.append(row)
    return grid(rows)


def _row(program: str, count: int, one: Outcome) -> str:
    late = "".join(f"{value * 1000:7.2f} ms" for value in (one.p50, one.p99, one.worst))
    client = f"{one.lost:7.0f} of {one.losers:<3.0f}{one.silence * 1000:8.0f} ms"
    return (
        f"{program:12}{count:7}{one.load:11.1%}{one.memory / 2**20:7.1f} MiB  {late}"
        f"{one.moved:9.2f} s{client if one.silence else ''}"
    )


def main(arguments: Sequence[str]) -> None:
    """
    Run the command.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.groups",
        description="Measure what many groups cost, and how long it takes until all have moved.",
    )
    parser.add_argument("--groups", type=int, nargs="+", default=[1, 100, 250, 1000], metavar="N")
    parser.add_argument("--only", default=",".join(COMMANDS), metavar="NAMES", help="programs")
    parser.add_argument("--runs", type=int, default=1, help="runs of each line (1)")
    parser.add_argument("--settle", type=float, default=10.0, help="seconds before (10)")
    parser.add_argument("--seconds", type=float, default=20.0, help="seconds that count (20)")
    events = parser.add_mutually_exclusive_group()
    events.add_argument("--kill", action="store_true", help="kill the daemon, not the host")
    events.add_argument("--stop", action="store_true", help="stop the daemon in good order")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    options = parser.parse_args(arguments)
    expectPositive(parser, options, "runs")
    if options.seconds < 3 * _INTERVAL:
        parser.error(f"--seconds {options.seconds:g}: expected {3 * _INTERVAL:g} or more")
    if not all(0 < groups <= 4 * ON_ONE for groups in options.groups):
        parser.error(f"--groups: expected 1 to {4 * ON_ONE}")
    for name in options.only.split(","):
        if name not in COMMANDS:
            parser.error(f"--only {name}: expected some of {','.join(COMMANDS)}")
    execute("benchmarks.groups", lambda reactor: run(reactor, options))


if __name__ == "__main__":
    main(sys.argv[1:])
