"""
The C{txcarp} command: a ucarp command line, run as twistd runs it.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any, cast

from twisted.application import app
from twisted.application.service import Application, IServiceCollection
from twisted.logger import ILogObserver, LogBeginner, globalLogBeginner
from twisted.python import usage
from twisted.scripts._twistd_unix import ServerOptions, UnixApplicationRunner

from txcarp.configuration.options import CannotRun, CARPOptions
from txcarp.daemon.program import CANNOT_RUN, LAST_LINES, buildService, syslogObserver
from txcarp.logs import TerminalObserver, filtered

#: The exit status of a wrong command line.
WRONG_USAGE = 1


class _TwistdOptions(ServerOptions):
    """
    twistd's own settings; it has no subcommands here, so that no plugins are
    searched for.
    """

    subCommands: list[Any] = []  # noqa: RUF012


class _Logs:
    """
    Both of ucarp's logs: syslog, and the terminal in the foreground.
    """

    beginner: LogBeginner = globalLogBeginner

    def __init__(self, options: CARPOptions) -> None:
        self._options = options
        self._terminal: TerminalObserver | None = None

    def start(self, application: object) -> None:
        debug = bool(self._options["debug"])
        observers: list[ILogObserver] = []
        if not self._options["daemonize"]:
            self._terminal = TerminalObserver()
            observers.append(filtered(self._terminal, debug))
        syslog = syslogObserver(self._options.facility, debug)
        if syslog is not None:
            observers.append(syslog)
        self.beginner.beginLoggingTo(observers, redirectStandardIO=False)

    def stop(self) -> None:
        if self._terminal is not None:
            self._terminal.flush(LAST_LINES)


class _Runner(UnixApplicationRunner):
    """
    Runs one virtual host as twistd would.
    """

    def __init__(self, options: CARPOptions) -> None:
        settings = _TwistdOptions()  # type: ignore[no-untyped-call]
        settings.parseOptions(  # type: ignore[no-untyped-call]
            # twistd would choose a umask; scripts get the one that this process has.
            ["--no_save", "--pidfile=", f"--umask={_umask():o}"]
            + (["--rundir=/"] if options["daemonize"] else ["--nodaemon"])
        )
        self._options = options
        UnixApplicationRunner.__init__(self, settings)
        self._logs = _Logs(options)
        self.logger = cast(app.AppLogger, self._logs)

    def createOrGetApplication(self) -> Any:
        application = Application("txcarp")
        service = buildService(self._options, self._logs.stop)
        service.setServiceParent(IServiceCollection(application))
        return application


def _umask() -> int:
    """
    The file mode creation mask of this process, which can only be asked for by
    setting it.
    """
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def completeDescriptors() -> None:
    """
    Have standard input, output and error: what is closed is nowhere from now
    on.  A socket would get its number otherwise, and log lines written to it.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, this one
    # Python has None for what was closed, which is no place to write to.
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def main() -> None:
    """
    The entry point.  A first word that is no option names another command.
    """
    completeDescriptors()
    arguments = sys.argv[1:]
    if arguments and arguments[0] == "demo":
        from txcarp.demo import main as demonstrate

        raise SystemExit(demonstrate(arguments[1:]))
    if arguments and arguments[0] == "observe":
        from txcarp.observer import main as observe

        raise SystemExit(observe(arguments[1:]))
    options = CARPOptions()
    try:
        if arguments and not any(word.startswith("-") for word in arguments):
            raise usage.UsageError(f"there is no command {arguments[0]!r}: only demo and observe")
        options.parseOptions(arguments)
    except usage.UsageError as error:
        print(f"txcarp: {error}\nTry 'txcarp --help'.", file=sys.stderr)
        raise SystemExit(WRONG_USAGE) from None
    try:
        runner = _Runner(options)
        runner.run()  # type: ignore[no-untyped-call]
    except (CannotRun, OSError) as error:
        print(f"txcarp: {error}", file=sys.stderr)
        raise SystemExit(CANNOT_RUN) from None
    if runner._exitSignal is not None:
        app._exitWithSignal(signal.Signals(runner._exitSignal))


if __name__ == "__main__":
    main()
