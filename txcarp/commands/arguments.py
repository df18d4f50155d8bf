"""
Command lines of the subcommands.
"""

from __future__ import annotations

import argparse
from typing import NoReturn

from txcarp import __version__
from txcarp.configuration.options import WRONG_USAGE


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
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self.add_argument("--version", action="version", version=f"txcarp {__version__}")

    def error(self, message: str) -> NoReturn:
        """
        Say what is wrong and exit with status 1.
        """
        self.exit(WRONG_USAGE, f"{self.prog}: {message}\nTry '{self.prog} --help'.\n")
