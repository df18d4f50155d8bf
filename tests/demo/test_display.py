"""
Tests of L{txcarp.demo.display} and L{txcarp.demo.timeline}.
"""

from __future__ import annotations

import re
from io import BytesIO, StringIO, TextIOWrapper

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.terminal import shownBy
from txcarp.demo.display import Display, LiveDisplay
from txcarp.demo.timeline import ASCII, Condition, Mark, Timeline
from txcarp.screen.output import Output


class PlainTests(SynchronousTestCase):
    """
    Tests of L{Display}.
    """

    def test_lines(self) -> None:
        """
        Each event is one line with its time, however long it is.
        """
        clock, output = Clock(), StringIO()
        timeline = Timeline([], clock.seconds)
        display = Display(Output(output, "test", lambda: None), timeline)
        display.begin("the title")
        clock.advance(1.25)
        display.event("master", "alpha is [master] " + "indeed " * 20)
        display.freeze()
        display.end("", "over")
        self.assertEqual(
            output.getvalue(),
            f"the title\n  1.250  master      alpha is [master] {'indeed ' * 20}\n\nover\n",
        )


class LiveTests(SynchronousTestCase):
    """
    Tests of L{LiveDisplay}.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.display = self.make("utf-8")

    def make(self, encoding: str, **environment: str) -> LiveDisplay:
        self.written = BytesIO()
        stream = TextIOWrapper(self.written, encoding=encoding)
        self.addCleanup(stream.detach)
        self.patch(stream, "isatty", lambda: True)
        environment = {"TERM": "xterm", **environment}
        output = Output(stream, "test", lambda: None, environment)
        self.timeline = Timeline(["alpha", "beta"], self.clock.seconds)
        display = LiveDisplay(output, self.timeline, self.clock)
        self.console = display._console
        self.resize(60)
        return display

    def resize(self, columns: int) -> None:
        self.console.size = (columns, 24)  # type: ignore[assignment]

    def shown(self) -> list[str]:
        """
        The lines on the terminal.
        """
        return shownBy(self.written.getvalue().decode())

    def test_pictures(self) -> None:
        """
        Each picture replaces the previous one, and no line is wider than the terminal.
        """
        self.display.begin("the title")
        height = len(self.shown())
        self.timeline.become("alpha", Condition.MASTER)
        for _ in range(200):
            self.timeline.answered("alpha")
            before = len(self.written.getvalue())
            self.clock.advance(0.1)
            self.assertGreater(len(self.written.getvalue()), before)
            self.assertEqual(len(self.shown()), height)
            self.assertLessEqual(max(map(len, self.shown())), 60)
        self.assertEqual(self.shown()[0], "the title")

    def test_events(self) -> None:
        """
        An event is printed above the picture, wrapped at words.
        """
        self.display.begin("the title")
        picture = self.shown()[1:]
        self.display.event("silence", "the client heard nothing for a very long time " * 2)
        self.assertEqual(
            self.shown(),
            [
                "the title",
                "  0.000  silence     the client heard nothing for a very",
                "                     long time the client heard nothing for",
                "                     a very long time",
                *picture,
            ],
        )

    def test_resize(self) -> None:
        """
        After a resize everything is drawn again in the new width, from the top of the screen.
        """
        self.display.begin("the title")
        self.display.event("silence", "the client heard nothing for a very long time")
        self.resize(50)
        before = len(self.written.getvalue())
        self.clock.advance(0.1)
        shown = shownBy("left over\n" * 24 + self.written.getvalue()[before:].decode())
        self.assertEqual(
            shown[:4],
            [
                "the title",
                "  0.000  silence     the client heard nothing for",
                "                     a very long time",
                "",
            ],
        )
        self.assertLessEqual(max(map(len, shown)), 50)

    def test_status(self) -> None:
        """
        The last line names the master and the time since the last answer.
        """
        self.resize(80)
        self.display.begin("the title")
        self.assertIn("nobody is master", self.shown()[-1])
        self.timeline.become("beta", Condition.MASTER)
        self.timeline.mark("beta", Mark.ADVERT)
        self.display.event("master", "beta")
        self.assertIn("beta is master", self.shown()[-1])
        self.assertIn("advert 1, 0.0 s ago", self.shown()[-1])
        self.timeline.answered("beta")
        self.clock.advance(0.1)
        self.assertIn("client hears beta", self.shown()[-1])
        self.clock.pump([0.1] * 19)
        self.assertIn("client: silence for 2.0 s", self.shown()[-1])

    def test_end(self) -> None:
        """
        The cursor is hidden during the live picture and shown again after it.  Nothing is
        drawn after the end.
        """
        self.display.begin("the title")
        self.assertTrue(self.written.getvalue().startswith(b"\x1b[?25l"))
        self.display.freeze()
        frozen = self.written.getvalue()
        self.assertTrue(frozen.endswith(b"\x1b[?25h"))
        self.clock.advance(1)
        self.display.freeze()
        self.display.end("over")
        self.assertEqual(self.written.getvalue(), frozen + b"over\n")
        self.assertEqual(self.shown()[-2:], ["over", ""])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_plainCharacters(self) -> None:
        """
        A terminal without UTF-8 gets ASCII characters.
        """
        display = self.make("ascii")
        self.timeline.become("alpha", Condition.MASTER)
        self.timeline.mark("alpha", Mark.ADVERT)
        display.begin("the title")
        self.assertIn(" alpha   o", self.shown())
        self.assertIn("o advert  = master", self.shown()[-3])

    def test_noColour(self) -> None:
        """
        With C{NO_COLOR} the picture is the same without any style.
        """
        pictures = []
        for environment in ({}, {"NO_COLOR": "1"}):
            display = self.make("utf-8", **environment)
            self.timeline.become("alpha", Condition.MASTER)
            self.timeline.mark("alpha", Mark.POWER_CUT)
            display.begin("the title")
            display.event("failed", "all of it")
            styles = re.findall(rb"\x1b\[[0-9;]*m", self.written.getvalue())
            self.assertEqual(styles != [], not environment)
            pictures.append(self.shown())
        self.assertEqual(*pictures)


class TimelineTests(SynchronousTestCase):
    """
    Tests of L{Timeline}.
    """

    def setUp(self) -> None:
        self.now = 0.0
        self.timeline = Timeline(["alpha"], lambda: self.now)

    def lanes(self, width: int) -> list[str]:
        return [lane.plain.translate(ASCII) for lane in self.timeline.lanes(width)]

    def test_lanes(self) -> None:
        """
        Each column shows what a host was doing at the end of its time, what the host did in
        it, and whether the client was answered.
        """
        answers = [1.0 + step * 0.01 for step in range(100)]
        for at, happens in sorted(
            [
                (0.3, lambda: self.timeline.become("alpha", Condition.STARTING)),
                (0.7, lambda: self.timeline.become("alpha", Condition.BACKUP)),
                (1.1, lambda: self.timeline.become("alpha", Condition.MASTER)),
                (1.1, lambda: self.timeline.mark("alpha", Mark.ADVERT)),
                (2.1, lambda: self.timeline.mark("alpha", Mark.POWER_CUT)),
                (2.1, lambda: self.timeline.mark("alpha", Mark.ADVERT)),
                (2.1, lambda: self.timeline.become("alpha", Condition.OFF)),
                *((at, lambda: self.timeline.answered("alpha")) for at in answers),
            ],
            key=lambda each: each[0],
        ):
            self.now = at
            happens()
        self.now = 2.75
        host, client, ruler = self.lanes(40)
        self.assertEqual(host, " alpha    ..--o====X   ")
        self.assertEqual(client, " client       #####... ")
        self.assertEqual(ruler[9:], "'0 s")

    def test_fits(self) -> None:
        """
        Everything since the beginning fits the width, however long it takes.
        """
        self.timeline.mark("alpha", Mark.BOW_OUT)
        for self.now in (0.0, 10.0, 30.0, 120.0, 300.0):
            lanes = self.timeline.lanes(79)
            self.assertIn("◆", lanes[0].plain[:10])
            self.assertLessEqual(max(map(len, lanes)), 79)
