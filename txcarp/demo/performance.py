"""
One run of C{txcarp demo}: everything is made, runs, and is removed again.
"""

from __future__ import annotations

import secrets
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from socket import inet_aton
from typing import Any

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from twisted.internet.defer import CancelledError, Deferred, DeferredList, TimeoutError
from twisted.python.failure import Failure

from txcarp.clock.monotonic import MonotonicClock
from txcarp.demo.display import Display, LiveDisplay
from txcarp.demo.door import Door
from txcarp.demo.hosts import VHID, DemoHost, writePassword
from txcarp.demo.outcome import summary
from txcarp.demo.story import Story, StoryFailed
from txcarp.demo.timeline import Timeline
from txcarp.demo.witness import Witness, openCapture
from txcarp.protocol.authentication import Authenticator
from txcarp.screen.output import Output
from txcarp.testbed import Testbed, TestbedUnavailable
from txcarp.testbed.pinger import Pinger, openPingSocket

#: Exit statuses.
SEEN, FAILED, CANNOT_RUN = 0, 1, 2

_PROGRAM = "txcarp demo"

_ADDRESS, _PREFIX = "10.99.0.100", 24
_HOSTS = (("alpha", "10.99.0.1", 0), ("beta", "10.99.0.2", 50))
_CLIENT = "10.99.0.200"

#: The signals that end a program.
ENDING = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT}

#: Seconds until a daemon is started again that somebody has killed.
_REST = 10.0

_REMOVED = "All networks, daemons and files have been removed. Next: txcarp init --help"

#: Seconds that killed processes may take to end.
_GONE = 5.0


def demonstrate(once: bool, keepLogs: Path | None, stay: bool = False) -> int:
    """
    Run the demonstration.

    @param once: Whether to print lines only.
    @param keepLogs: The directory for the logs of the daemons; C{None} to delete them.
    @param stay: Whether the hosts have pages for browsers, and go on until a signal.
    @return: The exit status.
    """
    try:
        with _signalsHeld():
            return _perform(once, keepLogs, stay)
    except (TestbedUnavailable, OSError) as error:
        print(f"{_PROGRAM}: {_explanation(error)}", file=sys.stderr)
        return CANNOT_RUN


@contextmanager
def _signalsHeld() -> Iterator[None]:
    """
    Have signals wait while things are made, until L{Performance.run}, and ignore them from the end
    on.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        for number in ENDING:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)


def _perform(once: bool, keepLogs: Path | None, stay: bool) -> int:
    with Testbed.create() as testbed, tempfile.TemporaryDirectory(prefix="txcarp-demo-") as name:
        directory = Path(name)
        logs = keepLogs or directory
        logs.mkdir(parents=True, exist_ok=True)
        if not _heldSignal():
            # Without root, this process must not have had a thread before.
            from twisted.internet import reactor

            performance = Performance(reactor, testbed, directory, logs, once, stay)
            if not _heldSignal():
                return performance.run()
        return 128 + _heldSignal()


def _heldSignal() -> int:
    """
    The number of a signal that waits; 0 without one.
    """
    return min(signal.sigpending() & ENDING, default=0)


def _explanation(error: Exception) -> str:
    """
    The text of an error, without its number.
    """
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror


class Performance:
    """
    The hosts, the client, and the story that they are in.
    """

    def __init__(
        self,
        reactor: Any,
        testbed: Testbed,
        directory: Path,
        logs: Path,
        once: bool,
        stay: bool = False,
    ) -> None:
        self._reactor = reactor
        self._clock = MonotonicClock(reactor)
        self._status = FAILED
        self._stays = stay
        self._pages: dict[str, str] = {}
        self._telling: Deferred[Any] | None = None
        password = secrets.token_hex(8).encode()
        passwordFile = writePassword(directory, password)
        self._hosts = [
            DemoHost(
                reactor,
                testbed.node(name, f"{source}/{_PREFIX}"),
                skew,
                f"{_ADDRESS}/{_PREFIX}",
                passwordFile,
                logs,
                stay,
            )
            for name, source, skew in _HOSTS
        ]
        client = testbed.node("client", f"{_CLIENT}/{_PREFIX}")
        with client.inside():
            pings, packets = openPingSocket(_ADDRESS), openCapture("eth0")
        self._pinger = Pinger(reactor, self._clock, pings, _ADDRESS)
        self._witness = Witness(
            reactor,
            packets,
            Authenticator(password, VHID, [inet_aton(_ADDRESS)]),
            VHID,
            _ADDRESS,
            {host.hardwareAddress: host.name for host in self._hosts},
        )
        # Later, since the story cannot be cancelled while it tells something.
        output = Output(sys.stdout, _PROGRAM, lambda: reactor.callLater(0, self._end))
        timeline = Timeline([host.name for host in self._hosts], self._clock.seconds)
        if output.isTerminal and not once:
            self._display: Display = LiveDisplay(output, timeline, self._clock)
        else:
            self._display = Display(output, timeline)
        self._story = Story(
            self._clock, self._hosts, self._witness, self._pinger, timeline, self._display
        )
        for host in self._hosts:
            host.noticed = partial(self._story.noticed, host)
        self._witness.advertised = self._story.advertised
        self._witness.answered = self._story.answered

    def run(self) -> int:
        """
        Run the reactor until the end of the story, or a signal.

        @return: The exit status.
        """
        self._reactor.callWhenRunning(self._begin)
        self._reactor.run()
        return self._status

    def _begin(self) -> None:
        def end(number: int, frame: object) -> None:
            self._reactor.callFromThread(self._end, 128 + number)

        # Not earlier: when it begins to run, Twisted sets handlers of its own.
        for number in ENDING:
            signal.signal(number, end)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
        Deferred.fromCoroutine(self._play()).addErrback(self._broken)

    def _broken(self, failure: Failure) -> None:
        # A bug in the demonstration.
        self._status = FAILED
        failure.printTraceback(sys.stderr)

    def _end(self, status: int = FAILED) -> None:
        if self._telling is not None and not self._telling.called:
            self._status = status
            self._telling.cancel()

    async def _play(self) -> None:
        try:
            try:
                lines = await self._tell()
            finally:
                self._display.freeze()
            await self._tidyUp()
            self._display.end(*lines)
        finally:
            self._clock.stop()
            self._reactor.stop()

    async def _tell(self) -> list[RenderableType]:
        """
        Tell the story.

        @return: What to show when everything is removed.
        """
        self._display.begin(
            f"{_PROGRAM}: alpha and beta share {_ADDRESS}; a client pings it every 2 ms"
        )
        try:
            if self._stays:
                self._open()
            self._witness.startReading()
            self._pinger.start()
            self._telling = Deferred.fromCoroutine(self._story.run())
            takeovers = await self._telling
        except CancelledError:
            return ["", "Interrupted; nothing is left behind."]
        except (StoryFailed, OSError) as failed:
            self._display.event("failed", _explanation(failed))
            return self._lastLines()
        self._status = SEEN
        if self._stays:
            await self._stay(summary(takeovers))
            return ["", _REMOVED]
        return [*summary(takeovers), "", _REMOVED]

    def _open(self) -> None:
        """
        Have browsers on this machine reach the page of each host.
        """
        for host in self._hosts:
            port = self._reactor.listenTCP(0, Door(host.visit), interface="127.0.0.1")
            self._pages[host.name] = f"http://127.0.0.1:{port.getHost().port}/"
            self._display.event("page", f"{host.name}: {self._pages[host.name]}")

    async def _stay(self, lines: list[RenderableType]) -> None:
        """
        Go on until a signal.  A daemon that has ended is started again.
        """
        self._display.freeze()
        self._pinger.stop()
        self._witness.stop()
        for host in self._hosts:
            host.noticed = partial(self._revive, host)
            if host.daemon is None or host.daemon.ending:
                host.start()
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="none")
        for heading in ("", "page", "to kill its daemon"):
            table.add_column(heading, no_wrap=True)
        for host in self._hosts:
            assert host.daemon is not None
            table.add_row(host.name, self._pages[host.name], f"kill -9 {host.daemon.pid}")
        self._display.end(
            *lines,
            "",
            "Both hosts stay until Ctrl-C:",
            "",
            Padding(table, (0, 0, 0, 2)),
            "",
        )
        self._telling = Deferred()
        try:
            await self._telling
        except CancelledError:
            self._status = SEEN  # the signal is how this ends
        for host in self._hosts:
            host.noticed = lambda: None

    def _revive(self, host: DemoHost) -> None:
        daemon = host.daemon
        if daemon is not None and daemon.ending:
            host.noticed = lambda: None
            self._display.end(
                f"{host.name} has ended ({daemon.ending}). It is started again in {_REST:.0f} s."
            )
            self._clock.callLater(_REST, self._again, host)

    def _again(self, host: DemoHost) -> None:
        if self._telling is not None and not self._telling.called:
            host.start()
            host.noticed = partial(self._revive, host)
            if host.daemon is not None:
                self._display.end(f"{host.name} is started again, as process {host.daemon.pid}.")

    async def _tidyUp(self) -> None:
        self._pinger.stop()
        self._witness.stop()
        daemons = [host.daemon for host in self._hosts if host.daemon is not None]
        for daemon in daemons:
            daemon.signal(signal.SIGKILL)
        try:
            gone = DeferredList([daemon.exit for daemon in daemons])
            await gone.addTimeout(_GONE, self._clock)
        except TimeoutError:
            pass  # they die with this process at the latest

    def _lastLines(self) -> list[RenderableType]:
        lines: list[str] = []
        for host in self._hosts:
            if host.daemon is not None and host.daemon.lines:
                lines += ["", f"The last lines of {host.name}:"]
                lines += (f"  {line}" for _, line in host.daemon.lines)
        return [Text("\n".join(lines), no_wrap=True, overflow="ignore")]
