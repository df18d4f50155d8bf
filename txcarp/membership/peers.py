"""
The other hosts of a group, as far as they were heard.
"""

from __future__ import annotations

from collections import OrderedDict

import attrs

from txcarp.protocol.events import Heard
from txcarp.protocol.timing import Timing

#: How many are remembered; the one not heard for longest gives way.
MAXIMUM = 64


@attrs.frozen
class KnownPeer:
    """
    What was last heard from a host.

    @ivar source: The packed address that it sends from.
    @ivar timing: What it advertised; not a bow-out, if it ever said more.
    @ivar demotion: OpenBSD's demotion counter, as it advertised it.
    @ivar sealed: Whether its advertisement was sealed.
    @ivar pair: The password and addresses that it was signed with.
    @ivar heard: When, in seconds of the program's clock.
    """

    source: bytes
    timing: Timing
    demotion: int
    sealed: bool
    pair: str
    heard: float


class Peers:
    """
    A bounded table of the hosts that were heard.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, KnownPeer] = OrderedDict()

    @property
    def all(self) -> list[KnownPeer]:
        """
        Every known peer, the one heard last at the end.
        """
        return list(self._known.values())

    def heard(self, heard: Heard, now: float) -> None:
        """
        Remember what a peer says, in place of what it said before.

        @param now: Seconds of the program's clock.
        """
        peer = heard.peer
        self._known[peer.source] = KnownPeer(
            peer.source, peer.timing, peer.demotion, heard.sealed, heard.pair, now
        )
        self._known.move_to_end(peer.source)
        if len(self._known) > MAXIMUM:
            self._known.popitem(last=False)

    def knows(self, source: bytes) -> bool:
        """
        Whether a host was heard before.
        """
        return source in self._known

    def anyBetter(self, timing: Timing) -> bool:
        """
        Whether any of them advertised a better timing when it was last heard.
        """
        return any(peer.timing < timing for peer in self._known.values())
