"""
What is wrong with this host, judged by facts about it alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from txcarp.addresses import VirtualAddress, textOf
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.daemon.capabilities import NET_ADMIN, NET_RAW
from txcarp.doctor.complaint import Ailment, Complaint, titleOf
from txcarp.doctor.facts import Daemon, Facts, HostFacts, PathFacts
from txcarp.links import InterfaceAddress
from txcarp.protocol.family import Family

# linux/if_addr.h
_IFA_F_DADFAILED = 0x08

_NAMES = {NET_RAW: "CAP_NET_RAW", NET_ADMIN: "CAP_NET_ADMIN"}


def onHost(facts: Facts) -> Iterator[Complaint]:
    """
    Judge this host.  Nothing is said twice about an interface that several groups are on.
    """
    host = facts.host
    groups = list(dict.fromkeys(path.group for path in facts.paths))
    for group in groups:
        yield from _link(host, group)
        yield from _daemons(host, group)
        yield from _leftovers(host, group, [one for one in facts.paths if one.group is group])
    for path in facts.paths:
        yield from _family(host, path)
    yield from _duplicates(host, groups)


def canSend(facts: Facts, path: PathFacts) -> bool:
    """
    Whether this host itself can take part in a family, so that the network can be judged.
    """
    broken = (
        Ailment.NO_INTERFACE,
        Ailment.INTERFACE_DOWN,
        Ailment.NO_CARRIER,
        Ailment.PORT_OF_BRIDGE,
        Ailment.IPV6_OFF,
        Ailment.NO_SOURCE,
    )
    found = [*_link(facts.host, path.group), *_family(facts.host, path)]
    return not any(one.ailment in broken for one in found)


def _link(host: HostFacts, group: VirtualHostConfiguration) -> Iterator[Complaint]:
    name, title = group.interface, titleOf(group)

    def complain(ailment: Ailment, seen: str, cause: str, *commands: str) -> Complaint:
        return Complaint(ailment, title, name, seen, cause, commands)

    link = host.link(name)
    if link is None:
        there = ", ".join(sorted(one.name for one in host.links)) or "none"
        yield complain(
            Ailment.NO_INTERFACE,
            f"there is no interface {name}; there are: {there}",
            "the name is wrong, the hardware is missing, or the interface is not set up yet",
            "ip link show",
        )
        return
    isBridge = link.kind == "bridge"
    stuck = [one for one in host.ports if isBridge and one.bridge == link.index]
    stuck = [one for one in stuck if not one.isForwarding]
    if not link.up:
        yield complain(
            Ailment.INTERFACE_DOWN,
            f"{name} is switched off",
            "an administrator, or the program that manages the network, has set it down",
            f"ip link set {name} up",
        )
    elif not link.running and not stuck:
        yield complain(
            Ailment.NO_CARRIER,
            f"{name} has no carrier",
            "the cable is out, the other end is switched off, or the port of the switch is down",
            f"ethtool {name}",
        )
    if link.isEnslaved:
        master = next((one.name for one in host.links if one.index == link.master), "its master")
        yield complain(
            Ailment.PORT_OF_BRIDGE,
            f"{name} is a port of {master}, which takes all packets that arrive on {name}",
            f"the group is meant to be on {master}",
            f'# use {master} in place of {name}: interface = "{master}", or -i {master}',
        )
    for port in stuck:
        yield complain(
            Ailment.BRIDGE_PORT,
            f"{port.name}, a port of {name}, does not forward",
            "it is down or has no carrier, or the spanning tree still learns or has found a loop",
            f"bridge link show dev {port.name}",
        )


def _family(host: HostFacts, path: PathFacts) -> Iterator[Complaint]:
    group, name, title = path.group, path.group.interface, titleOf(path.group)
    link = host.link(name)
    if link is None or not link.up:
        return
    isIPv6 = path.family is Family.IPV6
    if isIPv6 and not link.carriesIPv6:
        yield Complaint(
            Ailment.SMALL_MTU,
            title,
            name,
            f"the MTU of {name} is {link.mtu}",
            "the kernel needs an MTU of 1280 for IPv6, in which the group has addresses",
            (f"ip link set dev {name} mtu 1500",),
        )
    elif isIPv6 and name in host.withoutIPv6:
        yield Complaint(
            Ailment.IPV6_OFF,
            title,
            name,
            f"IPv6 is switched off on {name}, and the group has IPv6 addresses",
            f"net.ipv6.conf.{name}.disable_ipv6 is 1",
            (f"sysctl net.ipv6.conf.{name}.disable_ipv6=0",),
        )
    elif not path.source or not any(one.local == path.source for one in host.addresses):
        wanted = group.source6 if isIPv6 else group.source
        what = textOf(wanted) if wanted else "a link-local address that is ready"
        yield Complaint(
            Ailment.NO_SOURCE,
            title,
            name,
            f"{name} does not have {what}, from which this host would advertise",
            "the network is not set up completely, or the address of the group's source is wrong",
            (f"ip address show dev {name}",),
        )


def _duplicates(host: HostFacts, groups: Sequence[VirtualHostConfiguration]) -> Iterator[Complaint]:
    """
    Addresses for which the kernel has found another host.
    """
    for name in dict.fromkeys(group.interface for group in groups):
        for address in host.on(name):
            if not address.flags & _IFA_F_DADFAILED:
                continue
            text = f"{textOf(address.local)}/{address.prefixLength}"
            using = [one for one in groups if one.interface == name]
            owners = [one for one in using if _has(one, address.local)]
            yield Complaint(
                Ailment.DUPLICATE_ADDRESS,
                titleOf(owners[0]) if owners else "",
                name,
                f"the kernel does not use {text} on {name}: another host has it (dadfailed)",
                "the address was given to two hosts, or was added by hand to one that must get it "
                "from txcarp only",
                (
                    f"ndisc6 {textOf(address.local)} {name}    # shows the other host",
                    f"ip -6 address del {text} dev {name}",
                ),
            )


def _has(group: VirtualHostConfiguration, packed: bytes) -> bool:
    return any(one.packed == packed for one in group.addresses)


def _leftovers(
    host: HostFacts, group: VirtualHostConfiguration, paths: Sequence[PathFacts]
) -> Iterator[Complaint]:
    """
    Addresses of the group that this host has although it is not master.
    """
    # A master advertises in each family once per interval.  One that was not listened to for that
    # long may be master.
    enough = group.advbase + group.advskew / 256 + 0.5
    if any(one.isAdvertising for one in paths):
        return
    if not any(one.isListening and one.listened >= enough for one in paths):
        return
    names = {link.index: link.name for link in host.links}
    daemons = host.daemons.get((group.interface, group.vhid), ())
    for address in group.addresses:
        for one in host.addresses:
            if one.local != address.packed or one.validLifetime is not None:
                continue
            yield _leftover(group, address, one, names.get(one.index, "?"), daemons)


def _leftover(
    group: VirtualHostConfiguration,
    address: VirtualAddress,
    present: InterfaceAddress,
    name: str,
    daemons: Sequence[Daemon],
) -> Complaint:
    return Complaint(
        Ailment.LEFTOVER_ADDRESS,
        titleOf(group),
        name,
        f"{name} has {address.text}, an address of the group, and this host does not advertise",
        "a program that was killed, a script or an administrator has left it there"
        + (", or the network's configuration has it" if not daemons else ""),
        (f"ip address del {address.text}/{present.prefixLength} dev {name}",),
    )


def _daemons(host: HostFacts, group: VirtualHostConfiguration) -> Iterator[Complaint]:
    daemons = host.daemons.get((group.interface, group.vhid), ())
    name, title = group.interface, titleOf(group)
    if len(daemons) > 1:
        shown = " and ".join(
            f"{one.program} (process {one.pid})" if one.pid else one.program for one in daemons
        )
        last = next((one for one in daemons if one.program != "txcarp"), daemons[-1])
        yield Complaint(
            Ailment.TWO_DAEMONS,
            title,
            name,
            f"{shown} both run vhid {group.vhid} on {name} of this host, or have its addresses",
            "one of them was started by another unit, by the network's configuration (up scripts "
            "in /etc/network/interfaces), or by hand",
            (f"kill {last.pid}    # and keep {last.program} from starting again",),
        )
    for one in daemons:
        if one.program != "txcarp":
            continue
        yield from _rights(one, group)


def _rights(daemon: Daemon, group: VirtualHostConfiguration) -> Iterator[Complaint]:
    needed = [NET_RAW, NET_ADMIN] if group.assign else [NET_RAW]
    have = daemon.capabilities
    missing = [_NAMES[one] for one in needed if have is not None and one not in have]
    if missing:
        names = " and ".join(missing)
        yield Complaint(
            Ailment.MISSING_CAPABILITY,
            titleOf(group),
            group.interface,
            f"txcarp (process {daemon.pid}) runs without {names}",
            "its unit, container or wrapper does not grant it, so that it cannot "
            + ("add addresses" if missing == ["CAP_NET_ADMIN"] else "open sockets"),
            (
                "systemctl edit txcarp    # [Service] AmbientCapabilities=CAP_NET_RAW "
                "CAP_NET_ADMIN CAP_IPC_LOCK CAP_SYS_NICE",
                "systemctl restart txcarp",
            ),
        )
    if daemon.lockedMemory == 0:
        yield Complaint(
            Ailment.UNLOCKED_MEMORY,
            "",
            "",
            f"the memory of txcarp (process {daemon.pid}) is not locked",
            "it has a limit for locked memory, and no CAP_IPC_LOCK. When memory is short, its "
            "advertisements may be late, and another host takes over",
            (
                "systemctl edit txcarp    # [Service] LimitMEMLOCK=infinity",
                "systemctl restart txcarp",
            ),
        )
