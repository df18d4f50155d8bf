"""
Events and groups as JSON objects, one in each line, as C{docs/guide.rst}
describes them.

Other programs read these objects: keys may be added, and are never removed.
"""

from __future__ import annotations

import json
from typing import Any

from txcarp.observer import words
from txcarp.observer.events import Event, GroupView
from txcarp.observer.host import Host
from txcarp.observer.sighting import CARPClaim, Claim
from txcarp.observer.vrrp import VRRPClaim
from txcarp.observer.words import Calendar

_HOST_KEYS = (
    "source",
    "hardware",
    "this_machine",
    "destination",
    "addresses",
    "seen_interval",
    "sealed",
    "since",
    "since_witnessed",
    "heard",
)


def ofEvent(event: Event, calendar: Calendar) -> str:
    """
    The line for an event.
    """
    record: dict[str, Any] = {
        "time": calendar.machine(event.when),
        "event": event.kind.value,
        "interface": event.interface,
    }
    if event.group is None:
        record["source"] = _address(event.source)
    else:
        record |= _group(event.group, event.host, calendar) | {
            "previous": _address(event.previous),
            "reason": None if event.reason is None else event.reason.value,
            "seconds": _rounded(event.seconds),
            "before": None if event.before is None else _claim(event.before),
        }
    return _line(record | {"detail": event.detail, "omitted": event.omitted})


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


def _line(record: dict[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=True) + "\n"


def _group(group: GroupView, host: Host | None, calendar: Calendar) -> dict[str, Any]:
    return {
        "protocol": group.key.protocol.value,
        "vhid": group.key.vhid,
        "family": group.key.family.value,
        "masters": [words.address(master.source) for master in group.masters],
        "nobody_since": _moment(group.nobodySince, calendar),
        "two_masters_since": _moment(group.twoSince, calendar),
    } | _host(host, calendar)


def _host(host: Host | None, calendar: Calendar) -> dict[str, Any]:
    if host is None:
        return dict.fromkeys(_HOST_KEYS) | _claim(None)
    values = (
        words.address(host.source),
        host.hardware.hex(":") or None,
        host.here,
        words.address(host.sighting.destination),
        [words.address(packed) for packed in host.sighting.addresses],
        _rounded(host.seen),
        host.sealed,
        _moment(host.since, calendar),
        host.witnessed,
        _moment(host.heard, calendar),
    )
    return dict(zip(_HOST_KEYS, values, strict=True)) | _claim(host.claim)


def _claim(claim: Claim | None) -> dict[str, Any]:
    carp = claim if isinstance(claim, CARPClaim) else None
    vrrp = claim if isinstance(claim, VRRPClaim) else None
    return {
        "interval": None if claim is None else _rounded(claim.interval),
        "advbase": None if carp is None else carp.timing.advbase,
        "advskew": None if carp is None else carp.timing.advskew,
        "demotion": None if carp is None else carp.demotion,
        "version": None if vrrp is None else vrrp.version,
        "priority": None if vrrp is None else vrrp.priority,
    }


def _moment(when: float | None, calendar: Calendar) -> str | None:
    return None if when is None else calendar.machine(when)


def _address(packed: bytes | None) -> str | None:
    return None if packed is None else words.address(packed)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)
