"""
Asking the kernel which way packets go (C{include/uapi/linux/rtnetlink.h}).

Addresses are packed bytes.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

from txcarp.netlink.format import Message, NetlinkError, Request, attribute, number, readAttributes

RTM_NEWROUTE, RTM_GETROUTE = 24, 26

_ROUTE = struct.Struct("=BBBBBBBBI")
_RTM_F_FIB_MATCH = 0x2000
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_MULTIPATH, _RTA_VIA = 1, 4, 5, 9, 18

#: struct rtnexthop: length, flags, hops, interface.
_NEXT_HOP = struct.Struct("=HBBi")

#: Destinations for which nobody has a route but the default one: they are reserved (RFC 1112,
#: section 4; RFC 4291, section 2.4).
NOWHERE = (
    socket.inet_aton("240.0.0.1"),
    socket.inet_pton(socket.AF_INET6, "4000::1"),
)


def getRoute(destination: bytes, index: int) -> Request:
    """
    Request the route by which packets to a destination leave an interface.  Linux before 4.13
    answers as if this were a route to the destination alone.

    @param index: The index of the interface.
    """
    family = socket.AF_INET if len(destination) == 4 else socket.AF_INET6
    body = _ROUTE.pack(family, 8 * len(destination), 0, 0, 0, 0, 0, 0, _RTM_F_FIB_MATCH)
    body += attribute(_RTA_DST, destination) + attribute(_RTA_OIF, struct.pack("=I", index))
    return Request(RTM_GETROUTE, 0, body)


def nextHops(message: Message, index: int) -> list[bytes]:
    """
    The next hops of a default route on an interface; none if this is another route, or if packets
    go to their destination directly.

    @raise NetlinkError: If the message is malformed.
    """
    if len(message.body) < _ROUTE.size:
        raise NetlinkError(
            f"netlink route of {len(message.body)} bytes, expected at least {_ROUTE.size}"
        )
    if _ROUTE.unpack_from(message.body)[1]:
        return []
    found = readAttributes(message.body[_ROUTE.size :])
    ways = [(number(found[_RTA_OIF], "interface") if _RTA_OIF in found else 0, found)]
    ways += _waysIn(found.get(_RTA_MULTIPATH, b""))
    hops = [_gateway(way) for interface, way in ways if interface == index]
    return [hop for hop in dict.fromkeys(hops) if hop]


def _waysIn(data: bytes) -> Iterator[tuple[int, dict[int, bytes]]]:
    """
    The interface and the attributes of each next hop of a route that has several.
    """
    while data:
        if len(data) < _NEXT_HOP.size:
            raise NetlinkError(f"netlink next hop of {len(data)} bytes")
        length, _, _, index = _NEXT_HOP.unpack_from(data)
        if not _NEXT_HOP.size <= length <= len(data):
            raise NetlinkError(f"netlink next hop with length {length}, {len(data)} bytes are left")
        yield index, readAttributes(data[_NEXT_HOP.size : length])
        data = data[(length + 3) & ~3 :]


def _gateway(attributes: dict[int, bytes]) -> bytes:
    """
    The packed address of a next hop, which may be of the other family (RFC 5549); empty for none.
    """
    address = attributes.get(_RTA_GATEWAY) or attributes.get(_RTA_VIA, b"")[2:]
    return address if len(address) in (4, 16) else b""
