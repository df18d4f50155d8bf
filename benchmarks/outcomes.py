"""
Measures the consequences of a fault.
"""

from __future__ import annotations

import random
import statistics
import time
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import attrs
from twisted.internet import task

from benchmarks.contestants import VIRTUAL, Contestant
from benchmarks.measuring import say, until
from benchmarks.scenes import Fault, Scene
from benchmarks.stage import pinging, staged
from tests.lab.holders import Holders, Span
from txcarp.testbed.pinger import Pinger, Probe

#: Seconds for which the backup hears advertisements before the fault.
_SETTLING = 1.5

#: The longest pause of the machine, in seconds, after which a measurement is not repeated.
_SHORT_PAUSE = 0.05

#: The longest pause of the machine, in seconds, after which the figures mean anything.
_LONGEST_PAUSE = 0.3

#: Seconds between probes.
PROBE = 0.002

#: Seconds in which the last probes are answered.
_LAST_ANSWERS = 0.1


@attrs.frozen
class Outcome:
    """
    The consequences of a fault.

    @ivar both: The longest time in which both hosts had the address.
    @ivar silence: The longest time for which the client waited for an answer.
    @ivar lost: The number of probes without an answer.
    @ivar holders: The hosts that have the address in the end.
    @ivar resolution: The longest pause of this process, in seconds: no figure is more exact.
    @ivar taken: Seconds after which the other host had the address; C{None} if it never had.
    """

    both: Span
    silence: Span
    lost: int
    holders: str
    resolution: float
    taken: float | None = None

    @property
    def isExact(self) -> bool:
        """
        Whether a repetition would not be more exact.
        """
        return self.resolution <= _SHORT_PAUSE

    @property
    def conclusive(self) -> bool:
        """
        Whether the figures come from the program, and not from a pause of the machine.
        """
        return self.resolution <= _LONGEST_PAUSE

    def broken(self, fault: Fault) -> list[str]:
        """
        The promises of txcarp that were broken.
        """
        allowance = self.resolution
        # A pause of the whole machine costs probes.
        excused = allowance / PROBE if allowance > _SHORT_PAUSE else 0.0
        promises = (
            (
                self.both.seconds > fault.both + allowance,
                f"both hosts had the address for {self.both.seconds:.3f} s",
            ),
            (
                self.silence.open or self.silence.seconds > fault.silence + allowance,
                f"no answer for {self.silence.seconds:.3f} s",
            ),
            (
                fault.lost is not None and self.lost > fault.lost + excused,
                f"{self.lost} probes lost",
            ),
            (self.holders != fault.heir, f"the address is on {self.holders}, not on {fault.heir}"),
        )
        return [words for broken, words in promises if broken]


def worst(outcomes: Sequence[Outcome]) -> Outcome:
    """
    The worst of each figure.
    """
    return Outcome(
        both=max((outcome.both for outcome in outcomes), key=_length),
        silence=max((outcome.silence for outcome in outcomes), key=_length),
        lost=max(outcome.lost for outcome in outcomes),
        holders=" or ".join(sorted({outcome.holders for outcome in outcomes})),
        resolution=max(outcome.resolution for outcome in outcomes),
        taken=max((one.taken for one in outcomes if one.taken is not None), default=None),
    )


def median(outcomes: Sequence[Outcome]) -> Outcome:
    """
    The median of each figure.
    """
    taken = [one.taken for one in outcomes if one.taken is not None]
    return Outcome(
        both=_middle([outcome.both for outcome in outcomes]),
        silence=_middle([outcome.silence for outcome in outcomes]),
        lost=round(statistics.median(outcome.lost for outcome in outcomes)),
        holders=" or ".join(sorted({outcome.holders for outcome in outcomes})),
        resolution=max(outcome.resolution for outcome in outcomes),
        taken=statistics.median(taken) if taken else None,
    )


def _middle(spans: Sequence[Span]) -> Span:
    """
    The median of some spans.  One that had not ended is longer than any that had.
    """
    order = sorted(spans, key=lambda span: (span.open, span.seconds))
    low, high = order[(len(order) - 1) // 2], order[len(order) // 2]
    return high if high.open else Span(statistics.median((low.seconds, high.seconds)))


async def measure(reactor: Any, contestant: Contestant, fault: Fault, attempts: int) -> Outcome:
    """
    Measure one fault of one program.  A measurement during which the machine paused is
    repeated.

    @param attempts: The largest number of measurements.
    @return: The outcome with the shortest pauses.
    """
    best: Outcome | None = None
    while True:
        outcome = await attempt(reactor, contestant, fault)
        if best is None or outcome.resolution < best.resolution:
            best = outcome
        attempts -= 1
        if best.isExact or attempts <= 0:
            return best
        say(f"{contestant.name:10}  {fault.name:20}  again: this machine paused")


async def attempt(
    reactor: Any,
    contestant: Contestant,
    fault: Fault,
    ready: Callable[[], Awaitable[object]] | None = None,
    settling: float = _SETTLING,
    spread: float = 1.0,
) -> Outcome:
    """
    Measure one fault of one program, once.

    @param ready: Called when both hosts are ready; waits until the fault may come.
    @param settling: Seconds for which the client pings before.
    @param spread: The fault may come at any moment of so many seconds after that.
    @raise RuntimeError: If a host is not ready in time, or loses its role before the fault.
    """
    if fault.program is not None:
        contestant = contestant.runBy(fault.program)
    async with staged(reactor) as stage:
        holders = Holders(reactor, VIRTUAL)
        try:
            for name in "ab":
                holders.watch(stage.nodes[name])
            a, b = await stage.pair(contestant, None, *fault.options)
            await until(reactor, lambda: holders.now == {"a"}, "a alone has the address", a, b)
            if fault.readiness:
                await until(reactor, partial(b.said, fault.readiness), fault.readiness, a, b)
            if ready is not None:
                await ready()
            with pinging(stage, PROBE) as pinger:
                pinger.start()
                await task.deferLater(reactor, settling + spread * random.random())
                if holders.now != {"a"}:
                    raise RuntimeError("the backup took the address before anything happened")
                struck = time.monotonic()
                fault.strike(Scene(reactor, stage.nodes["a"], a, contestant))
                if fault.isGone:
                    holders.changed("a", False)
                await task.deferLater(reactor, fault.seconds)
                ended = time.monotonic()
                pinger.pause()
                await task.deferLater(reactor, _LAST_ANSWERS)
                if holders.uncertain:
                    raise RuntimeError("netlink messages were lost: the figures would be wrong")
                return _outcome(holders, pinger, struck, ended)
        finally:
            holders.stop()


def _outcome(holders: Holders, pinger: Pinger, struck: float, ended: float) -> Outcome:
    silence = _silence(pinger.probes, struck, ended)
    gap = pinger.gaps(struck)
    return Outcome(
        both=holders.longest(lambda names: len(names) > 1, struck, ended),
        silence=silence,
        lost=gap.lost + (gap.pending if silence.open else 0),
        holders=" and ".join(sorted(holders.now)) or "nobody",
        resolution=gap.pause,
        taken=holders.first("b", struck),
    )


def _silence(probes: Sequence[Probe], struck: float, ended: float) -> Span:
    """
    The longest time in which a probe waited and no answer came.  Time in which this process
    could not send a probe does not count.
    """
    longest = Span()
    sent = [probe.sentAt for probe in probes]
    replies = sorted(probe.repliedAt for probe in probes if probe.repliedAt is not None)
    for earlier, later in zip(replies, [*replies[1:], ended], strict=True):
        waiting = bisect_right(sent, earlier)
        if later > struck and waiting < len(sent) and sent[waiting] < later:
            span = Span(later - sent[waiting], open=later == ended)
            longest = max(longest, span, key=_length)
    return longest


def _length(span: Span) -> float:
    return span.seconds
