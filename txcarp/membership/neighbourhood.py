"""
The other hosts on the segment: who they are, and what is wrong with them.
"""

from __future__ import annotations

from collections.abc import Iterable

from twisted.internet.interfaces import IReactorTime

from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.findings import Finding
from txcarp.logs.limits import SayOnce
from txcarp.membership.channel import Channel
from txcarp.membership.diagnosis import Diagnostics
from txcarp.membership.peers import KnownPeer, Peers
from txcarp.membership.reception import Heard
from txcarp.protocol.effects import Peer
from txcarp.protocol.election import Standing
from txcarp.protocol.family import Family
from txcarp.protocol.keyring import CURRENT
from txcarp.protocol.rejection import Rejected
from txcarp.protocol.seal import Verification

#: Seconds in which one of two masters gives way, at least.
_PATIENCE = 0.5


class Neighbourhood:
    """
    Takes note of what is heard and refused.

    @ivar diagnostics: What was found out.
    @ivar peers: Who was heard.
    """

    def __init__(
        self, configuration: VirtualHostConfiguration, clock: IReactorTime, sayOnce: SayOnce
    ) -> None:
        self.diagnostics = Diagnostics(
            configuration.vhid, configuration.interface, clock, sayOnce
        )
        self.peers = Peers()
        self._clock = clock
        self._seals = configuration.verification is not Verification.OFF

    def heard(
        self, heard: Heard, peer: Peer, channels: Iterable[Channel], rival: Standing | None
    ) -> None:
        """
        A peer advertises.

        @param channels: The ways out of this host; a peer may be worth one
            more copy of its advertisements.
        @param rival: What this host says of itself, if it is master, too.
        """
        self.peers.heard(
            KnownPeer(
                peer.source,
                peer.timing,
                peer.demotion,
                heard.sealed,
                heard.pair,
                self._clock.seconds(),
            )
        )
        # Without a seal anybody can name as many as there is room for.
        if heard.sealed or not self._seals:
            for channel in channels:
                if channel.family is peer.family:
                    channel.follow(peer.source)
        if heard.pair != CURRENT:
            self.diagnostics.found(Finding.OTHER_KEY, peer.source, f"with {heard.pair}")
        if rival is not None:
            if peer.timing == rival.timing and not rival.dialect.breaksTies:
                self.diagnostics.found(Finding.EQUAL_TIMING, peer.source)
            self.diagnostics.rival(peer.source, max(rival.timing.interval, _PATIENCE))

    def refused(self, rejected: Rejected, source: bytes) -> None:
        """
        A packet was not believed.
        """
        self.diagnostics.refused(rejected.reason, source, rejected.detail, self.peers.knows)

    def familySilent(self, silent: Family, heard: Family) -> None:
        """
        The master is heard in one family only.
        """
        self.diagnostics.found(
            Finding.FAMILY_SILENT, more=f"{heard.value} is heard, {silent.value} is not"
        )
