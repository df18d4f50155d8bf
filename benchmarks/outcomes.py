"""
What comes of it when something happens to a host, measured.
"""

from __future__ import annotations

import random
import signal
import tempfile
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import attrs
from twisted.internet import task

from benchmarks.contestants import VIRTUAL, Contestant, strike
from benchmarks.scenes import ADDRESSES, Fault, Scene
from tests.lab.daemons import Daemon
from tests.lab.holders import Holders, Span
from txcarp.clock.monotonic import MonotonicClock
from txcarp.testbed import Testbed
from txcarp.testbed.pinger import Pinger, Probe, openPingSocket

#: Seconds that a host may take until it is master, or backup.
_STARTING = 60.0

#: Seconds of advertisements that the backup hears before anything fails.
_SETTLING = 1.5

#: Seconds of pauses of this whole machine, as virtual ones have, that a measurement
#: survives; one with longer pauses is made again.
_STOOD_STILL = 0.05

#: Seconds of such pauses after which a figure says nothing about a program.
_TOO_LONG = 0.3

#: Seconds between probes.
PROBE = 0.002

#: Seconds in which the last probes are answered.
_LAST_ANSWERS = 0.1

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

    @property
    def telling(self) -> bool:
        """
        Whether this says something about the program, and not about a machine that
        stood still.
        """
        return self.resolution <= _TOO_LONG

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
    return pause / PROBE if pause > _STOOD_STILL else 0.0


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


async def measure(
    reactor: Any,
    contestant: Contestant,
    fault: Fault,
    attempts: int,
    say: Callable[[str], None],
) -> Outcome:
    """
    Let one thing happen to one program, on a machine that does not stand still.

    @param say: told of each attempt that is not good enough.
    @return: of several attempts, the one with the shortest pauses.
    """
    best: Outcome | None = None
    while True:
        outcome = await attempt(reactor, contestant, fault)
        if best is None or outcome.resolution < best.resolution:
            best = outcome
        attempts -= 1
        if best.resolution <= _STOOD_STILL or attempts <= 0:
            return best
        say(f"{contestant.name:10}  {fault.name:20}  again: this machine stood still")


async def attempt(reactor: Any, contestant: Contestant, fault: Fault) -> Outcome:
    """
    Let one thing happen to one program.
    """
    daemons: list[Daemon] = []
    clock = MonotonicClock(reactor)
    with tempfile.TemporaryDirectory() as directory, Testbed.create() as testbed:
        nodes = {name: testbed.node(name, f"{own}/24") for name, own in ADDRESSES.items()}
        holders = Holders(reactor, VIRTUAL)
        with nodes["client"].inside():
            pinger = Pinger(reactor, clock, openPingSocket(VIRTUAL), VIRTUAL, PROBE)
        try:
            for name in "ab":
                holders.watch(nodes[name])
                daemon = contestant.start(
                    reactor, nodes[name], ADDRESSES[name], Path(directory, name)
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
            await task.deferLater(reactor, _SETTLING + random.random())
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
