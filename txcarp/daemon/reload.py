"""
Reading the configuration file again while the process runs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, cast

import attrs
from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txcarp.addresses import VirtualAddress
from txcarp.change import FileStatus, ReloadResult
from txcarp.configuration.difference import difference
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.configuration.problems import FileError
from txcarp.configuration.request import CommandLine, Configuration
from txcarp.daemon.glance import Glance
from txcarp.daemon.notify import Notifier
from txcarp.daemon.precautions import badScripts
from txcarp.daemon.undoing import Undoing
from txcarp.interfaces import IReloader
from txcarp.network.defaults import Listing, sourceOn
from txcarp.network.sockets import checkCapabilities
from txcarp.occurrences import Occurrence, OccurrenceKind
from txcarp.protocol.actor import Actor
from txcarp.service import CARPService
from txcarp.state.store import inDaemonThread

#: The settings of the process, which do not change while it runs, with their keys.
_FIXED = {
    "stateFile": "state_file",
    "control": "control",
    "http": "http",
    "page": "page",
    "realtime": "realtime",
    "facility": "facility",
}


#: Calls a function in a thread.
_InThread = Callable[[Callable[[], Any]], Deferred[Any]]


@attrs.define(eq=False)
class _Request:
    """
    A reading that was asked for.

    @ivar confirm: Seconds within which the change must be confirmed; C{None} if it need not be.
    @ivar actor: Who asked last; C{None} for the program.
    @ivar asked: What waits for the result.
    """

    confirm: float | None
    actor: Actor | None = None
    asked: list[Deferred[ReloadResult]] = attrs.field(factory=list)


@implementer(IReloader)
class Reloader(Service):
    """
    Changes a running service to what its configuration file says now.

    The file is read in a thread, because a disk may hang.  If anything is wrong with it, nothing
    changes.  One reload is under way at most; requests meanwhile lead to one more.

    A change may have to be confirmed within a time, on the monotonic clock.  What ran before is
    kept in memory for that, so that undoing the change needs no disk.  Until then:

      - A reload that would change something else is refused, because its author may not know of
        the first change.  If it has to be confirmed, too, it replaces the first one; if it is not
        confirmed, both are undone.  A file that says again what ran before takes the change back.
      - When the process ends, nothing is undone: the file counts when it is started again.

    After a change was undone, the file still asks for it.  It takes effect only if it has to be
    confirmed again, so that a HUP by a program does not bring it back.
    """

    _log = Logger()

    def __init__(
        self,
        carp: CARPService,
        line: CommandLine,
        file: Configuration,
        inThread: _InThread | None = None,
        notifier: Notifier | None = None,
    ) -> None:
        """
        @param file: What was read at the start.
        @param inThread: Calls the function that reads; by default in a daemon thread.
        @param notifier: Is told when a reload begins and ends.
        """
        self._carp = carp
        self._line = line
        #: Its groups have the settings of the command line, too.
        self._started = self._file = attrs.evolve(file, groups=line.groupsOf(file))
        self._inThread = inThread or _inThread
        self._notifier = notifier or Notifier({})
        self._clock = carp.platform.clock
        self._glance = Glance(file.path, self._clock, self._inThread)
        self._busy = False
        #: The requests that wait for a reading of their own.
        self._requests: list[_Request] = []
        #: What waits for a reading that changes nothing, and whether one is under way.
        self._previews: list[Deferred[ReloadResult]] = []
        self._previewing = False
        self._undoing = Undoing(self._clock, file.path, self._goBack)

    def stopService(self) -> None:
        """
        Undo nothing from now on.
        """
        Service.stopService(self)
        if self._undoing.confirmed is not None:
            self._log.warn(
                "txcarp ends before the last change is confirmed. It is not undone: {path} counts "
                "when txcarp is started again",
                path=self._file.path,
            )
            self._undoing.settle()

    # Requests.

    def reload(
        self, confirm: float | None = None, actor: Actor | None = None
    ) -> Deferred[ReloadResult]:
        """
        See L{IReloader.reload}.  What happens is logged.
        """
        if not self._requests or self._requests[-1].confirm != confirm:
            self._requests.append(_Request(confirm))
        done: Deferred[ReloadResult] = Deferred()
        self._requests[-1].actor = actor
        self._requests[-1].asked.append(done)
        if self._busy:
            self._log.info(
                "The last change is not complete: {path} is read after that", path=self._file.path
            )
        else:
            self._begin()
        return done

    def preview(self) -> Deferred[ReloadResult]:
        """
        See L{IReloader.preview}.  Nothing is logged.
        """
        done: Deferred[ReloadResult] = Deferred()
        self._previews.append(done)
        if not self._previewing:
            self._preview()
        return done

    def confirm(self) -> ReloadResult:
        """
        See L{IReloader.confirm}.
        """
        confirmed = self._undoing.confirmed
        if confirmed is None:
            ago = self._undoing.undoneFor
            last = "" if ago is None else f": the last one was undone {ago:.0f} s ago"
            return ReloadResult(error=f"No change waits to be confirmed{last}")
        self._undoing.settle()
        self._log.info("The configuration in {path} is confirmed", path=self._file.path)
        return ReloadResult(tuple(difference(confirmed.groups, self._file.groups).lines()))

    def status(self) -> Deferred[FileStatus]:
        """
        See L{IReloader.status}.
        """
        return self._glance.read().addCallback(self._status)

    def _status(self, found: bytes | OSError) -> FileStatus:
        differs: bool | None = None
        problem = ""
        if isinstance(found, OSError):
            problem = found.strerror or str(found)
        else:
            differs = _textOf(found) != self._file.text
        return FileStatus(
            path=self._file.path,
            differs=differs,
            problem=problem,
            unconfirmed=self._undoing.left,
            undone=self._undoing.undoneFor,
        )

    # Reading.

    def _begin(self) -> None:
        self._busy = True
        request = self._requests.pop(0)
        self._log.info("Reading {path} again", path=self._file.path)
        self._notifier.reloading()
        done = self._readInThread().addCallback(self._decide, request)
        done.addErrback(self._refused).addCallback(self._ended, request)

    def _preview(self) -> None:
        self._previewing = True
        asked, self._previews = self._previews, []
        done = self._readInThread().addCallback(lambda read: self._plan(*read))
        done.addErrback(lambda failure: ReloadResult(error=_reason(failure)))
        done.addCallback(self._previewed, asked)

    def _previewed(self, result: ReloadResult, asked: list[Deferred[ReloadResult]]) -> None:
        self._previewing = False
        if self._previews:
            self._preview()
        for one in asked:
            one.callback(result)

    def _readInThread(self) -> Deferred[tuple[Configuration, list[str]]]:
        return maybeDeferred(self._inThread, partial(self._read, self._present()))

    def _present(self) -> dict[str, VirtualHostConfiguration]:
        return {host.configuration.name: host.configuration for host in self._carp.virtualHosts}

    def _read(
        self, present: Mapping[str, VirtualHostConfiguration]
    ) -> tuple[Configuration, list[str]]:
        """
        Read the file.  This is called in a thread, and logs nothing.

        @return: What it says, and warnings about it.
        """
        from txcarp.configuration.file import readFile

        known = {one.interface: one.source for one in present.values() if one.source is not None}
        held = {address.packed for one in present.values() for address in one.addresses}

        listing = Listing()

        def source(
            interface: str, addresses: Sequence[VirtualAddress], virtual: Collection[bytes]
        ) -> bytes:
            try:
                # The addresses of groups that are no longer in the file may still be here.
                return sourceOn(interface, addresses, held.union(virtual), listing)
            except (OSError, ValueError):
                # An interface that is away for a moment must not keep the other groups from
                # changing.
                if interface in known:
                    return known[interface]
                raise

        file = readFile(self._file.path, sources=source)
        # What is unchanged is the same object, so that nothing compares it again.
        pairs = [(present.get(one.name), one) for one in self._line.groupsOf(file)]
        groups = [earlier if earlier == one else one for earlier, one in pairs]
        file = attrs.evolve(file, groups=tuple(groups))
        changed = [one for one in groups if present.get(one.name) is not one]
        found = [text for one in changed for _, text in badScripts(one)]
        return file, [*file.warnings, *found]

    def _plan(
        self, file: Configuration, found: list[str]
    ) -> ReloadResult:
        """
        Find out what a file changes.

        @raise MissingCapability: If this process may not do what the file asks for.
        """
        changes = difference(self._present().values(), file.groups)
        if needing := changes.needRights:
            checkCapabilities(any(one.assign for one in needing))
        fixed = [
            f"{key} in [daemon] has changed, which has no effect before txcarp is started again"
            for setting, key in _FIXED.items()
            if getattr(file, setting) != getattr(self._started, setting)
        ]
        undone = [self._wasUndone()] if self._undoing.isUndone(file.text) else []
        return ReloadResult(tuple(changes.lines()), (*found, *fixed, *undone))

    # Changing.

    def _decide(
        self, read: tuple[Configuration, list[str]], request: _Request
    ) -> Deferred[ReloadResult]:
        # If a change is being undone, that comes first.
        return self._undoing.whenIdle().addCallback(lambda _: self._change(*read, request))

    def _change(
        self, file: Configuration, found: list[str], request: _Request
    ) -> Deferred[ReloadResult] | ReloadResult:
        if not self._carp.running:
            return ReloadResult(error="The configuration is not changed: txcarp is about to end")
        result = self._plan(file, found)
        confirm, left = request.confirm, self._undoing.left
        confirmed = self._undoing.confirmed or self._file
        isNew = not difference(confirmed.groups, file.groups).isEmpty
        if confirm is None and isNew:
            if left is not None:
                return self._refuse(
                    f"the last change waits to be confirmed, and is undone in {left:.0f} s. First "
                    "confirm it with 'txcarp confirm', or replace it with 'txcarp reload "
                    "--confirm', or restore the file to what it said before"
                )
            if self._undoing.isUndone(file.text):
                return self._refuse(f"{self._wasUndone()}. Try it again with --confirm")
        done = self._carp.reconfigure(file.groups, request.actor)
        self._file = file
        self._undoing.settle()
        for text in result.warnings:
            self._log.warn("{text}", text=text)
        if confirm is not None and isNew:
            self._undoing.begin(confirmed, confirm)
            result = attrs.evolve(result, unconfirmed=confirm)
        return done.addCallbacks(
            self._changed, self._changedInPart, callbackArgs=(result,), errbackArgs=(result,)
        )

    def _refuse(self, reason: str) -> ReloadResult:
        error = f"The configuration is not changed: {reason}"
        self._log.error("{error}", error=error)
        return ReloadResult(error=error)

    def _wasUndone(self) -> str:
        return (
            f"{self._file.path} is not what runs: it still says what was undone because nobody "
            "confirmed it"
        )

    def _goBack(self, before: Configuration) -> tuple[str, Deferred[None]]:
        """
        Undo a change; see L{Undoing}.
        """
        done = self._carp.reconfigure(before.groups)
        undone, self._file = self._file.text, before
        what, why = "the last change is undone", "nobody has confirmed it"
        self._carp.report(Occurrence(OccurrenceKind.RELOAD, "", "", 0, "undone", what, why))
        return undone, done

    # Results.

    def _changed(self, nothing: None, result: ReloadResult) -> ReloadResult:
        self._log.info("The configuration in {path} is in effect", path=self._file.path)
        return result

    def _changedInPart(self, failure: Failure, result: ReloadResult) -> ReloadResult:
        error = (
            f"The configuration in {self._file.path} is in effect only in part: "
            f"{failure.getErrorMessage()}"
        )
        self._log.error("{error}", error=error)
        return attrs.evolve(result, error=error)

    def _refused(self, failure: Failure) -> ReloadResult:
        reason = _reason(failure)
        if failure.check(FileError):
            *mistakes, reason = reason.split("\n")
            for text in mistakes:
                self._log.error("{text}", text=text)
        elif not failure.check(OSError, ValueError):
            self._log.failure("Internal error while the configuration was changed", failure)
            return ReloadResult(error=reason)
        self._log.error("{reason}", reason=reason)
        return ReloadResult(error=_reason(failure))

    def _ended(self, result: ReloadResult, request: _Request) -> None:
        what = "the configuration was read again"
        why = result.error or "; ".join(result.lines)
        reason = "refused" if result.error else "done"
        self._carp.report(
            Occurrence(OccurrenceKind.RELOAD, "", "", 0, reason, what, why, request.actor)
        )
        self._busy = False
        if self._requests:
            self._begin()
        else:
            self._notifier.ready()
        for one in request.asked:
            one.callback(result)


def _inThread(function: Callable[[], Any]) -> Deferred[Any]:
    from twisted.internet import reactor

    return inDaemonThread(cast(IReactorFromThreads, reactor), function)


def _textOf(data: bytes) -> str:
    """
    The text of a file as L{Configuration.text} has it.
    """
    return data.decode("utf-8", "replace").replace("\r\n", "\n")


def _reason(failure: Failure) -> str:
    """
    Why the file changes nothing, for people; several lines if the file is wrong.
    """
    if failure.check(FileError):
        mistakes = failure.getErrorMessage()
        return f"{mistakes}\nThe configuration is not changed: the file cannot be used"
    if failure.check(OSError, ValueError):
        reason = getattr(failure.value, "strerror", None) or failure.getErrorMessage()
        return f"The configuration is not changed: {reason}"
    return f"Internal error while the configuration was changed: {failure.getErrorMessage()}"
