"""
Addresses as people write them.
"""

from __future__ import annotations

import enum
import socket

import attrs
from netaddr import EUI, AddrFormatError, IPAddress


@attrs.frozen
class VirtualAddress:
    """
    An address that the hosts of a group share.

    @ivar text: The address as it was written, without a prefix length.
    @ivar packed: Its 4 or 16 bytes.
    @ivar prefixLength: How many of its bits name the network.
    """

    text: str
    packed: bytes
    prefixLength: int

    @property
    def isIPv4(self) -> bool:
        """
        Whether it is not an IPv6 address.
        """
        return len(self.packed) == 4

    def __str__(self) -> str:
        return f"{self.text}/{self.prefixLength}"


def parseVirtualAddress(text: str) -> VirtualAddress:
    """
    Read an IPv4 or IPv6 address with or without a prefix length; without one
    it stands alone (/32, /128).

    @raise ValueError: If it is no address.
    """
    address, slash, length = text.partition("/")
    try:
        if ":" not in address:
            packed = parseIPv4(address)
        else:
            packed = bytes(IPAddress(address, version=6).packed)
        bits = 8 * len(packed)
        prefixLength = bits
        if slash:
            if not length.isascii() or not length.isdigit() or int(length) > bits:
                raise ValueError
            prefixLength = int(length)
    except (AddrFormatError, ValueError):
        raise ValueError(
            f"{text!r} is not an address such as 192.0.2.1, 192.0.2.1/24 or 2001:db8::1/64"
        ) from None
    return VirtualAddress(address, packed, prefixLength)


def parseIPv4(text: str) -> bytes:
    """
    The packed form of an IPv4 address.

    @raise ValueError: If it is not a dotted quad.
    """
    try:
        # Exactly four numbers: netaddr, like inet_aton, would complete fewer.
        if text.count(".") != 3:
            raise AddrFormatError
        return bytes(IPAddress(text, version=4).packed)
    except (AddrFormatError, ValueError):
        raise ValueError(f"{text!r} is not an IPv4 address such as 192.0.2.1") from None


def parseIPv6(text: str) -> bytes:
    """
    The packed form of an IPv6 address without a scope.

    @raise ValueError: If it is none.
    """
    try:
        return bytes(IPAddress(text, version=6).packed)
    except (AddrFormatError, ValueError):
        raise ValueError(f"{text!r} is not an IPv6 address such as 2001:db8::1") from None


def parseSource(text: str) -> bytes:
    """
    The packed form of an IPv4 or IPv6 address.

    @raise ValueError: If it is neither.
    """
    return parseIPv6(text) if ":" in text else parseIPv4(text)


def parseHardwareAddress(text: str) -> bytes:
    """
    The six bytes of an Ethernet address.

    @raise ValueError: If it is none, or is that of a group.
    """
    try:
        packed = bytes(EUI(text, version=48).packed)
    except (AddrFormatError, ValueError):
        packed = b""
    if not packed or packed[0] & 1:
        raise ValueError(f"{text!r} is not an Ethernet address such as 00:00:5e:00:01:07")
    return packed


def virtualHardwareAddress(vhid: int) -> bytes:
    """
    The Ethernet address that CARP and VRRP reserve for a group.
    """
    return bytes((0x00, 0x00, 0x5E, 0x00, 0x01, vhid))


def textOf(address: bytes) -> str:
    """
    A packed address of either family for people; a question mark if it is
    none.
    """
    if len(address) == 4:
        return socket.inet_ntop(socket.AF_INET, address)
    return socket.inet_ntop(socket.AF_INET6, address) if len(address) == 16 else "?"


class Holding(enum.Enum):
    """
    Who put an address on this host.
    """

    NOBODY = "nobody"
    OURS = "this program"
    FOREIGN = "somebody else"
