"""
The table of C{txcarp status}: one row for each group.

rich is imported only for a terminal.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from txcarp.commands.asking import title

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_HEADINGS = ("GROUP", "STATE", "SINCE", "MASTER", "HEARD", "ADDRESSES", "LEASE", "NOTES")

#: The columns that a narrow terminal does without, beginning with the first.
_OPTIONAL = ("LEASE", "HEARD", "SINCE", "MASTER", "ADDRESSES")

#: More columns than any table has.
_UNLIMITED = 10_000

#: Seconds after which a time of day needs a date.
_DAY = 86400


def row(group: dict[str, Any]) -> tuple[str, ...]:
    """
    The cells of a group.
    """
    addresses = group["addresses"]
    leases = [one["lease"] for one in addresses if one["lease"] is not None]
    peer = group["peers"][-1] if group["master"] else None
    isMaster = group["role"] == "MASTER"
    return (
        title(group),
        "held" if group["holds"] else group["role"],
        _clock(group),
        "this host" if isMaster else group["master"] or "-",
        f"{peer['age']:.1f} s" if peer else "-",
        "\n".join(one["text"] for one in addresses),
        f"{min(leases):.1f} s" if leases else "-",
        "\n".join(_note(group, note) for note in group["notes"]),
    )


def _note(group: dict[str, Any], note: dict[str, Any]) -> str:
    """
    A note, and until when it holds.
    """
    left: float | None = note["remaining"]
    if left is None:
        return str(note["text"])
    form = "%H:%M:%S" if left < _DAY else "%b %d %H:%M"
    until = time.strftime(form, time.localtime(group["time"] + left))
    return f"{note['text']} until {until}"


def _clock(group: dict[str, Any]) -> str:
    """
    Since when a host has its role.
    """
    if group["since"] is None:
        return "-"
    when = time.localtime(group["time"] - group["since"])
    return time.strftime("%b %d %H:%M" if group["since"] >= _DAY else "%H:%M:%S", when)


def plainTable(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """
    Yield the lines of a table: one for each group, for programs such as C{awk}.
    """
    lines = [_HEADINGS, *(tuple(cell.replace("\n", ", ") for cell in one) for one in rows)]
    widths = [max(len(one[column]) for one in lines) for column in range(len(_HEADINGS))]
    for one in lines:
        yield "  ".join(f"{cell:{width}}" for cell, width in zip(one, widths, strict=True)).rstrip()


def tableOf(rows: Sequence[tuple[str, ...]], console: Console) -> Table:
    """
    The table for a terminal.  A narrow one has fewer columns.
    """
    unlimited = console.options.update(width=_UNLIMITED)
    for number in range(len(_OPTIONAL) + 1):
        table = _table(rows, _OPTIONAL[:number])
        if console.measure(table, options=unlimited).minimum <= console.width:
            break
    return table


def _table(rows: Sequence[tuple[str, ...]], without: Sequence[str]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="strong")
    for heading in _HEADINGS:
        if heading not in without:
            wraps = heading in ("NOTES", "ADDRESSES", "MASTER")
            table.add_column(heading, no_wrap=not wraps, overflow="fold")
    styles = {"MASTER": "good", "held": "bad"}
    for row in rows:
        cells = zip(_HEADINGS, row, strict=True)
        table.add_row(
            *(
                Text(cell, styles.get(cell, "plain") if heading == "STATE" else "plain")
                for heading, cell in cells
                if heading not in without
            )
        )
    return table
