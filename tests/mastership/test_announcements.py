"""
Tests for L{txcarp.mastership.announcements}.
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
    Tests for L{Announcements}.
    """

    def make(self, addresses: int = 1, **settings: Any) -> Announcements:
        """
        Make the step for some addresses.
        """
        self.clock = Clock()
        self.journal = Journal()
        self.announcer = FakeAnnouncer(self.journal)
        packed = [socket.inet_aton(f"10.0.{n // 256}.{n % 256}") for n in range(1, addresses + 1)]
        return Announcements(self.announcer, packed, self.clock, **settings)

    def count(self) -> int:
        """
        How many announcements left since the last call.
        """
        return len(self.journal.take())

    def test_provided(self) -> None:
        """
        It is a step that nobody has to wait for.
        """
        step = self.make()
        verifyObject(IMastershipStep, step)
        self.assertFalse(step.required)

    def test_acquire(self) -> None:
        """
        The addresses are announced at once, and again with the second
        advertisement, and not after that.
        """
        step = self.make(addresses=2)
        step.acquire(CHANGE)
        self.assertEqual(
            self.journal.take(), [("announce", "10.0.0.1"), ("announce", "10.0.0.2")]
        )
        counts = []
        for _ in range(5):
            step.advertised()
            counts.append(self.count())
        self.assertEqual(counts, [0, 2, 0, 0, 0])

    def test_again(self) -> None:
        """
        So they are each time somebody asks for it; the count begins anew.
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
        Thousands of reasons in a second make twenty announcements of it; the last
        word is this host's all the same.
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
        Nothing is announced before the addresses are here.
        """
        step = self.make()
        step.again()
        step.advertised()
        step.advertised()
        self.assertEqual(self.count(), 0)

    def test_release(self) -> None:
        """
        Nor after they have gone.
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
        As long as they stay they are announced slowly.
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
        And soon after the first time if that is asked for.
        """
        step = self.make(soon=(1.0, 5.0))
        step.acquire(CHANGE)
        self.count()
        counts = []
        for _ in range(6):
            runTo(self.clock, self.clock.seconds() + 1)
            counts.append(self.count())
        self.assertEqual(counts, [1, 0, 0, 0, 1, 0])

    def test_unfit(self) -> None:
        """
        A timer announces nothing for a host that is no good master.
        """
        step = self.make(refresh=10, soon=(1.0,), fit=lambda: False)
        step.acquire(CHANGE)
        self.count()
        runTo(self.clock, 100)
        self.assertEqual(self.count(), 0)

    def test_paced(self) -> None:
        """
        Very many addresses leave in small batches, each once.
        """
        step = self.make(addresses=100)
        step.acquire(CHANGE)
        self.assertLessEqual(len(self.journal), 20)
        runTo(self.clock, 1)
        self.assertEqual(len(self.journal), 100)
        self.assertEqual(len(set(self.journal)), 100)

    def test_pacedAgain(self) -> None:
        """
        A request in between begins anew, without a second queue.
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
        However often it begins anew, as when somebody removes addresses in a loop, all
        have their turn.
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
        A refresh that is quicker than the repetitions leaves none of them behind.
        """
        step = self.make(refresh=0.5, soon=(1.0, 5.0))
        step.acquire(CHANGE)
        runTo(self.clock, 0.7)
        step.release(CHANGE)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_allFail(self) -> None:
        """
        Where none leaves, as on a link that just went down, that is one line a minute.
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
        Those that do not leave are reported once for all; those that do, leave.
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
