"""
One family of a virtual host: the source, the destinations and the audience of its
advertisements.
"""

from __future__ import annotations

from txcarp.configuration.model import MAXIMUM_PEERS, VirtualHostConfiguration
from txcarp.interfaces import IAdvertisementTransport
from txcarp.protocol.envelope import Audience
from txcarp.protocol.family import Family, familyOf


class Channel:
    """
    The way out and in for one family.

    @ivar family: The family.
    @ivar transport: Sends the packets.
    @ivar audience: The packets to accept.  Its C{own} is the source that was used last;
        empty if there was none.
    @ivar destinations: The packed addresses that each advertisement is sent to.
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
        self._follow = configuration.followPeers
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
        The packed address that advertisements come from now.

        @raise OSError: If the interface has none.
        """
        if self._configured is None:
            self.audience.own = self.transport.linkLocal()
        return self.audience.own

    def follow(self, peer: bytes) -> None:
        """
        A host of the group was heard: send to it, too, if that is wanted.
        """
        if not self._follow:
            return
        audience = self.audience
        known = (*audience.peers, *audience.followed)
        if peer not in known and len(known) < MAXIMUM_PEERS:
            audience.followed.append(peer)
            self.destinations.append(peer)
