"""
Tests of L{txcarp.mastership.announcements}.
"""

from __future__ import annotations

import socket
from collections import Counter
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.fakes import FakeAnnouncer, Journal, runTo
from txcarp.change import Change
from txcarp.interfaces import IMastershipStep
from txcarp.mastership.announcements import Announcements
from txcarp.protocol.effects import Reason, Role

CHANGE = Change(
    role=Role.MASTER,
    previous=Role.BACKUP,
    reason=Reason.SILENCE,
    vhid=7,
    interface="eth0",
    addresses=("10.0.0.1",),
)


class AnnouncementsTests(SynchronousTestCase):
    """
    Tests of L{Announcements}.
    """

    def make(self, addresses: int = 1, **settings: Any) -> Announcements:
        """
        Make the step for this number of addresses.
        """
        self.clock = Clock()
        self.journal = Journal()
        self.announcer = FakeAnnouncer(self.journal)
        packed = [socket.inet_aton(f"10.0.{n // 256}.{n % 256}") for n in range(1, addresses + 1)]
        return Announcements(self.announcer, packed, self.clock, **settings)

    def count(self) -> int:
        """
        The number of announcements since the last call.
        """
        return len(self.journal.take())

    def test_provided(self) -> None:
        """
        L{Announcements} is a step that is not required.
        """
        step = self.make()
        verifyObject(IMastershipStep, step)
        self.assertFalse(step.required)

    def test_acquire(self) -> None:
        """
        The addresses are announced at once, again with the second advertisement, and then
        no more.
        """
        step = self.make(addresses=2)
        step.acquire(CHANGE)
        self.assertEqual(
            self.journal.take(), [("announce", "10.0.0.1"), ("announce", "10.0.0.2")]
        )
        self.assertEqual(step.sent, 2)
        counts = []
        for _ in range(5):
            step.advertised()
            counts.append(self.count())
        self.assertEqual(counts, [0, 2, 0, 0, 0])

    def test_again(self) -> None:
        """
        Each request announces the addresses at once, and again with the second
        advertisement after it.
        """
        step = self.make()
        step.acquire(CHANGE)
        step.advertised()
        step.again()
        self.assertEqual(self.count(), 2)
        counts = []
        for _ in range(4):
            step.advertised()
            counts.append(self.count())
        self.assertEqual(counts, [0, 1, 0, 0])

    def test_rivalWhoRepeats(self) -> None:
        """
        Thousands of requests per second lead to at most twenty announcements per second.
        The last announcement follows the last request.
        """
        step = self.make(addresses=3)
        step.acquire(CHANGE)
        step.advertised()
        step.advertised()
        self.clock.advance(5)
        self.count()
        for _ in range(5000):
            step.again()
            self.clock.advance(0.001)
        self.assertLessEqual(self.count(), 3 * 20 * 6)
        self.clock.advance(1)
        self.assertEqual(self.count(), 3)
        self.clock.advance(100)
        step.advertised()
        step.advertised()
        self.assertEqual(self.count(), 3)
        for _ in range(50):
            step.again()
        self.count()
        step.release(CHANGE)
        self.clock.advance(100)
        self.assertEqual(self.count(), 0)

    def test_notYet(self) -> None:
        """
        Nothing is announced before the step is acquired.
        """
        step = self.make()
        step.again()
        step.advertised()
        step.advertised()
        self.assertEqual(self.count(), 0)

    def test_release(self) -> None:
        """
        Nothing is announced after the step is released.
        """
        step = self.make(addresses=40, refresh=5, soon=(1.0,))
        step.acquire(CHANGE)
        self.count()
        step.release(CHANGE)
        step.again()
        step.advertised()
        step.advertised()
        runTo(self.clock, 100)
        self.assertEqual(self.count(), 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_refresh(self) -> None:
        """
        The announcement is repeated at long intervals.
        """
        step = self.make(refresh=60)
        step.acquire(CHANGE)
        self.count()
        runTo(self.clock, 59.9)
        self.assertEqual(self.count(), 0)
        runTo(self.clock, 60 * 5)
        self.assertEqual(self.count(), 5)

    def test_soon(self) -> None:
        """
        The announcement is repeated after the given times.
        """
        step = self.make(soon=(1.0, 5.0))
        step.acquire(CHANGE)
        self.count()
        counts = []
        for _ in range(6):
            runTo(self.clock, self.clock.seconds() + 1)
            counts.append(self.count())
        self.assertEqual(counts, [1, 0, 0, 0, 1, 0])

    def test_lastWord(self) -> None:
        """
        A request is followed by an announcement and by another one a moment later, because a rival
        may announce the addresses in between.
        """
        step = self.make()
        step.acquire(CHANGE)
        runTo(self.clock, 3)
        self.assertEqual(self.count(), 1)
        step.again()
        self.assertEqual(self.count(), 1)
        runTo(self.clock, 3.02)
        self.assertEqual(self.count(), 1)
        runTo(self.clock, 9)
        self.assertEqual(self.count(), 0)

    def test_unfit(self) -> None:
        """
        Timers announce nothing while the host is not a healthy master.
        """
        step = self.make(refresh=10, soon=(1.0,), fit=lambda: False)
        step.acquire(CHANGE)
        self.count()
        runTo(self.clock, 100)
        self.assertEqual(self.count(), 0)

    def test_paced(self) -> None:
        """
        Very many addresses are announced in small batches, each address once.
        """
        step = self.make(addresses=100)
        step.acquire(CHANGE)
        self.assertLessEqual(len(self.journal), 20)
        runTo(self.clock, 1)
        self.assertEqual(len(self.journal), 100)
        self.assertEqual(len(set(self.journal)), 100)

    def test_pacedAgain(self) -> None:
        """
        A request while addresses wait makes no second queue.
        """
        step = self.make(addresses=100)
        step.acquire(CHANGE)
        for _ in range(50):
            step.again()
        runTo(self.clock, 0.9)
        self.assertLessEqual(len(self.journal), 120)
        self.assertEqual(len(set(self.journal)), 100)

    def test_pacedForEver(self) -> None:
        """
        Each address is announced even if requests never end, as when another program
        removes addresses in a loop.
        """
        step = self.make(addresses=100)
        step.acquire(CHANGE)
        for _ in range(200):
            runTo(self.clock, self.clock.seconds() + 0.006)
            step.again()
        counts = Counter(self.journal)
        self.assertEqual(len(counts), 100)
        self.assertGreater(min(counts.values()), 5)
        self.assertLessEqual(max(counts.values()) - min(counts.values()), 2)

    def test_quickRefresh(self) -> None:
        """
        An interval that is shorter than the other repetitions leaves no timer behind.
        """
        step = self.make(refresh=0.5, soon=(1.0, 5.0))
        step.acquire(CHANGE)
        runTo(self.clock, 0.7)
        step.release(CHANGE)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_allFail(self) -> None:
        """
        If no announcement can be sent, as on a link that has just gone down, that is logged
        once a minute.
        """
        step = self.make(addresses=100, refresh=1)
        self.announcer.error = OSError(100, "Network is down")
        with capturedLogs() as events:
            step.acquire(CHANGE)
            runTo(self.clock, 59)
            self.assertEqual(len(events), 1)
            runTo(self.clock, 100)
        self.assertEqual(len(events), 2)

    def test_fails(self) -> None:
        """
        Announcements that fail are logged once for all of them.  The others leave.
        """
        step = self.make(addresses=3)
        self.announcer.error = OSError(100, "Network is down")
        with capturedLogs() as events:
            step.acquire(CHANGE)
        self.assertEqual(
            [formatEvent(event) for event in events], ["write() in garp: Network is down"]
        )
        self.announcer.error = None
        step.advertised()
        step.advertised()
        self.assertEqual(self.count(), 3)
