"""
How late advertisements and answers are while programs ask a daemon.

    python -m benchmarks.control --groups 1 250 --clients 100 --seconds 20

A daemon is master of some groups, each of which advertises every second.  First nobody asks; then
one program asks everything, one after the other; then many programs at once: of ten, four ask for
all groups again and again, two read events, two read so slowly that their answers never end, one
sends what is no request, and one demotes and promotes one more group.  The kernel's time of each
advertisement on the wire shows how late it was.

The command fails if more than one of a hundred advertisements is late by more than
L{LATE}, if an answer takes longer than L{SLOW} while one program asks, or if the daemon logs a
failure.  It cannot know what else the machine does: compare with the first row, and with the load.

Everything happens in network namespaces of this process.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from twisted.internet import task
from twisted.internet.utils import getProcessOutputAndValue

from benchmarks.measuring import execute, expectPositive, say, until, verdict
from tests.lab.daemons import Daemon
from tests.lab.wire import Wire
from txcarp.testbed import Testbed
from txcarp.testbed.program import TXCARP

#: Seconds by which one of a hundred advertisements may be late.
LATE = 0.005

#: Seconds that an answer may take on an idle daemon.
SLOW = 0.1

_SOURCE = "10.99.0.11"

#: The vhid of one more group, which is demoted and promoted, and so advertises out of turn.
_CHANGED = 255


def _share(values: Sequence[float], part: float) -> float:
    """
    The value that a part of the values does not exceed, in milliseconds.
    """
    ordered = sorted(values)
    return 1000 * ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def _row(values: Sequence[float]) -> str:
    if not values:
        return "      -        -        -        -"
    return (
        f"{len(values):7}  {_share(values, 0.5):7.1f}  {_share(values, 0.99):7.1f}  "
        f"{1000 * max(values):7.1f}"
    )


class _Measurement:
    """
    A daemon with some groups.
    """

    def __init__(self, reactor: Any, testbed: Testbed, directory: Path, groups: int) -> None:
        self._reactor = reactor
        self._groups = groups
        switch = testbed.lan
        node = testbed.node("host", f"{_SOURCE}/16")
        self._wire = Wire(reactor, switch)
        self._socket = str(directory / "c.sock")
        self._password = directory / "password"
        self._password.touch(0o600)
        self._password.write_text("not a secret")
        path = directory / "txcarp.toml"
        path.write_text(self._file())
        path.chmod(0o600)
        self._daemon = Daemon("host")
        command = [*TXCARP, "--config", str(path)]
        self._daemon.start(reactor, node, command, directory, tied=True)
        self.broken: list[str] = []

    def _file(self) -> str:
        lines = [
            f'[daemon]\nfacility = "none"\ncontrol = "{self._socket}"\nstate_file = false\n'
            f'[defaults]\ninterface = "eth0"\npassfile = "{self._password}"\n'
        ]
        for vhid in (*range(1, self._groups + 1), _CHANGED):
            lines.append(f'[group.g{vhid}]\nvhid = {vhid}\naddresses = ["10.99.1.{vhid}/32"]\n')
        return "".join(lines)

    async def run(self, clients: int, seconds: float) -> None:
        """
        Measure, and print the figures.
        """
        daemon = self._daemon
        await until(
            self._reactor,
            lambda: len({one.said.vhid for one in self._wire.adverts}) == self._groups + 1,
            "all groups advertise",
            daemon,
        )
        await task.deferLater(self._reactor, 3.0)
        title = f"{self._groups} groups, milliseconds"
        print(f"\n{title:28}  number      p50      p99      max    load")
        for programs in (0, 1, clients):
            await self._phase(programs, seconds)
        for _, line in daemon.lines:
            if "Traceback" in line or "Internal error" in line or "nhandled" in line:
                self.broken.append(line)
        memory = Path(f"/proc/{daemon.pid}/status").read_text()
        peak = next(one for one in memory.splitlines() if one.startswith("VmHWM"))
        print(f"peak memory of the daemon: {int(peak.split()[1]) // 1024} MiB")

    async def _phase(self, programs: int, seconds: float) -> None:
        del self._wire.adverts[:]
        begin = time.monotonic()
        found: dict[str, Any] = {"seconds": {}, "wrong": {}}
        if programs:
            arguments = [self._socket, str(programs), str(seconds), f"g{_CHANGED}", "1"]
            output, errors, code = await getProcessOutputAndValue(
                sys.executable,
                ["-m", "benchmarks.askers", *arguments],
                os.environ,
                reactor=self._reactor,
            )
            if code:
                raise RuntimeError(errors.decode())
            found = json.loads(output)
        else:
            await task.deferLater(self._reactor, seconds)
        await task.deferLater(self._reactor, 0.5)
        late = self._lateness(begin + 1.0, begin + seconds)
        load = os.getloadavg()[0]
        title = {0: "adverts, nobody asks", 1: "adverts, one asks"}.get(programs, "")
        title = title or f"adverts, {programs} ask"
        print(f"{title:28} {_row(late)}  {load:6.1f}")
        if programs and late and _share(late, 0.99) > 1000 * LATE:
            self.broken.append(f"{title}: p99 is {_share(late, 0.99):.1f} ms late")
        for name, times in found["seconds"].items():
            print(f"  {name:26} {_row(times)}")
            if programs == 1 and statistics.median(times) > SLOW:
                self.broken.append(f"{name}: {statistics.median(times):.3f} s")
        if found["wrong"]:
            print(f"  without a right answer: {found['wrong']}")

    def _lateness(self, begin: float, end: float) -> list[float]:
        """
        By how many seconds each advertisement came later than an interval after the one before.
        """
        late: list[float] = []
        for vhid in range(1, self._groups + 1):
            times = [
                one.time
                for one in self._wire.adverts
                if one.said.vhid == vhid and begin < one.time < end
            ]
            late += [max(0.0, other - one - 1.0) for one, other in pairwise(times)]
        return late


async def _measured(reactor: Any, options: argparse.Namespace) -> int:
    broken: list[str] = []
    for groups in options.groups:
        with tempfile.TemporaryDirectory(prefix="txcarp") as name, Testbed.create() as testbed:
            measurement = _Measurement(reactor, testbed, Path(name), groups)
            await measurement.run(options.clients, options.seconds)
            broken += measurement.broken
    return verdict(broken, [], "control")


def main() -> None:
    """
    Run the benchmark.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.control", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--groups", type=int, nargs="+", default=[1, 250], metavar="N")
    parser.add_argument("--clients", type=int, default=100, metavar="N")
    parser.add_argument("--seconds", type=int, default=20, metavar="N", help="for each phase")
    options = parser.parse_args()
    expectPositive(parser, options, "clients", "seconds")
    if not all(0 < groups < 255 for groups in options.groups):
        parser.error("--groups: expected 1 to 254")
    say(f"this takes about {len(options.groups) * (3 * options.seconds + 10)} s")
    execute("benchmarks.control", lambda reactor: _measured(reactor, options))


if __name__ == "__main__":
    main()
