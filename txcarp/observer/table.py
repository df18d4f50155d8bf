"""
All groups in a table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from txcarp.observer import words
from txcarp.observer.claim import CARPClaim
from txcarp.observer.events import GroupView, HostView, Kind
from txcarp.observer.times import Calendar, duration
from txcarp.protocol.family import isMulticast

HEADINGS = ("INTERFACE", "GROUP", "MASTER", "TIMING", "EVERY", "SEALED", "SINCE", "HEARD", "")

#: How far from what a host says its advertisements may be without a note, and
#: how many seconds.
_TOLERANCE = 0.1
_TOLERATED = 0.05

_GAP = "  "


@attrs.frozen
class Row:
    """
    A line of the table.

    @ivar cells: One text for each column.
    @ivar style: C{good}, C{bad}, C{notice} or C{plain}.
    """

    cells: tuple[str, ...]
    style: str = "plain"


def rows(groups: Iterable[GroupView], calendar: Calendar, deaf: Mapping[str, Kind]) -> list[Row]:
    """
    The lines below the headings: one for each group, and one more for each
    further master.

    @param deaf: The interfaces on which nothing can be heard now.
    """
    found: list[Row] = []
    for group in groups:
        interface, label = group.key.interface, words.name(group.key)
        if not group.masters:
            found.append(_vacant(group, calendar))
        for number, host in enumerate(group.masters):
            cells = _cells(host, calendar)
            notes = _notes(host)
            if len(group.masters) > 1:
                since = calendar.short(group.twoSince or host.since)
                notes.insert(0, f"{len(group.masters)} MASTERS since {since}")
            if interface in deaf:
                notes.insert(0, "not heard: the interface is down")
            style = "bad" if len(group.masters) > 1 else "notice" if interface in deaf else "good"
            first = ("", "") if number else (interface, label)
            found.append(Row((*first, *cells, ", ".join(notes)), style))
    return found


def layOut(rows: Iterable[Row]) -> list[Row]:
    """
    The lines, headings first, with their cells one below the other; each has
    one cell, the whole line.
    """
    lines = [Row(HEADINGS, "heading"), *rows]
    widths = [max(len(row.cells[column]) for row in lines) for column in range(len(HEADINGS))]
    return [
        Row(
            (_GAP.join(map(str.ljust, row.cells, widths)).rstrip(),),
            row.style,
        )
        for row in lines
    ]


def _vacant(group: GroupView, calendar: Calendar) -> Row:
    last = group.last
    note = "" if last is None else f"last was {words.address(last.source)}"
    since = calendar.short(group.nobodySince) if group.nobodySince is not None else "-"
    heard = "-" if last is None else _ago(last, calendar)
    cells = (group.key.interface, words.name(group.key), "nobody", "-", "-", "-", since, heard)
    return Row((*cells, note), "bad")


def _cells(host: HostView, calendar: Calendar) -> tuple[str, ...]:
    since = calendar.short(host.since)
    return (
        words.address(host.source),
        words.timing(host.claim),
        words.interval(host.claim.interval if host.seen is None else host.seen),
        _sealed(host),
        since if host.witnessed else f"before {since}",
        _ago(host, calendar),
    )


def _sealed(host: HostView) -> str:
    if not isinstance(host.claim, CARPClaim):
        return "-"
    return {None: "?", True: "yes", False: "no"}[host.sealed]


def _notes(host: HostView) -> list[str]:
    notes = []
    claimed = host.claim.interval
    if host.seen is not None and abs(host.seen - claimed) > max(_TOLERATED, _TOLERANCE * claimed):
        notes.append(f"says every {words.interval(claimed)}")
    if isinstance(host.claim, CARPClaim):
        if host.claim.demotion:
            notes.append(f"demotion {host.claim.demotion}")
    else:
        notes.append(f"version {host.claim.version}")
    if host.here:
        notes.append("this machine")
    if not isMulticast(host.destination):
        notes.append(f"to {words.address(host.destination)}")
    return notes


def _ago(host: HostView, calendar: Calendar) -> str:
    return f"{duration(max(0.0, calendar.now() - host.heard))} ago"
