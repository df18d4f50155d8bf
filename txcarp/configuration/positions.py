"""
Where the keys and values of a TOML text are.

C{tomllib} says what a text means, but not where.  This module follows the forms of a text that
C{tomllib} has accepted, and gives up quietly where it does not understand one: whoever asks then
gets the place of the table.
"""

from __future__ import annotations

import re
import tomllib
from typing import NamedTuple, TypeAlias

#: The keys that lead to a value from the top of the text, and the indices of lists.
Path: TypeAlias = tuple[str | int, ...]

_BLANK = re.compile(r"[ \t]*")
_SPACE = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})'
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_OTHER = re.compile(r"[^,\]}#\r\n]+")


class Place(NamedTuple):
    """
    A part of one line.

    @ivar line: The number of the line, from 1.
    @ivar column: The number of characters before the part in its line.
    @ivar length: The number of characters in the part.
    """

    line: int
    column: int
    length: int


class Positions:
    """
    The places in a text.

    @ivar keys: The place of each key.  The key of a table is that in its header, also for each
        table of a list.
    @ivar values: The place of each value, also of those in lists.  One of several lines has the
        place of its first.
    """

    def __init__(self, text: str) -> None:
        """
        @param text: A text that C{tomllib} accepts.
        """
        self.keys: dict[Path, Place] = {}
        self.values: dict[Path, Place] = {}
        self._text = text
        self._at = 0
        self._counts: dict[Path, int] = {}
        self._latest = Place(1, 0, 0)
        try:
            self._document()
        except (_NotUnderstood, RecursionError, tomllib.TOMLDecodeError):
            pass

    def of(self, path: Path) -> Place:
        """
        The place of a key, or of the nearest table around it that has one.
        """
        while path and path not in self.keys:
            path = path[:-1]
        return self.keys[path] if path else Place(1, 0, 0)

    def ofValue(self, path: Path) -> Place:
        """
        The place of a value; that of its key if the value has none.
        """
        return self.values.get(path) or self.of(path)

    def _document(self) -> None:
        table: Path = ()
        while self._skip(_SPACE):
            if self._take("["):
                several = self._take("[")
                table = self._key(())
                if several:
                    index = self._counts.get(table, -1) + 1
                    self._counts[table] = index
                    table = (*table, index)
                    self.keys[table] = self._latest
                self._need("]")
                if several:
                    self._need("]")
            else:
                self._pair(table)

    def _pair(self, table: Path) -> None:
        path = self._key(table)
        self._need("=")
        self._skip(_BLANK)
        self._value(path)

    def _key(self, path: Path) -> Path:
        """
        Read a key that may have dots, below a table.
        """
        while True:
            self._skip(_BLANK)
            start = self._at
            if match := _BARE_KEY.match(self._text, start):
                name = match[0]
            elif match := _STRING.match(self._text, start):
                name = tomllib.loads(f"key = {match[0]}")["key"]
            else:
                raise _NotUnderstood
            self._at = match.end()
            path = (*path, name)
            self._latest = self._place(start, self._at)
            self.keys.setdefault(path, self._latest)
            self._skip(_BLANK)
            if not self._take("."):
                return path
            if path in self._counts:  # a table in the last one of a list
                path = (*path, self._counts[path])

    def _value(self, path: Path) -> None:
        start = self._at
        if self._take("["):
            index = 0
            while self._skip(_SPACE) and not self._take("]"):
                self._value((*path, index))
                index += 1
                self._skip(_SPACE)
                self._take(",")
        elif self._take("{"):
            while self._skip(_SPACE) and not self._take("}"):
                self._pair(path)
                self._skip(_SPACE)
                self._take(",")
        else:
            match = _STRING.match(self._text, start) or _OTHER.match(self._text, start)
            if match is None:
                raise _NotUnderstood
            self._at = start + len(match[0].rstrip())
        self.values[path] = self._place(start, self._at)

    def _skip(self, what: re.Pattern[str]) -> bool:
        """
        Skip what may be between two parts.

        @return: Whether anything is left.
        """
        match = what.match(self._text, self._at)
        if match is not None:
            self._at = match.end()
        return self._at < len(self._text)

    def _take(self, sign: str) -> bool:
        found = self._text.startswith(sign, self._at)
        self._at += found
        return found

    def _need(self, sign: str) -> None:
        self._skip(_BLANK)
        if not self._take(sign):
            raise _NotUnderstood

    def _place(self, start: int, end: int) -> Place:
        before = self._text.rfind("\n", 0, start) + 1
        newline = self._text.find("\n", start, end)
        line = self._text.count("\n", 0, start) + 1
        return Place(line, start - before, (end if newline < 0 else newline) - start)


class _NotUnderstood(Exception):
    """
    The text has a form that this module does not know.
    """
