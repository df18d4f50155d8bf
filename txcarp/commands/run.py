"""
C{txcarp} without a subcommand: a ucarp command line, run as C{twistd txcarp} would run it.
"""

from __future__ import annotations

import errno
import os
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

from twisted.application.service import ServiceMaker
from twisted.python import usage

# Twisted documents runApp, but not the options that it takes.
from twisted.scripts.twistd import ServerOptions, runApp  # type: ignore[attr-defined]

from txcarp.configuration.options import CommandLineError
from txcarp.daemon.program import CANNOT_RUN, Options


class _Options(Options):
    """
    The command line of the C{txcarp} command.
    """

    command = True


class _Settings(ServerOptions):
    """
    twistd's own options, with this program as the only subcommand.  No plugins are searched for.
    """

    subCommands: Any = (("txcarp", None, _Options, ""),)
    loadedPlugins: Any = {"txcarp": ServiceMaker("CARP", "txcarp.daemon.program", "", "txcarp")}  # noqa: RUF012


class _PidFileError(Exception):
    """
    The pid file cannot be written.
    """


def settings(arguments: Sequence[str]) -> ServerOptions:
    """
    What twistd is told.

    @raise usage.UsageError: If the command line is wrong.
    """
    result = _Settings()  # type: ignore[no-untyped-call]
    result.parseOptions(  # type: ignore[no-untyped-call]
        # As a daemon, twistd would set the umask to 077, which the scripts would inherit.
        ["--nodaemon", "--pidfile=", f"--umask={_umask():o}", "txcarp", *arguments]
    )
    if result.subOptions.commandLine.daemonize:
        result["rundir"] = "/"
    return result


def run(arguments: Sequence[str]) -> None:
    """
    Run a virtual host until it ends.

    @raise CommandLineError: If the command line is wrong.
    @raise SystemExit: With status 2, if the virtual host cannot run.
    """
    errors = sys.stderr  # twistd redirects it to the log
    try:
        told = settings(arguments)
        _checkPidFile(told["pidfile"])
        runApp(told)
    except usage.UsageError as error:
        raise CommandLineError(str(error)) from None
    except _PidFileError as error:
        print(f"txcarp: --pidfile: {error}", file=errors)
        raise SystemExit(CANNOT_RUN) from None
    except OSError as error:
        print(f"txcarp: {error}", file=errors)
        raise SystemExit(CANNOT_RUN) from None
    except SystemExit as error:
        if not isinstance(error.code, str):
            raise
        # twistd reads the pid file.  The first line says what is wrong with it.
        print(f"txcarp: --pidfile: {error.code.splitlines()[0]}", file=errors)
        raise SystemExit(CANNOT_RUN) from None


def _checkPidFile(path: str) -> None:
    """
    Find out now whether the pid file can be written.  twistd would find that out when it has begun
    to log, and show where in its code.

    @param path: The absolute path of the file; empty for none.
    @raise _PidFileError: If it cannot.
    """
    if not path:
        return
    try:
        if os.path.isdir(path):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        tempfile.TemporaryFile(dir=os.path.dirname(path)).close()
    except OSError as error:
        raise _PidFileError(f"{path} cannot be written: {error.strerror}") from None


def _umask() -> int:
    """
    The file mode creation mask of this process.  It can be read only by setting it.
    """
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
