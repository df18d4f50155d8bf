"""
How the demonstration is shown: live on a terminal, or a line for each event.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable
from typing import TextIO

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from zope.interface import Interface, implementer

from txcarp.demo.timeline import ASCII, UNICODE, Condition, Mark, Span, Timeline

#: Seconds between two pictures.
_FRAME = 0.1

_LABEL = 11

_STYLES = {
    "plain": "",
    "faint": "\x1b[2m",
    "strong": "\x1b[1m",
    "good": "\x1b[32m",
    "notice": "\x1b[33m",
    "bad": "\x1b[1;31m",
}
_PLAIN = "\x1b[0m"

#: The styles of events by their label; the others are plain.
_EVENT_STYLES = {
    "master": "good",
    "power cut": "bad",
    "silence": "notice",
    "take-over": "good",
    "stop": "notice",
    "bow-out": "notice",
    "failed": "bad",
}


class IDisplay(Interface):
    """
    Whom the story is told to.
    """

    def begin(title: str) -> None:
        """
        It begins now.
        """

    def event(label: str, text: str) -> None:
        """
        One thing that happened, in words.

        @param label: one or two words that say what kind of thing.
        """

    def become(host: str, condition: Condition) -> None:
        """
        A host is something else from now on.
        """

    def mark(host: str, mark: Mark) -> None:
        """
        Something happened to a host just now.
        """

    def answered(host: str) -> None:
        """
        The client got an answer just now.

        @param host: from whom.
        """

    def freeze() -> None:
        """
        Nothing happens any more.
        """

    def end(lines: Iterable[str]) -> None:
        """
        It is over, and tidied up; the lines stand at the end.
        """


class Screen:
    """
    Where lines are written, which may go away.
    """

    def __init__(self, output: TextIO, gone: Callable[[], object]) -> None:
        """
        @param gone: called when nobody reads any more.
        """
        self.encoding = output.encoding
        self._output = output
        self._gone = gone

    def write(self, text: str) -> None:
        """
        Show text now.
        """
        try:
            self._output.write(text)
            self._output.flush()
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EIO):  # a reader, or a terminal, is gone
                print(f"txcarp demo: standard output: {error.strerror}", file=sys.stderr)
            # What could not be written is still in the buffer, and Python would try again
            # when it exits, and complain.
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), self._output.fileno())
            self._gone()


@implementer(IDisplay)
class PlainDisplay:
    """
    One line for each event, with the seconds since the beginning, and no pictures.
    """

    def __init__(self, output: Screen, seconds: Callable[[], float]) -> None:
        """
        @param seconds: a monotonic clock.
        """
        self._output = output
        self._seconds = seconds
        self._started = seconds()

    def begin(self, title: str) -> None:
        self._started = self._seconds()
        self._write(title)

    def event(self, label: str, text: str) -> None:
        self._write(f"{self._seconds() - self._started:7.3f}  {label:<{_LABEL}} {text}")

    def become(self, host: str, condition: Condition) -> None:
        """
        Said in words by an event.
        """

    def mark(self, host: str, mark: Mark) -> None:
        """
        Said in words by an event, or one of many adverts.
        """

    def answered(self, host: str) -> None:
        """
        Too many for lines.
        """

    def freeze(self) -> None:
        """
        Nothing moved.
        """

    def end(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._write(line)

    def _write(self, line: str) -> None:
        self._output.write(line + "\n")


@implementer(IDisplay)
class LiveDisplay:
    """
    Events above, and below them a picture that moves.
    """

    def __init__(
        self,
        output: Screen,
        clock: IReactorTime,
        hosts: list[str],
        width: Callable[[], int] = lambda: shutil.get_terminal_size().columns,
    ) -> None:
        """
        @param output: a terminal that understands ANSI sequences.
        @param clock: paces the pictures.
        @param width: how many columns it has now.
        """
        self._output = output
        self._clock = clock
        self._width = width
        self._unicode = _speaksUnicode(output)
        self._glyphs = UNICODE if self._unicode else ASCII
        self._timeline = Timeline(hosts, self._glyphs)
        self._conditions = dict.fromkeys(hosts, Condition.OFF)
        self._adverts = 0
        self._lastAdvert: float | None = None
        self._lastAnswer: float | None = None
        self._answering = ""
        self._height = 0
        self._started = clock.seconds()
        self._frames = LoopingCall(self._draw)
        self._frames.clock = clock

    def begin(self, title: str) -> None:
        self._started = self._clock.seconds()
        self._output.write("\x1b[?25l")  # the cursor would jump about
        self._draw([(title, "strong")])
        self._frames.start(_FRAME, now=False)

    def event(self, label: str, text: str) -> None:
        style = _EVENT_STYLES.get(label, "plain")
        room = max(30, self._width() - _LABEL - 11)
        first, *more = textwrap.wrap(text, room, break_on_hyphens=False) or [""]
        self._draw(
            [(f"{self._now():7.3f}  ", "faint"), (f"{label:<{_LABEL}} ", style), (first, style)],
            *([(" " * (_LABEL + 10) + line, style)] for line in more),
        )

    def become(self, host: str, condition: Condition) -> None:
        self._conditions[host] = condition
        self._timeline.become(host, self._now(), condition)

    def mark(self, host: str, mark: Mark) -> None:
        self._timeline.mark(host, self._now(), mark)
        if mark is Mark.ADVERT:
            self._adverts += 1
            self._lastAdvert = self._now()
            self._draw()

    def answered(self, host: str) -> None:
        self._answering = host
        self._lastAnswer = self._now()
        self._timeline.answered(self._lastAnswer)

    def freeze(self) -> None:
        if self._frames.running:
            self._frames.stop()
        self._draw()

    def end(self, lines: Iterable[str]) -> None:
        self._output.write("\x1b[?25h" + "".join(f"{line}\n" for line in lines))

    def _now(self) -> float:
        return self._clock.seconds() - self._started

    def _draw(self, *above: list[Span]) -> None:
        """
        Draw the picture again, where it was or below new lines.
        """
        width = self._width() - 1
        picture = [[], *self._timeline.lanes(self._now(), width), self._legend(), self._status()]
        up = f"\x1b[{self._height}A\r" if self._height else ""
        self._height = len(picture)
        # What is wider than the terminal would wrap, and spoil the next picture.
        text = "".join(_coloured(spans, width) + "\x1b[K\n" for spans in (*above, *picture))
        self._output.write(up + text)

    def _legend(self) -> list[Span]:
        glyphs = self._glyphs
        return [
            (" ", "plain"),
            (glyphs.mark[Mark.ADVERT] + " advert  ", "good"),
            (glyphs.condition[Condition.MASTER] + " master  ", "good"),
            (glyphs.condition[Condition.BACKUP] + " backup  ", "faint"),
            (glyphs.mark[Mark.POWER_CUT] + " power cut  ", "bad"),
            (glyphs.mark[Mark.BOW_OUT] + " bow-out  ", "notice"),
            (glyphs.answered + " answered  ", "good"),
            (glyphs.silent + " silence", "bad"),
        ]

    def _status(self) -> list[Span]:
        now = self._now()
        masters = [name for name, what in self._conditions.items() if what is Condition.MASTER]
        spans: list[Span] = [(f"{now:6.1f} s  ", "strong")]
        who = f"{masters[0]} is master" if masters else "nobody is master"
        spans.append((who, "good" if masters else "bad"))
        if self._lastAnswer is not None:
            silence = now - self._lastAnswer
            if silence < 2 * _FRAME:
                spans.append((f"   client hears {self._answering}", "good"))
            else:
                spans.append((f"   client: silence for {silence:.1f} s", "bad"))
        if self._lastAdvert is not None:
            age = now - self._lastAdvert
            spans.append((f"   advert {self._adverts}, {age:.1f} s ago", "plain"))
        return spans


def _coloured(spans: Iterable[Span], width: int) -> str:
    text, left = "", width
    for words, style in spans:
        words = words[: max(left, 0)]
        left -= len(words)
        code = _STYLES.get(style, "")
        text += f"{code}{words}{_PLAIN}" if code and words else words
    return text


def _speaksUnicode(output: Screen) -> bool:
    return bool(re.fullmatch("utf-?8", output.encoding, re.IGNORECASE))
