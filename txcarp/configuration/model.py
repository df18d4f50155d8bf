"""
What an administrator asked for: one frozen, validated model.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import attrs

from txcarp.addresses import VirtualAddress, parseVirtualAddress, textOf
from txcarp.protocol import ipv4, ipv6
from txcarp.protocol.authentication import MAXIMUM_PASSWORD
from txcarp.protocol.demotion import FULL_DEMOTION
from txcarp.protocol.dialect import DIALECTS, UCARP, Dialect
from txcarp.protocol.family import Family, familyOf, isMulticast
from txcarp.protocol.seal import Verification
from txcarp.protocol.timing import Timing

#: The longest name of an interface, in bytes (IFNAMSIZ - 1).
MAXIMUM_INTERFACE = 15

#: How many hosts advertisements are sent to one by one.
MAXIMUM_PEERS = 32

#: How many pairs of password and addresses are accepted at a time: each costs
#: a digest for every packet that is none of ours.
MAXIMUM_PAIRS = 16

_LIMITED_BROADCAST = b"\xff\xff\xff\xff"


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
class TrackedInterface:
    """
    Another interface, without whose link this host is demoted.

    @ivar name: Its name; it need not exist yet.
    @ivar amount: By how much, 1 to 240.
    """

    name: str
    amount: int = FULL_DEMOTION


@attrs.frozen
class FlapLimit:
    """
    When a host changes its role too often.

    @ivar changes: So many times a backup again...
    @ivar seconds: ...within so many seconds; and for how long it then waits.
    """

    changes: int
    seconds: float


def _packed(size: int) -> Callable[[Any, attrs.Attribute[Any], bytes | None], None]:
    def check(instance: object, attribute: attrs.Attribute[Any], value: bytes | None) -> None:
        if value is not None and len(value) != size:
            raise ConfigurationError(
                attribute.name, f"{attribute.name} must be {size} packed bytes, not {value!r}"
            )

    return check


def _dialect(value: str | Dialect) -> Dialect:
    if isinstance(value, Dialect):
        return value
    if value not in DIALECTS:
        raise ConfigurationError(
            "dialect", f"{value!r} is not a dialect: it is one of {', '.join(DIALECTS)}"
        )
    return DIALECTS[value]


def _notNegative(
    instance: object, attribute: attrs.Attribute[Any], value: float | None
) -> None:
    if value is not None and not 0 <= value < float("inf"):
        raise ConfigurationError(
            attribute.name, f"{attribute.name} must not be less than 0 seconds, as {value} is"
        )


def _hardware(
    instance: object, attribute: attrs.Attribute[Any], value: bytes | None
) -> None:
    if value is not None and (len(value) != 6 or value[0] & 1):
        raise ConfigurationError(
            attribute.name,
            f"{attribute.name} must be an Ethernet address that is no group, not {value.hex(':')}",
        )


def _readAddressSets(sets: Iterable[Iterable[str]]) -> tuple[tuple[VirtualAddress, ...], ...]:
    return tuple(map(_readAddresses, sets))


def _readAddresses(texts: Iterable[str]) -> tuple[VirtualAddress, ...]:
    try:
        return tuple(map(parseVirtualAddress, texts))
    except ValueError as error:
        raise ConfigurationError("addresses", str(error)) from None


def notAnInterface(name: str) -> str:
    """
    Why a name cannot be that of an interface, by the rules of Linux
    (C{dev_valid_name}); an empty string if it can.  An interface may be missing
    and is waited for, but not one that can never be.
    """
    interface, colon, _ = name.partition(":")
    if colon and interface:
        return (
            f"{name!r} is a label of addresses, not the name of an interface: "
            f"give {interface!r}"
        )
    if (
        not 1 <= len(os.fsencode(name)) <= MAXIMUM_INTERFACE
        or name in (".", "..")
        or any(letter in "/:" or letter.isspace() for letter in name)
    ):
        return f"{name!r} is not the name of an interface (1 to {MAXIMUM_INTERFACE} bytes)"
    return ""


def _interface(instance: object, attribute: attrs.Attribute[str], value: str) -> None:
    problem = notAnInterface(value)
    if problem:
        raise ConfigurationError(attribute.name, problem)


def _source(instance: object, attribute: attrs.Attribute[Any], value: bytes | None) -> None:
    if value is not None and (isMulticast(value) or value == _LIMITED_BROADCAST):
        raise ConfigurationError(
            attribute.name, f"{textOf(value)} cannot be the source of anything: it is no one host"
        )


def _passwords(
    instance: object, attribute: attrs.Attribute[tuple[bytes, ...]], value: tuple[bytes, ...]
) -> None:
    for password in value:
        _password(instance, attribute, password)


def _password(instance: object, attribute: attrs.Attribute[Any], value: bytes) -> None:
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
    @ivar source: The packed IPv4 address that advertisements come from; needed
        if there are IPv4 addresses.
    @ivar source6: The packed IPv6 address that they come from; C{None} for the
        link-local address of the interface.
    @ivar addresses: The virtual addresses, given as they are written.  They
        say in which families this host advertises.
    @ivar group: The packed IPv4 address that advertisements go to.
    @ivar group6: The packed IPv6 address that they go to.
    @ivar peers: The packed addresses of hosts that advertisements are sent to,
        each alone, in place of the group of their family.  From these they may
        come through a router.
    @ivar followPeers: Whether advertisements go to the group, to the peers,
        and to every host that was heard.
    @ivar dialect: Whose rules hold in the group; a name or a L{Dialect}.
    @ivar broadcast: Whether they go to the Ethernet broadcast address.
    @ivar advbase: Whole seconds between advertisements, 0 to 255.
    @ivar advskew: 256ths of a second more, 0 to 255; higher is less preferred.
    @ivar deadRatio: How many bases of silence are tolerated, at least 1.
    @ivar preempt: Whether to take over from a slower master that lives.
    @ivar preemptDelay: Seconds as a backup in good order before it does that.
    @ivar startDelay: Seconds after the start for which this host does not
        become master.
    @ivar flapLimit: When it changes its role too often; C{None} for never.
    @ivar anyFamily: Whether the silence of one family is enough to take over,
        as in the BSD kernels.
    @ivar trackedInterfaces: Interfaces whose links this host is demoted
        without.
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
    @ivar verification: What is demanded of the seals of others; with C{OFF}
        nothing is sealed either.
    @ivar stateFile: The file that keeps, over a restart, what replays are recognized
        by; C{None} for none.  Virtual hosts of a process may share one.
    @ivar otherPasswords: Passwords that are accepted, too, while a group
        changes its password.
    @ivar otherAddresses: Sets of addresses that are accepted, too.
    @ivar signedHardware: The hardware address that an OpenBSD peer puts into
        the digest because it was set by hand; empty for none.
    @ivar debug: Whether to log each packet.
    """

    interface: str = attrs.field(validator=_interface)
    vhid: int = attrs.field(validator=_between(1, 255))
    password: bytes = attrs.field(validator=_password, repr=False)
    source: bytes | None = attrs.field(default=None, validator=[_packed(4), _source])
    source6: bytes | None = attrs.field(default=None, validator=[_packed(16), _source])
    addresses: tuple[VirtualAddress, ...] = attrs.field(converter=_readAddresses)
    group: bytes = attrs.field(default=ipv4.GROUP, validator=_packed(4))
    group6: bytes = attrs.field(default=ipv6.GROUP, validator=_packed(16))
    peers: tuple[bytes, ...] = ()
    followPeers: bool = False
    dialect: Dialect = attrs.field(default=UCARP, converter=_dialect)
    broadcast: bool = False
    advbase: int = attrs.field(default=1, validator=_between(0, 255))
    advskew: int = attrs.field(default=0, validator=_between(0, 255))
    deadRatio: int = attrs.field(default=3, validator=_between(1, 2**32 - 1))
    preempt: bool = False
    preemptDelay: float = attrs.field(default=0.0, validator=_notNegative)
    startDelay: float | None = attrs.field(default=None, validator=_positive)
    flapLimit: FlapLimit | None = FlapLimit(10, 60.0)
    anyFamily: bool = False
    trackedInterfaces: tuple[TrackedInterface, ...] = ()
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
    verification: Verification = Verification.LEARN
    stateFile: str | None = None
    otherPasswords: tuple[bytes, ...] = attrs.field(
        default=(), validator=_passwords, repr=False
    )
    otherAddresses: tuple[tuple[VirtualAddress, ...], ...] = attrs.field(
        default=(), converter=_readAddressSets
    )
    signedHardware: bytes = b""
    debug: bool = False

    def __attrs_post_init__(self) -> None:
        """
        Check what several settings say together.

        @raise ConfigurationError: If they cannot be together.
        """
        if not self.addresses:
            raise ConfigurationError("addresses", "a virtual host has at least one address")
        for address in self.addresses:
            if not self.assign and address.prefixLength != 8 * len(address.packed):
                raise ConfigurationError(
                    "addresses",
                    f"without assign an address has no prefix length, as {address} has: the "
                    "scripts add it",
                )
        if Family.IPV4 in self.families and self.source is None:
            raise ConfigurationError("source", "IPv4 addresses need a source for advertisements")
        if self.virtualMAC is not None and not self.assign:
            raise ConfigurationError(
                "virtualMAC", "a virtual hardware address needs assign: no script can add it"
            )
        times = Counter(address.packed for address in self.addresses)
        for packed, count in times.items():
            if count > 1:
                raise ConfigurationError(
                    "addresses", f"the address {textOf(packed)} is given twice"
                )
        if self.advbase == 0 and self.advskew == 0 and not self.dialect.zeroBase:
            raise ConfigurationError(
                "advbase", "advbase and advskew are both 0: there is no time between advertisements"
            )
        if not isMulticast(self.group) and not self.broadcast:
            raise ConfigurationError(
                "group",
                f"the group must be a multicast address (224.0.0.0/4), not {textOf(self.group)}",
            )
        if not isMulticast(self.group6):
            raise ConfigurationError(
                "group6",
                f"the group must be a multicast address (ff00::/8), not {textOf(self.group6)}",
            )
        for peer in self.peers:
            if len(peer) not in (4, 16) or isMulticast(peer):
                what = repr(peer) if textOf(peer) == "?" else textOf(peer)
                raise ConfigurationError(
                    "peers", f"a peer is one host, 4 or 16 packed bytes, not {what}"
                )
            if peer in (self.source, self.source6):
                raise ConfigurationError(
                    "peers", f"a peer is another host, not this one: {textOf(peer)}"
                )
        if len(self.peers) > MAXIMUM_PEERS:
            raise ConfigurationError(
                "peers", f"there are more than {MAXIMUM_PEERS} peers: {len(self.peers)}"
            )
        pairs = (1 + len(self.otherPasswords)) * (1 + len(self.otherAddresses))
        if pairs > MAXIMUM_PAIRS:
            raise ConfigurationError(
                "otherPasswords",
                f"there are {pairs} pairs of password and addresses to accept; the most is "
                f"{MAXIMUM_PAIRS}",
            )

    @property
    def families(self) -> tuple[Family, ...]:
        """
        In which families this host advertises.
        """
        present = {familyOf(address.packed) for address in self.addresses}
        return tuple(family for family in Family if family in present)

    @property
    def timing(self) -> Timing:
        """
        advbase and advskew together.
        """
        return Timing(self.advbase, self.advskew)
