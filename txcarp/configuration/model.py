"""
The configuration of a virtual host: one frozen model that checks every setting.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator

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

#: How many peers a master sends its advertisements to, each separately.
MAXIMUM_PEERS = 32

#: How many pairs of a password and a set of addresses are accepted at the same time.  Each
#: costs a digest for every packet that none of them has signed.
MAXIMUM_PAIRS = 16

#: A time of this many seconds (32 years) or more is a mistake.
_FOREVER = 1e9

_LIMITED_BROADCAST = b"\xff\xff\xff\xff"


class ConfigurationError(ValueError):
    """
    A setting has a value that it cannot have.

    @ivar setting: The name of the attribute of L{VirtualHostConfiguration}.
    @ivar problem: What is wrong with the value, without the name of the setting.
    @ivar contradiction: Whether the value is possible, but not together with the other settings.
    """

    def __init__(self, setting: str, problem: str, contradiction: bool = False) -> None:
        super().__init__(f"{setting}: {problem}")
        self.setting = setting
        self.problem = problem
        self.contradiction = contradiction


@attrs.frozen
class TrackedInterface:
    """
    Another interface.  This host is demoted while it has no link.

    @ivar name: Its name.  It need not exist yet.
    @ivar amount: How much this host is demoted, 1 to 240.
    """

    name: str
    amount: int = FULL_DEMOTION


@attrs.frozen
class FlapLimit:
    """
    How often a host may change its role.

    @ivar changes: A host that becomes backup this many times, at least 2...
    @ivar seconds: ...within this time does not become master for the same time.
    """

    changes: int
    seconds: float


def _readAddresses(
    given: Iterable[str | VirtualAddress], setting: str = "addresses"
) -> tuple[VirtualAddress, ...]:
    try:
        return tuple(parseVirtualAddress(one) if isinstance(one, str) else one for one in given)
    except ValueError as error:
        raise ConfigurationError(setting, str(error)) from None


def _readAddressSets(
    sets: Iterable[Iterable[str | VirtualAddress]],
) -> tuple[tuple[VirtualAddress, ...], ...]:
    return tuple(_readAddresses(one, "otherAddresses") for one in sets)


def _readDialect(value: str | Dialect) -> Dialect:
    if isinstance(value, Dialect):
        return value
    if value not in DIALECTS:
        raise ConfigurationError("dialect", f"{value!r} is none of {', '.join(DIALECTS)}")
    return DIALECTS[value]


def _readVerification(value: str | Verification) -> Verification:
    try:
        return Verification(value)
    except ValueError:
        modes = ", ".join(mode.value for mode in Verification)
        raise ConfigurationError("verification", f"{value!r} is none of {modes}") from None


@attrs.frozen(kw_only=True)
class VirtualHostConfiguration:
    """
    One virtual host.

    @ivar interface: The name of the interface that the group is on.
    @ivar vhid: The number of the group, 1 to 255.
    @ivar password: The secret of the group, 1 to 19 bytes.  It is never shown.
    @ivar advbase: Whole seconds between advertisements, 0 to 255.
    @ivar advskew: 256ths of a second added to that, 0 to 255.  The host with the highest is the
        least preferred.
    @ivar source: The packed IPv4 address that advertisements come from.  IPv4 addresses need it.
    @ivar source6: The packed IPv6 address that advertisements come from; C{None} for the
        link-local address of the interface.
    @ivar addresses: The virtual addresses, as text or read by L{parseVirtualAddress}.  This host
        advertises in their families.
    @ivar deadRatio: How many times advbase a master may be silent, at least 1.
    @ivar group: The packed IPv4 address that advertisements go to.
    @ivar group6: The packed IPv6 address that advertisements go to.
    @ivar broadcast: Whether they go to the Ethernet broadcast address.
    @ivar peers: The packed addresses of hosts that advertisements go to, in place of the group
        of their family.  Advertisements from these hosts may come through a router.
    @ivar followPeers: Whether advertisements go to the group, and a copy of each to the peers
        and to every host that was heard.
    @ivar dialect: The rules of the group: a name or a L{Dialect}.
    @ivar preempt: Whether to take over from a master that is less preferred.
    @ivar preemptDelay: Seconds as a healthy backup before that.
    @ivar startDelay: Seconds after the start in which this host does not become master.
    @ivar flapLimit: How often this host may change its role; C{None} for no limit.
    @ivar anyFamily: Whether the silence of one family is enough to take over, as in the BSD
        kernels.
    @ivar trackedInterfaces: Interfaces whose lost links demote this host.
    @ivar neutral: Whether the down script is left out at the start.
    @ivar shutdown: Whether the down script runs when a master is stopped.
    @ivar ignoreLink: Whether a lost carrier is ignored.
    @ivar upScript: The file to run on becoming master.
    @ivar downScript: The file to run on becoming backup.
    @ivar label: A label of the interface, such as eth0:1, that both scripts get in place of its
        name; C{None} for the name.
    @ivar parameter: One more argument for both scripts.
    @ivar scriptTimeout: Seconds that a script may run; C{None} for no limit.
    @ivar assign: Whether this program adds and removes the addresses itself.
    @ivar releaseFirst: Whether a master that leaves releases everything before it bows out, for
        services that must never run on two hosts.
    @ivar virtualMAC: The six bytes of a hardware address that moves with the virtual addresses;
        C{None} to use that of the card.
    @ivar announceEvery: Seconds between announcements of the addresses by a master; C{None} to
        announce them once.
    @ivar verification: Which seals are demanded of peers.  With C{OFF}, this host does not seal
        its own advertisements either.
    @ivar otherPasswords: Passwords that are accepted as well, while a group changes its own.
    @ivar otherAddresses: Sets of addresses that are accepted as well.
    @ivar signedHardware: The hardware address that OpenBSD peers sign because it was set by
        hand; empty for none.
    @ivar debug: Whether to log each packet.
    """

    interface: str
    vhid: int
    password: bytes = attrs.field(repr=False)
    advbase: int = 1
    advskew: int = 0
    source: bytes | None = None
    source6: bytes | None = None
    addresses: tuple[VirtualAddress, ...] = attrs.field(converter=_readAddresses)
    deadRatio: int = 3
    group: bytes = ipv4.GROUP
    group6: bytes = ipv6.GROUP
    broadcast: bool = False
    peers: tuple[bytes, ...] = ()
    followPeers: bool = False
    dialect: Dialect = attrs.field(default=UCARP, converter=_readDialect)
    preempt: bool = False
    preemptDelay: float = 0.0
    startDelay: float | None = None
    flapLimit: FlapLimit | None = FlapLimit(10, 60.0)
    anyFamily: bool = False
    trackedInterfaces: tuple[TrackedInterface, ...] = ()
    neutral: bool = False
    shutdown: bool = False
    ignoreLink: bool = False
    upScript: str | None = None
    downScript: str | None = None
    label: str | None = None
    parameter: str | None = None
    scriptTimeout: float | None = None
    assign: bool = False
    releaseFirst: bool = False
    virtualMAC: bytes | None = None
    announceEvery: float | None = 60.0
    verification: Verification = attrs.field(
        default=Verification.LEARN, converter=_readVerification
    )
    otherPasswords: tuple[bytes, ...] = attrs.field(default=(), repr=False)
    otherAddresses: tuple[tuple[VirtualAddress, ...], ...] = attrs.field(
        default=(), converter=_readAddressSets
    )
    signedHardware: bytes = b""
    debug: bool = False

    def __attrs_post_init__(self) -> None:
        """
        @raise ConfigurationError: If a setting has a value that it cannot have, or that
            contradicts another setting.
        """
        for setting, problem in self._checks():
            if problem:
                raise ConfigurationError(setting, problem)
        for setting, problem in self._contradictions():
            raise ConfigurationError(setting, problem, contradiction=True)

    def _checks(self) -> Iterator[tuple[str, str]]:
        """
        Each setting that is checked, with what is wrong with its value or an empty string.  The
        order is that in which ucarp checks its options.
        """
        yield "interface", _notAnInterface(self.interface)
        if self.label is not None:
            yield "label", _notALabel(self.label, self.interface)
        yield "vhid", _outside(self.vhid, 1, 255)
        yield "password", _notAPassword(self.password)
        yield "advbase", _outside(self.advbase, 0, 255)
        yield "advskew", _outside(self.advskew, 0, 255)
        if self.advbase == 0 and self.advskew == 0 and not self.dialect.zeroBase:
            yield "advbase", "advbase and advskew are both 0: nothing separates advertisements"
        if self.source is not None:
            yield "source", _notASource(self.source, 4)
        elif self.families != (Family.IPV6,):
            yield "source", "IPv4 addresses need a source for advertisements"
        if self.source6 is not None:
            yield "source6", _notASource(self.source6, 16)
        yield "addresses", self._wrongAddresses()
        yield "deadRatio", _outside(self.deadRatio, 1, 2**32 - 1)
        yield "preemptDelay", _notATime(self.preemptDelay)
        for setting in ("startDelay", "scriptTimeout", "announceEvery"):
            yield setting, _notALimit(getattr(self, setting))
        if self.flapLimit is not None:
            yield "flapLimit", _outside(self.flapLimit.changes, 2, 10**6)
            yield "flapLimit", _notALimit(self.flapLimit.seconds)
        for tracked in self.trackedInterfaces:
            yield "trackedInterfaces", _notAnInterface(tracked.name)
            yield "trackedInterfaces", _outside(tracked.amount, 1, FULL_DEMOTION)
        for password in self.otherPasswords:
            yield "otherPasswords", _notAPassword(password)
        passwords, sets = len(self.otherPasswords), len(self.otherAddresses)
        pairs = (1 + passwords) * (1 + sets)
        if pairs > MAXIMUM_PAIRS:
            yield (
                "otherAddresses" if sets > passwords else "otherPasswords",
                f"there are {pairs} pairs of a password and a set of addresses to accept, and "
                f"{MAXIMUM_PAIRS} at most are possible",
            )
        if self.signedHardware:
            yield "signedHardware", _notHardware(self.signedHardware)
        yield "group", _notAGroup(self.group, 4, "224.0.0.0/4", self.broadcast)
        yield "group6", _notAGroup(self.group6, 16, "ff00::/8")
        yield "peers", self._wrongPeers()
        if self.virtualMAC is not None:
            yield "virtualMAC", _notHardware(self.virtualMAC)

    def _contradictions(self) -> Iterator[tuple[str, str]]:
        """
        Each setting whose value is possible, but not with the others, and what to do about it.
        """
        virtual = {address.packed for address in self.addresses}
        for setting, source in (("source", self.source), ("source6", self.source6)):
            if source in virtual:
                yield (
                    setting,
                    f"{textOf(source)} is a virtual address, and hosts with the same source "
                    "ignore each other's advertisements: give an address that this host alone has",
                )
        for peer in self.peers:
            if peer in (self.source, self.source6):
                yield "peers", f"a peer is another host, not this one: {textOf(peer)}"
            if peer in virtual:
                yield (
                    "peers",
                    f"{textOf(peer)} is a virtual address, which moves from host to host: give the "
                    "address that the peer alone has",
                )
        if self.group == self.source:
            yield "group", f"{textOf(self.group)} is the source: all hosts need the same group"
        amounts: dict[str, int] = {}
        for tracked in self.trackedInterfaces:
            if amounts.setdefault(tracked.name, tracked.amount) != tracked.amount:
                yield (
                    "trackedInterfaces",
                    f"{tracked.name} has two amounts, {amounts[tracked.name]} and "
                    f"{tracked.amount}: give one",
                )
        if self.broadcast and not self.followPeers and Family.IPV4 in map(familyOf, self.peers):
            yield (
                "broadcast",
                "nothing is broadcast, because the peers get the advertisements instead: leave "
                "out this, or the IPv4 peers",
            )
        if self.preemptDelay and not self.preempt:
            yield "preemptDelay", "it has no effect without preempt: set both, or neither"
        if self.virtualMAC is not None and not self.assign:
            yield "virtualMAC", "a virtual hardware address needs assign: scripts cannot add it"

    def _wrongAddresses(self) -> str:
        for address in self.addresses:
            if not self.assign and address.prefixLength != 8 * len(address.packed):
                return (
                    f"without assign an address has no prefix length, as {address} has: the "
                    "scripts add it"
                )
        for packed, count in Counter(address.packed for address in self.addresses).items():
            if count > 1:
                return f"the address {textOf(packed)} is given twice"
        return "" if self.addresses else "a virtual host has at least one address"

    def _wrongPeers(self) -> str:
        for peer in self.peers:
            if len(peer) not in (4, 16) or _notOneHost(peer):
                what = repr(peer) if textOf(peer) == "?" else textOf(peer)
                return f"a peer is one host, 4 or 16 packed bytes, not {what}"
        if len(self.peers) > MAXIMUM_PEERS:
            return f"there are more than {MAXIMUM_PEERS} peers: {len(self.peers)}"
        return ""

    @property
    def name(self) -> str:
        """
        The name of the virtual host: its interface and vhid, as in C{eth0:7}.
        """
        return f"{self.interface}:{self.vhid}"

    @property
    def families(self) -> tuple[Family, ...]:
        """
        The families of the virtual addresses, in which this host advertises.
        """
        present = {familyOf(address.packed) for address in self.addresses}
        return tuple(family for family in Family if family in present)

    @property
    def timing(self) -> Timing:
        """
        advbase and advskew together.
        """
        return Timing(self.advbase, self.advskew)


# What is wrong with a value; an empty string if nothing is.


def _outside(value: object, low: int, high: int) -> str:
    if isinstance(value, int) and low <= value <= high:
        return ""
    kind = "number" if isinstance(value, int) else "whole number"
    return f"{value!r} is not a {kind} from {low} to {high}"


def _notATime(value: object) -> str:
    if isinstance(value, int | float) and 0 <= value < _FOREVER:
        return ""
    return f"{value!r} is not a number of seconds, 0 or more"


def _notALimit(value: object) -> str:
    if value is None or (value != 0 and not _notATime(value)):
        return ""
    return f"{value!r} is not a number of seconds greater than 0"


def _notAPassword(value: bytes) -> str:
    if 1 <= len(value) <= MAXIMUM_PASSWORD:
        return ""
    return f"{len(value)} bytes; a password has 1 to {MAXIMUM_PASSWORD}"


def _notAnInterface(name: str) -> str:
    """
    By the rules of Linux (C{dev_valid_name}).  An interface may be missing and is waited for,
    but not one that can never exist.
    """
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


def _notALabel(label: str, interface: str) -> str:
    if not label.startswith(f"{interface}:"):
        return f"{label!r} does not begin with {interface}: and is no label of this interface"
    size = len(os.fsencode(label))
    if size > MAXIMUM_INTERFACE:
        return f"{label!r} has {size} bytes, and a label at most {MAXIMUM_INTERFACE}"
    return ""


def _notASource(value: bytes, size: int) -> str:
    if len(value) != size:
        return f"must be {size} packed bytes, not {value!r}"
    if _notOneHost(value):
        return f"{textOf(value)} is not the address of one host, as a source must be"
    return ""


def _notOneHost(address: bytes) -> bool:
    return isMulticast(address) or address == _LIMITED_BROADCAST or not any(address)


def _notAGroup(value: bytes, size: int, network: str, broadcast: bool = False) -> str:
    if len(value) != size:
        return f"must be {size} packed bytes, not {value!r}"
    if not isMulticast(value) and not broadcast:
        return f"the group must be a multicast address ({network}), not {textOf(value)}"
    return ""


def _notHardware(value: bytes) -> str:
    if len(value) == 6 and not value[0] & 1:
        return ""
    return f"must be the Ethernet address of one host, not {value.hex(':')}"
