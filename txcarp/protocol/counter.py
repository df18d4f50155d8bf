"""
The 64-bit number that makes each digest different.
"""

from __future__ import annotations

from collections.abc import Callable

_MODULUS = 1 << 64


class Counter:
    """
    The counter of one virtual host, as ucarp and the BSD kernels keep it.

    A host that has heard nobody draws a fresh random number for each
    advertisement.  The first valid advertisement that it hears, and each one
    after that, sets the counter; its own next one is that plus one.

    OpenBSD draws one number for ever, and knows by it what it sent itself.

    @ivar constant: The number of a host that does as OpenBSD; C{None} elsewhere.  Only this
        host can have sent it.
    @ivar last: The counter that was sent or heard last; C{None} if there was none.
    """

    def __init__(self, random64: Callable[[], int], *, constant: bool = False) -> None:
        """
        @param random64: Draws a number from 0 to 2^64 - 1.
        @param constant: Whether to do as OpenBSD.
        """
        self._random64 = random64
        self.constant = random64() if constant else None
        self.last: int | None = None

    def next(self) -> int:
        """
        The counter for one more advertisement of our own.
        """
        if self.constant is not None:
            return self.constant
        if self.last is None:
            return self._random64()
        self.last = (self.last + 1) % _MODULUS
        return self.last
