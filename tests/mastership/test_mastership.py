"""
Tests of L{txcarp.mastership.mastership}, through the virtual host that uses it.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.crafted import ADDRESS
from tests.fakes import INTERFACE, Journal, Stage
from tests.mastership.table import LeaseStage, refused
from txcarp.change import Change
from txcarp.interfaces import IMastershipStep
from txcarp.mastership.handover import FOLLOW
from txcarp.membership.holds import HOLD_OFF
from txcarp.membership.leaving import RESIGNATION
from txcarp.protocol.effects import Reason, Role
from txcarp.protocol.events import HoldReason, StepFailed


@implementer(IMastershipStep)
class Hook:
    """
    A step of an application.

    @ivar busy: What L{acquire} returns.
    """

    required = True
    timeLimit: float | None = 2.0

    def __init__(self, journal: Journal, name: str) -> None:
        self.journal = journal
        self.name = name
        self.busy: Deferred[None] | None = None

    def acquire(self, change: Change) -> Deferred[None] | None:
        self.journal.append(("acquire", self.name))
        return self.busy

    def release(self, change: Change) -> Deferred[None] | None:
        self.journal.append(("release", self.name))
        return None


class StageTestCase(SynchronousTestCase):
    """
    A virtual host that assigns its addresses.
    """

    stage: LeaseStage

    def setUp(self) -> None:
        self.stage = LeaseStage()

    def happened(self, *kinds: str) -> list[tuple[Any, ...]]:
        """
        The entries of these kinds in the journal since the last call.
        """
        found = self.stage.events(*kinds)
        self.stage.journal.clear()
        return found


class StepsTests(StageTestCase):
    """
    The steps of becoming and ceasing to be master.
    """

    def test_order(self) -> None:
        """
        The steps are released in reverse order, at the start and by a master that yields, but
        the down script runs after the addresses were removed.  The last advertisement leaves first.
        """
        stage = self.stage = LeaseStage(upScript="up", downScript="down")
        for name, before in (("last", False), ("first", True)):
            stage.host.addStep(Hook(stage.journal, name), beforeAddresses=before)
        stage.start()
        self.assertEqual(
            [event[:2] for event in stage.journal],
            [
                ("release", "last"),
                ("drop", ADDRESS),
                ("script", "down"),
                ("release", "first"),
            ],
            "what an earlier run may have left",
        )
        stage.becomeMaster()
        stage.run(0.0)
        self.assertIs(stage.host.role, Role.MASTER)
        stage.deliver(advbase=0, advskew=1)
        self.assertEqual(
            [event[:2] for event in stage.journal],
            [
                ("advertise", 1),
                ("release", "last"),
                ("drop", ADDRESS),
                ("script", "down"),
                ("release", "first"),
            ],
        )

    def test_takeOver(self) -> None:
        """
        The first advertisement leaves before all steps.  Then come the hooks before the
        address, the address, the announcement, the script, and the hooks after it.
        """
        stage = self.stage = LeaseStage(upScript="up", downScript="down")
        for name, before in (("last", False), ("first", True)):
            stage.host.addStep(Hook(stage.journal, name), beforeAddresses=before)
        stage.start()
        stage.journal.clear()
        stage.run(3.0)
        self.assertEqual(
            [event[:2] for event in stage.journal],
            [
                ("advertise", 1),
                ("acquire", "first"),
                ("hold", 2),
                ("announce", ADDRESS),
                ("script", "up"),
                ("acquire", "last"),
            ],
        )

    def test_withoutAssign(self) -> None:
        """
        Without C{assign}, the address table is never used.
        """
        stage = self.stage = LeaseStage(assign=False, upScript="up", downScript="down")
        stage.becomeMaster()
        stage.run(10.0)
        stage.deliver(advbase=0, advskew=1)
        self.assertEqual(self.happened("hold", "drop"), [])

    def test_noScriptsNoWarning(self) -> None:
        """
        Missing scripts are logged only where scripts add the addresses.
        """
        for assign, expected in ((True, 0), (False, 2)):
            with self.subTest(assign=assign), capturedLogs() as logs:
                LeaseStage(assign=assign).start()
            said = [formatEvent(event) or "" for event in logs]
            self.assertEqual(sum("no script called" in line for line in said), expected)

    def test_announcedSoon(self) -> None:
        """
        Assigned addresses are announced at once, with the second advertisement after that,
        after 0.2, 1 and 5 seconds, and every minute.
        """
        stage = self.stage
        stage.start()
        stage.run(2.95)
        stage.journal.clear()
        times = []
        for _ in range(1600):
            stage.run(0.1)
            elapsed = round(stage.clock.seconds() - 3.05, 1)
            times += [elapsed] * len(self.happened("announce"))
        self.assertEqual(times, [0, 0.2, 1, 2, 5, 60, 120])


class FitnessTests(StageTestCase):
    """
    Only a healthy master keeps its addresses.
    """

    def setUp(self) -> None:
        super().setUp()
        self.stage.becomeMaster()

    def test_healthy(self) -> None:
        """
        A healthy master always has the address, and renews it once per advertisement.
        """
        for _ in range(600):
            self.stage.run(0.1)
            self.assertIn(ADDRESS, self.stage.table.present)
        self.assertEqual(self.happened("hold"), [("hold", 2, ADDRESS)] * 60)

    def test_demoted(self) -> None:
        """
        A demoted master, which advertises less often, always has the address, too.  The
        lease is long enough for a late advertisement.
        """
        for deadRatio in (1, 2, 3):
            stage = self.stage = LeaseStage(deadRatio=deadRatio)
            stage.becomeMaster()
            stage.run(5.3)
            stage.host.demote("slow disk")
            stage.run(0.1)  # until after the offer, which nobody accepts
            for _ in range(600):
                stage.run(0.1)
                self.assertIn(ADDRESS, stage.table.present, deadRatio)
                due = stage.transport.times[-1] + 1 + 240 / 256
                if due - stage.clock.seconds() < 0.1:
                    end = stage.table.present[ADDRESS]
                    assert end is not None
                    self.assertGreater(end, due + 0.4)
            stage.host.promote("slow disk")
            stage.run(5.0)
            self.happened("hold")
            stage.run(10.0)
            self.assertEqual(len(self.happened("hold")), 10 if deadRatio == 3 else 20)

    def test_sendsFail(self) -> None:
        """
        A master that cannot send advertisements loses the address at the end of the lease.
        It has the address again when it can.
        """
        self.stage.transport.error = OSError(105, "no buffers")
        with capturedLogs():
            self.stage.run(4.0)
            self.assertEqual(self.stage.table.present, {})
            self.stage.transport.error = None
            self.stage.run(2.0)
        self.assertIn(ADDRESS, self.stage.table.present)

    def test_paused(self) -> None:
        """
        A master that did not run for longer than the dead time becomes backup and removes
        the address before it does anything else.
        """
        with capturedLogs() as logs:
            self.stage.asleep += 5.0
            self.stage.run(1.0)
        self.assertIs(self.stage.host.role, Role.BACKUP)
        self.assertEqual(self.stage.observer.changes[-1].reason, Reason.PAUSED)
        done = self.happened("advertise", "announce", "hold", "drop")
        self.assertEqual(done, [("drop", ADDRESS)])
        said = [formatEvent(event) or "" for event in logs]
        # Its first timer after the pause is that of the second announcement.
        self.assertTrue(any("did not run for 5.200 s" in line for line in said), said)

    def test_pausedThenHeard(self) -> None:
        """
        A packet that is heard first after the pause leads to no last advertisement.
        """
        with capturedLogs():
            self.stage.asleep += 5.0
            self.stage.deliver(advbase=1)
        done = self.happened("advertise", "announce", "hold", "drop")
        self.assertEqual(done, [("drop", ADDRESS)])
        self.assertIs(self.stage.host.role, Role.BACKUP)

    def test_pausedThenRemoved(self) -> None:
        """
        An address whose lease ended during the pause is not put back.
        """
        with capturedLogs():
            self.stage.asleep += 5.0
            self.stage.table.remove(ADDRESS)
        self.assertEqual(self.happened("advertise", "announce", "hold"), [])
        self.assertIs(self.stage.host.role, Role.BACKUP)

    def test_electionAfterPause(self) -> None:
        """
        After the pause, the ordinary election decides.
        """
        with capturedLogs():
            self.stage.asleep += 5.0
            self.stage.run(1.0)
            self.stage.run(2.1)
            self.assertIs(self.stage.host.role, Role.BACKUP)
            self.stage.run(0.2)
        self.assertIs(self.stage.host.role, Role.MASTER)
        self.assertIn(ADDRESS, self.stage.table.present)

    def test_shortPause(self) -> None:
        """
        A pause that is too short for a backup to take over has no effect.
        """
        self.stage.asleep += 1.5
        self.stage.run(1.0)
        self.assertIs(self.stage.host.role, Role.MASTER)

    def test_linkLost(self) -> None:
        """
        A master that loses its carrier removes the address at once.
        """
        with capturedLogs():
            self.stage.links.change(running=False)
        self.assertEqual(self.stage.table.present, {})
        self.assertEqual(self.happened("drop", "advertise"), [("drop", ADDRESS)])

    def test_putBack(self) -> None:
        """
        An address that another program removes is put back at once and announced again.
        """
        with capturedLogs():
            self.stage.table.remove(ADDRESS)
        self.assertEqual(
            self.happened("hold", "announce"), [("hold", 2, ADDRESS), ("announce", ADDRESS)]
        )

    def test_rivalHeard(self) -> None:
        """
        A master that hears a less preferred master announces its address again.
        """
        with capturedLogs():
            self.stage.deliver(advbase=5)
        self.assertEqual(self.happened("announce"), [("announce", ADDRESS)])


class UnfitTests(StageTestCase):
    """
    Masters that cannot do their work.
    """

    def bowsOut(self) -> None:
        """
        Assert that the host became master, bowed out, and released everything.
        """
        self.assertIs(self.stage.host.role, Role.BACKUP)
        self.assertEqual(self.stage.observer.changes[-1].reason, Reason.UNFIT)
        self.assertEqual(self.stage.transport.advertisements[-1].advbase, 255)
        self.assertEqual(self.stage.table.present, {})

    def test_addressRefused(self) -> None:
        """
        A host that cannot add the address bows out, and tries again after the hold-off and
        the dead time.
        """
        stage = self.stage
        stage.start()
        stage.table.error = refused()
        stage.journal.clear()
        with capturedLogs() as logs:
            stage.run(3.0)
        self.bowsOut()
        self.assertEqual(
            self.happened("advertise", "hold", "announce", "drop"),
            [
                ("advertise", 1, 0),
                ("hold", 2, ADDRESS),
                ("advertise", 255, 255),
                ("drop", ADDRESS),
            ],
        )
        said = [formatEvent(event) or "" for event in logs]
        self.assertTrue(any("failed at its address" in line for line in said))
        self.assertTrue(any("not fit to be master: address failed" in line for line in said))
        stage.table.error = None
        stage.run(HOLD_OFF + 2.9)
        self.assertIs(stage.host.role, Role.BACKUP)
        stage.run(0.2)
        self.assertIs(stage.host.role, Role.MASTER)
        self.assertIn(ADDRESS, stage.table.present)

    def test_addressTakesTooLong(self) -> None:
        """
        A kernel that does not answer within the time limit counts as one that refuses.
        """
        self.stage.start()
        self.stage.table.slow = True
        with capturedLogs():
            self.stage.run(3.0)
            self.assertIs(self.stage.host.role, Role.MASTER)
            self.assertEqual(self.happened("announce"), [], "it is not there yet")
            self.stage.run(4.9)
            self.assertIs(self.stage.host.role, Role.MASTER)
            self.stage.table.slow = False
            self.stage.run(0.2)
        self.bowsOut()

    def test_hookTakesTooLong(self) -> None:
        """
        A hook that does not end within its own time limit makes the host unfit.  The
        address was never added.
        """
        hook = Hook(self.stage.journal, "hook")
        self.stage.host.addStep(hook, beforeAddresses=True)
        self.stage.start()
        hook.busy = Deferred()
        self.stage.journal.clear()
        with capturedLogs():
            self.stage.run(4.9)
            self.assertIs(self.stage.host.role, Role.MASTER)
            self.stage.run(0.2)
        self.bowsOut()
        self.assertEqual(
            self.happened("acquire", "hold", "release"), [("acquire", "hook"), ("release", "hook")]
        )

    def test_stopMeanwhile(self) -> None:
        """
        A host that is stopped during the hold-off does not try again.
        """
        self.stage.start()
        self.stage.table.error = refused()
        with capturedLogs():
            self.stage.run(3.0)
            done = self.stage.host.stopService()
            self.successResultOf(done)
            self.stage.run(60.0)
        self.assertIs(self.stage.host.role, Role.INIT)
        self.assertEqual([c for c in self.stage.clock.getDelayedCalls() if c.active()], [])


class HandOverTests(StageTestCase):
    """
    A master that leaves on purpose answers until its successor does.
    """

    def setUp(self) -> None:
        super().setUp()
        self.stage.becomeMaster()

    def leaves(self) -> list[tuple[Any, ...]]:
        """
        The entries in the journal that matter to a hand-over.
        """
        return self.happened("advertise", "drop", "detach", "hold")

    def test_stop(self) -> None:
        """
        A stopped master bows out, hears its successor, removes the address and detaches.
        """
        done = self.stage.host.stopService()
        self.assertEqual(self.leaves(), [("advertise", 255, 255)])
        self.stage.run(0.02)
        self.assertIn(ADDRESS, self.stage.table.present)
        self.assertNoResult(done)
        self.stage.deliver(advskew=200)
        self.assertNoResult(done)
        self.stage.run(FOLLOW)
        self.successResultOf(done)
        self.assertEqual(self.leaves(), [("drop", ADDRESS), ("detach", INTERFACE, 10)])

    def test_stopAlone(self) -> None:
        """
        Without a successor, the stop ends after half a second.
        """
        done = self.stage.host.stopService()
        self.stage.run(0.49)
        self.assertNoResult(done)
        self.assertIn(ADDRESS, self.stage.table.present)
        self.stage.run(0.02)
        self.successResultOf(done)
        self.assertEqual(self.stage.table.present, {})

    def test_otherBowsOut(self) -> None:
        """
        The bow-out of another host is no successor.
        """
        done = self.stage.host.stopService()
        self.stage.deliver(advbase=255, advskew=255)
        self.assertNoResult(done)
        self.stage.run(0.5)
        self.successResultOf(done)

    def test_stopSaysNothingMore(self) -> None:
        """
        While the host still answers, it sends no advertisement, whatever it hears.
        """
        self.stage.host.stopService()
        self.stage.journal.clear()
        self.stage.run(0.4)
        self.stage.deliver(badDigest=True)
        self.assertEqual(self.happened("advertise"), [])

    def test_releaseFirst(self) -> None:
        """
        With C{releaseFirst}, the bow-out leaves after the address was removed.
        """
        stage = self.stage = LeaseStage(releaseFirst=True)
        stage.becomeMaster()
        stage.table.slow = True
        done = stage.host.stopService()
        self.assertEqual(self.leaves(), [("drop", ADDRESS)])
        self.assertNoResult(done)
        stage.table.answer()
        self.successResultOf(done)
        self.assertEqual(self.leaves(), [("advertise", 255, 255), ("detach", INTERFACE, 10)])

    def test_resign(self) -> None:
        """
        A host that is asked to hand over does the same, and takes part again later.
        """
        self.stage.host.resign()
        self.assertIs(self.stage.host.role, Role.BACKUP)
        self.assertEqual(self.leaves(), [("advertise", 255, 255)])
        self.stage.run(0.1)
        self.assertIn(ADDRESS, self.stage.table.present)
        self.stage.deliver(advskew=200)
        self.assertIn(ADDRESS, self.stage.table.present, "the successor may not have it yet")
        self.stage.run(FOLLOW)
        self.assertEqual(self.leaves(), [("drop", ADDRESS)])
        self.stage.run(RESIGNATION + 3.0)
        self.assertIs(self.stage.host.role, Role.MASTER)

    def test_resignReleaseFirst(self) -> None:
        """
        With C{releaseFirst}, a host that is asked to hand over once or twice remains master
        until it has released everything.
        """
        stage = self.stage = LeaseStage(releaseFirst=True)
        stage.becomeMaster()
        stage.table.slow = True
        stage.host.resign()
        stage.host.resign()
        self.assertEqual(self.leaves(), [("drop", ADDRESS)])
        stage.run(1.0)
        self.assertEqual(self.leaves(), [("advertise", 1, 0)], "nobody is to take over yet")
        stage.table.answer()
        self.assertEqual(self.leaves(), [("advertise", 255, 255)])
        self.assertIs(stage.host.role, Role.BACKUP)
        self.assertIs(stage.observer.changes[-1].reason, Reason.RESIGNED)
        stage.table.slow = False
        stage.run(RESIGNATION + 3.0)
        self.assertIs(stage.host.role, Role.MASTER)
        self.assertIn(ADDRESS, stage.table.present)

    def test_resignReleaseFirstOvertaken(self) -> None:
        """
        A preferred master or a stop may come before everything is released.  Then there is
        no hand-over.
        """
        for stop in (True, False):
            with self.subTest(stop=stop):
                stage = self.stage = LeaseStage(releaseFirst=True)
                stage.becomeMaster()
                stage.table.slow = True
                stage.host.resign()
                if stop:
                    done = stage.host.stopService()
                    self.assertNoResult(done)
                    stage.table.answer()
                    self.successResultOf(done)
                    reasons = [Reason.STOPPED]
                else:
                    stage.deliver(advbase=0, advskew=1)
                    stage.table.answer()
                    self.assertEqual(stage.host.status().holds, [])
                    reasons = [Reason.PREFERRED_MASTER]
                said = [one.reason for one in stage.observer.changes if one.previous is Role.MASTER]
                self.assertEqual(said, reasons)
                self.assertEqual(len(self.happened("drop")), 1)

    def test_unfitReleaseFirst(self) -> None:
        """
        With C{releaseFirst}, an unfit host remains master until it has released everything,
        too.  Its hold-off begins then.
        """
        stage = self.stage = LeaseStage(releaseFirst=True)
        stage.becomeMaster()
        stage.table.slow = True
        with capturedLogs():
            stage.host._run.tell(StepFailed("check"))
        self.assertEqual(self.leaves(), [("drop", ADDRESS)])
        stage.table.answer()
        self.assertEqual(self.leaves(), [("advertise", 255, 255)])
        self.assertIs(stage.observer.changes[-1].reason, Reason.UNFIT)
        stage.run(HOLD_OFF - 0.1)
        self.assertIs(stage.host.role, Role.BACKUP)

    def test_unfitReleaseFirstOvertaken(self) -> None:
        """
        The hold-off begins also if a preferred master, which soon vanishes, comes before
        everything is released.
        """
        stage = self.stage = LeaseStage(releaseFirst=True)
        stage.becomeMaster()
        stage.table.slow = True
        with capturedLogs():
            stage.host._run.tell(StepFailed("check"))
        stage.deliver(advbase=0, advskew=1)
        self.assertIs(stage.host.role, Role.BACKUP)
        stage.table.answer()
        stage.table.slow = False
        stage.run(HOLD_OFF - 0.1)
        self.assertIs(stage.host.role, Role.BACKUP)
        stage.run(0.1 + 3.0 + 10.0)
        self.assertIs(stage.host.role, Role.MASTER)
        self.assertIn(ADDRESS, stage.table.present)

    def test_releaseFirstMasterAgain(self) -> None:
        """
        A host may yield and become master again before everything is released.  It still
        sends its bow-out only after that.
        """
        for unfit in (True, False):
            with self.subTest(unfit=unfit):
                stage = self.stage = LeaseStage(releaseFirst=True)
                stage.becomeMaster()
                stage.table.slow = True
                with capturedLogs():
                    reason = HoldReason.UNFIT if unfit else HoldReason.RESIGNED
                    stage.host._run.parts.leaving.resign(reason, HOLD_OFF)
                stage.deliver(advbase=0, advskew=1)
                stage.deliver(advbase=255, advskew=255)
                self.assertIs(stage.host.role, Role.MASTER)
                stage.table.slow = False
                stage.journal.clear()
                stage.table.answer()
                self.assertEqual(
                    [event[0] for event in self.leaves()], ["hold", "drop", "advertise"]
                )
                self.assertEqual(stage.table.present, {})
                self.assertIs(stage.host.role, Role.BACKUP)

    def test_resignAlone(self) -> None:
        """
        Without a successor, the address is removed after half a second.
        """
        self.stage.host.resign()
        self.stage.run(0.49)
        self.assertIn(ADDRESS, self.stage.table.present)
        self.stage.run(0.02)
        self.assertEqual(self.stage.table.present, {})

    def test_stopDuringResignation(self) -> None:
        """
        A host that is stopped while it still answers after a hand-over removes the address
        at once, and only once.
        """
        self.stage.host.resign()
        self.stage.run(0.2)
        self.stage.journal.clear()
        done = self.stage.host.stopService()
        self.successResultOf(done)
        self.assertEqual(self.leaves(), [("drop", ADDRESS), ("detach", INTERFACE, 10)])
        self.stage.run(20.0)
        self.assertEqual(self.stage.journal, [])

    def test_linkLostDuringResignation(self) -> None:
        """
        A host that loses its link while it still answers removes the address all the same.
        """
        self.stage.host.resign()
        with capturedLogs():
            self.stage.links.change(running=False)
        self.stage.run(0.6)
        self.assertEqual(self.stage.table.present, {})

    def test_unfitDoesNotLinger(self) -> None:
        """
        An unfit host does not answer any longer.
        """
        self.stage.host._run.tell(StepFailed("check"))
        self.assertEqual(self.stage.table.present, {})

    def test_startAgain(self) -> None:
        """
        A host that is stopped during a hand-over can be started again.
        """
        self.stage.host.resign()
        self.stage.host.stopService()
        self.stage.becomeMaster()
        self.assertIs(self.stage.host.role, Role.MASTER)
        self.assertIn(ADDRESS, self.stage.table.present)


class ObserverTests(StageTestCase):
    """
    What observers are told.
    """

    def test_whole(self) -> None:
        """
        Observers are told the role, the previous role, the reason and the peer of each
        change, in order.
        """
        self.stage.becomeMaster()
        self.stage.deliver(advbase=0, advskew=1)
        self.stage.host.stopService()
        self.assertEqual(
            [(c.previous, c.role, c.reason, c.peer) for c in self.stage.observer.changes],
            [
                (Role.INIT, Role.BACKUP, Reason.STARTED, ""),
                (Role.BACKUP, Role.MASTER, Reason.SILENCE, ""),
                (Role.MASTER, Role.BACKUP, Reason.PREFERRED_MASTER, "10.99.0.1"),
                (Role.BACKUP, Role.INIT, Reason.STOPPED, ""),
            ],
        )

    def test_stage(self) -> None:
        """
        The stage with addresses is an ordinary stage in all other respects.
        """
        self.assertIsInstance(self.stage, Stage)
