"""
What is wrong with a configuration file, and where.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import attrs

from txcarp.configuration.positions import Place

#: The most characters of a line that are shown.
_WIDTH = 100

#: A line that may have a secret in it, up to the secret.
_SECRET = re.compile(r"(?i)^([^=]*(?:pass|secret|credential)[^=]*=).+")

#: The keys of such lines whose values are no secrets.
_NO_SECRET = re.compile(r"^\s*(?:passfile|credential)\s*=")


@attrs.frozen(order=True)
class Problem:
    """
    One mistake.

    @ivar place: Where it is.
    @ivar text: What is wrong, and what is expected.
    """

    place: Place
    text: str


class FileError(Exception):
    """
    A configuration file is wrong, or cannot be read.

    @ivar path: The path of the file.
    @ivar problems: Everything that is wrong with it, in the order of the lines; empty if the file
        cannot be read.
    """

    def __init__(
        self, path: str, text: str, problems: Iterable[Problem], reason: str = ""
    ) -> None:
        """
        @param text: The contents of the file.
        @param reason: Why the file cannot be read.
        """
        self.path = path
        self.problems = sorted(set(problems))
        lines = text.split("\n")
        explained = "\n".join(self._explain(one, lines) for one in self.problems)
        super().__init__(f"{path}: {reason}" if reason else explained)

    def _explain(self, problem: Problem, lines: list[str]) -> str:
        """
        A problem in three lines: what is wrong, the line of the file, and a mark under the part.
        """
        number, column, length = problem.place
        head = f"{self.path}:{number}: {problem.text}"
        line = lines[number - 1] if number <= len(lines) else ""
        visible = _visible(line)
        if not visible.strip() or column >= _WIDTH:
            return head
        mark = "^" * max(1, min(length, len(visible) - column))
        return f"{head}\n    {visible}\n    {' ' * column}{mark}"


def _visible(line: str) -> str:
    """
    A line without secrets and control characters, and with each character in its place.
    """
    if _NO_SECRET.match(line) is None:
        line = _SECRET.sub(r"\1 ...", line)
    shown = "".join(letter if letter.isprintable() else " " for letter in line)
    return shown[:_WIDTH].rstrip()
