"""
C{txcarp drain} and C{txcarp resume}: take this host out of the election, and end that.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from txcarp.commands.arguments import CommandParser
from txcarp.commands.asking import REFUSED, addWaiting, asked, clientOf, parserFor, title, waiting

_DRAIN = """\
Take this host out of the election of a group, for example to work on it. A
master bows out, and goes on answering until its successor has taken over. If
no host does within 1.5 s, it takes the group back, and the exit status is 2.
A drain survives a restart of txcarp, and is ended by 'txcarp resume'."""

_RESUME = """\
End what 'txcarp drain' has begun: this host takes part in the election again.
It takes over if it is preferred and preempts."""


def drain(arguments: Sequence[str]) -> int:
    """
    Run C{txcarp drain}.

    @param arguments: The command line after C{drain}.
    @return: The exit status.
    """
    parser = parserFor("drain", _DRAIN)
    _addGroup(parser)
    parser.add_argument(
        "--for", metavar="TIME", dest="duration", help="end the drain after this time, such as 10m"
    )
    parser.add_argument(
        "--anyway", action="store_true", help="drain even if no other host is master then"
    )
    addWaiting(parser)
    options = parser.parse_args(arguments)
    terms = {**waiting(options), "anyway": options.anyway}
    if options.duration is not None:
        terms["duration"] = options.duration
    return asked("drain", lambda: _show("drain", clientOf(options).drain(options.group, **terms)))


def resume(arguments: Sequence[str]) -> int:
    """
    Run C{txcarp resume}.

    @param arguments: The command line after C{resume}.
    @return: The exit status.
    """
    parser = parserFor("resume", _RESUME)
    _addGroup(parser)
    addWaiting(parser)
    options = parser.parse_args(arguments)
    terms = waiting(options)
    return asked(
        "resume", lambda: _show("resume", clientOf(options).resume(options.group, **terms))
    )


def _addGroup(parser: CommandParser) -> None:
    groups = parser.add_mutually_exclusive_group(required=True)
    groups.add_argument("group", metavar="GROUP", nargs="?", help="name of the group")
    groups.add_argument("--all", action="store_true", help="all groups")


def _show(command: str, found: dict[str, Any]) -> int:
    if "group" in found:
        print(f"{title(found['group'])}: {found['message']}")
        return 0
    status = 0
    for one in found["results"]:
        if one["error"] is None:
            print(f"{title(one)}: {one['message']}")
        else:
            status = REFUSED
            print(f"txcarp {command}: {one['message']}", file=sys.stderr)
    return status
