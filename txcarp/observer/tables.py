"""
The table of all groups: printed once, or live below the reports.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

import attrs
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.segment import Segment, SegmentLines
from rich.table import Table
from rich.text import Text

from txcarp.addresses import textOf
from txcarp.observer import words
from txcarp.observer.host import ObservedHost
from txcarp.observer.reports import GroupView, Kind, Report
from txcarp.observer.sighting import CARPClaim
from txcarp.observer.watch import Watch
from txcarp.observer.words import Calendar
from txcarp.protocol.family import isMulticast
from txcarp.screen.live import LiveScreen, show

NOTHING = (
    "No advertisements heard. A switch with IGMP or MLD snooping may keep them from this port, "
    "because observing joins no multicast group."
)

#: Seconds without any group after which the live table shows L{NOTHING}.
_PATIENCE = 10.0

#: How far the interval of a host may be from the one that it claims without a note: a part of it,
#: and seconds at least.
_TOLERANCE = 0.1
_TOLERATED = 0.05

#: Each heading, and how the cell below reads in a list of details, where it stands if the terminal
#: is too narrow for its column.
_COLUMNS = (
    ("INTERFACE", "{}"),
    ("GROUP", "{}"),
    ("MASTER", "{}"),
    ("SINCE", "since {}"),
    ("HEARD", "heard {} ago"),
    ("TIMING", "{}"),
    ("EVERY", "every {}"),
    ("SEALED", "sealed: {}"),
    ("", "{}"),
)

#: Columns that stay on the narrowest terminal: up to the master.
_NARROWEST = 3

_GAP = 2
_INDENTATION = 4

#: Lines of a terminal that are left for reports.
_REPORT_LINES = 2

_REPORT_STYLES = {
    **dict.fromkeys((Kind.GROUP, Kind.MASTER, Kind.RETURNED, Kind.ONE_MASTER), "good"),
    **dict.fromkeys((Kind.SILENT, Kind.TWO_MASTERS, Kind.DIGEST, Kind.REPLAY), "bad"),
    **dict.fromkeys((Kind.LISTENING, Kind.CLAIM, Kind.SEAL), "plain"),
}


@attrs.frozen
class Row:
    """
    A row of the table.

    @ivar cells: A text for each of L{_COLUMNS}; C{-} or empty if there is none.
    @ivar style: C{good}, C{bad} or C{notice}.
    """

    cells: tuple[str, ...]
    style: str


def rows(groups: Iterable[GroupView], calendar: Calendar, deaf: Mapping[str, Kind]) -> list[Row]:
    """
    A row for each group, and one for each further master of it.

    @param deaf: The interfaces on which nothing can be heard.
    """
    found: list[Row] = []
    for group in groups:
        names = (group.key.interface, words.name(group.key))
        if not group.masters:
            found.append(Row((*names, *_vacant(group, calendar)), "bad"))
        style = "bad" if len(group.masters) > 1 else "good"
        unheard = []
        if group.key.interface in deaf:
            unheard = ["not heard: the interface is down"]
            style = "notice" if style == "good" else style
        for number, host in enumerate(group.masters):
            if number:
                names = ("", " TWO MASTERS" if number == 1 else "")
            notes = ", ".join([*unheard, *_notes(host)])
            found.append(Row((*names, *_cells(host, calendar), notes), style))
    return found


def _vacant(group: GroupView, calendar: Calendar) -> tuple[str, ...]:
    since = "-" if group.nobodySince is None else calendar.short(group.nobodySince)
    age, note = "-", ""
    if group.last is not None:
        age, note = _age(group.last, calendar), f"last was {textOf(group.last.source)}"
    return ("none", since, age, "-", "-", "-", note)


def _cells(host: ObservedHost, calendar: Calendar) -> tuple[str, ...]:
    since = calendar.short(host.since)
    sealed = {None: "?", True: "yes", False: "no"}[host.sealed]
    return (
        textOf(host.source),
        since if host.witnessed else f"before {since}",
        _age(host, calendar),
        words.rank(host.claim),
        words.interval(host.claim.interval if host.seen is None else host.seen),
        sealed if isinstance(host.claim, CARPClaim) else "-",
    )


def _notes(host: ObservedHost) -> list[str]:
    notes = []
    claimed = host.claim.interval
    if host.seen is not None and abs(host.seen - claimed) > max(_TOLERATED, _TOLERANCE * claimed):
        notes.append(f"claims every {words.interval(claimed)}")
    if not isinstance(host.claim, CARPClaim):
        notes.append(f"version {host.claim.version}")
    elif host.claim.demotion:
        notes.append(f"demotion {host.claim.demotion}")
    if host.verified is not None:
        notes.append("verified" if host.verified else "WRONG PASSWORD OR ADDRESSES")
    if host.here:
        notes.append("this machine")
    if not isMulticast(host.sighting.destination):
        notes.append(f"to {textOf(host.sighting.destination)}")
    return notes


def _age(host: ObservedHost, calendar: Calendar) -> str:
    seconds = max(0.0, calendar.now() - host.heard)
    return f"{seconds:.1f} s" if seconds < words.FINE else words.duration(seconds)


def layOut(
    rows: Sequence[Row], console: Console, manyInterfaces: bool
) -> list[list[list[Segment]]]:
    """
    The table, as wide as the console allows.  Cells for which there is no room stand in lines
    below their row.

    @return: A block of lines for the headings, and one for each row.
    """
    first = 0 if manyInterfaces else 1
    kept = _fitting(rows, first, console.width)
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="strong")
    for heading, _ in _COLUMNS[first:kept]:
        table.add_column(heading, no_wrap=True)
    for row in rows:
        table.add_row(*row.cells[first:kept], style=row.style)
    headings, *lines = console.render_lines(table, pad=False)
    blocks = [[headings]]
    for row, line in zip(rows, lines, strict=True):
        rest = zip(row.cells[kept:], _COLUMNS[kept:], strict=True)
        details = [template.format(cell) for cell, (_, template) in rest if cell not in ("", "-")]
        below = Padding(Text(", ".join(details), row.style), (0, 0, 0, _INDENTATION))
        blocks.append([line, *(console.render_lines(below, pad=False) if details else ())])
    return blocks


def _fitting(rows: Sequence[Row], first: int, width: int) -> int:
    """
    The column before which the table has to end.
    """
    total, widths = -_GAP, []
    for column, (heading, _) in enumerate(_COLUMNS[first:], first):
        total += max(map(cell_len, (heading, *(row.cells[column] for row in rows)))) + _GAP
        widths.append(total)
    return max(_NARROWEST, first + sum(each <= width for each in widths))


def printTable(
    groups: Sequence[GroupView],
    console: Console,
    calendar: Calendar,
    deaf: Mapping[str, Kind],
    manyInterfaces: bool,
) -> None:
    """
    Print all groups, or L{NOTHING}.
    """
    if groups:
        blocks = layOut(rows(groups, calendar, deaf), console, manyInterfaces)
        show(console, SegmentLines(list(chain.from_iterable(blocks)), new_lines=True))
    else:
        show(console, Text(NOTHING))


class LiveTable:
    """
    Reports above, and below them the table of all groups.
    """

    def __init__(
        self, console: Console, calendar: Calendar, watch: Watch, interfaces: Sequence[str]
    ) -> None:
        """
        @param console: A console on a terminal.
        """
        self._console = console
        self._calendar = calendar
        self._watch = watch
        self._interfaces = interfaces
        self._started = calendar.now()
        self._screen = LiveScreen(console, self)

    def show(self, reports: Iterable[Report]) -> None:
        """
        Print reports, perhaps none, and draw the table anew.
        """
        lines = (self._line(report) for report in reports)
        self._screen.update(*(line for line in lines if line is not None))

    def end(self) -> None:
        """
        Draw the table for the last time.
        """
        self._screen.stop()

    def _line(self, report: Report) -> Table | None:
        said = words.sentence(report, self._calendar)
        if said is None or (report.kind is Kind.LISTENING and not report.detail):
            return None  # the last line of the picture says what is listened to
        style = _REPORT_STYLES.get(report.kind, "notice")
        line = Table.grid(padding=(0, _GAP, 0, 0))
        line.add_row(
            Text(self._calendar.clock(report.when), "faint", no_wrap=True),
            Text(report.interface, style, no_wrap=True),
            Text(said, style),
        )
        return line

    def __rich__(self) -> RenderableType:
        """
        Draw the table between an empty line and one that says what this is.
        """
        interfaces = ", ".join(self._interfaces)
        status = Text(f"Listening on {interfaces}, sending nothing. Ctrl-C ends it.", "faint")
        below = self._console.render_lines(status, pad=False)
        above = self._table(max(1, self._console.height - _REPORT_LINES - 1 - len(below)))
        return SegmentLines([[], *above, *below], new_lines=True)

    def _table(self, room: int) -> list[list[Segment]]:
        """
        The table, cut to some lines.
        """
        found = rows(self._watch.groups(), self._calendar, self._watch.deaf)
        if not found:
            late = self._calendar.now() - self._started > _PATIENCE
            hint = Text(NOTHING, "notice")
            return self._console.render_lines(hint, pad=False)[:room] if late else []
        many = len(self._interfaces) > 1
        blocks = layOut(found[:room], self._console, many)
        if len(found) > room or sum(map(len, blocks)) > room:
            found.sort(key=lambda row: row.style != "bad")  # trouble first
            blocks = layOut(found[:room], self._console, many)
            while len(blocks) > 1 and sum(map(len, blocks)) >= room:
                blocks.pop()
            blocks.append([[Segment(f"... and {len(found) - len(blocks) + 1} more")]])
        return list(chain.from_iterable(blocks))
