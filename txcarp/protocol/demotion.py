"""
How a host that cannot do its work well steps back in the ranking.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from txcarp.protocol.advertisement import MAXIMUM_DEMOTED_SKEW
from txcarp.protocol.timing import Timing

#: Consecutive failures, and then consecutive successes, that make and unmake
#: a demotion: three of each in ucarp and in the BSD kernels.
SEND_ERROR_THRESHOLD = 3

#: By how much a host is demoted that is as good as lost: it goes behind every
#: host that is not (the factors of the FreeBSD kernel).
FULL_DEMOTION = MAXIMUM_DEMOTED_SKEW

#: What one reason may add or take away.
_LARGEST_AMOUNT = 255

#: The highest that fits into OpenBSD's byte.
_LARGEST_BYTE = 255

#: More reasons than this at a time are a fault of the caller.
_MAXIMUM_REASONS = 64


class DemotionLedger:
    """
    Why, and by how much, a host is demoted.

    The total is computed from the reasons that hold, never counted up and
    down: whatever the order of events, nothing is left when no reason is.

    @ivar total: All amounts together; may be negative.
    """

    def __init__(self, amounts: Mapping[str, int] | None = None) -> None:
        """
        @param amounts: The reasons that hold from the start.
        """
        self._amounts = dict(amounts or {})
        self.total = sum(self._amounts.values())

    @property
    def reasons(self) -> dict[str, int]:
        """
        The amount of each reason that holds now.
        """
        return dict(self._amounts)

    @property
    def byte(self) -> int:
        """
        The total as OpenBSD's header field.
        """
        return min(max(self.total, 0), _LARGEST_BYTE)

    def set(self, reason: str, amount: int = FULL_DEMOTION) -> bool:
        """
        Let a reason hold, with this amount in place of one that it had.

        @param amount: What is added to the skew; negative to promote.
        @return: Whether that changed anything.
        @raise ValueError: If the amount is out of range, or there are too many
            reasons.
        """
        self.check(reason, amount)
        if self._amounts.get(reason) == amount:
            return False
        self._amounts[reason] = amount
        self.total = sum(self._amounts.values())
        return True

    def check(self, reason: str, amount: int) -> None:
        """
        Check whether a reason could hold with this amount.

        @raise ValueError: If the amount is out of range, or there are too many
            reasons.
        """
        if not -_LARGEST_AMOUNT <= amount <= _LARGEST_AMOUNT:
            raise ValueError(
                f"a demotion is from -{_LARGEST_AMOUNT} to {_LARGEST_AMOUNT}, not {amount}"
            )
        if reason not in self._amounts and len(self._amounts) >= _MAXIMUM_REASONS:
            raise ValueError(f"there are {_MAXIMUM_REASONS} reasons for a demotion already")

    def clear(self, reason: str) -> bool:
        """
        Let a reason hold no more.

        @return: Whether it did.
        """
        if self._amounts.pop(reason, None) is None:
            return False
        self.total = sum(self._amounts.values())
        return True

    def apply(self, timing: Timing, highestSkew: int) -> Timing:
        """
        The timing to advertise and to compare with.  Demotion raises the skew
        to 240 at most; a configured skew above that stays, where the dialect
        has such skews.

        @param highestSkew: The highest skew of the dialect.
        """
        ceiling = max(timing.advskew, MAXIMUM_DEMOTED_SKEW)
        skew = min(max(timing.advskew + self.total, 0), ceiling)
        return Timing(timing.advbase, min(skew, highestSkew))


@attrs.define
class SendErrors:
    """
    Whether advertisements leave this host.

    @ivar demoted: Whether enough of them failed in a row, and not yet enough
        succeeded in a row since.
    """

    demoted: bool = attrs.field(default=False, init=False)
    _failures: int = attrs.field(default=0, init=False)
    _successes: int = attrs.field(default=0, init=False)

    def failed(self) -> bool:
        """
        Count an advertisement that could not be sent.

        @return: Whether this one made the demotion.
        """
        self._successes = 0
        self._failures += 1
        if self.demoted or self._failures < SEND_ERROR_THRESHOLD:
            return False
        self.demoted = True
        return True

    def succeeded(self) -> bool:
        """
        Count an advertisement that was sent.

        @return: Whether this one ended the demotion.
        """
        self._failures = 0
        if not self.demoted:
            return False
        self._successes += 1
        if self._successes < SEND_ERROR_THRESHOLD:
            return False
        self._successes = 0
        self.demoted = False
        return True
