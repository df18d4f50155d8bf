"""
A picture of what happened when: a lane for each host and one for the client.
"""

from __future__ import annotations

import enum
from collections import Counter

import attrs

#: Seconds that one column may stand for; the finest with which all fits is taken.
_SCALES = (0.2, 0.25, 1 / 3, 0.5, 1.0, 2.0, 5.0)

#: Seconds in which one answer is enough for the client to be served.
_BUCKET = 0.05

#: Seconds from one number below the lanes to the next.
_LABELS = (5, 10, 20, 60, 120, 300)

#: Columns that a number needs.
_LABEL_WIDTH = 8
_MARGIN = 9


class Condition(enum.Enum):
    """
    What a host is doing, as far as the story knows.
    """

    OFF = "off"
    STARTING = "starting"
    BACKUP = "backup"
    MASTER = "MASTER"


class Mark(enum.IntEnum):
    """
    Something at one moment of a host; the highest wins where they meet.
    """

    ADVERT = 1
    BOW_OUT = 2
    POWER_CUT = 3


@attrs.frozen
class Glyphs:
    """
    What the lanes are drawn with.
    """

    condition: dict[Condition, str]
    mark: dict[Mark, str]
    answered: str
    patchy: str
    silent: str
    tick: str


UNICODE = Glyphs(
    condition={
        Condition.OFF: " ",
        Condition.STARTING: "┄",
        Condition.BACKUP: "─",
        Condition.MASTER: "━",
    },
    mark={Mark.ADVERT: "●", Mark.BOW_OUT: "◆", Mark.POWER_CUT: "✖"},
    answered="█",
    patchy="▒",
    silent="·",
    tick="╵",
)

ASCII = Glyphs(
    condition={
        Condition.OFF: " ",
        Condition.STARTING: ".",
        Condition.BACKUP: "-",
        Condition.MASTER: "=",
    },
    mark={Mark.ADVERT: "o", Mark.BOW_OUT: "B", Mark.POWER_CUT: "X"},
    answered="#",
    patchy="+",
    silent=".",
    tick="'",
)

#: Text with the name of its style.
Span = tuple[str, str]

_CONDITION_STYLE = {
    Condition.OFF: "faint",
    Condition.STARTING: "faint",
    Condition.BACKUP: "faint",
    Condition.MASTER: "good",
}
_MARK_STYLE = {Mark.ADVERT: "good", Mark.BOW_OUT: "notice", Mark.POWER_CUT: "bad"}


class Timeline:
    """
    Remembers, and draws itself at any width.  All times are seconds since the
    beginning.
    """

    def __init__(self, hosts: list[str], glyphs: Glyphs) -> None:
        self._hosts = hosts
        self._glyphs = glyphs
        self._conditions: dict[str, list[tuple[float, Condition]]] = {
            host: [(0.0, Condition.OFF)] for host in hosts
        }
        self._marks: dict[str, list[tuple[float, Mark]]] = {host: [] for host in hosts}
        self._answers: Counter[int] = Counter()
        self._asking: float | None = None

    def become(self, host: str, at: float, condition: Condition) -> None:
        """
        A host is something else from now on.
        """
        self._conditions[host].append((at, condition))

    def mark(self, host: str, at: float, mark: Mark) -> None:
        """
        Something happened to a host.
        """
        self._marks[host].append((at, mark))

    def answered(self, at: float) -> None:
        """
        The client got an answer.
        """
        if self._asking is None:
            self._asking = at
        self._answers[int(at / _BUCKET)] += 1

    def lanes(self, now: float, width: int) -> list[list[Span]]:
        """
        The lanes and their scale below, each as spans that are together no wider than
        C{width} characters.
        """
        columns = max(10, width - _MARGIN)
        scale = next((scale for scale in _SCALES if now < scale * columns), _SCALES[-1])
        shown = min(columns, int(now / scale) + 1)
        rows = [
            [(f" {host:<7} ", "plain"), *self._hostLane(host, scale, shown)] for host in self._hosts
        ]
        rows.append([(" client  ", "plain"), *self._clientLane(scale, shown)])
        rows.append([(" " * _MARGIN + self._ruler(scale, columns), "faint")])
        return rows

    def _hostLane(self, host: str, scale: float, columns: int) -> list[Span]:
        cells: list[Span] = []
        changes = self._conditions[host]
        position = 0
        for column in range(columns):
            end = (column + 1) * scale
            while position + 1 < len(changes) and changes[position + 1][0] < end:
                position += 1
            condition = changes[position][1]
            cells.append((self._glyphs.condition[condition], _CONDITION_STYLE[condition]))
        strongest: dict[int, Mark] = {}
        for at, mark in self._marks[host]:
            column = int(at / scale)
            strongest[column] = max(mark, strongest.get(column, mark))
        for column, mark in strongest.items():
            if column < columns:
                cells[column] = (self._glyphs.mark[mark], _MARK_STYLE[mark])
        return cells

    def _clientLane(self, scale: float, columns: int) -> list[Span]:
        cells: list[Span] = []
        for column in range(columns):
            first, end = int(column * scale / _BUCKET), int((column + 1) * scale / _BUCKET)
            buckets = range(first, max(end, first + 1))
            heard = sum(1 for bucket in buckets if self._answers[bucket])
            # The newest column has hardly begun: it says nothing until something came.
            known = self._asking is not None and self._asking < (column + 1) * scale
            if heard == len(buckets) or (heard and column == columns - 1):
                cells.append((self._glyphs.answered, "good"))
            elif heard:
                cells.append((self._glyphs.patchy, "notice"))
            elif known and column < columns - 1:
                cells.append((self._glyphs.silent, "bad"))
            else:
                cells.append((" ", "plain"))
        return cells

    def _ruler(self, scale: float, columns: int) -> str:
        step = next((step for step in _LABELS if step >= scale * _LABEL_WIDTH), _LABELS[-1])
        text, seconds = "", 0
        while seconds / scale < columns - _LABEL_WIDTH:
            text = text.ljust(round(seconds / scale)) + f"{self._glyphs.tick}{seconds} s"
            seconds += step
        return text
