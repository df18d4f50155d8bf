"""
Tests for L{txcarp.logs.filters}.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import inlineCallbacks
from twisted.internet.protocol import DatagramProtocol, Factory
from twisted.logger import LogEvent, Logger, LogLevel, globalLogPublisher
from twisted.python import log as legacyLog
from twisted.trial.unittest import SynchronousTestCase, TestCase

from txcarp.logs.filters import filtered
from txcarp.logs.text import messageLines


class LevelTests(SynchronousTestCase):
    """
    Which levels L{filtered} lets through.
    """

    def test_lowest(self) -> None:
        """
        Events below information pass only for debugging.
        """
        for debug, dropped in ((False, 1), (True, 0)):
            heard: list[LogEvent] = []
            logger = Logger(observer=filtered(heard.append, partial(bool, debug)))
            levels = list(LogLevel.iterconstants())
            for level in levels:
                logger.emit(level, "x")
            self.assertEqual([event["log_level"] for event in heard], levels[dropped:])


class PortTests(TestCase):
    """
    L{filtered} drops what Twisted logs of its ports.
    """

    def setUp(self) -> None:
        """
        Collect what is logged through the filter, and what without it.
        """
        self.said: list[str] = []
        self.all: list[str] = []
        for observer in (filtered(self._say, lambda: False), self._all):
            globalLogPublisher.addObserver(observer)
            self.addCleanup(globalLogPublisher.removeObserver, observer)

    def _say(self, event: dict[str, Any]) -> None:
        self.said.extend(messageLines(event))

    def _all(self, event: dict[str, Any]) -> None:
        self.all.extend(messageLines(event))

    @inlineCallbacks
    def test_ports(self) -> Any:
        """
        Ports log nothing through the filter when they start and stop, and something
        without it.
        """
        port = reactor.listenUDP(0, DatagramProtocol(), interface="127.0.0.1")  # type: ignore[attr-defined]
        yield port.stopListening()
        tcp = reactor.listenTCP(0, Factory(), interface="127.0.0.1")  # type: ignore[attr-defined]
        yield tcp.stopListening()
        self.assertGreater(len(self.all), 4)
        self.assertEqual(self.said, [])

    def test_others(self) -> None:
        """
        Other lines of the legacy log, errors, and the same words from a Logger
        pass.
        """
        legacyLog.msg("a script said: hello")
        legacyLog.msg("CARP starting on eth0", isError=1)
        Logger().info("CARP starting on eth0")
        self.assertEqual(
            self.said, ["a script said: hello", "CARP starting on eth0", "CARP starting on eth0"]
        )
