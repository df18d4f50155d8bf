"""
Netlink requests about links and addresses.

These functions only make values: there is no socket and no reactor here.  Addresses and
MAC addresses are packed bytes, lifetimes are whole seconds.
"""

from __future__ import annotations

import socket
import struct

from txcarp.netlink.format import (
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    Request,
    attribute,
    nested,
)
from txcarp.netlink.messages import (
    ADDRESS_HEADER,
    ADDRESS_SIZES,
    FOREVER,
    IFA_ADDRESS,
    IFA_CACHEINFO,
    IFA_FLAGS,
    IFA_LOCAL,
    IFA_PROTO,
    IFF_UP,
    IFLA_ADDRESS,
    IFLA_IFALIAS,
    IFLA_IFNAME,
    IFLA_INFO_KIND,
    IFLA_LINK,
    IFLA_LINKINFO,
    IFLA_MASTER,
    LIFETIMES,
    LINK_HEADER,
    RTM_DELADDR,
    RTM_DELLINK,
    RTM_NEWADDR,
    RTM_NEWLINK,
)

RTM_SETLINK = 19

IFA_F_NODAD = 0x02
"""Use an IPv6 address at once, without a search for duplicates."""

IFA_F_NOPREFIXROUTE = 0x200
"""Do not add a route to the network of the address."""

_IFLA_NET_NS_FD, _IFLA_INFO_DATA = 28, 2
_IFLA_MACVLAN_MODE = 1
_MACVLAN_MODES = {"private": 1, "bridge": 4}
_IFA_BROADCAST = 4
_IFLA_AF_SPEC, _IFLA_INET_CONF = 26, 1
_DEVCONF_PROMOTE_SECONDARIES = 20


def newMacvlan(
    name: str, parent: int, *, address: bytes | None = None, mode: str = "bridge"
) -> Request:
    """
    Make an interface with its own MAC address on top of another interface.

    @param parent: The index of the other interface.
    @param mode: C{"bridge"} (macvlans on the same parent hear each other) or C{"private"}.
    @raise ValueError: If the mode is another one.
    """
    if mode not in _MACVLAN_MODES:
        raise ValueError(f"macvlan mode {mode!r}, expected one of {', '.join(_MACVLAN_MODES)}")
    data = attribute(_IFLA_MACVLAN_MODE, struct.pack("=I", _MACVLAN_MODES[mode]))
    return newLink("macvlan", data, name=name, address=address, parent=parent)


def setLink(
    index: int,
    *,
    up: bool | None = None,
    name: str | None = None,
    address: bytes | None = None,
    master: int | None = None,
    namespace: int | None = None,
    alias: str | None = None,
) -> Request:
    """
    Change a link.  An argument that is C{None} changes nothing.

    @param name: The new name; older kernels rename a link only while it is down.
    @param address: The new MAC address.
    @param master: The index of the bridge that the link becomes a port of; 0 to leave it.
    @param namespace: The descriptor of the network namespace that the link moves to.
    @param alias: A note about the link, up to 255 bytes.
    @raise ValueError: If the name is empty or longer than 15 bytes.
    """
    body = linkBody(index, up=up, name=name, address=address, master=master, namespace=namespace)
    if alias is not None:
        body += attribute(IFLA_IFALIAS, alias.encode())
    return Request(RTM_SETLINK, 0, body)


def promoteSecondaries(index: int) -> Request:
    """
    Let a link keep the other IPv4 addresses of a network when the first one is removed.

    Otherwise the kernel removes them all (C{promote_secondaries} in
    C{Documentation/networking/ip-sysctl.rst}).
    """
    setting = attribute(_DEVCONF_PROMOTE_SECONDARIES, struct.pack("=I", 1))
    inet = nested(socket.AF_INET, nested(_IFLA_INET_CONF, setting))
    return Request(RTM_SETLINK, 0, linkBody(index) + nested(_IFLA_AF_SPEC, inet))


def delLink(index: int) -> Request:
    """
    Delete a link.  The kernel deletes the other end of a veth pair, and the macvlans on a
    parent, as well.
    """
    return Request(RTM_DELLINK, 0, linkBody(index))


def newAddress(
    index: int,
    local: bytes,
    prefixLength: int,
    *,
    validLifetime: int | None = None,
    preferredLifetime: int | None = None,
    flags: int = 0,
    scope: int = 0,
    broadcast: bytes | None = None,
    protocol: int | None = None,
    replace: bool = False,
) -> Request:
    """
    Add an address to a link, or change its lifetimes.

    @param local: The packed address, 4 or 16 bytes.
    @param validLifetime: Seconds until the kernel removes it, at least 1; C{None} for
        never.
    @param preferredLifetime: Seconds until the kernel avoids it as a source, at most
        C{validLifetime}; C{None} for C{validLifetime}.
    @param flags: L{IFA_F_NODAD}, L{IFA_F_NOPREFIXROUTE} and others of the kernel.
    @param protocol: A number from 1 to 255 that tells which program added it; kernels
        before 5.18 forget it.
    @param replace: Whether to change the lifetimes of an existing address; otherwise the
        kernel refuses with C{EEXIST}.
    @raise ValueError: If an argument is out of its range.
    """
    valid = _lifetime("validLifetime", validLifetime, 1)
    preferred = valid if preferredLifetime is None else preferredLifetime
    preferred = _lifetime("preferredLifetime", preferred, 0)
    if preferred > valid:
        raise ValueError(f"preferredLifetime {preferred}, expected at most validLifetime {valid}")
    body = _addressBody(index, local, prefixLength, flags & 0xFF, scope)
    body += attribute(IFA_FLAGS, struct.pack("=I", flags))
    body += attribute(IFA_CACHEINFO, LIFETIMES.pack(preferred, valid, 0, 0))
    if broadcast is not None:
        body += attribute(_IFA_BROADCAST, broadcast)
    if protocol is not None:
        if not 1 <= protocol <= 255:
            raise ValueError(f"address protocol {protocol}, expected 1 to 255")
        body += attribute(IFA_PROTO, struct.pack("=B", protocol))
    return Request(RTM_NEWADDR, NLM_F_CREATE | (NLM_F_REPLACE if replace else NLM_F_EXCL), body)


def delAddress(index: int, local: bytes, prefixLength: int) -> Request:
    """
    Remove an address from a link.  The kernel refuses with C{EADDRNOTAVAIL} if the link
    does not have it.
    """
    return Request(RTM_DELADDR, 0, _addressBody(index, local, prefixLength, 0, 0))


def newLink(
    kind: str,
    data: bytes,
    index: int = 0,
    *,
    name: str,
    address: bytes | None = None,
    parent: int | None = None,
) -> Request:
    """
    Make a link of any kind.

    @param kind: The kernel's name of the kind.
    @param data: The attributes that only this kind has.
    @param index: The index of the link; 0 if the kernel may choose.
    @param parent: The index of the link below it.
    """
    info = nested(
        IFLA_LINKINFO,
        attribute(IFLA_INFO_KIND, kind.encode("ascii")),
        nested(_IFLA_INFO_DATA, data),
    )
    body = linkBody(index, name=name, address=address, parent=parent) + info
    return Request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body)


def linkBody(
    index: int,
    *,
    up: bool | None = None,
    name: str | None = None,
    address: bytes | None = None,
    parent: int | None = None,
    master: int | None = None,
    namespace: int | None = None,
) -> bytes:
    """
    The header and the attributes of a message about a link.
    """
    change = 0 if up is None else IFF_UP
    body = LINK_HEADER.pack(socket.AF_UNSPEC, 0, index, IFF_UP if up else 0, change)
    if name is not None:
        encoded = name.encode("utf-8", "surrogateescape")
        if not 1 <= len(encoded) <= 15:
            raise ValueError(f"interface name {name!r}, expected 1 to 15 bytes")
        body += attribute(IFLA_IFNAME, encoded + b"\0")
    if address is not None:
        body += attribute(IFLA_ADDRESS, address)
    for type, value in (
        (IFLA_LINK, parent),
        (IFLA_MASTER, master),
        (_IFLA_NET_NS_FD, namespace),
    ):
        if value is not None:
            body += attribute(type, struct.pack("=I", value))
    return body


def _addressBody(index: int, local: bytes, prefixLength: int, flags: int, scope: int) -> bytes:
    family = _family(local)
    _checkPrefixLength(local, prefixLength)
    body = ADDRESS_HEADER.pack(family, prefixLength, flags, scope, index)
    return body + attribute(IFA_LOCAL, local) + attribute(IFA_ADDRESS, local)


def _family(packed: bytes) -> int:
    for family, size in ADDRESS_SIZES.items():
        if len(packed) == size:
            return family
    raise ValueError(f"packed address of {len(packed)} bytes, expected 4 (IPv4) or 16 (IPv6)")


def _checkPrefixLength(packed: bytes, prefixLength: int) -> None:
    if not 0 <= prefixLength <= 8 * len(packed):
        raise ValueError(f"prefix length {prefixLength}, expected 0 to {8 * len(packed)}")


def _lifetime(name: str, seconds: int | None, least: int) -> int:
    if seconds is None or seconds == FOREVER:
        return FOREVER
    if not isinstance(seconds, int) or not least <= seconds < FOREVER:
        raise ValueError(f"{name} {seconds!r}, expected whole seconds, {least} or more, or None")
    return seconds
