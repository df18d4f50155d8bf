"""
Drawings of what the benchmarks measured, as SVG::

    python -m benchmarks.plots docs/measurements

Reads C{silences.json} and C{groups.json} in a directory, as far as they are there, and writes a
drawing of each beside it.  Bars are on a logarithmic scale.  The colours can be read on white and
on black.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import attrs

from benchmarks.words import FAULTS, HARMLESS, exactly

#: Sizes in pixels.
_WIDTH, _LEFT, _RIGHT, _BAR, _GAP, _TITLE, _LEGEND, _AXIS = 760, 190, 40, 7, 7, 26, 30, 24

_COLOURS = {"txcarp": "#2da44e", "ucarp": "#bf8700", "keepalived": "#8250df"}

#: The text follows the page as far as a drawing can know it.
_STYLE = (
    "text{font:12px sans-serif;fill:#6e7781}.title{font-weight:bold}"
    ".axis{stroke:#8b949e;stroke-width:.5}"
    "@media(prefers-color-scheme:dark){text{fill:#9da7b1}}"
)


@attrs.frozen
class Bar:
    """
    One value.

    @ivar program: The program that it belongs to.
    @ivar value: It.
    @ivar words: It as text.
    @ivar isHollow: Whether the bar is only an outline.
    """

    program: str
    value: float
    words: str
    isHollow: bool = False


@attrs.frozen
class Panel:
    """
    Bars on a scale of their own.

    @ivar rows: The title of each row, and its bars.
    @ivar ticks: The marks on the scale, and their texts.  The scale is from the first to the last.
    """

    title: str
    rows: Sequence[tuple[str, Sequence[Bar]]]
    ticks: Sequence[tuple[float, str]]

    @property
    def height(self) -> int:
        """
        Its height.
        """
        return _TITLE + _AXIS + sum(len(bars) * _BAR + _GAP for _, bars in self.rows)

    def place(self, value: float) -> float:
        """
        The distance of a value from the left end of the scale.
        """
        low, high = self.ticks[0][0], self.ticks[-1][0]
        part = math.log(min(max(value, low), high) / low) / math.log(high / low)
        return part * (_WIDTH - _LEFT - _RIGHT)

    def draw(self, top: int) -> Iterable[str]:
        """
        Draw it.

        @param top: Where it begins.
        """
        yield _text(0, top + 14, self.title, "title")
        bottom = top + self.height - _AXIS
        for value, words in self.ticks:
            x = _LEFT + self.place(value)
            yield f'<path class="axis" d="M{x:.1f} {top + _TITLE - 4}V{bottom}"/>'
            yield _text(x, bottom + 14, words, anchor="middle")
        y = top + _TITLE
        for title, bars in self.rows:
            middle = y + len(bars) * _BAR / 2 + 4
            yield _text(_LEFT - 8, middle, title, anchor="end")
            for bar in bars:
                colour = _COLOURS[bar.program]
                paint = f'fill="none" stroke="{colour}"' if bar.isHollow else f'fill="{colour}"'
                width = max(1.0, self.place(bar.value))
                yield (
                    f'<rect x="{_LEFT}" y="{y}" width="{width:.1f}" height="{_BAR - 1}" {paint}>'
                    f"<title>{escape(f'{bar.program}: {bar.words}')}</title></rect>"
                )
                y += _BAR
            y += _GAP


def _text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    style = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{style}>{escape(words)}</text>'


def drawing(about: str, panels: Sequence[Panel], remark: str = "") -> str:
    """
    An SVG of some panels, one below the other.

    @param about: What it shows, for those who do not see it.
    @param remark: A line beside the names of the programs.
    """
    present = {bar.program for one in panels for _, bars in one.rows for bar in bars}
    names = [name for name in _COLOURS if name in present]
    parts, x = [], 0
    for name in names:
        parts.append(f'<rect x="{x}" y="6" width="10" height="10" fill="{_COLOURS[name]}"/>')
        parts.append(_text(x + 16, 15, name))
        x += 100
    parts.append(_text(x, 15, remark))
    y = _LEGEND
    for panel in panels:
        parts += panel.draw(y)
        y += panel.height + _GAP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y}" role="img" '
        f'aria-label="{escape(about)}"><style>{_STYLE}</style>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def silences(measured: dict[str, Any]) -> str:
    """
    Draw what L{benchmarks.silences} printed.
    """
    cells = [one for one in measured["cells"] if one["runs"]]
    ticks = [(one, exactly(one)) for one in (0.001, 0.01, 0.1, 1.0, 10.0)]
    panels = []
    for fault in dict.fromkeys(one["fault"] for one in cells):
        rows = []
        for rhythm in dict.fromkeys(one["rhythm"] for one in cells):
            found = [one for one in cells if (one["fault"], one["rhythm"]) == (fault, rhythm)]
            if found:
                rows.append((rhythm, [_silence(one) for one in found]))
        panels.append(Panel(FAULTS[fault].replace("``", ""), rows, ticks))
    about = "For how long an address was silent after a fault, by program and rhythm"
    return drawing(about, panels, "outline: for how long two hosts had the address")


def _silence(cell: dict[str, Any]) -> Bar:
    middle = cell["median"]
    both, silence = middle["both"], middle["silence"]
    # A silent client and two hosts that answer: the greater evil is drawn.
    isHollow = both["seconds"] > max(HARMLESS, silence["seconds"])
    span = both if isHollow else silence
    words = exactly(span["seconds"]) + (" or more" if span["open"] else "")
    return Bar(cell["program"], span["seconds"], words, isHollow)


#: The figures of L{benchmarks.groups} that are drawn: the key, the title, the marks of the scale,
#: and what makes a text of a value.
_FIGURES: Sequence[tuple[str, str, Sequence[float], Callable[[float], str]]] = (
    ("load", "processor time of the master", (0.0001, 0.001, 0.01, 0.1, 1.0), "{:.3%}".format),
    (
        *("memory", "memory of the master", (2.0**20, 2.0**23, 2.0**26, 2.0**29, 2.0**32)),
        lambda value: f"{value / 2**20:.0f} MiB",
    ),
    ("p99", "lateness of its advertisements, p99", (0.0001, 0.001, 0.01, 0.1, 1.0), exactly),
    ("moved", "until all groups have moved after a power cut", (1.0, 2.0, 4.0, 8.0, 16.0), exactly),
)


def groups(cells: Sequence[dict[str, Any]]) -> str:
    """
    Draw what L{benchmarks.groups} printed.
    """
    counts = dict.fromkeys(one["groups"] for one in cells)
    panels = []
    for key, title, marks, words in _FIGURES:
        rows = []
        for count in counts:
            found = [one for one in cells if one["groups"] == count]
            found.sort(key=lambda one: list(_COLOURS).index(one["program"]))
            bars = [Bar(one["program"], one[key], words(one[key])) for one in found]
            rows.append((f"{count:,} group{'s' if count != 1 else ''}", bars))
        shown = "{:g} %".format if key == "load" else words
        ticks = [(one, shown(one * 100 if key == "load" else one)) for one in marks]
        panels.append(Panel(title, rows, ticks))
    return drawing("What many groups cost, by program", panels)


#: What is drawn, by the name of the benchmark.
DRAWINGS: dict[str, Callable[[Any], str]] = {"silences": silences, "groups": groups}


def draw(directory: Path) -> list[Path]:
    """
    Draw what is in a directory.

    @return: The files that were written.
    """
    written = []
    for name, make in DRAWINGS.items():
        source = directory / f"{name}.json"
        if source.exists():
            file = source.with_suffix(".svg")
            file.write_text(make(json.loads(source.read_text("utf-8"))), encoding="utf-8")
            written.append(file)
    return written


def main(arguments: Sequence[str]) -> None:
    """
    Run the command.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.plots",
        description="Draw what the benchmarks measured.",
    )
    parser.add_argument("directory", type=Path, help="has silences.json and groups.json")
    options = parser.parse_args(arguments)
    written = draw(options.directory)
    if not written:
        files = " or ".join(f"{name}.json" for name in DRAWINGS)
        parser.error(f"{options.directory}: expected {files} in it")
    print(*written, sep="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
