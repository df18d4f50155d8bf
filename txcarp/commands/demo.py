"""
C{txcarp demo}: the command line.

Twisted and rich are imported only after the command line is parsed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from txcarp.commands.arguments import CommandParser

_DESCRIPTION = """\
Two hosts share an address while a client pings it: a host loses power, a
daemon is killed, a health check fails, and a host is stopped. All of this runs
on this machine, in networks that exist only for the demonstration. Root is not
needed where unprivileged user namespaces are allowed."""

_EPILOG = """\
Exit status: 0 after all take-overs, 1 if one was not seen or for a wrong
command line, 2 if this machine cannot run the demonstration, 128 plus the
number of the signal that ended it.
"""


def main(arguments: Sequence[str]) -> int:
    """
    Run C{txcarp demo}.

    @param arguments: The command line after C{demo}.
    @return: The exit status.
    """
    parser = CommandParser("demo", _DESCRIPTION, _EPILOG)
    parser.add_argument("--once", action="store_true", help="print plain lines and no picture")
    parser.add_argument(
        "--keep-logs",
        type=Path,
        metavar="DIRECTORY",
        help="keep the logs of both daemons in this directory",
    )
    parser.add_argument(
        "--stay",
        action="store_true",
        help="print where the pages of both hosts are, and keep them until Ctrl-C",
    )
    options = parser.parse_args(arguments)

    from txcarp.demo.performance import demonstrate

    return demonstrate(options.once, options.keep_logs, options.stay)
