"""
What C{twistd txcarp} runs.
"""

from __future__ import annotations

import atexit
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.application.service import IServiceCollection, MultiService, Service
from twisted.logger import ILogObserver, globalLogPublisher
from twisted.python.components import Componentized

from txcarp.configuration.options import CannotRun, CARPOptions
from txcarp.daemon import precautions
from txcarp.daemon.scheduling import stayOnTime
from txcarp.daemon.signals import SignalService
from txcarp.logs import SyslogObserver, TerminalObserver, facilityNumber, filtered
from txcarp.network.sockets import MissingCapability, checkCapabilities
from txcarp.service import CARPService

if TYPE_CHECKING:
    from twisted.application.service import IService

#: What twistd looks for.
Options = CARPOptions

#: The exit status of a process that cannot do what it was asked for.
CANNOT_RUN = 2

#: Seconds that the last lines have to reach a slow terminal.
LAST_LINES = 1.0


class SyslogService(Service):
    """
    Sends the log of this process to syslog while it runs.
    """

    def __init__(self, facility: str, debug: bool) -> None:
        self._observer = syslogObserver(facility, debug)

    def privilegedStartService(self) -> None:
        """
        Begin before anything else may have something to say.
        """
        if self._observer is not None:
            globalLogPublisher.addObserver(self._observer)

    def stopService(self) -> None:
        """
        End.
        """
        if self._observer is not None:
            globalLogPublisher.removeObserver(self._observer)
        Service.stopService(self)


class SchedulingService(Service):
    """
    Has this process run on time, from its start as a daemon on.
    """

    def privilegedStartService(self) -> None:
        """
        Ask for it while there are privileges, and after any fork.
        """
        stayOnTime()


def syslogObserver(facility: str | None, debug: bool) -> ILogObserver | None:
    """
    What sends log lines to syslog; C{None} if the facility is none.
    """
    number = None if facility is None else facilityNumber(facility)
    if number is None:
        return None
    return filtered(SyslogObserver(number, identity="txcarp"), debug)


class Program(MultiService):
    """
    The whole program.

    In the foreground it gives twistd the log of the C{txcarp} command, in place of
    twistd's own, which waits for whoever does not read it.  If twistd was told what to
    log to, it does that.
    """

    def __init__(self, options: CARPOptions) -> None:
        MultiService.__init__(self)
        self._options = options
        self._terminal: TerminalObserver | None = None

    def setServiceParent(self, parent: IServiceCollection) -> None:
        """
        Become part of an application, which twistd asks for its log afterwards.
        """
        MultiService.setServiceParent(self, parent)
        twistd = self._options.parent
        if (
            isinstance(parent, Componentized)
            and twistd is not None
            and twistd.get("nodaemon")
            and not twistd.get("syslog")
            and twistd.get("logfile") in (None, "", "-")
        ):
            self._terminal = TerminalObserver()
            log = filtered(self._terminal, bool(self._options["debug"]))
            atexit.register(self.flushLog)
            parent.setComponent(ILogObserver, log)  # type: ignore[no-untyped-call]

    def flushLog(self) -> None:
        """
        Give the last lines time to reach a slow terminal, before the process ends.
        """
        if self._terminal is not None:
            self._terminal.flush(LAST_LINES)


def buildService(
    options: CARPOptions, lastWords: Callable[[], None] | None = None
) -> Program:
    """
    The whole program: the virtual host and the signals.

    @param lastWords: Called before the process ends, to write what was logged.
    @raise CannotRun: If the options or this machine do not allow it.
    """
    configuration = options.configuration()
    options.hidePasswords()
    try:
        checkCapabilities(configuration.assign)
    except MissingCapability as error:
        raise CannotRun(error.strerror) from None
    precautions.warn(configuration)
    whole = Program(options)
    SchedulingService().setServiceParent(whole)  # type: ignore[no-untyped-call]
    carp = CARPService([configuration])
    signals = SignalService(
        carp, exitQuietly=configuration.shutdown, lastWords=lastWords or whole.flushLog
    )
    signals.setServiceParent(whole)  # type: ignore[no-untyped-call]
    carp.setServiceParent(whole)  # type: ignore[no-untyped-call]
    return whole


def makeService(options: CARPOptions) -> IService:
    """
    Called by twistd with the parsed command line.
    """
    try:
        whole = buildService(options)
    except CannotRun as error:
        print(f"txcarp: {error}", file=sys.stderr)
        raise SystemExit(CANNOT_RUN) from None
    facility = options.facility
    if facility is not None:
        syslog = SyslogService(facility, bool(options["debug"]))
        syslog.setServiceParent(whole)  # type: ignore[no-untyped-call]
        whole.services.insert(0, whole.services.pop())
    if options["daemonize"] and options.parent is not None:
        options.parent["nodaemon"] = False
    return whole
