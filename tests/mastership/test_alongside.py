"""
Tests of L{txcarp.mastership.alongside}, through the virtual host that uses it.
"""

from __future__ import annotations

from typing import Any

from twisted.logger import capturedLogs, formatEvent
from zope.interface.verify import verifyObject

from tests.crafted import ADDRESS
from tests.fakes import INTERFACE
from tests.mastership.table import LeaseStage, refused
from tests.mastership.test_mastership import StageTestCase
from txcarp.interfaces import IMastershipStep
from txcarp.protocol.effects import Role

UP, DOWN = (("script", name, INTERFACE, ADDRESS) for name in ("up", "down"))
DROP, HOLD = ("drop", ADDRESS), ("hold", 2, ADDRESS)


class SlowScriptTests(StageTestCase):
    """
    Scripts that take long, or never end.
    """

    def master(self, **settings: Any) -> LeaseStage:
        """
        Make a master whose up script has ended.  The scripts that follow end when the test ends
        them.
        """
        stage = self.stage = LeaseStage(
            **{"upScript": "up", "downScript": "down", "neutral": True, **settings}
        )
        stage.becomeMaster()
        stage.run(0.5)
        stage.journal.clear()
        stage.scripts.hold = True
        return stage

    def yields(self) -> None:
        """
        Have the host hear a preferred master.
        """
        self.stage.deliver(advbase=1, advskew=0, source="10.99.0.1")

    def kinds(self) -> list[tuple[Any, ...]]:
        """
        What happened to the addresses and with the scripts since the last call.
        """
        return self.happened("hold", "drop", "script", "script ended")

    def test_provided(self) -> None:
        """
        Both steps implement L{IMastershipStep}.
        """
        scripts = self.master().host._run.parts.mastership._scripts
        for step in (scripts.up, scripts.down):
            verifyObject(IMastershipStep, step)

    def test_preempted(self) -> None:
        """
        A master that hears a preferred one removes its addresses at once, and then runs the down
        script.
        """
        self.master(advskew=100)
        self.yields()
        self.assertIs(self.stage.host.role, Role.BACKUP)
        self.assertEqual(self.kinds(), [DROP, DOWN])

    def test_resigned(self) -> None:
        """
        A master that is asked to hand over keeps its addresses for the hand-over, and no longer.
        """
        self.master()
        self.stage.host.resign()
        self.stage.run(0.5)
        self.assertEqual(self.kinds()[-2:], [DROP, DOWN])

    def test_upScriptRuns(self) -> None:
        """
        The addresses do not wait for the up script either.  The down script does.
        """
        stage = self.stage = LeaseStage(
            upScript="up", downScript="down", neutral=True, advskew=100
        )
        stage.scripts.hold = True
        stage.becomeMaster()
        stage.run(0.5)
        stage.journal.clear()
        self.yields()
        self.assertEqual(self.kinds(), [DROP])
        stage.scripts.end()
        self.assertEqual(self.kinds(), [("script ended", 0), DOWN])

    def test_masterAgain(self) -> None:
        """
        A host that becomes master while its down script runs has the addresses at once.  The up
        script waits for the down script, and what comes after the scripts waits for both.
        """
        stage = self.master(advskew=100)
        self.yields()
        self.kinds()
        stage.host.claim()
        self.assertEqual(self.kinds(), [HOLD])
        self.assertFalse(stage.host.status().complete)
        stage.scripts.end()
        self.assertEqual(self.kinds(), [("script ended", 0), UP])
        stage.scripts.end()
        self.assertTrue(stage.host.status().complete)

    def test_andBack(self) -> None:
        """
        If the host is master for a moment only while its down script runs, no other script runs.
        """
        stage = self.master(advskew=100)
        self.yields()
        stage.host.claim()
        self.yields()
        self.kinds()
        stage.scripts.end()
        self.assertEqual(self.kinds(), [("script ended", 0)])
        self.assertEqual(stage.scripts.running, [])

    def test_stopped(self) -> None:
        """
        A stop waits for the end of the down script, whether it begins before or after the
        stop.
        """
        for before in (True, False):
            stage = self.master(advskew=100, shutdown=True)
            if before:
                self.yields()
            stopped = stage.host.stopService()
            stage.run(0.5)
            self.assertNoResult(stopped)
            self.assertEqual(self.kinds()[-2:], [DROP, DOWN])
            stage.scripts.end()
            self.successResultOf(stopped)

    def test_withoutAddresses(self) -> None:
        """
        If the addresses cannot be added, the up script does not run, nor does the down script.
        """
        stage = self.master(advskew=100)
        self.yields()
        stage.scripts.end()
        stage.scripts.hold = False
        stage.journal.clear()
        stage.table.error = refused()
        with capturedLogs():
            stage.host.claim()
            stage.run(1.0)
        self.assertIs(stage.host.role, Role.BACKUP)
        self.assertEqual(self.happened("script"), [])

    def test_downScriptFirst(self) -> None:
        """
        With C{downScriptFirst}, the addresses are removed when the down script has ended.
        """
        stage = self.master(advskew=100, downScriptFirst=5.0)
        self.yields()
        self.assertEqual(self.kinds(), [DOWN])
        stage.run(1.0)
        stage.scripts.end()
        self.assertEqual(self.kinds(), [("script ended", 0), DROP])
        self.yields()
        stage.run(2.0)
        self.assertEqual(self.kinds(), [])

    def test_downScriptFirstHangs(self) -> None:
        """
        The addresses wait for a limited time.  The log says so, and the script goes on.
        """
        stage = self.master(advskew=100, downScriptFirst=1.5)
        self.yields()
        with capturedLogs() as logs:
            stage.run(1.4)
            self.assertEqual(self.kinds(), [DOWN])
            stage.run(0.1)
        self.assertEqual(self.kinds(), [DROP])
        said = [formatEvent(event) or "" for event in logs]
        self.assertTrue(any("The down script has run for 1.5 s." in line for line in said))
        self.assertEqual(len(stage.scripts.running), 1)

    def test_downScriptFirstMasterAgain(self) -> None:
        """
        A host that becomes master again in this time never loses the addresses.
        """
        stage = self.master(advskew=100, downScriptFirst=5.0)
        self.yields()
        stage.host.claim()
        stage.scripts.end()
        stage.scripts.end()
        scripts = [event for event in self.kinds() if event != HOLD]
        self.assertEqual(scripts, [DOWN, ("script ended", 0), UP, ("script ended", 0)])
        self.assertIn(ADDRESS, stage.table.present)
        self.assertTrue(stage.host.status().complete)

    def test_masterWhileStarting(self) -> None:
        """
        A host that becomes master while its first down script runs has the addresses at once,
        whether they wait for the down script at other times or not.
        """
        for downFirst in (None, 60.0):
            stage = self.stage = LeaseStage(
                upScript="up", downScript="down", downScriptFirst=downFirst
            )
            stage.scripts.hold = True
            stage.becomeMaster()
            self.assertIs(stage.host.role, Role.MASTER)
            self.assertTrue(stage.host.status().addresses[0].held, downFirst)
            self.assertFalse(stage.host.status().complete)
            stage.scripts.end()
            self.assertIn(UP, self.kinds())
            stage.scripts.end()
            self.assertTrue(stage.host.status().complete)
