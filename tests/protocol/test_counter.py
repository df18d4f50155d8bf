"""
Tests for L{txcarp.protocol.counter}.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests import crafted
from tests.crafted import packed
from tests.vectors import load
from txcarp.protocol.advertisement import decode
from txcarp.protocol.authentication import CURRENT, Keyring
from txcarp.protocol.counter import Counter
from txcarp.protocol.dialect import UCARP
from txcarp.protocol.freshness import Freshness
from txcarp.protocol.seal import Verification, saidBy

_COUNTERS = st.integers(0, 2**64 - 1)


class CounterTests(SynchronousTestCase):
    """
    Tests for L{Counter}.
    """

    def test_alone(self) -> None:
        """
        Until a peer is heard, each counter is a new random number.
        """
        numbers = [7, 2**64 - 1, 3]
        counter = Counter(lambda bits: numbers.pop(0))
        self.assertEqual([counter.next() for _ in range(3)], [7, 2**64 - 1, 3])

    def test_zeroWasHeard(self) -> None:
        """
        Zero can be heard like any other counter.
        """
        counter = Counter(lambda bits: self.fail("no random number is needed"))
        counter.last = 0
        self.assertEqual([counter.next(), counter.next()], [1, 2])

    @given(heard=_COUNTERS, count=st.integers(1, 5))
    def test_goesOn(self, heard: int, count: int) -> None:
        """
        After a peer is heard, the counters continue from the peer's, modulo 2^64, whatever they
        were before.
        """
        counter = Counter(lambda bits: 5)
        counter.next()
        counter.last = heard
        self.assertEqual(
            [counter.next() for _ in range(count)],
            [(heard + n + 1) % 2**64 for n in range(count)],
        )

    @given(first=_COUNTERS, second=_COUNTERS)
    def test_lastHeardWins(self, first: int, second: int) -> None:
        """
        The last counter heard counts, even if it is smaller than an earlier one.
        """
        counter = Counter(lambda bits: 5)
        counter.last = first
        counter.next()
        counter.last = second
        self.assertEqual(counter.next(), (second + 1) % 2**64)


    def test_constant(self) -> None:
        """
        OpenBSD's counter is drawn once, and stays the same whatever is heard.
        """
        numbers = [7]
        counter = Counter(lambda bits: numbers.pop(0), constant=True)
        self.assertEqual([counter.next(), counter.next()], [7, 7])
        counter.last = 99
        self.assertEqual(counter.next(), 7)

    @given(own=_COUNTERS, other=_COUNTERS)
    def test_echo(self, own: int, other: int) -> None:
        """
        C21: a host recognises its own advertisements by a constant counter, and not by one that
        changes.
        """
        constant = Counter(lambda bits: own, constant=True)
        self.assertEqual(own, constant.constant)
        self.assertEqual(other == constant.constant, own == other)
        changing = Counter(lambda bits: own)
        self.assertIsNone(changing.constant)


class AcceptedTests(SynchronousTestCase):
    """
    C21: the counters of hosts that do not seal are accepted in any order.
    """

    def accepted(self, counters: Iterable[int]) -> int:
        """
        Return how many advertisements with these counters are accepted by a host that would
        reject replays of sealed ones.
        """
        keyring = Keyring(crafted.VHID, UCARP, crafted.PASSWORD, [packed(crafted.ADDRESS)])
        freshness = Freshness(Verification.LEARN, keyring.seals)
        count = 0
        for now, counter in enumerate(counters):
            advertisement = decode(crafted.payload(counter=counter))
            says, digest = saidBy(advertisement), advertisement.digest
            self.assertEqual(keyring.recognise(counter, digest), CURRENT)
            self.assertFalse(freshness.judge(counter, says, packed(crafted.PEER), float(now)))
            count += 1
        self.assertEqual(freshness.sources, {})
        return count

    def test_kinds(self) -> None:
        """
        Constant counters (OpenBSD), random ones (ucarp, FreeBSD), increasing, decreasing and
        wrapping ones are accepted.
        """
        generator = random.Random(112)
        kinds: tuple[Sequence[int], ...] = (
            [0xDEADBEEF00112233] * 50,
            [generator.getrandbits(64) for _ in range(50)],
            range(1000, 1050),
            range(1050, 1000, -1),
            [2**64 - 2, 2**64 - 1, 0, 1],
        )
        for counters in kinds:
            self.assertEqual(self.accepted(counters), len(counters))


class TimelineTests(SynchronousTestCase):
    """
    The counters are those of the real ucarp.
    """

    def follow(self, name: str, own: str) -> int:
        """
        Replay a scenario for the host with this address: let it hear what the others sent, and
        compare what it would send with what ucarp sent.

        @return: How many counters could be predicted.
        """
        counter = Counter(lambda bits: -1)
        foretold = 0
        for event in load("timelines")["timelines"][name]:
            if event[1] != "carp":
                continue
            number = int(event[5], 16)
            if event[2] != own:
                counter.last = number
            elif (expected := counter.following) >= 0:
                self.assertEqual(counter.next(), expected)
                self.assertEqual(f"{expected:016x}", event[5], (name, event))
                foretold += 1
        return foretold

    def test_takeOver(self) -> None:
        """
        A backup that takes over continues from the last counter of the old master.
        """
        for name in ("kill9", "sigterm-z", "carrier-loss", "admin-down"):
            self.assertGreater(self.follow(name, "10.99.0.2"), 3, name)

    def test_wrap(self) -> None:
        """
        Wrapping, also of the 32-bit halves, is that of ucarp.
        """
        self.assertEqual(self.follow("counter-adoption-wrap", "10.99.0.1"), 9)
