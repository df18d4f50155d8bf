"""
The text of a log event: its level in ucarp's words, and its message as bounded, printable
lines.
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from typing import Any

from twisted.logger import LogEvent, LogLevel

#: The most characters of a line.
LONGEST_LINE = 900

#: The most lines of an event.  The middle of a longer one is left out, since the ends of a
#: traceback tell most.
MOST_LINES = 100

#: The end of a line that was cut.
CUT = "..."

#: What ucarp calls the levels.  It has no word above C{ERROR}.
LEVEL_WORDS: Mapping[LogLevel, str] = {
    LogLevel.debug: "DEBUG",
    LogLevel.info: "INFO",
    LogLevel.warn: "WARNING",
    LogLevel.error: "ERROR",
    LogLevel.critical: "ERROR",
}

_TRACEBACK = "Traceback (most recent call last)"

# C0, DEL and C1: a terminal would obey some of them.
_CONTROLS = {number: f"\\x{number:02x}" for number in (*range(0x20), *range(0x7F, 0xA0))}
# Unicode's line separators: some log readers break lines at them.
_CONTROLS |= {0x09: "\\t", 0x0D: "\\r", 0x2028: "\\u2028", 0x2029: "\\u2029"}


def levelOf(event: LogEvent) -> LogLevel:
    """
    The level of an event, C{info} if it has none.
    """
    level: LogLevel = event.get("log_level", LogLevel.info)
    return level if level in LEVEL_WORDS else LogLevel.info


def messageLines(event: LogEvent) -> list[str]:
    """
    The message of an event and, if it has a failure, the traceback, as printable lines of
    bounded length and number.  Only the values that the format names appear, even when the
    message cannot be formatted: the others may be secret.

    @return: An empty list for an event without a message.
    """
    text = _message(event)
    if text is None:
        return []
    lines = [_printable(line) for line in text.rstrip("\n").split("\n")]
    if len(lines) > MOST_LINES:
        half = MOST_LINES // 2
        lines[half:-half] = [f"({len(lines) - 2 * half} lines left out)"]
    return lines


def _message(event: LogEvent) -> str | None:
    text = None
    template = event.get("log_format")
    if template is not None:
        if isinstance(template, bytes):
            template = template.decode("utf-8", "replace")
        try:
            text = _FORMATTER.vformat(template, (), event)
        except BaseException as error:
            text = f"(a message that could not be formatted: {type(error).__name__})"
            if isinstance(template, str):
                text += f" {template}"
    failure = event.get("log_failure")
    # The text of twisted.python.log.err has the traceback already.
    if failure is not None and (text is None or _TRACEBACK not in text):
        text = f"{text or 'Unhandled error'}\n{_traceback(failure)}"
    return text


def _traceback(failure: Any) -> str:
    try:
        return str(failure.getTraceback())
    except Exception as error:
        return f"(a traceback that could not be formatted: {type(error).__name__})"


def _printable(line: str) -> str:
    # Cut before escaping, so that the cost of a very long line is bounded.
    cut = line[: LONGEST_LINE + 1].translate(_CONTROLS)
    cut = cut.encode("utf-8", "backslashreplace").decode("utf-8")
    return cut if len(cut) <= LONGEST_LINE else cut[: LONGEST_LINE - len(CUT)] + CUT


class _Formatter(string.Formatter):
    """
    Format strings as C{twisted.logger} has them: a field that ends with C{()} is called.
    C{twisted.logger.formatEvent} does that too, but shows the whole event when it fails.
    """

    def get_field(
        self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[Any, Any]:
        found, key = super().get_field(field_name.removesuffix("()"), args, kwargs)
        return found() if field_name.endswith("()") else found, key


_FORMATTER = _Formatter()
