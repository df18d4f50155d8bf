"""
What a doctor knows before it judges: plain values, gathered by L{txcarp.doctor.gathering} and
L{txcarp.doctor.exchange}.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.doctor.filtering import Chain
from txcarp.doctor.packet import Kind, Seen, TestPacket
from txcarp.links import InterfaceAddress, Link
from txcarp.protocol.family import Family


@attrs.frozen
class Bridge:
    """
    A Linux bridge on this host.

    @ivar snooping: Whether it forwards multicast only to ports that have asked for it.
    @ivar hasQuerier: Whether it asks the hosts for their groups itself, or has heard somebody who
        does.
    """

    name: str
    snooping: bool
    hasQuerier: bool


@attrs.frozen
class BridgePort:
    """
    A port of a Linux bridge on this host.

    @ivar bridge: The index of the bridge.
    @ivar isForwarding: Whether the spanning tree lets it forward.
    """

    name: str
    bridge: int
    isForwarding: bool


@attrs.frozen
class Daemon:
    """
    A process on this host that takes part in a group.

    @ivar program: C{txcarp}, C{ucarp} or C{keepalived}.
    @ivar pid: Its number; 0 if it cannot be known.
    @ivar capabilities: The numbers of its effective capabilities; C{None} if they are not known.
    @ivar lockedMemory: Bytes of its memory that are locked; C{None} if that is not known.
    """

    program: str
    pid: int
    capabilities: frozenset[int] | None = None
    lockedMemory: int | None = None


@attrs.frozen
class HostFacts:
    """
    This host.

    @ivar links: Its interfaces.
    @ivar addresses: Their addresses.
    @ivar bridges: Its bridges by index.
    @ivar ports: The ports of these.
    @ivar chains: The chains of its firewalls.
    @ivar reversePath: The effective C{rp_filter} of interfaces, by name.
    @ivar returns: The index of the interface by which packets go to an IPv4 address that was heard,
        by the packed address; 0 if there is no way.
    @ivar withoutIPv6: The names of interfaces on which IPv6 is switched off.
    @ivar daemons: The processes of each group, by interface and vhid.
    """

    links: Sequence[Link] = ()
    addresses: Sequence[InterfaceAddress] = ()
    bridges: Mapping[int, Bridge] = attrs.field(factory=dict)
    ports: Sequence[BridgePort] = ()
    chains: Sequence[Chain] = ()
    reversePath: Mapping[str, int] = attrs.field(factory=dict)
    returns: Mapping[bytes, int] = attrs.field(factory=dict)
    withoutIPv6: frozenset[str] = frozenset()
    daemons: Mapping[tuple[str, int], Sequence[Daemon]] = attrs.field(factory=dict)

    def link(self, name: str) -> Link | None:
        """
        The interface of a name.
        """
        return next((one for one in self.links if one.name == name), None)

    def on(self, name: str) -> list[InterfaceAddress]:
        """
        The addresses of an interface.
        """
        link = self.link(name)
        return [one for one in self.addresses if link is not None and one.index == link.index]


@attrs.frozen
class Advertiser:
    """
    A host whose advertisements with the number of the group were seen.

    @ivar source: The packed address that they came from.
    @ivar isHere: Whether this host sent them.
    @ivar isMember: Whether they were signed with the password for the addresses of the group.
    @ivar atInterface: How many arrived in front of the firewall.
    @ivar behind: How many passed it.
    """

    source: bytes
    isHere: bool
    isMember: bool
    atInterface: int = 0
    behind: int = 0


@attrs.frozen
class Partner:
    """
    A doctor on another host.

    @ivar source: The packed address that it sends from.
    @ivar isPresent: Whether it has echoed the number of this run, so that what it says is new.
    @ivar seenHere: What arrived here of its packets.
    @ivar seenThere: What arrived there of the packets of this host.
    @ivar said: Its last packet.
    @ivar hasSameSettings: Whether its addresses and its dialect are those of this host.
    @ivar hops: By how much routers on the way have lowered the TTL.
    @ivar clockDistance: Seconds by which its clock is ahead of the one of this host; C{None} if
        that is not known.
    """

    source: bytes
    isPresent: bool
    seenHere: Seen
    seenThere: Seen
    said: TestPacket
    hasSameSettings: bool = True
    hops: int = 0
    clockDistance: float | None = None


@attrs.frozen
class PathFacts:
    """
    One family of one group on the network.

    @ivar source: The packed address that this host sends from; empty if it has none.
    @ivar isListening: Whether this host could listen at all.
    @ivar listened: Seconds for which it did.
    @ivar sendErrors: The C{errno} of packets of which none could be sent, by their kind.
    @ivar partners: The doctors that answered.
    @ivar strangers: The packed addresses of doctors for the same vhid with another password.
    @ivar isEchoed: Whether packets of this host came back to it.
    @ivar advertisers: The hosts whose advertisements were seen.
    @ivar turns: How often an advertisement of the group came from another host than the one before.
    @ivar asked: The packed addresses of other hosts that were asked by ARP or neighbour
        solicitation, because they were heard or are configured.
    @ivar answers: The hardware addresses that answered for an address.
    """

    group: VirtualHostConfiguration
    family: Family
    source: bytes
    isListening: bool = False
    listened: float = 0.0
    sendErrors: Mapping[Kind, int] = attrs.field(factory=dict)
    partners: Sequence[Partner] = ()
    strangers: Sequence[bytes] = ()
    isEchoed: bool = False
    advertisers: Sequence[Advertiser] = ()
    turns: int = 0
    asked: Sequence[bytes] = ()
    answers: Mapping[bytes, frozenset[bytes]] = attrs.field(factory=dict)

    @property
    def destination(self) -> bytes:
        """
        The packed multicast address of the group.
        """
        return self.group.group if self.family is Family.IPV4 else self.group.group6

    @property
    def usesMulticast(self) -> bool:
        """
        Whether advertisements go to the multicast address.
        """
        size = len(self.destination)
        return self.group.followPeers or not any(len(one) == size for one in self.group.peers)

    @property
    def isAdvertising(self) -> bool:
        """
        Whether this host was seen to advertise as master of the group.
        """
        return any(one.isHere for one in self.advertisers)


@attrs.frozen
class Facts:
    """
    Everything.

    @ivar untested: What could not be found out, and why; each a sentence.
    """

    host: HostFacts
    paths: Sequence[PathFacts]
    untested: Sequence[str] = ()
