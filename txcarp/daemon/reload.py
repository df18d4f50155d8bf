"""
Reading the configuration file again while the process runs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, cast

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import Logger
from twisted.python.failure import Failure

from txcarp.addresses import VirtualAddress
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.configuration.problems import FileError
from txcarp.configuration.request import CommandLine, Configuration
from txcarp.daemon.precautions import badScripts
from txcarp.network.defaults import sourceOn
from txcarp.network.sockets import checkCapabilities
from txcarp.service import CARPService
from txcarp.statestore import inDaemonThread

#: The settings of the process, which do not change while it runs, with their keys.
_FIXED = {"stateFile": "state_file", "facility": "facility"}

#: Calls a function in a thread.
_InThread = Callable[[Callable[[], Any]], Deferred[Any]]


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
        self._busy = self._again = False

    def reload(self) -> None:
        """
        Read the file, and change the service.  What happens is logged.
        """
        path = self._file.path
        if self._busy:
            self._again = True
            self._log.info("The last change is not complete: {path} is read after that", path=path)
            return
        self._busy, self._again = True, False
        self._log.info("Reading {path} again", path=path)
        inThread = self._inThread
        if inThread is None:
            from twisted.internet import reactor

            inThread = partial(inDaemonThread, cast(IReactorFromThreads, reactor))
        present = {
            host.configuration.name: host.configuration for host in self._carp.virtualHosts
        }
        done = maybeDeferred(inThread, partial(self._read, present))
        done.addCallback(self._change).addErrback(self._refused).addBoth(self._ended)

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

    def _change(self, read: tuple[Configuration, list[str]]) -> Deferred[None] | None:
        file, warnings = read
        if not self._carp.running:
            return None  # the process is about to end
        groups = self._line.groupsOf(file)
        checkCapabilities(any(one.assign for one in groups))
        done = self._carp.reconfigure(groups)
        for text in warnings:
            self._log.warn("{text}", text=text)
        for setting, key in _FIXED.items():
            if getattr(file, setting) != getattr(self._file, setting):
                self._log.warn(
                    "{key} in [daemon] has changed, which has no effect before txcarp is started "
                    "again",
                    key=key,
                )
        return done.addCallbacks(self._changed, self._changedInPart)

    def _changed(self, result: None) -> None:
        self._log.info("The configuration in {path} is in effect", path=self._file.path)

    def _changedInPart(self, failure: Failure) -> None:
        self._log.error(
            "The configuration in {path} is in effect only in part: {reason}",
            path=self._file.path,
            reason=failure.getErrorMessage(),
        )

    def _refused(self, failure: Failure) -> None:
        if failure.check(FileError):
            for text in failure.getErrorMessage().splitlines():
                self._log.error("{text}", text=text)
            reason = "the file is wrong"
        elif failure.check(OSError, ValueError):
            reason = getattr(failure.value, "strerror", None) or failure.getErrorMessage()
        else:
            self._log.failure("Internal error while the configuration was changed", failure)
            return
        self._log.error("The configuration is not changed: {reason}", reason=reason)

    def _ended(self, result: object) -> None:
        self._busy = False
        if self._again:
            self.reload()
