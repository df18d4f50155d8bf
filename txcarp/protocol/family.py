"""
The two families of IP addresses.
"""

from __future__ import annotations

import enum


class Family(enum.Enum):
    """
    An IP version.  A virtual host with addresses of both families advertises in both; each
    advertisement is signed over all of its addresses.
    """

    IPV4 = "IPv4"
    IPV6 = "IPv6"

    # That of an enumeration calls two functions in Python.  Each packet is looked up by its family
    # in several tables.
    __hash__ = object.__hash__


def familyOf(address: bytes) -> Family:
    """
    Return the family of a packed address.
    """
    return Family.IPV4 if len(address) == 4 else Family.IPV6


def isMulticast(address: bytes) -> bool:
    """
    Whether a packed address is in 224.0.0.0/4 or ff00::/8.
    """
    return address[0] >> 4 == 0xE if len(address) == 4 else address[0] == 0xFF


def isLinkLocal(address: bytes) -> bool:
    """
    Whether a packed address is in fe80::/10.
    """
    return len(address) == 16 and address[0] == 0xFE and address[1] >> 6 == 0b10
