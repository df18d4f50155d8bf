"""
Tests for L{txcarp.logs.levels}.
"""

from __future__ import annotations

import syslog

from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase

from txcarp.logs.levels import (
    FACILITIES,
    facilityNumber,
    isComplaint,
    levelOf,
    levelWord,
    priority,
)

_LEVELS = (LogLevel.debug, LogLevel.info, LogLevel.warn, LogLevel.error, LogLevel.critical)


class FacilityTests(SynchronousTestCase):
    """
    Tests for L{facilityNumber}.
    """

    def test_asTheLibraryHasThem(self) -> None:
        """
        Every facility that Python's binding of C{syslog(3)} knows has its number.
        """
        for name in FACILITIES:
            value = getattr(syslog, f"LOG_{name.upper()}", None)
            if value is not None:
                self.assertEqual(FACILITIES[name] << 3, value, name)
        self.assertEqual(FACILITIES["security"], FACILITIES["auth"])
        self.assertEqual(FACILITIES["mark"], 24)
        self.assertEqual(len(FACILITIES), 22)

    def test_anyCase(self) -> None:
        """
        Names are found however they are capitalized.
        """
        self.assertEqual(facilityNumber("LOCAL3"), 19)
        self.assertEqual(facilityNumber("Daemon"), 3)

    def test_none(self) -> None:
        """
        C{none} is a name for not logging there, in any case too.
        """
        self.assertIsNone(facilityNumber("None"))

    def test_unknown(self) -> None:
        """
        Other names are refused with the name and what could have been said.
        """
        for name in ("bogus", "", "local8"):
            error = str(self.assertRaises(ValueError, facilityNumber, name))
            self.assertIn(repr(name), error)
            for expected in ("daemon", "local7", "none"):
                self.assertIn(expected, error)


class LevelTests(SynchronousTestCase):
    """
    Tests for what the levels are called.
    """

    def test_words(self) -> None:
        """
        Words are ucarp's.
        """
        self.assertEqual(
            [levelWord(level) for level in _LEVELS], ["DEBUG", "INFO", "WARNING", "ERROR", "ERROR"]
        )

    def test_priorities(self) -> None:
        """
        Priorities are the facility times eight and the severity.
        """
        self.assertEqual([priority(3, level) for level in _LEVELS], [31, 30, 28, 27, 26])
        self.assertEqual(priority(19, LogLevel.info), 158)

    def test_complaints(self) -> None:
        """
        Warnings and worse are for the standard error output.
        """
        self.assertEqual(
            [isComplaint(level) for level in _LEVELS], [False, False, True, True, True]
        )

    def test_levelOfEvent(self) -> None:
        """
        An event without a level, or with something else there, is information.
        """
        self.assertIs(levelOf({"log_level": LogLevel.warn}), LogLevel.warn)
        self.assertIs(levelOf({}), LogLevel.info)
        self.assertIs(levelOf({"log_level": "warn"}), LogLevel.info)
