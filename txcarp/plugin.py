"""
What C{twistd txcarp} runs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from twisted.application.service import MultiService, Service
from twisted.logger import (
    FilteringLogObserver,
    ILogFilterPredicate,
    ILogObserver,
    LogLevel,
    globalLogPublisher,
)

from txcarp import precautions
from txcarp.logs import SyslogObserver, facilityNumber, minimumLevel, withoutPortNoise
from txcarp.network.sockets import MissingCapability, checkCapabilities
from txcarp.options import CannotRun, CARPOptions
from txcarp.scheduling import stayOnTime
from txcarp.service import CARPService
from txcarp.signals import SignalService

if TYPE_CHECKING:
    from twisted.application.service import IService

#: What twistd looks for.
Options = CARPOptions

#: The exit status of a process that cannot do what it was asked for.
CANNOT_RUN = 2


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


def filtered(observer: ILogObserver, debug: bool) -> ILogObserver:
    """
    An observer that is told what an administrator wants to read.
    """
    lowest = LogLevel.debug if debug else LogLevel.info
    predicates = [minimumLevel(lowest), withoutPortNoise]
    return FilteringLogObserver(observer, cast(list[ILogFilterPredicate], predicates))


def syslogObserver(facility: str | None, debug: bool) -> ILogObserver | None:
    """
    What sends log lines to syslog; C{None} if the facility is none.
    """
    number = None if facility is None else facilityNumber(facility)
    if number is None:
        return None
    return filtered(SyslogObserver(number, identity="txcarp"), debug)


def buildService(
    options: CARPOptions, lastWords: Callable[[], None] = lambda: None
) -> MultiService:
    """
    The whole program: the virtual host and the signals.

    @param lastWords: Called before the process ends at once, to write what was
        logged.
    @raise CannotRun: If the options or this machine do not allow it.
    """
    configuration = options.configuration()
    options.hidePasswords()
    try:
        checkCapabilities(configuration.assign)
    except MissingCapability as error:
        raise CannotRun(error.strerror) from None
    precautions.warn(configuration)
    whole = MultiService()
    SchedulingService().setServiceParent(whole)  # type: ignore[no-untyped-call]
    carp = CARPService([configuration])
    signals = SignalService(carp, exitQuietly=configuration.shutdown, lastWords=lastWords)
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
