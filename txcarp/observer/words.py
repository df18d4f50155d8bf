"""
Events, groups and times in words, for people.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timezone

from txcarp.observer.events import Event, GroupKey, GroupView, Kind, Reason
from txcarp.observer.host import Host
from txcarp.observer.sighting import CARPClaim, Claim
from txcarp.observer.vrrp import VRRPClaim
from txcarp.protocol.family import Family, familyOf

#: Addresses to list in a sentence.
_LISTED = 4

#: Seconds below which a time is given in tenths of a second.
FINE = 10.0
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


class Calendar:
    """
    Moments of a monotonic clock as dates and times.  They follow the wall clock
    when it is set.
    """

    def __init__(
        self,
        seconds: Callable[[], float],
        wall: Callable[[], float] = time.time,
        zone: timezone | None = None,
    ) -> None:
        """
        @param seconds: The monotonic clock.
        @param wall: The wall clock, in seconds since 1970.
        @param zone: The time zone; C{None} for the local one.
        """
        self.now = seconds
        self._wall = wall
        self._zone = zone

    def machine(self, when: float) -> str:
        """
        ISO 8601 in UTC, with milliseconds.
        """
        text = self._at(when).astimezone(UTC).isoformat(timespec="milliseconds")
        return text.replace("+00:00", "Z")

    def full(self, when: float) -> str:
        """
        Date and time of day, with milliseconds.
        """
        return self._at(when).replace(tzinfo=None).isoformat(" ", "milliseconds")

    def clock(self, when: float) -> str:
        """
        The time of day, with milliseconds.
        """
        return self._at(when).time().isoformat("milliseconds")

    def short(self, when: float) -> str:
        """
        The time of day, after the date if that is not today.
        """
        then = self._at(when)
        today = then.date() == self._at(self.now()).date()
        return then.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M:%S")

    def _at(self, when: float) -> datetime:
        wall = self._wall() - (self.now() - when)
        return datetime.fromtimestamp(wall, UTC).astimezone(self._zone)


def duration(seconds: float) -> str:
    """
    A length of time, rounded.
    """
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < FINE:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 2 * _MINUTE:
        return f"{whole} s"
    if whole < 2 * _HOUR:
        return f"{whole // _MINUTE} min"
    if whole < 2 * _DAY:
        return f"{whole // _HOUR} h"
    return f"{whole // _DAY} days"


def address(packed: bytes) -> str:
    """
    An IP address.
    """
    family = socket.AF_INET if familyOf(packed) is Family.IPV4 else socket.AF_INET6
    return socket.inet_ntop(family, packed)


def name(key: GroupKey) -> str:
    """
    A group, without its interface.
    """
    family = " IPv6" if key.family is Family.IPV6 else ""
    return f"{key.protocol.value} {key.vhid}{family}"


def timing(claim: Claim) -> str:
    """
    What ranks a master in its protocol.
    """
    if isinstance(claim, VRRPClaim):
        return f"priority {claim.priority}"
    return f"base {claim.timing.advbase} skew {claim.timing.advskew}"


def interval(seconds: float) -> str:
    """
    The time between advertisements.
    """
    return f"{seconds:.2f} s" if seconds >= 0.1 else f"{seconds * 1000:.0f} ms"


def line(event: Event, calendar: Calendar) -> str | None:
    """
    An event as a line of output; C{None} for an event that is not shown to
    people.
    """
    said = sentence(event, calendar)
    return None if said is None else f"{calendar.full(event.when)}  {event.interface}  {said}\n"


def sentence(event: Event, calendar: Calendar) -> str | None:
    """
    An event, without its time and interface; C{None} for an event that is not
    shown to people.
    """
    if event.host is None or event.group is None:
        said = _generalSentence(event)
    else:
        said = _hostSentence(event, event.host, event.group, calendar)
    if said is None:
        return None
    if event.group is not None:
        said = f"{name(event.group.key)}: {said}"
    if event.omitted:
        said += f" (and {event.omitted} more like this)"
    return said


def _generalSentence(event: Event) -> str | None:
    match event.kind:
        case Kind.LISTENING:
            return "listening again" if event.detail else "listening for CARP and VRRP"
        case Kind.DOWN:
            return "the interface is down; nothing can be heard until it is up"
        case Kind.GONE:
            return "the interface is gone; nothing can be heard until it returns"
        case Kind.IGNORED:
            source = "an unknown host" if event.source is None else address(event.source)
            return f"{source} sent a packet that every receiver refuses: {event.detail}"
        case Kind.TOO_MANY_HOSTS:
            return "too many hosts advertise; new ones are ignored"
        case Kind.TOO_MANY_GROUPS:
            return f"more than {event.detail} groups; new ones are ignored"
    return None


def _hostSentence(
    event: Event, host: Host, group: GroupView, calendar: Calendar
) -> str | None:
    who = address(host.source)
    lasted = duration(event.seconds or 0)
    match event.kind:
        case Kind.GROUP:
            here = " (this machine)" if host.here else ""
            addresses = f", for {_list(host.sighting.addresses)}" if host.sighting.addresses else ""
            return f"{who}{here} is master: {_described(host.claim)}{addresses}"
        case Kind.MASTER:
            return f"{who} is the new master{_why(event, host)}"
        case Kind.RETURNED:
            return f"{who} advertises again after {lasted}"
        case Kind.BOW_OUT:
            sent = "a bow-out" if isinstance(host.claim, CARPClaim) else "priority 0"
            return f"{who} resigned: it sent {sent}"
        case Kind.SILENT:
            return f"NO MASTER since {calendar.short(host.heard)}; the last was {who}"
        case Kind.TWO_MASTERS:
            return _twoMasters(group, calendar)
        case Kind.ONE_MASTER:
            return f"{who} is the only master again; there were several for {lasted}"
        case Kind.STRAY:
            return f"{who} advertised briefly beside the master, then stopped"
        case Kind.CLAIM:
            before = "" if event.before is None else f", before: {_described(event.before)}"
            return f"{who} changed: {_described(host.claim)}{before}"
        case Kind.SEAL if host.sealed:
            return f"the advertisements of {who} look sealed"
        case Kind.SEAL if event.detail:
            return f"the advertisements of {who} NO LONGER LOOK SEALED"
    return None


def _described(claim: Claim) -> str:
    every = f"every {interval(claim.interval)}"
    if isinstance(claim, CARPClaim):
        demoted = f", demotion {claim.demotion}" if claim.demotion else ""
        base, skew = claim.timing.advbase, claim.timing.advskew
        return f"advbase {base}, advskew {skew}{demoted} ({every})"
    return f"priority {claim.priority}, {every}, version {claim.version}"


def _why(event: Event, host: Host) -> str:
    previous = "the last one" if event.previous is None else address(event.previous)
    lasted = duration(event.seconds or 0)
    match event.reason:
        case Reason.BOW_OUT:
            return f": {previous} bowed out {lasted} before"
        case Reason.SILENCE:
            return f": {previous} was silent for {lasted}"
        case Reason.TIMING | Reason.PRIORITY:
            before = "" if event.before is None else f"{timing(event.before)} of "
            return f": {timing(host.claim)} is preferred to {before}{previous}"
        case Reason.DEMOTION:
            return f": {previous} is demoted"
        case Reason.EQUAL:
            return f": it ranks equal to {previous}, which yielded"
    return f" in place of {previous}, for a reason that was not seen"


def _twoMasters(group: GroupView, calendar: Calendar) -> str:
    masters = " and ".join(
        f"{address(host.source)} ({timing(host.claim)})" for host in group.masters
    )
    since = "" if group.twoSince is None else f" since {calendar.short(group.twoSince)}"
    count = "TWO" if len(group.masters) == 2 else str(len(group.masters))
    return (
        f"{count} MASTERS{since}: {masters}. They do not hear each other, or are two groups "
        "with one number"
    )


def _list(addresses: Iterable[bytes]) -> str:
    texts = [address(packed) for packed in addresses]
    more = len(texts) - _LISTED
    return ", ".join(texts[:_LISTED]) + (f" and {more} more" if more > 0 else "")
