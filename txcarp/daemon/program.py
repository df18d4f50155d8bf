"""
The program that C{twistd txcarp} and the C{txcarp} command run: its options, its services and
its logs.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any, NoReturn

from twisted.application.app import AppLogger
from twisted.application.service import IService, IServiceCollection, MultiService
from twisted.logger import (
    ILogObserver,
    LogEvent,
    Logger,
    LogPublisher,
    PredicateResult,
    globalLogPublisher,
)
from twisted.python import usage
from twisted.python.components import Componentized

from txcarp.configuration.options import (
    OPTIONS,
    WRONG_FILE,
    WRONG_USAGE,
    CommandLineError,
    helpText,
    information,
)
from txcarp.configuration.request import CannotRun, CommandLine, WrongFile
from txcarp.configuration.ucarp import read
from txcarp.daemon import capabilities, precautions
from txcarp.daemon.collector import Collector
from txcarp.daemon.notify import Notifier
from txcarp.daemon.reload import Reloader
from txcarp.daemon.scheduling import lockMemory, runFirst, runRealtime
from txcarp.daemon.secrecy import hideArguments
from txcarp.daemon.signals import SignalService
from txcarp.daemon.supervision import Supervision, watchdogOf
from txcarp.logs import (
    JournalObserver,
    SyslogObserver,
    TerminalObserver,
    filtered,
    isJournal,
)
from txcarp.network.hostlock import AlreadyRunning, awaitPredecessor
from txcarp.network.sockets import MissingCapability, checkCapabilities
from txcarp.platform import LinuxPlatform
from txcarp.service import CARPService

#: The exit status of a process that cannot do what it was asked for.
CANNOT_RUN = 2

#: Seconds that the last log lines have to reach a slow terminal.
_LAST_LINES = 1.0


class Options(usage.Options):
    """
    The command line in the form that twistd needs, which also wants this name.

    @ivar commandLine: What was parsed.
    @ivar command: Whether the C{txcarp} command runs the program, and not C{twistd}.
    """

    # For the completion of command lines in shells, which reads nothing else.
    optFlags = [[one.name, one.short, one.help] for one in OPTIONS if not one.takesValue]  # noqa: RUF012
    optParameters = [  # noqa: RUF012
        [one.name, one.short, None, one.help] for one in OPTIONS if one.takesValue
    ]

    commandLine: CommandLine
    command = False

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """
        Parse a command line.  If it asks for the help or the version, print that and exit.

        @raise usage.UsageError: If the command line is wrong, and twistd does not run the program.
        @raise SystemExit: With status 1, if the command line is wrong, and with status 2, if it
            asks for what is impossible.
        """
        try:
            text = information(options or (), self.getSynopsis())
            if text is not None:
                print(text, end="")
                raise SystemExit(0)
            self.commandLine = read(options or ())
        except WrongFile as error:
            _exit(error, WRONG_FILE)  # the help would be no help
        except CommandLineError as error:
            if self.parent is None or self.command:
                raise usage.UsageError(str(error)) from None
            # twistd would print all of the help before the error, and exit with status 0.
            _exit(f"{error}\nTry 'twistd txcarp --help'.", WRONG_USAGE)
        except CannotRun as error:
            _exit(error)
        if self.commandLine.pidFile and self.parent is not None:
            self.parent["pidfile"] = self.commandLine.pidFile

    @property
    def changesUser(self) -> bool:
        """
        Whether twistd is going to give up the rights of root.
        """
        parent = self.parent
        return parent is not None and bool(parent.get("uid")) and os.geteuid() == 0

    def getSynopsis(self) -> str:
        """
        The first line of the help.
        """
        twistd = "" if self.parent is None else "twistd [options] "
        return f"Usage: {twistd}txcarp [options]"

    def getUsage(self, width: int | None = None) -> str:
        """
        The other lines of the help.
        """
        return helpText().partition("\n")[2]


def _withoutTwistd(event: LogEvent) -> PredicateResult:
    """
    Drops what twistd says about itself.
    """
    ours = not isinstance(event.get("log_source"), AppLogger)
    result: PredicateResult = PredicateResult.maybe if ours else PredicateResult.no
    return result


def _prints(twistd: Any) -> bool:
    """
    Whether twistd's options make it log to the terminal.
    """
    isOpen: bool = twistd["nodaemon"] and not twistd["syslog"]
    return isOpen and twistd["logfile"] in (None, "", "-")


class Program(MultiService):
    """
    All services of the process, and its logs: syslog, and in the foreground the terminal.
    """

    _log = Logger()

    def __init__(self, options: Options, carp: CARPService) -> None:
        MultiService.__init__(self)
        self._options = options
        self._carp = carp
        self._changesUser = False
        self._lacks: list[str] = []
        self._terminal: TerminalObserver | None = None

    def setServiceParent(self, parent: IServiceCollection) -> None:
        """
        Become part of an application, and set up the logs.  twistd begins to log right after
        this, and then repeats to all observers what was logged before.
        """
        MultiService.setServiceParent(self, parent)
        line, twistd = self._options.commandLine, self._options.parent
        isApplication = isinstance(parent, Componentized) and twistd is not None
        isQuiet = self._options.command and line.daemonize
        # twistd's own log would wait for a terminal that is not read.
        isPrinted = isApplication and not isQuiet and _prints(twistd)
        journal = self._journal() if isPrinted else None
        if line.facility is not None and journal is None:
            syslog = SyslogObserver(line.facility, identity="txcarp")
            globalLogPublisher.addObserver(self._filtered(syslog))
        log: ILogObserver | None = journal and self._filtered(journal)
        if isApplication and isQuiet:
            log = LogPublisher()  # nowhere, in place of the file twistd.log
        elif isPrinted and journal is None:
            self._terminal = TerminalObserver()
            atexit.register(self.flushLog)
            log = self._filtered(self._terminal)
        if log is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, log)  # type: ignore[no-untyped-call]

    def _journal(self) -> ILogObserver | None:
        """
        The journal, if what this process prints ends up there.
        """
        if isJournal():
            journal = JournalObserver(self._options.commandLine.facility)
            if journal.isThere:
                return journal
        return None

    def _filtered(self, observer: ILogObserver) -> ILogObserver:
        options = self._options
        aboutTwistd = [_withoutTwistd] if options.command else []
        return filtered(observer, self._debugs, *aboutTwistd)

    def _debugs(self) -> bool:
        return any(host.configuration.debug for host in self._carp.virtualHosts)

    def privilegedStartService(self) -> None:
        """
        Start, first with what gets this process processor time: after any fork, which undoes it,
        and while there are privileges.
        """
        if not runFirst():
            self._lacks.append("priority over other processes (CAP_SYS_NICE)")
        if self._options.commandLine.runsRealtime and not runRealtime():
            self._lacks.append("real-time scheduling (CAP_SYS_NICE, or a limit RTPRIO of 1)")
        MultiService.privilegedStartService(self)
        self._changesUser = self._options.changesUser
        if self._changesUser:
            capabilities.keep()

    def startService(self) -> None:
        """
        Start, first with locking the memory: twistd has changed the user by now if it was told to.
        """
        if self._changesUser:
            capabilities.restrict()
        if not lockMemory():
            self._lacks.append("locked memory (CAP_IPC_LOCK)")
        if self._lacks:
            self._log.info(
                "txcarp runs without {lacking}: on an overloaded host its advertisements may be "
                "late, so that a backup takes over; see \"Running on time\" in the manual",
                lacking=" and without ".join(self._lacks),
            )
        MultiService.startService(self)

    def flushLog(self) -> None:
        """
        Let the last lines reach a slow terminal before the process ends.
        """
        if self._terminal is not None:
            self._terminal.flush(_LAST_LINES)


def makeService(options: Options) -> IService:
    """
    Called by twistd after it has parsed the command line.

    @raise SystemExit: With status 2, if this process lacks a capability, or another one runs
        the same virtual host.
    """
    line = options.commandLine
    for password in line.passwords:
        hideArguments(password)
    try:
        checkCapabilities(any(one.assign for one in line.configurations))
        # Before any fork, so that this process still has a terminal and an exit status.
        for one in line.configurations:
            awaitPredecessor(one.interface, one.vhid)
    except (MissingCapability, AlreadyRunning) as error:
        _exit(error.strerror)
    for one in line.configurations:
        precautions.warn(one)
    platform = LinuxPlatform(
        stateFile=line.stateFile, stateSocket=line.control is None, facility=line.facility
    )
    carp = CARPService(line.configurations, platform=platform)
    program = Program(options, carp)
    # ucarp's options say how the process ends.  With a file, a signal is an orderly end.
    notifier = Notifier(os.environ)
    reloader = None if line.file is None else Reloader(carp, line, line.file, notifier=notifier)
    signals = SignalService(
        carp,
        exitQuietly=line.file is not None or line.configurations[0].shutdown,
        lastWords=program.flushLog,
        reload=None if reloader is None else partial(reloader.reload, None),
    )
    Collector(carp.platform.clock).setServiceParent(program)  # type: ignore[no-untyped-call]
    signals.setServiceParent(program)  # type: ignore[no-untyped-call]
    carp.setServiceParent(program)  # type: ignore[no-untyped-call]
    if reloader is not None:
        reloader.setServiceParent(program)  # type: ignore[no-untyped-call]
    watchdog = watchdogOf(os.environ)
    if notifier.listens:
        Supervision(carp, notifier, watchdog).setServiceParent(program)  # type: ignore[no-untyped-call]
    if line.control is not None or line.http:
        from txcarp.operate.server import controlService

        owner = None
        if options.changesUser and options.parent is not None:
            gid = options.parent.get("gid")
            owner = options.parent["uid"], -1 if gid is None else gid
        control = controlService(carp, line.control, reloader, owner, line.http, line.page)
        control.setServiceParent(program)
    if line.daemonize and options.parent is not None:
        options.parent["nodaemon"] = False
    return program


def _exit(reason: object, status: int = CANNOT_RUN) -> NoReturn:
    print(f"txcarp: {reason}", file=sys.stderr)
    raise SystemExit(status)
