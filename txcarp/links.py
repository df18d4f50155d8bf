"""
Network interfaces and their addresses, as the kernel describes them.
"""

from __future__ import annotations

import attrs

ARPHRD_ETHER = 1

#: Bytes.
MINIMUM_MTU_IPV6 = 1280


@attrs.frozen
class Link:
    """
    A network interface.

    @ivar up: Whether it is switched on (C{IFF_UP}).
    @ivar running: Whether it is up and has a carrier (C{IFF_RUNNING}).
    @ivar address: The MAC address, or what another kind of link has in its place; empty if
        there is none.
    @ivar kind: C{"veth"}, C{"bridge"}, C{"macvlan"}...; C{None} for hardware and loopback.
    @ivar hardwareType: C{ARPHRD_...}; L{ARPHRD_ETHER} for Ethernet.
    @ivar parent: The index of the link below (of a macvlan or vlan), or of the other end of
        a veth pair, in the namespace of that end.
    @ivar mtu: Bytes of the largest packet.
    @ivar master: The index of the bridge or bond whose port this is.
    @ivar alias: The C{ifalias} of the link, a note for people; empty if there is none.
    @ivar operational: Whether the operational state is up.  A new interface is running
        before it is operational.  Links that differ only in this are equal.
    """

    index: int
    name: str
    up: bool
    running: bool
    address: bytes = b""
    kind: str | None = None
    hardwareType: int = ARPHRD_ETHER
    parent: int | None = None
    mtu: int = 0
    master: int | None = None
    alias: str = ""
    operational: bool = attrs.field(default=False, eq=False)

    @property
    def works(self) -> bool:
        """
        Whether it is switched on and can carry packets.
        """
        return self.up and self.running

    @property
    def carriesIPv6(self) -> bool:
        """
        Whether the kernel does IPv6 on this link.  The MTU must be at least
        L{MINIMUM_MTU_IPV6} (RFC 8200, section 5).
        """
        return not 0 < self.mtu < MINIMUM_MTU_IPV6


@attrs.frozen
class InterfaceAddress:
    """
    An address that an interface has.

    @ivar index: The index of the interface.
    @ivar family: C{AF_INET} or C{AF_INET6}.  Other families are possible; C{local} has their
        own form then.
    @ivar local: The packed address (not that of the far end of a point-to-point link).
    @ivar flags: C{IFA_F_...}, all 32 bits.
    @ivar validLifetime: Seconds until the kernel removes the address, when the message was
        sent; C{None} if it stays.
    @ivar preferredLifetime: Seconds until new connections avoid the address; C{None} for
        never.
    @ivar protocol: The mark of the program that added the address (C{IFA_PROTO}); C{None} if
        there is none, and before Linux 5.18.
    """

    index: int
    family: int
    prefixLength: int
    local: bytes
    flags: int = 0
    scope: int = 0
    validLifetime: int | None = None
    preferredLifetime: int | None = None
    protocol: int | None = None
