"""
The format of the state file.

In version 2 of the format the file has one JSON object per line: a header, then a line
for each group.  A file of version 1 has the state of one group, as a single JSON object
that does not name the group.
"""

from __future__ import annotations

import json
import math
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from txcarp.addresses import parseAddress, textOf
from txcarp.protocol.actor import Actor
from txcarp.protocol.freshness import SAYINGS, SOURCES, SealedSource
from txcarp.protocol.lapse import SAVED
from txcarp.protocol.periods import Period, Who
from txcarp.protocol.seal import TICKS, Fields
from txcarp.protocol.sealstate import PERIODS, SavedDrain, SealState

#: Characters of the longest name of a user.
_LONGEST_NAME = 64

#: The line of each group, by name.
Lines = dict[str, str]

_VERSION = 2
_HEADER = json.dumps(
    {
        "version": _VERSION,
        "about": "txcarp: what each group sent and heard; edit or remove it only while txcarp "
        "is stopped",
    }
)
_BOOT = Path("/proc/sys/kernel/random/boot_id")

#: Everything that reading a JSON document of unexpected shape raises.
_NONSENSE = (ValueError, TypeError, KeyError, AttributeError, RecursionError)


class BadState(ValueError):
    """
    The content of a state file is damaged, or was not written by txcarp.
    """


def bootIdentity(read: Callable[[], str] = _BOOT.read_text) -> str:
    """
    A name for the period since the machine was booted, and for the clock that offsets refer to.
    Earlier versions used another clock, and the boot alone was the name.
    """
    try:
        boot = read().strip()
    except OSError:
        boot = socket.gethostname()  # offsets must at least not come from another machine
    return f"{boot} steady"


def encodeState(group: str, state: SealState, boot: str) -> str:
    """
    The line of one group.

    @param boot: L{bootIdentity}.  The offsets of a state refer to a clock that starts
        again with each boot.
    """
    drained = {} if state.drain is None else {"drain": _encodedDrain(state.drain)}
    return json.dumps(
        {
            "group": group,
            "boot": boot,
            **drained,
            "tick": state.tick,
            "sources": {
                textOf(address): {
                    "tick": source.tick,
                    "offset": source.offset,
                    "at": source.at,
                    "sayings": [
                        (says.advbase, says.advskew, says.demotion) for says in source.sayings
                    ],
                }
                for address, source in state.sources.items()
            },
            "unsealed": state.unsealed,
            "saved": state.saved,
            "periods": [
                (round(one.begin, 3), one.who.name, one.master, one.reason)
                for one in state.periods
            ],
        }
    )


def _encodedDrain(drain: SavedDrain) -> dict[str, object]:
    actor = drain.actor
    who = actor and {"uid": actor.uid, "name": actor.name, "pid": actor.pid}
    return {"until": drain.until, "left": drain.left, "actor": who}


def decodeState(line: str, boot: str) -> SealState:
    """
    Read a line that L{encodeState} made.

    @raise BadState: If it is not such a line.
    """
    try:
        return _stateOf(json.loads(line), boot)
    except _NONSENSE as error:
        raise BadState(_describe(error)) from None


def _stateOf(found: Any, boot: str) -> SealState:
    """
    The state in a line of version 2, or in a whole file of version 1: both have the
    same fields.
    """
    sources = dict(_sourcesOf(found["sources"], found["boot"] == boot))
    unsealed = found.get("unsealed", ())  # earlier versions had none
    if len(unsealed) > SAVED:
        raise BadState(f"it has {len(unsealed)} unsealed counters, more than {SAVED}")
    return SealState(
        _whole(found["tick"], TICKS),
        sources,
        tuple(_whole(each, 1 << 64) for each in unsealed),
        _drainOf(found.get("drain")),
        *_historyOf(found),
    )


def _drainOf(found: Any) -> SavedDrain | None:
    if found is None:
        return None
    until, left, actor = found["until"], found["left"], found["actor"]
    if actor is not None:
        uid, pid = (
            None if number is None else _whole(number, 1 << 32)
            for number in (actor["uid"], actor["pid"])
        )
        actor = Actor(uid, str(actor["name"])[:_LONGEST_NAME], pid)
    return SavedDrain(
        None if until is None else _finite(until), None if left is None else _finite(left), actor
    )


def _historyOf(found: dict[str, Any]) -> tuple[tuple[Period, ...], float]:
    """
    Who was master when, and when this was saved.  What cannot be read of it, as from a later
    version, is left out: the rest of the line is worth more.
    """
    try:
        saved = _finite(found.get("saved", 0.0))
        return tuple(_periodsOf(found.get("periods", ()))), saved
    except _NONSENSE:
        return (), 0.0


def _periodsOf(found: Any) -> Iterator[Period]:
    last = -math.inf
    for begin, who, master, reason in found[-PERIODS:]:
        last = max(last, _finite(begin))
        address = textOf(parseAddress(master)) if master else ""
        yield Period(last, Who[who], address, str(reason)[:_LONGEST_NAME])


def _sourcesOf(found: dict[str, Any], sameBoot: bool) -> Iterator[tuple[bytes, SealedSource]]:
    if len(found) > SOURCES:
        raise BadState(f"it has {len(found)} sources, more than {SOURCES}")
    for address, source in found.items():
        offset, at = source["offset"], _finite(source["at"])
        sayings = tuple(
            Fields(*(_whole(value, 256) for value in says)) for says in source["sayings"]
        )
        yield (
            parseAddress(address),
            SealedSource(
                _whole(source["tick"], TICKS),
                _finite(offset) if sameBoot and offset is not None else None,
                at if sameBoot else 0.0,
                sayings[-SAYINGS:],
            ),
        )


def _whole(value: object, limit: int) -> int:
    if not isinstance(value, int) or not 0 <= value < limit:
        raise BadState(f"{value!r} is not a whole number from 0 to {limit - 1}")
    return value


def _finite(value: Any) -> float:
    # Python's JSON accepts NaN, Infinity, and integers of any size.
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise BadState(f"{number} is not a number of seconds")
    return number


def _describe(error: BaseException) -> str:
    if isinstance(error, BadState):
        return str(error)
    return f"not in the form of a state file, or damaged ({type(error).__name__}: {error})"


def splitGroups(
    path: Path, text: str, group: str, boot: str
) -> tuple[Lines, BadState | None]:
    """
    Split the text of a state file into the lines of its groups.  As many lines as
    possible are saved from a damaged file.

    @param group: The group that a version 1 file belongs to, unless the name of the file
        says that it belongs to another group of the same interface.
    @return: The line of each group, not yet checked further; and the damage, if any.
    """
    lines: Lines = {}
    damage: BadState | None = None
    try:
        header, end = json.JSONDecoder().raw_decode(text)
        if header["version"] == 1:
            owner = _ownerOf(path, group)
            return {owner: encodeState(owner, _stateOf(header, boot), boot)}, None
        if header["version"] != _VERSION:
            raise BadState(f"its version is {header['version']!r}, not 1 or {_VERSION}")
    except _NONSENSE as error:
        return {}, BadState(f"{path}: {_describe(error)}")
    for number, line in enumerate(text[end:].split("\n"), 1):
        if not line.strip():
            continue
        try:
            name = json.loads(line)["group"]
            if not isinstance(name, str):
                raise BadState(f"{name!r} is not the name of a group")
            lines[name] = line
        except _NONSENSE as error:
            damage = BadState(f"{path}: line {number}: {_describe(error)}")
    return lines, damage


def joinGroups(lines: Lines) -> str:
    """
    The text of a state file with these lines.
    """
    return "\n".join([_HEADER, *lines.values(), ""])


def withoutSource(line: str, address: bytes) -> str | None:
    """
    Return the line of a group without one of its sources.

    @return: The new line; C{None} if the group does not know the source.
    @raise BadState: If it is not such a line.
    """
    try:
        found = json.loads(line)
        known = [each for each in found["sources"] if parseAddress(each) == address]
        for each in known:
            del found["sources"][each]
    except _NONSENSE as error:
        raise BadState(_describe(error)) from None
    return json.dumps(found) if known else None


def _ownerOf(path: Path, group: str) -> str:
    """
    The group that a version 1 file belongs to, which the file itself does not say.
    """
    interface = group.rpartition(":")[0]
    start, _, vhid = path.stem.rpartition("-")
    return f"{interface}:{vhid}" if start == interface and vhid.isdecimal() else group
