"""
Reads the blocks of keepalived.conf.

A line is a keyword and its words; braces begin and end a block.  A comment begins with C{#} or
C{!}.  Other files are included.  Variables, sequences, and lines for one host only (C{@name}) are
reported and left out: what they mean depends on how keepalived was started.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterator

import attrs

from txcarp.conversion.draft import Conversion, Place

#: How deeply files may include others, and blocks may be nested.
_DEPTH = 16

#: The most files that are read.
_FILES = 100

_TOKEN = re.compile(
    r'\s+|[#!][^\n]*|(?P<brace>[{}])|"(?P<quoted>(?:[^"\\\n]|\\.)*)"?|(?P<word>(?:\$\{[^\s{}"]*\}|[^\s{}"])+)'
)


@attrs.define
class Statement:
    """
    A line, and the block after it.

    @ivar words: The keyword and its words, without quotation marks.
    @ivar text: The words after the keyword, as they were written.
    @ivar block: The lines of the block; C{None} if there is none.
    """

    words: list[str]
    text: str
    place: Place
    block: list[Statement] | None = None

    @property
    def keyword(self) -> str:
        """
        The first word.
        """
        return self.words[0]

    @property
    def value(self) -> str:
        """
        The second word; empty if there is none.
        """
        return self.words[1] if len(self.words) > 1 else ""

    @property
    def members(self) -> list[Statement]:
        """
        The lines of the block, none if there is no block.
        """
        return self.block or []


class Reader:
    """
    Reads one file and those that it includes.
    """

    def __init__(self, conversion: Conversion, readFile: Callable[[str], str]) -> None:
        """
        @param readFile: Returns the text of another file; raises C{OSError}.
        """
        self._conversion = conversion
        self._readFile = readFile
        self._files = 0

    def read(self, text: str, path: str) -> list[Statement]:
        """
        Read a file.
        """
        self._files = 0
        return self._read(text, path, 0)

    def _read(self, text: str, path: str, depth: int) -> list[Statement]:
        top: list[Statement] = []
        open_: list[tuple[list[Statement], Place]] = [(top, Place(path, 1))]
        for kind, statement in _statements(text, path):
            lines, _ = open_[-1]
            if kind == "}":
                if len(open_) > 1:
                    open_.pop()
                else:
                    self._conversion.remark(statement.place, "a } without a { is ignored")
            elif kind == "{":
                # It may be on the line after its keyword.
                if not lines or lines[-1].block is not None:
                    lines.append(Statement(["?"], "", statement.place))
                lines[-1].block = []
                if len(open_) < _DEPTH:
                    open_.append((lines[-1].block, statement.place))
                else:
                    self._conversion.remark(statement.place, "blocks are nested too deeply here")
                    open_.append(([], statement.place))
            elif self._isPlain(statement):
                if statement.keyword.startswith("include"):
                    lines += self._included(statement, depth)
                else:
                    lines.append(statement)
        for _, place in open_[1:]:
            self._conversion.remark(place, "this { has no }")
        return top

    def _isPlain(self, statement: Statement) -> bool:
        """
        Whether a line is for this host, and has no variables.
        """
        keyword = statement.keyword
        if keyword.startswith("@"):
            text = f"a line for one host only ({keyword}) is left out: give each host its own file"
        elif keyword.startswith("$") and "=" in statement.keyword + statement.text:
            text = f"the variable {keyword.partition('=')[0]} is not replaced where it is used"
        elif any(re.search(r"\$\{?[A-Za-z_]|~(?:SEQ|LST)", word) for word in statement.words):
            text = f"{keyword} has a variable, and is left out: write its value into the file"
        else:
            return True
        self._conversion.remark(statement.place, text)
        return False

    def _included(self, statement: Statement, depth: int) -> list[Statement]:
        found: list[Statement] = []
        place = statement.place
        pattern = os.path.join(os.path.dirname(place.path), statement.value)
        names = sorted(glob.glob(pattern)) if depth < _DEPTH else []
        if not names:
            self._conversion.remark(place, f"there is nothing to include: {statement.value}")
        for name in names:
            self._files += 1
            if self._files > _FILES:
                self._conversion.remark(place, f"more than {_FILES} files are included")
                break
            try:
                found += self._read(self._readFile(name), name, depth + 1)
            except OSError as error:
                self._conversion.remark(place, f"{name} cannot be read: {error.strerror}")
        return found


def _statements(text: str, path: str) -> Iterator[tuple[str, Statement]]:
    """
    The lines and braces, each with its kind: a brace, or empty for a line.
    """
    for number, line in enumerate(text.splitlines(), 1):
        place = Place(path, number)
        words: list[str] = []
        end = after = 0
        for match in _TOKEN.finditer(line):
            if match.lastgroup == "brace":
                if words:
                    yield "", Statement(words, line[after:end].strip(), place)
                    words = []
                yield match["brace"], Statement([match["brace"]], "", place)
            elif match.lastgroup in ("quoted", "word"):
                word = match["word"]
                if word is None:
                    word = re.sub(r"\\(.)", r"\1", match["quoted"])
                end = match.end()
                if not words:
                    after = end
                words.append(word)
        if words:
            yield "", Statement(words, line[after:end].strip(), place)
