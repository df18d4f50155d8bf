"""
When requests are answered, and with what: L{txcarp.operate.acting}.
"""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import MemoryFile, simulated
from txcarp import Actor, CARPService, VirtualHost
from txcarp.operate.acting import Acting
from txcarp.operate.control import Control
from txcarp.operate.documents import Answer, answer
from txcarp.operate.request import Request, Terms
from txcarp.state.store import StateStore
from txcarp.testing import Segment, SimulatedHost

ROOT = Actor(0, "root", 1)


class ActingTestCase(SynchronousTestCase):
    """
    A group of two simulated hosts.
    """

    def setUp(self) -> None:
        self.segment = Segment()
        self.first = self.segment.host("10.1.1.1")
        self.second = self.segment.host("10.1.1.2")
        self.controls: dict[SimulatedHost, Control] = {}

    def start(self, **settings: Any) -> None:
        """
        Start both hosts, the first of which becomes master.
        """
        for skew, host in enumerate((self.first, self.second)):
            own = {"advskew": 100 * skew, **settings}
            service = CARPService([simulated(host, title="web", **own)], platform=host)
            self.controls[host] = Control(service, host.clock)
            host.start(service)
        self.segment.advance(8)
        self.assertEqual(self.segment.masters(), [self.first])

    def ask(self, host: SimulatedHost, action: str, **given: Any) -> Deferred[Answer]:
        """
        Ask a host to do something.
        """
        path = ("v1", "groups", "web", action)
        found = self.controls[host].answer(
            Request("POST", path, json.dumps(given).encode(), ROOT)
        )
        assert isinstance(found, Deferred)
        return found

    def answered(self, answer: Deferred[Answer]) -> tuple[int, dict[str, Any]]:
        """
        The status and the document of an answer that is there.
        """
        found = self.successResultOf(answer)
        return found.code, json.loads(found.body)

    def state(self, found: dict[str, Any]) -> tuple[str, str]:
        """
        The role and the readiness in a document.
        """
        return found["group"]["role"], found["group"]["readiness"]

    def virtualHost(self, host: SimulatedHost) -> VirtualHost:
        """
        The virtual host of a simulated host.
        """
        return host.virtualHosts[0]


class ElectionTests(ActingTestCase):
    """
    Requests that the election decides about.
    """

    def test_takeover(self) -> None:
        """
        A take-over from a host that is less preferred is answered at once.
        """
        self.start()
        self.segment.advance(0.5)
        self.ask(self.first, "demote", reason="x", amount=200)
        self.ask(self.second, "takeover")
        self.segment.advance(2)
        self.assertEqual(self.segment.masters(), [self.second])
        self.ask(self.first, "promote", reason="x")
        answer = self.ask(self.first, "takeover")
        code, found = self.answered(answer)
        self.assertEqual((code, found["group"]["role"]), (200, "MASTER"))
        self.assertEqual(found["group"]["readiness"], "ready")

    def test_takenBack(self) -> None:
        """
        A preferred master takes the group back when it is heard, and the answer says so.
        """
        self.start()
        self.segment.advance(0.5)
        answer = self.ask(self.second, "takeover")
        self.assertNoResult(answer)
        self.segment.advance(1)
        code, found = self.answered(answer)
        self.assertEqual((code, found["error"]), (409, "taken-back"))
        self.assertIn("10.1.1.1 has taken web back", found["message"])

    def test_demote(self) -> None:
        """
        A demotion that may lead to another master is answered when that is decided.
        """
        self.start(preempt=True)
        answer = self.ask(self.first, "demote", reason="x", amount=240)
        self.assertNoResult(answer)
        self.segment.advance(0.1)
        _, found = self.answered(answer)
        self.assertEqual(self.state(found), ("BACKUP", "released"))
        answer = self.ask(self.first, "promote", reason="x")
        self.assertNoResult(answer)
        self.segment.advance(1.5)
        _, found = self.answered(answer)
        self.assertEqual(self.state(found), ("MASTER", "ready"))

    def test_nothingFollows(self) -> None:
        """
        Other requests are answered at once.
        """
        self.start()
        for host, action, given in (
            (self.second, "demote", {"reason": "x", "amount": 240}),
            (self.second, "promote", {"reason": "x"}),
            (self.first, "demote", {"reason": "x", "amount": 5}),
            (self.first, "promote", {"reason": "x"}),
            (self.first, "takeover", {}),
            (self.first, "resume", {}),
        ):
            self.assertEqual(self.answered(self.ask(host, action, **given))[0], 200, action)

    def test_drained(self) -> None:
        """
        A drained host cannot take over, and says what to do.
        """
        self.start()
        self.ask(self.second, "drain")
        refused = self.controls[self.second].answer(
            Request("POST", ("v1", "groups", "web", "takeover"), b"", ROOT)
        )
        assert isinstance(refused, Answer)
        found = json.loads(refused.body)
        self.assertEqual(found["error"], "held-back")
        self.assertIn("drained; 'txcarp resume web' ends the drain.", found["message"])

    def test_noOther(self) -> None:
        """
        If no other host takes over, the answer does not wait for long.
        """
        self.start()
        self.second.crash()
        answer = self.ask(self.first, "demote", reason="x", amount=240)
        self.segment.advance(1.6)
        _, found = self.answered(answer)
        self.assertEqual(found["group"]["role"], "MASTER")

    def test_noWait(self) -> None:
        """
        Without waiting, the answer is there at once.
        """
        self.start()
        code, found = self.answered(self.ask(self.second, "takeover", wait=False))
        self.assertEqual((code, found["group"]["role"]), (200, "MASTER"))


class DrainTests(ActingTestCase):
    """
    Drains.
    """

    def test_drain(self) -> None:
        """
        The answer comes when the addresses are at the successor, and names it.
        """
        self.first.store = StateStore(MemoryFile(), self.segment.clock, maybeDeferred)
        self.start()
        answer = self.ask(self.first, "drain")
        self.assertNoResult(answer)
        self.segment.advance(0.2)
        code, found = self.answered(answer)
        self.assertEqual((code, found["message"]), (200, "drained; 10.1.1.2 is master"))
        self.assertEqual(self.segment.holders("10.1.1.252"), [self.second])
        [hold] = found["group"]["holds"]
        self.assertEqual((hold["reason"], hold["actor"]["name"]), ("drained", "root"))
        self.assertEqual(found["group"]["master"], "10.1.1.2")

    def test_notSaved(self) -> None:
        """
        The answer says that the drain does not survive a restart.
        """
        self.start()
        answer = self.ask(self.first, "drain")
        self.segment.advance(0.2)
        self.assertEqual(
            self.answered(answer)[1]["message"],
            "drained; 10.1.1.2 is master; a restart of txcarp would end this, because it is not "
            "saved",
        )

    def test_gone(self) -> None:
        """
        A client that goes away undoes nothing.
        """
        self.start()
        answer = self.ask(self.first, "drain")
        answer.cancel()
        self.failureResultOf(answer, CancelledError)
        self.segment.advance(1)
        self.assertEqual(self.segment.masters(), [self.second])
        self.assertEqual(len(self.virtualHost(self.first).status().holds), 1)

    def test_resume(self) -> None:
        """
        The answer to C{resume} comes when it is known who is master.
        """
        self.start(preempt=True)
        self.ask(self.first, "drain")
        self.segment.advance(3.2)
        answer = self.ask(self.first, "resume")
        self.assertNoResult(answer)
        self.segment.advance(1.5)
        _, found = self.answered(answer)
        self.assertEqual(found["message"], "takes part again; this host is MASTER")

    def test_resumeAsBackup(self) -> None:
        """
        Without C{preempt} that is known at once.
        """
        self.start()
        self.ask(self.first, "drain")
        self.segment.advance(3)
        _, found = self.answered(self.ask(self.first, "resume"))
        self.assertEqual(
            found["message"], "takes part again; this host is BACKUP, 10.1.1.2 is master"
        )

    def test_timeout(self) -> None:
        """
        If the result is not known in time, the drain goes on.
        """
        self.start()
        self.second.crash()
        answer = self.ask(self.first, "drain", timeout="500ms", anyway=True)
        self.segment.advance(0.6)
        code, found = self.answered(answer)
        self.assertEqual((code, found["error"]), (504, "not-yet"))
        self.segment.advance(2)
        self.assertEqual(self.segment.masters(), [])


class WithinTests(SynchronousTestCase):
    """
    A request whose answer comes from elsewhere.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.acting = Acting(self.clock)
        self.done: Deferred[Answer] = Deferred()
        self.begun, self.whole = answer({"lines": ["begun"]}), answer({"lines": ["done"]})

    def test_inTime(self) -> None:
        """
        The answer is given when it is there.
        """
        found = self.acting.within(self.done, Terms(timeout=5), self.begun)
        self.clock.advance(4)
        self.assertNoResult(found)
        self.done.callback(self.whole)
        self.assertIs(self.successResultOf(found), self.whole)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_late(self) -> None:
        """
        If it takes too long, the answer says so, and what was begun is not cancelled.
        """
        found = self.acting.within(self.done, Terms(timeout=5), self.begun)
        self.clock.advance(5)
        self.assertEqual(self.successResultOf(found).code, 504)
        self.assertNoResult(self.done)
        self.done.callback(self.whole)

    def test_noWait(self) -> None:
        """
        Who does not wait gets another answer at once.
        """
        found = self.acting.within(self.done, Terms(wait=False), self.begun)
        self.assertIs(self.successResultOf(found), self.begun)
        self.done.errback(ValueError())
        self.assertEqual(self.flushLoggedErrors(), [])
