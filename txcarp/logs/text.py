"""
The lines of text that a log event becomes: its message and nothing else of it.
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from typing import Any

from twisted.logger import LogEvent

#: Characters of a line at most; the rest is left out.
LONGEST_LINE = 900

#: Lines of one event at most; what is left out of a longer one is its middle,
#: since a traceback tells most at its ends.
MOST_LINES = 100

#: What a line that was cut ends with.
CUT = "..."

_TRACEBACK = "Traceback (most recent call last)"

# C0, DEL and C1, of which a terminal would obey some.
_CONTROLS = {number: f"\\x{number:02x}" for number in (*range(0x20), *range(0x7F, 0xA0))}
_CONTROLS[ord("\t")] = "\\t"
_CONTROLS[ord("\r")] = "\\r"
# Line separators of Unicode, which some readers of a log break lines at.
_CONTROLS[0x2028] = "\\u2028"
_CONTROLS[0x2029] = "\\u2029"


def messageLines(event: LogEvent) -> list[str]:
    """
    The message of an event and, if it has a failure, the traceback, as
    printable lines of bounded length and number.  Values of the event that its
    format does not name do not appear, not even when formatting fails.

    @return: Nothing for an event without a message.
    """
    text = _message(event)
    if text is None:
        return []
    lines = [_printable(line) for line in text.rstrip("\n").split("\n")]
    if len(lines) > MOST_LINES:
        half = MOST_LINES // 2
        left = len(lines) - 2 * half
        lines[half:-half] = [f"({left} lines left out)"]
    return lines


def _message(event: LogEvent) -> str | None:
    template = event.get("log_format")
    text = None
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
    # What came through twisted.python.log has the traceback in its text.
    if failure is not None and (text is None or _TRACEBACK not in text):
        text = (text or "Unhandled error") + "\n" + _traceback(failure)
    return text


def _traceback(failure: Any) -> str:
    try:
        return str(failure.getTraceback())
    except Exception as error:
        return f"(a traceback that could not be formatted: {type(error).__name__})"


def _printable(line: str) -> str:
    # Cut first: what is long enough to be cut need not be escaped whole.
    cut = line[: LONGEST_LINE + 1].translate(_CONTROLS)
    cut = cut.encode("utf-8", "backslashreplace").decode("utf-8")
    if len(cut) > LONGEST_LINE:
        cut = cut[: LONGEST_LINE - len(CUT)] + CUT
    return cut


class _CallingFormatter(string.Formatter):
    """
    Format strings as C{twisted.logger} has them: a field that ends with C{()} is
    called.
    """

    def get_field(
        self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[Any, Any]:
        """
        Find what a replacement field stands for.
        """
        if field_name.endswith("()"):
            found, key = super().get_field(field_name[:-2], args, kwargs)
            return found(), key
        found, key = super().get_field(field_name, args, kwargs)
        return found, key


_FORMATTER = _CallingFormatter()
