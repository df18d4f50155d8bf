"""
A test network, and the daemons that a benchmark starts on its hosts.
"""

from __future__ import annotations

import os
import re
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import Deferred

from benchmarks.contestants import VIRTUAL, Contestant, strike
from benchmarks.measuring import until
from benchmarks.scenes import ADDRESSES
from tests.lab.daemons import Daemon
from tests.lab.wire import Wire
from txcarp.clock.monotonic import MonotonicClock
from txcarp.testbed import Node, Testbed
from txcarp.testbed.pinger import Pinger, openPingSocket
from txcarp.testbed.program import descendants

#: A change of state in the words of ucarp and txcarp, and in those of keepalived.
_STATE = re.compile(r"(?:Switching to state:|Entering) (\w+)")


def state(daemon: Daemon) -> str:
    """
    The state that a daemon logged last: C{"MASTER"}, C{"BACKUP"}, or empty before the first.
    """
    for _, line in reversed(daemon.lines):
        found = _STATE.search(line)
        if found:
            return found.group(1)
    return ""


def isIn(daemon: Daemon, expected: str) -> bool:
    """
    Whether a daemon is in a state.
    """
    return state(daemon) == expected


def entered(daemon: Daemon, expected: str) -> int:
    """
    How often a daemon entered a state.
    """
    found = (_STATE.search(line) for _, line in daemon.lines)
    return sum(one is not None and one.group(1) == expected for one in found)


class Cue:
    """
    The moment at which measurements that run at the same time go on: each of them is ready, or has
    failed.
    """

    def __init__(self, count: int, act: Callable[[], object] = lambda: None) -> None:
        """
        @param count: The number of measurements.
        @param act: Called at the moment.
        """
        self._count = count
        self._act = act
        self._waiting: list[Deferred[None]] = []

    @contextmanager
    def place(self) -> Iterator[Callable[[], Deferred[None]]]:
        """
        The place of one measurement: a function that says that it is ready, and returns the moment.
        A measurement that ends without having been ready is not waited for.
        """
        moment: Deferred[None] = Deferred()

        def ready() -> Deferred[None]:
            if moment not in self._waiting:
                self._waiting.append(moment)
                if len(self._waiting) == self._count:
                    self._act()
                    for each in self._waiting:
                        each.callback(None)
            return moment

        try:
            yield ready
        finally:
            ready()


@attrs.define
class Stage:
    """
    A test network with daemons.

    @ivar nodes: The hosts by their names.
    @ivar addresses: The own address of each.
    @ivar directory: The directory for files.
    @ivar daemons: The daemon of each host.
    """

    reactor: Any
    testbed: Testbed
    nodes: Mapping[str, Node]
    addresses: Mapping[str, str]
    directory: Path
    daemons: dict[str, Daemon] = attrs.field(factory=dict)
    _wires: list[Wire] = attrs.field(factory=list)
    _children: dict[str, dict[int, bytes]] = attrs.field(factory=dict)

    def listen(self) -> Wire:
        """
        Record what all hosts advertise from now on.
        """
        wire = Wire(self.reactor, self.testbed.lan)
        self._wires.append(wire)
        return wire

    def start(self, name: str, contestant: Contestant, *options: str) -> Daemon:
        """
        Start a program on a host.

        @param options: More options.
        """
        home = self.directory / name
        daemon = contestant.start(
            self.reactor, self.nodes[name], self.addresses[name], home, *options
        )
        self.daemons[name] = daemon
        return daemon

    async def settle(
        self, name: str, contestant: Contestant, expected: str, *options: str
    ) -> Daemon:
        """
        Start a program on a host, and wait until it is in a state.

        @param expected: The state.
        @raise RuntimeError: If it ends, or does not get there.
        """
        daemon = self.start(name, contestant, *options)
        what = f"{daemon.name} is {expected}"
        await until(self.reactor, partial(isIn, daemon, expected), what, daemon)
        self._children[daemon.name] = {pid: _command(pid) for pid in descendants(daemon.pid)}
        return daemon

    async def pair(
        self, master: Contestant, backup: Contestant | None = None, *options: str
    ) -> tuple[Daemon, Daemon]:
        """
        Start a master on C{a} and a backup on C{b}.

        @param backup: The program on C{b}; by default the same.
        """
        return (
            await self.settle("a", master, "MASTER", *options),
            await self.settle("b", backup or master, "BACKUP", *options),
        )

    def crash(self, name: str) -> None:
        """
        Let a host lose its power: its cable passes nothing, and its processes are dead.  The
        carrier stays.
        """
        # Stopped first: after the cut no process may send what its peers do not hear.
        strike(self.daemons[name], signal.SIGSTOP)
        self.nodes[name].cut()
        strike(self.daemons[name], signal.SIGKILL)

    async def close(self) -> None:
        """
        Kill all daemons.
        """
        for wire in self._wires:
            wire.stop()
        for daemon in self.daemons.values():
            with suppress(ProcessLookupError):  # it has ended, but not its children
                strike(daemon, signal.SIGKILL)
            for pid, command in self._children.get(daemon.name, {}).items():
                if command and _command(pid) == command:
                    os.kill(pid, signal.SIGKILL)
            await daemon.exit


def _command(pid: int) -> bytes:
    """
    The command line of a process; empty if there is none.
    """
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return b""


@asynccontextmanager
async def staged(
    reactor: Any, addresses: Mapping[str, str] = ADDRESSES
) -> AsyncIterator[Stage]:
    """
    Make a test network; in the end kill all daemons, and remove it.

    @param addresses: The names of the hosts, and their own addresses.
    """
    with tempfile.TemporaryDirectory() as directory, Testbed.create() as testbed:
        nodes = {name: testbed.node(name, f"{own}/24") for name, own in addresses.items()}
        stage = Stage(reactor, testbed, nodes, addresses, Path(directory))
        try:
            yield stage
        finally:
            await stage.close()


@contextmanager
def pinging(stage: Stage, interval: float) -> Iterator[Pinger]:
    """
    Make a client that can ping the shared address; in the end stop it.

    @param interval: Seconds between probes.
    """
    clock = MonotonicClock(stage.reactor)
    with stage.nodes["client"].inside():
        pinger = Pinger(stage.reactor, clock, openPingSocket(VIRTUAL), VIRTUAL, interval)
    try:
        yield pinger
    finally:
        pinger.stop()
        clock.stop()
