"""
Tests of L{txcarp.virtualhost} in trouble: failed sends, late timers, sleep, floods, and
faults of other components.
"""

from __future__ import annotations

import random
import socket
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.logger import LogEvent, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests import crafted
from tests.fakes import INTERFACE, FakeObserver, Stage, configured, networkDown
from txcarp.change import Change
from txcarp.configuration.model import FlapLimit
from txcarp.findings import Finding
from txcarp.interfaces import IMastershipObserver, IMastershipStep
from txcarp.protocol.advertisement import encode
from txcarp.protocol.effects import Reason, Role
from txcarp.protocol.envelope import readPacket, wrap
from txcarp.protocol.events import StepFailed
from txcarp.protocol.ipv6 import GROUP as GROUP6
from txcarp.protocol.rejection import Rejection
from txcarp.protocol.seal import Verification

ADVERTISE = ("advertise", 1, 0)
DEMOTED = ("advertise", 1, 240)
BOW_OUT = ("advertise", 255, 255)
ANNOUNCE = ("announce", crafted.ADDRESS)
UP = ("script", "up", INTERFACE, crafted.ADDRESS)
DOWN = ("script", "down", INTERFACE, crafted.ADDRESS)


def texts(events: list[LogEvent]) -> list[str]:
    """
    The texts of logged events.
    """
    return [formatEvent(event) or "" for event in events]


class SendErrorTests(SynchronousTestCase):
    """
    Advertisements that cannot be sent.
    """

    def setUp(self) -> None:
        """
        Make a host that has been master for 10 seconds.
        """
        self.stage = Stage()
        self.stage.becomeMaster()
        self.stage.run(10)
        self.stage.journal.clear()
        self.stage.transport.attempts.clear()

    def skews(self) -> list[int]:
        """
        The skews of all advertisements that were tried since the last call.
        """
        attempts = list(self.stage.transport.attempts)
        self.stage.transport.attempts.clear()
        return [advertisement.advskew for advertisement in attempts]

    def test_twoFailures(self) -> None:
        """
        After two failures, the host is still master with its configured skew.
        """
        self.stage.transport.error = networkDown()
        self.stage.run(2)
        self.stage.transport.error = None
        self.stage.run(2)
        self.assertEqual(self.skews(), [0, 0, 0, 0])
        self.assertIs(self.stage.host.role, Role.MASTER)
        status = self.stage.host.status()
        self.assertEqual((status.sent, status.sendErrors), (13, 2))

    def test_thirdFailure(self) -> None:
        """
        After the third failure, the host tries once more at once, with a skew of 240.
        """
        self.stage.transport.error = networkDown()
        with capturedLogs() as events:
            self.stage.run(3)
        self.assertEqual(self.skews(), [0, 0, 0, 240])
        self.assertEqual(
            texts(events),
            [
                "write() has failed: Network is down",
                "write() error #3/3: advertising with skew 240",
            ],
        )

    def test_openbsd(self) -> None:
        """
        With OpenBSD's rules, send errors count as they do in OpenBSD: they add 1 to the demotion,
        and leave skew and interval as they are.
        """
        stage = self.stage = Stage(dialect="openbsd")
        stage.becomeMaster()
        stage.transport.attempts.clear()
        stage.transport.error = networkDown()
        with capturedLogs() as events:
            stage.run(3)
        said = [(one.advskew, one.demotion) for one in stage.transport.attempts]
        self.assertEqual(said, [(0, 0), (0, 0), (0, 0), (0, 1)])
        self.assertIn("write() error #3/3: advertising with demotion 1", texts(events))
        self.skews()
        stage.transport.error = None
        with capturedLogs() as events:
            stage.run(3)
        self.assertEqual(self.skews(), [0, 0, 0])
        said = ["Advertisements can be sent again: advertising with demotion 0"]
        self.assertEqual(texts(events), said)

    def test_rhythm(self) -> None:
        """
        From then on, the interval is that of the skew of 240.
        """
        self.stage.transport.error = networkDown()
        self.stage.run(3)
        self.skews()
        self.stage.run(1 + 239 / 256)
        self.assertEqual(self.skews(), [])
        self.stage.run(1 / 256)
        self.assertEqual(self.skews(), [240])

    def test_recovery(self) -> None:
        """
        Three advertisements in a row that leave, still with a skew of 240, restore the
        configured skew and interval, as with ucarp.
        """
        self.stage.transport.error = networkDown()
        self.stage.run(3)
        self.stage.transport.error = None
        self.skews()
        with capturedLogs() as events:
            self.stage.run(3 * (1 + 240 / 256))
        self.assertEqual(self.skews(), [240, 240, 240])
        self.assertEqual(
            texts(events), ["Advertisements can be sent again: advertising with skew 0"]
        )
        self.stage.run(1 - 1 / 256)
        self.assertEqual(self.skews(), [])
        self.stage.run(1 / 256)
        self.stage.run(2)
        self.assertEqual(self.skews(), [0, 0, 0])

    def test_extraLeaves(self) -> None:
        """
        If the additional advertisement leaves, it is the first of the three.
        """
        failures = [networkDown()] * 3

        def send(packet: bytes) -> None:
            if failures:
                raise failures.pop()
            original(packet)

        original = self.stage.transport.send
        self.patch(self.stage.transport, "send", send)
        self.stage.run(3 + 2 * (1 + 240 / 256) + 2)
        self.assertEqual(self.stage.journal, [DEMOTED, DEMOTED, DEMOTED, ADVERTISE, ADVERTISE])

    def test_compared(self) -> None:
        """
        The host compares a skew of 240 with those of other hosts: a master with a skew of
        239 is preferred.
        """
        self.stage.transport.error = networkDown()
        self.stage.run(3)
        self.stage.deliver(advskew=241)
        self.assertIs(self.stage.host.role, Role.MASTER)
        self.stage.deliver(advskew=239)
        self.assertIs(self.stage.host.role, Role.BACKUP)

    def test_thenDemoted(self) -> None:
        """
        A demotion after the recovery is advertised at once, and followed by an offer, like
        any other demotion.
        """
        self.stage.transport.error = networkDown()
        self.stage.run(3)
        self.stage.host.demote("one", 1)
        self.stage.transport.error = None
        self.stage.run(20)
        self.skews()
        self.stage.host.demote("other")
        self.assertEqual(self.skews(), [240])
        self.stage.run(0.11)
        offered = [(one.advbase, one.advskew) for one in self.stage.transport.attempts]
        self.assertEqual(offered, [(3, 240), (1, 240)])

    def test_logOnce(self) -> None:
        """
        Failures are logged once a minute, however many there are.
        """
        self.stage.transport.error = networkDown()
        with capturedLogs() as events:
            self.stage.run(50)
        self.assertEqual(len([1 for text in texts(events) if "write() has failed" in text]), 1)
        with capturedLogs() as events:
            self.stage.run(60)
        self.assertEqual(len([1 for text in texts(events) if "write() has failed" in text]), 1)


class RhythmTests(SynchronousTestCase):
    """
    Unexpected exceptions while the host advertises.
    """

    def test_fault(self) -> None:
        """
        An unexpected exception is logged, and the host goes on advertising.
        """
        stage = Stage()
        stage.becomeMaster()
        stage.transport.error = RuntimeError("broken")
        stage.run(1)
        stage.transport.error = None
        stage.run(3)
        self.assertEqual(stage.journal.count(ADVERTISE), 3)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_faultAtTakeOver(self) -> None:
        """
        An exception at the first advertisement does not keep the host from becoming master.
        """
        stage = Stage(neutral=True)
        stage.transport.error = RuntimeError("broken")
        stage.start()
        stage.run(3)
        self.assertIs(stage.host.role, Role.MASTER)
        self.assertEqual(stage.journal.take(), [UP, ANNOUNCE])
        stage.transport.error = None
        stage.run(2)
        self.assertEqual(stage.journal.count(ADVERTISE), 2)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_faultOfAnEffect(self) -> None:
        """
        An exception in one effect of a decision does not keep the other effects from being
        carried out: the host still sets its deadline.
        """
        stage = Stage()
        stage.becomeMaster()

        def fail(*details: object) -> None:
            raise ZeroDivisionError

        run: Any = stage.host._run
        self.patch(run.parts.candidate, "_changeRole", fail)
        stage.deliver(advbase=0, advskew=1)
        self.assertIs(stage.host.role, Role.BACKUP)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        stage.journal.clear()
        stage.run(4)
        self.assertIs(stage.host.role, Role.MASTER)
        self.assertIn(ADVERTISE, stage.journal)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_oneRhythm(self) -> None:
        """
        After any number of changes of role, there is one timer for advertisements.
        """
        stage = Stage(advskew=9)
        stage.becomeMaster()
        for _ in range(5):
            stage.deliver(advskew=1)
            stage.deliver(advbase=255, advskew=255)
        stage.journal.clear()
        stage.run(10 * (1 + 9 / 256))
        self.assertEqual(stage.journal.count(("advertise", 1, 9)), 10)


class LateTests(SynchronousTestCase):
    """
    Backups that did not run for a while.
    """

    def setUp(self) -> None:
        """
        Make a backup that has just heard its master.
        """
        self.stage = Stage(neutral=True)
        self.stage.start()
        self.stage.deliver()

    def late(self) -> None:
        """
        Have the host notice its deadline half an interval late.
        """
        self.stage.run(2.9)
        self.stage.jump(0.6)

    def test_unread(self) -> None:
        """
        If the deadline is noticed late, packets are read before it counts.  An
        advertisement among them restarts the dead time.
        """
        self.stage.transport.unread = True
        self.late()
        self.assertIs(self.stage.host.role, Role.BACKUP)
        self.stage.transport.waiting = [crafted.packet(badDigest=True), crafted.packet(advbase=1)]
        self.stage.run(0.01)
        self.assertIs(self.stage.host.role, Role.BACKUP)
        self.stage.transport.unread = False
        self.stage.run(3 - 1 / 1024)
        self.assertIs(self.stage.host.role, Role.BACKUP)
        self.stage.run(1 / 1024)
        self.assertIs(self.stage.host.role, Role.MASTER)

    def test_nothingUnread(self) -> None:
        """
        If the deadline is noticed late, by less than an interval, and no packets wait, the backup
        takes over after the second look.
        """
        self.late()
        self.assertIs(self.stage.host.role, Role.BACKUP)
        self.stage.run(0.01)
        self.assertIs(self.stage.host.role, Role.MASTER)

    def test_readAndNothingThere(self) -> None:
        """
        If none of the packets is an advertisement, the backup takes over after the second
        look.
        """
        self.stage.transport.unread = True
        self.late()
        self.stage.deliver(badDigest=True)
        self.stage.transport.unread = False
        self.stage.run(0.01)
        self.assertIs(self.stage.host.role, Role.MASTER)

    def test_neverRead(self) -> None:
        """
        A backup whose socket never becomes empty, in a flood, takes over when everything that
        arrived before the second look is read.
        """
        self.stage.transport.unread = True
        self.late()
        self.assertIs(self.stage.host.role, Role.BACKUP)
        self.stage.transport.waiting = [crafted.packet(badDigest=True)] * 100
        self.stage.run(0.01)
        self.assertIs(self.stage.host.role, Role.MASTER)

    def test_slept(self) -> None:
        """
        A backup that did not run for longer than an interval waits for its whole dead time,
        whatever wakes it, and says so.  It may have missed advertisements.
        """
        for wakes in (
            lambda: None,
            lambda: self.stage.deliver(badDigest=True),
            lambda: self.stage.links.change(mtu=9000),
        ):
            self.setUp()
            with capturedLogs() as events:
                self.stage.clock.rightNow += 8
                wakes()
                self.stage.run(3 - 1 / 1024)
            self.assertIs(self.stage.host.role, Role.BACKUP)
            self.assertIn(
                "This backup did not run for at least 7.000 s and may have missed advertisements, "
                f"so it waits for its whole dead time of 3.000 s again (vhid {crafted.VHID} on "
                f"{INTERFACE}). Check whether the machine was suspended or overloaded",
                texts(events),
            )
            self.stage.run(1 / 1024)
            self.assertIs(self.stage.host.role, Role.MASTER)
            self.assertEqual(self.stage.host.status().pauses, 1)

    def test_suspended(self) -> None:
        """
        The sleep of the machine counts, although the clock of the timers stands still in it.
        """
        self.stage.asleep = 100
        self.stage.run(3)
        self.assertIs(self.stage.host.role, Role.BACKUP)
        self.stage.run(3)
        self.assertIs(self.stage.host.role, Role.MASTER)

    def test_sleptBefore(self) -> None:
        """
        It waits as long if the sleep ended before the deadline.
        """
        self.stage.jump(2.9)
        self.stage.run(3 - 1 / 1024)
        self.assertIs(self.stage.host.role, Role.BACKUP)
        self.stage.run(1 / 1024)
        self.assertIs(self.stage.host.role, Role.MASTER)

    def test_sleptInSecondLook(self) -> None:
        """
        A backup that sleeps while it takes its second look waits, too.
        """
        self.late()
        self.stage.jump(8)
        self.stage.run(3 - 1 / 1024)
        self.assertIs(self.stage.host.role, Role.BACKUP)

    def test_oldAdvertisements(self) -> None:
        """
        After such a sleep, the advertisements that waited in the socket make no master of this
        host: the bow-out may be old, and the less preferred master replaced.  Those that arrive
        later do.
        """
        for fields in ({"advbase": 255, "advskew": 255}, {"advbase": 1, "advskew": 9}):
            self.stage = Stage(neutral=True, preempt=True)
            self.stage.start()
            self.stage.deliver()
            self.stage.transport.unread = True
            self.stage.jump(8)
            self.stage.deliver(**fields, counter=101)
            self.stage.run(0.5)
            self.stage.deliver(**fields, counter=102)
            self.stage.transport.unread = False
            self.stage.deliver(**fields, counter=103)
            self.assertIs(self.stage.host.role, Role.BACKUP)
            self.stage.deliver(**fields, counter=104)
            self.assertIs(self.stage.host.role, Role.MASTER)

    def test_onTheirWay(self) -> None:
        """
        If nothing waits in the socket, an advertisement of before the sleep may still be on its way
        through the kernel for a moment.  Those that arrive later count, from the first one on.
        """
        for seconds, role in ((0.0, Role.BACKUP), (0.04, Role.BACKUP), (0.05, Role.MASTER)):
            for others in (0, 2):
                self.setUp()
                self.stage.jump(8)
                for counter in range(others):
                    self.stage.deliver(counter=counter)
                self.stage.run(seconds)
                self.stage.deliver(advbase=255, advskew=255, counter=104)
                self.assertIs(self.stage.host.role, role, (seconds, others))

    def test_oldForASecond(self) -> None:
        """
        If the socket never becomes empty, advertisements count again after a second.
        """
        self.stage.transport.unread = True
        self.stage.jump(8)
        self.stage.run(0.75)
        self.stage.deliver(advbase=255, advskew=255)
        self.assertIs(self.stage.host.role, Role.BACKUP)
        self.stage.run(0.25)
        self.stage.deliver(advbase=255, advskew=255, counter=2)
        self.assertIs(self.stage.host.role, Role.MASTER)

    def test_almostInTime(self) -> None:
        """
        A deadline that is noticed a few milliseconds late counts at once.
        """
        self.stage.run(2.9)
        self.stage.jump(0.14)
        self.assertIs(self.stage.host.role, Role.MASTER)

    def test_unreadInTime(self) -> None:
        """
        If packets wait, a deadline that is noticed in time does not count at once either:
        the process may have stood still for the whole dead time.
        """
        self.stage.transport.unread = True
        self.stage.jump(3.0)
        self.assertIs(self.stage.host.role, Role.BACKUP)
        self.stage.deliver()
        self.stage.transport.unread = False
        self.stage.run(2.9)
        self.assertIs(self.stage.host.role, Role.BACKUP)


class PauseTests(SynchronousTestCase):
    """
    Masters that did not run for a while, because the process was stopped or the machine
    slept.
    """

    def setUp(self) -> None:
        """
        Make a master that has just advertised.
        """
        self.master()

    def master(self, **settings: Any) -> None:
        """
        Make such a master with other settings.
        """
        self.stage = Stage(**settings)
        self.stage.becomeMaster()
        self.stage.run(5)
        self.stage.journal.clear()

    def checkPaused(self, events: list[LogEvent], pause: str) -> None:
        """
        Assert that the host released everything and logged the reason, without an
        advertisement or an announcement.
        """
        self.assertIs(self.stage.host.role, Role.BACKUP)
        self.assertEqual(self.stage.journal, [DOWN])
        self.assertIs(self.stage.observer.changes[-1].reason, Reason.PAUSED)
        self.assertEqual(self.stage.host.status().pauses, 1)
        self.assertIn(
            f"This host did not run for {pause} s, longer than its peers wait for a master, so "
            "it becomes backup. Check whether the machine was suspended or overloaded",
            texts(events),
        )

    def test_stopped(self) -> None:
        """
        A process that was stopped notices its late timer, and releases everything before
        anything else.
        """
        with capturedLogs() as events:
            self.stage.jump(8)
        self.checkPaused(events, "8.000")

    def test_suspended(self) -> None:
        """
        A machine that slept notices that at its next timer, even if that timer is on time.
        """
        self.stage.asleep = 100
        with capturedLogs() as events:
            self.stage.run(1)
        self.checkPaused(events, "101.000")

    def test_packetFirst(self) -> None:
        """
        If a packet arrives first, the host is backup before it handles the packet: it
        announces nothing, and sends no last advertisement.
        """
        for advskew in (0, 100):
            self.setUp()
            self.stage.asleep = 100
            with capturedLogs() as events:
                self.stage.deliver(advskew=advskew)
            self.checkPaused(events, "100.000")

    def test_badPacketFirst(self) -> None:
        """
        A packet with a bad digest is enough to notice the pause.
        """
        self.stage.asleep = 100
        with capturedLogs() as events:
            self.stage.deliver(badDigest=True)
        self.checkPaused(events, "100.000")

    def test_somethingElseFirst(self) -> None:
        """
        A demotion, a change of the link, a request or a failed step is enough, too.  The
        host sends no bow-out, which could make a third host master beside the present one.
        """
        for wakes in (
            lambda: self.stage.host.demote("link of eth8"),
            lambda: self.stage.links.change(mtu=9000),
            lambda: self.stage.host.resign(),
            lambda: self.stage.host._run.tell(StepFailed("work")),
        ):
            self.setUp()
            self.stage.asleep = 100
            with capturedLogs() as events:
                wakes()
            self.checkPaused(events, "100.000")
            self.stage.asleep = 0
            self.stage.run(0.5)
            self.assertEqual(self.stage.journal, [DOWN])

    def test_asleepInItsOffer(self) -> None:
        """
        A demoted master that sleeps before its offer is due notices the pause first.  Its
        offer could make a third host master beside the present one.
        """
        self.stage.host.demote("link of eth8")
        self.assertEqual(self.stage.journal.take(), [("advertise", 1, 240)])
        self.stage.asleep = 100
        with capturedLogs() as events:
            self.stage.run(0.05)
        self.checkPaused(events, "100.050")

    def test_asleepInAnyTimer(self) -> None:
        """
        Whichever timer runs first after the pause, the host is backup before the timer has
        any effect.
        """
        for settings in ({"announceEvery": 0.5}, {"flapLimit": FlapLimit(2, 1.0)}, {}):
            self.master(**settings)
            self.stage.asleep = 100
            with capturedLogs() as events:
                self.stage.run(1.0)
            said = [text for text in texts(events) if "longer than its peers wait" in text]
            self.assertEqual(len(said), 1, settings)
            sent = [event for event in self.stage.journal if event[0] != "script"]
            self.assertEqual(sent, [], settings)

    def test_stoppedAfterIt(self) -> None:
        """
        A stop after the pause sends no bow-out either.
        """
        self.stage.asleep = 100
        with capturedLogs():
            self.successResultOf(self.stage.host.stopService())
        reasons = [one.reason for one in self.stage.observer.changes[-2:]]
        self.assertEqual(reasons, [Reason.PAUSED, Reason.STOPPED])
        self.assertEqual(self.stage.journal, [DOWN, ("detach", INTERFACE, crafted.VHID)])

    def test_afterwards(self) -> None:
        """
        After the pause, the host waits like any other backup.
        """
        self.stage.jump(8)
        self.stage.journal.clear()
        self.stage.run(3 - 1 / 1024)
        self.assertEqual(self.stage.journal, [])
        self.stage.run(1 / 1024)
        self.assertEqual(self.stage.journal, [ADVERTISE, UP, ANNOUNCE])

    def test_short(self) -> None:
        """
        A pause that is shorter than the dead time has no effect.
        """
        self.stage.jump(2.9)
        self.stage.run(1)
        self.assertIs(self.stage.host.role, Role.MASTER)

    def test_smallRatio(self) -> None:
        """
        With a dead ratio of one, the ordinary interval is not taken for a pause.
        """
        for advbase, advskew in ((1, 0), (1, 255), (0, 10)):
            stage = Stage(advbase=advbase, advskew=advskew, deadRatio=1)
            stage.becomeMaster()
            stage.run(20)
            self.assertIs(stage.host.role, Role.MASTER)

    def quick(self, advskew: int, **settings: Any) -> Stage:
        """
        Make a master that advertises several times per second, and has just done so.
        """
        stage = Stage(advbase=0, advskew=advskew, **settings)
        stage.start()
        while stage.host.role is not Role.MASTER:
            stage.run(1 / 256)
        stage.run(4 * advskew / 256)
        stage.journal.clear()
        return stage

    def test_busy(self) -> None:
        """
        A host without an advbase that is merely busy stays master, and takes part in the
        election: its beats are late by more than it takes a peer to take over, and no peer has.
        """
        for dialect in ("ucarp", "freebsd", "openbsd"):
            for advskew in (2, 9, 100):
                stage = self.quick(advskew, dialect=dialect)
                for _ in range(20):
                    stage.jump(0.5)
                    stage.run(0.1)
                self.assertIs(stage.host.role, Role.MASTER, (dialect, advskew))
                self.assertEqual(stage.host.status().holds, [])
                self.assertEqual(len(stage.observer.changes), 2)

    def test_busyAndReplaced(self) -> None:
        """
        A master that was paused for longer than a peer may wait reads the advertisement of the
        peer before anything else, whatever it is that wakes it.  If the peer is preferred, this
        host sends no ordinary advertisement, and no bow-out.
        """
        for wakes in (
            lambda stage: stage.run(0.1),
            lambda stage: stage.host.demote("link of eth8"),
            lambda stage: stage.host.resign(),
            lambda stage: stage.host._run.tell(StepFailed("work")),
        ):
            stage = self.quick(20)
            stage.transport.waiting.append(crafted.packet(advbase=0, advskew=19))
            stage.asleep = 0.5
            wakes(stage)
            self.assertIs(stage.host.role, Role.BACKUP)
            last = stage.observer.changes[-1]
            self.assertIs(last.reason, Reason.PREFERRED_MASTER)
            self.assertEqual(stage.transport.waiting, [])
            self.assertEqual(stage.journal, [("advertise", 0, 20), DOWN])

    def test_busyInOrder(self) -> None:
        """
        What wakes the master takes effect after the packets that it reads first.
        """
        stage = self.quick(100)
        stage.transport.waiting.append(crafted.packet(advbase=0, advskew=200))
        stage.asleep = 0.5
        stage.host.resign()
        self.assertEqual(stage.journal, [ANNOUNCE, ("advertise", 255, 255)])
        self.assertEqual(stage.observer.changes[-1].reason, Reason.RESIGNED)

    def test_longWithoutBase(self) -> None:
        """
        A pause that is longer than the dead time of the highest skew makes a backup of the
        master, also without an advbase.
        """
        for dialect, longest in (("ucarp", 255 / 256), ("openbsd", 3 * 255 / 256)):
            for pause, role in ((longest - 0.01, Role.MASTER), (longest + 0.01, Role.BACKUP)):
                stage = self.quick(2, dialect=dialect)
                stage.asleep = pause
                with capturedLogs():
                    stage.run(1 / 128)
                self.assertIs(stage.host.role, role, (dialect, pause))

    def test_notRead(self) -> None:
        """
        A master that is in time does not look for unread packets.
        """
        stage = self.quick(100)
        stage.transport.waiting.append(crafted.packet(advbase=0, advskew=99))
        stage.jump(1.24 * 100 / 256)
        self.assertEqual(len(stage.transport.waiting), 1)
        self.assertIs(stage.host.role, Role.MASTER)

    def test_announcement(self) -> None:
        """
        An announcement that became due during the pause is not sent.
        """
        stage = Stage(announceEvery=2.5)
        stage.becomeMaster()
        stage.run(2.25)
        stage.journal.clear()
        stage.jump(10)
        self.assertEqual(stage.journal, [DOWN])


class FloodTests(SynchronousTestCase):
    """
    Very many packets.
    """

    def test_bad(self) -> None:
        """
        11000 bad packets of all kinds are counted and change nothing.  Each reason is
        logged at most once a minute.
        """
        kinds: list[tuple[Rejection, dict[str, Any]]] = [
            (Rejection.TTL, {"ttl": 3}),
            (Rejection.VERSION, {"version": 9}),
            (Rejection.DIGEST, {"badDigest": True}),
            (Rejection.VHID, {"vhid": 11}),
            (Rejection.DESTINATION, {"destination": "224.0.0.55"}),
            (Rejection.OWN_ECHO, {"source": crafted.OWN, "badDigest": True}),
            (Rejection.OWN_SOURCE, {"source": crafted.OWN}),
        ]
        packets = [(reason, crafted.packet(**fields)) for reason, fields in kinds]
        packets.append((Rejection.CHECKSUM, crafted.plusOne(crafted.packet(), 26)))
        packets.append((Rejection.VRRP, crafted.packet(crafted.vrrp2(2))))
        packets.append((Rejection.VRRP, crafted.packet(crafted.vrrp2(5))))
        packets.append((Rejection.SIZE, crafted.packet(b"\x21\x0a")))
        stage = Stage(neutral=True)
        stage.start()
        with capturedLogs() as events:
            for index in range(1000 * len(packets)):
                if index == 500 * len(packets):
                    stage.run(1)
                stage.deliver(packets[index % len(packets)][1])
        self.assertEqual(stage.host.status().rejected.total(), 11000)
        for reason in Rejection:
            expected = 1000 * [each for each, _ in packets].count(reason)
            self.assertEqual(stage.host.status().rejected[reason], expected, reason)
        self.assertEqual(
            sorted(text[:12] for text in texts(events)),
            [
                "10.99.0.1 us",  # uses VRRP
                "Advertisemen",  # of this host come back to it
                "Another host",  # of this group sends from the source address of this host
                "Bad IP check",
                "Bad TTL: [3]",
                "Bad digest -",
                "Bad version:",
            ],
        )
        # The deadline is the same as before.
        stage.run(2)
        self.assertIs(stage.host.role, Role.MASTER)
        self.assertEqual(stage.host.status().received, 0)

    def test_sameSource(self) -> None:
        """
        Another host with the source of this one is a finding.  This host's own looped
        advertisements are a different one.
        """
        for verification in Verification:
            stage = Stage(neutral=True, verification=verification)
            stage.becomeMaster()
            echo = wrap(
                encode(stage.transport.advertisements[-1]),
                crafted.packed(crafted.OWN),
                crafted.packed("224.0.0.18"),
            )
            stage.deliver(echo)
            self.assertEqual(stage.host.status().findings, {Finding.OWN_ECHO: 1})
            with capturedLogs() as events:
                stage.deliver(source=crafted.OWN)
            self.assertEqual(
                stage.host.status().findings, {Finding.OWN_ECHO: 1, Finding.SAME_SOURCE: 1}
            )
            self.assertIn(f"sends from {crafted.OWN}", texts(events)[0])
            self.assertIs(stage.host.role, Role.MASTER)
            self.assertEqual(stage.host.status().received, 0)

    def test_ownReplayed(self) -> None:
        """
        Old advertisements of this host, replayed to it or altered, are not taken for those of
        another host with its source.
        """
        stage = Stage(neutral=True)
        stage.becomeMaster()
        stage.run(60)
        old = stage.transport.advertisements[0]
        for sent in (old, attrs.evolve(old, advskew=7)):
            stage.deliver(
                wrap(encode(sent), crafted.packed(crafted.OWN), crafted.packed("224.0.0.18"))
            )
        self.assertEqual(stage.host.status().findings, {Finding.REPLAY: 2})

    def test_saysHowMany(self) -> None:
        """
        The log line of the next minute has the number of lines that were left out.
        """
        stage = Stage(neutral=True)
        stage.start()
        for _ in range(100):
            stage.deliver(ttl=3)
        stage.run(61)
        with capturedLogs() as events:
            stage.deliver(ttl=3)
        self.assertIn("99 more like it since the last line", texts(events)[0])

    def test_good(self) -> None:
        """
        10000 good advertisements cause no log line, and leave one timer.
        """
        stage = Stage(neutral=True)
        stage.start()
        before = len(stage.clock.getDelayedCalls())
        packet = crafted.packet(advbase=1)
        with capturedLogs() as events:
            for _ in range(10000):
                stage.deliver(packet)
        self.assertEqual(events, [])
        self.assertLessEqual(len(stage.clock.getDelayedCalls()), before + 1)


class SecretTests(SynchronousTestCase):
    """
    The password is never shown.
    """

    def test_log(self) -> None:
        """
        No log event of a host with C{debug} contains the password, neither as text nor as a
        value.
        """
        secret = b"Zq9hunter2xyz"
        marks = ("Zq9hunter2xyz", secret.hex(), repr(secret))
        stage = Stage(password=secret, debug=True, preempt=True)
        with capturedLogs() as events:
            stage.start()
            stage.deliver(password=secret)
            stage.deliver(password=b"another")
            stage.deliver(password=secret, advskew=9)
            stage.run(2)
            stage.transport.error = networkDown()
            stage.run(10)
            stage.transport.error = None
            stage.deliver(password=secret, advbase=0, advskew=9)
            stage.host.logStatus()
            stage.run(10)
            stage.host.resign()
            stage.host.stopService()
            stage.run(5)
        self.assertGreater(len(events), 20)
        for event in events:
            whole = f"{formatEvent(event)} {event!r}"
            for mark in marks:
                self.assertNotIn(mark, whole)

    def test_repr(self) -> None:
        """
        Neither the configuration nor the host contains the password as text.
        """
        configuration = configured(password=b"Zq9hunter2xyz")
        self.assertNotIn("hunter2", repr(configuration))
        self.assertNotIn("hunter2", str(configuration))
        stage = Stage(password=b"Zq9hunter2xyz")
        self.assertNotIn("hunter2", repr(stage.host) + repr(stage.host.name))


@implementer(IMastershipObserver)
class _Broken:
    """
    An observer that raises.
    """

    def roleChanged(self, change: Change) -> None:
        raise ZeroDivisionError


@implementer(IMastershipStep)
class _Work:
    """
    A step that fails on request.
    """

    name = "work"
    timeLimit = None

    def __init__(self, required: bool = True) -> None:
        self.required = required
        self.calls: list[str] = []
        self.fails = False

    def acquire(self, change: Change) -> Deferred[None] | None:
        self.calls.append("acquire")
        if self.fails:
            raise OSError("no work today")
        return None

    def release(self, change: Change) -> Deferred[None] | None:
        self.calls.append("release")
        return None


class OthersTests(SynchronousTestCase):
    """
    Observers and steps of other programs.
    """

    def test_observer(self) -> None:
        """
        An observer that raises is logged.  The other observers are told, and the election
        goes on.
        """
        stage = Stage()
        after = FakeObserver()
        stage.host.addObserver(_Broken())
        stage.host.addObserver(after)
        stage.becomeMaster()
        self.assertIs(stage.host.role, Role.MASTER)
        self.assertEqual([change.role for change in after.changes], [Role.BACKUP, Role.MASTER])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_removed(self) -> None:
        """
        A removed observer is told nothing more.  Removing an unknown observer raises.
        """
        stage = Stage()
        stage.host.removeObserver(stage.observer)
        stage.becomeMaster()
        self.assertEqual(stage.observer.changes, [])
        self.assertRaises(ValueError, stage.host.removeObserver, stage.observer)

    def test_asksBack(self) -> None:
        """
        An observer may act on a change.  Its request waits until the change is complete.
        """
        stage = Stage()

        @implementer(IMastershipObserver)
        class Resigning:
            def roleChanged(self, change: Change) -> None:
                if change.role is Role.MASTER:
                    stage.host.resign()

        stage.host.addObserver(Resigning())
        stage.start()
        stage.run(3)
        self.assertIs(stage.host.role, Role.BACKUP)
        self.assertEqual(
            [entry for entry in stage.journal if entry[0] == "advertise"], [ADVERTISE, BOW_OUT]
        )
        self.assertEqual(
            [change.role for change in stage.observer.changes],
            [Role.BACKUP, Role.MASTER, Role.BACKUP],
        )

    def test_unfit(self) -> None:
        """
        If a required step fails, the host sends a bow-out, releases everything, and tries
        again after a hold-off.
        """
        stage = Stage()
        work = _Work()
        work.fails = True
        stage.host.addStep(work)
        with capturedLogs() as events:
            stage.becomeMaster()
        self.assertIs(stage.host.role, Role.BACKUP)
        self.assertIs(stage.observer.changes[-1].reason, Reason.UNFIT)
        self.assertEqual(work.calls, ["release", "acquire", "release"])
        self.assertEqual(stage.transport.attempts[-1].advbase, 255)
        self.assertTrue([text for text in texts(events) if "not fit to be master" in text])
        work.fails = False
        stage.run(120)
        self.assertIs(stage.host.role, Role.MASTER)

    def test_notRequired(self) -> None:
        """
        If a step that is not required fails, the host remains master.
        """
        stage = Stage()
        work = _Work(required=False)
        work.fails = True
        stage.host.addStep(work)
        stage.becomeMaster()
        self.assertIs(stage.host.role, Role.MASTER)

    def test_addedLate(self) -> None:
        """
        Adding a step to a running host raises.
        """
        stage = Stage()
        stage.start()
        self.assertRaises(RuntimeError, stage.host.addStep, _Work())


class FilteredTests(SynchronousTestCase):
    """
    A firewall on this host.
    """

    def test_seenInFront(self) -> None:
        """
        An advertisement that only the packet socket receives, in front of the firewall, is
        accepted.  The missing rule is logged once.
        """
        stage = Stage(neutral=True)
        stage.start()
        self.assertTrue(stage.transport.front)
        with capturedLogs() as events:
            for _ in range(5):
                stage.network.receiver.packetFiltered(readPacket(crafted.packet(advbase=1)))
                stage.run(1)
        self.assertEqual(stage.host.status().received, 5)
        self.assertIs(stage.host.role, Role.BACKUP)
        told = [text for text in texts(events) if "drops protocol 112" in text]
        self.assertEqual(len(told), 1)
        self.assertIn(f'iifname "{INTERFACE}" ip protocol 112 accept', told[0])

    def test_deaf(self) -> None:
        """
        While the host itself cannot hear, because its interface is a port of a bridge, the
        firewall is not blamed.
        """
        stage = Stage(neutral=True)
        stage.links.change(master=9, portOf="bridge", masterName="br0")
        stage.start()
        with capturedLogs() as events:
            for _ in range(5):
                stage.network.receiver.packetFiltered(readPacket(crafted.packet(advbase=1)))
                stage.run(1)
        self.assertEqual([text for text in texts(events) if "firewall" in text], [])

    def test_both(self) -> None:
        """
        An advertisement that both sockets receive is accepted once, and nothing is logged.
        """
        stage = Stage(neutral=True)
        stage.start()
        packet = crafted.packet(advbase=1)
        with capturedLogs() as events:
            stage.network.receiver.packetFiltered(readPacket(packet))
            stage.deliver(packet)
            stage.run(1)
        self.assertEqual(stage.host.status().received, 1)
        self.assertEqual(events, [])
        self.assertFalse(stage.transport.front)

    def test_forwarded(self) -> None:
        """
        An advertisement that this host only forwards from one peer to another is not
        accepted, and the firewall is not blamed.
        """
        peer = socket.inet_aton(crafted.PEER)
        stage = Stage(neutral=True, peers=(peer,))
        stage.start()
        assert stage.network.receiver is not None
        with capturedLogs() as events:
            for destination in ("10.99.0.77", crafted.OWN):
                self.assertEqual(events, [])
                packet = crafted.packet(advbase=1, destination=destination, ttl=254)
                stage.network.receiver.packetFiltered(readPacket(packet))
                stage.run(1)
        self.assertEqual(stage.host.status().received, 1)
        self.assertEqual(stage.host.status().rejected.total(), 0)

    def test_toAnother(self) -> None:
        """
        Unicast to another address that is seen in front of the firewall is not for this host,
        whether it has peers or not.
        """
        for peers in ((), (socket.inet_aton(crafted.PEER),)):
            stage = Stage(neutral=True, peers=peers)
            stage.start()
            assert stage.network.receiver is not None
            for destination in ("10.99.0.77", crafted.OWN):
                self.assertEqual(stage.host.status().received, 0)
                packet = crafted.packet(advbase=1, destination=destination)
                with capturedLogs():
                    stage.network.receiver.packetFiltered(readPacket(packet))
                    stage.run(1)
            self.assertEqual(stage.host.status().received, 1)

    def test_stopped(self) -> None:
        """
        A stopped host ignores packets, and a running host ignores packets of families that
        it does not use.
        """
        stage = Stage(neutral=True)
        stage.start()
        receiver = stage.network.receiver
        assert receiver is not None
        other = wrap(crafted.payload(), socket.inet_pton(socket.AF_INET6, "fe80::1"), GROUP6)
        for receive in (receiver.packetReceived, receiver.packetFiltered):
            receive(readPacket(other))
        stage.host.stopService()
        stage.run(1)
        for receive in (receiver.packetReceived, receiver.packetFiltered):
            receive(readPacket(crafted.packet(advbase=1)))
        stage.run(1)
        status = stage.host.status()
        self.assertEqual((status.received, status.rejected.total()), (0, 0))

    def test_againSoon(self) -> None:
        """
        A firewall that drops, passes and drops packets again within a minute is logged
        once.
        """
        stage = Stage(neutral=True)
        stage.start()
        with capturedLogs() as events:
            for n in range(3):
                packet = crafted.packet(advbase=1, counter=2 * n + 9)
                stage.network.receiver.packetFiltered(readPacket(packet))
                stage.run(1)
                stage.deliver(crafted.packet(advbase=1, counter=2 * n + 10))
                stage.run(3)
        self.assertEqual(stage.host.status().received, 6)
        self.assertEqual(
            len([text for text in texts(events) if "drops protocol 112" in text]), 1
        )

    def test_forged(self) -> None:
        """
        Packets that are seen in front of the firewall are verified like all others.
        """
        stage = Stage(neutral=True)
        stage.start()
        data = random.Random(1).randbytes
        good = readPacket(crafted.packet(badDigest=True))
        for payload in (good.payload, data(36), b""):
            stage.network.receiver.packetFiltered(attrs.evolve(good, payload=payload))
            stage.run(0.5)
        self.assertEqual(stage.host.status().received, 0)
        self.assertEqual(stage.host.status().rejected.total(), 3)
