"""
What can be written after C{txcarp}: the commands, their options and arguments, as values.

Nothing here is written by hand.  The commands are those of L{COMMANDS}, their options and arguments
are those of their parsers, and the options of the daemon those of
L{txcarp.configuration.options.OPTIONS}.
"""

from __future__ import annotations

import argparse
import re
from typing import NamedTuple

from txcarp.commands.arguments import parserOf
from txcarp.commands.main import COMMANDS
from txcarp.configuration.options import OPTIONS

#: What a value is that has one of these names in a help text.
_KINDS = {
    "FILE": "file",
    "PATH": "file",
    "PASSWORDFILE": "file",
    "DIRECTORY": "directory",
    "DIR": "directory",
    "INTERFACE": "interface",
    "GROUP": "group",
}


class Value(NamedTuple):
    """
    What can be written in one place.

    @ivar name: What the help calls it.
    @ivar kind: C{file}, C{directory}, C{interface} or C{group}; empty for other values.
    @ivar words: All that can be written, if these are few.
    @ivar isRepeated: Whether several can follow each other.
    @ivar help: One line about it, if it is an argument.
    """

    name: str
    kind: str = ""
    words: tuple[str, ...] = ()
    isRepeated: bool = False
    help: str = ""


class Flag(NamedTuple):
    """
    An option.

    @ivar names: Its names with their dashes.
    @ivar help: One line about it.
    @ivar value: Its value; C{None} if it has none.
    @ivar isOptional: Whether the value can be left out.
    @ivar isRepeated: Whether it can be given several times.
    """

    names: tuple[str, ...]
    help: str
    value: Value | None = None
    isOptional: bool = False
    isRepeated: bool = False


class Command(NamedTuple):
    """
    A command.

    @ivar name: Its name; empty for the daemon.
    @ivar help: One line about it.
    @ivar flags: Its options.
    @ivar values: Its arguments in order.
    """

    name: str
    help: str
    flags: tuple[Flag, ...]
    values: tuple[Value, ...]


def grammar() -> list[Command]:
    """
    The daemon, which has no name, and the commands.
    """
    found = [Command("", "", tuple(_daemonFlags()), ())]
    for name, command in COMMANDS.items():
        found.append(_command(name, parserOf(command.load())))
    return found


def _daemonFlags() -> list[Flag]:
    found = []
    for option in OPTIONS:
        names = tuple(one.strip() for one in option.names.split(","))
        value = None
        if option.takesValue:
            name = option.spelling.partition("=")[2]
            kind = _KINDS.get(name, "")
            if option.name in ("interface", "track-interface"):
                kind = "interface"
            value = Value(name, kind, option.words)
        found.append(Flag(names, option.help, value, isRepeated=value is not None))
    return found


def _command(name: str, parser: argparse.ArgumentParser) -> Command:
    flags, values = [], []
    for action in parser._actions:
        metavar = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
        words = tuple(map(str, action.choices or ()))
        isRepeated = action.nargs in ("*", "+")
        value = Value(metavar, "" if words else _KINDS.get(metavar, ""), words, isRepeated)
        said = (action.help or "").replace("%%", "%")
        if not action.option_strings:
            values.append(value._replace(help=said))
            continue
        hasValue = action.nargs != 0
        flags.append(
            Flag(
                tuple(action.option_strings),
                said,
                value if hasValue else None,
                hasValue and action.nargs == "?",
                isinstance(action, argparse._AppendAction),
            )
        )
    description = " ".join((parser.description or "").split())
    clause = re.split("[.:,] ", description)[0].rstrip(".")
    return Command(name, clause, tuple(flags), tuple(values))
