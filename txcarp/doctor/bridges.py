"""
Bridges and their ports in the kernel's messages about links (C{include/uapi/linux/if_link.h}).
"""

from __future__ import annotations

from collections.abc import Iterable

from txcarp.doctor.facts import Bridge, BridgePort
from txcarp.netlink.format import Message, number, readAttributes
from txcarp.netlink.format import text as textIn
from txcarp.netlink.messages import (
    IFLA_IFNAME,
    IFLA_INFO_KIND,
    IFLA_LINKINFO,
    IFLA_MASTER,
    LINK_HEADER,
)

_INFO_DATA, _INFO_SLAVE_KIND, _INFO_SLAVE_DATA = 2, 4, 5
_MCAST_SNOOPING, _MCAST_QUERIER, _MCAST_QUERIER_STATE = 23, 25, 47
_PORT_STATE = 1

#: BR_STATE_FORWARDING of C{linux/if_bridge.h}.
_FORWARDING = 3

#: In the state of a querier: how long somebody else who asks will be remembered, for IPv4 and IPv6.
_OTHER_QUERIERS = (3, 7)


def read(messages: Iterable[Message]) -> tuple[dict[int, Bridge], list[BridgePort]]:
    """
    The bridges by index, and the ports, in the answer to
    L{getLinks<txcarp.netlink.messages.getLinks>}.
    """
    bridges: dict[int, Bridge] = {}
    ports: list[BridgePort] = []
    for message in messages:
        _, _, index, _, _ = LINK_HEADER.unpack_from(message.body)
        found = readAttributes(message.body[LINK_HEADER.size :])
        name = textIn(found.get(IFLA_IFNAME, b""))
        info = readAttributes(found.get(IFLA_LINKINFO, b""))
        if textIn(info.get(IFLA_INFO_KIND, b"")) == "bridge":
            data = readAttributes(info.get(_INFO_DATA, b""))
            bridges[index] = Bridge(name, bool(_value(data, _MCAST_SNOOPING)), _hasQuerier(data))
        if textIn(info.get(_INFO_SLAVE_KIND, b"")) == "bridge" and IFLA_MASTER in found:
            data = readAttributes(info.get(_INFO_SLAVE_DATA, b""))
            ports.append(
                BridgePort(
                    name,
                    number(found[IFLA_MASTER], "master"),
                    _value(data, _PORT_STATE, _FORWARDING) == _FORWARDING,
                )
            )
    return bridges, ports


def _hasQuerier(data: dict[int, bytes]) -> bool:
    state = readAttributes(data.get(_MCAST_QUERIER_STATE, b""))
    return bool(_value(data, _MCAST_QUERIER)) or any(_value(state, one) for one in _OTHER_QUERIERS)


def _value(found: dict[int, bytes], kind: int, default: int = 0) -> int:
    return number(found[kind], "bridge setting") if kind in found else default
