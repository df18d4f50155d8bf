"""
Tests of L{txcarp.observer.tables}, and of what else L{txcarp.observer.observation}
writes.
"""

from __future__ import annotations

import re
from io import BytesIO, StringIO, TextIOWrapper

from twisted.trial.unittest import SynchronousTestCase

from tests import crafted
from tests.observer.air import ALPHA, BETA, Air
from tests.observer.test_text import calendarOf
from tests.terminal import shownBy
from txcarp.observer import words
from txcarp.observer.observation import isAboutListening
from txcarp.observer.reports import Kind, Report
from txcarp.observer.tables import NOTHING, LiveTable, printTable
from txcarp.screen.live import consoleOn
from txcarp.screen.output import Output


class LineTests(SynchronousTestCase):
    """
    Tests of lines for reports.
    """

    def test_lines(self) -> None:
        """
        A report is one line with date, time and interface; some reports are not shown.
        """
        air = Air(now=990.0)
        calendar = calendarOf(air)
        first, second = air.run(2.5, air.talker())
        self.assertEqual(
            words.line(first, calendar),
            "2026-03-04 06:06:07.008  eth0  CARP 7: 10.99.0.1 is master: advbase 1, advskew 0 "
            "(every 1.00 s)\n",
        )
        self.assertIs(second.kind, Kind.SEAL)
        self.assertIsNone(words.line(second, calendar))

    def test_listening(self) -> None:
        """
        Before the final table only reports that affect listening are shown.
        """
        air = Air(now=990.0)
        (group, _) = air.run(2.5, air.talker())
        for report, shown in (
            (Report(Kind.LISTENING, 999.0, "eth0"), False),
            (Report(Kind.DOWN, 999.5, "eth0"), True),
            (Report(Kind.LISTENING, 999.7, "eth0", detail="again"), True),
            (group, False),
        ):
            self.assertEqual(isAboutListening(report), shown)


class TableTests(SynchronousTestCase):
    """
    Tests of L{printTable}.
    """

    def setUp(self) -> None:
        self.air = Air(now=990.0)
        self.calendar = calendarOf(self.air)

    def lines(
        self, interfaces: bool = False, deaf: bool = False, width: int = 1000
    ) -> list[str]:
        stream = StringIO()
        printTable(
            self.air.watch.groups(),
            consoleOn(Output(stream, "test", lambda: None), width),
            self.calendar,
            {"eth0": Kind.DOWN} if deaf else {},
            interfaces,
        )
        return stream.getvalue().splitlines()

    def test_one(self) -> None:
        """
        A group has one row.
        """
        self.air.run(5.5, self.air.talker())
        self.assertEqual(
            self.lines(),
            [
                "GROUP   MASTER     SINCE     HEARD  TIMING         EVERY   SEALED",
                "CARP 7  10.99.0.1  06:06:07  0.5 s  base 1 skew 0  1.00 s  no",
            ],
        )

    def trouble(self) -> None:
        """
        Make a group with two masters, and one without any.
        """
        self.air.run(6, self.air.talker())
        self.air.hear(self.air.vrrp())
        self.air.run(15.5, self.air.talker(), self.air.talker(BETA, 50))

    def test_trouble(self) -> None:
        """
        Each further master has a row, and so has a group without a master.
        """
        self.trouble()
        self.assertEqual(
            self.lines(interfaces=True),
            [
                "INTERFACE  GROUP         MASTER     SINCE     HEARD  TIMING          EVERY   "
                "SEALED",
                "eth0       CARP 7        10.99.0.1  06:06:07  0.5 s  base 1 skew 0   1.00 s  no",
                "            TWO MASTERS  10.99.0.2  06:06:13  1.2 s  base 1 skew 50  1.20 s  no",
                "eth0       VRRP 51       none       06:06:13  16 s   -               -       -"
                "       last was 10.99.0.1",
            ],
        )

    def notable(self) -> None:
        """
        Make a group with a host to which every note applies.
        """
        air = self.air
        air.watch.listens(air.now, "eth0")
        body = crafted.payload(vhid=7, advbase=1, advskew=0, demotion=4)
        packet = crafted.packet(body, source=ALPHA, destination=BETA)
        for _ in range(5):
            air.hear(packet, here=True)
            air.now += 1.5

    def test_notes(self) -> None:
        """
        Unusual facts about a host are noted in the last column.
        """
        self.notable()
        self.assertEqual(
            self.lines(deaf=True)[1:],
            [
                "CARP 7  10.99.0.1  before 06:06:07  1.5 s  base 1 skew 0  1.50 s  no      "
                "not heard: the interface is down, claims every 1.00 s, demotion 4, this machine, "
                "to 10.99.0.2"
            ],
        )

    def test_width80(self) -> None:
        """
        Notes that do not fit the width stand below the row, wrapped at words.
        """
        self.notable()
        self.assertEqual(
            self.lines(deaf=True, width=80),
            [
                "GROUP   MASTER     SINCE            HEARD  TIMING         EVERY   SEALED",
                "CARP 7  10.99.0.1  before 06:06:07  1.5 s  base 1 skew 0  1.50 s  no",
                "    not heard: the interface is down, claims every 1.00 s, demotion 4, this",
                "    machine, to 10.99.0.2",
            ],
        )

    def test_narrow(self) -> None:
        """
        Columns that do not fit the width become notes; nothing is left out.
        """
        self.trouble()
        self.assertEqual(
            self.lines(width=40),
            [
                "GROUP         MASTER     SINCE     HEARD",
                "CARP 7        10.99.0.1  06:06:07  0.5 s",
                "    base 1 skew 0, every 1.00 s, sealed:",
                "    no",
                " TWO MASTERS  10.99.0.2  06:06:13  1.2 s",
                "    base 1 skew 50, every 1.20 s,",
                "    sealed: no",
                "VRRP 51       none       06:06:13  16 s",
                "    last was 10.99.0.1",
            ],
        )
        self.assertEqual(
            self.lines(width=26)[:3],
            [
                "GROUP         MASTER",
                "CARP 7        10.99.0.1",
                "    since 06:06:07, heard",
            ],
        )

    def test_vrrp(self) -> None:
        """
        VRRP has a priority and a version, and no seals.
        """
        self.air.hear(self.air.vrrp())
        self.assertEqual(
            self.lines()[1],
            "VRRP 51  10.99.0.1  06:06:07  0.0 s  priority 100  1.00 s  -       version 3",
        )

    def test_stranger(self) -> None:
        """
        A group of which only a bow-out was heard has no master.
        """
        self.air.hear(self.air.bowOut())
        self.assertEqual(self.lines()[1].split(), ["CARP", "7", "none", "-", "-", "-", "-", "-"])

    def test_nothing(self) -> None:
        """
        If nothing was heard, there is a hint, wrapped at words.
        """
        self.assertEqual(self.lines(), [NOTHING])
        narrow = self.lines(width=40)
        self.assertEqual(" ".join(narrow), NOTHING)
        self.assertLessEqual(max(map(len, narrow)), 40)


class LiveTests(SynchronousTestCase):
    """
    Tests of L{LiveTable}.
    """

    def setUp(self) -> None:
        self.air = Air(now=990.0)
        self.table = self.make()

    def make(self, **environment: str) -> LiveTable:
        self.written = BytesIO()
        stream = TextIOWrapper(self.written, "utf-8", write_through=True)
        self.patch(stream, "isatty", lambda: True)
        self.console = consoleOn(
            Output(stream, "test", lambda: None, {"TERM": "xterm", **environment})
        )
        self.resize(78, 24)
        return LiveTable(self.console, calendarOf(self.air), self.air.watch, ["eth0"])

    def resize(self, columns: int, lines: int) -> None:
        self.console.size = (columns, lines)  # type: ignore[assignment]

    def shown(self) -> list[str]:
        return shownBy(self.written.getvalue().decode())

    def test_picture(self) -> None:
        """
        The table is redrawn in place, below the reports.
        """
        self.table.show([Report(Kind.LISTENING, 1000.0, "eth0")])
        self.table.show(self.air.run(1.2, self.air.talker()))
        for _ in range(5):
            self.air.now += 0.1
            self.table.show([])
        self.table.show(self.air.hear(self.air.bowOut()))
        self.air.now += 12
        self.table.end()
        self.assertEqual(
            self.shown(),
            [
                "06:06:07.008  eth0  CARP 7: 10.99.0.1 is master: advbase 1, advskew 0 (every",
                "                    1.00 s)",
                "06:06:08.708  eth0  CARP 7: 10.99.0.1 resigned: it sent a bow-out",
                "",
                "GROUP   MASTER  SINCE     HEARD  TIMING  EVERY  SEALED",
                "CARP 7  none    06:06:08  12 s   -       -      -       last was 10.99.0.1",
                "Listening on eth0, sending nothing. Ctrl-C ends it.",
                "",
            ],
        )
        self.assertTrue(self.written.getvalue().startswith(b"\x1b[?25l"))
        self.assertTrue(self.written.getvalue().endswith(b"\x1b[?25h"))

    def test_width(self) -> None:
        """
        No line is wider than the terminal.
        """
        for width in (20, 40, 60, 80):
            self.resize(width, 24)
            self.table.show(self.air.hear(self.air.carp(f"10.99.0.{width}")))
            self.table.show(self.air.hear(crafted.packet6(crafted.payload(vhid=width))))
            self.assertLessEqual(max(map(len, self.shown())), width)

    def test_resize(self) -> None:
        """
        After a resize everything is drawn again in the new width, from the top of the screen.
        """
        self.table.show(self.air.run(1.2, self.air.talker()))
        before = len(self.written.getvalue())
        self.resize(40, 24)
        self.table.show(self.air.hear(self.air.bowOut()))
        self.table.show([])
        screen = ["what was there"] * 24
        after = self.written.getvalue().decode()[before:]
        self.assertEqual(
            shownBy("\n".join(screen) + after),
            [
                "06:06:07.008  eth0  CARP 7: 10.99.0.1 is",
                "                    master: advbase 1,",
                "                    advskew 0 (every",
                "                    1.00 s)",
                "06:06:08.208  eth0  CARP 7: 10.99.0.1",
                "                    resigned: it sent a",
                "                    bow-out",
                "",
                "GROUP   MASTER  SINCE     HEARD  TIMING",
                "CARP 7  none    06:06:08  0.0 s  -",
                "    last was 10.99.0.1",
                "Listening on eth0, sending nothing.",
                "Ctrl-C ends it.",
            ],
        )

    def test_resizeLow(self) -> None:
        """
        If not everything fits, only the newest reports are drawn again.
        """
        for vhid in range(1, 21):
            self.table.show(self.air.hear(self.air.carp(vhid=vhid)))
        before = len(self.written.getvalue())
        self.resize(78, 12)
        self.table.show([])
        shown = shownBy(self.written.getvalue().decode()[before:])
        self.assertEqual(len(shown), 12)
        self.assertIn("CARP 20: 10.99.0.1 is master", shown[0])
        self.assertEqual(shown[2], "")

    def test_height(self) -> None:
        """
        The picture is never higher than the terminal: trouble stays, and omitted rows are
        counted.
        """
        self.resize(90, 12)
        for vhid in range(1, 21):
            self.air.hear(self.air.carp(vhid=vhid))
        self.air.hear(self.air.carp(vhid=20, base=255, skew=255))
        self.table.show([])
        shown = self.shown()
        self.assertLess(len(shown), 12)
        self.assertEqual(shown[-2], "... and 14 more")
        self.assertIn("CARP 20  none", shown[2])
        self.table.show([])
        self.assertEqual(self.shown(), shown)

    def test_heightOfNotes(self) -> None:
        """
        Lines below a row count towards the height.
        """
        self.resize(40, 12)
        for vhid in range(1, 21):
            self.air.hear(self.air.carp(vhid=vhid))
        self.table.show([])
        shown = self.shown()
        self.assertLess(len(shown), 12)
        self.assertRegex(shown[-3], r"^\.\.\. and 1\d more$")

    def test_nothing(self) -> None:
        """
        If nothing is heard for a while, there is a hint, wrapped at words.
        """
        self.table.show([])
        self.assertEqual(len(self.shown()), 2)
        self.air.now += 11
        self.table.show([])
        self.assertEqual(" ".join(self.shown()[1:-1]), NOTHING)

    def test_again(self) -> None:
        """
        The start of listening is shown as a report only after an interruption.
        """
        self.table.show([Report(Kind.LISTENING, 1000.0, "eth0", detail="again")])
        self.assertIn("listening again", self.shown()[0])

    def test_colours(self) -> None:
        """
        Trouble is red.  With C{NO_COLOR} the picture is the same without any style.
        """
        pictures = []
        for environment in ({}, {"NO_COLOR": "1"}):
            self.air = air = Air(now=990.0)
            coloured = not environment
            self.make(**environment).show(air.run(6, air.talker(ALPHA), air.talker(BETA)))
            text = self.written.getvalue().decode()
            self.assertEqual("\x1b[1;31meth0" in text or "\x1b[1;31mCARP" in text, coloured)
            self.assertEqual(re.findall(r"\x1b\[[0-9;]*m", text) != [], coloured)
            pictures.append(self.shown())
        self.assertEqual(*pictures)
