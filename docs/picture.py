"""
Write C{demo.svg}, beside this file: what C{txcarp demo} shows on a terminal when it is over.

    python docs/picture.py

The demonstration runs on a pseudo-terminal.  A small terminal in memory carries out what it writes,
and rich draws the result.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import sys
import termios
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from rich.console import Console
from rich.style import Style
from rich.terminal_theme import TerminalTheme
from rich.text import Text

#: Size of the terminal.  The picture is as high as what is shown.
_COLUMNS, _ROWS = 104, 50

_COMMAND = "txcarp demo"

#: What the last line of the picture has.
_LAST = "  planned stop  "

_TOKEN = re.compile(r"\x1b\[(\??[0-9;]*)([A-Za-z])|\n|\r|[^\x1b\n\r]+")

_THEME = TerminalTheme(
    (22, 27, 34),
    (201, 209, 217),
    [
        *((72, 79, 88), (255, 123, 114), (86, 211, 100), (227, 179, 65)),
        *((121, 192, 255), (210, 168, 255), (86, 212, 221), (201, 209, 217)),
    ],
)

#: Like that of rich, without fonts from another server.
_SVG = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<title>What txcarp demo shows</title>
<style>
.{unique_id}-matrix {{ font: {char_height}px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono",
    monospace; line-height: {line_height}px; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}"
    height="{terminal_height}"/></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def recorded(command: list[str]) -> str:
    """
    Run a command on a terminal.

    @return: All that it wrote.
    @raise SystemExit: If it failed.
    """
    child, terminal = pty.fork()
    if child == 0:
        os.environ.update(TERM="xterm-256color", LC_ALL="C.UTF-8")
        os.environ.pop("NO_COLOR", None)
        os.execv(command[0], command)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, _COLUMNS, 0, 0))
    written = b""
    try:
        while block := os.read(terminal, 65536):
            written += block
    except OSError:  # the other end is closed
        pass
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status:
        sys.stderr.write(written.decode())
        raise SystemExit(f"{_COMMAND} ended with status {status}")
    return written.decode()


def shown(written: str) -> list[Text]:
    """
    The lines on the terminal after all that was written, with their colours.
    """
    rows: list[list[tuple[str, Style]]] = [[]]
    row = column = 0
    style = Style()
    for token in _TOKEN.finditer(written):
        argument, final = token[1], token[2]
        if token[0] == "\n":
            row += 1
        elif token[0] == "\r":
            column = 0
        elif final is None:
            line = rows[row]
            line += [(" ", Style())] * (column - len(line))
            line[column : column + len(token[0])] = [(one, style) for one in token[0]]
            column += len(token[0])
        elif final == "m":
            style = _styled(style, argument)
        elif final == "A":
            row = max(0, row - int(argument or 1))
        elif final == "H":
            row = column = 0
        elif final == "J":
            rows[row:] = [rows[row][:column]]
        elif final == "K":
            rows[row] = []
        rows += [[] for _ in range(row + 1 - len(rows))]
    # The last words are of no use in a picture.
    end = max(n for n, line in enumerate(rows) if _LAST in "".join(one for one, _ in line))
    return [_joined(line) for line in rows[: end + 1]]


def _joined(cells: list[tuple[str, Style]]) -> Text:
    text = Text()
    for style, run in groupby(cells, key=itemgetter(1)):
        text.append("".join(one for one, _ in run), style)
    return text


def _styled(style: Style, codes: str) -> Style:
    for code in (int(one or 0) for one in codes.split(";")):
        if code == 0:
            style = Style()
        elif code == 1:
            style += Style(bold=True)
        elif code == 2:
            style += Style(dim=True)
        elif 30 <= code <= 37:
            style += Style(color=f"color({code - 30})")
        else:
            raise ValueError(f"colour {code} is not one that the demonstration uses")
    return style


def picture(lines: list[Text]) -> str:
    """
    Lines as SVG.
    """
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=_COLUMNS, file=nowhere, force_terminal=True)
        console.print(Text.assemble(("$ ", "color(2)"), (_COMMAND, "bold")))
        for line in lines:
            console.print(line, soft_wrap=True)
        svg = console.export_svg(
            title=_COMMAND, theme=_THEME, code_format=_SVG, unique_id="demo"
        )
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


def main() -> None:
    """
    Write the picture.
    """
    program = str(Path(sys.executable).with_name("txcarp"))
    lines = shown(recorded([program, "demo"]))
    Path(__file__).with_name("demo.svg").write_text(picture(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
