"""
What a host has to remember over a restart so that nobody fools it with old
advertisements.
"""

from __future__ import annotations

import json
import math
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from zope.interface import implementer

from txcarp.addresses import parseSource, textOf
from txcarp.interfaces import IStateStore
from txcarp.protocol.freshness import SAYINGS, SOURCES, SealedSource, State
from txcarp.protocol.seal import TICKS, Says

_VERSION = 1

#: More than this is no file of ours.
_LARGEST = 1 << 20

_BOOT = Path("/proc/sys/kernel/random/boot_id")


class BadState(ValueError):
    """
    A state file that says what it cannot say.
    """


def encodeState(state: State, boot: str) -> bytes:
    """
    A state as text.

    @param boot: What names this run of the kernel: the clock that offsets are
        of begins anew with each.
    """
    return (
        json.dumps(
            {
                "version": _VERSION,
                "about": "txcarp: what was sent and heard; remove it only while txcarp is stopped",
                "boot": boot,
                "tick": state.tick,
                "sources": {
                    textOf(address): {
                        "tick": source.tick,
                        "offset": source.offset,
                        "at": source.at,
                        "sayings": [attrs.astuple(says) for says in source.sayings],
                    }
                    for address, source in state.sources.items()
                },
            },
            indent=1,
        ).encode()
        + b"\n"
    )


def decodeState(text: bytes, boot: str) -> State:
    """
    Read what L{encodeState} wrote.

    @raise BadState: If it did not.
    """
    try:
        found = json.loads(text)
        if found["version"] != _VERSION:
            raise BadState(f"it has version {found['version']}, not {_VERSION}")
        sources = dict(_sources(found["sources"], found["boot"] == boot))
        return State(_whole(found["tick"], TICKS), sources)
    except BadState:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise BadState(f"{type(error).__name__}: {error}") from None


def _sources(found: dict[str, Any], sameBoot: bool) -> Iterator[tuple[bytes, SealedSource]]:
    if len(found) > SOURCES:
        raise BadState(f"it has {len(found)} sources, more than {SOURCES}")
    for address, source in found.items():
        offset, at = source["offset"], _finite(source["at"])
        sayings = tuple(
            Says(*(_whole(value, 256) for value in says)) for says in source["sayings"]
        )
        yield (
            parseSource(address),
            SealedSource(
                _whole(source["tick"], TICKS),
                _finite(offset) if sameBoot and offset is not None else None,
                at if sameBoot else 0.0,
                sayings[-SAYINGS:],
            ),
        )


def _whole(value: object, limit: int) -> int:
    if not isinstance(value, int) or not 0 <= value < limit:
        raise BadState(f"{value!r} is not a whole number below {limit}")
    return value


def _finite(value: Any) -> float:
    # JSON as Python reads it knows NaN and Infinity, and integers without end.
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise BadState(f"{number} is not a number of seconds")
    return number


@implementer(IStateStore)
class StateFile:
    """
    Keeps a state in a small file, written in another thread: a slow disk keeps
    nobody waiting.
    """

    def __init__(self, path: str, reactor: Any) -> None:
        self._path = Path(path)
        self._reactor = reactor

    def __str__(self) -> str:
        return str(self._path)

    def load(self) -> State:
        """
        @raise OSError: If it cannot be read; C{FileNotFoundError} the first
            time.
        @raise BadState: If it is none.
        """
        # NONBLOCK: somebody may have put a fifo there.
        descriptor = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            text = file.read(_LARGEST + 1)
        if len(text) > _LARGEST:
            raise BadState(f"it has more than {_LARGEST} bytes")
        return decodeState(text, bootIdentity())

    def save(self, state: State) -> Deferred[None]:
        text = encodeState(state, bootIdentity())
        pool = self._reactor.getThreadPool()
        return deferToThreadPool(self._reactor, pool, self._write, text)

    def _write(self, text: bytes) -> None:
        _makeDirectory(self._path.parent)
        fresh = self._path.with_name(f".{self._path.name}.new")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        descriptor = os.open(fresh, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
        with open(descriptor, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)


def _makeDirectory(path: Path) -> None:
    """
    Make a directory, and those above it, in which nobody else may write: not even
    where the umask of this process lets everybody.
    """
    if not path.is_dir():
        _makeDirectory(path.parent)
        path.mkdir(0o755, exist_ok=True)


def bootIdentity(read: Callable[[], str] = _BOOT.read_text) -> str:
    """
    What names this run of the kernel.
    """
    try:
        return read().strip()
    except OSError:
        return socket.gethostname()  # then no offset is of another machine's clock
