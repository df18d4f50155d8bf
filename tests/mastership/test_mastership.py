"""
Tests for L{txcarp.mastership.mastership}, through the virtual host that uses it.
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
from txcarp.mastership.mastership import FOLLOW
from txcarp.membership.holds import HOLD_OFF
from txcarp.membership.participation import RESIGNATION
from txcarp.protocol.effects import Reason, Role
from txcarp.protocol.events import HoldReason, StepFailed


@implementer(IMastershipStep)
class Hook:
    """
    A step of an application.

    @ivar busy: what it answers, if not at once.
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
    A virtual host with addresses that it assigns itself.
    """

    stage: LeaseStage

    def setUp(self) -> None:
        self.stage = LeaseStage()

    def happened(self, *kinds: str) -> list[tuple[Any, ...]]:
        """
        What happened of some kinds, since the last time.
        """
        found = self.stage.events(*kinds)
        self.stage.journal.clear()
        return found


class StepsTests(StageTestCase):
    """
    What becoming and ceasing to be master means.
    """

    def test_order(self) -> None:
        """
        The advertisement leaves first; then hooks before the address, the address, the
        announcement, the script, and hooks after it; and back in reverse.
        """
        stage = self.stage = LeaseStage(upScript="up", downScript="down")
        for name, before in (("last", False), ("first", True)):
            stage.host.addStep(Hook(stage.journal, name), beforeAddresses=before)
        stage.start()
        self.assertEqual(
            [event[:2] for event in stage.journal],
            [
                ("release", "last"),
                ("script", "down"),
                ("drop", ADDRESS),
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
                ("script", "down"),
                ("drop", ADDRESS),
                ("release", "first"),
            ],
        )

    def test_takeOver(self) -> None:
        """
        All of it, in the other direction.
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
        Without C{--assign} the table is left alone, whatever happens.
        """
        stage = self.stage = LeaseStage(assign=False, upScript="up", downScript="down")
        stage.becomeMaster()
        stage.run(10.0)
        stage.deliver(advbase=0, advskew=1)
        self.assertEqual(self.happened("hold", "drop"), [])

    def test_noScriptsNoWarning(self) -> None:
        """
        Scripts are missed only where they are needed.
        """
        for assign, expected in ((True, 0), (False, 2)):
            with self.subTest(assign=assign), capturedLogs() as logs:
                LeaseStage(assign=assign).start()
            said = [formatEvent(event) or "" for event in logs]
            self.assertEqual(sum("no script called" in line for line in said), expected)

    def test_announcedSoon(self) -> None:
        """
        Assigned addresses are announced at once, with the second advertisement after,
        after 1 and 5 seconds, and every minute.
        """
        stage = self.stage
        stage.start()
        stage.run(2.999)
        stage.journal.clear()
        times = []
        for _ in range(1600):
            stage.run(0.1)
            times += [round(stage.clock.seconds() - 3.0)] * len(self.happened("announce"))
        self.assertEqual(times, [0, 1, 2, 5, 60, 120])


class FitnessTests(StageTestCase):
    """
    Only a master in good order keeps its addresses.
    """

    def setUp(self) -> None:
        super().setUp()
        self.stage.becomeMaster()

    def test_healthy(self) -> None:
        """
        The address stays for as long as the host is master.
        """
        for _ in range(600):
            self.stage.run(0.1)
            self.assertIn(ADDRESS, self.stage.table.present)
        self.assertEqual(self.happened("hold"), [("hold", 2, ADDRESS)] * 60)

    def test_demoted(self) -> None:
        """
        So it does while the host is demoted, and advertises less often; and it is renewed
        so often that an advertisement may be late.
        """
        for deadRatio in (1, 2, 3):
            stage = self.stage = LeaseStage(deadRatio=deadRatio)
            stage.becomeMaster()
            stage.run(5.3)
            stage.host.demote("slow disk")
            stage.run(0.1)  # the place was offered, and nobody came
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
        A master whose advertisements do not leave loses its address with the lease,
        and has it back when they leave again.
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
        A master that did not run for longer than the dead time says nothing, steps
        back, and drops the address before it does anything else.
        """
        with capturedLogs() as logs:
            self.stage.asleep += 5.0
            self.stage.run(1.0)
        self.assertIs(self.stage.host.role, Role.BACKUP)
        self.assertEqual(self.stage.observer.changes[-1].reason, Reason.PAUSED)
        done = self.happened("advertise", "announce", "hold", "drop")
        self.assertEqual(done, [("drop", ADDRESS)])
        said = [formatEvent(event) or "" for event in logs]
        self.assertTrue(any("did not run for 6.000 s" in line for line in said))

    def test_pausedThenHeard(self) -> None:
        """
        What wakes it makes no difference: a packet is no reason for a farewell.
        """
        with capturedLogs():
            self.stage.asleep += 5.0
            self.stage.deliver(advbase=1)
        done = self.happened("advertise", "announce", "hold", "drop")
        self.assertEqual(done, [("drop", ADDRESS)])
        self.assertIs(self.stage.host.role, Role.BACKUP)

    def test_pausedThenRemoved(self) -> None:
        """
        Nor is an address whose lease ended meanwhile put back.
        """
        with capturedLogs():
            self.stage.asleep += 5.0
            self.stage.table.remove(ADDRESS)
        self.assertEqual(self.happened("advertise", "announce", "hold"), [])
        self.assertIs(self.stage.host.role, Role.BACKUP)

    def test_electionAfterPause(self) -> None:
        """
        After a pause the ordinary election decides.
        """
        with capturedLogs():
            self.stage.asleep += 5.0
            self.stage.run(1.0)
            self.stage.run(2.9)
            self.assertIs(self.stage.host.role, Role.BACKUP)
            self.stage.run(0.2)
        self.assertIs(self.stage.host.role, Role.MASTER)
        self.assertIn(ADDRESS, self.stage.table.present)

    def test_shortPause(self) -> None:
        """
        A pause that no backup noticed is none.
        """
        self.stage.asleep += 1.5
        self.stage.run(1.0)
        self.assertIs(self.stage.host.role, Role.MASTER)

    def test_linkLost(self) -> None:
        """
        Without a carrier the address goes at once.
        """
        with capturedLogs():
            self.stage.links.change(running=False)
        self.assertEqual(self.stage.table.present, {})
        self.assertEqual(self.happened("drop", "advertise"), [("drop", ADDRESS)])

    def test_putBack(self) -> None:
        """
        What somebody removes is back at once and announced again.
        """
        with capturedLogs():
            self.stage.table.remove(ADDRESS)
        self.assertEqual(
            self.happened("hold", "announce"), [("hold", 2, ADDRESS), ("announce", ADDRESS)]
        )

    def test_rivalHeard(self) -> None:
        """
        A worse master that is heard makes it announce again.
        """
        with capturedLogs():
            self.stage.deliver(advbase=5)
        self.assertEqual(self.happened("announce"), [("announce", ADDRESS)])


class UnfitTests(StageTestCase):
    """
    Masters that do not work.
    """

    def bowsOut(self) -> None:
        """
        Check that the host took over, bowed out, and gave everything back.
        """
        self.assertIs(self.stage.host.role, Role.BACKUP)
        self.assertEqual(self.stage.observer.changes[-1].reason, Reason.UNFIT)
        self.assertEqual(self.stage.transport.advertisements[-1].advbase, 255)
        self.assertEqual(self.stage.table.present, {})

    def test_addressRefused(self) -> None:
        """
        A host that cannot have the address steps down with a bow-out, and tries again
        after the hold-off and the dead time.
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
        self.assertTrue(any("could not acquire address" in line for line in said))
        self.assertTrue(any("not fit to be master: address failed" in line for line in said))
        stage.table.error = None
        stage.run(HOLD_OFF + 2.9)
        self.assertIs(stage.host.role, Role.BACKUP)
        stage.run(0.2)
        self.assertIs(stage.host.role, Role.MASTER)
        self.assertIn(ADDRESS, stage.table.present)

    def test_addressTakesTooLong(self) -> None:
        """
        A kernel that does not answer within the time limit is as one that refuses.
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
        So is a hook, at its own limit; the address was never there.
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
        A host that is stopped while it waits for the hold-off does not try again.
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
    A master that leaves of its own accord answers until its successor does.
    """

    def setUp(self) -> None:
        super().setUp()
        self.stage.becomeMaster()

    def leaves(self) -> list[tuple[Any, ...]]:
        """
        What mattered of what happened.
        """
        return self.happened("advertise", "drop", "detach", "hold")

    def test_stop(self) -> None:
        """
        A planned stop: bow-out, the successor is heard, release, the end.
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
        Where nobody takes over, the end comes after half a second.
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
        Another bow-out is no successor.
        """
        done = self.stage.host.stopService()
        self.stage.deliver(advbase=255, advskew=255)
        self.assertNoResult(done)
        self.stage.run(0.5)
        self.successResultOf(done)

    def test_stopSaysNothingMore(self) -> None:
        """
        While it lingers it is no master any more: no advertisement, whatever is heard.
        """
        self.stage.host.stopService()
        self.stage.journal.clear()
        self.stage.run(0.4)
        self.stage.deliver(badDigest=True)
        self.assertEqual(self.happened("advertise"), [])

    def test_releaseFirst(self) -> None:
        """
        With C{--release-first} the bow-out is the last thing.
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
        USR2: the same, and the host takes part again later.
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
        With C{--release-first} a host that is told to hand over, however often, stays
        master until it has given everything back.
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
        A better master, or a stop, that comes in between has its way.
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
        So does one that finds itself unfit, and its hold-off holds.
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
        Its hold-off holds, too, where a better master came in between, and is gone soon.
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
        Nor does it say that it hands over before everything is given back where it ceased
        to be master, and became it once more, in between.
        """
        for unfit in (True, False):
            with self.subTest(unfit=unfit):
                stage = self.stage = LeaseStage(releaseFirst=True)
                stage.becomeMaster()
                stage.table.slow = True
                with capturedLogs():
                    reason = HoldReason.UNFIT if unfit else HoldReason.RESIGNED
                    stage.host._run._resign(reason, HOLD_OFF)
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
        Where nobody takes over, the address goes after half a second.
        """
        self.stage.host.resign()
        self.stage.run(0.49)
        self.assertIn(ADDRESS, self.stage.table.present)
        self.stage.run(0.02)
        self.assertEqual(self.stage.table.present, {})

    def test_stopDuringResignation(self) -> None:
        """
        A stop while the host lingers after a resignation gives back at once, and once.
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
        When the link goes while it lingers, nothing is answered any more: the release
        comes all the same.
        """
        self.stage.host.resign()
        with capturedLogs():
            self.stage.links.change(running=False)
        self.stage.run(0.6)
        self.assertEqual(self.stage.table.present, {})

    def test_unfitDoesNotLinger(self) -> None:
        """
        A host that found itself unfit has nothing to go on with.
        """
        self.stage.host._run.tell(StepFailed("check"))
        self.assertEqual(self.stage.table.present, {})

    def test_startAgain(self) -> None:
        """
        After a stop in the middle of a hand-over a new start is a new start.
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
        Role, previous role, reason and peer of each change, in order.
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
        The fake with addresses is the plain one in all else.
        """
        self.assertIsInstance(self.stage, Stage)
