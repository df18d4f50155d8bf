"""
The engine of C{txcarp check}: whether a configuration file fits this host.

It changes nothing and sends nothing.  It does not look at the firewall: the rules that matter may
be in any table, and C{txcarp} itself notices at work what they drop.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

from txcarp.addresses import VirtualAddress, textOf
from txcarp.checks.local import InterfaceCheck
from txcarp.configuration.file import besideFile, readFile
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.configuration.problems import FileError, Problem
from txcarp.configuration.request import Configuration
from txcarp.configuration.settings import nameOf
from txcarp.daemon.precautions import badScripts
from txcarp.interfaces import IWitness
from txcarp.links import InterfaceAddress
from txcarp.membership.reception import keyringOf
from txcarp.netlink.blocking import BlockingNetlink
from txcarp.network.sockets import MissingCapability
from txcarp.observer.wire import openListener, receive
from txcarp.protocol.advertisement import decode
from txcarp.protocol.authentication import Keyring
from txcarp.protocol.envelope import Packet
from txcarp.protocol.family import isLinkLocal
from txcarp.protocol.rejection import Rejected

#: Exit statuses.
GOOD, WRONG = 0, 1

#: Seconds to listen for other groups: an advertisement is due within one second as a rule, and
#: within two on a busy host or with the highest skew.
LISTENING = 4.0


def check(path: str, listen: bool) -> int:
    """
    Check a file, and print what was found.

    @param listen: Whether to listen for other groups with the same number.
    @return: The exit status.
    """
    try:
        configuration = readFile(path, besideFile(path))
        errors = list(onThisHost(configuration))
        if listen:
            errors += onTheSegment(configuration, LISTENING)
        if errors:
            raise FileError(path, configuration.text, errors)
    except FileError as error:
        print(error, file=sys.stderr)
        count = max(1, len(error.problems))
        print(f"{path}: {_count(count, 'mistake')}", file=sys.stderr)
        return WRONG
    for warning in configuration.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print("\n".join(_table(configuration.groups)))
    print(f"{path}: {_count(len(configuration.groups), 'group')}, no mistakes")
    return GOOD


def onThisHost(configuration: Configuration) -> Iterator[Problem]:
    """
    Find what does not fit this host.  Blocks for the duration of some system calls.
    """
    with BlockingNetlink() as netlink:
        indices = {link.name: link.index for link in netlink.links()}
        present = netlink.addresses()
    for group in configuration.groups:
        title = str(group.title)
        tracked = [("trackedInterfaces", one.name) for one in group.trackedInterfaces]
        for setting, name in [("interface", group.interface), *tracked]:
            if name not in indices:
                text = f"{nameOf(setting)}: there is no interface {name}; there are: "
                yield configuration.problem(title, setting, text + ", ".join(sorted(indices)))
        for setting, text in badScripts(group):
            yield configuration.problem(title, setting, f"{nameOf(setting)}: {text}")
        for setting, source in (("source", group.source), ("source6", group.source6)):
            if source is not None and not any(one.local == source for one in present):
                text = f"{nameOf(setting)}: {textOf(source)} is not an address of this host now"
                yield configuration.problem(title, setting, text)
        index = indices.get(group.interface)
        near = [one for one in present if one.index == index]
        # Between hosts behind routers no network has the address, and routers know where it is.
        routed = group.peers and not any(_isNear(peer, near, ()) for peer in group.peers)
        for address in group.addresses if index is not None and not routed else ():
            if not _fits(address, near, group.assign):
                yield configuration.problem(
                    title,
                    "addresses",
                    f"addresses: {address.text} is in no network of {group.interface}, so that "
                    f"neighbours may not find it there: {_networks(near)}",
                )
        for text in _unfitChecks(group, indices, present):
            yield configuration.problem(title, "checks", text)


def _unfitChecks(
    group: VirtualHostConfiguration,
    indices: Mapping[str, int],
    present: Sequence[InterfaceAddress],
) -> Iterator[str]:
    """
    Find health checks of a group that cannot pass on this host.

    @param indices: The index of each interface.
    @param present: The addresses of this host.
    """
    near = [one for one in present if one.index == indices.get(group.interface)]
    for one in group.checks:
        check = one.check
        if isinstance(check, InterfaceCheck) and check.name not in indices:
            yield f"check {one.name}: there is no interface {check.name}"
        for address in check.addresses if IWitness.providedBy(check) else ():
            if any(own.local == address for own in present):
                yield (
                    f"check {one.name}: {textOf(address)} is an address of this host, which cannot "
                    "be its own witness"
                )
            elif group.interface in indices and not _isNear(address, near, group.addresses):
                yield (
                    f"check {one.name}: {textOf(address)} is in no network of {group.interface}, "
                    f"so that it may not answer there: {_networks(near)}"
                )


def _isNear(
    address: bytes, near: Sequence[InterfaceAddress], virtual: Sequence[VirtualAddress]
) -> bool:
    """
    Whether an address is in a network of an interface, or in one that virtual addresses make.
    """
    networks = [(one.local, one.prefixLength) for one in near]
    networks += [(one.packed, one.prefixLength) for one in virtual]
    return isLinkLocal(address) or any(
        len(local) == len(address)
        and not (int.from_bytes(local) ^ int.from_bytes(address)) >> 8 * len(local) - length
        for local, length in networks
    )


def onTheSegment(configuration: Configuration, seconds: float) -> Iterator[Problem]:
    """
    Listen on the interfaces of the groups, and find other groups with their numbers, and other
    hosts with the source of this one.  Blocks.

    @param seconds: How long to listen.
    """
    groups: dict[tuple[str, int], tuple[VirtualHostConfiguration, Keyring]] = {
        (one.interface, one.vhid): (one, keyringOf(one)) for one in configuration.groups
    }
    found: dict[Problem, None] = {}
    strange: dict[Problem, tuple[str, int, bytes]] = {}
    members: set[tuple[str, int, bytes]] = set()
    for interface, packet, here in _heard({name for name, _ in groups}, seconds, configuration):
        if isinstance(packet, Problem):
            found[packet] = None
            continue
        try:
            advertisement = decode(packet.payload)
        except Rejected:
            continue
        known = groups.get((interface, advertisement.vhid))
        if known is None:
            continue
        group, keyring = known
        source = textOf(packet.source)
        sender = interface, group.vhid, packet.source
        if keyring.recognise(advertisement.counter, advertisement.digest) is None:
            text = (
                f"vhid: {source} advertises vhid {group.vhid} on {interface} with another "
                "password or other addresses: give this group another vhid or, if both are the "
                "same group, the same password and addresses"
            )
            strange[configuration.problem(str(group.title), "vhid", text)] = sender
            continue
        members.add(sender)
        if not here and packet.source in (group.source, group.source6):
            text = f"source: another host of the group advertises from {source}, too"
            found[configuration.problem(str(group.title), "source", text)] = None
    # A member of the group may advertise with another password, too, while the group changes it.
    yield from (one for one, sender in strange.items() if sender not in members)
    yield from found


def _heard(
    interfaces: Iterable[str], seconds: float, configuration: Configuration
) -> Iterator[tuple[str, Packet | Problem, bool]]:
    """
    The packets that arrive on interfaces, each with whether this host sent it; or why one cannot
    be listened to.
    """
    sockets: dict[socket.socket, str] = {}
    try:
        for interface in sorted(interfaces):
            try:
                sockets[openListener(interface)] = interface
            except OSError as error:
                group = next(one for one in configuration.groups if one.interface == interface)
                isMine = isinstance(error, MissingCapability)
                reason = error.strerror if isMine else os.strerror(error.errno or 0)
                text = f"interface: cannot listen on {interface}: {reason}"
                yield interface, configuration.problem(str(group.title), "interface", text), True
        end = time.monotonic() + seconds
        while sockets and (left := end - time.monotonic()) > 0:
            for sock in select.select(list(sockets), (), (), left)[0]:
                try:
                    arrival = receive(sock)
                except BlockingIOError:
                    continue
                except OSError:  # the interface went down
                    del sockets[sock]
                    sock.close()
                    break
                if arrival is not None:
                    yield sockets[sock], arrival.packet, arrival.here
    finally:
        for sock in sockets:
            sock.close()


def _fits(address: VirtualAddress, near: Sequence[InterfaceAddress], assign: bool) -> bool:
    """
    Whether neighbours on an interface look for an address there.
    """
    if isLinkLocal(address.packed):
        return True
    if not any(len(one.local) == len(address.packed) for one in near):
        # The interface needs no address of its own; the prefix of this one makes its network.
        return assign and address.prefixLength < 8 * len(address.packed)
    return any(one.covers(address.packed) for one in near)


def _networks(near: Sequence[InterfaceAddress]) -> str:
    present = [f"{textOf(one.local)}/{one.prefixLength}" for one in near]
    return f"the interface has {', '.join(present)}" if present else "the interface has no address"


def _table(groups: Iterable[VirtualHostConfiguration]) -> list[str]:
    """
    The groups as lines of text with a heading.
    """
    rows: list[tuple[str, ...]] = [("GROUP", "INTERFACE", "VHID", "SKEW", "SOURCE", "ADDRESSES")]
    for one in groups:
        source = one.source or one.source6
        shown = textOf(source) if source else "link-local"
        addresses = [str(address) if one.assign else address.text for address in one.addresses]
        facts = one.title, one.interface, one.vhid, one.advskew, shown, " ".join(addresses)
        rows.append(tuple(map(str, facts)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
