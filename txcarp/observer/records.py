"""
Reports and groups as JSON objects, one in each line, as C{docs/observe.rst} describes them.

Other programs read these objects: keys may be added, and are never removed.
"""

from __future__ import annotations

import json
from typing import Any

from txcarp.addresses import textOf
from txcarp.observer.host import ObservedHost
from txcarp.observer.reports import GroupView, Report
from txcarp.observer.sighting import CARPClaim, Claim
from txcarp.observer.vrrp import VRRPClaim
from txcarp.observer.words import Calendar


def ofReport(report: Report, calendar: Calendar) -> str:
    """
    The line for a report.
    """
    record: dict[str, Any] = {
        "time": calendar.machine(report.when),
        "event": report.kind.value,
        "interface": report.interface,
    }
    if report.group is None:
        record["source"] = report.source and textOf(report.source)
    else:
        record |= _group(report.group, report.host, calendar) | {
            "previous": report.previous and textOf(report.previous),
            "reason": report.cause and report.cause.value,
            "seconds": _rounded(report.seconds),
            "before": report.before and _claim(report.before),
        }
    return _line(record | {"detail": report.detail, "omitted": report.omitted})


def ofGroup(group: GroupView, calendar: Calendar) -> str:
    """
    The line for the present state of a group.
    """
    record = {
        "time": calendar.machine(calendar.now()),
        "event": "state",
        "interface": group.key.interface,
    }
    host = group.masters[0] if group.masters else group.last
    return _line(record | _group(group, host, calendar))


def identity(group: GroupView, calendar: Calendar) -> dict[str, Any]:
    """
    Which group it is, and its masters.
    """
    return {
        "protocol": group.key.protocol.value,
        "vhid": group.key.vhid,
        "family": group.key.family.value,
        "masters": [textOf(master.source) for master in group.masters],
        "nobody_since": _moment(group.nobodySince, calendar),
        "two_masters_since": _moment(group.twoSince, calendar),
    }


def _line(record: dict[str, Any]) -> str:
    return json.dumps(record) + "\n"


def _group(group: GroupView, host: ObservedHost | None, calendar: Calendar) -> dict[str, Any]:
    sighting = host and host.sighting
    return {
        **identity(group, calendar),
        "source": host and textOf(host.source),
        "hardware": (host and host.hardware.hex(":")) or None,
        "this_machine": host and host.here,
        "destination": sighting and textOf(sighting.destination),
        "addresses": sighting and list(map(textOf, sighting.addresses)),
        "seen_interval": host and _rounded(host.seen),
        "sealed": host and host.sealed,
        "verified": host and host.verified,
        "since": host and calendar.machine(host.since),
        "since_witnessed": host and host.witnessed,
        "heard": host and calendar.machine(host.heard),
        **_claim(host.claim if host else None),
    }


def _claim(claim: Claim | None) -> dict[str, Any]:
    carp = claim if isinstance(claim, CARPClaim) else None
    vrrp = claim if isinstance(claim, VRRPClaim) else None
    return {
        "interval": claim and _rounded(claim.interval),
        "advbase": carp and carp.timing.advbase,
        "advskew": carp and carp.timing.advskew,
        "demotion": carp and carp.demotion,
        "version": vrrp and vrrp.version,
        "priority": vrrp and vrrp.priority,
    }


def _moment(when: float | None, calendar: Calendar) -> str | None:
    return None if when is None else calendar.machine(when)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)
