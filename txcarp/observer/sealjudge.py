"""
Whether the advertisements of a host look sealed, to an observer without the password.

The upper bits of a sealed counter are a tick that keeps pace with the clock (see
L{txcarp.protocol.seal}).  Only a member of the group can verify the lower bits.  Other
implementations send a counter that is random, constant, or one more than the last.
"""

from __future__ import annotations

from txcarp.protocol.seal import PACE, TAG_BITS

#: The least part of the elapsed time, less some ticks, that a counter must advance: the clock of
#: the host may be slow, and packets are read late.
_SLOWEST = 0.5
_SLACK = 2

#: Ticks that a counter may be ahead of the elapsed time: an hour, for a clock that was set.  A
#: random counter is years ahead.
_LEAP = 3600 * PACE
_FASTEST = 3

#: Steps in a row that make a verdict.
_STEPS_TO_SEALED = 3
_STEPS_TO_UNSEALED = 2

#: When a tick was seen, and the tick.
_Tick = tuple[float, int]


class SealJudge:
    """
    Judges the counters of one host.

    @ivar sealed: Whether they look sealed; C{None} until enough were seen.
    """

    def __init__(self) -> None:
        self.sealed: bool | None = None
        # A sealed host may leap once, when it hears from a host whose clock is far ahead; and a
        # single replayed packet proves nothing about the host.  So a doubtful tick is kept behind
        # the last good one.
        self._known: list[_Tick] = []
        # How many steps in a row looked sealed; negative for those that did not.
        self._run = 0

    def saw(self, when: float, counter: int) -> bool | None:
        """
        Take in the counter of one more advertisement.

        @param when: Seconds of a monotonic clock.
        @return: See L{sealed}.
        """
        seen = when, counter >> TAG_BITS
        if any(_mayFollow(tick, seen) for tick in self._known):
            self._run = max(self._run, 0) + 1
            if self._run >= _STEPS_TO_SEALED:
                self.sealed = True
        elif self._known:
            self._run = min(self._run, 0) - 1
            if -self._run >= _STEPS_TO_UNSEALED:
                self.sealed = False
            if self.sealed:
                self._known[1:] = [seen]
                return True
        self._known = [seen]
        return self.sealed


def _mayFollow(sooner: _Tick, later: _Tick) -> bool:
    """
    Whether both may be ticks of one clock.
    """
    passed = (later[0] - sooner[0]) * PACE
    least = max(1.0, _SLOWEST * passed - _SLACK)
    return least <= later[1] - sooner[1] <= _FASTEST * passed + _LEAP
