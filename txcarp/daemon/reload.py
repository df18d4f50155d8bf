"""
Reading the configuration file again while the process runs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, cast

import attrs
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txcarp.addresses import VirtualAddress
from txcarp.change import ReloadResult
from txcarp.configuration.difference import difference
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.configuration.problems import FileError
from txcarp.configuration.request import CommandLine, Configuration
from txcarp.daemon.precautions import badScripts
from txcarp.interfaces import IReloader
from txcarp.network.defaults import sourceOn
from txcarp.network.sockets import checkCapabilities
from txcarp.occurrences import Occurrence, OccurrenceKind
from txcarp.protocol.actor import Actor
from txcarp.service import CARPService
from txcarp.statestore import inDaemonThread

#: The settings of the process, which do not change while it runs, with their keys.
_FIXED = {"stateFile": "state_file", "control": "control", "facility": "facility"}

#: Calls a function in a thread.
_InThread = Callable[[Callable[[], Any]], Deferred[Any]]


@implementer(IReloader)
class Reloader:
    """
    Changes a running service to what its configuration file says now.

    The file is read in a thread, because a disk may hang.  If anything is wrong with it, nothing
    changes.  One reload is under way at most; requests meanwhile lead to one more.
    """

    _log = Logger()

    def __init__(
        self,
        carp: CARPService,
        line: CommandLine,
        file: Configuration,
        inThread: _InThread | None = None,
    ) -> None:
        """
        @param file: What was read at the start.
        @param inThread: Calls the function that reads; by default in a daemon thread.
        """
        self._carp = carp
        self._line = line
        self._file = file
        self._inThread = inThread
        self._busy = False
        #: What waits for the present reading, and for the next one.
        self._asked: list[Deferred[ReloadResult]] = []
        self._waiting: list[Deferred[ReloadResult]] = []
        #: Who asked last.
        self._actor: Actor | None = None

    def reload(self, actor: Actor | None = None) -> Deferred[ReloadResult]:
        """
        See L{IReloader.reload}.  What happens is logged.
        """
        done: Deferred[ReloadResult] = Deferred()
        self._waiting.append(done)
        self._actor = actor
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
        done = self._readInThread().addCallback(lambda read: self._plan(*read)[1])
        return done.addErrback(lambda failure: ReloadResult(error=_reason(failure)))

    def _begin(self) -> None:
        self._busy = True
        self._asked, self._waiting = self._waiting, []
        self._log.info("Reading {path} again", path=self._file.path)
        actor = self._actor
        done = self._readInThread().addCallback(lambda read: self._change(actor, *read))
        done.addErrback(self._refused).addCallback(self._ended, actor)

    def _readInThread(self) -> Deferred[tuple[Configuration, list[str]]]:
        inThread = self._inThread
        if inThread is None:
            from twisted.internet import reactor

            inThread = partial(inDaemonThread, cast(IReactorFromThreads, reactor))
        return maybeDeferred(inThread, partial(self._read, self._present()))

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

        def source(
            interface: str, addresses: Sequence[VirtualAddress], virtual: Collection[bytes]
        ) -> bytes:
            try:
                # The addresses of groups that are no longer in the file may still be here.
                return sourceOn(interface, addresses, held.union(virtual))
            except (OSError, ValueError):
                # An interface that is away for a moment must not keep the other groups from
                # changing.
                if interface in known:
                    return known[interface]
                raise

        file = readFile(self._file.path, sources=source)
        changed = [one for one in self._line.groupsOf(file) if present.get(one.name) != one]
        found = [text for one in changed for _, text in badScripts(one)]
        return file, [*file.warnings, *found]

    def _plan(
        self, file: Configuration, found: list[str]
    ) -> tuple[tuple[VirtualHostConfiguration, ...], ReloadResult]:
        """
        Find out what a file changes.

        @return: The configurations of all groups, and what is said about the change.
        @raise MissingCapability: If this process may not do what the file asks for.
        """
        groups = self._line.groupsOf(file)
        checkCapabilities(any(one.assign for one in groups))
        fixed = [
            f"{key} in [daemon] has changed, which has no effect before txcarp is started again"
            for setting, key in _FIXED.items()
            if getattr(file, setting) != getattr(self._file, setting)
        ]
        lines = difference(self._present().values(), groups).lines()
        return groups, ReloadResult(tuple(lines), (*found, *fixed))

    def _change(
        self, actor: Actor | None, file: Configuration, found: list[str]
    ) -> Deferred[ReloadResult] | ReloadResult:
        if not self._carp.running:
            return ReloadResult(error="The configuration is not changed: txcarp is about to end")
        groups, result = self._plan(file, found)
        done = self._carp.reconfigure(groups, actor)
        for text in result.warnings:
            self._log.warn("{text}", text=text)
        return done.addCallbacks(
            self._changed, self._changedInPart, callbackArgs=(result,), errbackArgs=(result,)
        )

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

    def _ended(self, result: ReloadResult, actor: Actor | None) -> None:
        what = "the configuration was read again"
        why = result.error or "; ".join(result.lines)
        reason = "refused" if result.error else "done"
        self._carp.report(Occurrence(OccurrenceKind.RELOAD, "", "", 0, reason, what, why, actor))
        asked = self._asked
        self._busy = False
        if self._waiting:
            self._begin()
        for one in asked:
            one.callback(result)


def _reason(failure: Failure) -> str:
    """
    Why the file changes nothing, for people; several lines if the file is wrong.
    """
    if failure.check(FileError):
        mistakes = failure.getErrorMessage()
        return f"{mistakes}\nThe configuration is not changed: the file is wrong"
    if failure.check(OSError, ValueError):
        reason = getattr(failure.value, "strerror", None) or failure.getErrorMessage()
        return f"The configuration is not changed: {reason}"
    return f"Internal error while the configuration was changed: {failure.getErrorMessage()}"
