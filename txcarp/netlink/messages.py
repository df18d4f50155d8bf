"""
Links and addresses in the messages of rtnetlink (C{include/uapi/linux/rtnetlink.h},
C{if_link.h} and C{if_addr.h} of the kernel).

Addresses are packed bytes, lifetimes are whole seconds.
"""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

from txcarp.links import InterfaceAddress, Link
from txcarp.netlink.format import (
    NLM_F_DUMP,
    Message,
    NetlinkError,
    Request,
    number,
    readAttributes,
    text,
)

_T = TypeVar("_T")

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22

IFF_UP, IFF_RUNNING = 0x1, 0x40

IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_LINK, IFLA_MASTER = 1, 3, 4, 5, 10
IFLA_WIRELESS, IFLA_OPERSTATE, IFLA_LINKINFO, IFLA_IFALIAS = 11, 16, 18, 20
IF_OPER_UP = 6
IFLA_INFO_KIND, _IFLA_INFO_SLAVE_KIND = 1, 4
IFA_ADDRESS, IFA_LOCAL, IFA_CACHEINFO, IFA_FLAGS, IFA_PROTO = 1, 2, 6, 8, 11

#: The flag of an IPv4 address that is not the first of its network on its link.  Packets of this
#: host to that network leave from the first one.
IFA_F_SECONDARY = 0x01

#: A lifetime that does not end.
FOREVER = 0xFFFFFFFF

LINK_HEADER = struct.Struct("=BxHiII")
ADDRESS_HEADER = struct.Struct("=BBBBI")
LIFETIMES = struct.Struct("=IIII")
#: How the attribute with the lifetimes begins.
_LIFETIMES_HEADER = struct.pack("=HH", 4 + LIFETIMES.size, IFA_CACHEINFO)
#: The bytes of a packed address, by family.
ADDRESS_SIZES = {int(socket.AF_INET): 4, int(socket.AF_INET6): 16}


def parseLink(message: Message) -> Link | None:
    """
    Parse an C{RTM_NEWLINK} or C{RTM_DELLINK}.

    @return: The link; C{None} if the message does not describe a link as a whole.  A bridge
        sends an C{RTM_DELLINK} of its own family when a port leaves it, and wireless drivers
        send events without an address.
    @raise NetlinkError: If the message is malformed.
    """
    family, hardwareType, index, flags, _ = _unpack(LINK_HEADER, message, "link")
    if family != socket.AF_UNSPEC:
        return None
    found = readAttributes(message.body[LINK_HEADER.size :])
    if IFLA_WIRELESS in found:
        return None
    name = text(found.get(IFLA_IFNAME, b""))
    if index <= 0 or not name:
        raise NetlinkError(f"netlink link with index {index} and name {name!r}, expected both")
    kind = portOf = None
    if IFLA_LINKINFO in found:
        info = readAttributes(found[IFLA_LINKINFO])
        kind = text(info.get(IFLA_INFO_KIND, b"")) or None
        portOf = text(info.get(_IFLA_INFO_SLAVE_KIND, b"")) or None
    return Link(
        index=index,
        name=name,
        up=bool(flags & IFF_UP),
        running=flags & (IFF_UP | IFF_RUNNING) == IFF_UP | IFF_RUNNING,
        address=found.get(IFLA_ADDRESS, b""),
        kind=kind,
        hardwareType=hardwareType,
        parent=_index(found, IFLA_LINK, "parent link"),
        mtu=number(found[IFLA_MTU], "MTU") if IFLA_MTU in found else 0,
        master=_index(found, IFLA_MASTER, "master link"),
        portOf=portOf,
        alias=text(found.get(IFLA_IFALIAS, b"")),
        operational=found.get(IFLA_OPERSTATE) == bytes([IF_OPER_UP]),
    )


def ipv6LinkOf(message: Message) -> int | None:
    """
    Return the index of the link whose IPv6 settings an C{RTM_NEWLINK} reports; C{None} if it
    reports something else.

    @raise NetlinkError: If the message is malformed.
    """
    family, _, index, _, _ = _unpack(LINK_HEADER, message, "link")
    return index if family == socket.AF_INET6 else None


def outlineAddress(message: Message) -> tuple[bytes, bytes]:
    """
    Look at an C{RTM_NEWADDR} or C{RTM_DELADDR} without parsing it.

    @return: What is different for different addresses, and what is different if anything but the
        time of the change is.  An address whose lifetime was set again to what it was has the same
        values.
    """
    body = message.body
    first = ADDRESS_HEADER.size
    length = int.from_bytes(body[first : first + 2], sys.byteorder)
    # The family, the prefix length, the index and the first attribute, which is an address.
    key = body[:2] + body[4 : first + length]
    lifetimes = body.rfind(_LIFETIMES_HEADER, first)
    if lifetimes < 0:
        return key, body
    changed = lifetimes + len(_LIFETIMES_HEADER) + LIFETIMES.size - 4
    return key, body[:changed] + body[changed + 4 :]


def parseAddress(message: Message) -> InterfaceAddress:
    """
    Parse an C{RTM_NEWADDR} or C{RTM_DELADDR}.

    @raise NetlinkError: If the message is malformed.
    """
    family, prefixLength, flags, scope, index = _unpack(ADDRESS_HEADER, message, "address")
    found = readAttributes(message.body[ADDRESS_HEADER.size :])
    local = found.get(IFA_LOCAL, found.get(IFA_ADDRESS))
    if local is None:
        raise NetlinkError(f"netlink address of family {family} on link {index} without an address")
    if len(local) != ADDRESS_SIZES.get(family, len(local)):
        raise NetlinkError(
            f"netlink address of family {family} of {len(local)} bytes, "
            f"expected {ADDRESS_SIZES[family]}"
        )
    preferred = valid = FOREVER
    if IFA_CACHEINFO in found:
        if len(found[IFA_CACHEINFO]) < LIFETIMES.size:
            raise NetlinkError(
                f"netlink address lifetimes of {len(found[IFA_CACHEINFO])} bytes, "
                f"expected {LIFETIMES.size}"
            )
        preferred, valid, _, _ = LIFETIMES.unpack_from(found[IFA_CACHEINFO])
    return InterfaceAddress(
        index=index,
        family=family,
        prefixLength=prefixLength,
        local=local,
        flags=number(found[IFA_FLAGS], "address flags") if IFA_FLAGS in found else flags,
        scope=scope,
        validLifetime=None if valid == FOREVER else valid,
        preferredLifetime=None if preferred == FOREVER else preferred,
        protocol=number(found[IFA_PROTO], "address protocol") if IFA_PROTO in found else None,
    )


def parseAll(messages: Sequence[Message], parse: Callable[[Message], _T | None]) -> list[_T]:
    """
    Parse the messages of a list, and leave out those for which there is no value.

    @raise NetlinkError: If one is malformed.
    """
    return [value for value in map(parse, messages) if value is not None]


def getLinks() -> Request:
    """
    Request the list of all links.
    """
    return Request(RTM_GETLINK, NLM_F_DUMP, LINK_HEADER.pack(socket.AF_UNSPEC, 0, 0, 0, 0))


def getAddresses(family: int = socket.AF_UNSPEC) -> Request:
    """
    Request the list of the addresses of one family, or of all.
    """
    return Request(RTM_GETADDR, NLM_F_DUMP, ADDRESS_HEADER.pack(family, 0, 0, 0, 0))


def _unpack(form: struct.Struct, message: Message, name: str) -> tuple[int, ...]:
    if len(message.body) < form.size:
        raise NetlinkError(
            f"netlink {name} of {len(message.body)} bytes, expected at least {form.size}"
        )
    return form.unpack_from(message.body)


def _index(found: dict[int, bytes], type: int, name: str) -> int | None:
    return number(found[type], name) or None if type in found else None
