"""
Tests for L{txcarp.daemon.supervision}.
"""

from __future__ import annotations

import os
from types import SimpleNamespace

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.fakes import FakePlatform, Journal, configured, runTo
from txcarp.daemon.notify import Notifier
from txcarp.daemon.supervision import Supervision, summary, watchdogOf
from txcarp.interfaces import IOccurrenceObserver
from txcarp.protocol.effects import Role
from txcarp.service import CARPService


class SupervisionTests(SynchronousTestCase):
    """
    Tests for L{Supervision}, with two groups.
    """

    def setUp(self) -> None:
        self.told: list[str] = []
        self.clock = Clock()
        self.platform = FakePlatform(self.clock, Journal())
        self.carp = CARPService(
            [configured(vhid=7, title="web", neutral=True), configured(vhid=8, neutral=True)],
            platform=self.platform,
        )
        self.platform.links.change(self.carp.virtualHosts[0].configuration.interface)
        notifier = Notifier({})
        self.patch(notifier, "tell", lambda *lines: self.told.extend(lines))
        running = SimpleNamespace(callWhenRunning=lambda call: self.calls.append(call))
        self.calls: list[object] = []
        self.supervision = Supervision(self.carp, notifier, 4.0, running)

    def start(self) -> None:
        """
        Start everything, and let the reactor run.
        """
        self.carp.privilegedStartService()
        self.carp.startService()
        self.supervision.startService()
        self.assertEqual(self.told, [])
        [ready] = self.calls
        ready()  # type: ignore[operator]

    def pass_(self, seconds: float) -> list[str]:
        """
        Let time pass.

        @return: What was told meanwhile.
        """
        del self.told[:]
        runTo(self.clock, self.clock.seconds() + seconds)
        return list(self.told)

    def test_ready(self) -> None:
        """
        It is ready when the reactor runs, and says which roles it has.
        """
        verifyObject(IOccurrenceObserver, self.supervision)
        self.start()
        name = self.carp.virtualHosts[1].configuration.display
        self.assertEqual(self.told, ["READY=1", f"STATUS=Backup of web, {name}", "WATCHDOG=1"])
        changed = [one for one in self.pass_(4) if one.startswith("STATUS")]
        self.assertEqual(changed, [f"STATUS=Master of web, {name}"])

    def test_reconfigured(self) -> None:
        """
        Groups that are added or removed are in the status soon.
        """
        self.start()
        self.pass_(4)
        self.carp.reconfigure([configured(vhid=9, title="dns", neutral=True)])
        changed = [one for one in self.pass_(8) if one.startswith("STATUS")]
        self.assertEqual(changed[-1], "STATUS=Master of dns")

    def test_watchdog(self) -> None:
        """
        The watchdog is fed four times in its time, but not by a loop that is late.
        """
        self.start()
        self.assertEqual(self.pass_(4).count("WATCHDOG=1"), 4)
        for _ in range(5):
            del self.told[:]
            self.clock.advance(2.5)
            self.assertNotIn("WATCHDOG=1", self.told)
        self.assertEqual(self.pass_(2).count("WATCHDOG=1"), 2)

    def test_stop(self) -> None:
        """
        The end is said, and the watchdog fed until it has come.
        """
        self.start()
        self.pass_(4)
        self.carp.virtualHosts[0].resign()
        del self.told[:]
        self.supervision.stopService()
        self.assertEqual(self.told, ["STOPPING=1", "STATUS=Leaving all groups"])
        told = self.pass_(4)
        self.assertEqual(set(told), {"WATCHDOG=1"})

    def test_endsBefore(self) -> None:
        """
        A process that ends before the reactor runs is never ready.
        """
        self.supervision.startService()
        self.supervision.stopService()
        [ready] = self.calls
        del self.told[:]
        ready()  # type: ignore[operator]
        self.assertEqual(self.told, [])


class ValueTests(SynchronousTestCase):
    """
    Tests for the functions.
    """

    def test_summary(self) -> None:
        """
        Each role has its groups; of many, five are named.
        """
        self.assertEqual(summary([]), "No groups")
        self.assertEqual(
            summary([("a", Role.BACKUP), ("b", Role.MASTER), ("c", Role.INIT)]),
            "Master of b; backup of a; not in c",
        )
        many = [(f"g{number}", Role.MASTER) for number in range(7)]
        self.assertEqual(summary(many), "Master of g0, g1, g2, g3, g4 and 2 more")

    def test_watchdog(self) -> None:
        """
        The time is in microseconds, for one process, and does not remain in the environment.
        """
        for environment, expected in (
            ({}, None),
            ({"WATCHDOG_USEC": "3000000"}, 3.0),
            ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(os.getpid())}, 0.5),
            ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "1"}, None),
            ({"WATCHDOG_USEC": "0"}, None),
            ({"WATCHDOG_USEC": "soon"}, None),
        ):
            given = dict(environment)
            self.assertEqual(watchdogOf(given), expected, environment)
            self.assertEqual(given, {})
