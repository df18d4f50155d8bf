"""
Whether the advertisements of a host look sealed, to an observer without the
password.

The upper bits of a sealed counter are a tick that keeps pace with the clock
(see L{txcarp.protocol.seal}).  Only a member of the group can verify the lower
bits.  Other implementations send a counter that is random, constant, or one
more than the last.
"""

from __future__ import annotations

import attrs

from txcarp.protocol.seal import PACE, TAG_BITS

#: The least part of the elapsed time, less some ticks, that a counter must
#: advance: the clock of the host may be slow, and packets are read late.
_SLOWEST = 0.5
_SLACK = 2

#: Ticks that a counter may be ahead of the elapsed time: an hour, for a clock
#: that was set.  A random counter is years ahead.
_LEAP = 3600 * PACE
_FASTEST = 3

#: Steps in a row that make a verdict.
_STEPS_TO_SEALED = 3
_STEPS_TO_UNSEALED = 2


@attrs.frozen
class _Tick:
    when: float
    tick: int

    def leadsTo(self, later: _Tick) -> bool:
        """
        Whether both may be ticks of one clock.
        """
        passed = (later.when - self.when) * PACE
        least = max(1.0, _SLOWEST * passed - _SLACK)
        return least <= later.tick - self.tick <= _FASTEST * passed + _LEAP


class SealJudge:
    """
    Judges the counters of one host.

    @ivar sealed: Whether they look sealed; C{None} until enough were seen.
    """

    def __init__(self) -> None:
        self.sealed: bool | None = None
        self._good: _Tick | None = None
        self._doubtful: _Tick | None = None
        self._likely = 0
        self._unlikely = 0

    def saw(self, when: float, counter: int) -> bool | None:
        """
        Take in the counter of one more advertisement.

        @param when: Seconds of a monotonic clock.
        @return: See L{sealed}.
        """
        seen = _Tick(when, counter >> TAG_BITS)
        # A sealed host may leap once, when it hears from a host whose clock is far ahead; and
        # a single replayed packet proves nothing about the host. So a doubtful tick is kept
        # beside the last good one.
        known = [tick for tick in (self._good, self._doubtful) if tick is not None]
        if any(tick.leadsTo(seen) for tick in known):
            self._likely, self._unlikely = self._likely + 1, 0
            if self._likely >= _STEPS_TO_SEALED:
                self.sealed = True
        elif known:
            self._likely, self._unlikely = 0, self._unlikely + 1
            if self._unlikely >= _STEPS_TO_UNSEALED:
                self.sealed = False
            if self.sealed:
                self._doubtful = seen
                return True
        self._good, self._doubtful = seen, None
        return self.sealed
