"""
C{txcarp reload} and C{txcarp confirm}: have the configuration file read again, and keep the change.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from txcarp.commands.asking import addWaiting, asked, clientOf, parserFor, waiting

_DESCRIPTION = """\
Make txcarp read its configuration file again, and wait until the changes are in
effect. Show what they are. A file with a mistake changes nothing."""

#: Seconds for which a reload may take: groups that are removed run their scripts.
_LONGEST_WAIT = 240.0

_CONFIRM = """\
Keep the change of 'txcarp reload --confirm', which is undone otherwise. Show
what the change is."""

_EXIT_STATUS = """\
Exit status: 0 if it is done; 1 for a wrong command line; 2 if it was refused,
for example because the file has a mistake; 3 if no txcarp answers; 4 if you may
not do that.
"""


def main(arguments: Sequence[str]) -> int:
    """
    Run C{txcarp reload}.

    @param arguments: The command line after C{reload}.
    @return: The exit status.
    """
    parser = parserFor("reload", _DESCRIPTION, _EXIT_STATUS)
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument(
        "--dry-run", action="store_true", help="only show what would change; change nothing"
    )
    kinds.add_argument(
        "--confirm",
        metavar="TIME",
        help="undo the change after this time, such as 2m, unless 'txcarp confirm' is given before",
    )
    addWaiting(parser, _LONGEST_WAIT)
    options = parser.parse_args(arguments)
    client, terms = clientOf(options), waiting(options)
    return asked(
        "reload", lambda: _show(client.reload(options.dry_run, options.confirm, **terms), options)
    )


def confirm(arguments: Sequence[str]) -> int:
    """
    Run C{txcarp confirm}.

    @param arguments: The command line after C{confirm}.
    @return: The exit status.
    """
    options = parserFor("confirm", _CONFIRM, _EXIT_STATUS).parse_args(arguments)
    return asked("confirm", lambda: _show(clientOf(options).confirm()))


def _show(found: dict[str, Any], options: Any = None) -> int:
    for text in found["warnings"]:
        print(f"txcarp reload: warning: {text}", file=sys.stderr)
    for line in found["lines"]:
        print(line)
    if found["unconfirmed"] is not None:
        print(
            f"This is undone in {found['unconfirmed']:.0f} s: enter 'txcarp confirm' before that "
            "to keep it."
        )
    elif options is not None and options.confirm:
        print("There is nothing to confirm.")
    return 0
