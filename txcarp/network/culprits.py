"""
Why the kernel drops packets that no firewall drops.
"""

from __future__ import annotations

import socket
from pathlib import Path

import attrs

from txcarp.network.addresslist import AddressList
from txcarp.protocol.family import Family

#: The kernel's settings in the network namespace of this process.
_SETTINGS = "/proc/sys/net"


def whyDropped(
    addresses: AddressList, interface: str, index: int, family: Family, source: bytes
) -> str:
    """
    See L{IAdvertisementTransport.whyDropped<txcarp.interfaces.IAdvertisementTransport>}.

    @param index: The index of the interface.
    """
    if addresses.isLocal(source, index):
        return "this host has that address, too. Give each host an address of its own"
    if family is Family.IPV6:
        isOff = isSwitchedOff(family, interface)
        return "IPv6 is switched off on the interface" if isOff else ""
    if any(
        one.sharesNetwork(attrs.evolve(one, local=source))
        for one in addresses.of(index)
        if one.family == socket.AF_INET
    ):
        return ""
    # The kernel uses the higher value.  On an interface without an IPv4 address, the filter
    # drops packets of every source.
    reverse = max(_setting(family, name, "rp_filter") for name in ("all", interface))
    if not reverse:
        return ""
    return (
        f"net.ipv4.conf.*.rp_filter is {reverse}, and {interface} has no address in the "
        "network of that one. Give the interface such an address, or set rp_filter to 0 for "
        "it and for all. If that does not help, a firewall rule drops them"
    )


def isSwitchedOff(family: Family, interface: str) -> bool:
    """
    See L{IAdvertisementTransport.isSwitchedOff<txcarp.interfaces.IAdvertisementTransport>}.
    """
    # Without the setting there is no IPv6, and the sockets fail.
    return family is Family.IPV6 and _setting(family, interface, "disable_ipv6") > 0


def _setting(family: Family, interface: str, name: str) -> int:
    """
    Return one of the kernel's settings of a family for an interface; 0 if it has none.
    """
    directory = "ipv4" if family is Family.IPV4 else "ipv6"
    try:
        return int(Path(_SETTINGS, directory, "conf", interface, name).read_text())
    except (OSError, ValueError):
        return 0
