"""
Tests of what observers learn about the progress of a change of role.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.crafted import ADDRESS
from tests.mastership.table import LeaseStage, refused
from tests.mastership.test_mastership import Hook, StageTestCase
from txcarp.change import Change, Readiness
from txcarp.interfaces import IReadinessObserver
from txcarp.protocol.effects import Reason, Role


@implementer(IReadinessObserver)
class Watching:
    """
    Writes what it is told into the journal.

    @ivar then: Called with each readiness.
    @ivar changes: The change that came with each readiness.
    """

    def __init__(self, stage: LeaseStage) -> None:
        self.journal = stage.journal
        self.then: Callable[[Readiness], object] = lambda readiness: None
        self.changes: list[Change] = []
        stage.host.addObserver(self)

    def roleChanged(self, change: Change) -> None:
        self.journal.append((change.role,))

    def readinessChanged(self, change: Change, readiness: Readiness) -> None:
        self.journal.append((readiness,))
        self.changes.append(change)
        self.then(readiness)


class ReadinessTests(StageTestCase):
    """
    The moments that observers of the readiness can see.
    """

    def watched(self, **settings: object) -> LeaseStage:
        """
        Make a host with an observer that has started.
        """
        stage = self.stage = LeaseStage(
            **{"upScript": "up", "downScript": "down", "neutral": True, **settings}
        )
        self.watching = Watching(stage)
        stage.start()
        return stage

    def order(self) -> list[object]:
        """
        The kinds of what happened since the last call.
        """
        return [event[0] for event in self.stage.journal.take()]

    def test_provided(self) -> None:
        """
        The observer provides its interface.
        """
        verifyObject(IReadinessObserver, Watching(self.stage))

    def test_start(self) -> None:
        """
        At the start, a host releases what an earlier process may have left.
        """
        self.watched()
        self.assertEqual(
            self.order(), [Role.BACKUP, Readiness.RELEASING, "drop", Readiness.RELEASED]
        )

    def test_takeOver(self) -> None:
        """
        The role is told before the addresses exist.  A master is ready when they exist and are
        announced, and the up script has ended.
        """
        stage = self.watched()
        self.order()
        stage.table.slow = stage.scripts.hold = True
        stage.run(3.0)
        self.assertEqual(
            self.order(), ["advertise", Role.MASTER, Readiness.ACQUIRING, "hold"]
        )
        self.assertIs(stage.host.status().readiness, Readiness.ACQUIRING)
        with capturedLogs() as logs:
            stage.table.slow = False
            stage.table.answer()
            self.assertEqual(self.order(), ["announce", "script"])
            self.assertFalse(stage.host.status().complete)
            stage.run(0.25)
            stage.scripts.end()
        self.assertEqual(self.order(), ["announce", "script ended", Readiness.READY])
        self.assertIs(stage.host.status().readiness, Readiness.READY)
        self.assertTrue(stage.host.status().complete)
        said = [formatEvent(event) or "" for event in logs]
        self.assertTrue(any("This master is ready" in line and "0.250 s" in line for line in said))

    def test_release(self) -> None:
        """
        A master that yields begins to release after its role has changed.  Everything is released
        when the down script has ended.
        """
        stage = self.watched(advskew=100)
        stage.run(4.0)
        self.order()
        stage.scripts.hold = True
        stage.deliver(advbase=1, advskew=0)
        self.assertEqual(
            self.order(), ["advertise", Role.BACKUP, Readiness.RELEASING, "drop", "script"]
        )
        self.assertIs(stage.host.status().readiness, Readiness.RELEASING)
        stage.scripts.end()
        self.assertEqual(self.order(), ["script ended", Readiness.RELEASED])
        self.assertIs(stage.host.status().readiness, Readiness.RELEASED)
        reasons = [change.reason for change in self.watching.changes[-2:]]
        self.assertEqual(reasons, [Reason.PREFERRED_MASTER] * 2)

    def test_releaseFirst(self) -> None:
        """
        With C{releaseFirst}, everything is released before the role changes.
        """
        stage = self.watched(releaseFirst=True)
        stage.run(3.5)
        self.order()
        stage.host.resign()
        self.assertEqual(
            self.order(),
            [Readiness.RELEASING, "drop", "script", Readiness.RELEASED, "advertise", Role.BACKUP],
        )

    def test_handOver(self) -> None:
        """
        A master that hands over is ready until it releases the addresses.
        """
        stage = self.watched()
        stage.run(3.5)
        self.order()
        stage.host.resign()
        self.assertEqual(self.order(), ["advertise", Role.BACKUP])
        self.assertIs(stage.host.status().readiness, Readiness.READY)
        stage.run(0.5)
        self.assertEqual(
            self.order(), [Readiness.RELEASING, "drop", "script", Readiness.RELEASED]
        )

    def test_turned(self) -> None:
        """
        A host that loses mastership before it is ready never says that it was.
        """
        stage = self.watched(advskew=100)
        stage.scripts.hold = True
        stage.run(4.0)
        stage.deliver(advbase=1, advskew=0)
        told = [event[0] for event in stage.journal if isinstance(event[0], Readiness)]
        self.assertEqual(told[-2:], [Readiness.ACQUIRING, Readiness.RELEASING])
        self.assertNotIn(Readiness.READY, told)

    def test_failed(self) -> None:
        """
        A host whose required step fails is not ready.  One whose script fails is.
        """
        stage = self.watched()
        stage.table.error = refused()
        with capturedLogs():
            stage.run(3.0)
        self.assertNotIn(Readiness.READY, self.order())
        stage = self.watched()
        stage.scripts.hold = True
        stage.run(3.0)
        with capturedLogs():
            stage.scripts.end(1)
        self.assertIn(Readiness.READY, self.order())

    def test_stopped(self) -> None:
        """
        A stop has ended when everything is released and the observers know.
        """
        stage = self.watched(shutdown=True)
        stage.run(3.5)
        self.order()
        stopped = stage.host.stopService()
        stopped.addCallback(lambda _: stage.journal.append(("stopped",)))
        stage.run(0.5)
        order = self.order()
        self.assertEqual(order[:2], [Role.INIT, "advertise"])
        self.assertEqual(order[-3:], [Readiness.RELEASED, "detach", "stopped"])
        self.assertIs(stage.host.status().readiness, Readiness.RELEASED)

    def test_stopsIt(self) -> None:
        """
        An observer may stop the host at any of these moments.  The stop ends, and everything is
        released.
        """
        for moment in Readiness:
            stage = self.watched()
            stopped: list[Deferred[None]] = []

            def stop(
                readiness: Readiness,
                moment: Readiness = moment,
                stage: LeaseStage = stage,
                stopped: list[Deferred[None]] = stopped,
            ) -> None:
                if readiness is moment and not stopped:
                    stopped.append(stage.host.stopService())

            stage.run(3.5)
            if moment in (Readiness.RELEASING, Readiness.RELEASED):
                self.watching.then = stop
                stage.deliver(advbase=0, advskew=1)
            else:
                stage.deliver(advbase=0, advskew=1)
                self.watching.then = stop
                stage.run(4.0)
            stage.run(1.0)
            self.successResultOf(stopped[0])
            self.assertEqual(stage.table.present, {}, moment)
            self.assertIs(stage.host.status().readiness, Readiness.RELEASED)

    def test_fails(self) -> None:
        """
        An observer that fails is logged, and the others are told.
        """
        stage = self.watched()
        stage.host.removeObserver(self.watching)
        failing = Watching(stage)
        failing.then = lambda readiness: 1 // 0
        stage.host.addObserver(self.watching)
        with capturedLogs() as logs:
            stage.run(3.0)
        self.assertEqual(self.watching.changes[-1].role, Role.MASTER)
        said = [formatEvent(event) or "" for event in logs]
        self.assertEqual(sum("An observer of role changes failed" in line for line in said), 2)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
        self.assertIn(ADDRESS, stage.table.present)

    def test_services(self) -> None:
        """
        A master is ready after the last of the other steps.
        """
        stage = self.stage = LeaseStage()
        hook = Hook(stage.journal, "last")
        hook.busy = Deferred()
        stage.host.addStep(hook)
        self.watching = Watching(stage)
        stage.start()
        stage.run(3.0)
        self.assertNotIn((Readiness.READY,), stage.journal)
        hook.busy.callback(None)
        self.assertEqual(stage.journal[-1], (Readiness.READY,))
