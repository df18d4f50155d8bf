"""
The memory of a process: what its virtual hosts must still know after a restart, so
that nobody deceives them with old advertisements.

One L{StateStore} serves all virtual hosts of a process.  A virtual host reports that its
state has changed and goes on; the store collects such reports and replaces the state
file once for all of them.  Lines of groups that have not changed are written again as
they are.
"""

from __future__ import annotations

import errno
import math
import os
import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

import attrs
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import (
    IDelayedCall,
    IListeningPort,
    IReactorFromThreads,
    IReactorTime,
)
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txcarp.interfaces import IStateStore
from txcarp.protocol.sealstate import SealState
from txcarp.state.file import StateFile
from txcarp.state.format import (
    BadState,
    Lines,
    bootIdentity,
    decodeState,
    encodeState,
    joinGroups,
    splitGroups,
)
from txcarp.state.requests import Forget

#: Shortest time, in seconds, between the starts of two writes that nobody waits for.
SPACING = 1.0

#: Seconds after a failed write until the next attempt, unless a state changes before.
RETRY = 5.0

#: Seconds after which a write that is still under way counts as hung.
LONGEST_WRITE = 5.0

#: Seconds between two log lines about writes that fail.
REPORT_EVERY = 60.0

_Result = TypeVar("_Result")

#: Returns the state of a group as it is at the moment.
Snapshot = Callable[[], SealState]

_SYSTEM_DIRECTORY = Path("/var/lib/txcarp")


def defaultStateDirectory() -> Path:
    """
    The directory for the state files of this process: the one that systemd assigned to
    the service; C{/var/lib/txcarp} for root, and for a user who may write there;
    otherwise the directory for state in the user's home.
    """
    assigned = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if assigned:
        return Path(assigned)
    if os.geteuid() == 0 or os.access(_SYSTEM_DIRECTORY, os.W_OK):
        return _SYSTEM_DIRECTORY
    home = Path(os.environ.get("XDG_STATE_HOME", ""))
    if not home.is_absolute():  # the XDG specification ignores relative paths
        home = Path(os.path.expanduser("~/.local/state"))
    return home / "txcarp" if home.is_absolute() else _SYSTEM_DIRECTORY


def fileNameOf(group: str) -> str:
    """
    The name of the file for a single group: "eth0-7.json" for "eth0:7".
    """
    interface, _, vhid = group.rpartition(":")
    return f"{interface}-{vhid}.json"


def inDaemonThread(
    reactor: IReactorFromThreads, function: Callable[[], _Result]
) -> Deferred[_Result]:
    """
    Call a function in a thread that does not keep the process from ending.  The threads
    of the reactor's pool do: the reactor waits for each of them when it stops.

    @raise RuntimeError: If no thread can be started.
    """
    done: Deferred[_Result] = Deferred()

    def run() -> None:
        try:
            result = function()
        except BaseException:
            reactor.callFromThread(done.errback, Failure())
        else:
            reactor.callFromThread(done.callback, result)

    threading.Thread(target=run, name="txcarp state", daemon=True).start()
    return done


@implementer(IStateStore)
class StateStore:
    """
    Keeps the states of all groups of a process in one file.

    A write takes a snapshot of each changed state on the reactor's thread; encoding them
    and writing the file is left to another thread.  One write is under way at most.  What
    could not be written stays pending and is tried again.
    """

    _log = Logger()

    def __init__(
        self,
        file: StateFile,
        clock: IReactorTime,
        inThread: Callable[[Callable[[], Lines]], Deferred[Lines]],
        listen: Callable[[Path, Forget], IListeningPort | None] | None = None,
    ) -> None:
        """
        @param inThread: Calls a function outside the reactor's thread, as
            L{inDaemonThread} does.
        @param listen: Accepts requests to forget a host, as
            L{listen<txcarp.state.requests.listen>} does.
        """
        self._listen = listen
        self._port: IListeningPort | None = None
        self._members: dict[str, Callable[[bytes], bool]] = {}
        self._file = file
        self._clock = clock
        self._inThread = inThread
        self._boot = bootIdentity()
        #: The line of each group; C{None} until the file was read.
        self._lines: Lines | None = None
        self._damage: BadState | None = None
        self._pending: dict[str, Snapshot] = {}
        self._waiting: list[Deferred[None]] = []
        #: The groups in the write that is under way, and what waits for its end.
        self._writing: dict[str, Snapshot] = {}
        self._underWay: list[Deferred[None]] | None = None
        self._started = -math.inf
        self._due = math.inf
        self._timer: IDelayedCall | None = None
        self._reported = -math.inf

    def load(self, group: str) -> SealState:
        """
        See L{IStateStore.load}.
        """
        unwritten = self._pending.get(group) or self._writing.get(group)
        if unwritten is not None:
            return unwritten()
        if self._lines is None:
            self._lines = self._firstLines(group)
        path, line = self._file.path, self._lines.get(group)
        if line is None:
            if self._damage is not None:
                raise self._damage
            path = path.with_name(fileNameOf(group))
            lines, damage = self._read(path, group)
            if damage is not None:
                raise damage
            line = lines.get(group)
        if line is None:
            return SealState()
        try:
            state = decodeState(line, self._boot)
        except BadState as error:
            raise BadState(f"{path}: {group}: {error}") from None
        if path != self._file.path:
            self._log.info("The state of {group} is taken over from {path}", group=group, path=path)
            self._lines[group] = line
        return attrs.evolve(state, saved=max(state.saved, self._file.lived))

    def changed(self, group: str, snapshot: Snapshot, within: float) -> None:
        """
        See L{IStateStore.changed}.
        """
        self._pending[group] = snapshot
        if self._hangs:
            self._noAnswer()
        due = max(self._clock.seconds() + within, self._started + SPACING)
        if due < self._due:
            self._writeBy(due)

    def save(self, group: str, snapshot: Snapshot) -> Deferred[None]:
        """
        See L{IStateStore.save}.
        """
        self._pending[group] = snapshot
        return self._writeAll()

    def onForget(self, group: str, forget: Callable[[bytes], bool]) -> None:
        """
        See L{IStateStore.onForget}.
        """
        self._members[group] = forget

    def forget(self, address: bytes, group: str | None = None) -> Deferred[list[str]]:
        """
        See L{IStateStore.forget}.
        """
        known = [
            name
            for name in dict.fromkeys([*self._members, *(self._lines or {})])
            if group in (None, name) and self._forgetIn(name, address)
        ]
        done = self._writeAll() if known else succeed(None)
        return done.addCallback(lambda _: known)

    def _forgetIn(self, group: str, address: bytes) -> bool:
        member = self._members.get(group)
        if member is not None:
            return member(address)
        try:
            state = self.load(group)
        except (OSError, BadState):
            return False  # the state of a group that does not run is of no use
        rest = {each: source for each, source in state.sources.items() if each != address}
        if len(rest) == len(state.sources):
            return False
        self._pending[group] = lambda: attrs.evolve(state, sources=rest)
        return True

    def close(self) -> Deferred[None]:
        """
        See L{IStateStore.close}.
        """
        if self._pending:
            done = self._writeAll()
        elif self._underWay is not None:
            done = self._endOf(self._underWay)
        else:
            done = succeed(None)
        return done.addErrback(lambda failure: None).addCallback(self._release)

    def _release(self, result: None) -> Deferred[None]:
        port, self._port = self._port, None
        closed = maybeDeferred(lambda: None if port is None else port.stopListening())
        return closed.addBoth(self._releaseFile)

    def _releaseFile(self, result: object) -> None:
        if self._underWay is None:
            self._cancelTimer()  # set where the last write failed
            self._file.release()
            self._lines = None  # another process may write the file from now on

    def _firstLines(self, group: str) -> Lines:
        try:
            self._file.claim()
            self._acceptRequests()
        except BlockingIOError:
            raise
        except OSError:
            pass  # the file may be readable all the same; the first write reports the error
        lines, self._damage = self._read(self._file.path, group)
        if not lines and self._damage is None:
            self._log.info("No state is saved in {path} yet", path=self._file.path)
        return lines

    def _read(self, path: Path, group: str) -> tuple[Lines, BadState | None]:
        try:
            text = self._file.read(path)
        except BadState as error:
            return {}, error
        return ({}, None) if text is None else splitGroups(path, text, group, self._boot)

    def _acceptRequests(self) -> None:
        """
        Accept requests if this process has the file, and does not do so yet.
        """
        if self._file.isClaimed and self._listen is not None and self._port is None:
            self._port = self._listen(self._file.path, self.forget)

    @property
    def _hangs(self) -> bool:
        lasting = self._clock.seconds() - self._started
        return self._underWay is not None and lasting >= LONGEST_WRITE

    def _writeAll(self) -> Deferred[None]:
        """
        Write what is pending, at once or after the write that is under way.
        """
        done = self._endOf(self._waiting)
        if self._underWay is None:
            self._write()
        return done

    def _endOf(self, waiting: list[Deferred[None]]) -> Deferred[None]:
        """
        Wait together with others for the end of a write, but not for a disk that hangs.
        """
        done: Deferred[None] = Deferred()
        waiting.append(done)
        seconds = 0.0 if self._hangs else LONGEST_WRITE
        return done.addTimeout(seconds, self._clock, lambda *_: Failure(self._noAnswer()))

    def _writeBy(self, due: float) -> None:
        self._cancelTimer()
        self._due = due
        if self._underWay is None:  # otherwise the end of that write sets the timer
            delay = max(0.0, due - self._clock.seconds())
            self._timer = self._clock.callLater(delay, self._write)

    def _cancelTimer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._due = math.inf

    def _write(self) -> None:
        self._cancelTimer()
        self._started = self._clock.seconds()
        self._writing, self._pending = self._pending, {}
        self._underWay, self._waiting = self._waiting, []
        states = {group: snapshot() for group, snapshot in self._writing.items()}
        lines = None if self._lines is None else dict(self._lines)
        writing = maybeDeferred(self._inThread, partial(self._replaceFile, states, lines))
        writing.addBoth(self._written)

    def _replaceFile(self, states: Mapping[str, SealState], lines: Lines | None) -> Lines:
        """
        Called in another thread: write all lines, those of some states anew.
        """
        if self._file.claim() or lines is None:
            # Another process may have written the file before this one could lock it.
            found, _ = self._read(self._file.path, next(iter(states)))
            lines = {**(lines or {}), **found}
        for group, state in states.items():
            lines[group] = encodeState(group, state, self._boot)
        self._file.write(joinGroups(lines))
        return lines

    def _written(self, result: Lines | Failure) -> None:
        waiting, self._underWay = self._underWay, None
        assert waiting is not None
        error: OSError | None = None
        if isinstance(result, Failure):
            # A RuntimeError means that no thread could be started.
            reason = result.value
            error = reason if isinstance(reason, OSError) else OSError(errno.EAGAIN, str(reason))
            self._report(error)
            self._pending = {**self._writing, **self._pending}
            self._due = min(self._due, self._clock.seconds() + RETRY)
        else:
            self._lines = {**(self._lines or {}), **result}
            self._acceptRequests()
        self._writing = {}
        if self._waiting:
            self._write()
        elif self._due < math.inf:
            self._writeBy(self._due)
        for done in waiting:
            if error is None:
                done.callback(None)
            else:
                done.errback(error)

    def _noAnswer(self) -> OSError:
        error = OSError(errno.ETIMEDOUT, f"no answer from the disk for {LONGEST_WRITE:.0f} s")
        self._report(error)
        return error

    def _report(self, error: OSError) -> None:
        now = self._clock.seconds()
        if now - self._reported >= REPORT_EVERY:
            self._reported = now
            self._log.error(
                "{path} cannot be written: {error}. The changes are kept in memory and tried "
                "again; if this process ends before they are written, old advertisements may be "
                "taken for new ones after its next start",
                path=self._file.path,
                error=error.strerror or error,
            )
