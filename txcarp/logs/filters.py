"""
Which events are said at all.  Predicates for
L{twisted.logger.FilteringLogObserver}.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import LogEvent, LogLevel, PredicateResult

from txcarp.logs.levels import levelOf

# The legacy log's name in twisted.logger, through which Twisted's ports,
# factories and process protocols tell of their comings and goings.
_LEGACY = "log_legacy"

_NOISE_INSIDE = (" starting on ", " Closed)")
_NOISE_BEFORE = (
    "Starting factory ",
    "Stopping factory ",
    "Starting protocol ",
    "Stopping protocol ",
)


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
    noise = (
        event.get("log_namespace") == _LEGACY
        and bool(levelOf(event) <= LogLevel.info)
        and _isNoise(event.get("log_text"))
    )
    return _unless(noise)


def _unless(dropped: bool) -> PredicateResult:
    result: PredicateResult = PredicateResult.no if dropped else PredicateResult.maybe
    return result


def _isNoise(text: object) -> bool:
    return isinstance(text, str) and (
        text.startswith(_NOISE_BEFORE) or any(part in text for part in _NOISE_INSIDE)
    )
