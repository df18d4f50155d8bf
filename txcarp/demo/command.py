# Tests: tests.test_demo
"""
The command: everything made, held together and taken away again.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.python import usage
from twisted.python.failure import Failure

from txcarp.clock import MonotonicClock
from txcarp.demo import witness
from txcarp.demo.cast import VHID, Equipment, Host
from txcarp.demo.display import IDisplay, LiveDisplay, PlainDisplay
from txcarp.demo.story import Outcome, Story, duration
from txcarp.demo.waiting import StoryFailed
from txcarp.pinger import Pinger, openSocket
from txcarp.protocol.authentication import Authenticator
from txcarp.testbed import Testbed, TestbedUnavailable

SEEN, FAILED, CANNOT_RUN = 0, 1, 2
_WRONG_USAGE = 1

_ADDRESS, _PREFIX = "10.99.0.100", 24
_HOSTS = (("alpha", "10.99.0.1", 0), ("beta", "10.99.0.2", 50))
_CLIENT = "10.99.0.200"

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

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
        "2 if this machine cannot run it."
    )
    optFlags = [["once", None, "plain lines without pictures"]]  # noqa: RUF012
    optParameters = [["keep-logs", None, None, "keep the logs of both daemons in this folder"]]  # noqa: RUF012

    def parseArgs(self, *operands: str) -> None:
        """
        There are none.
        """
        if operands:
            raise usage.UsageError(f"{operands[0]!r} is not expected")


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
    with ExitStack() as stack:
        try:
            testbed = stack.enter_context(Testbed.create())
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="txcarp-demo-")))
            logs = Path(options["keep-logs"] or directory)
            logs.mkdir(parents=True, exist_ok=True)
            # Not before: the process of a user must not have a thread until here.
            from twisted.internet import reactor

            performance = Performance(reactor, testbed, directory, logs, options["once"])
        except (TestbedUnavailable, OSError) as error:
            print(f"txcarp demo: {error}", file=sys.stderr)
            return CANNOT_RUN
        except KeyboardInterrupt:
            return 128 + signal.SIGINT
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
            Authenticator(password, VHID, [equipment.packedAddress]),
            VHID,
            _ADDRESS,
            {host.hardwareAddress: host.name for host in self._hosts},
        )
        self._display = self._chooseDisplay(sys.stdout, os.environ, once)
        self._story = Story(self._clock, self._hosts, self._witness, self._pinger, self._display)
        for host in self._hosts:
            host.noticed = self._story.waiting.changed
        self._witness.advertised = self._story.advertised
        self._witness.answered = self._story.answered
        self._telling: Deferred[Outcome] | None = None
        self._interruptedBy: int | None = None

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
        dumb = environment.get("NO_COLOR") or environment.get("TERM", "dumb") == "dumb"
        if once or dumb or not output.isatty():
            return PlainDisplay(output, self._clock.seconds)
        return LiveDisplay(output, self._clock, [host.name for host in self._hosts])

    def _begin(self) -> None:
        for number in _ENDING:
            signal.signal(number, self._signalled)
        self._telling = Deferred.fromCoroutine(self._tell())
        self._telling.addCallbacks(self._succeeded, self._failed)
        self._telling.addErrback(self._failed)
        self._telling.addCallback(lambda _: self._tidyUp())
        self._telling.addBoth(lambda _: self._reactor.stop())

    async def _tell(self) -> Outcome:
        self._display.begin(
            f"txcarp demo: alpha and beta share {_ADDRESS}; a client pings it every 2 ms"
        )
        self._witness.start()
        self._pinger.start()
        return await self._story.run()
