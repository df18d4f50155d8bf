"""
Tests for L{txcarp.checks.verdict}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txcarp.checks.verdict import Health, Outcome, Verdict

PASSED, FAILED, TIMEOUT = Outcome.PASSED, Outcome.FAILED, Outcome.TIMEOUT


def after(*outcomes: Outcome, initial: Health = Health.UNKNOWN) -> list[str]:
    """
    The state after each of several results, with a rise of 2 and a fall of 3.
    """
    verdict = Verdict(initial)
    states = []
    for outcome in outcomes:
        verdict = verdict.after(outcome, 2, 3)
        states.append(verdict.health.value)
    return states


class VerdictTests(SynchronousTestCase):
    """
    Tests for L{Verdict}.
    """

    def test_first(self) -> None:
        """
        The first result decides alone, unless the initial state is given.
        """
        self.assertEqual(after(PASSED), ["good"])
        self.assertEqual(after(FAILED), ["bad"])
        self.assertEqual(after(TIMEOUT), ["bad"])
        self.assertEqual(after(PASSED, PASSED, initial=Health.BAD), ["bad", "good"])
        self.assertEqual(after(FAILED, FAILED, initial=Health.GOOD), ["good", "good"])

    def test_fall(self) -> None:
        """
        A good check is bad after three bad results in a row; one that hangs is one of them.
        """
        self.assertEqual(after(PASSED, FAILED, TIMEOUT, FAILED), ["good", "good", "good", "bad"])
        states = after(PASSED, FAILED, FAILED, PASSED, FAILED, FAILED)
        self.assertEqual({*states}, {"good"})

    def test_rise(self) -> None:
        """
        A bad check is good after two good results in a row.
        """
        self.assertEqual(after(FAILED, PASSED, PASSED), ["bad", "bad", "good"])
        self.assertEqual({*after(FAILED, PASSED, FAILED, PASSED, FAILED)}, {"bad"})

    @given(
        st.sampled_from(Health),
        st.lists(st.sampled_from(Outcome), max_size=30),
        st.integers(1, 5),
        st.integers(1, 5),
    )
    def test_anything(
        self, initial: Health, outcomes: list[Outcome], rise: int, fall: int
    ) -> None:
        """
        The state changes exactly when the last results in a row, and all of them, say so.
        """
        verdict = Verdict(initial)
        for count, outcome in enumerate(outcomes, 1):
            before = verdict
            verdict = verdict.after(outcome, rise, fall)
            passed = outcome is PASSED
            needed = rise if passed else fall
            last = [one is PASSED for one in outcomes[max(0, count - needed) : count]]
            agree = len(last) == needed and set(last) == {passed}
            target = Health.GOOD if passed else Health.BAD
            if before.health is Health.UNKNOWN or agree:
                self.assertIs(verdict.health, target)
            else:
                self.assertIs(verdict.health, before.health)
            self.assertLess(verdict.against, max(rise, fall))
