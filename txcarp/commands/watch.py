"""
C{txcarp status --watch}: the state of the groups again and again.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from txcarp.commands.table import plainTable, row, tableOf
from txcarp.operate.client import ControlError, NoDaemon
from txcarp.screen.output import Output

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

#: Seconds by which the beginning of a state may seem to move: its age is rounded.
_ROUNDED = 1.0

#: Signals that end the command, besides that of Ctrl-C.
_ENDING = (signal.SIGTERM, signal.SIGHUP)

_Groups = Sequence[dict[str, Any]]


def watch(
    ask: Callable[[], dict[str, Any]],
    seconds: float,
    sleep: Callable[[float], object] = time.sleep,
) -> int:
    """
    Show the groups until Ctrl-C.  While no daemon answers, say so and go on.

    @param ask: Asks for a document with the groups.
    @param seconds: The time between two questions.
    @param sleep: Waits for so many seconds.
    @return: The exit status.
    @raise ControlError: If the first question is refused.
    """
    isOpen = True

    def closed() -> None:
        nonlocal isOpen
        isOpen = False

    output = Output(sys.stdout, "txcarp status", closed)
    shown: _Screen | _Lines | None = None
    try:
        with suppress(ValueError):  # this is not the main thread
            for number in _ENDING:
                signal.signal(number, _end)
        shown = _Screen(output, seconds) if output.isTerminal else _Lines(output)
        isFirst = True
        while isOpen:
            try:
                shown.groups(ask()["groups"])
            except ControlError as error:
                if isFirst and not isinstance(error, NoDaemon):
                    raise
                shown.problem(str(error))
            isFirst = False
            if isOpen:
                sleep(seconds)
    except KeyboardInterrupt:
        pass
    finally:
        if shown is not None:
            shown.stop()
    return 0


def _end(number: int, frame: object) -> None:
    raise SystemExit(128 + number)


class _Screen:
    """
    One table on a terminal, drawn anew each time.
    """

    def __init__(self, output: Output, seconds: float) -> None:
        from txcarp.screen.live import LiveScreen, consoleOn

        self._console = consoleOn(output)
        self._live = LiveScreen(self._console, self)
        self._isDrawn = False
        self._seconds = seconds
        self._groups: _Groups = ()
        self._problem = ""

    def groups(self, groups: _Groups) -> None:
        """
        Show the groups.
        """
        self._groups, self._problem = groups, ""
        self._draw()

    def problem(self, text: str) -> None:
        """
        Show why the groups are not known, above what was known last.
        """
        self._problem = text
        self._draw()

    def stop(self) -> None:
        """
        Leave the last picture on the terminal.
        """
        if self._isDrawn:
            self._live.stop()

    def _draw(self) -> None:
        self._isDrawn = True
        self._live.update()

    def _table(self) -> Table:
        return tableOf([row(one) for one in self._groups], self._console)

    def __rich__(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        now = time.strftime("%H:%M:%S")
        heading = Text(f"{now}, every {self._seconds:g} s; Ctrl-C ends this", "faint")
        if not self._problem:
            return Group(heading, self._table())
        problem = Text(f"{self._problem}. Trying again.", "bad")
        if not self._groups:
            return Group(heading, problem)
        known = Text("What was known last:", "faint")
        table = self._table()
        table.style = "faint"
        return Group(heading, problem, known, table)


class _Lines:
    """
    A table for a file or a pipe whenever something has changed.
    """

    def __init__(self, output: Output) -> None:
        self._output = output
        self._known: object = None
        self._began: list[float | None] = []
        self._problem = ""

    def groups(self, groups: _Groups) -> None:
        """
        Print the groups if they changed.
        """
        # Ages and leases change all the time.
        rows = [row(one) for one in groups]
        known = [(one[0], one[1], one[3], one[5], one[7]) for one in rows]
        began = [None if one["since"] is None else one["time"] - one["since"] for one in groups]
        if known != self._known or self._problem or not _same(began, self._began):
            lines = [time.strftime("%Y-%m-%d %H:%M:%S"), *plainTable(rows), ""]
            self._output.write("".join(f"{line}\n" for line in lines))
        self._known, self._began, self._problem = known, began, ""

    def problem(self, text: str) -> None:
        """
        Print why the groups are not known, once.
        """
        if text != self._problem:
            self._problem = text
            self._output.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}\n{text}\n\n")

    def stop(self) -> None:
        """
        Do nothing.
        """


def _same(one: Sequence[float | None], other: Sequence[float | None]) -> bool:
    """
    Whether states began at the same times.
    """
    return all(
        a == b or (a is not None and b is not None and abs(a - b) < _ROUNDED)
        for a, b in zip(one, other, strict=False)
    )
