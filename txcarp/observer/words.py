"""
What people read about groups, hosts and events.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable

from txcarp.observer.claim import CARPClaim, Claim, Reason, VRRPClaim
from txcarp.observer.events import Event, GroupKey, GroupView, HostView, Kind
from txcarp.observer.times import Calendar, duration
from txcarp.protocol.family import Family, familyOf

#: Addresses that are listed in a sentence.
_LISTED = 4


def address(packed: bytes) -> str:
    """
    An address as it is written.
    """
    family = socket.AF_INET if familyOf(packed) is Family.IPV4 else socket.AF_INET6
    return socket.inet_ntop(family, packed)


def hardwareAddress(packed: bytes) -> str:
    """
    An Ethernet address as it is written.
    """
    return packed.hex(":")


def name(key: GroupKey) -> str:
    """
    A group on its interface.
    """
    family = " IPv6" if key.family is Family.IPV6 else ""
    return f"{key.protocol.value} {key.vhid}{family}"


def timing(claim: Claim) -> str:
    """
    What a host says of itself, in the words of its protocol.
    """
    if isinstance(claim, VRRPClaim):
        return f"priority {claim.priority}"
    return f"base {claim.timing.advbase} skew {claim.timing.advskew}"


def interval(seconds: float) -> str:
    """
    How far apart advertisements are.
    """
    return f"{seconds:.2f} s" if seconds >= 0.1 else f"{seconds * 1000:.0f} ms"


def sentence(event: Event, calendar: Calendar) -> str | None:
    """
    An event in words, without the time and the interface; C{None} for one that
    is nothing to speak of.
    """
    said = _sayings(event, calendar)
    if said is None:
        return None
    if event.group is not None:
        said = f"{name(event.group.key)}: {said}"
    if event.omitted:
        said += f" (and {event.omitted} more like this)"
    return said


def _sayings(event: Event, calendar: Calendar) -> str | None:
    host, group = event.host, event.group
    if host is None or group is None:
        return _generalSayings(event)
    who = address(host.source)
    match event.kind:
        case Kind.GROUP:
            return _introduction(host)
        case Kind.MASTER:
            return f"{who} is the new master{_why(event)}"
        case Kind.RETURNED:
            return f"{who} advertises again, after {duration(event.seconds or 0)}"
        case Kind.BOW_OUT:
            return f"{who} gives up ({_farewell(host.claim)})"
        case Kind.SILENT:
            since = calendar.short(host.heard)
            return f"NOBODY ADVERTISES since {since}; the last was {who}"
        case Kind.TWO_MASTERS:
            return _twoMasters(group, calendar)
        case Kind.ONE_MASTER:
            lasted = duration(event.seconds or 0)
            return f"{who} is the only master again; there were two for {lasted}"
        case Kind.STRAY:
            return f"{who} advertised for a moment beside the master, and stopped"
        case Kind.CLAIM:
            before = "" if event.before is None else f", before: {_described(event.before)}"
            return f"{who} changed: {_described(host.claim)}{before}"
        case Kind.SEAL:
            return _sealSaying(who, host, event)
    return _generalSayings(event)


def _farewell(claim: Claim) -> str:
    return "it sent a bow-out" if isinstance(claim, CARPClaim) else "it sent priority 0"


def _introduction(host: HostView) -> str:
    here = " (this machine)" if host.here else ""
    addresses = f", for {_list(host.addresses)}" if host.addresses else ""
    return f"{address(host.source)}{here} is master: {_described(host.claim)}{addresses}"


def _described(claim: Claim) -> str:
    every = f"every {interval(claim.interval)}"
    if isinstance(claim, CARPClaim):
        demoted = f", demotion {claim.demotion}" if claim.demotion else ""
        base, skew = claim.timing.advbase, claim.timing.advskew
        return f"advbase {base}, advskew {skew}{demoted} ({every})"
    return f"priority {claim.priority}, {every}, version {claim.version}"


def _why(event: Event) -> str:
    previous = "the last" if event.previous is None else address(event.previous)
    assert event.host is not None
    claim = timing(event.host.claim)
    match event.reason:
        case Reason.BOW_OUT:
            return f": {previous} bowed out {duration(event.seconds or 0)} before"
        case Reason.SILENCE:
            return f": {previous} was silent for {duration(event.seconds or 0)}"
        case Reason.TIMING | Reason.PRIORITY:
            before = "" if event.before is None else f"{timing(event.before)} of "
            return f": {claim} is better than {before}{previous}"
        case Reason.DEMOTION:
            return f": {previous} is demoted"
        case Reason.EQUAL:
            return f": equal to {previous}, which gave way"
    return f" in place of {previous}; why was not seen"


def _twoMasters(group: GroupView, calendar: Calendar) -> str:
    masters = " and ".join(
        f"{address(host.source)} ({timing(host.claim)})" for host in group.masters
    )
    since = "" if group.twoSince is None else f" since {calendar.short(group.twoSince)}"
    count = "TWO" if len(group.masters) == 2 else str(len(group.masters))
    return (
        f"{count} MASTERS{since}: {masters}. They do not hear each other, or belong to two groups"
    )


def _sealSaying(who: str, host: HostView, event: Event) -> str | None:
    if host.sealed:
        return f"the advertisements of {who} look sealed"
    if event.detail:
        return f"the advertisements of {who} do NOT LOOK SEALED any more"
    return None


def _generalSayings(event: Event) -> str | None:
    match event.kind:
        case Kind.LISTENING:
            return "listening again" if event.detail else "listening for CARP and VRRP"
        case Kind.DOWN:
            return "the interface is down; nothing can be heard until it is up"
        case Kind.GONE:
            return "the interface is gone; nothing can be heard until it is there again"
        case Kind.IGNORED:
            source = "somebody" if event.source is None else address(event.source)
            return f"{source} sends what everybody ignores: {event.detail}"
        case Kind.TOO_MANY_HOSTS:
            return "too many hosts advertise; the newest are not looked at"
        case Kind.TOO_MANY_GROUPS:
            return f"more than {event.detail} groups; the newest are not looked at"
    return None


def _list(addresses: Iterable[bytes]) -> str:
    texts = [address(packed) for packed in addresses]
    more = len(texts) - _LISTED
    return ", ".join(texts[:_LISTED]) + (f" and {more} more" if more > 0 else "")
