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

HEADINGS = ("INTERFACE", "GROUP", "MASTER", "SINCE", "HEARD", "TIMING", "EVERY", "SEALED", "")

#: Seconds below which the time since the last advertisement has tenths.
_FINE = 10.0

#: How far from what a host says its advertisements may be without a note, and
#: how many seconds.
_TOLERANCE = 0.1
_TOLERATED = 0.05

_GAP = "  "

#: What stands below the name of a group with so many further masters.
_COUNTS = {1: " TWO MASTERS"}


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
        key = group.key
        many = len(group.masters) > 1
        if not group.masters:
            found.append(_vacant(group, calendar))
        for number, host in enumerate(group.masters):
            notes = _notes(host)
            if key.interface in deaf:
                notes.insert(0, "not heard: the interface is down")
            first = ("", _COUNTS.get(number, "")) if number else (key.interface, words.name(key))
            style = "bad" if many else "notice" if key.interface in deaf else "good"
            found.append(Row((*first, *_cells(host, calendar), ", ".join(notes)), style))
    return found


def layOut(rows: Iterable[Row], interfaces: bool) -> list[Row]:
    """
    The lines, headings first, with their cells one below the other; each has
    one cell, the whole line.

    @param interfaces: Whether there is more than one.
    """
    skipped = 0 if interfaces else 1
    lines = [Row(HEADINGS, "heading"), *rows]
    columns = range(skipped, len(HEADINGS))
    widths = [max(len(row.cells[column]) for row in lines) for column in columns]
    return [
        Row((_GAP.join(map(str.ljust, row.cells[skipped:], widths)).rstrip(),), row.style)
        for row in lines
    ]


def _vacant(group: GroupView, calendar: Calendar) -> Row:
    last = group.last
    note = "" if last is None else f"last was {words.address(last.source)}"
    since = calendar.short(group.nobodySince) if group.nobodySince is not None else "-"
    heard = "-" if last is None else _ago(last, calendar)
    group_ = (group.key.interface, words.name(group.key))
    return Row((*group_, "nobody", since, heard, "-", "-", "-", note), "bad")


def _cells(host: HostView, calendar: Calendar) -> tuple[str, ...]:
    since = calendar.short(host.since)
    return (
        words.address(host.source),
        since if host.witnessed else f"before {since}",
        _ago(host, calendar),
        words.timing(host.claim),
        words.interval(host.claim.interval if host.seen is None else host.seen),
        _sealed(host),
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
    seconds = max(0.0, calendar.now() - host.heard)
    return f"{seconds:.1f} s ago" if seconds < _FINE else f"{duration(seconds)} ago"
