"""
Tests for L{txcarp.daemon.signals}.
"""

from __future__ import annotations

import atexit
import os
import signal
from collections.abc import Callable
from typing import Any

from twisted.logger import LogEvent, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from txcarp.daemon import signals
from txcarp.daemon.signals import SignalService
from txcarp.protocol.actor import Actor

ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


class FakeReactor:
    """
    Makes the calls that it is given when a test says so.

    @ivar stops: How often it was told to stop.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.stops = 0

    def callWhenRunning(self, *call: Any) -> None:
        self.calls.append(call)

    callFromThread = callWhenRunning

    def stop(self) -> None:
        self.stops += 1

    def turn(self) -> None:
        """
        Make the calls.
        """
        calls, self.calls[:] = list(self.calls), []
        for function, *arguments in calls:
            function(*arguments)


class FakeHost:
    """
    Counts the calls of its methods.
    """

    def __init__(self) -> None:
        self.statuses = 0
        self.resignations: list[Actor] = []

    def logStatus(self) -> None:
        self.statuses += 1

    def resign(self, actor: Actor) -> None:
        self.resignations.append(actor)


class FakeCARP:
    """
    Holds two virtual hosts.
    """

    def __init__(self) -> None:
        self.virtualHosts = [FakeHost(), FakeHost()]


class SignalServiceTests(SynchronousTestCase):
    """
    Tests for L{SignalService}, in a process that gets no signals and does not end.
    """

    def setUp(self) -> None:
        """
        Record what would be done to this process.
        """
        self.handlers: dict[int, Any] = {}
        self.patch(signals.signal, "signal", self.handlers.__setitem__)
        self.exits: list[int] = []
        self.patch(os, "_exit", self.exits.append)
        self.kills: list[tuple[int, int]] = []
        self.patch(os, "kill", lambda *arguments: self.kills.append(arguments))
        self.atExit: list[tuple[Any, ...]] = []
        self.patch(atexit, "register", lambda *call: self.atExit.append(call))
        self.carp: Any = FakeCARP()
        self.reactor: Any = FakeReactor()
        self.now = 100.0
        self.spoken: list[list[str]] = []

    def started(
        self,
        *,
        exitQuietly: bool = True,
        events: list[LogEvent] | None = None,
        reload: Callable[[Actor], None] | None = None,
    ) -> None:
        """
        Start a service and the reactor.
        """
        service = SignalService(
            self.carp,
            exitQuietly=exitQuietly,
            reactor=self.reactor,
            lastWords=lambda: self.spoken.append([str(formatEvent(one)) for one in events or ()]),
            seconds=lambda: self.now,
            reload=reload,
        )
        service.startService()
        self.assertEqual(self.handlers, {})  # the reactor's own would replace them
        self.reactor.turn()

    def arrives(self, number: int) -> None:
        """
        Receive a signal, and let the reactor make its calls.
        """
        handler: Callable[[int, None], None] = self.handlers[number]
        handler(number, None)
        self.reactor.turn()

    def test_status(self) -> None:
        """
        USR1 makes each virtual host log its status, in a call of the reactor.
        """
        self.started()
        self.handlers[signal.SIGUSR1](signal.SIGUSR1, None)
        self.assertEqual([host.statuses for host in self.carp.virtualHosts], [0, 0])
        self.reactor.turn()
        self.assertEqual([host.statuses for host in self.carp.virtualHosts], [1, 1])

    def test_resign(self) -> None:
        """
        USR2 makes each virtual host hand over.
        """
        self.started()
        self.arrives(signal.SIGUSR2)
        asked = [Actor(None, "SIGUSR2", None)]
        self.assertEqual([host.resignations for host in self.carp.virtualHosts], [asked, asked])
        self.assertEqual(self.reactor.stops, 0)

    def test_end(self) -> None:
        """
        A signal that ends the process stops the reactor, and with C{-z} does nothing more.
        """
        for number in ENDING:
            self.started()
            self.arrives(number)
            self.handlers.clear()
        self.assertEqual(self.reactor.stops, len(ENDING))
        self.assertEqual((self.atExit, self.exits, self.kills), ([], [], []))

    def test_endBySignal(self) -> None:
        """
        Without C{-z}, the process at last ends by the signal that it received.
        """
        self.started(exitQuietly=False)
        self.arrives(signal.SIGHUP)
        self.assertEqual((self.reactor.stops, self.kills), (1, []))
        ((function, *arguments),) = self.atExit
        function(*arguments)
        self.assertEqual(len(self.spoken), 1)
        self.assertEqual(self.handlers[signal.SIGHUP], signal.SIG_DFL)
        self.assertEqual(self.kills, [(os.getpid(), signal.SIGHUP)])

    def test_reload(self) -> None:
        """
        With a configuration file, HUP has it read again as often as it arrives, and TERM ends the
        process.
        """
        reloads: list[Actor] = []
        self.started(reload=reloads.append)
        for _ in range(2):
            self.arrives(signal.SIGHUP)
        self.assertEqual({actor.explain() for actor in reloads}, {"SIGHUP"})
        self.assertEqual((len(reloads), self.reactor.stops, self.exits), (2, 0, []))
        self.arrives(signal.SIGTERM)
        self.assertEqual(self.reactor.stops, 1)

    def test_impatience(self) -> None:
        """
        A second signal ends the process at once, after the last log lines are written.
        """
        with capturedLogs() as events:
            self.started(events=events)
            self.arrives(signal.SIGTERM)
            self.now += 0.5
            self.arrives(signal.SIGINT)
        self.assertEqual(self.exits, [128 + signal.SIGINT])
        self.assertEqual(self.reactor.stops, 1)
        ((said,),) = self.spoken
        self.assertIn("for the second time", said)

    def test_closedTerminal(self) -> None:
        """
        Two signals within half a second count as one.
        """
        self.started()
        self.arrives(signal.SIGHUP)
        self.now += 0.4
        self.arrives(signal.SIGHUP)
        self.assertEqual((self.exits, self.reactor.stops), ([], 1))
