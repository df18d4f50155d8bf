"""
The facts about this host that the election compares with those of its peers.
"""

from __future__ import annotations

from collections.abc import Mapping

from twisted.internet.interfaces import IReactorTime

from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.membership.advertiser import Advertiser
from txcarp.membership.channel import Channel
from txcarp.membership.holds import Holds
from txcarp.protocol.demotion import DemotionLedger
from txcarp.protocol.election import Standing
from txcarp.protocol.family import Family


class OwnStanding:
    """
    Puts a L{Standing} together when one is asked for, and keeps it until a fact changes.
    """

    def __init__(
        self,
        configuration: VirtualHostConfiguration,
        clock: IReactorTime,
        channels: Mapping[Family, Channel],
        advertiser: Advertiser,
        ledger: DemotionLedger,
        holds: Holds,
    ) -> None:
        """
        @param channels: The families to listen in; ties are decided in the
            first of them that peers are heard in.
        """
        self._configuration = configuration
        self._clock = clock
        self._channels = channels
        self._advertiser = advertiser
        self._ledger = ledger
        self._holds = holds
        self._primary = next(iter(channels))
        self._primaryHeard = float("-inf")
        self._deadTime = configuration.dialect.deadTime(
            configuration.timing, configuration.deadRatio
        )
        self._preemptFrom = 0.0
        self._known: tuple[tuple[object, ...], Standing] | None = None
        self.backupAgain()

    def backupAgain(self) -> None:
        """
        Let the delay after which this host preempts begin now.
        """
        self._preemptFrom = self._clock.seconds() + self._configuration.preemptDelay

    def now(self, family: Family | None = None) -> Standing:
        """
        The facts at this moment.

        @param family: The family in which the peer was heard that they are compared with,
            if there is one.
        """
        configuration = self._configuration
        if family is None or len(self._channels) == 1:
            source = self._channels[self._primary].audience.own
        else:
            source = self._tieBreaker(family)
        preempt = configuration.preempt and self._clock.seconds() >= self._preemptFrom
        facts = self._ledger.total, source, preempt, bool(self._holds.ends)
        if self._known is None or self._known[0] != facts:
            standing = Standing(
                timing=self._advertiser.timing,
                deadRatio=configuration.deadRatio,
                preempt=preempt,
                source=source,
                deaf=bool(self._holds.ends),
                dialect=configuration.dialect,
                demotion=self._advertiser.says.demotion,
                configured=configuration.timing,
            )
            self._known = facts, standing
        return self._known[1]

    def _tieBreaker(self, family: Family) -> bytes:
        """
        The address of ours that decides a tie with a peer that was heard in
        this family; empty, which wins every tie, if another family decides.
        Two families might decide differently, for ever.
        """
        now = self._clock.seconds()
        if family is self._primary:
            self._primaryHeard = now
        elif now - self._primaryHeard < self._deadTime:
            return b""
        return self._channels[family].audience.own
