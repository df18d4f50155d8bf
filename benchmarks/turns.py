"""
How much processor time the turns of the reactor take while programs ask.

    python -m benchmarks.turns --groups 1 250 --clients 100 --seconds 10

The groups have no network here: only the control socket is real, and the programs are those of
C{benchmarks.control}.  While the reactor is in a turn, no advertisement can leave.  So the longest
turn is how late one can be on a machine that has a processor to spare, whatever else runs on this
one.  The command fails if a turn takes longer than L{LATE} of processor time.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

from twisted.internet import task
from twisted.internet.task import Clock
from twisted.internet.utils import getProcessOutputAndValue

from benchmarks.measuring import execute, expectPositive, verdict
from tests.fakes import FakePlatform, Journal, configured
from txcarp.daemon.collector import Collector
from txcarp.operate.control import Control
from txcarp.operate.server import ControlService
from txcarp.service import CARPService

#: Seconds by which an advertisement may be late.
LATE = 0.005


class _Meter:
    """
    Measures the turns of a reactor.

    @ivar turns: The processor time of each turn, in seconds.
    """

    def __init__(self, reactor: Any) -> None:
        self.turns: list[float] = []
        self._timed = 0.0
        timed, read = reactor.runUntilCurrent, reactor.doIteration

        def runUntilCurrent() -> None:
            begin = time.thread_time()
            timed()
            self._timed = time.thread_time() - begin

        def doIteration(delay: float) -> None:
            begin = time.thread_time()
            read(delay)
            self.turns.append(self._timed + time.thread_time() - begin)
            self._timed = 0.0

        reactor.runUntilCurrent, reactor.doIteration = runUntilCurrent, doIteration


def _carp(groups: int) -> CARPService:
    """
    A service that is master of some groups.
    """
    clock = Clock()
    platform = FakePlatform(clock, Journal())
    carp = CARPService(
        [
            configured(
                vhid=vhid, addresses=[f"10.99.1.{vhid}"], title=f"g{vhid}", neutral=True
            )
            for vhid in range(1, groups + 1)
        ],
        platform=platform,
    )
    platform.links.change(carp.virtualHosts[0].configuration.interface)
    carp.privilegedStartService()
    carp.startService()
    clock.advance(4)
    return carp


async def _measured(reactor: Any, options: argparse.Namespace) -> int:
    meter = _Meter(reactor)
    Collector(reactor).startService()  # as in a daemon
    broken: list[str] = []
    print("milliseconds of processor time     turns      p50      p99    p99.9      max")
    for groups in options.groups:
        for programs in (1, options.clients):
            with tempfile.TemporaryDirectory(prefix="txcarp") as name:
                path = f"{name}/c.sock"
                service = ControlService(Control(_carp(groups), reactor), path, reactor)
                service.startService()
                gc.freeze()
                await task.deferLater(reactor, 0.1)  # the turn in which the groups were made
                del meter.turns[:]
                arguments = [path, str(programs), str(options.seconds), "g1", "1"]
                output, errors, code = await getProcessOutputAndValue(
                    sys.executable,
                    ["-m", "benchmarks.askers", *arguments],
                    os.environ,
                    reactor=reactor,
                )
                turns = sorted(meter.turns)
                await service.stopService()
            if code:
                raise RuntimeError(errors.decode())
            answers = sum(len(times) for times in json.loads(output)["seconds"].values())
            title = f"{groups} groups, {programs} ask, {answers} answers"
            print(f"{title:34} {_figures(turns)}")
            if turns[-1] > LATE:
                broken.append(f"{title}: a turn took {1000 * turns[-1]:.1f} ms")
    return verdict(broken, [], "turns")


def _figures(turns: Sequence[float]) -> str:
    shares = [turns[min(len(turns) - 1, int(part * len(turns)))] for part in (0.5, 0.99, 0.999)]
    return f"{len(turns):6}  " + "  ".join(f"{1000 * one:7.2f}" for one in (*shares, turns[-1]))


def main() -> None:
    """
    Run the benchmark.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.turns", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--groups", type=int, nargs="+", default=[1, 250], metavar="N")
    parser.add_argument("--clients", type=int, default=100, metavar="N")
    parser.add_argument("--seconds", type=int, default=10, metavar="N", help="for each line")
    options = parser.parse_args()
    expectPositive(parser, options, "clients", "seconds")
    if not all(0 < groups < 256 for groups in options.groups):
        parser.error("--groups: expected 1 to 255")
    execute("benchmarks.turns", lambda reactor: _measured(reactor, options))


if __name__ == "__main__":
    main()
