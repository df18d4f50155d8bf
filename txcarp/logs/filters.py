"""
Which events are said at all.  Predicates for
C{twisted.logger.FilteringLogObserver}.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import LogEvent, LogLevel, PredicateResult

from txcarp.logs.levels import levelOf

# The legacy log's name in twisted.logger, through which Twisted's ports and
# datagram protocols tell of their comings and goings.
_LEGACY = "log_legacy"

_NOISE_INSIDE = (" starting on ", " Closed)")
_NOISE_BEFORE = ("Starting protocol ", "Stopping protocol ")

# Factories do so in the name of their own class.
_NOISE_FORMATS = ("Starting factory {factory!r}", "Stopping factory {factory!r}")


def minimumLevel(lowest: LogLevel) -> Callable[[LogEvent], PredicateResult]:
    """
    A predicate that drops events below a level: C{info} unless C{-D} was given.
    """

    def predicate(event: LogEvent) -> PredicateResult:
        return _unless(bool(levelOf(event) < lowest))

    return predicate


def withoutPortNoise(event: LogEvent) -> PredicateResult:
    """
    A predicate that drops the lines with which Twisted tells that a port, a
    factory or a datagram protocol started or stopped; ucarp has nothing like
    them.
    """
    quiet = bool(levelOf(event) <= LogLevel.info)
    return _unless(quiet and _isNoise(event))


def _unless(dropped: bool) -> PredicateResult:
    result: PredicateResult = PredicateResult.no if dropped else PredicateResult.maybe
    return result


def _isNoise(event: LogEvent) -> bool:
    if event.get("log_namespace") != _LEGACY:
        return event.get("log_format") in _NOISE_FORMATS
    text = event.get("log_text")
    return isinstance(text, str) and (
        text.startswith(_NOISE_BEFORE) or any(part in text for part in _NOISE_INSIDE)
    )
