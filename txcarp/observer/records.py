"""
Events and groups as JSON objects, which C{docs/guide.rst} describes.

Keys that are there stay: other programs read them.
"""

from __future__ import annotations

from typing import Any

import attrs

from txcarp.observer import words
from txcarp.observer.claim import CARPClaim, Claim, VRRPClaim
from txcarp.observer.events import Event, GroupView, HostView
from txcarp.observer.times import Calendar

#: The event of an object that says how things stand, with C{--once}.
STATE = "state"


@attrs.frozen
class Recorder:
    """
    Writes them down.
    """

    calendar: Calendar

    def event(self, event: Event) -> dict[str, Any]:
        """
        The object for an event.
        """
        record: dict[str, Any] = {
            "time": self.calendar.machine(event.when),
            "event": event.kind.value,
            "interface": event.interface,
        }
        if event.group is not None:
            record |= self._group(event.group, event.host)
            record |= {
                "previous": _text(event.previous),
                "reason": None if event.reason is None else event.reason.value,
                "seconds": _rounded(event.seconds),
                "before": None if event.before is None else _claim(event.before),
            }
        else:
            record["source"] = _text(event.source)
        return record | {"detail": event.detail, "omitted": event.omitted}

    def state(self, group: GroupView) -> dict[str, Any]:
        """
        The object for a group.
        """
        return {
            "time": self.calendar.machine(self.calendar.now()),
            "event": STATE,
            "interface": group.key.interface,
        } | self._group(group, group.masters[0] if group.masters else group.last)

    def _group(self, group: GroupView, host: HostView | None) -> dict[str, Any]:
        return {
            "protocol": group.key.protocol.value,
            "vhid": group.key.vhid,
            "family": group.key.family.value,
            "masters": [words.address(master.source) for master in group.masters],
            "nobody_since": self._moment(group.nobodySince),
            "two_masters_since": self._moment(group.twoSince),
        } | self._host(host)

    def _host(self, host: HostView | None) -> dict[str, Any]:
        if host is None:
            return dict.fromkeys((*_HOST_KEYS, *_claim(None)))
        return {
            "source": words.address(host.source),
            "hardware": words.hardwareAddress(host.hardware) or None,
            "this_machine": host.here,
            "destination": words.address(host.destination),
            "addresses": [words.address(packed) for packed in host.addresses],
            "seen_interval": _rounded(host.seen),
            "sealed": host.sealed,
            "since": self._moment(host.since),
            "since_witnessed": host.witnessed,
            "heard": self._moment(host.heard),
        } | _claim(host.claim)

    def _moment(self, when: float | None) -> str | None:
        return None if when is None else self.calendar.machine(when)


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


def _text(packed: bytes | None) -> str | None:
    return None if packed is None else words.address(packed)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)
