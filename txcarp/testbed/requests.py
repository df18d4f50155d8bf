"""
Netlink requests that only a test network needs: cables, switches and routes.
"""

from __future__ import annotations

import ipaddress
import socket
import struct

from txcarp.netlink.format import NLM_F_CREATE, NLM_F_EXCL, Request, attribute, nested
from txcarp.netlink.requests import linkBody, newLink

_RTM_NEWROUTE = 24

_VETH_INFO_PEER = 1
_IFLA_BR_FORWARD_DELAY, _IFLA_BR_STP_STATE, _IFLA_BR_MCAST_SNOOPING = 1, 5, 23
_RTA_DST, _RTA_GATEWAY = 1, 5
_RT_TABLE_MAIN, _RTPROT_STATIC, _RT_SCOPE_UNIVERSE, _RTN_UNICAST = 254, 4, 0, 1
_ROUTE = struct.Struct("=BBBBBBBBI")


def newVeth(
    name: str, peerName: str, *, peerNamespace: int, peerAddress: bytes, index: int
) -> Request:
    """
    Make a pair of interfaces, each of which receives what the other one sends.

    @param peerNamespace: The descriptor of the peer's network namespace.
    @param peerAddress: The peer's Ethernet address, six bytes.
    @param index: The index of C{name}.
    """
    peer = linkBody(0, name=peerName, address=peerAddress, namespace=peerNamespace)
    return newLink("veth", nested(_VETH_INFO_PEER, peer), index, name=name)


def newBridge(name: str, *, multicastSnooping: bool = False) -> Request:
    """
    Make a bridge without spanning tree, whose ports forward at once.
    """
    data = (
        attribute(_IFLA_BR_FORWARD_DELAY, struct.pack("=I", 0))
        + attribute(_IFLA_BR_STP_STATE, struct.pack("=I", 0))
        + attribute(_IFLA_BR_MCAST_SNOOPING, struct.pack("=B", multicastSnooping))
    )
    return newLink("bridge", data, name=name)


def newRoute(destination: str, gateway: str) -> Request:
    """
    Add a route to the main table.

    @param destination: A network with its prefix length, or C{"default"}.
    @param gateway: The address of the next hop, of the same family.
    """
    hop = ipaddress.ip_address(gateway)
    if destination == "default":
        destination = "0.0.0.0/0" if hop.version == 4 else "::/0"
    network = ipaddress.ip_network(destination)
    body = _ROUTE.pack(
        socket.AF_INET if hop.version == 4 else socket.AF_INET6,
        network.prefixlen,
        0,
        0,
        _RT_TABLE_MAIN,
        _RTPROT_STATIC,
        _RT_SCOPE_UNIVERSE,
        _RTN_UNICAST,
        0,
    )
    if network.prefixlen:
        body += attribute(_RTA_DST, network.network_address.packed)
    body += attribute(_RTA_GATEWAY, hop.packed)
    return Request(_RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, body)
