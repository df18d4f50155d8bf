"""
Tests for L{txcarp.membership.diagnostics}.
"""

from __future__ import annotations

import socket

from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.fakes import configured
from txcarp.findings import Diagnosis, Finding
from txcarp.interfaces import IDiagnosisObserver
from txcarp.membership.diagnostics import Diagnostics
from txcarp.membership.memory import newMemory
from txcarp.membership.peers import MAXIMUM, Peers
from txcarp.protocol.authentication import CURRENT
from txcarp.protocol.election import Standing
from txcarp.protocol.events import Heard, Refused
from txcarp.protocol.rejection import Rejection
from txcarp.protocol.timing import LEAVING, Peer, Timing

_PEER, _OTHER = (socket.inet_aton(address) for address in ("10.99.0.1", "10.99.0.3"))


@implementer(IDiagnosisObserver)
class Listener:
    """
    An observer that records findings, or fails if the test wants it to.
    """

    def __init__(self, fails: bool = False) -> None:
        self.told: list[Diagnosis] = []
        self._fails = fails

    def found(self, diagnosis: Diagnosis) -> None:
        if self._fails:
            raise RuntimeError("this observer fails")
        self.told.append(diagnosis)


class DiagnosticsTests(SynchronousTestCase):
    """
    Counting, logging and reporting.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.memory = newMemory(self.clock, configured())
        self.observers: list[IDiagnosisObserver] = []
        self.diagnostics = Diagnostics(
            configured(vhid=7, interface="eth0"), self.clock, self.memory, self.observers
        )

    def said(self, *sightings: tuple[Finding, bytes]) -> list[str]:
        """
        The log lines that these findings cause.
        """
        with capturedLogs() as logs:
            for finding, peer in sightings:
                self.diagnostics.found(finding, peer)
        return [formatEvent(event) or "" for event in logs]

    def test_names(self) -> None:
        """
        The values that other programs may use do not change.
        """
        self.assertEqual(
            [finding.value for finding in Finding],
            [
                *("wrong-key", "foreign-group", "vrrp", "equal-timing", "own-echo", "same-source"),
                *("family-silent", "two-masters", "other-key", "unlisted-peer", "replay"),
                *("unsealed", "seal-ended", "no-master", "no-reset", "side-silent"),
                *("guard-ended", "no-witness", "probe-misled"),
            ],
        )

    def test_each(self) -> None:
        """
        Each finding has its own log line with its name, the vhid, the interface and the address of
        the peer, if it has one.  The line is logged once a minute, with the number of omitted ones,
        and once a day if it can be true for ever.
        """
        for finding in Finding:
            interval = 86400.0 if finding is Finding.UNLISTED_PEER else 60.0
            [line] = self.said((finding, _PEER), *[(finding, _PEER)] * 5)
            self.assertIn(f"({finding.value}, vhid 7 on eth0", line)
            nobody = Finding.OWN_ECHO, Finding.NO_MASTER, Finding.NO_RESET, Finding.SIDE_SILENT
            if finding not in (*nobody, Finding.GUARD_ENDED):
                self.assertIn("10.99.0.1", line)
            self.clock.advance(interval - 1.0)
            self.assertEqual(self.said((finding, _PEER)), [])
            self.clock.advance(1.0)
            [line] = self.said((finding, _PEER))
            self.assertIn("6 more like it", line)
            self.assertEqual(self.memory.findings[finding], 8)

    def test_spoofed(self) -> None:
        """
        Thousands of invented sources cause one log line.
        """
        sources = [n.to_bytes(4, "big") for n in range(1, 5000)]
        for reason, finding in (
            (Rejection.DIGEST, Finding.FOREIGN_GROUP),
            (Rejection.VRRP, Finding.VRRP),
            (Rejection.REPLAY, Finding.REPLAY),
            (Rejection.UNSEALED, Finding.UNSEALED),
            (Rejection.OWN_ECHO, Finding.OWN_ECHO),
        ):
            with capturedLogs() as logs:
                for source in sources:
                    self.diagnostics.refused(Refused(reason, source))
            self.assertEqual(len(logs), 1, reason)
            waiting = 64 if reason is Rejection.DIGEST else 0
            self.assertEqual(self.memory.findings[finding], len(sources) - waiting)

    def test_notDone(self) -> None:
        """
        Each host that uses the other key is logged, so that the administrator knows which hosts
        have not been changed yet.
        """
        lines = self.said(*[(Finding.OTHER_KEY, peer) for peer in (_PEER, _OTHER)] * 5)
        self.assertEqual(len(lines), 2)
        self.assertIn("10.99.0.1", lines[0])
        self.assertIn("10.99.0.3", lines[1])

    def test_madeUp(self) -> None:
        """
        A thousand invented hosts with the other key, or that send unicast, cause few log lines,
        and do not suppress other findings.
        """
        hosts = [bytes((10, 99, n // 256, n % 256)) for n in range(1000)]
        for finding in Finding.OTHER_KEY, Finding.UNLISTED_PEER:
            lines = self.said(*((finding, host) for host in hosts))
            self.assertLess(len(lines), 100)
        self.assertEqual(len(self.said((Finding.TWO_MASTERS, _PEER))), 1)

    def test_observers(self) -> None:
        """
        Observers are called each time, even if one of them fails.
        """
        first, last = Listener(), Listener()
        self.observers += [first, Listener(fails=True), last]
        with capturedLogs():
            for _ in range(2):
                self.diagnostics.found(Finding.VRRP, _PEER, "more")
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 2)
        self.assertEqual(len(first.told), 2)
        self.assertEqual(first.told, last.told)
        told = first.told[0]
        self.assertEqual(
            (told.finding, told.vhid, told.interface, told.peer),
            (Finding.VRRP, 7, "eth0", "10.99.0.1"),
        )
        self.assertIn("(more)", told.explanation)

    def test_members(self) -> None:
        """
        A wrong digest of a known peer is distinguished from one of an unknown host.  Both are
        reported with the second advertisement.
        """
        with capturedLogs():
            for expected in (None, Finding.FOREIGN_GROUP):
                self.diagnostics.refused(Refused(Rejection.DIGEST, _PEER))
                self.assertEqual([*self.memory.findings], [expected] if expected else [])
                self.clock.advance(1.0)
            self.memory.peers.heard(Heard(Peer(Timing(1, 0), _PEER)), self.clock.seconds())
            self.clock.advance(5.0)
            for count in (0, 1, 2):
                self.diagnostics.refused(Refused(Rejection.DIGEST, _PEER))
                self.assertEqual(self.memory.findings[Finding.WRONG_KEY], count)
                self.clock.advance(1.0)
            self.diagnostics.refused(Refused(Rejection.TTL, _PEER))
        self.assertEqual(
            self.memory.findings, {Finding.WRONG_KEY: 2, Finding.FOREIGN_GROUP: 1}
        )
        self.assertEqual(self.memory.rejected[Rejection.DIGEST], 5)

    def test_changing(self) -> None:
        """
        A wrong digest means nothing while its sender also sends good advertisements, because its
        group changes the password: in any order, from the first one on, after any silence, and if
        a good one is lost.
        """

        def good() -> None:
            self.memory.peers.heard(Heard(Peer(Timing(1, 0), _PEER)), self.clock.seconds())

        def bad() -> None:
            self.diagnostics.refused(Refused(Rejection.DIGEST, _PEER))

        for order in ((bad, bad, good), (good, bad, bad), (bad, good, bad)):
            for lost in (False, False, True, False):
                for each in order:
                    if not lost or each is bad:
                        each()
                self.clock.advance(1.0)
            self.clock.advance(3600.0)
        self.assertEqual(self.memory.findings, {})

    def test_rival(self) -> None:
        """
        Two masters are reported if that lasts, with the duration.  The duration starts again after
        a while without a second master.
        """
        own = Standing(timing=Timing(1, 0), deadRatio=3, preempt=False, source=_OTHER)
        rival = Heard(Peer(Timing(1, 1), _PEER), pair=CURRENT), own
        with capturedLogs() as logs:
            for _ in range(4):
                self.diagnostics.heard(*rival)
                self.clock.advance(1.0)
        self.assertEqual(self.memory.findings, {Finding.TWO_MASTERS: 2})
        self.assertIn("for 2.0 s so far", formatEvent(logs[0]) or "")
        self.clock.advance(5.0)
        self.diagnostics.heard(*rival)
        self.assertEqual(self.memory.findings, {Finding.TWO_MASTERS: 2})


class PeersTests(SynchronousTestCase):
    """
    The table of peers.
    """

    def test_full(self) -> None:
        """
        A new peer replaces the one that has been silent for longest.
        """
        peers = Peers()
        for n in range(MAXIMUM + 10):
            for source in (_PEER, n.to_bytes(4, "big")):
                peers.heard(Heard(Peer(Timing(1, 0), source)), float(n))
        self.assertEqual(len(peers.all), MAXIMUM)
        self.assertIsNotNone(peers.last(_PEER))
        self.assertIsNone(peers.last((10).to_bytes(4, "big")))

    def test_offered(self) -> None:
        """
        An offer has the advbase of the advertisement before it, times a dead ratio.
        """
        peers = Peers()
        for timing, expected in (
            (Timing(3, 240), None),  # the first one says nothing
            (Timing(1, 240), None),
            (Timing(3, 240), Timing(1, 240)),
            (Timing(3, 240), None),
            (Timing(1, 0), None),
            (Timing(3, 240), Timing(1, 240)),  # the one between them was lost
            (Timing(1, 240), None),
            (Timing(4, 240), Timing(1, 240)),
            (Timing(2, 240), None),
            (Timing(5, 240), None),
            (Timing(0, 240), None),
            (Timing(4, 240), None),
            (Timing(1, 240), None),
        ):
            peer = Peer(timing, _PEER)
            peers.heard(Heard(peer), 0.0)
            self.assertEqual(peers.offered(peer), expected, timing)
        self.assertIsNone(peers.offered(Peer(LEAVING, _PEER)))
        self.assertIsNone(peers.offered(Peer(Timing(3, 240), b"new!")))
