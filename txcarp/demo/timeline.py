"""
A picture of what happened when: a lane for each host and one for the client.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

from rich.text import Text

#: Seconds that one column may stand for.  The finest with which everything fits is used.
_SCALES = (0.2, 0.25, 1 / 3, 0.5, 1.0, 2.0, 5.0)

#: Seconds in which one answer is enough for the client to be served.
_BUCKET = 0.05

#: Seconds between two numbers below the lanes, of which each needs so many columns.
_LABELS = (5, 10, 20, 60, 120, 300)
_LABEL_WIDTH = 8

#: Columns before the lanes, for their names.
_MARGIN = 9

#: A character of a lane, and its style.
Cell = tuple[str, str]


class Condition(enum.Enum):
    """
    What a host is doing, with the line that shows it.
    """

    OFF = (" ", "faint")
    STARTING = ("┄", "faint")
    BACKUP = ("─", "faint")
    MASTER = ("━", "good")


class Mark(enum.Enum):
    """
    Something that a host does at one moment, with the mark that shows it.  Of several in one
    column the last of these is shown.
    """

    ADVERT = ("●", "good")
    BOW_OUT = ("◆", "notice")
    KILL = ("✗", "bad")
    POWER_CUT = ("✖", "bad")


ANSWERED: Cell = ("█", "good")
PATCHY: Cell = ("▒", "notice")
SILENT: Cell = ("·", "bad")
_UNKNOWN: Cell = (" ", "plain")
_TICK = "╵"

#: For C{str.translate}: the picture for terminals without UTF-8.
ASCII = str.maketrans("┄─━●◆✗✖█▒·╵", ".-=oBxX#+.'")


class Timeline:
    """
    What happened, which can be drawn at any width.

    @ivar adverts: The number of advertisements.
    @ivar lastAdvert: When the last one was sent; C{None} before the first.
    @ivar lastAnswer: When the client got its last answer, likewise.
    @ivar answering: The host that the last answer came from.
    """

    def __init__(self, hosts: Sequence[str], seconds: Callable[[], float]) -> None:
        """
        @param seconds: A monotonic clock.
        """
        self._seconds = seconds
        self._started = seconds()
        self.adverts = 0
        self.lastAdvert: float | None = None
        self.lastAnswer: float | None = None
        self.answering = ""
        self._conditions = {host: [(0.0, Condition.OFF)] for host in hosts}
        self._marks: dict[str, list[tuple[float, Mark]]] = {host: [] for host in hosts}
        self._answers: Counter[int] = Counter()
        self._asking: float | None = None

    def now(self) -> float:
        """
        Seconds since the beginning, by which everything is dated.
        """
        return self._seconds() - self._started

    def condition(self, host: str) -> Condition:
        """
        What a host is doing now.
        """
        return self._conditions[host][-1][1]

    @property
    def master(self) -> str | None:
        """
        The name of the master, if there is one.
        """
        hosts = self._conditions
        return next((host for host in hosts if self.condition(host) is Condition.MASTER), None)

    def become(self, host: str, condition: Condition) -> None:
        """
        Change what a host is doing.
        """
        if condition is not self.condition(host):
            self._conditions[host].append((self.now(), condition))

    def mark(self, host: str, mark: Mark) -> None:
        """
        Note what a host did.
        """
        self._marks[host].append((self.now(), mark))
        if mark is Mark.ADVERT:
            self.adverts += 1
            self.lastAdvert = self.now()

    def answered(self, host: str) -> None:
        """
        Note that the client got an answer.
        """
        self.answering, self.lastAnswer = host, self.now()
        if self._asking is None:
            self._asking = self.lastAnswer
        self._answers[int(self.lastAnswer / _BUCKET)] += 1

    def lanes(self, width: int) -> list[Text]:
        """
        The lanes and a scale below them.

        @param width: Characters in a line.
        """
        columns = max(10, width - _MARGIN)
        now = self.now()
        scale = next((scale for scale in _SCALES if now < scale * columns), _SCALES[-1])
        shown = min(columns, int(now / scale) + 1)
        lanes = [_lane(host, self._hostLane(host, scale, shown)) for host in self._conditions]
        lanes.append(_lane("client", self._clientLane(scale, shown)))
        lanes.append(Text(" " * _MARGIN + _ruler(scale, columns), "faint"))
        return lanes

    def _hostLane(self, host: str, scale: float, columns: int) -> list[Cell]:
        cells: list[Cell] = []
        changes = self._conditions[host]
        position = 0
        for column in range(columns):
            end = (column + 1) * scale
            while position + 1 < len(changes) and changes[position + 1][0] < end:
                position += 1
            cells.append(changes[position][1].value)
        for mark in Mark:
            for at, each in self._marks[host]:
                if each is mark and at < columns * scale:
                    cells[int(at / scale)] = mark.value
        return cells

    def _clientLane(self, scale: float, columns: int) -> list[Cell]:
        cells: list[Cell] = []
        for column in range(columns):
            first, end = int(column * scale / _BUCKET), int((column + 1) * scale / _BUCKET)
            buckets = range(first, max(end, first + 1))
            heard = sum(1 for bucket in buckets if self._answers[bucket])
            # The newest column has only begun: without an answer it says nothing.
            newest = column == columns - 1
            known = self._asking is not None and self._asking < (column + 1) * scale
            if heard == len(buckets) or (heard and newest):
                cells.append(ANSWERED)
            elif heard:
                cells.append(PATCHY)
            else:
                cells.append(SILENT if known and not newest else _UNKNOWN)
        return cells


def _lane(name: str, cells: Iterable[Cell]) -> Text:
    runs = groupby(cells, key=lambda cell: cell[1])
    lane = (("".join(glyph for glyph, _ in run), style) for style, run in runs)
    return Text.assemble(f" {name:<{_MARGIN - 2}} ", *lane)


def _ruler(scale: float, columns: int) -> str:
    step = next((step for step in _LABELS if step >= scale * _LABEL_WIDTH), _LABELS[-1])
    text, seconds = "", 0
    while seconds / scale < columns - _LABEL_WIDTH:
        text = text.ljust(round(seconds / scale)) + f"{_TICK}{seconds} s"
        seconds += step
    return text
