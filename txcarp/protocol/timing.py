"""
Advbase and advskew: how often a host advertises, how long its peers wait for it, and which
host is preferred.
"""

from __future__ import annotations

import attrs

from txcarp.protocol.advertisement import BOW_OUT
from txcarp.protocol.family import Family, familyOf

#: The highest advbase that an advertisement can contain.
_HIGHEST_ADVBASE = 255

#: Seconds between advertisements if advbase and advskew are both 0, which only OpenBSD allows.
SHORTEST_INTERVAL = 1 / 256


@attrs.frozen(order=True)
class Timing:
    """
    How often a master advertises.  The smaller of two timings is preferred.  They are compared
    lexicographically, as in all implementations of CARP.

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
        Seconds of silence after which a backup with this timing takes over: C{ratio} times
        advbase, plus advskew once.
        """
        return self.advbase * ratio + self.advskew / 256

    def missesBefore(self, peer: Timing, ratio: int) -> bool:
        """
        Whether a backup with this timing would take over before the next advertisement of a
        master with the timing C{peer}.
        """
        return (self.advbase * ratio, self.advskew) < (peer.advbase, peer.advskew)

    def offer(self, ratio: int) -> Timing | None:
        """
        The timing that exactly the backups with a better timing than this one miss
        (L{missesBefore}), so that they take over.  C{None} if an advertisement cannot say it.
        """
        advbase = self.advbase * ratio
        return Timing(advbase, self.advskew) if advbase <= _HIGHEST_ADVBASE else None


@attrs.frozen
class Peer:
    """
    What an advertisement says about the host that sent it.

    @ivar timing: The advertised timing.
    @ivar source: The packed source address.
    @ivar demotion: OpenBSD's demotion counter.
    @ivar family: The family of the advertisement.
    @ivar isBowOut: Whether it is a bow-out.
    """

    timing: Timing
    source: bytes
    demotion: int = 0
    # Most hosts say the same for years, and these are asked for with each advertisement.
    family: Family = attrs.field(init=False, eq=False, repr=False)
    isBowOut: bool = attrs.field(init=False, eq=False, repr=False)

    @family.default
    def _family(self) -> Family:
        return familyOf(self.source)

    @isBowOut.default
    def _isBowOut(self) -> bool:
        return self.timing == LEAVING


#: The timing that no other host is preferred to, but one with the same.  A host that advertises
#: it does so no more often than otherwise.
INSISTENT = Timing(0, 1)

#: The timing in a bow-out.
LEAVING = Timing(BOW_OUT, BOW_OUT)


def winsTie(own: bytes, peer: bytes) -> bool:
    """
    Whether this host stays master if another master has the same timing.

    ucarp compares the source addresses as integers in the byte order of its machine, which is
    little-endian wherever ucarp runs today.  The last octet counts most, and C{10.99.1.1} wins
    against C{10.99.0.2}.  If this host compared the addresses in network byte order, a tie with
    ucarp could leave two masters for ever.

    @param own: The packed source address of this host.
    @param peer: The packed source address of the other master.
    """
    return own[::-1] < peer[::-1]
