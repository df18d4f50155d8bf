"""
C{txcarp explain}: why this host is master of a group or is not.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from textwrap import wrap

from txcarp.commands.asking import asked, clientOf, parserFor

_DESCRIPTION = """\
Explain why this host is master of a group or is not, what holds it back, when
it would take over, and what the last changes were."""


#: Columns of the text, and those by which a change goes on in the next line.
_WIDTH, _INDENT = 80, 16


def wrapped(lines: Iterable[str]) -> Iterator[str]:
    """
    Yield lines that are not too long.
    """
    for line in lines:
        indent = " " * _INDENT if line.startswith(" ") else ""
        yield from wrap(line, _WIDTH, subsequent_indent=indent, break_on_hyphens=False)


def main(arguments: Sequence[str]) -> int:
    """
    Run C{txcarp explain}.

    @param arguments: The command line after C{explain}.
    @return: The exit status.
    """
    parser = parserFor("explain", _DESCRIPTION, reads=True)
    parser.add_argument("group", metavar="GROUP", help="name of the group")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)

    def ask() -> int:
        found = clientOf(options).explain(options.group)
        if options.json:
            print(json.dumps(found, ensure_ascii=False, indent=2))
        else:
            print("\n".join(wrapped(found["lines"])))
        return 0

    return asked("explain", ask)
