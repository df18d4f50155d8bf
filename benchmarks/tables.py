"""
Tables that have a group of columns for each figure, with a column for each program.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from tests.lab.holders import Span

_Outcome = TypeVar("_Outcome")


def layout(
    groups: Sequence[tuple[str, Callable[[_Outcome], str]]],
    names: Sequence[str],
    outcomes: Sequence[tuple[str, Sequence[_Outcome]]],
) -> str:
    """
    A table of outcomes.

    @param groups: The title of each group of columns, and the function that makes the text of
        its cells.
    @param names: The titles of the columns in each group.
    @param outcomes: The title of each row, and its outcome for each name.
    """
    rows = [["", *[*names] * len(groups)]]
    for title, cells in outcomes:
        rows.append([title, *(show(cell) for _, show in groups for cell in cells)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]

    def room(group: int) -> int:
        first = 1 + group * len(names)
        return sum(widths[first : first + len(names)]) + 2 * (len(names) - 1)

    for index, (title, _) in enumerate(groups):
        # A title that is wider than its columns makes the first of them wider.
        widths[1 + index * len(names)] += max(0, len(title) - room(index))
    head = " " * widths[0]
    for index, (title, _) in enumerate(groups):
        head += " | " + title.center(room(index))
    lines = [head.rstrip()]
    for row in rows:
        line = row[0].ljust(widths[0])
        for index, cell in enumerate(row[1:]):
            line += (" | " if index % len(names) == 0 else "  ") + cell.rjust(widths[index + 1])
        lines.append(line.rstrip())
    lines.insert(2, "-" * max(map(len, lines)))
    return "\n".join(lines)


def grid(rows: Sequence[Sequence[str]]) -> str:
    """
    A table with a line of titles; all columns but the first are aligned to the right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *rest in rows:
        cells = (cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))
        lines.append("  ".join([first.ljust(widths[0]), *cells]).rstrip())
    lines.insert(1, "-" * max(map(len, lines)))
    return "\n".join(lines)


def showSpan(span: Span) -> str:
    """
    A span of time as text, with a plus if it had not ended.
    """
    if not span.seconds:
        return "never"
    words = f"{span.seconds * 1000:.0f} ms" if span.seconds < 1 else f"{span.seconds:.2f} s"
    return words + (" +" if span.open else "")


def showRatio(value: float, unit: float) -> str:
    """
    How many times more something is than something else.
    """
    ratio = value / unit
    if ratio < 0.095:
        return f"{ratio:.2f}x"
    return f"{ratio:.1f}x" if ratio < 9.95 else f"{ratio:,.0f}x"
