"""
C{txcarp init}: the command line.

Twisted and cattrs are imported only after the command line is parsed.
"""

from __future__ import annotations

import argparse
import getpass
import os
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from txcarp.commands.arguments import CommandParser

if TYPE_CHECKING:
    from txcarp.addresses import VirtualAddress
    from txcarp.protocol.envelope import Packet
    from txcarp.setup.firstgroup import Plan

_DESCRIPTION = """\
Make a first group on this host: write a configuration file and a password, and
print the command that makes the group on the other host. What is not given is
asked for on a terminal. Listens for 4 seconds (needs CAP_NET_RAW) to find a
vhid that no other group has, and sends nothing. Overwrites nothing."""

_EPILOG = """\
On the second host, --join reads the password from standard input, so that no
list of processes shows it:

  txcarp init --join --interface eth0 --address 10.1.1.252/24 --vhid 1 \\
      --advskew 100 < password

Exit status: 0 if the group can be used, 1 for a wrong command line or a group
that does not fit this host, 2 if a file exists or cannot be written, the vhid
is taken, the password is not that of the group, or listening is impossible.
"""

#: The exit statuses.
_DONE, _WRONG, _REFUSED = 0, 1, 2

#: By how much the advskew of the second host is higher.
_SECOND = 100

#: Characters of the longest line that is read.
_LONGEST = 512

_Value = TypeVar("_Value")


def main(arguments: Sequence[str]) -> int:
    """
    Run C{txcarp init}.

    @param arguments: The command line after C{init}.
    @return: The exit status.
    """
    parser = CommandParser("init", _DESCRIPTION, _EPILOG)
    parser.add_argument(
        *("-i", "--interface"), metavar="INTERFACE", help="interface of the group"
    )
    parser.add_argument(
        *("-a", "--address"),
        action="append",
        default=[],
        dest="addresses",
        metavar="ADDRESS",
        help="address that the hosts share; may be given more than once",
    )
    parser.add_argument(
        *("-v", "--vhid"),
        type=_number(1),
        metavar="NUMBER",
        help="number of the group [the lowest that is free]",
    )
    parser.add_argument(
        *("-k", "--advskew"),
        type=_number(0),
        metavar="NUMBER",
        help="the host with the lowest is preferred [0; with --join 100]",
    )
    parser.add_argument(
        "--group", default="web", metavar="NAME", help="name of the group in the file [web]"
    )
    parser.add_argument(
        "--directory",
        default="/etc/txcarp",
        metavar="DIR",
        help="where to write txcarp.toml and password [/etc/txcarp]",
    )
    parser.add_argument(
        "--systemd",
        action="store_true",
        help="for txcarp.service, to which systemd passes the password",
    )
    parser.add_argument(
        "--page",
        action="store_true",
        help="serve a page for browsers and metrics on TCP port 9112, to all who reach it",
    )
    parser.add_argument(
        "--join", action="store_true", help="join the group of another host, with its password"
    )
    options = parser.parse_args(arguments)
    if options.join and not (options.addresses and options.vhid):
        parser.error("--join needs --address and --vhid: the other host has printed them")
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", options.group):
        parser.error(f"{options.group!r} is no name for a group: use letters, digits, - and _")
    return _begin(parser, options)


def _begin(parser: CommandParser, options: argparse.Namespace) -> int:
    from txcarp.setup import firstgroup

    isAsking = sys.stdin.isatty()
    try:
        present = firstgroup.interfaces()
        interface = options.interface or _interface(parser, sorted(present), isAsking)

        def shared(text: str) -> VirtualAddress:
            return firstgroup.sharedAddress(text, interface, present)

        if options.addresses:
            addresses = [shared(one) for one in options.addresses]
        elif isAsking:
            addresses = [_asked("Address that the hosts share", "", shared)]
        else:
            parser.error("no address: give --address, the one that the hosts share")
        plan = firstgroup.Plan(
            options.group,
            interface,
            addresses,
            options.vhid or 0,
            options.advskew if options.advskew is not None else _SECOND * options.join,
            os.path.abspath(options.directory),
            options.systemd,
            options.page,
        )
        return _join(plan, isAsking) if options.join else _make(plan, isAsking)
    except ValueError as error:
        parser.error(str(error))
    except firstgroup.Refused as error:
        return _say(str(error), _REFUSED)
    except (EOFError, KeyboardInterrupt):
        return _say("interrupted", _WRONG)


def _make(plan: Plan, isAsking: bool) -> int:
    """
    Make a group that no other host has yet.
    """
    from txcarp.setup import firstgroup

    firstgroup.refuseExisting(plan)
    numbers = firstgroup.taken(_heard(plan))

    def free(text: str) -> int:
        number = _number(1)(text)
        if number in numbers:
            raise ValueError(f"{numbers[number]} uses vhid {number} on {plan.interface}")
        return number

    if numbers:
        said = ", ".join(f"{number} ({numbers[number]})" for number in sorted(numbers))
        _tell(
            f"Numbers of other groups on {plan.interface}: {said}; to join one of them, use --join"
        )
    if plan.vhid in numbers:
        raise firstgroup.Refused(
            f"{numbers[plan.vhid]} uses vhid {plan.vhid} on {plan.interface}: give another one or, "
            "if that is a host of this group, --join"
        )
    proposed = plan.vhid or firstgroup.freeNumber(numbers)
    if isAsking and not plan.vhid:
        proposed = _asked("Number of the group (vhid)", str(proposed), free)
    plan = firstgroup.numbered(plan, proposed)
    firstgroup.write(plan, firstgroup.newPassword())
    status = _checked(plan)
    if status == _DONE:
        command = plan.command(min(plan.advskew + _SECOND, 254))
        print(f"""
Wrote {plan.file} and {plan.passwordFile}.
{_start(plan)}

On the other host, if this one reaches it as HOST by ssh, run here:
  ssh HOST {shlex.quote(command)} < {shlex.quote(plan.passwordFile)}
Otherwise, run this there. It asks for the password, which is the line in
{plan.passwordFile} here:
  {command}""")
    return status


def _join(plan: Plan, isAsking: bool) -> int:
    """
    Join the group of another host.
    """
    from txcarp.setup import firstgroup

    firstgroup.refuseExisting(plan)
    if isAsking:
        password = getpass.getpass("Password of the group: ")
    else:
        password = sys.stdin.readline(_LONGEST).rstrip("\r\n")
    if not 1 <= len(password.encode("utf-8", "surrogateescape")) <= firstgroup.LENGTH:
        raise firstgroup.Refused(
            f"the password must have 1 to {firstgroup.LENGTH} bytes"
            + ("" if isAsking else ", in the first line of the standard input")
        )
    packets = _heard(plan)
    firstgroup.write(plan, password)
    status = _checked(plan)
    if status != _DONE:
        return status
    try:
        found = firstgroup.members(plan, packets)
    except firstgroup.Refused:
        firstgroup.remove(plan)
        raise
    if found:
        _tell(f"Heard in the group: {', '.join(found)}")
    else:
        _tell(
            "No host of the group was heard. If txcarp runs there already, look at the network "
            "between the hosts, and at firewalls, before you start it here"
        )
    print(f"\nWrote {plan.file} and {plan.passwordFile}.\n{_start(plan)}")
    return status


def _heard(plan: Plan) -> list[Packet]:
    """
    What other hosts advertise.

    @raise txcarp.setup.firstgroup.Refused: If this host cannot listen.
    """
    from txcarp.setup import firstgroup, inspection

    seconds = inspection.LISTENING
    _tell(f"Listening on {plan.interface} for {seconds:.0f} s...")
    try:
        return firstgroup.listen(plan.interface, seconds)
    except OSError as error:
        reason = error.strerror or str(error)
        raise firstgroup.Refused(f"cannot listen on {plan.interface}: {reason}") from None


def _checked(plan: Plan) -> int:
    """
    Check the file as C{txcarp check} does.  If it is wrong, both files are removed.
    """
    from txcarp.setup import firstgroup, inspection

    if inspection.check(plan.file, False) != inspection.GOOD:
        firstgroup.remove(plan)
        _tell("Nothing is left of it: the files are removed.")
        return _WRONG
    return _DONE


def _start(plan: Plan) -> str:
    """
    How the daemon is started.
    """
    if plan.isCredential:
        from txcarp.setup import firstgroup

        return f"Start it here:\n  systemctl enable --now {shlex.quote(firstgroup.unit())}"
    return f"Start it here:\n  txcarp --config {shlex.quote(plan.file)}"


def _interface(parser: CommandParser, names: Sequence[str], isAsking: bool) -> str:
    """
    The interface of the group.
    """
    if len(names) == 1 and not isAsking:
        return names[0]
    if not isAsking:
        parser.error(f"which interface? Give --interface; there are: {', '.join(names) or 'none'}")

    def known(text: str) -> str:
        if text not in names:
            raise ValueError(
                f"{text!r} is not an interface with an address; there are: "
                f"{', '.join(names) or 'none'}"
            )
        return text

    return _asked("Interface", names[0] if names else "", known)


def _asked(question: str, proposed: str, read: Callable[[str], _Value]) -> _Value:
    """
    Ask until the answer can be read.

    @raise EOFError: If there is none.
    """
    while True:
        shown = f" [{proposed}]" if proposed else ""
        print(f"{question}{shown}: ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline(_LONGEST)
        if not line:
            raise EOFError
        try:
            return read(line.strip() or proposed)
        except (ValueError, argparse.ArgumentTypeError) as error:
            _tell(str(error))


def _number(lowest: int) -> Callable[[str], int]:
    """
    A reader of numbers of one byte.
    """

    def read(text: str) -> int:
        number = int(text) if text.isascii() and text.isdecimal() and len(text) < 4 else -1
        if not lowest <= number <= 255 - (not lowest):
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a number from {lowest} to {255 - (not lowest)}"
            )
        return number

    return read


def _tell(text: str) -> None:
    print(text, file=sys.stderr)


def _say(text: str, status: int) -> int:
    _tell(f"txcarp init: {text}")
    return status
