"""
Tests of L{HandOver<txcarp.mastership.handover.HandOver>}.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from txcarp.mastership.handover import FOLLOW, LINGER, HandOver


class HandOverTests(SynchronousTestCase):
    """
    The time between a bow-out and the release.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.handOver = HandOver(self.clock)
        self.done: list[float] = []

    def begin(self) -> None:
        """
        Begin to hand over.
        """
        self.handOver.begin(lambda: self.done.append(self.clock.seconds()))

    def test_successor(self) -> None:
        """
        The release follows the first advertisement of the successor, when the successor can
        have the address.  Further advertisements neither delay nor repeat it.
        """
        self.begin()
        self.clock.advance(0.1)
        for _ in range(4):
            self.handOver.successorHeard()
            self.assertEqual(self.done, [])
            self.clock.advance(FOLLOW / 4)
        self.assertEqual(self.done, [0.1 + FOLLOW])
        self.handOver.successorHeard()
        self.clock.advance(1.0)
        self.assertEqual(self.done, [0.1 + FOLLOW])

    def test_lateSuccessor(self) -> None:
        """
        A successor that is heard at the last moment does not delay the release, even if
        this host is late itself.
        """
        self.begin()
        self.clock.advance(LINGER - 0.01)
        self.handOver.successorHeard()
        self.clock.rightNow += 0.02
        self.handOver.successorHeard()
        self.clock.advance(0)
        self.assertEqual(len(self.done), 1)

    def test_now(self) -> None:
        """
        C{end} releases at once.
        """
        self.begin()
        self.handOver.end()
        self.assertEqual(self.done, [0.0])

    def test_nobody(self) -> None:
        """
        Without a successor, the release comes after half a second.
        """
        self.begin()
        self.clock.advance(0.499)
        self.assertEqual(self.done, [])
        self.clock.advance(0.001)
        self.assertEqual(self.done, [LINGER])
        self.assertEqual(LINGER, 0.5)

    def test_forgotten(self) -> None:
        """
        After C{forget} there is no release.
        """
        self.begin()
        self.handOver.forget()
        self.clock.advance(1.0)
        self.handOver.end()
        self.assertEqual(self.done, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_anew(self) -> None:
        """
        A second beginning replaces the first, and has the whole time.
        """
        self.begin()
        self.clock.advance(0.4)
        self.begin()
        self.clock.advance(0.4)
        self.assertEqual(self.done, [])
        self.clock.advance(0.1)
        self.assertEqual(self.done, [0.9])

    def test_nothingBegun(self) -> None:
        """
        Without a beginning, a master that is heard has no effect.
        """
        self.handOver.successorHeard()
        self.handOver.end()
        self.handOver.forget()
        self.assertEqual(self.done, [])

    def test_beginsAgainInside(self) -> None:
        """
        The release may begin to hand over again.
        """
        self.handOver.begin(self.begin)
        self.handOver.end()
        self.clock.advance(0.5)
        self.assertEqual(self.done, [0.5])
