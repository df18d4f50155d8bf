"""
What a doctor finds.
"""

from __future__ import annotations

import enum

import attrs

from txcarp.configuration.model import VirtualHostConfiguration


class Ailment(enum.Enum):
    """
    A kind of trouble.  The values do not change between versions, so that other programs can
    recognise them.
    """

    NO_INTERFACE = "no-interface"
    INTERFACE_DOWN = "interface-down"
    NO_CARRIER = "no-carrier"
    PORT_OF_BRIDGE = "port-of-bridge"
    BRIDGE_PORT = "bridge-port"
    NO_SOURCE = "no-source"
    IPV6_OFF = "ipv6-off"
    SMALL_MTU = "small-mtu"
    DUPLICATE_ADDRESS = "duplicate-address"
    LEFTOVER_ADDRESS = "leftover-address"
    TWO_DAEMONS = "two-daemons"
    MISSING_CAPABILITY = "missing-capability"
    UNLOCKED_MEMORY = "unlocked-memory"
    REVERSE_PATH = "reverse-path"
    FIREWALL = "firewall"
    OTHER_FIREWALL = "other-firewall"
    MULTICAST_LOST = "multicast-lost"
    UNICAST_LOST = "unicast-lost"
    ONE_WAY = "one-way"
    LARGE_LOST = "large-lost"
    MTU_DIFFERS = "mtu-differs"
    NEIGHBOUR_SILENT = "neighbour-silent"
    TWO_MASTERS = "two-masters"
    ADDRESS_TWICE = "address-twice"
    OWN_ECHO = "own-echo"
    SAME_SOURCE = "same-source"
    OTHER_PASSWORD = "other-password"  # noqa: S105
    OTHER_SETTINGS = "other-settings"
    EQUAL_TIMING = "equal-timing"
    CLOCKS_APART = "clocks-apart"


#: What a group can live with: a container without further rights has it for ever, say.
_ADVICE = frozenset((Ailment.UNLOCKED_MEMORY,))


@attrs.frozen
class Complaint:
    """
    One thing that is wrong.

    @ivar group: How people call the group; empty if it concerns the host.
    @ivar seen: What was seen, as a sentence.
    @ivar cause: The likely cause, as a sentence.
    @ivar commands: The commands that mend it.
    @ivar peer: The address of the other host that it concerns; empty if there is none.
    """

    ailment: Ailment
    group: str
    interface: str
    seen: str
    cause: str
    commands: tuple[str, ...] = ()
    peer: str = ""

    @property
    def isAdvice(self) -> bool:
        """
        Whether the hosts of the group do what they should all the same.
        """
        return self.ailment in _ADVICE


def titleOf(group: VirtualHostConfiguration) -> str:
    """
    How people call a group.
    """
    return group.title or f"{group.interface}:{group.vhid}"
