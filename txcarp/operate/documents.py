"""
The documents that a running process answers with.

Each of them is an object with the number of its schema.  New keys may be added under the same
number.  A key that changes its meaning or goes away gets the schema another number.
"""

from __future__ import annotations

import enum
import json
import math
from collections.abc import Mapping, Sequence, Set
from typing import Any

import attrs

from txcarp.findings import Finding
from txcarp.occurrences import OccurrenceKind
from txcarp.protocol.effects import Role

#: The number of the schema.
SCHEMA = 1

#: The enumerations whose values are words for programs.  The values of the others are phrases.
_WORDS = (Role, Finding, OccurrenceKind)


@attrs.frozen
class Answer:
    """
    An answer to a request.

    @ivar code: The HTTP status code.
    @ivar body: The document.
    @ivar contentType: Its media type.
    @ivar headers: Other headers of the answer.
    """

    code: int
    body: bytes
    contentType: bytes = b"application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()


def answer(document: Mapping[str, object], code: int = 200) -> Answer:
    """
    Answer with a document.
    """
    return Answer(code, encoded({"schema": SCHEMA, **document}) + b"\n")


def refusal(code: int, word: str, message: str) -> Answer:
    """
    Answer with an error.

    @param word: Stays the same in later versions, for programs.
    @param message: A sentence for people.
    """
    return answer({"error": word, "message": message}, code)


def encoded(value: object) -> bytes:
    """
    JSON of a value that L{plain} accepts.
    """
    return json.dumps(plain(value), ensure_ascii=False).encode("utf-8", "backslashreplace")


def plain(value: Any) -> Any:
    """
    A value in the types that JSON has.

    The fields of attrs classes keep their names and their order, so that a new field of
    L{Status<txcarp.status.snapshot.Status>} is in the documents without further work.  A value with
    a method C{explain} gets its result as C{explanation}.  Fields that C{repr} does not show are
    left out.  Enumerations become words.  What is no finite number becomes C{None}.

    @raise TypeError: If there is no rule for a type.  C{bytes} have none: they may be secrets.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    if isinstance(value, enum.Enum):
        return value.value if isinstance(value, _WORDS) else value.name.lower()
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(one) for key, one in value.items()}
    if isinstance(value, Sequence | Set) and not isinstance(value, bytes | bytearray):
        return [plain(one) for one in value]
    if attrs.has(type(value)):
        found = {
            field.name: plain(getattr(value, field.name))
            for field in attrs.fields(type(value))
            if field.repr
        }
        if hasattr(value, "explain"):
            found["explanation"] = value.explain()
        return found
    raise TypeError(f"there is no rule for {type(value).__name__} in JSON")
