"""
Network interfaces and their addresses, as the kernel describes them.
"""

from __future__ import annotations

import attrs

ARPHRD_ETHER = 1

#: The kinds of links that take the packets from their ports.  To a program on the host, the packets
#: arrive on the bridge or bond, and none on the port.  A VRF leaves them on the port.
_TAKING = frozenset(("bridge", "bond", "team", "openvswitch", "hsr"))

# linux/if_addr.h
_IFA_F_DADFAILED, _IFA_F_DEPRECATED, _IFA_F_TENTATIVE = 0x08, 0x20, 0x40

#: The smallest MTU in bytes with which a link can carry IPv6 (RFC 8200, section 5).
MINIMUM_MTU_IPV6 = 1280


@attrs.frozen
class Link:
    """
    A network interface.

    @ivar up: Whether it is administratively up (C{IFF_UP}).
    @ivar running: Whether it is up and has a carrier (C{IFF_RUNNING}).
    @ivar address: The link-layer address: a MAC address for Ethernet; empty if there is none.
    @ivar kind: C{"veth"}, C{"bridge"}, C{"macvlan"}...; C{None} for hardware and loopback.
    @ivar hardwareType: C{ARPHRD_...}; L{ARPHRD_ETHER} for Ethernet.
    @ivar parent: The index of the link below a macvlan or vlan, or of the other end of a veth
        pair in that end's namespace.
    @ivar mtu: The size of the largest packet in bytes.
    @ivar master: The index of the bridge, bond or VRF that this link is a port of.
    @ivar portOf: The kind of that, as for C{kind}; C{None} if it is not known.
    @ivar masterName: The name of that; empty if it is not known.
    @ivar alias: The C{ifalias}, a note for administrators; may be empty.
    @ivar operational: Whether the operational state is up.  A new interface is running
        before it is operational.  Links that differ only in this compare equal.
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
    portOf: str | None = None
    masterName: str = ""
    alias: str = ""
    operational: bool = attrs.field(default=False, eq=False)

    @property
    def works(self) -> bool:
        """
        Whether the link can carry packets.
        """
        return self.up and self.running

    @property
    def isEnslaved(self) -> bool:
        """
        Whether another link takes all packets that arrive on this one.
        """
        return self.master is not None and self.portOf in _TAKING

    @property
    def carriesIPv6(self) -> bool:
        """
        Whether the MTU is large enough for the kernel to do IPv6 on this link, or unknown.
        """
        return not 0 < self.mtu < MINIMUM_MTU_IPV6


@attrs.frozen
class InterfaceAddress:
    """
    An address of an interface.

    @ivar index: The index of the interface.
    @ivar family: C{AF_INET} or C{AF_INET6}.  Other families are possible; C{local} then has
        their format.
    @ivar local: The packed address (not that of the far end of a point-to-point link).
    @ivar flags: C{IFA_F_...}, all 32 bits.
    @ivar validLifetime: Seconds from the kernel's message until it removes the address;
        C{None} for never.
    @ivar preferredLifetime: Seconds from the message until new connections avoid the address;
        C{None} for never.
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

    @property
    def isUsable(self) -> bool:
        """
        Whether packets can have this address.  While the kernel searches for another host that
        has it, and after one was found, they cannot.
        """
        return not self.flags & (_IFA_F_TENTATIVE | _IFA_F_DADFAILED)

    @property
    def isDeprecated(self) -> bool:
        """
        Whether another address is a better source.
        """
        return bool(self.flags & _IFA_F_DEPRECATED)

    def covers(self, packed: bytes) -> bool:
        """
        Whether a packed address is in the network of this one.
        """
        if len(packed) != len(self.local):
            return False
        hostBits = 8 * len(packed) - self.prefixLength
        return not (int.from_bytes(self.local) ^ int.from_bytes(packed)) >> hostBits

    def sharesNetwork(self, other: InterfaceAddress) -> bool:
        """
        Whether both are addresses of one network on one interface.
        """
        return (self.index, self.family, self.prefixLength) == (
            other.index,
            other.family,
            other.prefixLength,
        ) and self.covers(other.local)
