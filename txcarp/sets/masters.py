"""
The other masters that one side of a set hears.
"""

from __future__ import annotations

from txcarp.protocol import effects
from txcarp.protocol.effects import Reason
from txcarp.protocol.election import BACKUP, MASTER, ICARPState, Standing, Transition
from txcarp.protocol.events import Heard
from txcarp.protocol.family import Family
from txcarp.protocol.timing import Peer, Timing

#: The most masters, in each family, that are remembered.
_MAXIMUM = 64

#: Seconds after it was master in which a host does not believe what it hears of other masters.  Two
#: hosts may yield to each other at the same moment, and bow out, while other advertisements of
#: theirs are on the way.  If those bow-outs counted, both would take over again, and so on.
#: So long, too, advertisements are on the way of hosts that become master at the same moment.
_CROSSING = 0.05

_LONG_AGO = float("-inf")


class Masters:
    """
    Which other masters are alive, and whether this host would take over from them.

    @ivar left: The family in which a bow-out of a known master is being handled.
    @ivar preference: Why this host would take over from the master that it heard last, and that
        master; C{None} if it would not.
    """

    def __init__(self) -> None:
        self.left: Family | None = None
        self.preference: tuple[Reason, Peer] | None = None
        #: Until when each master that was heard is taken for alive, and what it advertises.
        self._known: dict[Family, dict[bytes, tuple[float, Timing]]] = {one: {} for one in Family}
        #: When this host became master, and when it was master for the last time.
        self._masterSince = self._masterUntil = _LONG_AGO
        #: Since and until when this master hears another one that has to yield.
        self._winning = (_LONG_AGO, _LONG_AGO)

    def heard(
        self, now: float, state: ICARPState, standing: Standing, event: Heard, decided: Transition
    ) -> None:
        """
        Note an advertisement.

        @param state: The state of this host.
        @param decided: What this host alone decided about the advertisement.
        """
        peer, following = event.peer, decided[0]
        known = self._known[peer.family]
        self.preference = self.left = None
        wasHeard = known.pop(peer.source, None) is not None
        if peer.isBowOut:
            self.left = peer.family if wasHeard else None
            return
        until = now + standing.patience(peer)
        if state is MASTER or now >= self._masterUntil + _CROSSING:
            known[peer.source] = until, peer.timing
        if len(known) > _MAXIMUM:
            del known[next(iter(known))]
        if state is BACKUP and following is MASTER:
            self.preference = changeIn(decided).reason, peer
        elif state is MASTER and following is MASTER:
            since, before = self._winning
            self._winning = (since if now <= before else now, until)

    def taken(self, now: float) -> None:
        """
        Note that this host becomes master.
        """
        self._masterSince = now

    def unsettled(self, now: float) -> float:
        """
        Seconds for which this host may still be about to hear, on some side, another one that
        became master at the same moment; 0 if it has had enough time to.
        """
        return max(0.0, self._masterSince + _CROSSING - now)

    def lost(self, now: float) -> None:
        """
        Note that this host is not master any more.
        """
        self._masterUntil = now
        self._winning = (_LONG_AGO, _LONG_AGO)
        for known in self._known.values():
            known.clear()

    def hears(self, now: float) -> bool:
        """
        Whether a master is alive.
        """
        return any(self._living(now).values())

    def remaining(self, now: float) -> int:
        """
        How many masters are alive if the one that bows out leaves.
        """
        return sum(
            max(0, len(several) - (family is not self.left))
            for family, several in self._living(now).items()
        )

    def isWinning(self, now: float, deadTime: float) -> bool:
        """
        Whether this master hears another one that has to yield, and may not have had the time to.
        """
        since, until = self._winning
        return now <= until and now < since + deadTime

    def yieldTo(self, now: float, timing: Timing) -> bool:
        """
        Whether a host with this timing is preferred to all masters that are alive.
        """
        return all(one > timing for several in self._living(now).values() for one in several)

    def _living(self, now: float) -> dict[Family, list[Timing]]:
        """
        What the masters advertise that are alive, as far as this side can tell.
        """
        return {
            family: [timing for until, timing in several.values() if until >= now]
            for family, several in self._known.items()
        }


def changeIn(decided: Transition) -> effects.ChangeRole:
    """
    Return the change of role in a decision that has one.
    """
    return next(one for one in decided[1] if isinstance(one, effects.ChangeRole))
