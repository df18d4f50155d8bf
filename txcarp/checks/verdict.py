"""
What a series of results means: the state of a health check, as a value.

A single bad result may be chance.  A check therefore changes its state only after several equal
results in a row.
"""

from __future__ import annotations

import enum

import attrs


class Outcome(enum.Enum):
    """
    How one run of a check ended.
    """

    PASSED = "passed"
    FAILED = "failed"
    TIMEOUT = "timeout"


class Health(enum.Enum):
    """
    The state of a check.

    In the state C{UNKNOWN}, there is no result yet.  What is checked counts as bad, and the
    first result decides alone.
    """

    UNKNOWN = "unknown"
    GOOD = "good"
    BAD = "bad"


@attrs.frozen
class Verdict:
    """
    The state of a check, and how near it is to the other one.

    @ivar health: The state.
    @ivar against: How many of the last results in a row contradict it.
    """

    health: Health = Health.UNKNOWN
    against: int = 0

    def after(self, outcome: Outcome, rise: int, fall: int) -> Verdict:
        """
        Return the verdict after one more result.

        @param rise: How many good results in a row make a bad check good.
        @param fall: How many bad results in a row make a good check bad.
        """
        says = Health.GOOD if outcome is Outcome.PASSED else Health.BAD
        if self.health is says:
            return Verdict(says)
        needed = rise if says is Health.GOOD else fall
        if self.health is Health.UNKNOWN or self.against + 1 >= needed:
            return Verdict(says)
        return Verdict(self.health, self.against + 1)
