"""
Two hosts that share an address, an attacker beside them, and the outcome of one attack.
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
from benchmarks.contestants import ASSIGNING, UCARP, VIRTUAL, Contestant, strike
from benchmarks.measuring import until
from tests.lab.daemons import Daemon
from tests.lab.holders import Holders, Span
from txcarp.protocol.rejection import Rejection
from txcarp.protocol.timing import Timing
from txcarp.testbed import Testbed

#: The hosts.  The backup's address wins a tie against the master's, and so does that of a host
#: that does not exist.
ADDRESSES = {"a": "10.99.0.20", "b": "10.99.0.10", "attacker": "10.99.0.50"}
STRANGER = "10.99.0.5"

#: The timing of both hosts.  There is a better one.
TIMING = Timing(1, 100)

#: Seconds of silence after which a backup takes over; in OpenBSD's dialect it waits longer.
DEAD_TIME = TIMING.deadTime(3)

#: Seconds for which the attacker only listens.
CAPTURE = 6.0

_BEAT = 0.01

#: Seconds of tolerance for each limit of time.
_TOLERANCE = 0.25

#: The longest pause of the machine, in seconds, after which the figures mean anything.
_LONGEST_PAUSE = 0.3


@attrs.frozen
class Pair:
    """
    What two hosts run.

    @ivar name: Its name in tables.
    @ivar seals: The value of C{--seal} for each host; empty if the program has no seals.
    """

    name: str
    contestant: Contestant
    seals: tuple[str, ...] = ()

    def options(self, host: str, more: Sequence[str]) -> list[str]:
        """
        More options for a host.

        @param more: Options for a program with seals only.
        """
        timing = ["-b", str(TIMING.advbase), "-k", str(TIMING.advskew)]
        if not self.seals:
            return timing
        # With -D each refused packet is a line.
        return [*timing, "--seal", self.seals["ab".index(host)], "-D", *more]


#: The pairs that take part by default.
USUAL = ("learn", "require", "ucarp")

PAIRS = {
    pair.name: pair
    for pair in (
        Pair("learn", ASSIGNING, ("learn", "learn")),
        Pair("require", ASSIGNING, ("require", "require")),
        Pair("mixed", ASSIGNING, ("learn", "require")),
        Pair("off", ASSIGNING, ("off", "off")),
        Pair("ucarp", UCARP),
    )
}


@attrs.frozen
class Expectation:
    """
    What happens to a pair that an attack cannot harm.

    @ivar holder: The host that has the address in the end.
    @ivar changes: How often a host becomes master.
    @ivar nobody: The longest time in which no host has the address, in seconds.
    """

    holder: str = "a"
    changes: int = 0
    nobody: float = 0.0


@attrs.frozen
class Outcome:
    """
    The outcome of an attack.

    @ivar nobody: The longest time in which no host had the address.
    @ivar both: The longest time in which both had it.
    @ivar changes: How often a host became master.
    @ivar holders: The hosts that have the address in the end.
    @ivar sent: The number of packets that the attacker sent.
    @ivar refused: The number of refused packets by host and reason.
    @ivar said: The number of other log lines by host and text.
    @ivar pause: The longest pause of this machine, in seconds.
    @ivar faults: The differences from the expectation, in words.
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
    def conclusive(self) -> bool:
        """
        Whether the figures come from the program, and not from a pause of the machine.
        """
        return self.pause <= _LONGEST_PAUSE


class Siege:
    """
    One pair, from its start to the end of one attack.

    @ivar captured: The packets that the attacker had heard when the attack began.
    """

    def __init__(
        self, reactor: Any, pair: Pair, options: Sequence[str], directory: Path, testbed: Testbed
    ) -> None:
        """
        @param options: Options for programs with seals.
        @param directory: The directory for the files of the hosts.
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
        Make host C{a} the master and C{b} its backup, and let the attacker listen.
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
        Begin to measure.
        """
        self._struck = self._last = time.monotonic()
        self._pulse.start(_BEAT)

    def start(self, name: str) -> None:
        """
        Start the program of a host, for the first time or again.
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
        End the program of a host.

        @param crash: Whether it is killed, and not stopped.
        """
        strike(self._daemons[name], signal.SIGKILL if crash else signal.SIGTERM)
        await self._until(lambda: self._daemons[name].ended, f"{name} ends")

    def powerOff(self, name: str) -> None:
        """
        Take from a host what a machine without power does not have: its process, its address
        and its link.
        """
        strike(self._daemons[name], signal.SIGKILL)
        self._nodes[name].deleteInterface()

    def forget(self, name: str) -> None:
        """
        Remove the state files of a host.
        """
        for path in (self._directory / name).glob("*.json"):
            path.unlink()

    async def becomes(self, name: str, state: str) -> None:
        """
        Wait until a host logs a state.
        """
        daemon = self._daemons[name]
        what = f"{daemon.name} is {state}"
        await self._until(lambda: daemon.state == state, what, daemon)

    async def sleep(self, seconds: float) -> None:
        """
        Let time pass.
        """
        await task.deferLater(self._reactor, max(0.0, seconds))

    async def _until(self, condition: Callable[[], object], what: str, *daemons: Daemon) -> None:
        await until(self._reactor, condition, what, *daemons)

    def _beat(self) -> None:
        now = time.monotonic()
        self._pause = max(self._pause, now - self._last - _BEAT)
        self._last = now

    async def end(self) -> None:
        """
        End all processes, and stop measuring.
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
        The outcome until now.
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
        return attrs.evolve(outcome, faults=tuple(harm(outcome, expected)))

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


#: What both programs log about the election, and txcarp about attacks.
_WORDS = re.compile(
    r"(Switching to state: MASTER|Preferred master advertised|Putting MASTER DOWN|"
    r"Putting MASTER down|Non-preferred master advertising)|\((replay|unsealed|own-echo),"
)


def harm(outcome: Outcome, expected: Expectation) -> Iterator[str]:
    """
    The harm that an attack did, in words.
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
