"""
Command lines of the subcommands.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from txcarp import __version__
from txcarp.commands.examples import withExample
from txcarp.configuration.options import WRONG_USAGE

#: The width of a help text in columns, at most.
WIDTH = 80


class _Shown(Exception):
    """
    A parser is wanted, and not what its command does.
    """

    def __init__(self, parser: CommandParser) -> None:
        super().__init__()
        self.parser = parser


class CommandParser(argparse.ArgumentParser):
    """
    Parses the arguments of one subcommand.  C{--help} and C{--version} exit with status 0.
    """

    def __init__(self, command: str, description: str, epilog: str) -> None:
        """
        @param description: Text before the options, with its line breaks.
        @param epilog: Text after the options, with its line breaks.
        """
        super().__init__(
            prog=f"txcarp {command}",
            description=description,
            epilog=withExample(command, epilog),
            formatter_class=_formatter,
        )
        self.add_argument("--version", action="version", version=f"txcarp {__version__}")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """
        See C{argparse}.
        """
        if _isShowing:
            raise _Shown(self)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """
        Say what is wrong and exit with status 1.
        """
        self.exit(WRONG_USAGE, f"{self.prog}: {message}\nTry '{self.prog} --help'.\n")


#: Whether L{parserOf} runs a command.
_isShowing = False


def parserOf(run: Callable[[Sequence[str]], object]) -> CommandParser:
    """
    The parser of a command, which does nothing else.

    @param run: The function of the command, which parses its arguments first.
    """
    global _isShowing
    _isShowing = True
    try:
        run([])
    except _Shown as shown:
        return shown.parser
    finally:
        _isShowing = False
    raise TypeError(f"{run!r} parses no arguments")


def _formatter(prog: str) -> argparse.HelpFormatter:
    width = min(WIDTH, shutil.get_terminal_size().columns)
    return argparse.RawDescriptionHelpFormatter(prog, width=width)
