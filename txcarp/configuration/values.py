"""
What the settings of a virtual host can be given as, and what is wrong with a value.

A reader returns a value that it cannot read as it is, and the checks refuse it: only they know
which setting it is for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address
from typing import Any, TypeAlias, TypeVar, cast

from netaddr import EUI, IPAddress, IPNetwork

from txcarp.addresses import (
    VirtualAddress,
    parseAddress,
    parseHardwareAddress,
    parseVirtualAddress,
    textOf,
)
from txcarp.protocol.authentication import MAXIMUM_PASSWORD
from txcarp.protocol.family import isMulticast

_Value = TypeVar("_Value")

#: An address without a prefix length.
Address: TypeAlias = bytes | str | IPv4Address | IPv6Address | IPAddress

#: An address that may have a prefix length.  The interfaces of C{ipaddress} are addresses, too.
SharedAddress: TypeAlias = VirtualAddress | str | IPv4Address | IPv6Address | IPAddress | IPNetwork

#: The longest name of an interface, in bytes (IFNAMSIZ - 1).
MAXIMUM_INTERFACE = 15

#: A time of this many seconds (32 years) or more is a mistake.
_FOREVER = 1e9

_LIMITED_BROADCAST = b"\xff\xff\xff\xff"


# Readers.


def every(values: Iterable[Any], read: Callable[[Any], _Value]) -> tuple[_Value, ...]:
    """
    The members of a list, each read.  A single text is not a list of letters, nor are bytes one
    of numbers.
    """
    if isinstance(values, Iterable) and not isinstance(values, str | bytes | Mapping):
        return tuple(map(read, values))
    return cast("tuple[_Value, ...]", values)


def packed(address: Address) -> bytes:
    """
    The bytes of an address.
    """
    if isinstance(address, str | IPv4Address | IPv6Address | IPAddress):
        with suppress(ValueError):
            return parseAddress(str(address))
    return cast(bytes, address)


def packedOrNone(address: Address | None) -> bytes | None:
    """
    The bytes of an address, if there is one.
    """
    return None if address is None else packed(address)


def packedAddresses(addresses: Iterable[Address]) -> tuple[bytes, ...]:
    """
    The bytes of several addresses.
    """
    return every(addresses, packed)


def virtual(address: SharedAddress) -> VirtualAddress:
    """
    A virtual address.
    """
    if isinstance(address, str | IPv4Address | IPv6Address | IPAddress | IPNetwork):
        with suppress(ValueError):
            return parseVirtualAddress(str(address))
    return cast(VirtualAddress, address)


def virtualAddresses(addresses: Iterable[SharedAddress]) -> tuple[VirtualAddress, ...]:
    """
    Several virtual addresses.
    """
    return every(addresses, virtual)


def addressSets(sets: Iterable[Iterable[SharedAddress]]) -> tuple[tuple[VirtualAddress, ...], ...]:
    """
    Several sets of virtual addresses.
    """
    return every(sets, virtualAddresses)


def several(values: Iterable[_Value]) -> tuple[_Value, ...]:
    """
    Several values that need no reader.
    """
    return every(values, lambda value: value)


def hardwareAddress(address: bytes | str | EUI) -> bytes:
    """
    The bytes of an Ethernet address.
    """
    if isinstance(address, str | EUI):
        with suppress(ValueError):
            return parseHardwareAddress(str(address))
    return cast(bytes, address)


def hardwareAddressOrNone(address: bytes | str | EUI | None) -> bytes | None:
    """
    The bytes of an Ethernet address, if there is one.
    """
    return None if address is None else hardwareAddress(address)


def path(name: str | os.PathLike[str] | None) -> str | None:
    """
    The path of a file as text.
    """
    return os.fspath(name) if isinstance(name, os.PathLike) else name


# Checks: what is wrong with a value; an empty string if nothing is.


def notMembers(values: object, kind: type, what: str) -> str:
    """
    @param what: What a member is, for people.
    """
    if not isinstance(values, tuple):
        return f"{values!r} is not a list: every member is {what}"
    wrong = [value for value in values if not isinstance(value, kind)]
    return f"{wrong[0]!r} is not {what}" if wrong else ""


def outside(value: object, low: int, high: int) -> str:
    isNumber = isinstance(value, int) and not isinstance(value, bool)
    if isNumber and low <= cast(int, value) <= high:
        return ""
    kind = "number" if isNumber else "whole number"
    return f"{value!r} is not a {kind} from {low} to {high}"


def notATime(value: object) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _FOREVER:
        return ""
    return f"{value!r} is not a number of seconds, 0 or more"


def notALimit(value: object) -> str:
    if value is None or (value != 0 and not notATime(value)):
        return ""
    return f"{value!r} is not a number of seconds greater than 0"


def notAPassword(value: object) -> str:
    if not isinstance(value, bytes):
        return f"a password is bytes, not {type(value).__name__}"
    if 1 <= len(value) <= MAXIMUM_PASSWORD:
        return ""
    return f"{len(value)} bytes; a password has 1 to {MAXIMUM_PASSWORD}"


def notAnInterface(name: object) -> str:
    """
    By the rules of Linux (C{dev_valid_name}).  An interface may be missing and is waited for,
    but not one that can never exist.
    """
    if not isinstance(name, str):
        return f"{name!r} is not the name of an interface"
    interface, colon, _ = name.partition(":")
    if colon and interface:
        return (
            f"{name!r} is a label of addresses, not the name of an interface: give {interface!r}"
        )
    wrong = f"{name!r} is not the name of an interface"
    size = len(os.fsencode(name))
    if size > MAXIMUM_INTERFACE:
        return f"{wrong}: Interface name too long, {size} bytes, at most {MAXIMUM_INTERFACE}"
    if name in ("", ".", "..") or any(letter in "/:" or letter.isspace() for letter in name):
        return f"{wrong} (1 to {MAXIMUM_INTERFACE} bytes)"
    return ""


def notACommand(words: object) -> str:
    """
    A command is a program and its arguments.  There is no shell, and no search in C{PATH}.
    """
    if not isinstance(words, tuple) or not words or not all(map(_isArgument, words)):
        return "a command is a list of a path and arguments"
    if not words[0].startswith("/"):
        return f"{words[0]!r} is not the absolute path of a program"
    return ""


def _isArgument(word: object) -> bool:
    return isinstance(word, str) and "\0" not in word


def notALabel(label: object, interface: str) -> str:
    if not isinstance(label, str) or not label.startswith(f"{interface}:"):
        return f"{label!r} does not begin with {interface}: and is no label of this interface"
    size = len(os.fsencode(label))
    if size > MAXIMUM_INTERFACE:
        return f"{label!r} has {size} bytes, and a label at most {MAXIMUM_INTERFACE}"
    return ""


def notASource(value: object, size: int) -> str:
    if not isinstance(value, bytes) or len(value) != size:
        return notAnAddress(value, size)
    if notOneHost(value):
        return f"{textOf(value)} is not the address of one host, as a source must be"
    return ""


def notAnAddress(value: object, size: int) -> str:
    """
    The error for what is not an address of the family with this size.
    """
    if not isinstance(value, bytes):
        return f"{value!r} is not an {'IPv4' if size == 4 else 'IPv6'} address"
    given = textOf(value) if len(value) in (4, 16) else repr(value)
    return f"must be {size} packed bytes, not {given}"


def notOneHost(address: bytes) -> bool:
    return isMulticast(address) or address == _LIMITED_BROADCAST or not any(address)


def notAGroup(value: object, size: int, network: str, broadcast: bool = False) -> str:
    if not isinstance(value, bytes) or len(value) != size:
        return notAnAddress(value, size)
    if not isMulticast(value) and not broadcast:
        return f"the group must be a multicast address ({network}), not {textOf(value)}"
    return ""


def notHardware(value: object) -> str:
    if isinstance(value, bytes) and len(value) == 6 and not value[0] & 1:
        return ""
    given = value.hex(":") if isinstance(value, bytes) else repr(value)
    return f"must be the Ethernet address of one host, not {given}"
