"""
Reports, groups and times in words, for people.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timezone

from txcarp.addresses import textOf
from txcarp.observer.host import ObservedHost
from txcarp.observer.reports import Cause, GroupKey, GroupView, Kind, Report
from txcarp.observer.sighting import CARPClaim, Claim
from txcarp.observer.vrrp import VRRPClaim
from txcarp.protocol.family import Family

#: Addresses to list in a sentence.
_LISTED = 4

#: What is said of a host whose digests are wrong.
_UNVERIFIED = "signs with another password or for other addresses"

#: Seconds below which a time is given in tenths of a second.
FINE = 10.0
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


class Calendar:
    """
    Moments of a monotonic clock as dates and times.  They follow the wall clock when it is set.
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


def name(key: GroupKey) -> str:
    """
    A group, without its interface.
    """
    family = " IPv6" if key.family is Family.IPV6 else ""
    return f"{key.protocol.value} {key.vhid}{family}"


def rank(claim: Claim) -> str:
    """
    The rank of a master by the rules of its protocol.
    """
    if isinstance(claim, VRRPClaim):
        return f"priority {claim.priority}"
    return f"base {claim.timing.advbase} skew {claim.timing.advskew}"


def interval(seconds: float) -> str:
    """
    The time between advertisements.
    """
    return f"{seconds:.2f} s" if seconds >= 0.1 else f"{seconds * 1000:.0f} ms"


def line(report: Report, calendar: Calendar) -> str | None:
    """
    A report as a line of output; C{None} for a report that is not shown to people.
    """
    said = sentence(report, calendar)
    return None if said is None else f"{calendar.full(report.when)}  {report.interface}  {said}\n"


def sentence(report: Report, calendar: Calendar) -> str | None:
    """
    A report, without its time and interface; C{None} for a report that is not shown to people.
    """
    host, group = report.host, report.group
    if host is None or group is None:
        said = _generalSentence(report)
    else:
        said = _hostSentence(report, host, group, calendar)
    if said is None:
        return None
    subject = f"{name(group.key)}: " if group is not None else ""
    more = f" (and {report.omitted} more like this)" if report.omitted else ""
    return f"{subject}{said}{more}"


def _generalSentence(report: Report) -> str | None:
    match report.kind:
        case Kind.LISTENING:
            return "listening again" if report.detail else "listening for CARP and VRRP"
        case Kind.DOWN:
            return "the interface is down; nothing can be heard until it is up"
        case Kind.GONE:
            return "the interface is gone; nothing can be heard until it returns"
        case Kind.IGNORED:
            source = textOf(report.source) if report.source else "an unknown host"
            return f"{source} sent a packet that every receiver refuses: {report.detail}"
        case Kind.TOO_MANY_HOSTS:
            return "too many hosts advertise; new ones are ignored"
        case Kind.TOO_MANY_GROUPS:
            return f"more than {report.detail} groups; new ones are ignored"
    return None


def _hostSentence(
    report: Report, host: ObservedHost, group: GroupView, calendar: Calendar
) -> str | None:
    source = textOf(host.source)
    lasted = duration(report.seconds or 0)
    match report.kind:
        case Kind.GROUP:
            here = " (this machine)" if host.here else ""
            addresses = _addresses(host.sighting.addresses)
            return f"{source}{here} is master: {_described(host.claim)}{addresses}"
        case Kind.MASTER:
            return f"{source} is the new master{_why(report, host)}"
        case Kind.RETURNED:
            return f"{source} advertises again after {lasted}"
        case Kind.BOW_OUT:
            sent = "a bow-out" if isinstance(host.claim, CARPClaim) else "priority 0"
            return f"{source} resigned: it sent {sent}"
        case Kind.SILENT:
            return f"NO MASTER since {calendar.short(host.heard)}; the last was {source}"
        case Kind.TWO_MASTERS:
            return _twoMasters(group, calendar)
        case Kind.ONE_MASTER:
            return f"{source} is the only master again; there were several for {lasted}"
        case Kind.STRAY:
            return f"{source} advertised briefly alongside the master, then stopped"
        case Kind.CLAIM:
            before = "" if report.before is None else f", before: {_described(report.before)}"
            return f"{source} changed: {_described(host.claim)}{before}"
        case Kind.DIGEST if host.sighting.leaving:
            return f"a bow-out from {source}, which {_UNVERIFIED}: no member of the group obeys it"
        case Kind.DIGEST if host.verified:
            return f"{source} signs with the right password and addresses again"
        case Kind.DIGEST:
            return f"{source} {_UNVERIFIED.upper()}"
        case Kind.REPLAY:
            return f"AN OLD ADVERTISEMENT of {source} was sent again; txcarp hosts refuse it"
        case Kind.SEAL if host.sealed:
            return f"the advertisements of {source} look sealed"
        case Kind.SEAL if report.detail:
            return f"the advertisements of {source} NO LONGER LOOK SEALED"
    return None


def _described(claim: Claim) -> str:
    every = f"every {interval(claim.interval)}"
    if isinstance(claim, CARPClaim):
        demoted = f", demotion {claim.demotion}" if claim.demotion else ""
        base, skew = claim.timing.advbase, claim.timing.advskew
        return f"advbase {base}, advskew {skew}{demoted} ({every})"
    return f"priority {claim.priority}, {every}, version {claim.version}"


def _why(report: Report, host: ObservedHost) -> str:
    previous = textOf(report.previous) if report.previous else "the last one"
    lasted = duration(report.seconds or 0)
    match report.cause:
        case Cause.BOW_OUT:
            return f": {previous} bowed out {lasted} earlier"
        case Cause.SILENCE:
            return f": {previous} was silent for {lasted}"
        case Cause.TIMING | Cause.PRIORITY:
            before = "" if report.before is None else f"{rank(report.before)} of "
            return f": {rank(host.claim)} is preferred to {before}{previous}"
        case Cause.DEMOTION:
            return f": {previous} is demoted"
        case Cause.EQUAL:
            return f": it ranks equal to {previous}, which yielded"
    return f" in place of {previous}, for a reason that was not seen"


def _twoMasters(group: GroupView, calendar: Calendar) -> str:
    masters = " and ".join(f"{textOf(host.source)} ({rank(host.claim)})" for host in group.masters)
    since = "" if group.twoSince is None else f" since {calendar.short(group.twoSince)}"
    count = "TWO" if len(group.masters) == 2 else str(len(group.masters))
    strangers = [textOf(host.source) for host in group.masters if host.verified is False]
    if strangers:
        return f"{count} MASTERS{since}: {masters}. {' and '.join(strangers)} {_UNVERIFIED}"
    return (
        f"{count} MASTERS{since}: {masters}. They do not hear each other, or they are two groups "
        "with the same number"
    )


def _addresses(addresses: Sequence[bytes]) -> str:
    if not addresses:
        return ""
    more = len(addresses) - _LISTED
    listed = ", ".join(map(textOf, addresses[:_LISTED]))
    return f", for {listed}" + (f" and {more} more" if more > 0 else "")
