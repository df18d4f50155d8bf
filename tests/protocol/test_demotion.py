"""
Tests for L{txcarp.protocol.demotion}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txcarp.protocol.demotion import SendErrors
from txcarp.protocol.timing import Timing


class SendErrorsTests(SynchronousTestCase):
    """
    Tests for L{SendErrors}.
    """

    def demoted(self) -> SendErrors:
        errors = SendErrors()
        for _ in range(3):
            errors.failed()
        return errors

    def test_threeFailures(self) -> None:
        """
        The third failure in a row demotes, and only that one says so.
        """
        errors = SendErrors()
        self.assertEqual([errors.failed() for _ in range(5)], [False, False, True, False, False])
        self.assertTrue(errors.demoted)

    def test_inARow(self) -> None:
        """
        A success in between begins the count anew.
        """
        errors = SendErrors()
        errors.failed()
        errors.failed()
        self.assertFalse(errors.succeeded())
        self.assertEqual([errors.failed(), errors.failed()], [False, False])
        self.assertFalse(errors.demoted)
        self.assertTrue(errors.failed())

    def test_threeSuccesses(self) -> None:
        """
        The third success in a row ends it, and only that one says so.
        """
        errors = self.demoted()
        self.assertEqual([errors.succeeded() for _ in range(4)], [False, False, True, False])
        self.assertFalse(errors.demoted)

    def test_successesInARow(self) -> None:
        """
        A failure in between begins that count anew, and does not demote a
        second time.
        """
        errors = self.demoted()
        errors.succeeded()
        errors.succeeded()
        self.assertFalse(errors.failed())
        self.assertEqual([errors.succeeded() for _ in range(3)], [False, False, True])

    def test_again(self) -> None:
        """
        After it ended three failures are needed again.
        """
        errors = self.demoted()
        for _ in range(3):
            errors.succeeded()
        self.assertEqual([errors.failed() for _ in range(3)], [False, False, True])

    def test_apply(self) -> None:
        """
        A demoted host has a skew of at least 240; the base stays.
        """
        self.assertEqual(SendErrors().apply(Timing(2, 5)), Timing(2, 5))
        errors = self.demoted()
        self.assertEqual(errors.apply(Timing(2, 5)), Timing(2, 240))
        self.assertEqual(errors.apply(Timing(0, 240)), Timing(0, 240))
        self.assertEqual(errors.apply(Timing(1, 255)), Timing(1, 255))

    @given(st.lists(st.booleans(), max_size=40))
    def test_anyOrder(self, outcomes: list[bool]) -> None:
        """
        Whatever happens, it is demoted exactly if since the last three
        failures in a row there were not three successes in a row.
        """
        errors = SendErrors()
        demoted = False
        for index, good in enumerate(outcomes):
            changed = errors.succeeded() if good else errors.failed()
            run = outcomes[max(0, index - 2) : index + 1]
            before = demoted
            if len(run) == 3 and len(set(run)) == 1:
                demoted = not good
            self.assertEqual(errors.demoted, demoted)
            self.assertEqual(changed, before != demoted)
