"""
How it is shown: a line for each event, a JSON object for each event, or a table
that is kept up to date with the events above it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TextIO

from zope.interface import Interface, implementer

from txcarp.observer import table, words
from txcarp.observer.events import Event, Kind
from txcarp.observer.records import Recorder
from txcarp.observer.times import Calendar
from txcarp.observer.watch import Watch

#: Seconds without any group after which a hint is given.
_PATIENCE = 10.0

NOTHING = (
    "Nobody advertises. A switch with IGMP or MLD snooping may keep adverts away from this port, "
    "which joins no group."
)

_STYLES = {
    "plain": "",
    "faint": "\x1b[2m",
    "heading": "\x1b[1m",
    "good": "\x1b[32m",
    "notice": "\x1b[33m",
    "bad": "\x1b[1;31m",
}
_PLAIN = "\x1b[0m"

_EVENT_STYLES = {
    Kind.GROUP: "good",
    Kind.MASTER: "good",
    Kind.RETURNED: "good",
    Kind.ONE_MASTER: "good",
    Kind.BOW_OUT: "notice",
    Kind.STRAY: "notice",
    Kind.IGNORED: "notice",
    Kind.DOWN: "notice",
    Kind.GONE: "notice",
    Kind.TOO_MANY_HOSTS: "notice",
    Kind.TOO_MANY_GROUPS: "notice",
    Kind.SILENT: "bad",
    Kind.TWO_MASTERS: "bad",
}


class Output:
    """
    Where lines are written, which may go away.
    """

    def __init__(self, stream: TextIO, gone: Callable[[], object], coloured: bool = False) -> None:
        """
        @param gone: Called when nobody reads any more.
        @param coloured: Whether it shows colours.
        """
        self._stream = stream
        self._gone = gone
        self._coloured = coloured

    def write(self, text: str) -> None:
        """
        Show text now.
        """
        encoding = self._stream.encoding or "ascii"
        try:
            self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
            self._stream.flush()
        except OSError:
            # What could not be written is still in the buffer, and Python would try again
            # when it exits, and complain.
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), self._stream.fileno())
            self._gone()

    def styled(self, text: str, style: str) -> str:
        """
        Text in a style, if this shows any.
        """
        code = _STYLES[style] if self._coloured else ""
        return f"{code}{text}{_PLAIN}" if code and text else text


class IDisplay(Interface):
    """
    Where events and groups are shown.
    """

    def show(events: Iterable[Event]) -> None:
        """
        These happened.
        """

    def refresh() -> None:
        """
        Time passed.
        """

    def end() -> None:
        """
        There is nothing more to come.
        """


@implementer(IDisplay)
class LineDisplay:
    """
    A line for each event, and nothing that moves.
    """

    def __init__(self, output: Output, calendar: Calendar) -> None:
        self._output = output
        self._calendar = calendar

    def show(self, events: Iterable[Event]) -> None:
        for event in events:
            said = words.sentence(event, self._calendar)
            if said is not None:
                when = self._calendar.full(event.when)
                self._output.write(f"{when}  {event.interface}  {said}\n")

    def refresh(self) -> None:
        """
        Nothing moves.
        """

    def end(self) -> None:
        """
        All is said.
        """


@implementer(IDisplay)
class JSONDisplay:
    """
    A JSON object in a line for each event.
    """

    def __init__(self, output: Output, calendar: Calendar) -> None:
        self._output = output
        self._recorder = Recorder(calendar)

    def show(self, events: Iterable[Event]) -> None:
        for event in events:
            self._output.write(_object(self._recorder.event(event)))

    def refresh(self) -> None:
        """
        Nothing moves.
        """

    def end(self) -> None:
        """
        All is said.
        """


@implementer(IDisplay)
class FinalDisplay:
    """
    All groups at the end: a table, or a JSON object in a line for each.  Before,
    only what is in the way of listening, on the standard error output.
    """

    def __init__(
        self,
        output: Output,
        errors: Output,
        calendar: Calendar,
        watch: Watch,
        interfaces: Sequence[str],
        asJSON: bool,
    ) -> None:
        self._output = output
        self._errors = LineDisplay(errors, calendar)
        self._calendar = calendar
        self._watch = watch
        self._many = len(interfaces) > 1
        self._asJSON = asJSON

    def show(self, events: Iterable[Event]) -> None:
        self._errors.show(
            event
            for event in events
            if event.group is None and (event.kind is not Kind.LISTENING or event.detail)
        )

    def refresh(self) -> None:
        """
        Nothing moves.
        """

    def end(self) -> None:
        groups = self._watch.groups()
        if self._asJSON:
            recorder = Recorder(self._calendar)
            self._output.write("".join(_object(recorder.state(group)) for group in groups))
        elif groups:
            rows = table.rows(groups, self._calendar, self._watch.deaf)
            rows = table.layOut(rows, self._many)
            lines = (self._output.styled(row.cells[0], row.style) for row in rows)
            self._output.write("".join(f"{line}\n" for line in lines))
        else:
            self._output.write(NOTHING + "\n")


@implementer(IDisplay)
class LiveDisplay:
    """
    Events above, and below them the table of all groups.
    """

    def __init__(
        self,
        output: Output,
        calendar: Calendar,
        watch: Watch,
        interfaces: Sequence[str],
        size: Callable[[], os.terminal_size] = shutil.get_terminal_size,
    ) -> None:
        """
        @param output: A terminal that understands ANSI sequences.
        @param size: How large it is now.
        """
        self._output = output
        self._calendar = calendar
        self._watch = watch
        self._interfaces = ", ".join(interfaces)
        self._many = len(interfaces) > 1
        self._size = size
        self._started = calendar.now()
        self._height = 0

    def show(self, events: Iterable[Event]) -> None:
        above = []
        for event in events:
            said = words.sentence(event, self._calendar)
            beginning = event.kind is Kind.LISTENING and not event.detail  # stands below
            if said is not None and not beginning:
                when = self._output.styled(self._calendar.clock(event.when), "faint")
                said = f"{event.interface}  {said}"
                style = _EVENT_STYLES.get(event.kind, "plain")
                above.append(f"{when}  {self._output.styled(said, style)}")
        if above:
            self._draw(above)

    def refresh(self) -> None:
        self._draw([])

    def end(self) -> None:
        self._draw([])

    def _draw(self, above: list[str]) -> None:
        """
        Draw the table again, where it was or below new lines.
        """
        columns, lines = self._size()
        picture = self._picture(max(1, lines - 4))
        # What is wider than the terminal would wrap, and spoil the next picture.
        shown = [self._output.styled(row.cells[0][: columns - 1], row.style) for row in picture]
        up = f"\x1b[{self._height}A\r" if self._height else ""
        self._height = len(shown)
        text = "".join(f"{line}\x1b[K\n" for line in [*above, *shown])
        self._output.write(f"{up}{text}\x1b[J")

    def _picture(self, room: int) -> list[table.Row]:
        """
        The table between blank lines, cut to so many lines.
        """
        groups = self._watch.groups()
        rows = table.rows(groups, self._calendar, self._watch.deaf)
        picture = table.layOut(rows, self._many) if rows else []
        if len(picture) > room:
            # Trouble first.
            rows.sort(key=lambda row: row.style != "bad")
            picture = table.layOut(rows[: max(0, room - 2)], self._many)
            picture.append(table.Row((f"... and {len(rows) - room + 2} more",)))
        if not rows and self._calendar.now() - self._started > _PATIENCE:
            picture.append(table.Row((NOTHING,), "notice"))
        status = f"listening on {self._interfaces}, sending nothing; Ctrl-C ends"
        blank = table.Row(("",))
        return [blank, *picture, table.Row((status,), "faint")]


def _object(record: dict[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=True) + "\n"
