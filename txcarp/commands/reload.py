"""
C{txcarp reload}: have the configuration file read again.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from txcarp.commands.asking import asked, clientOf, parserFor

_DESCRIPTION = """\
Make txcarp read its configuration file again, and wait until the changes are in
effect. Show what they are. A file with a mistake changes nothing."""


def main(arguments: Sequence[str]) -> int:
    """
    Run C{txcarp reload}.

    @param arguments: The command line after C{reload}.
    @return: The exit status.
    """
    parser = parserFor("reload", _DESCRIPTION)
    parser.add_argument(
        "--dry-run", action="store_true", help="only show what would change; change nothing"
    )
    options = parser.parse_args(arguments)
    return asked("reload", lambda: _reload(options))


def _reload(options: Any) -> int:
    found = clientOf(options).reload(options.dry_run)
    for text in found["warnings"]:
        print(f"txcarp reload: warning: {text}", file=sys.stderr)
    for line in found["lines"]:
        print(line)
    return 0
