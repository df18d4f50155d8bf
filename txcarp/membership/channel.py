"""
One address family of a virtual host: the source and the destinations of its advertisements, and
the packets that it accepts.
"""

from __future__ import annotations

from txcarp.configuration.model import MAXIMUM_PEERS, VirtualHostConfiguration
from txcarp.interfaces import IAdvertisementTransport
from txcarp.protocol.envelope import Audience
from txcarp.protocol.family import Family, familyOf


class Channel:
    """
    Where the packets of one family come from and go to.

    @ivar family: The family.
    @ivar transport: Sends and receives the packets.
    @ivar audience: The packets to accept.  Its C{own} is the last source of this host, and is
        empty before the first advertisement if no source is configured.
    @ivar destinations: The packed addresses to which each advertisement is sent.
    """

    def __init__(
        self,
        configuration: VirtualHostConfiguration,
        family: Family,
        transport: IAdvertisementTransport,
    ) -> None:
        self.family = family
        self.transport = transport
        isIPv4 = family is Family.IPV4
        self._configured = configuration.source if isIPv4 else configuration.source6
        listed = tuple(
            dict.fromkeys(peer for peer in configuration.peers if familyOf(peer) is family)
        )
        self.audience = Audience(
            configuration.vhid,
            self._configured or b"",
            configuration.group if isIPv4 else configuration.group6,
            listed,
            [],
        )
        useGroup = configuration.followPeers or not listed
        self.destinations = [*([self.audience.group] if useGroup else []), *listed]

    def source(self) -> bytes:
        """
        The packed address from which to advertise.

        @raise OSError: If no source is configured and the interface has no link-local address.
        """
        if self._configured is None:
            self.audience.own = self.transport.linkLocal()
        return self.audience.own

    def follow(self, peer: bytes) -> None:
        """
        Send advertisements to a peer, too, from now on.

        @param peer: Its packed address.
        """
        audience = self.audience
        known = (*audience.peers, *audience.followed)
        if peer not in known and len(known) < MAXIMUM_PEERS:
            audience.followed.append(peer)
            self.destinations.append(peer)
