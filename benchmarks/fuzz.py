"""
Random and mutated packets through everything that a packet from the network
reaches before it is believed, and what is done with it then: unwrapping, the
digest, the seal, the election; in both families and all three dialects::

    python benchmarks/fuzz.py --packets 10000000

Prints what became of them.  Exits with status 1 when anything but L{Rejected}
is raised; when the election or the memory of seals moves for a packet that is
refused; when a packet is believed whose digest was not made with the password;
when one is believed whose timing or source is not what was sealed, that was
heard before, that is too old, or that this host sealed itself; and when a good
one is refused.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import attrs

from benchmarks.fuzzgroup import OTHERS, Fact, Group
from benchmarks.fuzzreceiver import Receiver
from benchmarks.mutation import Mutator
from txcarp.membership.reception import Heard
from txcarp.protocol import freshness
from txcarp.protocol.dialect import DIALECTS, Dialect
from txcarp.protocol.freshness import LAG
from txcarp.protocol.rejection import Rejection
from txcarp.protocol.seal import saidBy

#: Packets of an attacker between two good ones.
_BETWEEN = 60

#: Good packets between two restarts of the receiver.
_RUN = 211

#: Good packets between two silences, and what is kept back in each.
_SILENCE_EVERY, _LAST_WORDS = 41, 5

#: What is made of a packet that is kept back.
_VARIANTS = 4

#: Seconds after which what came just before a crash is too old.
_AFTER_CRASH = 30.0

#: Counters that are remembered: so few that they are forgotten all the time.
REMEMBERED = 400

#: Faults that are kept.
_ENOUGH = 10


@attrs.define
class Result:
    """
    What became of packets.

    @ivar guessed: seals that somebody might guess: one of 16 million fits.
    """

    packets: int = 0
    believed: int = 0
    moves: int = 0
    restarts: int = 0
    guessed: int = 0
    refused: Counter[Rejection] = attrs.field(factory=Counter)
    faults: int = 0
    wrong: list[str] = attrs.field(factory=list)

    def add(self, other: Result) -> None:
        """
        Count what another process found, too.
        """
        self.packets += other.packets
        self.believed += other.believed
        self.moves += other.moves
        self.restarts += other.restarts
        self.guessed += other.guessed
        self.refused += other.refused
        self.faults += other.faults
        self.wrong = [*self.wrong, *other.wrong][:_ENOUGH]


class Fuzz:
    """
    A receiver of one dialect, the rest of its group, and an attacker.
    """

    def __init__(self, dialect: Dialect, seed: int) -> None:
        self._random = random.Random(f"{dialect.name} {seed}")
        self._name = f"{dialect.name}, seed {seed}"
        self._group = Group(dialect, self._random)
        self._receiver = Receiver(dialect, self._group.keyring)
        self._mutator = Mutator(self._random, self._group.captured)
        self._withheld: list[bytes] = []
        self._good = 0
        self.result = Result()

    def run(self, count: int) -> Result:
        """
        @param count: how many packets.
        """
        result = self.result
        self._introduce()
        while result.packets < count:
            self._live()
            for _ in range(_BETWEEN):
                self._deliver(self._mutator.make())
        result.refused = self._receiver.refused
        result.moves = self._receiver.moves
        return result

    def _live(self) -> None:
        """
        Let time pass, and somebody of the group speak.
        """
        draw, receiver, group = self._random, self._receiver, self._group
        receiver.advance(draw.uniform(0.1, 1.5))
        self._good += 1
        if self._good % _RUN == 0:
            self._restart()
        elif self._good % _SILENCE_EVERY == 0:
            self._silence()
        choice = draw.random()
        if choice < 0.15:
            group.ownSent(receiver.advertise(draw.choice(group.sayings)), receiver.now)
            return
        fact, packet = group.packet(receiver.now)
        if choice < 0.25:
            self._withhold(packet)
        else:
            self._deliver(packet, fact)
        if choice > 0.95 and self._withheld:
            self._deliver(self._withheld.pop(draw.randrange(len(self._withheld))))

    def _restart(self) -> None:
        receiver, group = self._receiver, self._group
        crash = self._random.random() < 0.5
        receiver.restart(crash)
        if crash:
            receiver.advance(_AFTER_CRASH)
        self.result.restarts += 1
        for packet in group.captured[-_LAST_WORDS:]:
            self._deliver(packet)
        if crash:
            # Its ticks are up to a minute ahead now.  An attacker who keeps back the first
            # that follow gains that minute: that is known, and not looked for here.
            group.ownSent(receiver.advertise(group.sayings[0]), receiver.now)
            self._introduce()

    def _introduce(self) -> None:
        for fact, packet in self._group.introduction(self._receiver.now):
            self._deliver(packet, fact)

    def _silence(self) -> None:
        """
        The attacker keeps back the last words of everybody.
        """
        packets = []
        for _ in range(_LAST_WORDS):
            self._receiver.advance(self._random.uniform(0.1, 1.5))
            packets.append(self._group.packet(self._receiver.now)[1])
        self._receiver.advance(self._random.uniform(0.0, 2 * LAG))
        for packet in packets:
            self._deliver(packet)

    def _withhold(self, packet: bytes) -> None:
        """
        The attacker keeps one back, and sends what can be made of it.
        """
        self._withheld.append(packet)
        for _ in range(_VARIANTS):
            self._deliver(self._mutator.variant(packet))

    def _deliver(self, packet: bytes, good: Fact | None = None) -> None:
        """
        @param good: what is known of it if it is sent by a host of the group, and now.
        """
        receiver, result = self._receiver, self.result
        before = receiver.state
        result.packets += 1
        try:
            heard = receiver.receive(packet)
        except Exception:
            self._fault(packet, traceback.format_exc())
            return
        if heard is None:
            if receiver.state is not before:
                self._fault(packet, "it was refused and moved the election")
            if receiver.remembersMore():
                self._fault(packet, "it was refused and is remembered")
            if good is not None and good.sealed:
                self._fault(packet, f"it is good and was refused: {receiver.why}")
            return
        result.believed += 1
        for words in self._objections(heard):
            self._fault(packet, f"it was believed: {words}")

    def _objections(self, heard: Heard) -> list[str]:
        advertisement = heard.advertisement
        fact = self._group.facts.get(advertisement.counter)
        if fact is None or fact.digest != advertisement.digest:
            return ["nobody signed it"]
        says = saidBy(advertisement)
        sealed = fact.sealed and fact.says == says and fact.source == heard.source
        if heard.sealed and not sealed:
            if self._group.keyring.seal.opens(advertisement.counter, says, heard.source):
                self.result.guessed += 1
                return []
            return ["nobody sealed it"]
        age = self._receiver.now - fact.made
        objections = (
            (fact.own, "the receiver sent it itself"),
            (fact.sealed and not heard.sealed, "it was sealed for something else"),
            (heard.sealed and fact.heard, "it was heard before"),
            (heard.sealed and age > LAG + 1.0, f"it is {age:.1f} s old"),
            (not heard.sealed and heard.source in OTHERS, "its source seals what it sends"),
        )
        fact.heard = True
        return [words for objection, words in objections if objection]

    def _fault(self, packet: bytes, words: str) -> None:
        self.result.faults += 1
        if len(self.result.wrong) < _ENOUGH:
            number = self.result.packets
            self.result.wrong.append(f"{self._name}, packet {number}: {packet.hex()}\n  {words}")


def fuzz(count: int, seed: int) -> Result:
    """
    So many packets, a share for each dialect.  It is run in a process of its own.
    """
    freshness.REMEMBERED = REMEMBERED
    whole = Result()
    for dialect in DIALECTS.values():
        whole.add(Fuzz(dialect, seed).run(count // len(DIALECTS)))
    return whole


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """
    Read the command line.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("::")[0])
    parser.add_argument("--packets", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=112)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    options = parser.parse_args(arguments)
    for name in ("packets", "jobs"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} {getattr(options, name)}: expected 1 or more")
    return options


def main(arguments: Sequence[str]) -> int:
    """
    @return: The exit status.
    """
    options = parse(arguments)
    start = time.perf_counter()
    whole = Result()
    share = -(-options.packets // options.jobs)
    with ProcessPoolExecutor(options.jobs) as pool:
        seeds = [options.seed + job for job in range(options.jobs)]
        for result in pool.map(fuzz, [share] * options.jobs, seeds):
            whole.add(result)
    seconds = time.perf_counter() - start
    for reason in Rejection:
        print(f"{whole.refused[reason]:>12}  {reason.value}")
    print(
        f"{whole.believed:>12}  believed; the election moved {whole.moves} times, "
        f"{whole.restarts} restarts, {whole.guessed} seals guessed"
    )
    rate = whole.packets / seconds
    print(f"{whole.packets:>12}  in {seconds:.1f} s, {rate:.0f} a second")
    for problem in whole.wrong:
        print(problem, file=sys.stderr)
    print(f"{whole.faults} faults (seed {options.seed}, {options.jobs} processes)")
    return 1 if whole.faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
