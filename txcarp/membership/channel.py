"""
One address family of a virtual host: the source and the destinations of its advertisements, and
the packets that it accepts.
"""

from __future__ import annotations

import errno
from collections.abc import Collection

from txcarp.addresses import textOf
from txcarp.configuration.model import MAXIMUM_PEERS, VirtualHostConfiguration
from txcarp.interfaces import IAdvertisementTransport
from txcarp.protocol.envelope import Audience
from txcarp.protocol.events import TransportChanged
from txcarp.protocol.family import Family, familyOf


class Channel:
    """
    Where the packets of one family come from and go to.

    @ivar family: The family.
    @ivar transport: Sends and receives the packets.
    @ivar audience: The packets to accept.  Its C{own} is the last source of this host, and is
        empty while there was none yet.
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
        self._virtual = tuple(address.packed for address in configuration.addresses)
        self._interface = configuration.interface
        self._followed: list[bytes] = []
        self._address(configuration)

    def adopt(self, configuration: VirtualHostConfiguration) -> None:
        """
        Send from another source, or to other peers, from now on.
        """
        isIPv4 = self.family is Family.IPV4
        configured = configuration.source if isIPv4 else configuration.source6
        self._virtual = tuple(address.packed for address in configuration.addresses)
        before = self._configured, self._peers, self._follows
        if before != (configured, configuration.peers, configuration.followPeers):
            self._address(configuration)

    def _address(self, configuration: VirtualHostConfiguration) -> None:
        isIPv4 = self.family is Family.IPV4
        self._configured = configuration.source if isIPv4 else configuration.source6
        self._peers, self._follows = configuration.peers, configuration.followPeers
        listed = tuple(
            dict.fromkeys(peer for peer in configuration.peers if familyOf(peer) is self.family)
        )
        # Followed peers may be silent backups, which this host would not find again.
        self._followed = [
            peer for peer in self._followed if self._follows and peer not in listed
        ]
        self.audience = Audience(
            configuration.vhid,
            self._configured or b"",
            configuration.group if isIPv4 else configuration.group6,
            listed,
            self._followed,
        )
        self.transport.admitRouted(listed)
        useGroup = self._follows or not listed
        #: Whether peers send to the source of this host, and not to a group.
        self._isUnicast = not useGroup
        self.destinations = [
            *([self.audience.group] if useGroup else []),
            *listed,
            *self._followed,
        ]

    def source(self) -> bytes:
        """
        The packed address from which to advertise.

        @raise OSError: If no source is configured and the interface has no link-local address.
        """
        if self._configured is None:
            own = [one for one in self.transport.linkLocals() if one not in self._virtual]
            if not own:
                raise OSError(
                    errno.EADDRNOTAVAIL,
                    f"{self._interface} has no link-local IPv6 address of its own that is ready "
                    "(one that the kernel still checks for duplicates is not)",
                )
            # To its peers, a host with another source is another host.
            if self.audience.own not in own:
                self.audience.own = own[0]
        return self.audience.own

    @property
    def missesSource(self) -> bool:
        """
        Whether no interface of this host has the source that is configured.
        """
        return self._configured is not None and not self.transport.isLocal(self._configured)

    @property
    def isUnreachable(self) -> bool:
        """
        Whether peers send to an address that this host does not have.
        """
        return self._isUnicast and self.missesSource

    @property
    def isDeaf(self) -> bool:
        """
        Whether no packet of this family can arrive.
        """
        return not self.transport.hears() or self.isUnreachable

    @property
    def isOff(self) -> bool:
        """
        Whether the interface cannot have addresses of this family.
        """
        return self.transport.isSwitchedOff()

    def lack(self) -> str:
        """
        What this host lacks to take part in this family, as a phrase for log lines; empty if
        nothing.
        """
        if self.isOff:
            return (
                f"IPv6 is switched off on {self._interface}: "
                f"sysctl net.ipv6.conf.{self._interface}.disable_ipv6=0 switches it on"
            )
        if self.isUnreachable:
            return (
                f"no interface has {textOf(self.audience.own)}, the source (-s) of this host, to "
                "which its peers send"
            )
        try:
            self.source()
        except OSError as error:
            return error.strerror or str(error)
        return ""

    def whyDropped(self, source: bytes) -> str:
        """
        See L{IAdvertisementTransport.whyDropped<txcarp.interfaces.IAdvertisementTransport>}.
        """
        if source in self._virtual:
            # The kernel takes a packet from an address of its own for a forged one.
            return (
                "it is a virtual address, which this host has while it is master. Give each host "
                "an address of its own on the interface"
            )
        return self.transport.whyDropped(source)

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


def haveUnread(channels: Collection[Channel]) -> bool:
    """
    Whether packets wait to be read in any family.
    """
    unread = False
    for channel in channels:  # any() with a generator takes longer
        unread |= channel.transport.hasUnread()
    return unread


def survey(channels: Collection[Channel]) -> TransportChanged:
    """
    Find out in which families this host can take part.
    """
    hearing = [channel for channel in channels if channel.transport.hears()]
    off = [channel.lack() for channel in channels if channel.isOff]
    lacks = [channel.lack() for channel in hearing]
    return TransportChanged(
        deaf=frozenset(channel.family for channel in channels if channel.isDeaf),
        isDeaf=not hearing and not off,
        lack=off[0] if off else lacks[0] if lacks and all(lacks) else "",
        isOff=bool(off),
        missing=tuple(
            channel.audience.own
            for channel in channels
            if channel.missesSource and not channel.isUnreachable
        ),
    )
