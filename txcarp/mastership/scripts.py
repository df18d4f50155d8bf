"""
Running the up and down scripts.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from signal import Signals
from typing import cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.interfaces import (
    IDelayedCall,
    IProcessTransport,
    IReactorProcess,
    IReactorTime,
)
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txcarp.bequest import ScriptCommand
from txcarp.change import Change, ScriptResult
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.interfaces import IMastershipStep, IScriptRunner
from txcarp.protocol.effects import Reason, Role

#: Seconds from SIGTERM to SIGKILL for a script that takes too long.
GRACE = 2.0

#: Seconds after the end of a script in which its output is still logged.
_LINGER = 1.0

#: The most lines that are logged for one run.  The others are counted.
_MAXIMUM_LINES = 100

#: The most bytes of a line that are logged.
_MAXIMUM_LINE = 500

#: Runs a program as the leader of a session, and thereby of a process group (util-linux; every
#: Debian has it).  Twisted cannot do that between fork and exec.
SETSID = "/usr/bin/setsid"


class ScriptFailed(Exception):
    """
    A script could not be started, or failed.
    """


class _Script(ProcessProtocol):
    """
    One run of a script.

    The run ends when the process ends, not when its pipes are closed: a daemon that the
    script started keeps them open.  Its output is read and dropped, so that the daemon
    neither blocks nor gets SIGPIPE when it writes.
    """

    transport: IProcessTransport
    _log = Logger()

    def __init__(
        self, path: str, clock: IReactorTime, timeLimit: float | None, leads: bool
    ) -> None:
        """
        @param leads: Whether the process leads a process group.
        """
        self.ended: Deferred[ScriptResult] = Deferred()
        self._path = path
        self._leads = leads
        self._group: int | None = None
        self._clock = clock
        self._timeLimit = timeLimit
        self._timer: IDelayedCall | None = None
        self._lastWords: IDelayedCall | None = None
        self._timedOut = False
        self._pending = {1: b"", 2: b""}
        self._lines = 0
        self._listening = True

    def connectionMade(self) -> None:
        self.transport.closeStdin()
        if self._leads:
            self._group = self.transport.pid
        if self._timeLimit is not None:
            self._timer = self._clock.callLater(self._timeLimit, self._expired)

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        if not self._listening:
            return
        lines = (self._pending.get(childFD, b"") + data).split(b"\n")
        # Cut, so that a line without an end does not fill the memory.
        self._pending[childFD] = lines.pop()[:_MAXIMUM_LINE]
        for line in lines:
            self._logLine(line)

    def processExited(self, reason: Failure) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if self._timedOut and self._group is not None:
            # The kernel gives the number to no other process while the group has members.
            with suppress(OSError):
                os.killpg(self._group, Signals.SIGKILL)
        self._lastWords = self._clock.callLater(_LINGER, self._listenNoMore)
        ended, self.ended = self.ended, Deferred()
        ended.callback(self._result(reason))

    def processEnded(self, reason: Failure) -> None:
        if self._lastWords is not None and self._lastWords.active():
            self._lastWords.cancel()
        self._listenNoMore()

    def _listenNoMore(self) -> None:
        if not self._listening:
            return
        self._listening = False
        for rest in self._pending.values():
            if rest:
                self._logLine(rest)
        if self._lines > _MAXIMUM_LINES:
            self._log.info(
                "{path}: {count} more lines were not logged",
                path=self._path,
                count=self._lines - _MAXIMUM_LINES,
            )

    def _result(self, reason: Failure) -> ScriptResult:
        if reason.check(ProcessDone):
            return ScriptResult(status=0, timedOut=self._timedOut)
        ended = cast(ProcessTerminated, reason.value)
        name = "" if ended.signal is None else Signals(ended.signal).name
        return ScriptResult(status=ended.exitCode, signal=name, timedOut=self._timedOut)

    def _logLine(self, line: bytes) -> None:
        self._lines += 1
        if self._lines <= _MAXIMUM_LINES:
            text = line[:_MAXIMUM_LINE].decode("utf-8", "backslashreplace").rstrip("\r")
            self._log.info("{path}: {line}", path=self._path, line=text)

    def _expired(self) -> None:
        self._timedOut = True
        self._log.error(
            "{path} did not end within {limit} s: sending SIGTERM, and SIGKILL in {grace} s",
            path=self._path,
            limit=self._timeLimit,
            grace=GRACE,
        )
        self._signal("TERM")
        self._timer = self._clock.callLater(GRACE, self._signal, "KILL")

    def _signal(self, name: str) -> None:
        try:
            if self._group is not None and os.getpgid(self._group) == self._group:
                os.killpg(self._group, Signals[f"SIG{name}"])
            else:
                self.transport.signalProcess(name)
        except (ProcessExitedAlready, OSError):
            pass  # it has ended meanwhile, or runs as another user


@implementer(IScriptRunner)
class ProcessRunner:
    """
    Runs scripts as child processes.  A relative path is relative to the directory in which
    the runner was made, since a daemon changes its directory.
    """

    def __init__(self, reactor: IReactorProcess, clock: IReactorTime) -> None:
        self._reactor = reactor
        self._clock = clock
        try:
            self._directory = os.getcwd()
        except OSError:
            self._directory = "/"  # the directory is deleted, and has no files

    def run(
        self,
        path: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        timeLimit: float | None,
        *,
        whole: bool = False,
    ) -> Deferred[ScriptResult]:
        executable = self.locate(path)
        words = [path, *arguments]
        leads = whole and os.access(SETSID, os.X_OK)
        if leads:
            if problem := _whyNot(executable):
                return succeed(ScriptResult(error=problem))
            executable, words = SETSID, [SETSID, executable, *arguments]
        script = _Script(path, self._clock, timeLimit, leads)
        ended = script.ended
        try:
            self._reactor.spawnProcess(
                script, executable, words, env={**os.environ, **environment}
            )
        except OSError as error:
            return succeed(ScriptResult(error=error.strerror or str(error)))
        return ended

    def locate(self, path: str) -> str:
        return os.path.normpath(os.path.join(self._directory, path))


def _whyNot(path: str) -> str:
    """
    Why a file cannot be run, as the kernel would say; empty if it can.
    """
    code = 0
    if not os.path.exists(path):
        code = errno.ENOENT
    elif os.path.isdir(path) or not os.access(path, os.X_OK):
        code = errno.EACCES
    return os.strerror(code) if code else ""


@implementer(IMastershipStep)
class ScriptStep:
    """
    The two scripts of a virtual host.  They have ucarp's arguments, and the facts about the
    change in the environment.
    """

    name = "script"
    timeLimit = None  # the runner ends a script that takes too long
    _log = Logger()

    def __init__(
        self,
        runner: IScriptRunner,
        configuration: VirtualHostConfiguration,
        *,
        required: bool = False,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        """
        @param required: Whether a host where the up script fails must not be master.
        @param changed: Called when L{bequest} has changed.
        """
        self.required = required
        self._changed = changed
        self._isDown = True
        self._runner = runner
        self._configuration = configuration

    def adopt(self, configuration: VirtualHostConfiguration) -> None:
        """
        Run other scripts, or in another way, from the next change of role on.
        """
        self._configuration = configuration

    @property
    def hasBequest(self) -> bool:
        """
        Whether the down script runs when a master dies.
        """
        return self._configuration.shutdown and bool(self._configuration.downScript)

    def bequest(self) -> ScriptCommand | None:
        """
        Return what another process has to run if this one dies now; C{None} for nothing: the up
        script has not run, or the down script has.
        """
        own = self._configuration
        if self._isDown or not self.hasBequest:
            return None
        path = self._runner.locate(own.downScript or "")
        if path is None:
            return None
        texts = tuple(address.text for address in own.addresses)
        change = Change(Role.BACKUP, Role.MASTER, Reason.PAUSED, own.vhid, own.interface, texts)
        command = [own.downScript or "", *self._arguments(change)]
        return ScriptCommand(path, command, factsOf(change, own.title), own.scriptTimeout)

    def acquire(self, change: Change) -> Deferred[None] | None:
        self._isDown = False
        if self._configuration.shutdown:
            self._changed()
        return self._run(self._configuration.upScript, change)

    def release(self, change: Change) -> Deferred[None] | None:
        self._isDown = True
        if self._configuration.shutdown:
            self._changed()
        if change.reason is Reason.STARTED and self._configuration.neutral:
            return None
        if change.reason is Reason.STOPPED and not self._configuration.shutdown:
            return None
        return self._run(self._configuration.downScript, change)

    def _run(self, path: str | None, change: Change) -> Deferred[None] | None:
        if not path:
            return None
        own = self._configuration
        arguments = self._arguments(change)
        command = " ".join([path, *arguments])
        self._log.warn("Spawning [{command}]", command=command)

        def ended(result: ScriptResult) -> None:
            if result.error:
                raise ScriptFailed(f"Unable to exec {command}: {result.error}")
            if not result.good:
                raise ScriptFailed(f"{command}: {result.explain()}")
            self._log.info("{command}: {end}", command=command, end=result.explain())

        facts = factsOf(change, own.title)
        running = self._runner.run(path, arguments, facts, own.scriptTimeout)
        return running.addCallback(ended)

    def _arguments(self, change: Change) -> list[str]:
        own = self._configuration
        more = [] if own.parameter is None else [own.parameter]
        return [own.label or change.interface, change.addresses[0], *more]


def factsOf(change: Change, title: str | None) -> dict[str, str]:
    """
    The variables that a script gets in its environment.

    @param title: The name of the group in the configuration file; C{None} if it has none.
    """
    return {
        "TXCARP_STATE": change.role.value,
        "TXCARP_PREVIOUS_STATE": change.previous.value,
        "TXCARP_VHID": str(change.vhid),
        "TXCARP_INTERFACE": change.interface,
        "TXCARP_ADDRESSES": " ".join(change.addresses),
        "TXCARP_REASON": change.reason.token,
        "TXCARP_PEER": change.peer,
        **({} if title is None else {"TXCARP_GROUP": title}),
    }
