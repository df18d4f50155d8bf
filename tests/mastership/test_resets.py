"""
Tests of L{txcarp.mastership.resets}, through the virtual host that uses it.
"""

from __future__ import annotations

import socket
from typing import Any

import attrs
from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.crafted import ADDRESS
from tests.fakes import Journal
from tests.mastership.table import LeaseStage
from txcarp.change import StepState
from txcarp.findings import Finding
from txcarp.interfaces import IConnections, IMastershipStep
from txcarp.mastership.resets import BEFORE
from txcarp.protocol.effects import Role

HOLD, DROP, RESET = ("hold", 2, ADDRESS), ("drop", ADDRESS), ("reset", ADDRESS)


@implementer(IConnections)
class FakeConnections:
    """
    Notes whose connections are ended.

    @ivar why: The result of L{whyNot}.
    @ivar result: The result of the next calls of L{reset}.
    """

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.why = ""
        self.asked = 0
        self.indices: list[int | None] = []
        self.result: Deferred[int] | None = None

    def reset(self, addresses: Any, index: int | None) -> Deferred[int]:
        self.journal.append(("reset", *map(socket.inet_ntoa, addresses)))
        self.indices.append(index)
        return succeed(3) if self.result is None else self.result

    def whyNot(self) -> Deferred[str]:
        self.asked += 1
        return succeed(self.why)


class ResetTests(SynchronousTestCase):
    """
    Connections of leaving addresses.
    """

    def master(self, *, why: str = "", **settings: Any) -> LeaseStage:
        """
        Make a master.
        """
        stage = self.stage = LeaseStage(**{"resetConnections": True, **settings})
        stage.platform.connections = self.connections = FakeConnections(stage.journal)
        self.connections.why = why
        stage.start()
        stage.run(3.5)
        return stage

    def took(self) -> list[tuple[Any, ...]]:
        """
        What happened since the last call of this method.
        """
        happened = self.stage.events("hold", "drop", "reset")
        self.stage.journal.clear()
        return happened

    def yields(self) -> None:
        """
        Have the host hear a preferred master.
        """
        self.stage.deliver(advbase=1, advskew=0, source="10.99.0.1")

    def test_order(self) -> None:
        """
        Connections are ended before the addresses leave, and those that are left, after that.
        At the start, only the second is done: the addresses may have left before.
        """
        stage = self.master()
        self.assertEqual(self.took(), [DROP, RESET, HOLD])
        with capturedLogs() as events:
            self.yields()
        self.assertEqual(self.took(), [RESET, DROP, RESET])
        said = f"3 TCP connections of {ADDRESS} were ended: the addresses leave this host"
        self.assertIn(said, [formatEvent(event) for event in events])
        self.assertEqual({*self.connections.indices}, {stage.links.link("eth7").index})
        verifyObject(IConnections, self.connections)

    def test_off(self) -> None:
        """
        Nothing of that happens by default.
        """
        stage = self.master(resetConnections=False)
        self.yields()
        self.assertEqual(self.took(), [DROP, HOLD, DROP])
        self.assertEqual(self.connections.asked, 0)
        self.assertNotIn("connections", [one.name for one in stage.host.status().steps])

    def test_provided(self) -> None:
        """
        Both halves are steps.
        """
        resets = self.master().host._run.parts.mastership._resets
        for step in (resets.first, resets.last):
            verifyObject(IMastershipStep, step)

    def test_foreign(self) -> None:
        """
        The connections of an address that stays on this host are left alone.
        """
        stage = self.master()
        self.took()
        stage.table.foreign.add(ADDRESS)
        self.yields()
        self.assertNotIn(RESET, self.took())
        stage = self.master()
        self.took()
        stage.table.elsewhere.add(ADDRESS)
        self.yields()
        self.assertEqual(self.took(), [DROP])

    def test_limit(self) -> None:
        """
        The addresses do not stay for long because there are many connections.
        """
        stage = self.master()
        self.took()
        self.connections.result = Deferred()
        self.yields()
        self.assertEqual(self.took(), [RESET])
        self.connections.result, _ = None, stage.run(BEFORE)
        self.assertEqual(self.took(), [DROP, RESET])

    def test_refused(self) -> None:
        """
        If the kernel refuses, the addresses leave all the same.
        """
        stage = self.master()
        self.took()
        self.connections.result = fail(OSError(1, "no"))
        self.yields()
        self.connections.result.addErrback(lambda failure: None)
        self.assertIn(DROP, self.took())
        [first] = [one for one in stage.host.status().steps if one.name == "connections"]
        self.assertEqual((first.state, first.required), (StepState.FAILED, False))

    def test_finding(self) -> None:
        """
        A kernel that cannot do it is found at the start, once.
        """
        with capturedLogs() as events:
            stage = self.master(why="no such luck")
        said = [formatEvent(event) or "" for event in events]
        [line] = [one for one in said if "no-reset" in one]
        self.assertIn("(no such luck) (no-reset, vhid", line)
        self.assertEqual(stage.host.status().findings[Finding.NO_RESET], 1)
        self.assertIs(stage.host.role, Role.MASTER)
        self.assertEqual(self.connections.asked, 1)

    def test_noConnections(self) -> None:
        """
        So is a platform without connections.
        """
        stage = LeaseStage(resetConnections=True)
        stage.becomeMaster()
        self.assertEqual(stage.host.status().findings[Finding.NO_RESET], 1)

    def test_live(self) -> None:
        """
        A master begins and ends to do that without an interruption.
        """
        stage = self.master(resetConnections=False)
        self.took()
        own = stage.host.configuration
        stage.host.reconfigure(attrs.evolve(own, resetConnections=True))
        self.assertEqual((self.took(), self.connections.asked), ([], 1))
        self.yields()
        self.assertEqual(self.took(), [RESET, DROP, RESET])
        stage.host.reconfigure(own)
        self.assertEqual(len(stage.host.status().steps), 4)
