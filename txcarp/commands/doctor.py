"""
C{txcarp doctor}: the command line.

Twisted and cattrs are imported only after the command line is parsed.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from txcarp.commands.arguments import CommandParser
from txcarp.configuration.options import OPTIONS

if TYPE_CHECKING:
    from txcarp.configuration.model import VirtualHostConfiguration

_DIALECTS = next(option.words for option in OPTIONS if option.setting == "dialect")

_DESCRIPTION = """\
Find out what is wrong with this host, and with the paths between the hosts of
its groups; say what was seen, the likely cause, and the command that mends it.
Nothing is changed, and nobody becomes master or ceases to be: the test packets
have a number that no group can have."""

_EPILOG = """\
Test the paths in both directions: run this on both hosts at the same time.
Each waits for the other one for a minute at most:

  txcarp doctor --wait 60

Examine a group of ucarp, or one without a file:

  txcarp doctor -i eth0 -v 1 -a 10.1.1.252 -o /etc/txcarp/password

Without the other host, this listens for some seconds, asks the neighbours, and
reads interfaces, addresses and firewall rules. Requires root, or CAP_NET_RAW
and CAP_NET_ADMIN; without them it says what it could not test.

Exit status: 0 if all is well, but for advice; 1 for a wrong command line or
file; 2 if a problem was found; 3 if none was, but something was not tested.
"""

_FILE = "/etc/txcarp/txcarp.toml"

#: The exit statuses.
WELL, WRONG, TROUBLE, UNTESTED = 0, 1, 2, 3


def main(arguments: Sequence[str]) -> int:
    """
    Run C{txcarp doctor}.

    @param arguments: The command line after C{doctor}.
    @return: The exit status.
    """
    parser = CommandParser("doctor", _DESCRIPTION, _EPILOG)
    parser.add_argument(
        "groups", nargs="*", metavar="GROUP", help="groups of the file to examine [all]"
    )
    parser.add_argument("--config", metavar="FILE", help=f"the configuration file [{_FILE}]")
    parser.add_argument(
        "--wait",
        type=_seconds,
        default=0.0,
        metavar="SECONDS",
        help="wait for doctors on other hosts for this long",
    )
    parser.add_argument(
        "--other",
        action="append",
        default=[],
        dest="others",
        metavar="ADDRESS",
        help="another host's own address, to reach its doctor without multicast; may be given "
        "more than once",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    for names, metavar, said in (
        (("-i", "--interface"), "INTERFACE", "interface of a group that is in no file"),
        (("-v", "--vhid"), "NUMBER", "its number"),
        (("-s", "--srcip"), "ADDRESS", "this host's own address [found on the interface]"),
        (("-o", "--passfile"), "FILE", "file with its password"),
        (("-p", "--pass"), "PASSWORD", "its password; lists of processes show it"),
        (("-b", "--advbase"), "SECONDS", "its seconds between advertisements [1]"),
        (("-k", "--advskew"), "NUMBER", "this host's skew [0]"),
    ):
        parser.add_argument(*names, metavar=metavar, help=said)
    parser.add_argument(
        *("-a", "--addr"),
        action="append",
        metavar="ADDRESS",
        help="address that its hosts share; may be given more than once",
    )
    parser.add_argument(
        "--peer",
        action="append",
        default=[],
        dest="peers",
        metavar="ADDRESS",
        help="its hosts advertise to this address, and not to a multicast group",
    )
    parser.add_argument("--assign", action="store_true", help="txcarp adds its addresses")
    parser.add_argument("--dialect", choices=_DIALECTS, help="its rules [ucarp]")
    options = parser.parse_args(arguments)
    given = _ucarpOptions(options)
    if given and (options.groups or options.config):
        parser.error("give either a file and groups in it, or the options of one group")
    try:
        groups = _described(given) if given else _fromFile(options.config, options.groups)
        others = _packed(options.others)
    except _Wrong as error:
        return _say(str(error))
    return _examine(groups, others, options)


class _Wrong(Exception):
    """
    The command line or the file is wrong, for a reason that people can read.
    """


def _examine(
    groups: Sequence[VirtualHostConfiguration],
    others: Sequence[bytes],
    options: argparse.Namespace,
) -> int:
    from txcarp.doctor import examination, report

    def progress(line: str) -> None:
        if sys.stderr.isatty():
            print(f"txcarp doctor: {line}", file=sys.stderr)

    if options.wait:
        progress(f"waits up to {options.wait:.0f} s for a doctor on another host; Ctrl-C ends that")
    try:
        facts = examination.examine(groups, others, options.wait, progress)
    except KeyboardInterrupt:
        return _say("interrupted")
    complaints = examination.judge(facts)
    untested = list(examination.untestedIn(facts))
    show = report.asJSON if options.json else report.text
    print(show(facts, complaints, untested))
    if not all(one.isAdvice for one in complaints):
        return TROUBLE
    return UNTESTED if untested else WELL


def _ucarpOptions(options: argparse.Namespace) -> list[str]:
    """
    The options of a group as ucarp takes them.
    """
    words = []
    for name in ("interface", "vhid", "srcip", "passfile", "pass", "advbase", "advskew"):
        value = getattr(options, name)
        if value is not None:
            words.append(f"--{name}={value}")
    words += [f"--addr={one}" for one in options.addr or ()]
    words += [f"--peer={one}" for one in options.peers]
    if options.dialect is not None:
        words.append(f"--dialect={options.dialect}")
    return [*words, "--assign"] if options.assign else words


def _described(given: Sequence[str]) -> Sequence[VirtualHostConfiguration]:
    """
    The group that options describe.
    """
    from txcarp.addresses import parseVirtualAddress, textOf
    from txcarp.configuration.options import CommandLineError, split
    from txcarp.configuration.request import CannotRun
    from txcarp.configuration.ucarp import read
    from txcarp.doctor.examination import sourceOrNone

    values = [(option.name, text) for option, text in split(given)[0]]
    words = list(given)
    if "srcip" not in dict(values):
        try:
            addresses = [parseVirtualAddress(text) for name, text in values if name == "addr"]
        except ValueError as error:
            raise _Wrong(str(error)) from None
        ipv4 = [one for one in addresses if one.isIPv4]
        if ipv4:
            virtual = [one.packed for one in ipv4]
            source = sourceOrNone(dict(values).get("interface", ""), ipv4, virtual)
            words.append(f"--srcip={textOf(source)}")
    try:
        return read(words).configurations
    except (CommandLineError, CannotRun) as error:
        raise _Wrong(str(error)) from None


def _fromFile(path: str | None, names: Sequence[str]) -> Sequence[VirtualHostConfiguration]:
    """
    The groups of a file.

    @param names: The names of those that are wanted; none for all.
    """
    from txcarp.configuration.file import besideFile, readFile
    from txcarp.configuration.problems import FileError
    from txcarp.doctor.examination import sourceOrNone

    if path is None and not os.path.exists(_FILE):
        raise _Wrong(f"there is no {_FILE}: give --config FILE, or -i, -v, -a and -o")
    try:
        path = path or _FILE
        groups = readFile(path, besideFile(path), sourceOrNone).groups
    except FileError as error:
        raise _Wrong(str(error)) from None
    titles = [group.title for group in groups]
    for name in names:
        if name not in titles:
            there = ", ".join(str(one) for one in titles)
            raise _Wrong(f"the file has no group {name!r}; there are: {there}")
    return [group for group in groups if not names or group.title in names]


def _packed(addresses: Sequence[str]) -> list[bytes]:
    from txcarp.addresses import parseAddress

    try:
        return [parseAddress(one) for one in addresses]
    except ValueError as error:
        raise _Wrong(f"--other: {error}") from None


def _say(text: str) -> int:
    print(f"txcarp doctor: {text}", file=sys.stderr)
    return WRONG


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds up to 3600")
    return seconds
