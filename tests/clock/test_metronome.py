"""
Tests for L{txcarp.clock.metronome}.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from txcarp.clock.metronome import SLOTS, WIDEST, Metronome


class MetronomeTests(SynchronousTestCase):
    """
    Tests for L{Metronome}.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.beats: list[tuple[str, float]] = []
        self.turns = 0
        self.metronome = Metronome(self.clock, Turns(self))

    def beat(self, name: str) -> Callable[[], None]:
        """
        Make a function that records a beat.
        """
        return lambda: self.beats.append((name, self.clock.seconds()))

    def passTime(self, seconds: float) -> None:
        """
        Let time pass in small steps.
        """
        self.clock.pump([1 / 256] * round(seconds * 256))

    def test_alone(self) -> None:
        """
        The first member of an interval beats exactly after one interval, and then in that rhythm.
        """
        self.clock.advance(0.123)
        _, due = self.metronome.join(1.0, self.beat("a"))
        self.assertEqual(due, 1.123)
        for _ in range(3):
            self.clock.advance(1.0)
        self.assertEqual(self.beats, [("a", 1.123), ("a", 2.123), ("a", 3.123)])

    def test_together(self) -> None:
        """
        Members that join within the time between two slots beat in one turn, in which the context
        is entered once; no first beat is early, or late by that time.
        """
        due = {}
        for number in range(8):
            _, due[str(number)] = self.metronome.join(1.0, self.beat(str(number)))
            self.clock.advance(1 / 256)
        late = [when - 1.0 - number / 256 for number, when in enumerate(due.values())]
        self.assertTrue(all(0 <= one < 1 / SLOTS for one in late), late)
        self.assertEqual(set(due.values()), {1.0, 1.0 + 1 / SLOTS})
        del self.beats[:]
        self.passTime(1.5)
        self.assertEqual(dict(self.beats), due)
        self.assertEqual((len(self.beats), self.turns), (8, 2))
        self.assertEqual(len(self.clock.getDelayedCalls()), 2)

    def test_manySeconds(self) -> None:
        """
        Slots of a long interval are no further apart than those of a short one.
        """
        self.metronome.join(10.0, self.beat("a"))
        self.clock.advance(0.01)
        _, due = self.metronome.join(10.0, self.beat("b"))
        self.assertAlmostEqual(due, 10.0 + WIDEST)

    def test_otherInterval(self) -> None:
        """
        A member with another interval has a rhythm of its own.
        """
        self.metronome.join(1.0, self.beat("a"))
        self.clock.advance(0.01)
        _, due = self.metronome.join(1.5, self.beat("b"))
        self.assertEqual(due, 1.51)

    def test_unshared(self) -> None:
        """
        A member that does not share is not put off, and nobody joins it.
        """
        self.metronome.join(1.0, self.beat("a"))
        self.clock.advance(0.01)
        slot, due = self.metronome.join(1.0, beat := self.beat("b"), shares=False)
        self.assertEqual(due, 1.01)
        slot.remove(beat)
        self.passTime(1.5)
        self.assertEqual([name for name, _ in self.beats], ["a"])

    def test_remove(self) -> None:
        """
        A member that has left beats no more.  The last one leaves no timer behind, before the slot
        has begun and after it, and the next one has a new rhythm.
        """
        first, _ = self.metronome.join(1.0, a := self.beat("a"))
        self.clock.advance(0.01)
        second, _ = self.metronome.join(1.0, b := self.beat("b"))
        third, _ = self.metronome.join(1.0, c := self.beat("c"))
        second.remove(b)
        third.remove(c)
        self.passTime(1.1)
        self.assertEqual([name for name, _ in self.beats], ["a"])
        first.remove(a)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        now = self.clock.seconds()
        self.assertEqual(self.metronome.join(1.0, a)[1], now + 1.0)

    def test_removedInABeat(self) -> None:
        """
        A member that another one removes in the same turn does not beat any more, and one that is
        added beats in the next turn.
        """
        slot, _ = self.metronome.join(1.0, lambda: (slot.remove(gone), slot.add(new)))
        gone, new = self.beat("gone"), self.beat("new")
        slot.add(gone)
        self.clock.advance(1.0)
        self.assertEqual(self.beats, [])

    def test_fault(self) -> None:
        """
        An exception in a beat is logged, and the others beat, now and later.
        """
        def fail() -> None:
            raise RuntimeError("broken")

        slot, _ = self.metronome.join(1.0, fail)
        slot.add(self.beat("b"))
        self.clock.pump([1.0] * 2)
        self.assertEqual(self.beats, [("b", 1.0), ("b", 2.0)])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 2)

    def test_noDrift(self) -> None:
        """
        Members that joined together beat together for ever, although each turn is a little late.
        """
        self.metronome.join(1.0, self.beat("a"))
        self.clock.advance(0.001)
        self.metronome.join(1.0, self.beat("b"))
        self.metronome.join(1.0, self.beat("c"))
        for _ in range(100):
            self.clock.advance(1.0 - self.clock.seconds() % 1.0 + 0.035)
        self.assertEqual((len(self.beats), self.turns), (300, 200))

    def test_lateBegin(self) -> None:
        """
        A first beat that is late is not left out.
        """
        self.metronome.join(1.0, self.beat("a"))
        self.clock.advance(0.001)
        self.metronome.join(1.0, self.beat("b"))
        self.clock.advance(1.5)
        self.assertEqual(self.beats, [("a", 1.501), ("b", 1.501)])


class Turns:
    """
    A context that counts how often it was entered.
    """

    def __init__(self, case: MetronomeTests) -> None:
        self._case = case

    def __enter__(self) -> None:
        self._case.turns += 1

    def __exit__(self, *_: object) -> None:
        """
        Let exceptions pass.
        """
