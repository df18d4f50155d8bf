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

    @ivar up: it is switched on (C{IFF_UP}).
    @ivar running: it is on and can carry packets: there is a carrier (C{IFF_RUNNING}).
    @ivar address: its MAC address, or what stands for it; empty if it has none.
    @ivar kind: C{"veth"}, C{"bridge"}, C{"macvlan"}...; C{None} for hardware and
        loopback.
    @ivar hardwareType: C{ARPHRD_...}; L{ARPHRD_ETHER} for Ethernet.
    @ivar parent: index of the link below (of a macvlan or vlan) or of the other end (of
        a veth; it may be counted in another namespace).
    @ivar mtu: bytes.
    @ivar master: index of the bridge or bond that it is a port of.
    @ivar alias: what somebody noted about it, for people; empty if nobody did.
    @ivar operational: its operational state is up, which it is not yet when a new
        interface is first said to be running; no part of a comparison.
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
        Whether the kernel does IPv6 here: not where the smallest packet that every link
        has to carry (RFC 8200, section 5) does not fit.
        """
        return not 0 < self.mtu < MINIMUM_MTU_IPV6


@attrs.frozen
class InterfaceAddress:
    """
    An address on an interface.

    @ivar index: of the interface.
    @ivar family: C{AF_INET} or C{AF_INET6}; others are possible and have C{local} in
        their own form.
    @ivar local: the packed address itself (not the far end of a point-to-point link).
    @ivar flags: C{IFA_F_...}, all 32 bits.
    @ivar validLifetime: seconds that were left when the kernel said it; C{None} means
        for ever.
    @ivar preferredLifetime: as C{validLifetime}, until new connections avoid the
        address.
    @ivar protocol: the tag of the program that added it; C{None} without one (and
        before Linux 5.18).
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
