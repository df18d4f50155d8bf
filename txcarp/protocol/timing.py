"""
advbase and advskew: how often a host speaks, when it is missed, and which host is
preferred.
"""

from __future__ import annotations

import attrs

from txcarp.protocol.advertisement import BOW_OUT
from txcarp.protocol.family import Family

#: Seconds between advertisements where advbase and advskew are both 0, which
#: only OpenBSD allows.
SHORTEST_INTERVAL = 1 / 256


@attrs.frozen(order=True)
class Timing:
    """
    How often a master advertises.  Sooner is better, so the smaller of two
    timings is the preferred one; the comparison is lexicographic, as all CARP
    implementations do it.

    @ivar advbase: Whole seconds, 0 to 255.
    @ivar advskew: 256ths of a second, 0 to 255.
    """

    advbase: int
    advskew: int

    @property
    def interval(self) -> float:
        """
        Seconds from one advertisement to the next.
        """
        return self.advbase + self.advskew / 256

    def deadTime(self, ratio: int) -> float:
        """
        Seconds of silence after which a backup with this timing takes over:
        the base counts C{ratio} times and the skew once.
        """
        return self.advbase * ratio + self.advskew / 256

    def missesBefore(self, peer: Timing, ratio: int) -> bool:
        """
        Whether a backup with this timing would take over before a peer with
        that timing spoke again.
        """
        return (self.advbase * ratio, self.advskew) < (peer.advbase, peer.advskew)


@attrs.frozen
class Peer:
    """
    Another host, as it was heard.

    @ivar timing: What it advertised.
    @ivar source: The packed address that it sends from.
    @ivar demotion: OpenBSD's demotion counter, as it advertised it.
    """

    timing: Timing
    source: bytes
    demotion: int = 0

    @property
    def family(self) -> Family:
        """
        The family in which it was heard.
        """
        return Family.IPV4 if len(self.source) == 4 else Family.IPV6


#: The timing that says good-bye.
LEAVING = Timing(BOW_OUT, BOW_OUT)


def winsTie(own: bytes, peer: bytes) -> bool:
    """
    Who stays master when two masters have equal timing.

    ucarp compares the addresses as numbers in the byte order of its machine,
    which is little-endian wherever it runs today: the last octet counts most,
    and 10.99.1.1 beats 10.99.0.2.  Comparing them in the natural order leaves
    two masters for ever.

    @param own: Our packed source address.
    @param peer: The packed source address of the other.
    """
    return own[::-1] < peer[::-1]
