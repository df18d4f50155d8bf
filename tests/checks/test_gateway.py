"""
Tests for L{txcarp.checks.gateway}.  L{tests.network.test_neighbours} has those with the kernel.
"""

from __future__ import annotations

import errno
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.network.scenery import packed
from txcarp.checks.gateway import MOST_WITNESSES, GatewayCheck
from txcarp.interfaces import INeighbours, IWitness
from txcarp.testing import Segment
from txcarp.testing.fakes import FakeNeighbours

A, B, SOURCE = packed("10.1.1.8"), packed("fd00::9"), packed("10.1.1.1")


class GatewayTests(SynchronousTestCase):
    """
    Tests for L{GatewayCheck}.
    """

    def setUp(self) -> None:
        self.host = Segment().host("10.1.1.1")
        self.neighbours: FakeNeighbours = self.host.neighbours
        verifyObject(INeighbours, self.neighbours)

    def begin(self, *addresses: str) -> Deferred[Any]:
        """
        Run a check of a group.
        """
        check = GatewayCheck(addresses).on("eth0", [SOURCE])
        verifyObject(IWitness, check)
        return maybeDeferred(check.run, self.host, 1.0)

    def why(self, *addresses: str) -> str:
        """
        Why a check failed.
        """
        return self.failureResultOf(self.begin(*addresses)).getErrorMessage()

    def test_one(self) -> None:
        """
        It asks on the interface of the group, from an address of this host.
        """
        self.neighbours.answering[A] = b"\2\0\0\0\0\5"
        running = self.begin("10.1.1.8")
        self.assertEqual(self.successResultOf(running), "10.1.1.8 is at 02:00:00:00:00:05")
        self.assertEqual(self.neighbours.asked, [("eth0", A, (SOURCE,))])

    def test_several(self) -> None:
        """
        All are asked, one answer is enough, and the others are no longer waited for.
        """
        self.neighbours.answering[B] = b"\2\0\0\0\0\6"
        running = self.begin("10.1.1.8", "fd00::9", "10.1.1.8")
        self.assertEqual(self.successResultOf(running), "fd00::9 is at 02:00:00:00:00:06")
        self.assertEqual([one[1] for one in self.neighbours.asked], [A, B])
        self.assertEqual(self.neighbours.silent, [])

    def test_silent(self) -> None:
        """
        Where nobody answers, the check waits until it is cancelled, and leaves nothing then.
        """
        running = self.begin("10.1.1.8", "fd00::9")
        self.assertNoResult(running)
        self.assertEqual(len(self.neighbours.silent), 2)
        running.cancel()
        said = self.failureResultOf(running).getErrorMessage()
        self.assertEqual(said, "no answer from 10.1.1.8 and fd00::9")
        self.assertEqual(self.neighbours.silent, [])

    def test_gone(self) -> None:
        """
        It has failed when all interfaces are gone while it waits.
        """
        running = self.begin("10.1.1.8")
        self.neighbours.silent[0].errback(OSError(errno.ENETDOWN, "the interface is gone", "eth0"))
        self.assertEqual(self.failureResultOf(running).getErrorMessage(), "the interface is gone")

    def test_route(self) -> None:
        """
        Without an address, it asks the next hop of the default route as it is at each run.
        """
        self.assertEqual(self.why(), "no default route goes through eth0")
        for hop in (A, B):
            self.neighbours.hops["eth0"] = [hop]
            self.neighbours.answering = {hop: b"\2\0\0\0\0\7"}
            self.successResultOf(self.begin())
        self.assertEqual([one[1] for one in self.neighbours.asked], [A, B])

    def test_cannot(self) -> None:
        """
        The reason why nobody can be asked is that of the failure.
        """
        self.neighbours.error = OSError(errno.ENETDOWN, "eth0 is down", "eth0")
        self.assertEqual(self.why("10.1.1.8", "fd00::9"), "eth0 is down")
        neighbours: Any = None
        self.host.neighbours = neighbours
        self.assertEqual(self.why(), "this platform cannot ask neighbours")

    def test_interface(self) -> None:
        """
        A check with an interface keeps it.
        """
        check = GatewayCheck((A,), "eth1")
        self.assertIs(check.on("eth0", [SOURCE]), check)

    def test_wrong(self) -> None:
        """
        An address is that of one host, and there are not too many.
        """
        for address in ("x", "224.0.0.1", "ff02::1", "0.0.0.0", "::", b"\1"):
            self.assertRaises(ValueError, GatewayCheck, [address])
        many = [bytes((10, 1, 1, number)) for number in range(1, MOST_WITNESSES + 2)]
        self.assertRaises(ValueError, GatewayCheck, many)
        self.assertEqual(GatewayCheck(many[1:]).addresses, tuple(many[1:]))
