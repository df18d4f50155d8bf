"""
Tables with a group of columns for each kind of figure, and in it one for each program.
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
    Outcomes for people.

    @param groups: a title, and what is shown of an outcome under it.
    @param names: of the columns in each group.
    @param outcomes: the rows: what happened, and what came of it in each column.
    """
    rows = [["", *names * len(groups)]]
    for what, cells in outcomes:
        rows.append([what, *(show(cell) for _, show in groups for cell in cells)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]

    def room(group: int) -> int:
        first = 1 + group * len(names)
        return sum(widths[first : first + len(names)]) + 2 * (len(names) - 1)

    for index, (title, _) in enumerate(groups):
        # The title stands over its columns.
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


def showSpan(span: Span) -> str:
    """
    A stretch of time for people; with a plus if it had not ended.
    """
    if not span.seconds:
        return "never"
    words = f"{span.seconds * 1000:.0f} ms" if span.seconds < 1 else f"{span.seconds:.2f} s"
    return words + (" +" if span.open else "")
