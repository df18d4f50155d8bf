"""
C{txcarp explain}: why this host is master of a group or is not.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from txcarp.commands.asking import asked, clientOf, parserFor

_DESCRIPTION = """\
Explain why this host is master of a group or is not, what holds it back, when
it would take over, and what the last changes were."""


def main(arguments: Sequence[str]) -> int:
    """
    Run C{txcarp explain}.

    @param arguments: The command line after C{explain}.
    @return: The exit status.
    """
    parser = parserFor("explain", _DESCRIPTION)
    parser.add_argument("group", metavar="GROUP", help="name of the group")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)

    def ask() -> int:
        found = clientOf(options).explain(options.group)
        if options.json:
            print(json.dumps(found, ensure_ascii=False, indent=2))
        else:
            print("\n".join(found["lines"]))
        return 0

    return asked("explain", ask)
