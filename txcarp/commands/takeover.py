"""
C{txcarp takeover}: make this host master of a group.
"""

from __future__ import annotations

from collections.abc import Sequence

from txcarp.commands.asking import addWaiting, clientOf, did, parserFor, waiting

_DESCRIPTION = """\
Make this host master of a group now. A host with a better advbase and advskew
takes the group back when it hears this one; to avoid that, demote it first."""


def main(arguments: Sequence[str]) -> int:
    """
    Run C{txcarp takeover}.

    @param arguments: The command line after C{takeover}.
    @return: The exit status.
    """
    parser = parserFor("takeover", _DESCRIPTION)
    parser.add_argument("group", metavar="GROUP", help="name of the group")
    addWaiting(parser)
    options = parser.parse_args(arguments)
    client, terms = clientOf(options), waiting(options)
    return did("takeover", lambda: client.takeOver(options.group, **terms), "asked to take over")
