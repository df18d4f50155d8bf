"""
C{txcarp status}: the state of the groups of a running process.

rich is imported only for a terminal.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from typing import Any

from txcarp.commands.asking import EXIT_STATUS, REFUSED, asked, clientOf, parserFor
from txcarp.commands.table import plainTable, row, tableOf
from txcarp.operate.client import Client

_DESCRIPTION = """\
Show the state of the groups that txcarp runs on this host: the role of this
host since when, the master, when it was heard, the addresses and their lease."""

#: Seconds from one question of C{--watch} to the next, unless the command line says otherwise, and
#: the least.
_EVERY, _LEAST = 1.0, 0.1

#: Seconds until C{--watch} says that there is no answer.
_PATIENCE = 3.0


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
    parser.add_argument(
        *("-w", "--watch"),
        nargs="?",
        const=_EVERY,
        type=_interval,
        metavar="SECONDS",
        help="show it again after so many seconds, until Ctrl-C; without a terminal, whenever "
        f"something has changed [{_EVERY:g}]",
    )
    options = parser.parse_args(_separated(arguments))
    if options.watch is not None and options.json:
        parser.error("give either --json or --watch")
    return asked("status", lambda: _show(options) if options.watch is None else _watch(options))


def _separated(arguments: Sequence[str]) -> list[str]:
    """
    The command line with C{--watch=1} in place of C{--watch}, unless a number follows: otherwise
    the name of a group would be taken for the number.
    """
    result = [*arguments]
    for index, word in enumerate(arguments):
        following = arguments[index + 1 : index + 2]
        if word in ("-w", "--watch") and not any(map(_isNumber, following)):
            result[index] = f"--watch={_EVERY:g}"
    return result


def _isNumber(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _interval(text: str) -> float:
    seconds = float(text) if _isNumber(text) else math.nan
    if not _LEAST <= seconds < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from {_LEAST:g} on")
    return seconds


def _watch(options: Any) -> int:
    from txcarp.commands.watch import watch

    client = clientOf(options, _PATIENCE)
    return watch(lambda: _document(client, options.groups), options.watch)


def _document(client: Client, names: Sequence[str]) -> dict[str, Any]:
    """
    The state of some groups, or of all.
    """
    if not names:
        return client.status()
    return {"schema": 1, "groups": [client.group(name) for name in names]}


def _show(options: Any) -> int:
    from txcarp.screen.output import Output

    document = _document(clientOf(options), options.groups)
    output = Output(sys.stdout, "txcarp status", lambda: None)  # the reader may go away
    if options.json:
        output.write(json.dumps(document, ensure_ascii=False, indent=2) + "\n")
        return REFUSED if output.hasFailed else 0
    rows = [row(group) for group in document["groups"]]
    if sys.stdout.isatty():
        from txcarp.screen.live import consoleOn, show

        console = consoleOn(output)
        show(console, tableOf(rows, console))
    else:
        output.write("".join(f"{line}\n" for line in plainTable(rows)))
    configuration = document.get("configuration")
    if configuration is not None and configuration["explanation"]:
        print(f"txcarp status: {configuration['explanation']}", file=sys.stderr)
    return REFUSED if output.hasFailed else 0
