"""
One family of a virtual host: where its advertisements come from and go to.
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
    @ivar transport: Where packets leave.
    @ivar group: The packed address of the group.
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
        self.group = configuration.group if isIPv4 else configuration.group6
        self._vhid = configuration.vhid
        self._configured = configuration.source if isIPv4 else configuration.source6
        self._last = self._configured or b""
        listed = [peer for peer in configuration.peers if familyOf(peer) is family]
        self._peers = tuple(dict.fromkeys(listed))
        self._followed: list[bytes] = []
        self._follow = configuration.followPeers
        self._useGroup = configuration.followPeers or not listed

    def source(self) -> bytes:
        """
        The packed address that advertisements come from now.

        @raise OSError: If the interface has none.
        """
        if self._configured is None:
            self._last = self.transport.linkLocal()
        return self._last

    @property
    def lastSource(self) -> bytes:
        """
        The one that was used last; empty if there was none.
        """
        return self._last

    @property
    def audience(self) -> Audience:
        """
        Whom to listen to.
        """
        return Audience(self._vhid, self._last, self.group, self._peers, self._followed)

    @property
    def destinations(self) -> list[bytes]:
        """
        Where each advertisement is sent to.
        """
        return [*([self.group] if self._useGroup else []), *self._peers, *self._followed]

    def follow(self, peer: bytes) -> None:
        """
        A host of the group was heard: send to it, too, if that is wanted.
        """
        known = (*self._peers, *self._followed)
        if self._follow and peer not in known and len(known) < MAXIMUM_PEERS:
            self._followed.append(peer)
