"""
How soon a program is ready after its start, and the memory that it needs: txcarp beside ucarp and
keepalived.

    python -m benchmarks.start --repeats 10

Each program is started on a host that is alone, with the shortest interval that it runs with, so
that the dead time hardly counts: 12 ms of txcarp, 4 ms of ucarp, and 36 ms of keepalived.  The
table shows the time from the start of the process to its message C{READY=1} to the service manager,
and to its first advertisement on the wire; and the memory of all its processes after a second, of
which the pages that it shares with others count in part (C{Pss}).  In a second table is the time
that a command takes from its start to its end.

The floor is what no program in Python, and none on Twisted, can be below: a Python that does
nothing, and one that runs a reactor.  ucarp has no message for a service manager, and keepalived
sends its own only to systemd.

The programs take turns.  Everything happens in network namespaces of this process.
"""

from __future__ import annotations

import argparse
import json
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import attrs
from twisted.internet import task

from benchmarks.contestants import ASSIGNING, SHORTEST, UCARP, Contestant, paced
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
from benchmarks.processes import ownMemory
from benchmarks.scenes import ADDRESSES
from benchmarks.stage import Stage, staged
from benchmarks.tables import grid
from tests.lab.daemons import Daemon, environment, programPath
from tests.lab.wire import Wire
from txcarp.socketreader import SocketReader
from txcarp.testbed.program import TXCARP, descendants

#: Seconds after which a program is idle.
_IDLE = 1.0

#: Seconds that a round takes for each row.
_DAEMON, _COMMAND = 2.5, 0.2

_PYTHON = (sys.executable, "-P", "-c")

#: Idle processes below which no program in Python can be.
FLOOR = {
    "Python": [*_PYTHON, "print(flush=True); input()"],
    "Python with Twisted's reactor": [
        *_PYTHON,
        "from twisted.internet import reactor; "
        "reactor.callWhenRunning(print, flush=True); reactor.run()",
    ],
}

#: Commands that end, the floor first.
COMMANDS = {
    "Python": [*_PYTHON, "pass"],
    "Python that imports Twisted's reactor": [*_PYTHON, "import twisted.internet.reactor"],
    "txcarp --help": [*TXCARP, "--help"],
    "txcarp --version": [*TXCARP, "--version"],
    "ucarp --help": ["ucarp", "--help"],
    "keepalived --help": ["keepalived", "--help"],
}

#: The command that asks a daemon.
_STATUS = "txcarp status"


@attrs.frozen
class Start:
    """
    One start of a program.

    @ivar advertised: Seconds until its first advertisement; C{None} if it makes none.
    @ivar ready: Seconds until it said that it is ready; C{None} if it does not say that.
    @ivar memory: Bytes of all its processes.
    """

    advertised: float | None
    ready: float | None
    memory: int


class FirstSign(Wire):
    """
    The time of the first frame of protocol 112.

    @ivar seen: It, on the monotonic clock; C{None} before.
    """

    def __init__(self, *arguments: Any) -> None:
        self.seen: float | None = None
        super().__init__(*arguments)

    def messageReceived(self, message: tuple[bytes, float, str]) -> None:
        frame, arrival, _ = message
        if frame[12:14] == b"\x08\x00" and self.seen is None:
            self.seen = arrival


class Readiness(SocketReader[bytes]):
    """
    A service manager that waits for C{READY=1}.

    @ivar said: When it was said, on the monotonic clock; C{None} before.
    @ivar address: What C{NOTIFY_SOCKET} says.
    """

    def __init__(self, reactor: Any, directory: Path) -> None:
        self.said: float | None = None
        self.address = str(directory / "notify")
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sock.bind(self.address)
        sock.setblocking(False)
        super().__init__(reactor, "readiness", sock)
        self.startReading()

    def receive(self, sock: socket.socket) -> bytes:
        return sock.recv(4096)

    def messageReceived(self, message: bytes) -> None:
        if self.said is None and b"READY=1" in message.split(b"\n"):
            self.said = time.monotonic()


class Managed(Daemon):
    """
    A daemon under a service manager.
    """

    def __init__(self, name: str, manager: Readiness) -> None:
        super().__init__(name)
        self._manager = manager

    def environment(self, state: Path) -> dict[str, str]:
        """
        See L{Daemon.environment}.
        """
        return {**super().environment(state), "NOTIFY_SOCKET": self._manager.address}


def brisk(contestant: Contestant) -> Contestant:
    """
    The same program with the shortest interval that it runs with on a host that is alone.
    """
    if contestant is UCARP:
        return attrs.evolve(
            UCARP, command=lambda *places: [*UCARP.command(*places), "-b", "0", "-k", "1"]
        )
    found = paced(contestant, SHORTEST[contestant.name])
    assert found is not None
    return found


def timed(command: Sequence[str]) -> float:
    """
    Seconds that a command takes.  Its exit status does not matter: ucarp and keepalived have none
    that says that all is well after their help.
    """
    began = time.monotonic()
    subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(Path("/nonexistent")),
        check=False,
    )
    return time.monotonic() - began


async def measure(
    reactor: Any, command: Callable[[Stage], list[str]], advertises: bool, notifies: bool
) -> tuple[Start, float | None]:
    """
    Start a program once.

    @param command: Makes its command line.
    @param advertises: Whether it advertises; otherwise its first line says that it is ready.
    @param notifies: Whether it tells the service manager.
    @return: What was measured, and the seconds of C{txcarp status} if it has a control socket.
    """
    async with staged(reactor, {"a": ADDRESSES["a"]}) as stage:
        wire, manager = FirstSign(reactor, stage.testbed.lan), Readiness(reactor, stage.directory)
        daemon = Managed("a", manager)
        stage.daemons["a"] = daemon
        try:
            words = command(stage)
            began = time.monotonic()
            daemon.start(reactor, stage.nodes["a"], words, stage.directory)
            reactor.addSystemEventTrigger("before", "shutdown", daemon.signalAll, signal.SIGKILL)
            if advertises:
                await until(reactor, lambda: wire.seen, "the first advertisement", daemon)
                if notifies:
                    await until(reactor, lambda: manager.said, "READY=1", daemon)
                ready = manager.said
            else:
                await until(reactor, lambda: daemon.lines, "the first line", daemon)
                ready = daemon.lines[0][0]
            await task.deferLater(reactor, _IDLE)
            start = Start(
                None if wire.seen is None else wire.seen - began,
                None if ready is None else ready - began,
                ownMemory(daemon.pid, *descendants(daemon.pid)),
            )
            control = stage.directory / "control"
            asking = [*TXCARP, "status", "--control", str(control)]
            return start, timed(asking) if control.exists() else None
        finally:
            wire.stop()
            manager.stop()


def commandOf(contestant: Contestant, stage: Stage) -> list[str]:
    """
    The command line of a program.  txcarp gets a control socket.
    """
    home = stage.directory / "files"
    home.mkdir()
    words = brisk(contestant).command(stage.addresses["a"], home)
    if contestant is ASSIGNING:
        words += ["--control", str(stage.directory / "control")]
    return words


def _fixed(words: list[str], stage: Stage) -> list[str]:
    return words


def summary(values: Sequence[float | None]) -> dict[str, float] | None:
    """
    The median and the worst; C{None} if there is nothing.
    """
    known = [one for one in values if one is not None]
    return {"median": statistics.median(known), "worst": max(known)} if known else None


def tables(daemons: Sequence[dict[str, Any]], commands: Sequence[dict[str, Any]]) -> str:
    """
    The figures as text.
    """
    own = next((one for one in daemons if one["program"] == ASSIGNING.name), None)
    rows = [["median (worst)", "ready", "advertises", "memory", "memory / txcarp"]]
    for one in daemons:
        part = "-" if own in (None, one) else f"{one['memory'] / own['memory']:.2f}x"
        times = (_milliseconds(one[key]) for key in ("ready", "advertised"))
        rows.append([one["program"], *times, f"{one['memory'] / 2**20:.1f} MiB", part])
    texts = [grid(rows)]
    if commands:
        more = [[one["command"], _milliseconds(one["seconds"])] for one in commands]
        texts.append(grid([["median (worst)", "takes"], *more]))
    return "\n\n".join(texts)


def _milliseconds(figure: dict[str, float] | None) -> str:
    if figure is None:
        return "-"
    return f"{figure['median'] * 1000:.0f} ms ({figure['worst'] * 1000:.0f} ms)"


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """
    Read the command line.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.start",
        description="Measure how soon a program is ready, and the memory that it needs.",
    )
    parser.add_argument("--repeats", type=int, default=10, help="rounds (10)")
    addCommonOptions(parser)
    options = parser.parse_args(arguments)
    expectPositive(parser, options, "repeats")
    options.contestants = takingPart(parser, options)
    return options


async def run(reactor: Any, options: argparse.Namespace) -> int:
    """
    Measure, and print the tables.

    @return: The exit status.
    """
    contestants: list[Contestant] = options.contestants
    names = [one.name for one in contestants]
    commands = {
        title: [programPath(words[0]) or words[0], *words[1:]]
        for title, words in COMMANDS.items()
        if words[0] == sys.executable or words[0] in names
    }
    whole = options.repeats * (_DAEMON * (len(names) + len(FLOOR)) + _COMMAND * len(commands))
    say(f"this takes about {whole / 60:.0f} minutes")
    starts: dict[str, list[Start]] = {name: [] for name in (*names, *FLOOR)}
    takes: dict[str, list[float]] = {title: [] for title in (*commands, _STATUS)}
    for number in range(options.repeats):
        for title, words in commands.items():
            takes[title].append(timed(words))
        for contestant in contestants:
            command = partial(commandOf, contestant)
            measuring = measure(reactor, command, True, contestant is ASSIGNING)
            found = await attempted(measuring, contestant.name)
            if found is not None:
                starts[contestant.name].append(found[0])
                takes[_STATUS] += [] if found[1] is None else [found[1]]
        for title, words in FLOOR.items():
            found = await attempted(measure(reactor, partial(_fixed, words), False, False), title)
            starts[title] += [] if found is None else [found[0]]
        say(f"round {number + 1} of {options.repeats}")
    daemons = [
        {
            "program": name,
            "advertised": summary([one.advertised for one in runs]),
            "ready": summary([one.ready for one in runs]),
            "memory": statistics.median(one.memory for one in runs),
        }
        for name, runs in starts.items()
        if runs
    ]
    lasted = [
        {"command": title, "seconds": summary(seconds)}
        for title, seconds in takes.items()
        if seconds
    ]
    versions = [one.version for one in contestants]
    if options.json:
        head = {"programs": versions, "repeats": options.repeats}
        print(json.dumps({**head, "daemons": daemons, "commands": lasted}, indent=2))
    else:
        print(f"\n{', '.join(versions)}\n\n{tables(daemons, lasted)}")
    complete = all(len(runs) == options.repeats for runs in starts.values())
    return 0 if complete else INCONCLUSIVE


def main(arguments: Sequence[str]) -> None:
    """
    Run the command.
    """
    options = parse(arguments)
    execute("benchmarks.start", lambda reactor: run(reactor, options))


if __name__ == "__main__":
    main(sys.argv[1:])
