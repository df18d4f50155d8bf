"""
Tests for L{txcarp.membership.peers} in groups of both families, and for what is known of the
master.  Those of the table are in L{tests.membership.test_diagnostics}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import simulated
from txcarp import CARPService, Role
from txcarp.addresses import parseAddress, textOf
from txcarp.membership.peers import Peers, Succession
from txcarp.protocol.events import Heard
from txcarp.protocol.timing import Peer, Timing
from txcarp.testing import Segment

_A = ("10.1.1.2", "fd00::2")
_B = ("10.1.1.3", "fd00::3")


class FamiliesTests(SynchronousTestCase):
    """
    A host with an address of each family.
    """

    def setUp(self) -> None:
        self.peers = Peers()
        self.now = 0.0

    def beats(self, count: int, *sources: str, skew: int = 0) -> list[str]:
        """
        Hear a host once a second from several sources.

        @return: The masters that were said to be new.
        """
        new: list[Succession | None] = []
        for _ in range(count):
            self.now += 1.0
            for source in sources:
                peer = Peer(Timing(1, skew), parseAddress(source))
                new.append(self.peers.heard(Heard(peer), self.now))
        return [f"{textOf(one.source)} {one.reason}" for one in new if one is not None]

    def latest(self) -> str:
        """
        The host that is named as master.
        """
        assert self.peers.latest is not None
        return textOf(self.peers.latest.source)

    def test_stable(self) -> None:
        """
        The IPv4 source is named whichever packet was the last, and also if some are lost.
        """
        self.assertIsNone(self.peers.latest)
        self.assertEqual(self.beats(2, _A[1]), ["fd00::2 unknown"])
        self.assertEqual(self.latest(), _A[1])
        self.assertEqual(self.beats(5, *_A), ["10.1.1.2 unknown"])
        self.assertEqual(self.latest(), _A[0])
        self.assertEqual(self.beats(5, *reversed(_A)), [])
        self.assertEqual(self.latest(), _A[0])
        self.assertEqual(self.beats(2, _A[1]), [])
        self.assertEqual(self.latest(), _A[0])
        self.assertEqual(self.beats(3, _A[0]), [])

    def test_silent(self) -> None:
        """
        After three intervals without IPv4, the IPv6 source is named.
        """
        self.beats(3, *_A)
        self.assertEqual(self.beats(5, _A[1]), ["fd00::2 silence"])
        self.assertEqual(self.latest(), _A[1])

    def test_successor(self) -> None:
        """
        Another host that takes over in both families is one new master.
        """
        self.beats(3, *_A, skew=100)
        self.assertEqual(self.beats(3, *_B), ["10.1.1.3 timing"])
        self.assertEqual(self.latest(), _B[0])
        self.peers.left(parseAddress(_B[0]))
        self.assertEqual(self.beats(3, *_A, skew=100), ["10.1.1.2 bow-out"])

    def test_two(self) -> None:
        """
        Of two masters, none is new.
        """
        self.beats(3, *_A)
        self.assertEqual(self.beats(5, *_A, *_B), [])


class MasterTests(SynchronousTestCase):
    """
    Which host is master according to the status of a backup.
    """

    def test_notSince(self) -> None:
        """
        A host that was heard before this host was master itself is not called master, until it is
        heard again.
        """
        segment = Segment()
        first, second = (segment.host(f"10.1.1.{number}") for number in (1, 2))
        for host, skew in ((first, 0), (second, 100)):
            host.start(CARPService([simulated(host, advskew=skew)], platform=host))
            segment.advance(8)
        carp = second.virtualHosts[0]
        self.assertEqual(carp.status().master, first.source)
        first.crash()
        segment.advance(8)
        self.assertEqual(segment.masters(), [second])
        second.plug(False)
        second.plug(True)
        segment.advance(1)
        status = carp.status()
        self.assertEqual((status.role, status.master), (Role.BACKUP, ""))
        self.assertEqual(status.problem, "no master is heard")
