"""
The configuration of a virtual host: one frozen model that checks every setting.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import cast

import attrs

from txcarp.addresses import VirtualAddress, textOf
from txcarp.checks.health import MAXIMUM_CHECKS, HealthCheck
from txcarp.configuration.steps import MAXIMUM_STEPS, ConfiguredStep
from txcarp.configuration.values import (
    addressSets,
    every,
    hardwareAddress,
    hardwareAddressOrNone,
    notAGroup,
    notALabel,
    notALimit,
    notAnInterface,
    notAPassword,
    notASource,
    notATime,
    notHardware,
    notMembers,
    notOneHost,
    outside,
    packed,
    packedAddresses,
    packedOrNone,
    path,
    several,
    virtualAddresses,
)
from txcarp.interfaces import IWitness
from txcarp.protocol import ipv4, ipv6
from txcarp.protocol.demotion import FULL_DEMOTION
from txcarp.protocol.dialect import DIALECTS, UCARP, Dialect
from txcarp.protocol.family import Family, familyOf
from txcarp.protocol.seal import Verification
from txcarp.protocol.timing import Timing

#: How many peers a master sends its advertisements to, each separately.
MAXIMUM_PEERS = 32

#: How many pairs of a password and a set of addresses a host knows at the same time.  Each costs
#: an advertisement per interval, and a digest for every packet that none of them has signed.
MAXIMUM_PAIRS = 16

#: The least and the most seconds between two questions to the host of the master.
SHORTEST_PROBE, LONGEST_PROBE = 0.001, 10.0

#: How many witnesses can be named.
MAXIMUM_WITNESSES = 8

#: The name of a set of virtual hosts: a word for log lines, the status and the file.
SET_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}")

_AN_ADDRESS = "an address such as 192.0.2.1, 192.0.2.1/24 or 2001:db8::1/64"


class ConfigurationError(ValueError):
    """
    A setting has a value that it cannot have.

    @ivar setting: The name of the attribute of L{VirtualHostConfiguration}.
    @ivar problem: What is wrong with the value, without the name of the setting.
    @ivar contradiction: Whether the value is possible, but not together with the other settings.
    @ivar others: The other errors of the same configuration.
    """

    def __init__(self, setting: str, problem: str, contradiction: bool = False) -> None:
        super().__init__(f"{setting}: {problem}")
        self.setting = setting
        self.problem = problem
        self.contradiction = contradiction
        self.others: tuple[ConfigurationError, ...] = ()


@attrs.frozen
class TrackedInterface:
    """
    Another interface.  This host is demoted while it has no link.

    @ivar name: Its name.  It need not exist yet.
    @ivar amount: How much this host is demoted, 1 to 240; C{None} for as much as by a lost link
        in the dialect of the group.
    """

    name: str
    amount: int | None = None

    def amountIn(self, dialect: Dialect) -> int:
        """
        How much this host is demoted in a dialect.
        """
        return dialect.failureDemotion if self.amount is None else self.amount


@attrs.frozen
class FlapLimit:
    """
    How often a host may change its role.

    @ivar changes: A host that becomes backup this many times, at least 2...
    @ivar seconds: ...within this time does not become master for the same time.  A change after
        which no other host was master does not count.
    """

    changes: int
    seconds: float


@attrs.frozen
class SyncSettings:
    """
    A set of virtual hosts that are master together or not at all.  All its members have the same
    settings.

    @ivar name: Its name.
    @ivar takeover: After how many seconds this host takes over for good from a master that is
        silent on one side and heard on another, if a gateway of the silent side answers this host;
        C{None} for never.
    """

    name: str
    takeover: float | None = None

    @property
    def problem(self) -> str:
        """
        What is wrong with the settings; an empty string if nothing is.
        """
        if not isinstance(self.name, str) or SET_NAME.fullmatch(self.name) is None:
            return (
                f"{self.name!r} cannot be the name of a set, which has 1 to 32 letters, digits or "
                "_, and then also . or -"
            )
        return notALimit(self.takeover)


def _readFlapLimit(limit: FlapLimit | Sequence[float] | None) -> FlapLimit | None:
    if isinstance(limit, list | tuple) and len(limit) == 2:
        return FlapLimit(*limit)
    return cast("FlapLimit | None", limit)


def _readTracked(interface: TrackedInterface | str) -> TrackedInterface:
    if not isinstance(interface, str):
        return interface
    name, colon, amount = interface.rpartition(":")
    if not colon:
        return TrackedInterface(interface)
    return TrackedInterface(name, int(amount) if amount.isdecimal() else cast(int, amount))


def _readTrackedInterfaces(
    interfaces: Iterable[TrackedInterface | str],
) -> tuple[TrackedInterface, ...]:
    return every(interfaces, _readTracked)


def _readDialect(value: str | Dialect) -> Dialect:
    if isinstance(value, Dialect):
        return value
    if not isinstance(value, str) or value not in DIALECTS:
        raise ConfigurationError("dialect", f"{value!r} is not one of {', '.join(DIALECTS)}")
    return DIALECTS[value]


def _readVerification(value: str | Verification) -> Verification:
    try:
        return Verification(value)
    except ValueError:
        modes = ", ".join(mode.value for mode in Verification)
        raise ConfigurationError("verification", f"{value!r} is not one of {modes}") from None


@attrs.frozen(kw_only=True)
class VirtualHostConfiguration:
    """
    One virtual host.

    Addresses can be given as text, as objects of C{ipaddress} or netaddr, and, without a prefix
    length, as packed bytes; hardware addresses as text or bytes; any list in place of a tuple.

    @ivar interface: The name of the interface that the group is on.
    @ivar vhid: The number of the group, 1 to 255.
    @ivar password: The secret of the group, 1 to 19 bytes.  It is never shown.
    @ivar advbase: Whole seconds between advertisements, 0 to 255.
    @ivar advskew: 256ths of a second added to that, 0 to 255.  The host with the highest is the
        least preferred.
    @ivar source: The packed IPv4 address that advertisements come from.  IPv4 addresses need it.
    @ivar source6: The packed IPv6 address that advertisements come from; C{None} for the
        link-local address of the interface.
    @ivar addresses: The virtual addresses.  This host advertises in their families, and in those
        of C{otherAddresses}.
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
    @ivar flapLimit: How often this host may change its role, also as a pair (changes, seconds);
        C{None} for no limit.
    @ivar probe: Seconds between two questions of a backup to the host of the master, whose silence
        means that it is gone; C{None} to ask nothing.
    @ivar witnesses: The packed addresses of hosts on the link that are asked, too, besides the
        gateways: one must answer, or it is this host that is cut off.
    @ivar anyFamily: Whether the silence of one family is enough to take over, as in the BSD
        kernels.
    @ivar trackedInterfaces: Interfaces whose lost links demote this host, also as text, such as
        "eth1" or "eth1:50".
    @ivar checks: Health checks.  While one is bad, this host is demoted or must not be master.
    @ivar steps: Commands and units of systemd that belong to mastership, in the order in which
        they are acquired.
    @ivar neutral: Whether the down script is left out at the start.
    @ivar shutdown: Whether the down script runs when a master is stopped.
    @ivar ignoreLink: Whether a lost carrier is ignored.
    @ivar upScript: The file to run on becoming master.
    @ivar downScript: The file to run on becoming backup.
    @ivar label: A label of the interface, such as eth0:1, that both scripts get in place of its
        name; C{None} for the name.
    @ivar parameter: One more argument for both scripts.
    @ivar scriptTimeout: Seconds that a script may run; C{None} for no limit.
    @ivar downScriptFirst: With assign, seconds for which the addresses wait for the down script
        before they are removed; C{None} to run it after that.
    @ivar assign: Whether this program adds and removes the addresses itself.
    @ivar guard: Whether another process gives back the addresses, and bows out, if this process
        dies or hangs as master: with assign, or with shutdown and a down script.
    @ivar releaseFirst: Whether a master that leaves releases everything before it bows out, for
        services that must never run on two hosts.
    @ivar resetConnections: With assign, whether the TCP connections of addresses that leave are
        ended, so that clients connect again at once.
    @ivar virtualMAC: The six bytes of a hardware address that moves with the virtual addresses;
        C{None} to use that of the card.
    @ivar announceEvery: Seconds between announcements of the addresses by a master; C{None} to
        announce them once.
    @ivar verification: Which seals are demanded of peers.  With C{OFF}, this host does not seal
        its own advertisements either.
    @ivar otherPasswords: More passwords, while a group changes its own.  This host accepts them,
        and advertises with each of them, too.
    @ivar otherAddresses: More sets of addresses, while a group changes its own.  This host accepts
        what is signed for them, and advertises for each of them, too.  It never has them.
    @ivar signedHardware: The hardware address that OpenBSD peers sign because it was set by
        hand; empty for none.
    @ivar sync: The set of virtual hosts to which this one belongs; C{None} for none.
    @ivar title: What an administrator calls the group; C{None} if it has no name of its own.
    @ivar debug: Whether to log each packet.
    """

    interface: str
    vhid: int
    password: bytes = attrs.field(repr=False)
    advbase: int = 1
    advskew: int = 0
    source: bytes | None = attrs.field(default=None, converter=packedOrNone)
    source6: bytes | None = attrs.field(default=None, converter=packedOrNone)
    addresses: tuple[VirtualAddress, ...] = attrs.field(converter=virtualAddresses)
    deadRatio: int = 3
    group: bytes = attrs.field(default=ipv4.GROUP, converter=packed)
    group6: bytes = attrs.field(default=ipv6.GROUP, converter=packed)
    broadcast: bool = False
    peers: tuple[bytes, ...] = attrs.field(default=(), converter=packedAddresses)
    followPeers: bool = False
    dialect: Dialect = attrs.field(default=UCARP, converter=_readDialect)
    preempt: bool = False
    preemptDelay: float = 0.0
    startDelay: float | None = None
    flapLimit: FlapLimit | None = attrs.field(default=FlapLimit(10, 60.0), converter=_readFlapLimit)
    probe: float | None = None
    witnesses: tuple[bytes, ...] = attrs.field(default=(), converter=packedAddresses)
    anyFamily: bool = False
    trackedInterfaces: tuple[TrackedInterface, ...] = attrs.field(
        default=(), converter=_readTrackedInterfaces
    )
    checks: tuple[HealthCheck, ...] = attrs.field(default=(), converter=several)
    steps: tuple[ConfiguredStep, ...] = attrs.field(default=(), converter=several)
    neutral: bool = False
    shutdown: bool = False
    ignoreLink: bool = False
    upScript: str | None = attrs.field(default=None, converter=path)
    downScript: str | None = attrs.field(default=None, converter=path)
    label: str | None = None
    parameter: str | None = None
    scriptTimeout: float | None = None
    downScriptFirst: float | None = None
    assign: bool = False
    guard: bool = True
    releaseFirst: bool = False
    resetConnections: bool = False
    virtualMAC: bytes | None = attrs.field(default=None, converter=hardwareAddressOrNone)
    announceEvery: float | None = 60.0
    verification: Verification = attrs.field(
        default=Verification.LEARN, converter=_readVerification
    )
    otherPasswords: tuple[bytes, ...] = attrs.field(default=(), converter=several, repr=False)
    otherAddresses: tuple[tuple[VirtualAddress, ...], ...] = attrs.field(
        default=(), converter=addressSets
    )
    signedHardware: bytes = attrs.field(default=b"", converter=hardwareAddress)
    sync: SyncSettings | None = None
    title: str | None = None
    debug: bool = False

    def __attrs_post_init__(self) -> None:
        """
        @raise ConfigurationError: If a setting has a value that it cannot have, or that
            contradicts another setting.  The error is the first of all that were found.
        """
        # Each check relies on what the one before it has found to be right.
        for check in (self._kinds, self._checks, self._contradictions):
            isContradiction = check == self._contradictions
            errors = [
                ConfigurationError(setting, problem, isContradiction)
                for setting, problem in check()
                if problem
            ]
            if errors:
                errors[0].others = tuple(errors[1:])
                raise errors[0]

    def _kinds(self) -> Iterator[tuple[str, str]]:
        """
        Each setting that needs values of a certain kind, with what is wrong or an empty string.
        """
        for field in attrs.fields(VirtualHostConfiguration):
            value = getattr(self, field.name)
            if str(field.type) == "bool" and not isinstance(value, bool):
                yield field.name, f"{value!r} is neither True nor False"
            elif str(field.type) == "str | None" and not isinstance(value, str | None):
                yield field.name, f"{value!r} is neither text nor None"
        if not isinstance(self.flapLimit, FlapLimit | None):
            yield "flapLimit", f"{self.flapLimit!r} is not a pair of changes and seconds"
        if not isinstance(self.sync, SyncSettings | None):
            yield "sync", f"{self.sync!r} is not SyncSettings"
        for setting, kind, what in (
            ("addresses", VirtualAddress, _AN_ADDRESS),
            ("peers", bytes, "an address, or its 4 or 16 packed bytes"),
            ("witnesses", bytes, "an address, or its 4 or 16 packed bytes"),
            ("trackedInterfaces", TrackedInterface, 'an interface such as "eth1" or "eth1:50"'),
            ("otherAddresses", tuple, "a list of addresses"),
            ("checks", HealthCheck, "a HealthCheck"),
            ("steps", ConfiguredStep, "a ConfiguredStep"),
        ):
            yield setting, notMembers(getattr(self, setting), kind, what)
        if isinstance(self.otherAddresses, tuple):
            for addresses in self.otherAddresses:
                yield "otherAddresses", notMembers(addresses, VirtualAddress, _AN_ADDRESS)
        if not isinstance(self.otherPasswords, tuple):
            yield "otherPasswords", "must be a list of passwords"

    def _checks(self) -> Iterator[tuple[str, str]]:
        """
        Each setting that is checked, with what is wrong with its value or an empty string.  The
        order is that in which ucarp checks its options.
        """
        yield "interface", notAnInterface(self.interface)
        if self.label is not None:
            yield "label", notALabel(self.label, self.interface)
        yield "vhid", outside(self.vhid, 1, 255)
        yield "password", notAPassword(self.password)
        yield "advbase", outside(self.advbase, 0, 255)
        yield "advskew", outside(self.advskew, 0, 255)
        if self.advbase == 0 and self.advskew == 0 and not self.dialect.zeroBase:
            yield "advbase", "advbase and advskew are both 0: nothing separates advertisements"
        if self.source is not None:
            yield "source", notASource(self.source, 4)
        elif self.families != (Family.IPV6,):
            yield "source", "IPv4 addresses need a source for advertisements"
        if self.source6 is not None:
            yield "source6", notASource(self.source6, 16)
        yield "addresses", self._wrongAddresses()
        yield "deadRatio", outside(self.deadRatio, 1, 2**32 - 1)
        yield "preemptDelay", notATime(self.preemptDelay)
        for setting in ("startDelay", "scriptTimeout", "downScriptFirst", "announceEvery"):
            yield setting, notALimit(getattr(self, setting))
        yield "probe", self._wrongProbe()
        yield "witnesses", self._wrongWitnesses()
        if self.flapLimit is not None:
            yield "flapLimit", outside(self.flapLimit.changes, 2, 10**6)
            yield "flapLimit", notALimit(self.flapLimit.seconds)
        for tracked in self.trackedInterfaces:
            yield "trackedInterfaces", notAnInterface(tracked.name)
            yield "trackedInterfaces", outside(tracked.amountIn(self.dialect), 1, FULL_DEMOTION)
        for one in self.checks:
            for setting, problem in one.problems():
                yield "checks", f"{one.name}: {setting}: {problem}"
        if len(self.checks) > MAXIMUM_CHECKS:
            yield "checks", f"there are more than {MAXIMUM_CHECKS} checks: {len(self.checks)}"
        for step in self.steps:
            for setting, problem in step.problems():
                yield "steps", f"{step.name}: {setting}: {problem}"
        if len(self.steps) > MAXIMUM_STEPS:
            yield "steps", f"there are more than {MAXIMUM_STEPS} steps: {len(self.steps)}"
        if self.sync is not None:
            yield "sync", self.sync.problem
        for password in self.otherPasswords:
            yield "otherPasswords", notAPassword(password)
        passwords, sets = len(self.otherPasswords), len(self.otherAddresses)
        pairs = (1 + passwords) * (1 + sets)
        if pairs > MAXIMUM_PAIRS:
            yield (
                "otherAddresses" if sets > passwords else "otherPasswords",
                f"there are {pairs} pairs of a password and a set of addresses to accept, and "
                f"{MAXIMUM_PAIRS} at most are possible",
            )
        if self.signedHardware != b"":
            yield "signedHardware", notHardware(self.signedHardware)
        yield "group", notAGroup(self.group, 4, "224.0.0.0/4", self.broadcast)
        yield "group6", notAGroup(self.group6, 16, "ff00::/8")
        yield "peers", self._wrongPeers()
        if self.virtualMAC is not None:
            yield "virtualMAC", notHardware(self.virtualMAC)

    def _contradictions(self) -> Iterator[tuple[str, str]]:
        """
        Each setting whose value is possible, but not with the others, and what to do about it.
        """
        virtual = {address.packed for address in self.addresses}
        for setting, source in (("source", self.source), ("source6", self.source6)):
            if source in virtual:
                yield (
                    setting,
                    f"{textOf(source)} is a virtual address, and hosts with one source ignore each "
                    "other: give an address that this host alone has",
                )
        for peer in self.peers:
            if peer in (self.source, self.source6):
                yield "peers", f"a peer is another host, not this one: {textOf(peer)}"
            if peer in virtual:
                problem = "is a virtual address, which moves: give the address of the peer alone"
                yield "peers", f"{textOf(peer)} {problem}"
        for witness in self.witnesses:
            if witness in virtual or witness in (self.source, self.source6):
                yield (
                    "witnesses",
                    f"{textOf(witness)} is an address of this group or host: a witness is another "
                    "host, which is there whoever is master",
                )
        if self.group == self.source:
            yield "group", f"{textOf(self.group)} is the source: all hosts need the same group"
        amounts: dict[str, int] = {}
        for tracked in self.trackedInterfaces:
            amount = tracked.amountIn(self.dialect)
            if amounts.setdefault(tracked.name, amount) != amount:
                both = f"{amounts[tracked.name]} and {amount}"
                yield "trackedInterfaces", f"{tracked.name} has two amounts, {both}: give one"
        for one in self.checks:
            for address in one.check.addresses if IWitness.providedBy(one.check) else ():
                if address in virtual or address in (self.source, self.source6):
                    yield (
                        "checks",
                        f"{one.name}: {textOf(address)} is an address of this group or host, which "
                        "cannot be its own witness",
                    )
        for name, count in Counter(one.name for one in self.checks).items():
            if count > 1:
                yield "checks", f"two checks are called {name}"
        for name, count in Counter(one.name for one in self.steps).items():
            if count > 1:
                yield "steps", f"two steps are called {name}"
        if self.broadcast and not self.followPeers and Family.IPV4 in map(familyOf, self.peers):
            yield (
                "broadcast",
                "nothing is broadcast, because the peers get the advertisements instead: leave "
                "out this, or the IPv4 peers",
            )
        if self.virtualMAC is not None and not self.assign:
            yield "virtualMAC", "a virtual hardware address needs assign: scripts cannot add it"
        if self.resetConnections and not self.assign:
            yield "resetConnections", "needs assign: it is part of removing the addresses"
        if self.downScriptFirst is not None and not self.assign:
            yield "downScriptFirst", "needs assign: without it the scripts remove the addresses"

    def _wrongAddresses(self) -> str:
        for address in self.addresses:
            if not self.assign and address.prefixLength != 8 * len(address.packed):
                return (
                    f"without assign an address has no prefix length, as {address} has: the "
                    "scripts add it"
                )
        for one, count in Counter(address.packed for address in self.addresses).items():
            if count > 1:
                return f"the address {textOf(one)} is given twice"
        return "" if self.addresses else "a virtual host has at least one address"

    def _wrongPeers(self) -> str:
        for peer in self.peers:
            if len(peer) not in (4, 16) or notOneHost(peer):
                what = repr(peer) if textOf(peer) == "?" else textOf(peer)
                return f"a peer is one host, 4 or 16 packed bytes, not {what}"
        if len(self.peers) > MAXIMUM_PEERS:
            return f"there are more than {MAXIMUM_PEERS} peers: {len(self.peers)}"
        return ""

    def _wrongProbe(self) -> str:
        if problem := notALimit(self.probe):
            return problem
        if self.probe is not None and not SHORTEST_PROBE <= self.probe <= LONGEST_PROBE:
            return f"{self.probe!r} is not from {SHORTEST_PROBE} to {LONGEST_PROBE:g} seconds"
        return ""

    def _wrongWitnesses(self) -> str:
        for witness in self.witnesses:
            if len(witness) not in (4, 16) or notOneHost(witness):
                what = repr(witness) if textOf(witness) == "?" else textOf(witness)
                return f"a witness is one host, 4 or 16 packed bytes, not {what}"
        if len(self.witnesses) > MAXIMUM_WITNESSES:
            return f"there are more than {MAXIMUM_WITNESSES} witnesses: {len(self.witnesses)}"
        return ""

    @property
    def display(self) -> str:
        """
        What people call the group: its title, or its name if it has none.
        """
        return self.title or self.name

    @property
    def name(self) -> str:
        """
        The name of the virtual host: its interface and vhid, as in C{eth0:7}.
        """
        return f"{self.interface}:{self.vhid}"

    @property
    def families(self) -> tuple[Family, ...]:
        """
        The families of all its sets of virtual addresses, in which this host advertises.
        """
        sets = (self.addresses, *self.otherAddresses)
        present = {familyOf(address.packed) for addresses in sets for address in addresses}
        return tuple(family for family in Family if family in present)

    @property
    def timing(self) -> Timing:
        """
        advbase and advskew together.
        """
        return Timing(self.advbase, self.advskew)
