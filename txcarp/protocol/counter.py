"""
The 64-bit number that makes each digest different.
"""

from __future__ import annotations

from collections.abc import Callable

_MODULUS = 1 << 64


class Counter:
    """
    The counter of a virtual host that does not seal, as ucarp and the BSD kernels keep it.

    A host that has heard no other draws a new random number for each advertisement.  Every
    valid advertisement that it hears sets the counter; its next own one is that plus one.

    OpenBSD draws one number at the start, and recognises its own advertisements by it.

    @ivar constant: The only number that this host sends, in OpenBSD's dialect; C{None} in the
        others.
    @ivar last: The counter that was last sent or heard; C{None} before the first was heard.
    """

    def __init__(self, random: Callable[[int], int], *, constant: bool = False) -> None:
        """
        @param random: Returns a random number of the given number of bits.
        @param constant: Whether to send one number for ever, as OpenBSD does.
        """
        self._random = random
        self.constant = random(64) if constant else None
        self.last: int | None = None

    @property
    def following(self) -> int:
        """
        What L{next} may return next.
        """
        if self.constant is not None:
            return self.constant
        return self._random(64) if self.last is None else (self.last + 1) % _MODULUS

    def next(self) -> int:
        """
        Return the counter for the next advertisement of this host.
        """
        if self.constant is not None:
            return self.constant
        if self.last is None:
            return self._random(64)
        self.last = (self.last + 1) % _MODULUS
        return self.last
