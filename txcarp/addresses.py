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

    @ivar text: The address as it was written, without the prefix length.
    @ivar packed: Its 4 or 16 bytes.
    @ivar prefixLength: The length of its network prefix in bits.
    """

    text: str
    packed: bytes
    prefixLength: int

    @property
    def isIPv4(self) -> bool:
        """
        Whether this is an IPv4 address.
        """
        return len(self.packed) == 4

    def __str__(self) -> str:
        return f"{self.text}/{self.prefixLength}"


def parseVirtualAddress(text: str) -> VirtualAddress:
    """
    Parse an IPv4 or IPv6 address with an optional prefix length.  The default is /32 or /128.

    @raise ValueError: If the text is not such an address.
    """
    address, slash, length = text.partition("/")
    try:
        packed = parseAddress(address)
        bits = 8 * len(packed)
        if slash and not (length.isascii() and length.isdigit() and int(length) <= bits):
            raise ValueError
    except ValueError:
        raise ValueError(
            f"{text!r} is not an address such as 192.0.2.1, 192.0.2.1/24 or 2001:db8::1/64"
        ) from None
    return VirtualAddress(address, packed, int(length) if slash else bits)


def parseIPv4(text: str) -> bytes:
    """
    Return the packed form of an IPv4 address in dotted decimal.

    @raise ValueError: If the text is not such an address.
    """
    return _parse(text, 4, "192.0.2.1")


def parseIPv6(text: str) -> bytes:
    """
    Return the packed form of an IPv6 address without a scope.

    @raise ValueError: If the text is not such an address.
    """
    return _parse(text, 6, "2001:db8::1")


def parseAddress(text: str) -> bytes:
    """
    Return the packed form of an IPv4 or IPv6 address.

    @raise ValueError: If the text is neither.
    """
    return parseIPv6(text) if ":" in text else parseIPv4(text)


def _parse(text: str, version: int, example: str) -> bytes:
    try:
        return bytes(IPAddress(text, version=version).packed)
    except (AddrFormatError, ValueError):
        raise ValueError(f"{text!r} is not an IPv{version} address such as {example}") from None


def parseHardwareAddress(text: str) -> bytes:
    """
    Return the six bytes of a unicast Ethernet address.

    @raise ValueError: If the text is not such an address.
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
    Return the Ethernet address that CARP and VRRP reserve for a group.
    """
    return bytes((0x00, 0x00, 0x5E, 0x00, 0x01, vhid))


def textOf(address: bytes) -> str:
    """
    Return a packed address of either family as text; a question mark if it has another length.
    """
    if len(address) == 4:
        return socket.inet_ntop(socket.AF_INET, address)
    return socket.inet_ntop(socket.AF_INET6, address) if len(address) == 16 else "?"


class Holding(enum.Enum):
    """
    Which program, if any, added a virtual address to an interface of this host.
    """

    NOBODY = "nobody"
    OURS = "this program"
    FOREIGN = "another program"
