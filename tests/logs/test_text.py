"""
Tests for L{txcarp.logs.text}.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.logger import Logger, LogLevel
from twisted.python import log as legacyLog
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from txcarp.logs.text import LONGEST_LINE, MOST_LINES, levelOf, messageLines


class _Unprintable:
    """
    Raises when it is formatted.
    """

    def __str__(self) -> str:
        raise SystemExit

    __repr__ = __str__


def _failure(text: str = "no route") -> Failure:
    try:
        raise OSError(text)
    except OSError:
        return Failure()


class MessageTests(SynchronousTestCase):
    """
    Tests for L{messageLines}.
    """

    def lines(self, template: object, **values: object) -> list[str]:
        """
        The lines of an event with that format.
        """
        return messageLines({"log_format": template, "log_level": LogLevel.info, **values})

    def test_formats(self) -> None:
        """
        Attributes, items, conversions and calls work as in twisted.logger.
        """
        lines = self.lines(
            "{a} {b.real} {c[0]} {d()} {e.upper()} {f!r:>5}",
            a=1,
            b=2,
            c=[3],
            d=lambda: 4,
            e="v",
            f="x",
        )
        self.assertEqual(lines, ["1 2 3 4 V   'x'"])
        self.assertEqual(self.lines(b"bytes \xff"), ["bytes \ufffd"])

    def test_sameAsTwisted(self) -> None:
        """
        An event of a Logger has the message that Twisted would format.
        """
        events: list[dict[str, Any]] = []
        Logger(observer=events.append).warn("{who} is master", who="eth0")  # type: ignore[arg-type]
        self.assertEqual(messageLines(events[0]), ["eth0 is master"])

    def test_noMessage(self) -> None:
        """
        An event without a format has no lines.
        """
        self.assertEqual(messageLines({}), [])
        self.assertEqual(messageLines({"log_format": None}), [])

    def test_secrets(self) -> None:
        """
        Values that the format does not name do not appear, even when a named value is
        missing or cannot be formatted.
        """
        for template in ("plain", "{missing}", "{bad}", "{bad.worse}", "{", "{0}"):
            lines = self.lines(template, password="hunter2", bad=_Unprintable())
            self.assertEqual(len(lines), 1)
            self.assertNotIn("hunter2", lines[0])
        self.assertEqual(
            self.lines("{missing}"), ["(a message that could not be formatted: KeyError) {missing}"]
        )
        self.assertEqual(
            self.lines(object()), ["(a message that could not be formatted: TypeError)"]
        )

    def test_severalLines(self) -> None:
        """
        A message is split at line breaks.  One at its end makes no empty line.
        """
        self.assertEqual(self.lines("one\n\ntwo\n"), ["one", "", "two"])

    def test_controls(self) -> None:
        """
        Characters that a terminal or a reader of the log would obey are escaped.
        """
        self.assertEqual(
            self.lines("a\x00b\x1b[2Jc\rd\te\x7ff\x9bg\u2028h"),
            ["a\\x00b\\x1b[2Jc\\rd\\te\\x7ff\\x9bg\\u2028h"],
        )
        self.assertEqual(self.lines("a\udcffb"), ["a\\udcffb"])
        self.assertEqual(self.lines("Grüße €"), ["Grüße €"])

    def test_long(self) -> None:
        """
        Lines are cut at their end, events of many lines lose their middle.
        """
        (line,) = self.lines("x" * 100000)
        self.assertEqual(line, "x" * (LONGEST_LINE - 3) + "...")
        self.assertEqual(self.lines("x" * LONGEST_LINE), ["x" * LONGEST_LINE])
        lines = self.lines("\n".join(map(str, range(1000))))
        self.assertEqual(len(lines), MOST_LINES + 1)
        self.assertEqual(lines[MOST_LINES // 2], "(900 lines left out)")
        self.assertEqual((lines[0], lines[-1]), ("0", "999"))

    def test_failure(self) -> None:
        """
        A failure adds its traceback, line by line, after the message.
        """
        lines = self.lines("sending failed", log_failure=_failure())
        self.assertEqual(lines[:2], ["sending failed", "Traceback (most recent call last):"])
        self.assertEqual(lines[-1], "builtins.OSError: no route")
        self.assertEqual(messageLines({"log_failure": _failure()})[0], "Unhandled error")

    def test_unprintableFailure(self) -> None:
        """
        A failure that cannot be formatted does not hide the message.
        """
        lines = self.lines("sending failed", log_failure=object())
        self.assertEqual(lines[0], "sending failed")
        self.assertEqual(lines[1], "(a traceback that could not be formatted: AttributeError)")

    def test_legacyFailure(self) -> None:
        """
        The traceback appears once in an event of C{twisted.python.log.err}, whose text
        has it already.
        """
        events: list[dict[str, Any]] = []
        publisher = legacyLog.LogPublisher()
        publisher._observerPublisher.addObserver(events.append)  # type: ignore[arg-type]
        publisher.msg(failure=_failure(), why="while testing", isError=1)
        lines = messageLines(events[0])
        self.assertEqual(lines[0], "while testing")
        self.assertEqual(lines.count("Traceback (most recent call last):"), 1)
        self.assertEqual(lines[-1], "builtins.OSError: no route")

    def test_level(self) -> None:
        """
        An event without a level, or with an invalid one, is information.
        """
        self.assertIs(levelOf({"log_level": LogLevel.warn}), LogLevel.warn)
        self.assertIs(levelOf({}), LogLevel.info)
        self.assertIs(levelOf({"log_level": "warn"}), LogLevel.info)

    @settings(deadline=None)
    @given(st.one_of(st.text(), st.binary()), st.dictionaries(st.text(), st.text()))
    def test_anything(self, template: str | bytes, values: dict[str, str]) -> None:
        """
        For any event, lines are printable, bounded and can be encoded.
        """
        for line in messageLines({**values, "log_format": template}):
            self.assertLessEqual(len(line), LONGEST_LINE)
            line.encode("utf-8")
            self.assertFalse(set(line) & set(map(chr, range(0x20))))
