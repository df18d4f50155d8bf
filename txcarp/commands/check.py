"""
C{txcarp check}: the command line.

Twisted and cattrs are imported only after the command line is parsed.
"""

from __future__ import annotations

from collections.abc import Sequence

from txcarp.commands.arguments import CommandParser

_DESCRIPTION = """\
Find every mistake in a configuration file, and what in it does not fit this
host: missing interfaces, addresses in no network of their interface, sources
that another host has, scripts that cannot be run. Nothing is changed or sent."""

_EPILOG = """\
Exit status: 0 if the file can be used, 1 if it has a mistake or for a wrong
command line.
"""


def main(arguments: Sequence[str]) -> int:
    """
    Run C{txcarp check}.

    @param arguments: The command line after C{check}.
    @return: The exit status.
    """
    parser = CommandParser("check", _DESCRIPTION, _EPILOG)
    parser.add_argument("file", metavar="FILE", help="the configuration file")
    parser.add_argument(
        "--listen",
        action="store_true",
        help="listen for 4 seconds for other groups with the same numbers (needs CAP_NET_RAW)",
    )
    options = parser.parse_args(arguments)

    from txcarp.setup.inspection import check

    return check(options.file, options.listen)
