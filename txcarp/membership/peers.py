"""
The hosts of a group that were heard.

In a group with addresses of both families, a host advertises in both, and its two sources are two
entries here.  Which host is master is told by its IPv4 source for as long as that is heard, so that
the answer does not change with each packet.
"""

from __future__ import annotations

from collections import OrderedDict

import attrs

from txcarp.protocol.events import Heard
from txcarp.protocol.timing import Peer, Timing

#: How many hosts are remembered.  One more replaces the host that has been silent for longest.
MAXIMUM = 64

#: The number of its intervals after which a host counts as silent.
_SILENT = 3


@attrs.define
class KnownPeer:
    """
    The last advertisement of a host, apart from bow-outs.  The next one changes this object: a
    group has few hosts, and each says the same again and again.

    @ivar source: The packed source address.
    @ivar timing: The advertised timing.
    @ivar before: The timing in the advertisement before that; the same if there was none.
    @ivar demotion: OpenBSD's demotion counter in the advertisement.
    @ivar sealed: Whether the advertisement was sealed.
    @ivar heard: When it arrived, in seconds of the clock.
    @ivar number: How many advertisements of the host were heard since it became known.
    """

    source: bytes
    timing: Timing
    before: Timing
    demotion: int
    sealed: bool
    heard: float
    number: int


@attrs.frozen
class Succession:
    """
    Another host is master than before.

    @ivar source: The packed source address of the new master.
    @ivar previous: That of the master before; C{None} if none was heard.
    @ivar reason: Why, as far as the advertisements show, in the words of C{txcarp observe}:
        C{bow-out}, C{silence}, C{timing} or C{unknown}.
    """

    source: bytes
    previous: bytes | None
    reason: str


class Peers:
    """
    A table of the hosts that were heard, of limited size.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, KnownPeer] = OrderedDict()
        #: The master of the group, and the others of which the last advertisement in each family
        #: was since its own, by the length of their addresses.
        self._master: bytes | None = None
        self._claimants: dict[int, bytes] = {}
        self._hasLeft = False
        #: The IPv4 source that was heard last.
        self._ipv4: KnownPeer | None = None

    @property
    def all(self) -> list[KnownPeer]:
        """
        Every known peer.  The peer that was heard last is the last.
        """
        return list(self._known.values())

    @property
    def latest(self) -> KnownPeer | None:
        """
        The peer that was heard last; C{None} if there is none.  While a source of IPv4 is heard,
        no other one counts.
        """
        last = next(reversed(self._known.values()), None)
        if last is not None and self._isSecond(last.source, last.heard):
            return self._ipv4
        return last

    def _isSecond(self, source: bytes, now: float) -> bool:
        """
        Whether a source is one of IPv6 while one of IPv4 is heard.
        """
        first = self._ipv4
        return first is not None and len(source) != len(first.source) and _isHeard(first, now)

    def left(self, source: bytes) -> None:
        """
        Remember that a host bowed out.
        """
        if source == self._master:
            self._hasLeft = True

    def heard(self, heard: Heard, now: float) -> Succession | None:
        """
        Remember an advertisement in place of earlier ones of the same peer.

        @param now: Seconds of the clock.
        @return: A new master, if this is one: a source that advertises twice while the last master
            does not.  Of two masters, none is new.
        """
        peer = heard.peer
        source, timing = peer.source, peer.timing
        known = self._known.get(source)
        if known is None:
            known = KnownPeer(source, timing, timing, peer.demotion, heard.sealed, now, 1)
            self._known[source] = known
            if len(self._known) > MAXIMUM:
                self._known.popitem(last=False)
        else:
            known.before, known.timing, known.demotion = known.timing, timing, peer.demotion
            known.sealed, known.heard = heard.sealed, now
            known.number += 1
            self._known.move_to_end(source)
        if len(source) == 4:
            self._ipv4 = known
        elif self._isSecond(source, now):
            return None
        if source == self._master:
            self._claimants.clear()
            self._hasLeft = False
            return None
        isNew = source == self._claimants.get(len(source))
        self._claimants[len(source)] = source
        return self._succession(peer, now) if isNew else None

    def _succession(self, peer: Peer, now: float) -> Succession:
        previous, self._master = self._master, peer.source
        last = self._known.get(previous) if previous is not None else None
        reason = "unknown"
        if self._hasLeft:
            reason = "bow-out"
        elif last is not None and peer.timing < last.timing:
            reason = "timing"
        elif last is not None and not _isHeard(last, now):
            reason = "silence"
        self._claimants.clear()
        self._hasLeft = False
        return Succession(peer.source, previous, reason)

    def last(self, source: bytes) -> KnownPeer | None:
        """
        The last advertisement of the host with this packed address; C{None} if it was never heard.
        """
        return self._known.get(source)

    def offered(self, peer: Peer) -> Timing | None:
        """
        The timing of a demoted master whose last advertisement is an offer (L{Timing.offer}).

        The advbase of an offer is that of the advertisement before, times the dead ratio of the
        master, which no other host knows.  A master whose advbase is changed to a multiple of
        itself is therefore taken for one that makes an offer, until its next advertisement.

        @return: C{None} if the last advertisement of the peer is no offer.
        """
        known = self._known.get(peer.source)
        if known is None or peer.isBowOut:
            return None
        before, advbase = known.before.advbase, peer.timing.advbase
        if not 0 < before < advbase or advbase % before:
            return None
        return Timing(before, peer.timing.advskew)

    def anyBetter(self, timing: Timing) -> bool:
        """
        Whether the last advertisement of any peer had a better timing.
        """
        return any(peer.timing < timing for peer in self._known.values())


def _isHeard(peer: KnownPeer, now: float) -> bool:
    return now - peer.heard <= _SILENT * peer.timing.interval
