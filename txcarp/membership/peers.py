"""
The hosts of a group that were heard.
"""

from __future__ import annotations

from collections import OrderedDict

import attrs

from txcarp.protocol.events import Heard
from txcarp.protocol.timing import Peer, Timing

#: How many hosts are remembered.  One more replaces the host that has been silent for longest.
MAXIMUM = 64


@attrs.frozen
class KnownPeer:
    """
    The last advertisement of a host, apart from bow-outs.

    @ivar source: The packed source address.
    @ivar timing: The advertised timing.
    @ivar before: The timing in the advertisement before that; the same if there was none.
    @ivar demotion: OpenBSD's demotion counter in the advertisement.
    @ivar sealed: Whether the advertisement was sealed.
    @ivar heard: When it arrived, in seconds of the clock.
    """

    source: bytes
    timing: Timing
    before: Timing
    demotion: int
    sealed: bool
    heard: float


class Peers:
    """
    A table of the hosts that were heard, of limited size.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, KnownPeer] = OrderedDict()

    @property
    def all(self) -> list[KnownPeer]:
        """
        Every known peer.  The peer that was heard last is the last.
        """
        return list(self._known.values())

    def heard(self, heard: Heard, now: float) -> None:
        """
        Remember an advertisement in place of earlier ones of the same peer.

        @param now: Seconds of the clock.
        """
        peer = heard.peer
        last = self._known.get(peer.source)
        self._known[peer.source] = KnownPeer(
            peer.source,
            peer.timing,
            peer.timing if last is None else last.timing,
            peer.demotion,
            heard.sealed,
            now,
        )
        self._known.move_to_end(peer.source)
        if len(self._known) > MAXIMUM:
            self._known.popitem(last=False)

    def last(self, source: bytes) -> KnownPeer | None:
        """
        The last advertisement of the host with this packed address; C{None} if it was never heard.
        """
        return self._known.get(source)

    def isOffer(self, peer: Peer, ratio: int) -> bool:
        """
        Whether the last advertisement of a peer is the offer of a demoted master
        (L{Timing.offer}): its advbase is that of the advertisement before, times the dead ratio.
        """
        known = self._known.get(peer.source)
        return known is not None and (
            known.before.advbase < peer.timing.advbase == known.before.advbase * ratio
        )

    def anyBetter(self, timing: Timing) -> bool:
        """
        Whether the last advertisement of any peer had a better timing.
        """
        return any(peer.timing < timing for peer in self._known.values())
