"""
Tests of L{txcarp.observer.display}.
"""

from __future__ import annotations

import json
import os
import re
from io import BytesIO, StringIO, TextIOWrapper

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.observer.air import ALPHA, BETA, Air
from tests.observer.test_text import calendarOf
from txcarp.observer.display import (
    NOTHING,
    FinalDisplay,
    IDisplay,
    JSONDisplay,
    LineDisplay,
    LiveDisplay,
    Output,
)
from txcarp.observer.events import Event, Kind


def shownBy(written: str) -> list[str]:
    """
    What a terminal shows after this was written to it, without styles.
    """
    lines, row, column = [""], 0, 0
    for token in re.findall(r"\x1b\[[0-9]*[A-Za-z]|\n|\r|[^\x1b\n\r]+", written):
        if token == "\n":
            row, column = row + 1, 0
        elif token == "\r":
            column = 0
        elif not token.startswith("\x1b"):
            lines[row] = lines[row][:column].ljust(column) + token
            column += len(token)
        elif token.endswith("A"):
            row -= int(token[2:-1])
            assert row >= 0
        elif token.endswith("K"):
            lines[row] = lines[row][:column]
        elif token.endswith("J"):
            lines[row:] = [lines[row][:column]]
        lines += [""] * (row + 1 - len(lines))
    return lines


class OutputTests(SynchronousTestCase):
    """
    Tests of L{Output}.
    """

    def test_readerGone(self) -> None:
        """
        A reader that is gone is reported, and never again an error.
        """
        reading, writing = os.pipe()
        os.close(reading)
        stream = os.fdopen(writing, "w")
        gone: list[bool] = []
        Output(stream, lambda: gone.append(True)).write("nobody reads this")
        self.assertEqual(gone, [True])
        stream.close()

    def test_encoding(self) -> None:
        """
        What a terminal cannot show, as the name of an interface, does no harm.
        """
        written = BytesIO()
        stream = TextIOWrapper(written, "ascii")
        Output(stream, lambda: None).write("\u00fcber")
        self.assertEqual(written.getvalue(), b"\\xfcber")

    def test_styles(self) -> None:
        """
        Text has a style only where styles are shown.
        """
        for coloured, styled in ((False, "x"), (True, "\x1b[1;31mx\x1b[0m")):
            output = Output(StringIO(), lambda: None, coloured)
            self.assertEqual(output.styled("x", "bad"), styled)
            self.assertEqual(output.styled("x", "plain"), "x")


class DisplayTests(SynchronousTestCase):
    """
    Tests of what needs no terminal.
    """

    def setUp(self) -> None:
        self.air = Air(now=990.0)
        self.calendar = calendarOf(self.air)
        self.stream, self.errors = StringIO(), StringIO()
        self.output = Output(self.stream, lambda: None)

    def test_lines(self) -> None:
        """
        Each event is one line with date, time and interface.
        """
        display = LineDisplay(self.output, self.calendar)
        verifyObject(IDisplay, display)
        display.show(self.air.run(2.5, self.air.talker()))
        display.show([Event(Kind.SEAL, 0.0, "eth0")])  # nothing to speak of
        display.refresh()
        display.end()
        self.assertEqual(
            self.stream.getvalue(),
            "2026-03-04 06:06:07.008  eth0  CARP 7: 10.99.0.1 is master: advbase 1, advskew 0 "
            "(every 1.00 s)\n",
        )

    def test_json(self) -> None:
        """
        Each event is one object.
        """
        display = JSONDisplay(self.output, self.calendar)
        verifyObject(IDisplay, display)
        display.show(self.air.run(2.5, self.air.talker()))
        display.refresh()
        display.end()
        records = [json.loads(line) for line in self.stream.getvalue().splitlines()]
        self.assertEqual([record["event"] for record in records], ["group", "seal"])
        self.assertEqual(records[0]["source"], ALPHA)

    def final(self, asJSON: bool) -> FinalDisplay:
        errors = Output(self.errors, lambda: None)
        return FinalDisplay(self.output, errors, self.calendar, self.air.watch, ["eth0"], asJSON)

    def test_finalTable(self) -> None:
        """
        The table stands at the end; before, there is only what is in the way.
        """
        display = self.final(False)
        verifyObject(IDisplay, display)
        display.show([Event(Kind.LISTENING, 999.0, "eth0"), Event(Kind.DOWN, 999.5, "eth0")])
        display.show(self.air.run(2.5, self.air.talker()))
        display.refresh()
        self.assertEqual(self.stream.getvalue(), "")
        display.end()
        heading, line = self.stream.getvalue().splitlines()
        self.assertEqual(heading.split()[:2], ["GROUP", "MASTER"])
        self.assertIn("CARP 7  10.99.0.1", line)
        (complaint,) = self.errors.getvalue().splitlines()
        self.assertIn("is down", complaint)

    def test_finalJSON(self) -> None:
        """
        Or one object for each group.
        """
        self.air.hear(self.air.carp())
        self.air.hear(self.air.vrrp())
        self.final(True).end()
        records = [json.loads(line) for line in self.stream.getvalue().splitlines()]
        self.assertEqual([record["protocol"] for record in records], ["CARP", "VRRP"])

    def test_finalNothing(self) -> None:
        """
        When nothing was heard, people get a hint, and programs nothing.
        """
        self.final(True).end()
        self.assertEqual(self.stream.getvalue(), "")
        self.final(False).end()
        self.assertEqual(self.stream.getvalue(), NOTHING + "\n")


class LiveTests(SynchronousTestCase):
    """
    Tests of L{LiveDisplay}.
    """

    def setUp(self) -> None:
        self.air = Air(now=990.0)
        self.written = BytesIO()
        self.size = os.terminal_size((78, 24))
        self.display = self.make(coloured=False)

    def make(self, coloured: bool) -> LiveDisplay:
        self.stream = TextIOWrapper(self.written, "utf-8", write_through=True)
        output = Output(self.stream, lambda: None, coloured)
        calendar = calendarOf(self.air)
        return LiveDisplay(output, calendar, self.air.watch, ["eth0"], lambda: self.size)

    def shown(self) -> list[str]:
        return shownBy(self.written.getvalue().decode())

    def test_picture(self) -> None:
        """
        The table is refreshed in its place, below what happened.
        """
        verifyObject(IDisplay, self.display)
        self.display.show([Event(Kind.LISTENING, 1000.0, "eth0")])
        self.display.show(self.air.run(1.2, self.air.talker()))
        for _ in range(5):
            self.air.now += 0.1
            self.display.refresh()
        self.display.show(self.air.hear(self.air.bowOut()))
        self.air.now += 12
        self.display.end()
        self.assertEqual(
            self.shown(),
            [
                "06:06:07.008  eth0  CARP 7: 10.99.0.1 is master: advbase 1, advskew 0 "
                "(every 1.00 s)",
                "06:06:08.708  eth0  CARP 7: 10.99.0.1 gives up (it sent a bow-out)",
                "",
                "GROUP   MASTER  SINCE     HEARD     TIMING  EVERY  SEALED",
                "CARP 7  nobody  06:06:08  12 s ago  -       -      -       last was 10.99.0.1",
                "listening on eth0, sending nothing; Ctrl-C ends",
                "",
            ],
        )

    def test_width(self) -> None:
        """
        No line of the table is as wide as the terminal, which would wrap it.
        """
        self.size = os.terminal_size((40, 24))
        self.air.hear(self.air.carp())
        self.display.refresh()
        widths = [len(line) for line in self.shown()]
        self.assertEqual(max(widths), 39)

    def test_height(self) -> None:
        """
        Nor is it higher: what is left out is counted, and trouble is not left out.
        """
        self.size = os.terminal_size((78, 12))
        for vhid in range(1, 21):
            self.air.hear(self.air.carp(vhid=vhid))
        self.air.hear(self.air.carp(vhid=20, base=255, skew=255))
        self.display.refresh()
        shown = self.shown()
        self.assertLess(len(shown), 12)
        self.assertEqual(shown[-3], "... and 14 more")
        self.assertIn("CARP 20  nobody", shown[2])
        self.display.refresh()
        self.assertEqual(self.shown(), shown)

    def test_nothing(self) -> None:
        """
        When nobody is heard for a while, there is a hint.
        """
        self.display.refresh()
        self.assertEqual(len(self.shown()), 3)
        self.air.now += 11
        self.display.refresh()
        self.assertEqual(self.shown()[1], NOTHING[:77])

    def test_again(self) -> None:
        """
        That an interface is listened to is an event only if it was not before.
        """
        self.display.show([Event(Kind.LISTENING, 1000.0, "eth0", detail="again")])
        self.assertIn("listening again", self.shown()[0])

    def test_colours(self) -> None:
        """
        On a terminal with colours trouble is red, and without there are none.
        """
        for coloured in (False, True):
            self.air = air = Air(now=990.0)
            self.written = BytesIO()
            display = self.make(coloured)
            display.show(air.run(6, air.talker(ALPHA), air.talker(BETA)))
            text = self.written.getvalue().decode()
            self.assertEqual("\x1b[1;31meth0" in text or "\x1b[1;31mCARP" in text, coloured)
            self.assertEqual(re.findall(r"\x1b\[[0-9;]*m", text) != [], coloured)
