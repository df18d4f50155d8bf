"""
How a host that cannot do its work well steps back in the ranking.
"""

from __future__ import annotations

import attrs

from txcarp.protocol.advertisement import MAXIMUM_DEMOTED_SKEW
from txcarp.protocol.timing import Timing

#: Consecutive failures, and then consecutive successes, that make and unmake
#: a demotion: three of each in ucarp and in the BSD kernels.
SEND_ERROR_THRESHOLD = 3


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

    def apply(self, timing: Timing) -> Timing:
        """
        The timing to advertise and to compare with: a skew of at least 240
        while demoted.
        """
        if not self.demoted:
            return timing
        return Timing(timing.advbase, max(timing.advskew, MAXIMUM_DEMOTED_SKEW))
