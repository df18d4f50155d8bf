"""
Groups that are being written, and what does not carry over.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from txcarp.configuration.values import notAPassword

#: What a group, a check and a step may be called.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}")


@attrs.frozen(order=True)
class Place:
    """
    A line of a file.
    """

    path: str
    line: int


@attrs.frozen(order=True)
class Remark:
    """
    Something that does not carry over, or that should be looked at.
    """

    place: Place
    text: str

    def __str__(self) -> str:
        return f"{self.place.path}:{self.place.line}: {self.text}"


@attrs.define
class Draft:
    """
    A group.

    @ivar place: Where it comes from.
    @ivar settings: The values of its keys, in the types that TOML has.
    @ivar checks: The keys of its health checks, by their names.
    @ivar steps: The keys of its steps, in order.
    @ivar password: Its password, if that is known; C{None} otherwise.  It is never shown.
    """

    name: str
    place: Place
    settings: dict[str, Any] = attrs.field(factory=dict)
    checks: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    steps: list[dict[str, Any]] = attrs.field(factory=list)
    password: bytes | None = attrs.field(default=None, repr=False)


@attrs.define
class Conversion:
    """
    What came of some files.

    @ivar drafts: The groups.
    @ivar syncs: The groups that move together, by the name of the set.
    @ivar remarks: What does not carry over.
    """

    drafts: list[Draft] = attrs.field(factory=list)
    syncs: dict[str, list[str]] = attrs.field(factory=dict)
    remarks: list[Remark] = attrs.field(factory=list)

    def remark(self, place: Place, text: str) -> None:
        """
        Note something, once for each place.
        """
        remark = Remark(place, text)
        if remark not in self.remarks:
            self.remarks.append(remark)

    def password(self, draft: Draft, place: Place, password: bytes) -> None:
        """
        Note the password of a group, if it is possible.
        """
        draft.password = None
        problem = notAPassword(password)
        if problem or b"\n" in password or b"\0" in password:
            why = problem or "it has a character that no password can have"
            self.remark(place, f"the password of [group.{draft.name}] is left out: {why}")
        else:
            draft.password = password

    def add(self, wanted: str, place: Place) -> Draft:
        """
        Begin a group.

        @param wanted: What it should be called, if it can be.
        """
        name = nameLike(wanted, [draft.name for draft in self.drafts])
        draft = Draft(name, place)
        self.drafts.append(draft)
        if name != wanted:
            self.remark(place, f"{wanted!r} becomes [group.{name}]")
        return draft


def nameLike(wanted: str, taken: list[str]) -> str:
    """
    A name that is possible and free.
    """
    name = re.sub(r"[^A-Za-z0-9_.-]", "-", wanted).lstrip(".-")[:32] or "group"
    base, number = name, 2
    while name in taken:
        name = f"{base[:28]}-{number}"
        number += 1
    assert _NAME.fullmatch(name)
    return name


def render(conversion: Conversion, passfileOf: Callable[[Draft], Any]) -> str:
    """
    The configuration file as text.

    @param passfileOf: Returns the value of C{passfile} for a group.
    """
    lines = list(_lines(conversion, passfileOf))
    return "\n".join(lines).strip("\n") + "\n"


def _lines(conversion: Conversion, passfileOf: Callable[[Draft], Any]) -> Iterator[str]:
    for draft in conversion.drafts:
        yield ""
        yield f"# {_comment(draft.place.path)}, line {draft.place.line}"
        yield f"[group.{_key(draft.name)}]"
        settings = {**draft.settings, "passfile": passfileOf(draft)}
        first = ("interface", "vhid", "passfile", "addresses")
        inOrder = {key: settings[key] for key in first if key in settings}
        yield from _pairs({**inOrder, **settings})
        for name, keys in draft.checks.items():
            yield ""
            yield f"[group.{_key(draft.name)}.check.{_key(name)}]"
            yield from _pairs(keys)
        for step in draft.steps:
            yield ""
            yield f"[[group.{_key(draft.name)}.step]]"
            yield from _pairs(step)
    for name, groups in conversion.syncs.items():
        yield ""
        yield f"[sync.{_key(name)}]"
        yield f"groups = {_value(groups)}"


def _pairs(keys: Mapping[str, Any]) -> Iterator[str]:
    for key, value in keys.items():
        yield f"{key} = {_value(value)}"


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _value(name)


def _value(value: Any) -> str:
    """
    A value in TOML.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    # The escapes of JSON are those of TOML, but for one character.
    text = str(value).encode("utf-8", "replace").decode()
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")


def _comment(text: str) -> str:
    return "".join(one if one.isprintable() else "?" for one in text)


def seconds(value: float) -> str:
    """
    A time in seconds as the file has it.
    """
    return f"{value:.3f}".rstrip("0").rstrip(".") + "s"


def programOf(text: str, words: list[str]) -> list[str]:
    """
    What runs a command without a shell if that is possible, and with one otherwise.

    @param text: The command as it was written.
    @param words: The same, split into words.
    """
    if words and words[0].startswith("/") and not re.search(r"[|&;<>`$*?~#\\]", text):
        return words
    return ["/bin/sh", "-c", text]
