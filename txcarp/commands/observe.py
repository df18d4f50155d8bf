"""
C{txcarp observe}: the command line.

Twisted and rich are imported only after the command line is parsed.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from txcarp.commands.arguments import CommandParser
from txcarp.configuration.options import OPTIONS

if TYPE_CHECKING:
    from txcarp.observer.verification import Verifier

_DIALECTS = next(option.words for option in OPTIONS if option.setting == "dialect")

_DESCRIPTION = """\
Listen to the CARP and VRRP advertisements of a network without taking part.
Show the master of every group, and every change; in the end, say what happened
in each group. With the password and the addresses of a group, verify digests
and seals as well."""

_EPILOG = """\
Watch two interfaces; a terminal shows events above a table of all groups:

  txcarp observe -i eth0 -i eth1

List the groups and exit; the exit status says whether there are any:

  txcarp observe -i eth0 --once 5

Feed another program with one object for each event:

  txcarp observe -i eth0 --json | jq -r 'select(.event == "two-masters")'

Find hosts with another password or other addresses, and replays:

  txcarp observe -i eth0 -o /etc/txcarp/password -a 10.1.1.252

Read what tcpdump has captured ("-" for standard input):

  txcarp observe --pcap carp.pcapng

Observing sends nothing and joins no multicast group. A switch with IGMP or
MLD snooping may therefore keep advertisements away from this port: observe on
a host of the group, or on a port that receives all multicast. Packets that
this machine sends, or that its firewall drops, are seen as well.

Without --pcap, requires root or CAP_NET_RAW. Exit status: 0 after Ctrl-C, or
after --once or --pcap if any group was seen; 1 if none was, or for a wrong
command line; 2 if listening is impossible (no privileges, no such interface),
or the capture cannot be read to its end.
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
        default=[],
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
    parser.add_argument(
        "--pcap", metavar="FILE", help="read a capture (pcap or pcapng) in place of a network"
    )
    parser.add_argument(
        *("-o", "--passfile"), metavar="FILE", help="verify with the password in this file"
    )
    parser.add_argument(
        *("-a", "--addr"),
        action="append",
        default=[],
        dest="addresses",
        metavar="ADDRESS",
        help="virtual address of that group; may be given more than once",
    )
    parser.add_argument(
        *("-v", "--vhid"),
        type=_number,
        metavar="NUMBER",
        help="number of that group [any in which an advertisement fits]",
    )
    parser.add_argument(
        "--dialect", choices=_DIALECTS, default=_DIALECTS[0], help="its rules [ucarp]"
    )
    options = parser.parse_args(arguments)
    if bool(options.interfaces) == (options.pcap is not None):
        parser.error("give either -i or --pcap")
    if options.pcap is not None and options.once is not None:
        parser.error("--once is for a network, and a capture has an end")
    if bool(options.addresses) != (options.passfile is not None):
        parser.error("give both -o and -a, or neither")
    if options.vhid is not None and options.passfile is None:
        parser.error("-v needs -o and -a")
    try:
        verifier = _verifier(options) if options.passfile is not None else None
    except ValueError as error:
        parser.error(str(error))

    if options.pcap is not None:
        from txcarp.observer.review import review

        return review(options.pcap, options.json, verifier)

    from txcarp.observer.observation import observe

    interfaces = list(dict.fromkeys(options.interfaces))
    return observe(interfaces, options.once, options.json, verifier)


def _number(text: str) -> int:
    number = int(text) if text.isascii() and text.isdecimal() else 0
    if not 0 < number < 256:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 255")
    return number


def _verifier(options: argparse.Namespace) -> Verifier:
    """
    What verifies the advertisements of the group.

    @raise ValueError: If the password or an address is wrong.
    """
    from txcarp.addresses import parseVirtualAddress
    from txcarp.configuration.passwords import passwordIn
    from txcarp.configuration.values import notAPassword
    from txcarp.observer.verification import Verifier
    from txcarp.protocol.dialect import DIALECTS

    password, warnings = passwordIn(options.passfile)
    if problem := notAPassword(password):
        raise ValueError(f"{options.passfile}: {problem}")
    addresses = [parseVirtualAddress(one).packed for one in options.addresses]
    for warning in warnings:
        print(f"txcarp observe: {warning}", file=sys.stderr)
    return Verifier(password, addresses, DIALECTS[options.dialect], options.vhid)
