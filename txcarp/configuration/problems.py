"""
What is wrong with a configuration file, and where.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from difflib import get_close_matches

import attrs

from txcarp.configuration.options import OPTIONS
from txcarp.configuration.positions import Place
from txcarp.configuration.settings import BY_NAME, KEYS

#: The most characters of a line that are shown.
_WIDTH = 100

#: A key that sounds like a secret, with what follows it in its line.  There is no such key, but
#: somebody may write one.
_SECRET = re.compile(
    r"(?i)(?<![\w-])((?!passfile\b|credential\b)[\w-]*(?:pass|secret|psk|token|key)[\w-]*"
    r"[\"']?\s*=).*"
)


@attrs.frozen(order=True)
class Problem:
    """
    One mistake.

    @ivar place: Where it is.
    @ivar text: What is wrong, and what is expected.
    @ivar mayPass: Whether the same file may be good later, when something else has changed.
    """

    place: Place
    text: str
    mayPass: bool = False


class FileError(Exception):
    """
    A configuration file is wrong, or cannot be read.

    @ivar path: The path of the file.
    @ivar problems: Everything that is wrong with it, in the order of the lines; empty if the file
        cannot be read.
    @ivar mayPass: Whether it may be good later, although nobody has corrected it.
    """

    def __init__(
        self,
        path: str,
        text: str,
        problems: Iterable[Problem],
        reason: str = "",
        mayPass: bool = False,
    ) -> None:
        """
        @param text: The contents of the file.
        @param reason: Why the file cannot be read.
        @param mayPass: Whether that may pass.
        """
        self.path = path
        self.problems = sorted(set(problems))
        self.mayPass = all(one.mayPass for one in self.problems) if self.problems else mayPass
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


#: Errors of C{tomllib} that name no cause.
_PLAIN = {
    "Cannot overwrite a value": "this key has a value already",
    "Invalid value": "this is not a value; text needs quotation marks",
}


def _visible(line: str) -> str:
    """
    A line without secrets and control characters, and with each character in its place.
    """
    line = _SECRET.sub(r"\1 ...", line)
    shown = "".join(letter if letter.isprintable() else " " for letter in line)
    return shown[:_WIDTH].rstrip()


def syntaxProblem(message: str, text: str) -> Problem:
    """
    An error of C{tomllib}, which has its place in its words.
    """
    found = re.fullmatch(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", message)
    if found is None:
        return Problem(Place(1, 0, 0), message)
    words = _inPlainWords(found[1])
    if found[2] is None:
        lines = text.rstrip("\n").split("\n")
        return Problem(Place(len(lines), max(0, len(lines[-1]) - 1), 1), f"{words} at the end")
    return Problem(Place(int(found[2]), int(found[3]) - 1, 1), words)


def _inPlainWords(message: str) -> str:
    """
    What C{tomllib} says, for people who do not know TOML.
    """
    if twice := re.fullmatch(r"Cannot declare \((.*)\) twice", message):
        table = ".".join(re.findall(r"'([^']*)'", twice[1]))
        return f"[{table}] is in the file already"
    return _PLAIN.get(message, message)


def hintFor(key: str, known: Collection[str]) -> str:
    """
    What may be meant by a key that does not exist.
    """
    if known is BY_NAME and key in ("pass", "password"):
        return "; write the password into a file, and give the path of that as 'passfile'"
    names = {name: name for name in known}
    if known is BY_NAME:  # the options and the settings of the model have other names
        for one in KEYS:
            for option in OPTIONS:
                if option.setting in one.settings:
                    names.setdefault(option.name.replace("-", "_"), one.name)
            for setting in one.settings:
                names.setdefault(setting.lower(), one.name)
        names.update(check="check", step="step", steps="step")
    similar = get_close_matches(key.lower().replace("-", "_"), names, 1, 0.7)
    return f"; did you mean {names[similar[0]]!r}?" if similar else ""
