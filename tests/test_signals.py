"""
Tests for L{txcarp.signals}; with real processes in L{tests.lab.test_signals} and
L{tests.lab.test_bowout}.
"""

from __future__ import annotations

import atexit
import os
import signal
from collections.abc import Callable
from typing import Any

from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from txcarp.signals import SignalService


class FakeHost:
    """
    A virtual host that writes down what it is told.
    """

    def __init__(self) -> None:
        self.told: list[str] = []

    def logStatus(self) -> None:
        self.told.append("status")

    def resign(self) -> None:
        self.told.append("resign")


class FakeCARP:
    """
    A process with two virtual hosts.
    """

    def __init__(self) -> None:
        self.virtualHosts = [FakeHost(), FakeHost()]


class FakeReactor:
    """
    Runs things when the test says.
    """

    def __init__(self) -> None:
        self.whenRunning: list[Callable[[], None]] = []
        self.turn: list[tuple[Any, ...]] = []
        self.stops = 0

    def callWhenRunning(self, call: Callable[[], None]) -> None:
        self.whenRunning.append(call)

    def callFromThread(self, *call: Any) -> None:
        self.turn.append(call)

    def stop(self) -> None:
        self.stops += 1


class SignalServiceTests(SynchronousTestCase):
    """
    Tests for L{SignalService}.
    """

    def setUp(self) -> None:
        """
        Keep what would change this process.
        """
        self.handlers: dict[int, Any] = {}
        self.atEnd: list[tuple[Any, ...]] = []
        self.exits: list[int] = []
        self.killed: list[tuple[int, int]] = []
        self.patch(signal, "signal", self.handlers.__setitem__)
        self.patch(atexit, "register", lambda *call: self.atEnd.append(call))
        self.patch(os, "_exit", self.exits.append)
        self.patch(os, "kill", lambda *what: self.killed.append(what))

    def started(self, exitQuietly: bool = True) -> SignalService:
        """
        A service whose reactor runs.
        """
        self.carp: Any = FakeCARP()
        self.reactor = FakeReactor()
        service = SignalService(self.carp, exitQuietly=exitQuietly, reactor=self.reactor)
        service.startService()
        self.assertEqual(self.handlers, {}, "the reactor has not put its own yet")
        [install] = self.reactor.whenRunning
        install()
        return service

    def arrives(self, number: int) -> None:
        """
        A signal comes, at a time when nothing may be done; then the reactor has its turn.
        """
        told = [list(host.told) for host in self.carp.virtualHosts]
        stops = self.reactor.stops
        self.handlers[number](number, None)
        self.assertEqual([host.told for host in self.carp.virtualHosts], told)
        self.assertEqual(self.reactor.stops, stops)
        [(call, *arguments)], self.reactor.turn = self.reactor.turn, []
        call(*arguments)

    def test_told(self) -> None:
        """
        USR1 and USR2 are for all virtual hosts, as often as they come, and end nothing.
        """
        self.started()
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGUSR2):
            self.arrives(number)
        for host in self.carp.virtualHosts:
            self.assertEqual(host.told, ["status", "resign", "resign"])
        self.assertEqual((self.reactor.stops, self.exits, self.atEnd), (0, [], []))

    def test_endsQuietly(self) -> None:
        """
        Each signal that ends a process stops the reactor, and its status is 0 where that
        was asked for.
        """
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
            self.handlers.clear()
            self.started()
            self.arrives(number)
            self.assertEqual((self.reactor.stops, self.exits, self.atEnd), (1, [], []), number)

    def test_endsByIt(self) -> None:
        """
        Otherwise, when all is done, the process ends by the signal that it got.
        """
        self.started(exitQuietly=False)
        self.arrives(signal.SIGHUP)
        self.assertEqual((self.reactor.stops, self.killed), (1, []))
        [(last, *arguments)] = self.atEnd
        last(*arguments)
        self.assertEqual(self.handlers[signal.SIGHUP], signal.SIG_DFL)
        self.assertEqual(self.killed, [(os.getpid(), signal.SIGHUP)])

    def test_second(self) -> None:
        """
        A second signal ends the process at once, whatever it waits for; a request for the
        status, or to hand over, is none.
        """
        self.started()
        self.arrives(signal.SIGTERM)
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            self.arrives(number)
        self.assertEqual(self.exits, [])
        with capturedLogs() as events:
            self.arrives(signal.SIGINT)
        self.assertEqual(self.exits, [128 + signal.SIGINT])
        self.assertEqual(self.reactor.stops, 1)
        self.assertEqual(
            [formatEvent(event) for event in events],
            ["Asked to end for the second time: ending at once"],
        )

    def test_installedReactor(self) -> None:
        """
        Without another one it is for the reactor of this process.
        """
        from twisted.internet import reactor

        service = SignalService(FakeCARP(), exitQuietly=True)  # type: ignore[arg-type]
        self.assertIs(service._reactor, reactor)
