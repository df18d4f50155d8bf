"""
How severe a log line is, in the words of ucarp's terminal output and in the
numbers of syslog.
"""

from __future__ import annotations

from collections.abc import Mapping

from twisted.logger import LogEvent, LogLevel

#: The name that asks for no syslog at all.
NO_FACILITY = "none"

#: syslog's facilities by the names that glibc gives them; C{security} is an old
#: name of C{auth}, C{mark} is the number that syslog daemons use internally.
FACILITIES: Mapping[str, int] = {
    "kern": 0,
    "user": 1,
    "mail": 2,
    "daemon": 3,
    "auth": 4,
    "security": 4,
    "syslog": 5,
    "lpr": 6,
    "news": 7,
    "uucp": 8,
    "cron": 9,
    "authpriv": 10,
    "ftp": 11,
    **{f"local{number}": 16 + number for number in range(8)},
    "mark": 24,
}

_SEVERITIES: Mapping[LogLevel, int] = {
    LogLevel.debug: 7,
    LogLevel.info: 6,
    LogLevel.warn: 4,
    LogLevel.error: 3,
    LogLevel.critical: 2,
}

_WORDS: Mapping[LogLevel, str] = {
    LogLevel.debug: "DEBUG",
    LogLevel.info: "INFO",
    LogLevel.warn: "WARNING",
    LogLevel.error: "ERROR",
    LogLevel.critical: "ERROR",
}


def facilityNumber(name: str) -> int | None:
    """
    The number of a facility; upper and lower case mean the same.

    @return: C{None} for C{"none"}: no syslog.
    @raise ValueError: if there is no such facility; says which there are.
    """
    folded = name.lower()
    if folded == NO_FACILITY:
        return None
    try:
        return FACILITIES[folded]
    except KeyError:
        raise ValueError(
            f"{name!r} is none of {', '.join(sorted(FACILITIES))} or {NO_FACILITY}"
        ) from None


def priority(facility: int, level: LogLevel) -> int:
    """
    What a syslog line starts with: facility and severity in one number.
    """
    return facility << 3 | _SEVERITIES[level]


def levelWord(level: LogLevel) -> str:
    """
    How ucarp calls a level; it has no word above C{ERROR}.
    """
    return _WORDS[level]


def levelOf(event: LogEvent) -> LogLevel:
    """
    The level of an event, C{info} if it has none.
    """
    level: LogLevel = event.get("log_level", LogLevel.info)
    return level if level in _WORDS else LogLevel.info


def isComplaint(level: LogLevel) -> bool:
    """
    Whether lines of that level go to the standard error output, as ucarp has it.
    """
    return bool(level >= LogLevel.warn)
