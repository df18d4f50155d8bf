"""
Tests of L{txcarp.demo.display} and L{txcarp.demo.timeline}.
"""

from __future__ import annotations

import os
import re
from io import BytesIO, StringIO, TextIOWrapper

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from txcarp.demo.display import IDisplay, LiveDisplay, PlainDisplay, Screen
from txcarp.demo.timeline import ASCII, UNICODE, Condition, Mark, Timeline


def text(spans: list[tuple[str, str]]) -> str:
    """
    Spans without their styles.
    """
    return "".join(words for words, _ in spans)


class PlainTests(SynchronousTestCase):
    """
    Tests of L{PlainDisplay}.
    """

    def test_lines(self) -> None:
        """
        Each event is one line with its time; what moves in pictures is not shown.
        """
        clock, output = Clock(), StringIO()
        display = PlainDisplay(Screen(output, lambda: None), clock.seconds)
        verifyObject(IDisplay, display)
        clock.advance(100)
        display.begin("the title")
        clock.advance(1.25)
        display.become("alpha", Condition.MASTER)
        display.mark("alpha", Mark.ADVERT)
        display.answered("alpha")
        display.event("master", "alpha is master " + "indeed " * 20)
        display.end(["", "over"])
        self.assertEqual(
            output.getvalue(),
            f"the title\n  1.250  master      alpha is master {'indeed ' * 20}\n\nover\n",
        )


class ScreenTests(SynchronousTestCase):
    """
    Tests of L{Screen}.
    """

    def test_readerGone(self) -> None:
        """
        A reader that is gone is reported, and never again an error: not even when what
        was not written is flushed at the end.
        """
        reading, writing = os.pipe()
        os.close(reading)
        output = os.fdopen(writing, "w")
        gone: list[bool] = []
        Screen(output, lambda: gone.append(True)).write("nobody reads this")
        self.assertEqual(gone, [True])
        output.close()


class LiveTests(SynchronousTestCase):
    """
    Tests of L{LiveDisplay}.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.written = BytesIO()
        self.display = self.make("utf-8")

    def make(self, encoding: str) -> LiveDisplay:
        output = TextIOWrapper(self.written, encoding=encoding)
        self.addCleanup(output.detach)
        screen = Screen(output, lambda: None)
        return LiveDisplay(screen, self.clock, ["alpha", "beta"], lambda: 60)

    def taken(self) -> str:
        """
        What was written since the last time.
        """
        value = self.written.getvalue().decode()
        self.written.seek(0)
        self.written.truncate()
        return value

    def test_pictures(self) -> None:
        """
        A picture takes the place of the one before, and no line of it is wider than the
        terminal.
        """
        verifyObject(IDisplay, self.display)
        self.display.begin("the title")
        height = self.taken().count("\n") - 1
        self.display.become("alpha", Condition.MASTER)
        for _ in range(200):
            self.display.answered("alpha")
            self.clock.advance(0.1)
        frames = self.taken().split(f"\x1b[{height}A\r")[1:]
        self.assertEqual(len(frames), 200)
        for frame in frames:
            self.assertEqual(frame.count("\n"), height)
            for line in re.sub(r"\x1b\[[0-9;]*[mK]", "", frame).splitlines():
                self.assertLess(len(line), 60)

    def test_events(self) -> None:
        """
        An event is written where the picture was, wrapped, and the picture below it.
        """
        self.display.begin("the title")
        height = self.taken().count("\n") - 1
        self.display.event("silence", "the client heard nothing for a very long time " * 2)
        shown = self.taken()
        self.assertTrue(shown.startswith(f"\x1b[{height}A\r"))
        self.assertGreater(shown.count("\n"), height + 1)
        self.assertIn("silence", shown)

    def test_status(self) -> None:
        """
        The last line says who is master, and since when the client hears nothing.
        """
        self.display.begin("the title")
        self.assertIn("nobody is master", self.taken())
        self.display.become("beta", Condition.MASTER)
        self.display.mark("beta", Mark.ADVERT)
        shown = self.taken()
        self.display.answered("beta")
        self.assertIn("beta is master", shown)
        self.assertIn("advert 1, 0.0 s ago", shown)
        self.clock.pump([0.1] * 20)
        self.assertIn("client: silence for 2.0 s", self.taken())

    def test_end(self) -> None:
        """
        The cursor, which was hidden, is back, and no picture comes after the end.
        """
        self.display.begin("the title")
        self.assertIn("\x1b[?25l", self.taken())
        self.display.end(["over"])
        self.assertTrue(self.taken().endswith("\x1b[?25hover\n"))
        self.clock.advance(1)
        self.assertEqual(self.taken(), "")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_plainCharacters(self) -> None:
        """
        A terminal that does not speak UTF-8 gets ASCII.
        """
        display = self.make("ascii")
        display.begin("the title")
        display.become("alpha", Condition.MASTER)
        display.mark("alpha", Mark.ADVERT)
        self.assertIn("o advert", self.taken())


class TimelineTests(SynchronousTestCase):
    """
    Tests of L{Timeline}.
    """

    def test_lanes(self) -> None:
        """
        Columns show what a host was at their end, what happened to it, and whether the
        client was answered in them.
        """
        timeline = Timeline(["alpha"], ASCII)
        timeline.become("alpha", 0.3, Condition.STARTING)
        timeline.become("alpha", 0.7, Condition.BACKUP)
        timeline.become("alpha", 1.1, Condition.MASTER)
        timeline.mark("alpha", 1.1, Mark.ADVERT)
        timeline.mark("alpha", 2.1, Mark.ADVERT)
        timeline.mark("alpha", 2.1, Mark.POWER_CUT)
        timeline.become("alpha", 2.1, Condition.OFF)
        for step in range(100):
            timeline.answered(1.0 + step * 0.01)
        host, client, ruler = timeline.lanes(2.75, 40)
        self.assertEqual(text(host), " alpha    ..--o====X   ")
        self.assertEqual(text(client), " client       #####... ")
        self.assertEqual(text(ruler)[9:], "'0 s")

    def test_fits(self) -> None:
        """
        However long it takes, everything from the beginning fits the width.
        """
        timeline = Timeline(["alpha"], UNICODE)
        timeline.mark("alpha", 0.0, Mark.BOW_OUT)
        for now in (0.0, 10.0, 30.0, 120.0, 300.0):
            lanes = timeline.lanes(now, 79)
            self.assertIn("◆", text(lanes[0])[:10])
            self.assertLessEqual(max(len(text(lane)) for lane in lanes), 79)
