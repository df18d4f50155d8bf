"""
What becomes of an address when its host fails: txcarp beside ucarp and keepalived.

    python -m benchmarks.faults

Two hosts share an address, with the default timing of the program that they run;
a client pings it every 2 ms.  Then something happens to the host that holds it.
The table shows for each program and fault the longest time in which both hosts had
the address, the silence that the client noticed, the probes that nobody answered,
and which host has the address in the end (C{a} is the one that failed).

Everything happens in network namespaces of this process; Debian's C{ucarp} and
C{keepalived} take part if they are installed.  With C{--runs} more than one, the
figures are the worst of all runs.  The exit status is 1 if txcarp did not do what it
promises.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import attrs
from twisted.internet import task
from twisted.internet.defer import Deferred

from benchmarks.contestants import ALL, VIRTUAL, Contestant, strike
from tests.lab.daemons import Daemon
from tests.lab.holders import Holders, Span
from txcarp.clock import MonotonicClock
from txcarp.network.requests import delAddress
from txcarp.pinger import Pinger, Probe, openSocket
from txcarp.scheduling import stayOnTime
from txcarp.testbed import Node, Testbed, TestbedUnavailable

#: Seconds that a host may take until it is master, or backup.
_STARTING = 60.0

#: Seconds of advertisements that the backup hears before anything fails.
_SETTLING = 1.5

#: Seconds of pauses of this whole machine, as virtual ones have, that a measurement
#: survives; one with longer pauses is made again.
_STOOD_STILL = 0.05

_ATTEMPTS = 4

#: Seconds between probes.
_PROBE = 0.002

#: Seconds in which the last probes are answered.
_LAST_ANSWERS = 0.1

_ADDRESSES = {"a": "10.99.0.1", "b": "10.99.0.2", "client": "10.99.0.50"}


@attrs.define
class Scene:
    """
    Two hosts that share an address, and a client.

    @ivar master: the host that has it.
    """

    reactor: Any
    testbed: Testbed
    master: Node
    daemon: Daemon

    def later(self, delay: float, call: Callable[..., object], *arguments: object) -> None:
        """
        Have a second thing happen.
        """
        self.reactor.callLater(delay, call, *arguments)


@attrs.frozen
class Fault:
    """
    Something that happens to a master.

    @ivar seconds: how long to watch what comes of it.
    @ivar heir: the host that is to have the address in the end.
    @ivar silence: seconds without an answer that txcarp promises not to exceed:
        for those where its host cannot answer, the dead time and 50 ms.
    @ivar lost: probes that may be lost; C{None} if that is not promised.
    """

    name: str
    strike: Callable[[Scene], None]
    seconds: float
    heir: str = "b"
    silence: float = 3.05
    lost: int | None = None


def _kill(scene: Scene) -> None:
    strike(scene.daemon, signal.SIGKILL)


def _suspend(scene: Scene) -> None:
    strike(scene.daemon, signal.SIGSTOP)
    scene.later(6.0, strike, scene.daemon, signal.SIGCONT)


def _powerOff(scene: Scene) -> None:
    # What is left of a machine without power: no process, no address, no link.
    strike(scene.daemon, signal.SIGKILL)
    scene.master.deleteInterface()


def _unplug(scene: Scene) -> None:
    scene.master.unplug()
    scene.later(5.0, scene.master.plugIn)


def _stop(scene: Scene) -> None:
    scene.daemon.signal(signal.SIGTERM)


def _flush(scene: Scene) -> None:
    # A network manager that restarts: every address goes, its own come back.
    node = scene.master
    with node.netlink() as netlink:
        index = netlink.link("eth0").index
        for address in netlink.addresses():
            if address.index == index:
                try:
                    netlink.request(delAddress(index, address.local, address.prefixLength))
                except OSError:
                    continue  # it went with the first one of its network
    node.addAddress(f"{_ADDRESSES[node.name]}/24")


FAULTS = (
    Fault("SIGKILL", _kill, 7.0),
    Fault("SIGSTOP for 6 s", _suspend, 11.0),
    Fault("power off", _powerOff, 7.0),
    Fault("cable pulled for 5 s", _unplug, 10.0),
    Fault("planned stop", _stop, 6.0, silence=0.1, lost=1),
    Fault("addresses flushed", _flush, 6.0, heir="a", silence=0.1),
)

#: Seconds for which txcarp lets two hosts have the address, at most.
_OVERLAP = 0.4


@attrs.frozen
class Outcome:
    """
    What came of a fault.

    @ivar both: the longest time in which both hosts had the address.
    @ivar silence: the longest time for which the client waited.
    @ivar lost: probes without an answer.
    @ivar holders: who has the address in the end.
    @ivar resolution: seconds that this process was busy with something else: the
        figures are no finer.
    """

    both: Span
    silence: Span
    lost: int
    holders: str
    resolution: float

    def describe(self) -> dict[str, Any]:
        """
        For machines.
        """
        return attrs.asdict(self)

    def broken(self, fault: Fault) -> list[str]:
        """
        Which promises of txcarp this breaks.
        """
        allowance = self.resolution
        promises = (
            (
                self.both.seconds > _OVERLAP + allowance,
                f"two holders for {self.both.seconds:.3f} s",
            ),
            (
                self.silence.open or self.silence.seconds > fault.silence + allowance,
                f"silence of {self.silence.seconds:.3f} s",
            ),
            (
                fault.lost is not None and self.lost > fault.lost + _excused(allowance),
                f"{self.lost} probes lost",
            ),
            (self.holders != fault.heir, f"the address is on {self.holders}, not on {fault.heir}"),
        )
        return [words for broken, words in promises if broken]


def _excused(pause: float) -> float:
    """
    How many probes may be lost to a pause of the whole machine.
    """
    return pause / _PROBE if pause > _STOOD_STILL else 0.0


def worst(outcomes: Sequence[Outcome]) -> Outcome:
    """
    The worst of several runs, figure by figure.
    """
    return Outcome(
        both=max((outcome.both for outcome in outcomes), key=lambda span: span.seconds),
        silence=max((outcome.silence for outcome in outcomes), key=lambda span: span.seconds),
        lost=max(outcome.lost for outcome in outcomes),
        holders=" or ".join(sorted({outcome.holders for outcome in outcomes})),
        resolution=max(outcome.resolution for outcome in outcomes),
    )


async def _until(
    reactor: Any, condition: Callable[[], object], what: str, daemon: Daemon
) -> None:
    end = time.monotonic() + _STARTING
    while not condition():
        if daemon.ended or time.monotonic() > end:
            lines = "".join(f"\n    {line}" for _, line in daemon.lines[-10:])
            raise RuntimeError(f"not within {_STARTING:.0f} s: {daemon.name} {what}{lines}")
        await task.deferLater(reactor, 0.02)


async def measure(reactor: Any, contestant: Contestant, fault: Fault) -> Outcome:
    """
    Let one thing happen to one program, on a machine that does not stand still.

    @return: of several attempts, the one with the shortest pauses.
    """
    best: Outcome | None = None
    for _ in range(_ATTEMPTS):
        outcome = await attempt(reactor, contestant, fault)
        if best is None or outcome.resolution < best.resolution:
            best = outcome
        if best.resolution <= _STOOD_STILL:
            break
        _say(f"{contestant.name:10}  {fault.name:20}  again: this machine stood still")
    assert best is not None
    return best


async def attempt(reactor: Any, contestant: Contestant, fault: Fault) -> Outcome:
    """
    Let one thing happen to one program.
    """
    daemons: list[Daemon] = []
    clock = MonotonicClock(reactor)
    with tempfile.TemporaryDirectory() as directory, Testbed.create() as testbed:
        nodes = {name: testbed.node(name, f"{own}/24") for name, own in _ADDRESSES.items()}
        holders = Holders(reactor, VIRTUAL)
        with nodes["client"].inside():
            pinger = Pinger(reactor, clock, openSocket(VIRTUAL), VIRTUAL, _PROBE)
        try:
            for name in "ab":
                holders.watch(nodes[name])
                daemon = contestant.start(
                    reactor, nodes[name], _ADDRESSES[name], Path(directory, name)
                )
                daemons.append(daemon)
                state = "MASTER" if name == "a" else "BACKUP"
                await _until(
                    reactor, partial(_isSaid, daemon, state), f"is {state}", daemon
                )
            await _until(
                reactor, lambda: holders.now == {"a"}, "alone has the address", daemons[0]
            )
            pinger.start()
            # Any moment between two advertisements may be the one.
            await task.deferLater(reactor, _SETTLING + random.random())  # noqa: S311
            struck = time.monotonic()
            fault.strike(Scene(reactor, testbed, nodes["a"], daemons[0]))
            await task.deferLater(reactor, fault.seconds)
            ended = time.monotonic()
            pinger.pause()
            await task.deferLater(reactor, _LAST_ANSWERS)
            if holders.uncertain:
                raise RuntimeError("netlink messages were lost: the figures would be wrong")
            return _outcome(holders, pinger, struck, ended)
        finally:
            pinger.stop()
            holders.stop()
            clock.stop()
            for daemon in daemons:
                strike(daemon, signal.SIGKILL)
                await daemon.exit


def _isSaid(daemon: Daemon, state: str) -> bool:
    return any(f"{words} {state}" in line for _, line in daemon.lines for words in _WORDS)


#: What stands before the name of a state: ucarp's and txcarp's, and keepalived's.
_WORDS = ("Switching to state:", "Entering")


def _outcome(holders: Holders, pinger: Pinger, struck: float, ended: float) -> Outcome:
    silence = _silence(pinger.probes, struck, ended)
    gap = pinger.gaps(struck)
    return Outcome(
        both=holders.longest(lambda names: len(names) > 1, struck, ended),
        silence=silence,
        lost=gap.lost + (gap.pending if silence.open else 0),
        holders=" and ".join(sorted(holders.now)) or "nobody",
        resolution=gap.pause,
    )


def _silence(probes: Sequence[Probe], struck: float, ended: float) -> Span:
    """
    The longest time for which a probe waited and nobody answered any: time in which
    none was sent, because this process did not run, is no silence.
    """
    longest = Span()
    sent = [probe.sentAt for probe in probes]
    replies = sorted(probe.repliedAt for probe in probes if probe.repliedAt is not None)
    for earlier, later in zip(replies, [*replies[1:], ended], strict=True):
        waiting = bisect_right(sent, earlier)
        if later > struck and waiting < len(sent) and sent[waiting] < later:
            span = Span(later - sent[waiting], open=later == ended)
            longest = max(longest, span, key=lambda one: one.seconds)
    return longest


def table(
    contestants: Sequence[Contestant], outcomes: dict[tuple[str, str], Outcome]
) -> str:
    """
    The figures for people.
    """
    groups: tuple[tuple[str, Callable[[Outcome], str]], ...] = (
        ("both hosts have it", lambda outcome: _span(outcome.both)),
        ("client hears nothing", lambda outcome: _span(outcome.silence)),
        ("probes lost", lambda outcome: str(outcome.lost)),
        ("has it in the end", lambda outcome: outcome.holders),
    )
    names = [contestant.name for contestant in contestants]
    rows = [["", *names * len(groups)]]
    faults = [fault for fault in FAULTS if any(key[0] == fault.name for key in outcomes)]
    for fault in faults:
        row = [fault.name]
        for _, show in groups:
            row += [show(outcomes[fault.name, name]) for name in names]
        rows.append(row)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for index, (title, _) in enumerate(groups):
        # The title stands over its columns.
        first = 1 + index * len(names)
        room = sum(widths[first : first + len(names)]) + 2 * (len(names) - 1)
        widths[first] += max(0, len(title) - room)
    head = " " * widths[0]
    for index, (title, _) in enumerate(groups):
        first = 1 + index * len(names)
        room = sum(widths[first : first + len(names)]) + 2 * (len(names) - 1)
        head += " | " + title.center(room)
    lines = [head.rstrip()]
    for row in rows:
        line = row[0].ljust(widths[0])
        for index, cell in enumerate(row[1:]):
            line += (" | " if index % len(names) == 0 else "  ") + cell.rjust(widths[index + 1])
        lines.append(line.rstrip())
    lines.insert(2, "-" * max(map(len, lines)))
    return "\n".join(lines)


def _span(span: Span) -> str:
    if not span.seconds:
        return "never"
    words = f"{span.seconds * 1000:.0f} ms" if span.seconds < 1 else f"{span.seconds:.2f} s"
    return words + (" +" if span.open else "")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """
    Read the command line.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.faults",
        description="What becomes of an address when its host fails.",
    )
    names = [contestant.name for contestant in ALL]
    parser.add_argument("--runs", type=int, default=1, help="of each cell (default 1)")
    parser.add_argument("--only", metavar="NAMES", help=f"some of {','.join(names)}")
    parser.add_argument("--faults", metavar="WORDS", help="those whose names hold one of these")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    options = parser.parse_args(arguments)
    if options.runs < 1:
        parser.error(f"--runs {options.runs}: expected 1 or more")
    chosen = options.only.split(",") if options.only else names
    for name in chosen:
        if name not in names:
            parser.error(f"--only {name}: expected some of {','.join(names)}")
    options.contestants = [contestant for contestant in ALL if contestant.name in chosen]
    words = options.faults.split(",") if options.faults else [""]
    options.chosen = [fault for fault in FAULTS if any(word in fault.name for word in words)]
    if not options.chosen:
        parser.error(f"--faults {options.faults}: the faults are {[f.name for f in FAULTS]}")
    return options


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


async def run(reactor: Any, options: argparse.Namespace) -> int:
    """
    Fill the table.

    @return: the exit status.
    """
    contestants = []
    for contestant in options.contestants:
        missing = contestant.missing()
        if missing:
            _say(f"{contestant.name} takes no part: {missing}")
        else:
            contestants.append(contestant)
    outcomes: dict[tuple[str, str], Outcome] = {}
    broken: list[str] = []
    for fault in options.chosen:
        for contestant in contestants:
            runs = []
            for _ in range(options.runs):
                outcome = await measure(reactor, contestant, fault)
                runs.append(outcome)
                _say(
                    f"{contestant.name:10}  {fault.name:20}  both {_span(outcome.both):>9}"
                    f"  silence {_span(outcome.silence):>9}  lost {outcome.lost:>4}"
                    f"  then {outcome.holders:8}  (+- {_span(Span(outcome.resolution))})"
                )
                if contestant.name == "txcarp":
                    broken += [f"{fault.name}: {words}" for words in outcome.broken(fault)]
            outcomes[fault.name, contestant.name] = worst(runs)
    resolution = max((outcome.resolution for outcome in outcomes.values()), default=0.0)
    versions = [contestant.version() for contestant in contestants]
    if options.json:
        cells = [
            {"fault": fault, "program": name, **outcome.describe()}
            for (fault, name), outcome in outcomes.items()
        ]
        print(json.dumps({"programs": versions, "cells": cells, "broken": broken}, indent=2))
    else:
        print(f"\n{', '.join(versions)}\n\n{table(contestants, outcomes)}\n")
        print(
            f"a: the host that failed, b: the other. +: still so at the end. Probes every "
            f"{_PROBE * 1000:.0f} ms;\nthis process was never late by more than "
            f"{resolution * 1000:.0f} ms. Worst of {options.runs} run(s)."
        )
        for words in broken:
            print(f"txcarp broke its promise: {words}")
    return 1 if broken else 0


def main(arguments: Sequence[str]) -> None:
    """
    The command.
    """
    options = parse(arguments)
    # On a busy machine the observer must not be what is late.
    stayOnTime()

    def begin(reactor: Any) -> Deferred[None]:
        async def whole() -> None:
            status = await run(reactor, options)
            if status:
                raise SystemExit(status)

        return Deferred.fromCoroutine(whole())

    try:
        task.react(begin)
    except TestbedUnavailable as error:
        _say(f"benchmarks.faults: {error}")
        raise SystemExit(2) from None


if __name__ == "__main__":
    main(sys.argv[1:])
