"""
The state file: its format, and how it is read, replaced and locked.

In version 2 of the format the file has one JSON object per line: a header, then a line
for each group.  A file of version 1 has the state of one group, as a single JSON object
that does not name the group.  The functions here block.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import socket
import stat
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
from txcarp.statewriter import SeparateWriter, makeDirectory, openPrivately, replaceFile

#: Bytes; a larger file was not written by txcarp.
LARGEST_FILE = 1 << 26

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
    return str(error) if isinstance(error, BadState) else f"{type(error).__name__}: {error}"


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


def forgetIn(file: StateFile, address: bytes, group: str | None) -> list[str]:
    """
    Remove a source from the groups in a file that no process uses.

    @param file: The file; its lock must be held.
    @param address: The packed address of the source.
    @param group: The name of the only group in which to forget it; C{None} for all.
    @return: The names of the groups that knew it.
    @raise OSError: If the file cannot be read or written.
    @raise BadState: If it is damaged.
    """
    path = file.path
    text = file.read(path)
    if text is None:
        return []
    interface, _, vhid = path.stem.rpartition("-")
    lines, damage = splitGroups(path, text, f"{interface}:{vhid}", bootIdentity())
    if damage is not None:
        raise damage
    changed = {
        name: rest
        for name, line in lines.items()
        if group in (None, name) and (rest := withoutSource(line, address)) is not None
    }
    if changed:
        file.write(joinGroups({**lines, **changed}))
    return list(changed)


def _ownerOf(path: Path, group: str) -> str:
    """
    The group that a version 1 file belongs to, which the file itself does not say.
    """
    interface = group.rpartition(":")[0]
    start, _, vhid = path.stem.rpartition("-")
    return f"{interface}:{vhid}" if start == interface and vhid.isdecimal() else group


class StateFile:
    """
    A state file on disk, which belongs to one process at a time.  All methods block.

    The lock is held on a second file, since the state file itself is replaced by each
    write.  The kernel releases it when the process ends, however it ends.
    """

    def __init__(self, path: str, writer: SeparateWriter | None = None) -> None:
        """
        @param writer: Replaces the file; C{None} to do that in this process.
        """
        self.path = Path(path)
        self._writer = writer
        self._lock: int | None = None

    @property
    def isClaimed(self) -> bool:
        """
        Whether this process has the lock.
        """
        return self._lock is not None

    def claim(self) -> bool:
        """
        Lock the file for this process; make its directory if necessary.

        @return: Whether the lock is new.
        @raise BlockingIOError: If another process has it.
        @raise OSError: If there can be no lock, as on a read-only disk.
        """
        if self._lock is not None:
            return False
        makeDirectory(os.path.abspath(self.path.parent))
        lock = openPrivately(f"{self.path.parent}/.{self.path.name}.lock", os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(lock, 0)
            os.write(lock, b"%d\n" % os.getpid())
        except BlockingIOError as error:
            pid = os.read(lock, 20).decode("ascii", "replace").strip()
            os.close(lock)
            raise BlockingIOError(
                error.errno,
                f"{self.path} is in use by process {pid or 'unknown'}. Give each process a state "
                "file of its own",
            ) from None
        except OSError:
            os.close(lock)
            raise
        self._lock = lock
        return True

    def release(self) -> None:
        """
        Let another process have the file.
        """
        if self._writer is not None:
            self._writer.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def read(self, path: Path) -> str | None:
        """
        The text of this file, or of one beside it; C{None} if there is no such file.

        @raise OSError: If it cannot be read.
        @raise BadState: If it is not a regular file, or is too large.
        """
        try:
            descriptor = openPrivately(str(path), os.O_RDONLY)
        except FileNotFoundError:
            return None
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise BadState(f"{path} is not a regular file")
            text = file.read(LARGEST_FILE + 1)
        if len(text) > LARGEST_FILE:
            raise BadState(f"{path} has more than {LARGEST_FILE} bytes")
        return text.decode("utf-8", "surrogateescape")

    def write(self, text: str) -> None:
        """
        Replace the file.  After a crash at any moment it is there, old or new, and whole.

        @raise OSError: If that is not possible; the old file remains.
        """
        data = text.encode("utf-8", "surrogateescape")
        if self._writer is not None:
            self._writer.write(data)
        else:
            replaceFile(str(self.path), data)
