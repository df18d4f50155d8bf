"""
Tests for L{txcarp.protocol.pulse}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txcarp.protocol.pulse import (
    ARMED_AFTER,
    CUT_OFF_AFTER,
    MISSES,
    Loss,
    Pulse,
    stagger,
)

A, B = b"\x0a\x63\0\xfe", b"\x0a\x63\0\xfd"

#: One question: an answer, silence beside which C{A}, C{B}, both or nobody answers, and silence
#: that this host noticed late.
ANSWERED, LATE = (True, (), False), (False, (A,), True)
ALONE, BESIDE_A, BESIDE_B, BESIDE_BOTH = ((False, who, False) for who in ((), (A,), (B,), (A, B)))


def after(*questions: tuple[bool, tuple[bytes, ...], bool], since: Pulse | None = None) -> Pulse:
    """
    The pulse after some questions.
    """
    pulse = Pulse() if since is None else since
    for answered, witnesses, isLate in questions:
        pulse = pulse.after(answered, frozenset(witnesses), isLate=isLate)
    return pulse


ARMED = after(*[ANSWERED] * ARMED_AFTER)


class PulseTests(SynchronousTestCase):
    """
    Tests for L{Pulse}.
    """

    def test_armed(self) -> None:
        """
        A host has to answer often before its silence means something.
        """
        almost = after(*[ANSWERED] * (ARMED_AFTER - 1))
        self.assertFalse(almost.isArmed)
        self.assertEqual(after(BESIDE_A, since=almost), Pulse())
        self.assertTrue(ARMED.isArmed)
        self.assertEqual(after(*[ANSWERED] * 500), ARMED)

    def test_lost(self) -> None:
        """
        Three questions without an answer mean that it is gone, if a witness answers along with
        the last two of them.
        """
        two = after(ALONE, BESIDE_A, since=ARMED)
        self.assertEqual((two.missed, two.isLost), (2, False))
        three = after(BESIDE_A, since=two)
        self.assertEqual((three.missed, three.isLost), (MISSES, True))
        self.assertEqual(three.witnesses, {A})

    def test_oneWitness(self) -> None:
        """
        It must be the same witness both times, and it may be a little late.
        """
        other = after(ALONE, BESIDE_A, BESIDE_B, since=ARMED)
        self.assertFalse(other.isLost)
        self.assertEqual(after(BESIDE_BOTH, since=other).witnesses, {B})

    def test_cutOff(self) -> None:
        """
        Without a witness it is this host that is cut off.  That its witness is back first does not
        mean anything then: the host has to answer for some time before.
        """
        cut = after(*[ALONE] * (CUT_OFF_AFTER - 1), since=ARMED)
        self.assertEqual((cut.isLost, cut.isArmed), (False, True))
        cut = after(ALONE, since=cut)
        self.assertEqual(cut, Pulse())
        self.assertFalse(after(*[BESIDE_BOTH] * 50, since=cut).isLost)
        self.assertFalse(after(ANSWERED, *[BESIDE_BOTH] * 50, since=cut).isLost)

    def test_answerBetween(self) -> None:
        """
        Any answer begins the count anew, and what was seen before does not count.
        """
        for missed in range(1, MISSES):
            pulse = after(*[BESIDE_A] * missed, ANSWERED, since=ARMED)
            self.assertEqual(pulse, Pulse(1))
            self.assertFalse(after(*[BESIDE_A] * 10, since=pulse).isLost)

    def test_late(self) -> None:
        """
        What this host noticed late does not count, for nothing.
        """
        for before in range(MISSES):
            pulse = after(*[BESIDE_A] * before, *[LATE] * 50, since=ARMED)
            self.assertEqual(pulse, after(*[BESIDE_A] * before, since=ARMED))
            pulse = after(*[BESIDE_A] * (MISSES - before), since=pulse)
            self.assertEqual((pulse.isLost, pulse.missed), (True, MISSES))

    def test_lateAnswer(self) -> None:
        """
        An answer counts, whoever is late.
        """
        self.assertEqual(ARMED.after(True, isLate=True), ARMED)

    def test_staysLost(self) -> None:
        """
        A host that is gone remains so until it answers.
        """
        lost = after(*[BESIDE_A] * MISSES, since=ARMED)
        for more in (ALONE, LATE, BESIDE_B):
            still = after(*[more] * 5, since=lost)
            self.assertEqual((still.isLost, still.witnesses), (True, {A}))
        self.assertEqual(after(ANSWERED, since=lost), Pulse(1))

    @given(
        st.lists(
            st.sampled_from((ANSWERED, ALONE, BESIDE_A, BESIDE_B, BESIDE_BOTH, LATE)), max_size=120
        )
    )
    def test_anything(self, questions: list[tuple[bool, tuple[bytes, ...], bool]]) -> None:
        """
        Whatever happens, a host is gone only if, of the questions at which nobody was late, the
        last three had no answer, one witness answered along with the last two, and the 32 before
        had answers.
        """
        pulse, counted = ARMED, [ANSWERED] * ARMED_AFTER
        for question in questions:
            wasLost = pulse.isLost
            pulse = after(question, since=pulse)
            if question != LATE:
                counted.append(question)
            if pulse.isLost and not wasLost:
                silent, before = counted[-pulse.missed :], counted[: -pulse.missed]
                self.assertTrue(MISSES <= pulse.missed < CUT_OFF_AFTER)
                self.assertFalse(any(answered for answered, _, _ in silent))
                self.assertLessEqual(pulse.witnesses, {*silent[-1][1]} & {*silent[-2][1]})
                self.assertEqual(before[-ARMED_AFTER:], [ANSWERED] * ARMED_AFTER)


class LossTests(SynchronousTestCase):
    """
    Tests for L{Loss} and L{stagger}.
    """

    def test_words(self) -> None:
        """
        What was seen is a phrase.
        """
        self.assertEqual(
            Loss("10.99.0.1", 0.0, 3, 0.0151, ("10.99.0.254",)).explain(),
            "10.99.0.1 left 3 questions in 15 ms unanswered, and 10.99.0.254 answers",
        )

    def test_stagger(self) -> None:
        """
        A better backup goes first.  A third of the range is worth an interval.
        """
        self.assertEqual(stagger(0.005, 0), 0.0)
        self.assertAlmostEqual(stagger(0.005, 85), 0.005)
        self.assertAlmostEqual(stagger(0.005, 255), 0.015)
