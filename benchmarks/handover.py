"""
The time without a master when a host crashes, is stopped, or is replaced by a preferred one.

    python -m benchmarks.handover --runs 10

Every pair of txcarp and ucarp, each with the default timing and with scripts that move the
address, as in ucarp's manual page; a client pings the address every 2 ms.  The table shows the
time on the wire from the last advertisement of the old master to the first of the new one, and
the longest time in which the client got no answer.

A crash is a killed process on a host whose cable passes nothing in both directions, while its
carrier stays.  A planned stop is SIGTERM with C{-z}.  A preemption is the start of a preferred
host with C{-P}, which takes over from a master that lives.

Everything happens in network namespaces of this process.
"""

from __future__ import annotations

import argparse
import random
import signal
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import attrs
from twisted.internet import task

from benchmarks.contestants import SCRIPTED, UCARP, Contestant
from benchmarks.measuring import IMPOSSIBLE, execute, expectPositive, say, until
from benchmarks.scenes import ADDRESSES
from benchmarks.stage import pinging, staged

#: Seconds between probes.
_PROBE = 0.002

#: Seconds of silence after which a backup with the default timing takes over.
_DEADLINE = 3.0

#: Seconds in which the new master has to advertise, and to answer the client.
_TAKING_OVER = 12.0

#: Seconds for which the backup hears the master, and for which the client goes on afterwards.
_SETTLING, _AFTERWARDS = 1.5, 0.5

_PROGRAMS = (SCRIPTED, UCARP)

_CRASH, _STOP, _PREEMPTION = _EVENTS = ("crash", "planned stop", "preemption")

#: The options of a master that is preempted.
_WORSE = ("-k", "100")


@attrs.frozen
class Handover:
    """
    One hand-over.

    @ivar advertised: Seconds from the last advertisement of the old master to the first of the
        new one.
    @ivar silence: The longest time without an answer, in seconds.
    @ivar resolution: The longest pause of this process, in seconds.
    """

    advertised: float
    silence: float
    resolution: float


async def measure(reactor: Any, master: Contestant, backup: Contestant, event: str) -> Handover:
    """
    Measure one hand-over.

    @param event: What happens; one of C{_EVENTS}.
    """
    async with staged(reactor) as stage:
        wire = stage.listen()
        isPreempted = event == _PREEMPTION
        daemons = [await stage.settle("a", master, "MASTER", *_WORSE[: 2 * isPreempted])]
        if not isPreempted:
            daemons.append(await stage.settle("b", backup, "BACKUP"))
        with pinging(stage, _PROBE) as pinger:
            pinger.start()
            # The hand-over may come at any moment between two advertisements.
            await task.deferLater(reactor, _SETTLING + random.random())
            await until(reactor, lambda: pinger.received, "the client gets answers")
            struck = time.monotonic()
            if isPreempted:
                daemons.append(stage.start("b", backup, "-P"))
            elif event == _CRASH:
                stage.crash("a")
            else:
                daemons[0].signal(signal.SIGTERM)
            a, b = ADDRESSES["a"], ADDRESSES["b"]
            what = f"{backup.name} takes over"
            await until(reactor, lambda: wire.of(b), what, daemons[1], within=_TAKING_OVER)
            first = wire.of(b)[0].time
            await until(
                reactor,
                lambda: any((p.repliedAt or 0) > first for p in pinger.probes),
                "the client gets answers again",
                daemons[1],
                within=_TAKING_OVER,
            )
            await task.deferLater(reactor, _AFTERWARDS)
            last = [advert.time for advert in wire.of(a) if advert.time < first][-1]
            gap = pinger.gaps(struck)
            return Handover(first - last, gap.silence, gap.pause)


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
{"":32}{"last to first advertisement":^27}{"client gets no answer":>22}
{"old and new master":32}{"min":>9}{"median":>9}{"max":>9}{"median":>9}{"max":>9}"""


async def run(reactor: Any, options: argparse.Namespace) -> int:
    """
    Measure all pairs, and print the table.

    @return: The exit status.
    """
    rows, resolution = [], 0.0
    for event in _EVENTS:
        for master in _PROGRAMS:
            for backup in _PROGRAMS:
                name = f"{master.name}, {backup.name}"
                if options.only and options.only not in f"{name} {event}":
                    continue
                handovers = []
                for _ in range(options.runs):
                    handover = await measure(reactor, master, backup, event)
                    handovers.append(handover)
                    say(
                        f"{name:18}{event:14}{handover.advertised:9.3f} silence "
                        f"{handover.silence:9.3f} (+- {handover.resolution:.3f})"
                    )
                rows.append(row(name, event, handovers))
                resolution = max(resolution, *(handover.resolution for handover in handovers))
    print("\n".join(["", _HEAD, "-" * 77, *rows, ""]))
    print(
        f"Seconds, of {options.runs} run(s) each. The deadline of a backup is {_DEADLINE:.3f} s "
        f"after the last\nadvertisement. Probes every {_PROBE * 1000:.0f} ms; this process never "
        f"paused for more than {resolution * 1000:.0f} ms."
    )
    return 0


def main(arguments: Sequence[str]) -> None:
    """
    Run the command.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.handover",
        description="Measure how long a client gets no answer when the master changes.",
    )
    parser.add_argument("--runs", type=int, default=3, help="runs of each line (3)")
    parser.add_argument("--only", metavar="WORDS", help='lines that contain this, as "crash"')
    options = parser.parse_args(arguments)
    expectPositive(parser, options, "runs")
    missing = UCARP.missing()
    if missing:
        say(f"benchmarks.handover: {missing}")
        raise SystemExit(IMPOSSIBLE)
    execute("benchmarks.handover", lambda reactor: run(reactor, options))


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main(sys.argv[1:])
