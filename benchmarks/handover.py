"""
How long an address is nobody's when its host crashes, and when it is stopped.

    python -m benchmarks.handover --runs 10

Every pair of txcarp and ucarp, each with the default timing and scripts that move the
address, as in ucarp's manual; a client pings the address every 2 ms.  The table shows
the time from the last advertisement of the old master to the first of the new one, on
the wire, beside the exact deadline of the backup, and the longest time for which the
client heard nothing.

A crash is a killed process on a host whose cable is dead in both directions, while its
carrier stays: nobody is told anything.  A planned stop is SIGTERM with C{-z}.

Everything happens in network namespaces of this process.
"""

from __future__ import annotations

import argparse
import random
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import attrs
from twisted.internet import task
from twisted.internet.defer import Deferred

from benchmarks.contestants import VIRTUAL, Contestant, Ucarp, strike
from tests.lab.daemons import TXCARP, Daemon
from tests.lab.wire import Wire
from txcarp.clock.monotonic import MonotonicClock
from txcarp.daemon.scheduling import stayOnTime
from txcarp.testbed import Testbed, TestbedUnavailable
from txcarp.testbed.pinger import Pinger, openPingSocket

#: Seconds between probes.
_PROBE = 0.002

#: Seconds of silence after which a backup with default timing takes over.
_DEADLINE = 3.0

_STARTING = 60.0
_TAKING_OVER = 12.0
_SETTLING = 1.5
_AFTERWARDS = 0.5

_ADDRESSES = {"a": "10.99.0.1", "b": "10.99.0.2", "client": "10.99.0.50"}


class Scripted(Ucarp):
    """
    txcarp with ucarp's command line and scripts.
    """

    name = "txcarp"

    def command(self, source: str, directory: Path) -> list[str]:
        """
        See L{Contestant.command}.
        """
        return [*TXCARP, *super().command(source, directory)[1:]]


_PROGRAMS = (Scripted(), Ucarp())


@attrs.frozen
class Handover:
    """
    What one hand-over cost.

    @ivar advertised: seconds from the last advertisement of the old master to the
        first of the new one.
    @ivar silence: the longest time without an answer, as the client saw it.
    @ivar resolution: seconds that this process was busy with something else.
    """

    advertised: float
    silence: float
    resolution: float


async def _until(reactor: Any, condition: Callable[[], object], what: str, within: float) -> None:
    end = time.monotonic() + within
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(f"not within {within:.0f} s: {what}")
        await task.deferLater(reactor, 0.02)


def _isIn(daemon: Daemon, state: str) -> bool:
    return daemon.state == state


async def measure(reactor: Any, master: Contestant, backup: Contestant, crash: bool) -> Handover:
    """
    Let one host hand over to another.

    @param crash: whether it gets no chance to say so.
    """
    daemons: list[Daemon] = []
    clock = MonotonicClock(reactor)
    with tempfile.TemporaryDirectory() as directory, Testbed.create() as testbed:
        nodes = {name: testbed.node(name, f"{own}/24") for name, own in _ADDRESSES.items()}
        wire = Wire(reactor, testbed.lan)
        with nodes["client"].inside():
            pinger = Pinger(reactor, clock, openPingSocket(VIRTUAL), VIRTUAL, _PROBE)
        a, b = _ADDRESSES["a"], _ADDRESSES["b"]
        try:
            for name, program, state in (("a", master, "MASTER"), ("b", backup, "BACKUP")):
                daemon = program.start(
                    reactor, nodes[name], _ADDRESSES[name], Path(directory, name)
                )
                daemons.append(daemon)
                what = f"{program.name} is {state}"
                await _until(reactor, partial(_isIn, daemon, state), what, _STARTING)
            pinger.start()
            # Any moment between two advertisements may be the one.
            await task.deferLater(reactor, _SETTLING + random.random())
            await _until(reactor, lambda: pinger.received, "the client is answered", _STARTING)
            struck = time.monotonic()
            if crash:
                # Nothing leaves after what its peer heard last.
                strike(daemons[0], signal.SIGSTOP)
                nodes["a"].cut()
                strike(daemons[0], signal.SIGKILL)
            else:
                daemons[0].signal(signal.SIGTERM)
            await _until(reactor, lambda: wire.of(b), f"{backup.name} takes over", _TAKING_OVER)
            first = wire.of(b)[0].time
            await _until(
                reactor,
                lambda: any((p.repliedAt or 0) > first for p in pinger.probes),
                "the client is answered again",
                _TAKING_OVER,
            )
            await task.deferLater(reactor, _AFTERWARDS)
            last = [advert.time for advert in wire.of(a) if advert.time < first][-1]
            gap = pinger.gaps(struck)
            return Handover(first - last, gap.silence, gap.pause)
        finally:
            pinger.stop()
            wire.close()
            clock.stop()
            for daemon in daemons:
                strike(daemon, signal.SIGKILL)
                await daemon.exit


def row(name: str, event: str, handovers: Sequence[Handover]) -> str:
    """
    One line of the table.
    """
    advertised = [handover.advertised for handover in handovers]
    silences = [handover.silence for handover in handovers]
    figures = [
        min(advertised),
        statistics.median(advertised),
        max(advertised),
        statistics.median(silences),
        max(silences),
    ]
    return f"{name:18}{event:14}" + "".join(f"{figure:9.3f}" for figure in figures)


_HEAD = f"""\
{"":32}{"last to first advertisement":^27}{"client hears nothing":>22}
{"old and new master":32}{"min":>9}{"median":>9}{"max":>9}{"median":>9}{"max":>9}"""


async def run(reactor: Any, options: argparse.Namespace) -> None:
    """
    Measure all pairs and print the table.
    """
    rows, resolution = [], 0.0
    for crash in (True, False):
        event = "crash" if crash else "planned stop"
        for master in _PROGRAMS:
            for backup in _PROGRAMS:
                name = f"{master.name}, {backup.name}"
                if options.only and options.only not in f"{name} {event}":
                    continue
                handovers = []
                for _ in range(options.runs):
                    handover = await measure(reactor, master, backup, crash)
                    handovers.append(handover)
                    print(
                        f"{name:18}{event:14}{handover.advertised:9.3f} silence "
                        f"{handover.silence:9.3f} (+- {handover.resolution:.3f})",
                        file=sys.stderr,
                        flush=True,
                    )
                rows.append(row(name, event, handovers))
                resolution = max(resolution, *(handover.resolution for handover in handovers))
    print("\n".join(["", _HEAD, "-" * 77, *rows, ""]))
    print(
        f"Seconds, of {options.runs} run(s) each. The deadline of a backup is {_DEADLINE:.3f} s "
        f"after the last\nadvertisement. Probes every {_PROBE * 1000:.0f} ms; this process was "
        f"never late by more than {resolution * 1000:.0f} ms."
    )


def main(arguments: Sequence[str]) -> None:
    """
    The command.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.handover",
        description="How long an address is nobody's when its host crashes or is stopped.",
    )
    parser.add_argument("--runs", type=int, default=3, help="of each line (default 3)")
    parser.add_argument("--only", metavar="WORDS", help='lines that hold this, as "crash"')
    options = parser.parse_args(arguments)
    if options.runs < 1:
        parser.error(f"--runs {options.runs}: expected 1 or more")
    missing = Ucarp().missing()
    if missing:
        print(f"benchmarks.handover: {missing}", file=sys.stderr)
        raise SystemExit(2)
    # On a busy machine the observer must not be what is late.
    stayOnTime()
    try:
        task.react(lambda reactor: Deferred.fromCoroutine(run(reactor, options)))
    except TestbedUnavailable as error:
        print(f"benchmarks.handover: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main(sys.argv[1:])
