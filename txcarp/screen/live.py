"""
Tables and a live picture on a terminal, drawn by rich.

Only the commands with tables import this module; the daemon never does.
"""

from __future__ import annotations

import re
from collections import deque
from typing import IO, cast

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.theme import Theme

from txcarp.screen.output import Output

#: Printed lines that are kept for redrawing after a resize: more than fit a screen.
_KEPT = 200

#: Cursor to the top left, erase the rest.  Clearing the whole screen (which rich offers) would
#: make some terminals push a copy into their history.
_ERASE_SCREEN = "\x1b[H\x1b[J"

_THEME = Theme(
    {
        "faint": "dim",
        "strong": "bold",
        "good": "green",
        "notice": "yellow",
        "bad": "bold red",
        "plain": "none",
    }
)


def consoleOn(output: Output, plainWidth: int = 80) -> Console:
    """
    A rich console that writes to an output, with the styles of the commands.

    @param plainWidth: The number of columns if the output is no terminal.
    """
    return Console(
        file=cast(IO[str], output),
        width=None if output.isTerminal else plainWidth,
        force_terminal=output.isTerminal,
        force_interactive=output.isTerminal,
        color_system="auto" if output.hasColour else None,
        no_color=not output.hasColour,
        theme=_THEME,
        markup=False,
        emoji=False,
        highlight=False,
    )


def show(console: Console, *renderables: RenderableType) -> None:
    """
    Print without blanks at the ends of lines.
    """
    with console.capture() as captured:
        console.print(Group(*renderables))
    console.file.write(re.sub(" +\n", "\n", captured.get()))


class LiveScreen:
    """
    Printed lines, and below them a picture that is redrawn in place.
    """

    def __init__(self, console: Console, picture: RenderableType) -> None:
        """
        @param console: A console on a terminal.
        @param picture: What to draw.  Its C{__rich__} method is called each time.
        """
        self._console = console
        self._picture = picture
        self._size = console.size
        self._printed: deque[RenderableType] = deque(maxlen=_KEPT)
        self._live = Live(
            picture,
            console=console,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )

    def update(self, *lines: RenderableType) -> None:
        """
        Print lines above the picture, and draw the picture anew.  The cursor is hidden from the
        first time on.
        """
        self._live.start()
        self._printed.extend(lines)
        if self._console.size != self._size:
            # Terminals differ in how they wrap what is there, so the place of the picture is
            # unknown. After this, rich moves the cursor up from the top, which has no effect.
            self._size = self._console.size
            lines = tuple(self._newest())
            self._console.file.write(_ERASE_SCREEN)
        if lines:
            self._console.print(Group(*lines))
        else:
            self._live.refresh()

    def stop(self) -> None:
        """
        Draw the picture for the last time and show the cursor again.
        """
        self.update()
        self._live.stop()

    def _newest(self) -> list[RenderableType]:
        """
        The newest printed lines, as many as fit above the picture.
        """
        room = self._size.height - len(self._console.render_lines(self._picture))
        newest: list[RenderableType] = []
        for line in reversed(self._printed):
            room -= len(self._console.render_lines(line))
            if room < 0:
                break
            newest.insert(0, line)
        return newest
