"""
Which events are logged.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from twisted.logger import (
    FilteringLogObserver,
    ILogFilterPredicate,
    ILogObserver,
    LogEvent,
    LogLevel,
    PredicateResult,
)

from txcarp.logs.text import levelOf

# What Twisted's ports and datagram protocols log, through the legacy log.
_PORT_PREFIXES = ("Starting protocol ", "Stopping protocol ")
_PORT_PARTS = (" starting on ", " Closed)")

# What its factories log, in the namespace of their own class.
_FACTORY_FORMATS = ("Starting factory {factory!r}", "Stopping factory {factory!r}")


def filtered(
    observer: ILogObserver,
    debug: Callable[[], bool],
    *more: Callable[[LogEvent], PredicateResult],
) -> ILogObserver:
    """
    Pass on to C{observer} what an administrator wants to read: without C{debug} no event
    below the level C{info}, and never the lines with which Twisted tells that a port, a
    factory or a datagram protocol started or stopped.

    @param debug: Returns whether events below that level are wanted now.
    @param more: More predicates that an event has to pass.
    """

    def wanted(event: LogEvent) -> PredicateResult:
        passes = event.get("log_level", LogLevel.info) >= LogLevel.info or debug()
        result: PredicateResult = PredicateResult.maybe if passes else PredicateResult.no
        return result

    predicates = [wanted, _notOfAPort, *more]
    return FilteringLogObserver(observer, cast(list[ILogFilterPredicate], predicates))


def _notOfAPort(event: LogEvent) -> PredicateResult:
    dropped = levelOf(event) <= LogLevel.info and _isOfAPort(event)
    result: PredicateResult = PredicateResult.no if dropped else PredicateResult.maybe
    return result


def _isOfAPort(event: LogEvent) -> bool:
    if event.get("log_namespace") != "log_legacy":
        return event.get("log_format") in _FACTORY_FORMATS
    text = event.get("log_text")
    return isinstance(text, str) and (
        text.startswith(_PORT_PREFIXES) or any(part in text for part in _PORT_PARTS)
    )
