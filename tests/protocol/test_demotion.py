"""
Tests for L{txcarp.protocol.demotion}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txcarp.protocol.demotion import FULL_DEMOTION, DemotionLedger, SendErrors
from txcarp.protocol.dialect import DIALECTS, FREEBSD, OPENBSD, UCARP, Dialect
from txcarp.protocol.timing import Timing

_AMOUNTS = st.integers(-255, 255)
_REASONS = st.sampled_from(["link eth1", "send errors", "operator", "check"])
_TIMINGS = st.builds(Timing, st.integers(0, 255), st.integers(0, 255))


class DemotionLedgerTests(SynchronousTestCase):
    """
    Tests for L{DemotionLedger}.
    """

    def test_empty(self) -> None:
        """
        A host without a reason is not demoted.
        """
        ledger = DemotionLedger()
        self.assertEqual((ledger.total, ledger.byte, ledger.reasons), (0, 0, {}))

    def test_setAndClear(self) -> None:
        """
        A reason counts once, however often it is set. The return values tell whether anything
        changed. Clearing it removes what it added.
        """
        ledger = DemotionLedger()
        self.assertTrue(ledger.set("link eth1"))
        self.assertFalse(ledger.set("link eth1"))
        self.assertTrue(ledger.set("operator", 10))
        self.assertEqual(ledger.total, FULL_DEMOTION + 10)
        self.assertEqual(ledger.reasons, {"link eth1": FULL_DEMOTION, "operator": 10})
        self.assertTrue(ledger.clear("link eth1"))
        self.assertFalse(ledger.clear("link eth1"))
        self.assertEqual(ledger.total, 10)

    def test_anotherAmount(self) -> None:
        """
        A new amount replaces that of the same reason.
        """
        ledger = DemotionLedger()
        ledger.set("operator", 10)
        self.assertTrue(ledger.set("operator", -3))
        self.assertEqual((ledger.total, ledger.byte), (-3, 0))
        self.assertTrue(ledger.set("operator", 0))
        self.assertEqual((ledger.total, ledger.reasons), (0, {"operator": 0}))
        self.assertTrue(ledger.clear("operator"))

    def test_reasonsAreACopy(self) -> None:
        """
        The reasons are a copy.
        """
        ledger = DemotionLedger()
        ledger.reasons["operator"] = 99
        self.assertEqual(ledger.total, 0)

    def test_limits(self) -> None:
        """
        An amount out of range and too many reasons are refused. The reasons that are set remain,
        and can be changed.
        """
        ledger = DemotionLedger()
        for amount in (-256, 256):
            error = self.assertRaises(ValueError, ledger.set, "operator", amount)
            self.assertIn(str(amount), str(error))
        self.assertEqual(ledger.reasons, {})
        for number in range(64):
            ledger.set(f"check {number}", 1)
        self.assertRaises(ValueError, ledger.set, "one too many", 1)
        self.assertTrue(ledger.set("check 0", 2))
        self.assertEqual(ledger.total, 65)
        ledger.clear("check 1")
        self.assertTrue(ledger.set("another", 1))

    @given(
        st.lists(
            st.tuples(st.just("set"), _REASONS, _AMOUNTS)
            | st.tuples(st.just("clear"), _REASONS, st.just(0)),
            max_size=40,
        )
    )
    def test_anyOrder(self, history: list[tuple[str, str, int]]) -> None:
        """
        C24: the total is the sum of the present reasons after any order of events, and zero when
        all are cleared.
        """
        ledger = DemotionLedger()
        holds: dict[str, int] = {}
        for what, reason, amount in history:
            before = dict(holds)
            if what == "set":
                changed = ledger.set(reason, amount)
                holds[reason] = amount
            else:
                changed = ledger.clear(reason)
                holds.pop(reason, None)
            self.assertEqual(changed, holds != before)
            self.assertEqual(ledger.reasons, holds)
            self.assertEqual(ledger.total, sum(holds.values()))
            self.assertEqual(ledger.byte, max(0, min(255, sum(holds.values()))))
        for reason in holds:
            ledger.clear(reason)
        self.assertEqual((ledger.total, ledger.byte, ledger.reasons), (0, 0, {}))


class ApplyTests(SynchronousTestCase):
    """
    Tests for L{DemotionLedger.apply}.
    """

    def demoted(self, *amounts: int) -> DemotionLedger:
        """
        Return the timing of a host with several demotions.
        """
        ledger = DemotionLedger()
        for number, amount in enumerate(amounts):
            ledger.set(str(number), amount)
        return ledger

    def test_skew(self) -> None:
        """
        The amounts are added to advskew, up to 240; advbase does not change.  In OpenBSD's
        dialects, which have a field for demotion, nothing changes.
        """
        for amounts, expected in (
            ((), 5),
            ((10,), 15),
            ((10, 20), 35),
            ((234,), 239),
            ((235,), 240),
            ((240,), 240),
            ((240, 240, 240), 240),
        ):
            for dialect in DIALECTS.values():
                skew = 5 if dialect.demotionByte else expected
                self.assertEqual(
                    self.demoted(*amounts).apply(Timing(2, 5), dialect), Timing(2, skew)
                )

    def test_neverBelowZero(self) -> None:
        """
        C07: a negative demotion leads to a skew of 0 at least. It does not wrap to a high skew,
        and does not change advbase.
        """
        for amounts in ((-1,), (-5,), (-6,), (-255,), (-255, -255)):
            ledger = self.demoted(*amounts)
            for dialect in DIALECTS.values():
                for skew in (0, 1, 5):
                    added = 0 if dialect.demotionByte else sum(amounts)
                    self.assertEqual(
                        ledger.apply(Timing(1, skew), dialect), Timing(1, max(0, skew + added))
                    )
            self.assertEqual(ledger.byte, 0)

    def test_lastResort(self) -> None:
        """
        A configured skew of 254 stays the same, demoted or not, except in FreeBSD's dialect,
        which sends 240.
        """
        for amounts in ((), (1,), (240,)):
            for dialect, expected in ((UCARP, 254), (OPENBSD, 254), (FREEBSD, 240)):
                self.assertEqual(
                    self.demoted(*amounts).apply(Timing(1, 254), dialect),
                    Timing(1, expected),
                )
        self.assertEqual(
            self.demoted(-20).apply(Timing(1, 254), UCARP), Timing(1, 234)
        )

    def test_byte(self) -> None:
        """
        OpenBSD's field is limited to 0 to 255.
        """
        for amounts, expected in (((3,), 3), ((240, 240), 255), ((240, -10), 230), ((-9,), 0)):
            self.assertEqual(self.demoted(*amounts).byte, expected)

    @given(_TIMINGS, st.lists(_AMOUNTS, max_size=5), st.sampled_from(list(DIALECTS.values())))
    def test_bounds(self, timing: Timing, amounts: list[int], dialect: Dialect) -> None:
        """
        Demotion never makes a host more preferred, and promotion never less. The resulting skew
        is always one that the header and the dialect allow.
        """
        plain = DemotionLedger().apply(timing, dialect)
        found = self.demoted(*amounts).apply(timing, dialect)
        self.assertEqual(found.advbase, timing.advbase)
        self.assertTrue(0 <= found.advskew <= dialect.highestSkew)
        if sum(amounts) >= 0:
            self.assertLessEqual(plain, found)
            self.assertLessEqual(found.advskew, max(240, plain.advskew))
        else:
            self.assertLessEqual(found, plain)


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
        The third failure in a row starts the demotion, and only that call returns true.
        """
        errors = SendErrors()
        self.assertEqual([errors.failed() for _ in range(5)], [False, False, True, False, False])
        self.assertTrue(errors.demoted)

    def test_inARow(self) -> None:
        """
        A success resets the count of failures.
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
        The third success in a row ends the demotion, and only that call returns true.
        """
        errors = self.demoted()
        self.assertEqual([errors.succeeded() for _ in range(4)], [False, False, True, False])
        self.assertFalse(errors.demoted)

    def test_successesInARow(self) -> None:
        """
        A failure resets the count of successes, and does not start a second demotion.
        """
        errors = self.demoted()
        errors.succeeded()
        errors.succeeded()
        self.assertFalse(errors.failed())
        self.assertEqual([errors.succeeded() for _ in range(3)], [False, False, True])

    def test_again(self) -> None:
        """
        After a demotion has ended, the next one needs three failures again.
        """
        errors = self.demoted()
        for _ in range(3):
            errors.succeeded()
        self.assertEqual([errors.failed() for _ in range(3)], [False, False, True])

    @given(st.lists(st.booleans(), max_size=40))
    def test_anyOrder(self, outcomes: list[bool]) -> None:
        """
        A host is demoted exactly if there were three failures in a row, and since then no three
        successes in a row.
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
