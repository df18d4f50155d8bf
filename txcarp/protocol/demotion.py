"""
Demotion: how a host that cannot do its job well becomes less preferred.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from txcarp.protocol.advertisement import MAXIMUM_DEMOTED_SKEW
from txcarp.protocol.dialect import Dialect
from txcarp.protocol.timing import Timing

#: How many consecutive failures demote a host, and how many consecutive successes then
#: promote it: three in ucarp and in the BSD kernels.
SEND_ERROR_THRESHOLD = 3

#: The demotion of a host that is as good as lost.  It puts the host behind every one that is
#: not demoted (as FreeBSD's demotion factors do).
FULL_DEMOTION = MAXIMUM_DEMOTED_SKEW

#: The largest amount of one reason, in either direction.
_LARGEST_AMOUNT = 255

#: The largest value of OpenBSD's header field.
_LARGEST_BYTE = 255

#: A caller that sets more reasons than this at a time has a bug.
_MAXIMUM_REASONS = 64


class DemotionLedger:
    """
    The present reasons for demoting this host, each with an amount.

    The total is computed from the present reasons, and never counted up and down.  When all
    reasons are cleared it is zero, whatever the order of events was.

    @ivar total: The sum of all amounts; may be negative.
    """

    def __init__(self, amounts: Mapping[str, int] | None = None) -> None:
        """
        @param amounts: The initial reasons with their amounts.
        """
        self._amounts = dict(amounts or {})
        self.total = sum(self._amounts.values())

    @property
    def reasons(self) -> dict[str, int]:
        """
        A copy of the present reasons with their amounts.
        """
        return dict(self._amounts)

    @property
    def byte(self) -> int:
        """
        The total as OpenBSD's header field: 0 to 255.
        """
        return min(max(self.total, 0), _LARGEST_BYTE)

    def set(self, reason: str, amount: int = FULL_DEMOTION) -> bool:
        """
        Set a reason, or change its amount.

        @param amount: What to add to the demotion; negative to promote this host.
        @return: Whether anything changed.
        @raise ValueError: See L{check}.
        """
        self.check(reason, amount)
        if self._amounts.get(reason) == amount:
            return False
        self._amounts[reason] = amount
        self.total = sum(self._amounts.values())
        return True

    def check(self, reason: str, amount: int) -> None:
        """
        Check that a reason can be set.

        @raise ValueError: If the amount is not from -255 to 255, or there are too many
            reasons.
        """
        if not -_LARGEST_AMOUNT <= amount <= _LARGEST_AMOUNT:
            raise ValueError(
                f"a demotion is from -{_LARGEST_AMOUNT} to {_LARGEST_AMOUNT}, not {amount}"
            )
        if reason not in self._amounts and len(self._amounts) >= _MAXIMUM_REASONS:
            raise ValueError(
                f"cannot demote for {reason!r}: there are {_MAXIMUM_REASONS} reasons already"
            )

    def clear(self, reason: str) -> bool:
        """
        Clear a reason.

        @return: Whether it was set.
        """
        if self._amounts.pop(reason, None) is None:
            return False
        self.total = sum(self._amounts.values())
        return True

    def apply(self, timing: Timing, dialect: Dialect) -> Timing:
        """
        Return the timing to advertise, and to compare with that of peers.  Demotion raises
        the skew to 240 at most, and leaves it alone in a dialect with a field for demotion.  A
        higher configured skew is kept.

        @param timing: The configured timing.
        """
        skew = timing.advskew
        if not dialect.demotionByte:
            ceiling = max(skew, MAXIMUM_DEMOTED_SKEW)
            skew = min(max(skew + self.total, 0), ceiling)
        return Timing(timing.advbase, min(skew, dialect.highestSkew))


@attrs.define
class SendErrors:
    """
    Counts whether advertisements are sent or fail.

    @ivar demoted: Whether enough consecutive advertisements have failed, and since then not
        enough consecutive ones have been sent.
    """

    demoted: bool = attrs.field(default=False, init=False)
    _failures: int = attrs.field(default=0, init=False)
    _successes: int = attrs.field(default=0, init=False)

    def failed(self) -> bool:
        """
        Count an advertisement that could not be sent.

        @return: Whether it started a demotion.
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

        @return: Whether it ended a demotion.
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
