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
    """

    def __init__(self, random64: Callable[[], int], *, constant: bool = False) -> None:
        """
        @param random64: Draws a number from 0 to 2^64 - 1.
        @param constant: Whether to do as OpenBSD.
        """
        self._random64 = random64
        self._constant = random64() if constant else None
        self._last: int | None = None

    def next(self) -> int:
        """
        The counter for one more advertisement of our own.
        """
        if self._constant is not None:
            return self._constant
        if self._last is None:
            return self._random64()
        self._last = (self._last + 1) % _MODULUS
        return self._last

    def heard(self, counter: int) -> None:
        """
        Continue from the counter of a valid advertisement.
        """
        self._last = counter

    def isEcho(self, counter: int) -> bool:
        """
        Whether only this host can have sent this counter.
        """
        return counter == self._constant
