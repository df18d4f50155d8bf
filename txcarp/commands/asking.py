"""
What the commands share that ask or tell a running process.
"""

from __future__ import annotations

import sys
from argparse import ArgumentTypeError
from collections.abc import Callable
from typing import Any

from txcarp.commands.arguments import CommandParser
from txcarp.configuration.options import WRONG_USAGE
from txcarp.configuration.places import CONTROL_SOCKET
from txcarp.operate.client import PATIENCE, PORT, Client, ControlError, NoDaemon, NotPermitted

#: The exit statuses, besides those of success and of a wrong command line.
REFUSED, NO_DAEMON, NOT_PERMITTED = 2, 3, 4

#: What a request is refused for that the command line should not have asked for.
_WRONG = ("no-such-group", "bad-request", "not-demoted", "not-known")

#: Seconds for which a command waits for its result unless told otherwise.
USUAL_WAIT = 60.0

EXIT_STATUS = """\
Exit status: 0 if it is done; 1 for a wrong command line or an unknown group; 2
if it was refused; 3 if no txcarp answers; 4 if you may not do that.
"""


def parserFor(
    command: str, description: str, epilog: str = EXIT_STATUS, reads: bool = False
) -> CommandParser:
    """
    A parser with the options that all these commands have.

    @param reads: Whether the command changes nothing, so that it can also ask another host.
    """
    parser = CommandParser(command, description, epilog)
    parser.add_argument(
        "--control",
        metavar="PATH",
        default=CONTROL_SOCKET,
        help=f"socket of the running txcarp [{CONTROL_SOCKET}]",
    )
    if reads:
        parser.add_argument(
            "--host",
            metavar="ADDRESS[:PORT]",
            type=_address,
            help=f"ask the txcarp of another host, which needs --http there [port {PORT}]",
        )
    return parser


def addWaiting(parser: CommandParser, usual: float = USUAL_WAIT) -> None:
    """
    Add the options of a command that waits for its result.

    @param usual: Seconds for which it waits unless told otherwise.
    """
    waits = parser.add_mutually_exclusive_group()
    waits.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=_patience,
        default=usual,
        help=f"wait no longer for the result [{usual:.0f}]",
    )
    waits.add_argument("--no-wait", action="store_true", help="do not wait for the result")


def waiting(options: Any) -> dict[str, Any]:
    """
    How long a parsed command line wants to wait, for a method of the client.
    """
    return {"wait": not options.no_wait, "timeout": options.timeout}


def _patience(text: str) -> float:
    """
    A number of seconds.
    """
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not found > 0:
        raise ArgumentTypeError(f"{text!r} is not a number of seconds greater than 0")
    return found


def _address(text: str) -> tuple[str, int]:
    """
    A host and a port, as in C{10.1.1.2}, C{10.1.1.2:9112}, C{::1} or C{[::1]:9112}.
    """
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]") or (":" in host and not text.startswith("[")):
        host, port = text, str(PORT)
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not host or not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ArgumentTypeError(f"{text!r} is not an address, or an address and a port")
    return host, int(port)


def asked(command: str, ask: Callable[[], int]) -> int:
    """
    Ask, and say what went wrong.

    @param ask: Asks, and returns the exit status.
    @return: The exit status.
    """
    try:
        return ask()
    except ControlError as error:
        print(f"txcarp {command}: {error}", file=sys.stderr)
        return _statusOf(error)


def did(
    command: str, ask: Callable[[], dict[str, Any]], words: str
) -> int:
    """
    Have something done in a group, and say in which state it is then.

    @param ask: Has it done, and returns the group afterwards.
    @param words: What was done.
    """

    def done() -> int:
        group = ask()
        print(f"{title(group)}: {words}; {describe(group)}")
        return 0

    return asked(command, done)


def clientOf(options: Any, patience: float = PATIENCE) -> Client:
    """
    The client for a parsed command line.

    @param patience: Seconds until a question is given up.
    """
    return Client(options.control, patience, address=getattr(options, "host", None))


def title(group: dict[str, Any]) -> str:
    """
    How people call a group.
    """
    return str(group["title"] or group["name"])


def describe(group: dict[str, Any]) -> str:
    """
    The state of a group as a phrase.
    """
    words = f"this host is {group['role']}"
    if group["demotion"]:
        words += f", demoted by {group['demotion']}"
    if group["holds"]:
        words += f", held back: {', '.join(hold['explanation'] for hold in group['holds'])}"
    return words


def _statusOf(error: ControlError) -> int:
    if isinstance(error, NoDaemon):
        return NO_DAEMON
    if isinstance(error, NotPermitted):
        return NOT_PERMITTED
    return WRONG_USAGE if error.word in _WRONG else REFUSED
