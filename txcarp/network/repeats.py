"""
Packets that are read twice: in front of the firewall and behind it.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from txcarp.network.admission import MOST_PASSING, Omitted

#: Seconds for which packets are counted, and for which some are not looked at in front.  No turn
#: ends together with the deadline of a group with usual timing, which has more important work.
TURN = 0.7

#: Packets of one sender for one virtual host that are read twice in a turn.
EACH = 8

#: Packets of all senders that are read twice in a turn; and more for each virtual host.
ALL, MORE = 256, 4

#: The most senders that are counted in a turn.
_MOST = 1024

#: The source of a packet, and its vhid.
_Pair = tuple[bytes, int]


class Repeats:
    """
    Finds out which packets need not be read in front of the firewall, because they pass it.

    Whether a firewall drops packets is a question about their sender.  If the packets of a sender
    for one virtual host are read on both sides, the front omits the following ones for the rest of
    the turn.  Each turn begins with another look.  So packets of a sender that do not pass are read
    in front, whatever another sender floods this host with; and a firewall that begins to drop the
    packets of a sender is noticed within a turn.

    A flood may have invented senders.  When too many packets of too many senders are read twice,
    the front gets a random part of them until the turn ends, and all packets of senders that are
    known to be dropped by the firewall (L{Omitted.missing}).

    @ivar most: How many packets may be read twice in a turn.
    """

    def __init__(self, clock: IReactorTime, changed: Callable[[], None]) -> None:
        """
        @param changed: Called when L{omitted} has changed.
        """
        self._clock = clock
        self._changed = changed
        self.most = ALL
        self._passing: frozenset[_Pair] = frozenset()
        self._isSampled = False
        self._missing: frozenset[bytes] = frozenset()
        self._passed: set[_Pair] = set()
        self._seen: dict[_Pair, int] = {}
        self._twice = 0
        self._until = 0.0
        self._end: IDelayedCall | None = None

    def omitted(self, missing: frozenset[bytes]) -> Omitted:
        """
        Return what the front should not receive now.

        @param missing: The packed addresses of senders whose packets do not pass.
        """
        self._missing = missing
        return Omitted(self._passing, missing, self._isSampled)

    def passed(self, source: bytes, vhid: int) -> None:
        """
        Note a packet behind the firewall.
        """
        self._begin()
        pair = source, vhid
        if pair not in self._passed and len(self._passed) < _MOST:
            self._passed.add(pair)
            self._count(pair, self._seen.get(pair, 0))

    def seen(self, source: bytes, vhid: int) -> bool:
        """
        Note a packet in front of the firewall.

        @return: Whether it is to be looked at: it is not if it had waited when the front began to
            omit such packets.
        """
        pair = source, vhid
        if pair in self._passing and source not in self._missing:
            return False
        self._begin()
        if pair in self._seen or len(self._seen) < _MOST:
            self._seen[pair] = self._seen.get(pair, 0) + 1
        if pair in self._passed:
            self._count(pair, 1)
        return True

    def stop(self) -> None:
        """
        Omit nothing any more.
        """
        if self._end is not None:
            self._end.cancel()
            self._end = None
        self._passing, self._isSampled = frozenset(), False

    def _begin(self) -> None:
        now = self._clock.seconds()
        if now >= self._until:
            self._until = now + TURN
            self._passed.clear()
            self._seen.clear()
            self._twice = 0

    def _count(self, pair: _Pair, number: int) -> None:
        self._twice += number
        isMore = self._seen.get(pair, 0) >= EACH and pair not in self._passing
        if isMore and len(self._passing) < MOST_PASSING:
            self._passing |= {pair}
            self._twice -= self._seen[pair]
        elif self._twice >= self.most and not self._isSampled:
            self._isSampled = True
        else:
            return
        if self._end is None:
            self._end = self._clock.callLater(self._until - self._clock.seconds(), self._ended)
        self._changed()

    def _ended(self) -> None:
        self._end = None
        self._passing, self._isSampled = frozenset(), False
        self._until = 0.0
        self._changed()
