"""
What an administrator asked for: one frozen, validated model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import attrs
from netaddr import EUI, AddrFormatError, IPAddress

from txcarp.protocol.authentication import MAXIMUM_PASSWORD
from txcarp.protocol.envelope import GROUP
from txcarp.protocol.timing import Timing

#: The longest name of an interface, in bytes (IFNAMSIZ - 1).
MAXIMUM_INTERFACE = 15


class ConfigurationError(ValueError):
    """
    A setting that cannot be.

    @ivar setting: The name of the attribute of L{VirtualHostConfiguration}.
    """

    def __init__(self, setting: str, message: str) -> None:
        super().__init__(message)
        self.setting = setting


def _between(low: int, high: int) -> Callable[[Any, attrs.Attribute[int], int], None]:
    def check(instance: object, attribute: attrs.Attribute[int], value: int) -> None:
        if not low <= value <= high:
            raise ConfigurationError(
                attribute.name, f"{attribute.name} must be from {low} to {high}, not {value}"
            )

    return check


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


def _address(instance: object, attribute: attrs.Attribute[bytes], value: bytes) -> None:
    if len(value) != 4:
        raise ConfigurationError(attribute.name, f"{attribute.name} must be 4 packed bytes")


def _hardware(
    instance: object, attribute: attrs.Attribute[Any], value: bytes | None
) -> None:
    if value is not None and (len(value) != 6 or value[0] & 1):
        raise ConfigurationError(
            attribute.name, f"{attribute.name} must be an Ethernet address that is no group"
        )


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


def _readAddresses(texts: Iterable[str]) -> tuple[VirtualAddress, ...]:
    try:
        return tuple(map(parseVirtualAddress, texts))
    except ValueError as error:
        raise ConfigurationError("addresses", str(error)) from None


def _interface(instance: object, attribute: attrs.Attribute[str], value: str) -> None:
    if not value or len(value.encode()) > MAXIMUM_INTERFACE or "/" in value or " " in value:
        raise ConfigurationError(
            attribute.name,
            f"{value!r} is not the name of an interface (1 to {MAXIMUM_INTERFACE} bytes)",
        )


def _password(instance: object, attribute: attrs.Attribute[bytes], value: bytes) -> None:
    if not 1 <= len(value) <= MAXIMUM_PASSWORD:
        raise ConfigurationError(
            attribute.name,
            f"a password has 1 to {MAXIMUM_PASSWORD} bytes, this one has {len(value)}",
        )


def _positive(instance: object, attribute: attrs.Attribute[Any], value: float | None) -> None:
    if value is not None and not 0 < value < float("inf"):
        raise ConfigurationError(
            attribute.name, f"{attribute.name} must be more than 0 seconds, not {value}"
        )


@attrs.frozen(kw_only=True)
class VirtualHostConfiguration:
    """
    One virtual host.

    @ivar interface: The name of the interface that its group is on.
    @ivar vhid: Its number in the group, 1 to 255.
    @ivar password: The secret of the group, 1 to 19 bytes; never shown.
    @ivar source: The packed IPv4 address that advertisements come from.
    @ivar addresses: The virtual addresses, given as they are written.
    @ivar group: The packed address that advertisements go to.
    @ivar broadcast: Whether they go to the Ethernet broadcast address.
    @ivar advbase: Whole seconds between advertisements, 0 to 255.
    @ivar advskew: 256ths of a second more, 0 to 255; higher is less preferred.
    @ivar deadRatio: How many bases of silence are tolerated, at least 1.
    @ivar preempt: Whether to take over from a slower master that lives.
    @ivar neutral: Whether the down script is left out at start.
    @ivar shutdown: Whether the down script runs when a master is stopped.
    @ivar ignoreLink: Whether a lost carrier is ignored.
    @ivar upScript: The file to run on becoming master.
    @ivar downScript: The file to run on becoming backup.
    @ivar parameter: One more argument for both scripts.
    @ivar scriptTimeout: Seconds that a script may take; C{None} for no limit.
    @ivar assign: Whether this program adds and removes the addresses itself.
    @ivar releaseFirst: Whether a master that leaves gives everything back
        before it says so, for services that must never run twice.
    @ivar virtualMAC: The six bytes of the hardware address that moves with the
        addresses; C{None} for the card's own, which stays.
    @ivar announceEvery: Seconds after which a master announces its addresses
        again, over and over; C{None} for never.
    @ivar debug: Whether to log each packet.
    """

    interface: str = attrs.field(validator=_interface)
    vhid: int = attrs.field(validator=_between(1, 255))
    password: bytes = attrs.field(validator=_password, repr=False)
    source: bytes = attrs.field(validator=_address)
    addresses: tuple[VirtualAddress, ...] = attrs.field(converter=_readAddresses)
    group: bytes = attrs.field(default=GROUP, validator=_address)
    broadcast: bool = False
    advbase: int = attrs.field(default=1, validator=_between(0, 255))
    advskew: int = attrs.field(default=0, validator=_between(0, 255))
    deadRatio: int = attrs.field(default=3, validator=_between(1, 2**32 - 1))
    preempt: bool = False
    neutral: bool = False
    shutdown: bool = False
    ignoreLink: bool = False
    upScript: str | None = None
    downScript: str | None = None
    parameter: str | None = None
    scriptTimeout: float | None = attrs.field(default=None, validator=_positive)
    assign: bool = False
    releaseFirst: bool = False
    virtualMAC: bytes | None = attrs.field(default=None, validator=_hardware)
    announceEvery: float | None = attrs.field(default=60.0, validator=_positive)
    debug: bool = False

    def __attrs_post_init__(self) -> None:
        """
        Check what several settings say together.

        @raise ConfigurationError: If they cannot be together.
        """
        if not self.addresses:
            raise ConfigurationError("addresses", "a virtual host has at least one address")
        if not self.assign and (
            len(self.addresses) > 1 or self.addresses[0].prefixLength != 32
        ):
            raise ConfigurationError(
                "addresses",
                "without assign there is one IPv4 address, without a prefix length: "
                "the scripts add it",
            )
        if self.virtualMAC is not None and not self.assign:
            raise ConfigurationError(
                "virtualMAC", "a virtual hardware address needs assign: no script can add it"
            )
        if len({address.packed for address in self.addresses}) != len(self.addresses):
            raise ConfigurationError("addresses", "an address is given twice")
        if self.advbase == 0 and self.advskew == 0:
            raise ConfigurationError(
                "advbase", "advbase and advskew are both 0: there is no time between advertisements"
            )
        if self.group[0] >> 4 != 0xE and not self.broadcast:
            raise ConfigurationError("group", "the group must be a multicast address (224.0.0.0/4)")

    @property
    def timing(self) -> Timing:
        """
        advbase and advskew together.
        """
        return Timing(self.advbase, self.advskew)
