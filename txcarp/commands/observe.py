"""
C{txcarp observe}: the command line.

Twisted and rich are imported only after the command line is parsed.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence

from txcarp.commands.arguments import CommandParser

_DESCRIPTION = """\
Listen to the CARP and VRRP advertisements of a network without taking part.
Show the master of every group, and every change."""

_EPILOG = """\
Watch two interfaces; a terminal shows events above a table of all groups:

  txcarp observe -i eth0 -i eth1

List the groups and exit; the exit status says whether there are any:

  txcarp observe -i eth0 --once 5

Feed another program with one object for each event:

  txcarp observe -i eth0 --json | jq -r 'select(.event == "two-masters")'

Observing sends nothing and joins no multicast group. A switch with IGMP or
MLD snooping may therefore keep advertisements away from this port: observe on
a host of the group, or on a port that receives all multicast. Packets that
this machine sends, or that its firewall drops, are seen as well.

Requires root or CAP_NET_RAW. Exit status: 0 after Ctrl-C, or after --once if
any group was seen; 1 after --once if none was, or for a wrong command line; 2
if listening is impossible (no privileges, no such interface).
"""


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number of seconds")
    return seconds


def main(arguments: Sequence[str]) -> int:
    """
    Run C{txcarp observe}.

    @param arguments: The command line after C{observe}.
    @return: The exit status.
    """
    parser = CommandParser("observe", _DESCRIPTION, _EPILOG)
    parser.add_argument(
        *("-i", "--interface"),
        action="append",
        required=True,
        dest="interfaces",
        metavar="INTERFACE",
        help="interface to listen on; may be given more than once",
    )
    parser.add_argument(
        "--once",
        type=_seconds,
        metavar="SECONDS",
        help="listen for this long, print the groups that were seen, and exit",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object per line")
    options = parser.parse_args(arguments)

    from txcarp.observer.observation import observe

    return observe(list(dict.fromkeys(options.interfaces)), options.once, options.json)
