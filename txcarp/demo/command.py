"""
The command: everything made, held together and taken away again.
"""

from __future__ import annotations

import os
import secrets
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from socket import inet_aton
from types import FrameType
from typing import Any, TextIO

from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.python import usage
from twisted.python.failure import Failure

from txcarp.clock.monotonic import MonotonicClock
from txcarp.demo import witness
from txcarp.demo.cast import VHID, Equipment, Host
from txcarp.demo.display import IDisplay, LiveDisplay, PlainDisplay, Screen
from txcarp.demo.outcome import Outcome, summary
from txcarp.demo.story import Story
from txcarp.demo.waiting import StoryFailed
from txcarp.protocol.authentication import Authenticator
from txcarp.testbed import Testbed, TestbedUnavailable
from txcarp.testbed.pinger import Pinger, openSocket

SEEN, FAILED, CANNOT_RUN = 0, 1, 2
_WRONG_USAGE = 1

_ADDRESS, _PREFIX = "10.99.0.100", 24
_HOSTS = (("alpha", "10.99.0.1", 0), ("beta", "10.99.0.2", 50))
_CLIENT = "10.99.0.200"

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)

#: Seconds that killed processes may take to be gone.
_GONE = 5.0


class DemoOptions(usage.Options):
    """
    The options of C{txcarp demo}.
    """

    synopsis = "Usage: txcarp demo [options]"
    longdesc = (
        "Two hosts share an address, on this machine and in networks of its own that vanish "
        "afterwards: one fails, and one is stopped, while a client pings. Needs no root where "
        "users may have namespaces. Exit status: 0 after both hand-overs, 1 if one was not seen, "
        "2 if this machine cannot run it, 128 and its number after a signal."
    )
    optFlags = [["once", None, "plain lines without pictures"]]  # noqa: RUF012
    optParameters = [["keep-logs", None, None, "keep the logs of both daemons in this folder"]]  # noqa: RUF012

    def opt_version(self) -> None:
        """
        print the version and exit
        """
        from txcarp import __version__

        print(f"txcarp {__version__}")
        raise SystemExit(0)

    def parseArgs(self, *operands: str) -> None:
        """
        There are none.
        """
        if operands:
            raise usage.UsageError(f"{operands[0]!r} is not expected")


class _Ended(BaseException):
    """
    A signal that ends it came before the reactor ran.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class _Interruption:
    """
    Ends what runs without a reactor at a signal.

    @ivar number: that of the signal; 0 before one came.
    """

    def __init__(self) -> None:
        self.number = 0
        for each in _ENDING:
            signal.signal(each, self._arrived)

    def _arrived(self, number: int, frame: FrameType | None) -> None:
        for each in _ENDING:
            signal.signal(each, signal.SIG_IGN)  # tidying up takes a moment
        self.number = number
        raise _Ended(number)

    @contextmanager
    def heldBack(self) -> Iterator[None]:
        """
        Run a C{with} block to its end before a signal has its effect.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)

    def check(self) -> None:
        """
        Python drops an exception that comes at some moments (while an object is
        destroyed): raise it again.
        """
        if self.number:
            raise _Ended(self.number)


def _why(error: Exception) -> str:
    """
    What an error says, without its number.
    """
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror


def main(arguments: Sequence[str]) -> int:
    """
    Run C{txcarp demo}.

    @param arguments: the command line after C{demo}.
    @return: the exit status.
    """
    options = DemoOptions()  # type: ignore[no-untyped-call]
    try:
        options.parseOptions(list(arguments))  # type: ignore[no-untyped-call]
    except usage.UsageError as error:
        print(f"txcarp demo: {error}\nTry 'txcarp demo --help'.", file=sys.stderr)
        return _WRONG_USAGE
    try:
        return _perform(options, _Interruption())
    except (TestbedUnavailable, OSError) as error:
        print(f"txcarp demo: {_why(error)}", file=sys.stderr)
        return CANNOT_RUN
    except _Ended as ended:
        return 128 + ended.number


def _perform(options: DemoOptions, interruption: _Interruption) -> int:
    """
    Make everything, run it, and take it away.

    @return: the exit status.
    @raise OSError: if it cannot be made.
    """
    with ExitStack() as stack:
        testbed = stack.enter_context(Testbed.create())
        with interruption.heldBack():
            files = tempfile.TemporaryDirectory(prefix="txcarp-demo-")
            directory = Path(stack.enter_context(files))
        logs = Path(options["keep-logs"] or directory)
        logs.mkdir(parents=True, exist_ok=True)
        # Not before: the process of a user must not have a thread until here.
        from twisted.internet import reactor

        performance = Performance(reactor, testbed, directory, logs, bool(options["once"]))
        performance.takeSignals()
        interruption.check()
        return performance.run()
    raise AssertionError("an ExitStack hides no exception here")


class Performance:
    """
    One demonstration, from its hosts to its end.
    """

    def __init__(
        self, reactor: Any, testbed: Testbed, directory: Path, logs: Path, once: bool
    ) -> None:
        self._reactor = reactor
        self._clock = MonotonicClock(reactor)
        self._status = FAILED
        self._logs = logs
        password = secrets.token_hex(8).encode()
        address = f"{_ADDRESS}/{_PREFIX}"
        equipment = Equipment.make(directory, address, password)
        self._hosts = [
            Host(reactor, testbed.node(name, f"{source}/{_PREFIX}"), source, equipment, skew, logs)
            for name, source, skew in _HOSTS
        ]
        client = testbed.node("client", f"{_CLIENT}/{_PREFIX}")
        with client.inside():
            pings, packets = openSocket(_ADDRESS), witness.openSocket("eth0")
        self._pinger = Pinger(reactor, self._clock, pings, _ADDRESS)
        self._witness = witness.Witness(
            reactor,
            packets,
            Authenticator(password, VHID, [inet_aton(_ADDRESS)]),
            VHID,
            _ADDRESS,
            {host.hardwareAddress: host.name for host in self._hosts},
        )
        self._display = self._chooseDisplay(sys.stdout, os.environ, once)
        self._story = Story(self._clock, self._hosts, self._witness, self._pinger, self._display)
        for host in self._hosts:
            host.noticed = partial(self._story.noticed, host)
        self._witness.advertised = self._story.advertised
        self._witness.answered = self._story.answered
        self._telling: Deferred[Outcome] | None = None

    def takeSignals(self) -> None:
        """
        End in good order at a signal, from now on.
        """
        for number in _ENDING:
            signal.signal(number, self._signalled)

    def run(self) -> int:
        """
        Show it.

        @return: the exit status.
        """
        self._reactor.callWhenRunning(self._begin)
        self._reactor.run()
        return self._status

    def _chooseDisplay(
        self, output: TextIO, environment: Mapping[str, str], once: bool
    ) -> IDisplay:
        # Later: a story cannot be cancelled while it says something.
        screen = Screen(output, lambda: self._reactor.callLater(0, self._end))
        dumb = environment.get("NO_COLOR") or environment.get("TERM", "dumb") == "dumb"
        if once or dumb or not output.isatty():
            return PlainDisplay(screen, self._clock.seconds)
        return LiveDisplay(screen, self._clock, [host.name for host in self._hosts])

    def _begin(self) -> None:
        self.takeSignals()  # Twisted has put handlers of its own in place by now
        Deferred.fromCoroutine(self._perform()).addErrback(self._broken)

    def _broken(self, failure: Failure) -> None:
        # A fault of the demonstration itself.
        self._status = FAILED
        failure.printTraceback(sys.stderr)

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        self._reactor.callFromThread(self._interrupt, number)

    def _interrupt(self, number: int) -> None:
        if self._telling is not None and not self._telling.called:
            self._status = 128 + number
            self._end()

    def _end(self) -> None:
        if self._telling is not None:
            self._telling.cancel()

    async def _perform(self) -> None:
        try:
            lines = await self._tell()
            self._display.freeze()
            await self._tidyUp()
            self._display.end(lines)
        finally:
            self._clock.stop()
            self._reactor.stop()

    async def _tell(self) -> list[str]:
        """
        Have the story told.

        @return: what is to be said when all is tidied up.
        """
        self._display.begin(
            f"txcarp demo: alpha and beta share {_ADDRESS}; a client pings it every 2 ms"
        )
        try:
            self._witness.start()
            self._pinger.start()
            self._telling = Deferred.fromCoroutine(self._story.run())
            lines = summary(await self._telling)
            self._status = SEEN
        except CancelledError:
            return ["", "Ended before its end; nothing is left behind."]
        except (StoryFailed, OSError) as failed:
            self._display.event("failed", _why(failed))
            return self._lastLines()
        return lines

    async def _tidyUp(self) -> None:
        self._pinger.stop()
        self._witness.stop()
        daemons = [host.daemon for host in self._hosts if host.daemon is not None]
        running = [daemon for daemon in daemons if daemon.running]
        for daemon in running:
            daemon.signal("KILL")
        gone = DeferredList([daemon.ended for daemon in running])
        gone.addTimeout(_GONE, self._clock)
        try:
            await gone
        except TimeoutError:
            pass  # they die with this process at the latest

    def _lastLines(self) -> list[str]:
        lines = []
        for host in self._hosts:
            if host.daemon is not None and host.daemon.lines:
                lines += ["", f"The last lines of {host.name}:"]
                lines += [f"  {line}" for line in host.daemon.lines]
        return lines
