"""
C{txcarp demote} and C{txcarp promote}: make this host less preferred for a reason, and end that.
"""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from collections.abc import Sequence

from txcarp.commands.asking import addWaiting, clientOf, did, parserFor, waiting

#: The largest amount of a demotion.
_LARGEST = 255

_DEMOTE = """\
Make this host less preferred in a group, until "txcarp promote" is called with
the same name, or txcarp ends. A master hands over if a better host is there."""

_PROMOTE = """\
End what "txcarp demote" has begun with the same name."""


def _amount(text: str) -> int:
    """
    The amount of a demotion.
    """
    if not re.fullmatch("[+-]?[0-9]{1,3}", text) or abs(int(text)) > _LARGEST:
        raise ArgumentTypeError(f"{text!r} is not a whole number from -{_LARGEST} to {_LARGEST}")
    return int(text)


def demote(arguments: Sequence[str]) -> int:
    """
    Run C{txcarp demote}.

    @param arguments: The command line after C{demote}.
    @return: The exit status.
    """
    parser = parserFor("demote", _DEMOTE)
    parser.add_argument("group", metavar="GROUP", help="name of the group")
    parser.add_argument("reason", metavar="NAME", help="name of the reason, for people")
    parser.add_argument(
        "amount", metavar="AMOUNT", type=_amount, help="what is added to the demotion, -255 to 255"
    )
    addWaiting(parser)
    options = parser.parse_args(arguments)
    client, terms = clientOf(options), waiting(options)
    words = f"demoted by {options.amount} for {options.reason!r}"
    given = options.group, options.reason, options.amount
    return did("demote", lambda: client.demote(*given, **terms), words)


def promote(arguments: Sequence[str]) -> int:
    """
    Run C{txcarp promote}.

    @param arguments: The command line after C{promote}.
    @return: The exit status.
    """
    parser = parserFor("promote", _PROMOTE)
    parser.add_argument("group", metavar="GROUP", help="name of the group")
    parser.add_argument("reason", metavar="NAME", help="name of the reason")
    addWaiting(parser)
    options = parser.parse_args(arguments)
    client, terms = clientOf(options), waiting(options)
    words = f"no longer demoted for {options.reason!r}"
    return did("promote", lambda: client.promote(options.group, options.reason, **terms), words)
