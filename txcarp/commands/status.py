"""
C{txcarp status}: the state of the groups of a running process.

rich is imported only for a terminal.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

from txcarp.commands.asking import EXIT_STATUS, asked, clientOf, parserFor, title

_DESCRIPTION = """\
Show the state of the groups that txcarp runs on this host: the role of this
host since when, the master, when it was heard, the addresses and their lease."""

_HEADINGS = ("GROUP", "STATE", "SINCE", "MASTER", "HEARD", "ADDRESSES", "LEASE", "NOTES")

#: Seconds after which a time of day needs a date.
_DAY = 86400


def main(arguments: Sequence[str]) -> int:
    """
    Run C{txcarp status}.

    @param arguments: The command line after C{status}.
    @return: The exit status.
    """
    parser = parserFor("status", _DESCRIPTION, EXIT_STATUS, reads=True)
    parser.add_argument("groups", metavar="GROUP", nargs="*", help="only these groups")
    parser.add_argument(
        "--json", action="store_true", help="print everything that is known, as one JSON object"
    )
    options = parser.parse_args(arguments)
    return asked("status", lambda: _show(options))


def _show(options: Any) -> int:
    client = clientOf(options)
    if options.groups:
        found = [client.group(name) for name in options.groups]
        document: dict[str, Any] = {"schema": 1, "groups": found}
    else:
        document = client.status()
    if options.json:
        _print(json.dumps(document, ensure_ascii=False, indent=2) + "\n")
        return 0
    rows = [row(group) for group in document["groups"]]
    if sys.stdout.isatty():
        _table(rows)
    else:
        _print("".join(f"{line}\n" for line in plainTable(rows)))
    configuration = document.get("configuration")
    if configuration is not None and configuration["explanation"]:
        print(f"txcarp status: {configuration['explanation']}", file=sys.stderr)
    return 0


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
        "\n".join(_notes(group)),
    )


def _notes(group: dict[str, Any]) -> Iterator[str]:
    if group["readiness"] in ("acquiring", "releasing"):
        yield group["readiness"]
    if group["demotion"]:
        yield f"demoted {group['demotion']}"
    for hold in group["holds"]:
        yield hold["explanation"] if hold["reason"] != "drained" else _drain(group, hold)
    for form in group["forms"][1:]:
        yield f"also {form}"
    for peer in group["peers"]:
        if peer["forms"] and "current" not in peer["forms"]:
            yield f"{peer['source']} not changed"
    if not group["running"]:
        yield "not running"


def _drain(group: dict[str, Any], hold: dict[str, Any]) -> str:
    """
    By whom a host is drained, and until when.
    """
    words, actor = "drained", hold["actor"]
    if actor is not None:
        words += f" by {actor['name'] or actor['uid']}"
    if hold["remaining"] is not None:
        form = "%H:%M:%S" if hold["remaining"] < _DAY else "%b %d %H:%M"
        when = time.localtime(group["time"] + hold["remaining"])
        words += time.strftime(f" until {form}", when)
    return words


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


def _table(rows: Sequence[tuple[str, ...]]) -> None:
    """
    Show a table on a terminal.
    """
    from rich.table import Table
    from rich.text import Text

    from txcarp.livescreen import consoleOn, show
    from txcarp.output import Output

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="strong")
    for heading in _HEADINGS:
        wraps = heading in ("NOTES", "ADDRESSES", "MASTER")
        table.add_column(heading, no_wrap=not wraps, overflow="fold")
    styles = {"MASTER": "good", "held": "bad"}
    for group, state, *others in rows:
        table.add_row(group, Text(state, styles.get(state, "plain")), *others)
    output = Output(sys.stdout, "txcarp status", lambda: None)
    show(consoleOn(output), table)


def _print(text: str) -> None:
    """
    Print text to a reader that may go away.
    """
    from txcarp.output import Output

    Output(sys.stdout, "txcarp status", lambda: None).write(text)
