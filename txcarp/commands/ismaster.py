"""
C{txcarp is-master}: whether this host is master of a group, as an exit status.
"""

from __future__ import annotations

from collections.abc import Sequence

from txcarp.commands.asking import asked, clientOf, describe, parserFor, title

#: The exit status of a host that is not master.
NO = 2

_DESCRIPTION = """\
Find out whether this host is master of a group, for scripts and timers:

  txcarp is-master web && run-the-nightly-job"""

_EPILOG = """\
Exit status: 0 if this host is master; 1 for a wrong command line or an unknown
group; 2 if it is not master; 3 if no txcarp answers; 4 if you may not ask.
"""


def main(arguments: Sequence[str]) -> int:
    """
    Run C{txcarp is-master}.

    @param arguments: The command line after C{is-master}.
    @return: The exit status.
    """
    parser = parserFor("is-master", _DESCRIPTION, _EPILOG, reads=True)
    parser.add_argument("group", metavar="GROUP", help="name of the group")
    parser.add_argument("-v", "--verbose", action="store_true", help="also print the state")
    options = parser.parse_args(arguments)

    def ask() -> int:
        group = clientOf(options).group(options.group)
        if options.verbose:
            print(f"{title(group)}: {describe(group)}")
        return 0 if group["role"] == "MASTER" else NO

    return asked("is-master", ask)
