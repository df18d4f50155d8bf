"""
How the story is shown: lines only, or lines above a live picture.
"""

from __future__ import annotations

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from txcarp.demo.timeline import ANSWERED, ASCII, SILENT, Condition, Mark, Timeline
from txcarp.screen.live import LiveScreen, consoleOn, show
from txcarp.screen.output import Output

#: Seconds between two pictures.
_FRAME = 0.1

#: Columns for the label of an event.
_LABEL = 11

#: The styles of events by their label.  Others are plain.
_EVENT_STYLES = {
    "master": "good",
    "power cut": "bad",
    "kill": "bad",
    "check": "notice",
    "silence": "notice",
    "take-over": "good",
    "stop": "notice",
    "bow-out": "notice",
    "failed": "bad",
}

_LEGEND = (
    (Mark.ADVERT.value, "advert"),
    (Condition.MASTER.value, "master"),
    (Condition.BACKUP.value, "backup"),
    (Mark.POWER_CUT.value, "power cut"),
    (Mark.KILL.value, "kill"),
    (Mark.BOW_OUT.value, "bow-out"),
    (ANSWERED, "answered"),
    (SILENT, "silence"),
)


class Display:
    """
    Prints one line for each event.
    """

    def __init__(self, output: Output, timeline: Timeline) -> None:
        self._output = output
        self._timeline = timeline
        self._console = consoleOn(output)

    def begin(self, title: str) -> None:
        """
        Show the title.
        """
        self._output.write(f"{title}\n")

    def event(self, label: str, text: str) -> None:
        """
        Show an event, with the time since the beginning.

        @param label: The kind of event, in one or two words.
        """
        self._output.write(f"{self._timeline.now():7.3f}  {label:<{_LABEL}} {text}\n")

    def freeze(self) -> None:
        """
        Stop everything that moves.
        """

    def end(self, *lines: RenderableType) -> None:
        """
        Show something below everything else.
        """
        show(self._console, *lines)


class LiveDisplay(Display):
    """
    Prints events above a live picture of the timeline.
    """

    def __init__(self, output: Output, timeline: Timeline, clock: IReactorTime) -> None:
        """
        @param output: A terminal.
        @param clock: Paces the pictures.
        """
        super().__init__(output, timeline)
        self._screen = LiveScreen(self._console, self)
        self._frames = LoopingCall(self._screen.update)
        self._frames.clock = clock

    def begin(self, title: str) -> None:
        self._screen.update(Text(title, "strong"))
        self._frames.start(_FRAME, now=False)

    def event(self, label: str, text: str) -> None:
        style = _EVENT_STYLES.get(label, "plain")
        line = Table.grid(padding=(0, 1, 0, 0))
        line.add_column(no_wrap=True)
        line.add_column(no_wrap=True, min_width=_LABEL)
        line.add_column()
        when = Text(f"{self._timeline.now():7.3f} ", "faint")
        line.add_row(when, Text(label, style), Text(text, style))
        self._screen.update(line)

    def freeze(self) -> None:
        if self._frames.running:
            self._frames.stop()
            self._screen.stop()

    def __rich__(self) -> RenderableType:
        """
        Draw the timeline, what its characters mean, and a line about the present.
        """
        legend = Text(" ").join(
            Text.assemble(glyph, f" {meaning} ") for (glyph, meaning) in _LEGEND
        )
        picture = Text("\n").join(
            [Text(), *self._timeline.lanes(self._console.width), legend, self._status()]
        )
        if self._console.options.ascii_only:
            picture.plain = picture.plain.translate(ASCII)
        return picture

    def _status(self) -> Text:
        timeline = self._timeline
        now, master = timeline.now(), timeline.master
        parts = [
            Text(f"{now:6.1f} s", "strong"),
            Text(f"{master} is master", "good") if master else Text("nobody is master", "bad"),
        ]
        if timeline.lastAnswer is not None:
            silence = now - timeline.lastAnswer
            if silence < 2 * _FRAME:
                parts.append(Text(f"client hears {timeline.answering}", "good"))
            else:
                parts.append(Text(f"client: silence for {silence:.1f} s", "bad"))
        if timeline.lastAdvert is not None:
            parts.append(Text(f"advert {timeline.adverts}, {now - timeline.lastAdvert:.1f} s ago"))
        return Text("   ").join(parts)
