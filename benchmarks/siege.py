"""
Two hosts that share an address, an attacker beside them, and what the attacker gets.
"""

from __future__ import annotations

import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
from twisted.internet import task
from twisted.internet.task import LoopingCall

from benchmarks.attacker import Attacker, Captured
from benchmarks.contestants import VIRTUAL, Contestant, Txcarp, Ucarp, strike
from tests.lab.daemons import Daemon
from tests.lab.holders import Holders, Span
from txcarp.protocol.rejection import Rejection
from txcarp.protocol.timing import Timing
from txcarp.testbed import Testbed

#: The hosts.  The backup's address wins a tie against the master's, and so does that of
#: a host that is not there.
ADDRESSES = {"a": "10.99.0.20", "b": "10.99.0.10", "attacker": "10.99.0.50"}
STRANGER = "10.99.0.5"

#: What all hosts advertise.  It can be surpassed.
TIMING = Timing(1, 100)

#: Seconds of silence after which a backup takes over; one of OpenBSD waits longer.
DEAD_TIME = TIMING.deadTime(3)

#: Seconds in which the attacker only listens.
CAPTURE = 6.0

_STARTING = 60.0
_LOOK_EVERY = 0.02
_BEAT = 0.01

#: Seconds by which what must not be late may be.
_TOLERANCE = 0.25

#: Seconds of a pause of the whole machine after which nothing can be said of a program.
_TOO_LONG = 0.3


@attrs.frozen
class Pair:
    """
    What two hosts run.

    @ivar name: what the table calls it.
    @ivar seals: what each of them demands of seals; empty if the program knows none.
    """

    name: str
    contestant: Contestant
    seals: tuple[str, ...] = ()

    def options(self, host: str, more: Sequence[str]) -> list[str]:
        """
        The command line of a host, beside what its users give it.

        @param more: only for the program that knows seals.
        """
        timing = ["-b", str(TIMING.advbase), "-k", str(TIMING.advskew)]
        if not self.seals:
            return timing
        # -D: each packet that is refused is a line.
        return [*timing, "--seal", self.seals["ab".index(host)], "-D", *more]


#: Who takes part, unless somebody else is asked for.
USUAL = ("learn", "require", "ucarp")

PAIRS = {
    pair.name: pair
    for pair in (
        Pair("learn", Txcarp(), ("learn", "learn")),
        Pair("require", Txcarp(), ("require", "require")),
        Pair("mixed", Txcarp(), ("learn", "require")),
        Pair("off", Txcarp(), ("off", "off")),
        Pair("ucarp", Ucarp()),
    )
}


@attrs.frozen
class Expectation:
    """
    What becomes of a pair that an attack cannot touch.

    @ivar holder: the host that has the address in the end.
    @ivar changes: how often a host becomes master.
    @ivar nobody: seconds for which no host has the address, at most.
    """

    holder: str = "a"
    changes: int = 0
    nobody: float = 0.0


@attrs.frozen
class Outcome:
    """
    What came of an attack.

    @ivar nobody: the longest time for which no host had the address.
    @ivar both: the longest time for which both had it.
    @ivar changes: how often a host became master.
    @ivar holders: who has it in the end.
    @ivar sent: how many packets the attacker sent.
    @ivar refused: how many packets each host refused, by host and reason.
    @ivar said: what else the hosts logged, by host and line.
    @ivar pause: seconds for which this machine stood still, at most.
    @ivar faults: what an attack that was stopped would not have done.
    """

    nobody: Span
    both: Span
    changes: int
    holders: str
    sent: int
    refused: dict[str, int]
    said: dict[str, int]
    pause: float
    faults: tuple[str, ...]

    @property
    def telling(self) -> bool:
        """
        Whether this says something about the program, and not about a machine that
        stood still.
        """
        return self.pause <= _TOO_LONG


class Siege:
    """
    One pair, from its start to the end of one attack.

    @ivar captured: what the attacker had heard when it began.
    """

    def __init__(
        self, reactor: Any, pair: Pair, options: Sequence[str], directory: Path, testbed: Testbed
    ) -> None:
        """
        @param options: for programs that know seals.
        @param directory: for the files of the hosts.
        """
        self.captured: list[Captured] = []
        self.attacker: Attacker
        self._reactor = reactor
        self._pair = pair
        self._options = tuple(options)
        self._directory = directory
        self._nodes = {
            name: testbed.node(name, f"{own}/24") for name, own in ADDRESSES.items()
        }
        self._daemons: dict[str, Daemon] = {}
        self._all: list[tuple[str, Daemon]] = []
        self._holders = Holders(reactor, VIRTUAL)
        self._struck = 0.0
        self._pause = 0.0
        self._last = time.monotonic()
        self._pulse = LoopingCall(self._beat)

    async def prepare(self) -> None:
        """
        Let host C{a} become master and C{b} backup, and the attacker listen.
        """
        for name in "ab":
            self._holders.watch(self._nodes[name])
        self.attacker = Attacker(self._reactor, self._nodes["attacker"])
        for name, state in (("a", "MASTER"), ("b", "BACKUP")):
            self.start(name)
            await self.becomes(name, state)
        await self._until(lambda: self._holders.now == {"a"}, "a alone has the address")
        begun = time.monotonic()
        await self.sleep(CAPTURE)
        self.captured = [one for one in self.attacker.captured if one.time >= begun]
        if not self.captured:
            raise RuntimeError("the attacker heard nothing")

    def begin(self) -> None:
        """
        From now on it counts what happens.
        """
        self._struck = self._last = time.monotonic()
        self._pulse.start(_BEAT)

    def start(self, name: str) -> None:
        """
        Start the program of a host, once more or for the first time.
        """
        daemon = self._pair.contestant.start(
            self._reactor,
            self._nodes[name],
            ADDRESSES[name],
            self._directory / name,
            *self._pair.options(name, self._options),
        )
        self._daemons[name] = daemon
        self._all.append((name, daemon))

    async def stop(self, name: str, crash: bool = False) -> None:
        """
        Let the program of a host end in good order, or not.
        """
        strike(self._daemons[name], signal.SIGKILL if crash else signal.SIGTERM)
        await self._until(lambda: self._daemons[name].ended, f"{name} ends")

    def powerOff(self, name: str) -> None:
        """
        What is left of a machine without power: no process, no address, no link.
        """
        strike(self._daemons[name], signal.SIGKILL)
        self._nodes[name].deleteInterface()

    def forget(self, name: str) -> None:
        """
        Take the state files of a host away.
        """
        for path in (self._directory / name).glob("*.json"):
            path.unlink()

    async def becomes(self, name: str, state: str) -> None:
        """
        Wait until a host says that it is in a state.
        """
        daemon = self._daemons[name]
        await self._until(lambda: daemon.state == state, f"{daemon.name} is {state}", daemon)

    async def sleep(self, seconds: float) -> None:
        """
        Let time pass.
        """
        await task.deferLater(self._reactor, max(0.0, seconds))

    async def _until(
        self, condition: Callable[[], object], what: str, daemon: Daemon | None = None
    ) -> None:
        end = time.monotonic() + _STARTING
        while not condition():
            if time.monotonic() > end or (daemon is not None and daemon.ended):
                lines = "".join(f"\n    {line}" for line in self._lastWords())
                raise RuntimeError(f"not within {_STARTING:.0f} s: {what}{lines}")
            await self.sleep(_LOOK_EVERY)

    def _lastWords(self) -> Iterator[str]:
        for _, daemon in self._all:
            for _, line in daemon.lines[-10:]:
                yield f"{daemon.name}: {line}"

    def _beat(self) -> None:
        now = time.monotonic()
        self._pause = max(self._pause, now - self._last - _BEAT)
        self._last = now

    async def end(self) -> None:
        """
        End everything.
        """
        if self._pulse.running:
            self._pulse.stop()
        self._holders.stop()
        if hasattr(self, "attacker"):
            self.attacker.close()
        for _, daemon in self._all:
            strike(daemon, signal.SIGKILL)
            await daemon.exit

    def outcome(self, expected: Expectation) -> Outcome:
        """
        What came of the attack until now.
        """
        if self._holders.uncertain:
            raise RuntimeError("netlink messages were lost: the figures would be wrong")
        since, now = self._struck, time.monotonic()
        changes = sum(
            len(daemon.said("Switching to state: MASTER", since)) for _, daemon in self._all
        )
        outcome = Outcome(
            nobody=self._holders.longest(lambda names: not names, since, now),
            both=self._holders.longest(lambda names: len(names) > 1, since, now),
            changes=changes,
            holders=" and ".join(sorted(self._holders.now)) or "nobody",
            sent=self.attacker.sent,
            refused=dict(self._refused()),
            said=dict(self._said()),
            pause=self._pause,
            faults=(),
        )
        return attrs.evolve(outcome, faults=tuple(touched(outcome, expected)))

    def _lines(self) -> Iterator[tuple[str, str]]:
        for name, daemon in self._all:
            for when, line in daemon.lines:
                if when > self._struck:
                    yield name, line

    def _refused(self) -> Counter[str]:
        counts: Counter[str] = Counter()
        for name, line in self._lines():
            _, dropped, words = line.partition("Dropped from ")
            if dropped:
                why = words.partition(": ")[2]
                known = (reason.value for reason in Rejection if why.startswith(reason.value))
                counts[f"{name}: {next(known, why)}"] += 1
        return counts

    def _said(self) -> Counter[str]:
        counts: Counter[str] = Counter()
        for name, line in self._lines():
            found = _WORDS.search(line)
            if found:
                counts[f"{name}: {found.group(1) or found.group(2)}"] += 1
        return counts


#: What both programs say of the election, and txcarp of attacks.
_WORDS = re.compile(
    r"(Switching to state: MASTER|Preferred master advertised|Putting MASTER DOWN|"
    r"Putting MASTER down|Non-preferred master advertising)|\((replay|unsealed|own-echo),"
)


def touched(outcome: Outcome, expected: Expectation) -> Iterator[str]:
    """
    What an attack did that it should not have been able to do.
    """
    allowance = outcome.pause + _TOLERANCE
    if outcome.holders != expected.holder:
        yield f"the address is on {outcome.holders}, not on {expected.holder}"
    if outcome.changes != expected.changes:
        yield f"{outcome.changes} changes of master, not {expected.changes}"
    if outcome.both.seconds:
        yield f"two holders for {outcome.both.seconds:.3f} s"
    if not expected.nobody and outcome.nobody.seconds:
        yield f"no holder for {outcome.nobody.seconds:.3f} s"
    elif outcome.nobody.seconds > expected.nobody + allowance:
        yield f"no holder for {outcome.nobody.seconds:.3f} s, not {expected.nobody:.3f} s"
