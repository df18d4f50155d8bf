"""
Tests for L{txcarp.mastership.leases}.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.fakes import INTERFACE, Journal, runTo
from tests.mastership.table import FakeTable, refused
from txcarp.addresses import parseVirtualAddress
from txcarp.change import Change
from txcarp.interfaces import IAddressTable, ILeaseObserver, IMastershipStep
from txcarp.logs.limits import SayOnce
from txcarp.mastership.leases import AddressLeases, leaseFor
from txcarp.protocol.effects import Reason, Role

FIRST, SECOND = "10.0.0.100", "fd00::100"


def change(role: Role, reason: Reason = Reason.SILENCE) -> Change:
    """
    A change to a role.
    """
    return Change(
        role=role, previous=Role.BACKUP, reason=reason, vhid=7, interface=INTERFACE, addresses=()
    )


MASTER = change(Role.MASTER)
BACKUP = change(Role.BACKUP, Reason.PREFERRED_MASTER)
STARTED = change(Role.BACKUP, Reason.STARTED)


class LengthTests(SynchronousTestCase):
    """
    How long a lease is.
    """

    def test_table(self) -> None:
        """
        A second less than the most eager backup waits, and at least one.
        """
        for advbase, deadRatio, expected in (
            (1, 3, 2),
            (1, 1, 1),
            (2, 3, 5),
            (0, 3, 1),
            (0, 1, 1),
            (1, 10, 9),
            (255, 3, 764),
        ):
            with self.subTest(advbase=advbase, deadRatio=deadRatio):
                self.assertEqual(leaseFor(advbase, deadRatio), expected)


class LeaseTestCase(SynchronousTestCase):
    """
    Leases of two addresses on a fake table.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.journal = Journal()
        self.table = FakeTable(self.journal, self.clock)
        self.fit = True
        self.leases = self.make()

    def make(self, lease: int = 3, interval: float = 1.0) -> AddressLeases:
        """
        Leases that nobody has acquired yet.
        """
        return AddressLeases(
            self.table,
            INTERFACE,
            [parseVirtualAddress(f"{FIRST}/24"), parseVirtualAddress(SECOND)],
            lease,
            self.clock,
            fit=lambda: self.fit,
            sayOnce=SayOnce(self.clock),
            interval=lambda: interval,
            restored=lambda: self.journal.append(("announce",)),
        )

    def acquire(self) -> None:
        """
        Become master, with nothing in the journal.
        """
        self.successResultOf(self.leases.acquire(MASTER))
        self.journal.clear()

    def beat(self, seconds: float) -> None:
        """
        Let time pass, with an advertisement and a renewal each second.
        """
        end = self.clock.seconds() + seconds
        while self.clock.seconds() + 1.0 <= end:
            runTo(self.clock, self.clock.seconds() + 1.0)
            self.leases.renew()
        runTo(self.clock, end)

    def said(self, logs: list[Any]) -> list[str]:
        """
        What was logged.
        """
        return [formatEvent(event) for event in logs]


class HoldTests(LeaseTestCase):
    """
    Addresses that come, stay and go.
    """

    def test_interfaces(self) -> None:
        """
        It is a step and an observer, and the fake is a table.
        """
        verifyObject(IMastershipStep, self.leases)
        verifyObject(ILeaseObserver, self.leases)
        verifyObject(IAddressTable, self.table)

    def test_acquired(self) -> None:
        """
        All addresses are added at once, for as long as the lease; the step is done
        when the kernel said so.
        """
        self.table.slow = True
        done = self.leases.acquire(MASTER)
        self.assertEqual(self.journal.take(), [("hold", 3, FIRST, SECOND)])
        self.assertNoResult(done)
        self.table.answer()
        self.successResultOf(done)

    def test_waitsForTheList(self) -> None:
        """
        Nothing is decided before it is known what is there.
        """
        self.table.unknown = []
        done = self.leases.acquire(MASTER)
        self.assertEqual(self.journal, [])
        self.table.unknown[0].callback(None)
        self.successResultOf(done)
        self.assertEqual(self.journal, [("hold", 3, FIRST, SECOND)])

    def test_renewed(self) -> None:
        """
        An address that is renewed with each advertisement stays.
        """
        self.acquire()
        self.beat(20.0)
        self.assertEqual(set(self.table.present), {FIRST, SECOND})
        self.assertEqual(self.journal, [("hold", 3, FIRST, SECOND)] * 20)

    def test_notTooOften(self) -> None:
        """
        Advertisements in a quick rhythm do not each ask the kernel.
        """
        self.leases = self.make(lease=1, interval=0.1)
        self.acquire()
        for _ in range(100):
            runTo(self.clock, self.clock.seconds() + 0.1)
            self.leases.renew()
        self.assertEqual(set(self.table.present), {FIRST, SECOND})
        self.assertLess(len(self.journal), 40)
        self.assertGreater(len(self.journal), 25)

    def test_slowRhythm(self) -> None:
        """
        Where the advertisements come too seldom for the lease, it is renewed in
        between, by a host that is in good order, but not for ever.
        """
        for lease, interval, kept in ((1, 1.0, 1.5), (1, 255 / 256 + 1, 2.5), (2, 1.9, 2.5)):
            with self.subTest(lease=lease, interval=interval):
                self.leases = self.make(lease=lease, interval=interval)
                self.acquire()
                started = self.clock.seconds()
                runTo(self.clock, started + interval + 0.39)
                self.assertEqual(set(self.table.present), {FIRST, SECOND})
                with capturedLogs():
                    runTo(self.clock, started + kept + 0.01)
                self.assertEqual(self.table.present, {})
                self.successResultOf(self.leases.release(BACKUP))

    def test_slowRhythmUnfit(self) -> None:
        """
        A host that is not in good order renews nothing in between.
        """
        self.leases = self.make(lease=1, interval=1.0)
        self.acquire()
        self.fit = False
        with capturedLogs():
            runTo(self.clock, 1.01)
        self.assertEqual(self.table.present, {})

    def test_slowRhythmEnds(self) -> None:
        """
        After the release nothing is left that would renew.
        """
        self.leases = self.make(lease=1, interval=1.0)
        self.acquire()
        self.successResultOf(self.leases.release(BACKUP))
        self.journal.clear()
        runTo(self.clock, 5.0)
        self.assertEqual(self.journal, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_notRenewed(self) -> None:
        """
        Without a renewal the addresses go at the end of the lease, and that is said.
        """
        self.acquire()
        with capturedLogs() as logs:
            runTo(self.clock, 2.99)
            self.assertEqual(set(self.table.present), {FIRST, SECOND})
            runTo(self.clock, 3.0)
        self.assertEqual(self.table.present, {})
        self.assertIn("The lease of 10.0.0.100 on eth7 has ended", self.said(logs)[0])
        self.assertEqual(self.leases.restored, 0)

    def test_saidOnce(self) -> None:
        """
        However many addresses go, it is said once.
        """
        self.acquire()
        self.leases.addressesGone([])
        with capturedLogs() as logs:
            runTo(self.clock, 3.0)
        self.assertEqual(self.table.present, {})
        self.assertEqual(len(logs), 1)

    def test_expiredComesBack(self) -> None:
        """
        Addresses that went with their lease are not put back for that, but by the next
        renewal of a host in good order.
        """
        self.acquire()
        with capturedLogs():
            runTo(self.clock, 4.0)
        self.assertEqual(self.journal.take(), [])
        self.leases.renew()
        self.assertEqual(set(self.table.present), {FIRST, SECOND})

    def test_expiredUnread(self) -> None:
        """
        A host that wakes after the end of the lease may renew it before it reads what
        the kernel says of it: then nobody else removed the addresses. They are announced
        once they are back.
        """
        self.acquire()
        self.clock.rightNow += 3.2
        self.table.slow = True
        with capturedLogs() as logs:
            self.leases.renew()
            self.table.remove(FIRST, SECOND)
            self.assertEqual(self.journal.take(), [("hold", 3, FIRST, SECOND)])
            self.table.answer()
        self.assertEqual(self.journal.take(), [("announce",)])
        [line] = self.said(logs)
        self.assertIn("The lease of 10.0.0.100, fd00::100 on eth7 has ended", line)
        self.assertEqual(self.leases.restored, 0)
        self.table.slow = False
        self.table.present = {FIRST: None, SECOND: None}
        with capturedLogs():
            self.table.remove(FIRST)
        self.assertEqual(self.leases.restored, 1)

    def test_released(self) -> None:
        """
        All addresses are removed; the step is done when the kernel said so.
        """
        self.acquire()
        self.table.slow = True
        done = self.leases.release(BACKUP)
        self.assertEqual(self.journal, [("drop", FIRST, SECOND)])
        self.assertNoResult(done)
        self.table.answer()
        self.successResultOf(done)
        self.assertEqual(self.table.observers, [])

    def test_noRenewalAfterRelease(self) -> None:
        """
        A beat that comes after the release changes nothing.
        """
        self.acquire()
        self.successResultOf(self.leases.release(BACKUP))
        self.journal.clear()
        runTo(self.clock, 2.0)
        self.leases.renew()
        self.leases.addressesPossiblyGone()
        self.assertEqual(self.journal, [])

    def test_leftOver(self) -> None:
        """
        What an earlier run left is removed at the start.
        """
        self.table.present = {FIRST: 100.0, SECOND: 100.0}
        self.successResultOf(self.leases.release(STARTED))
        self.assertEqual(self.table.present, {})

    def test_leftOverWaitsForTheList(self) -> None:
        """
        At the start, too, it must be known first what is there.
        """
        self.table.unknown = []
        done = self.leases.release(STARTED)
        self.assertEqual(self.journal, [])
        self.table.unknown[0].callback(None)
        self.successResultOf(done)
        self.assertEqual(self.journal, [("drop", FIRST, SECOND)])

    def test_again(self) -> None:
        """
        After a release it can be acquired again.
        """
        self.acquire()
        self.successResultOf(self.leases.release(BACKUP))
        self.acquire()
        self.beat(5.0)
        self.assertEqual(set(self.table.present), {FIRST, SECOND})
        self.assertEqual(len(self.table.observers), 1)

    def test_refused(self) -> None:
        """
        A kernel that does not add the addresses fails the step.
        """
        self.table.error = refused()
        failure = self.failureResultOf(self.leases.acquire(MASTER), OSError)
        self.assertIn("no room", failure.getErrorMessage())
        self.successResultOf(self.leases.release(BACKUP))
        self.assertEqual(self.table.observers, [])

    def test_renewalRefused(self) -> None:
        """
        A renewal that fails is said once a minute, and tried again with the next.
        """
        self.acquire()
        self.table.error = refused()
        with capturedLogs() as logs:
            self.beat(2.5)
        self.assertEqual(
            self.said(logs),
            ["The lease of the addresses on eth7 could not be renewed: [Errno 105] no room"],
        )
        self.table.error = None
        self.beat(2.0)
        self.assertEqual(set(self.table.present), {FIRST, SECOND})


class RemovedTests(LeaseTestCase):
    """
    Addresses that somebody else removes.
    """

    def test_putBack(self) -> None:
        """
        It is put back at once, alone, counted and announced.
        """
        self.acquire()
        runTo(self.clock, 1.0)
        with capturedLogs() as logs:
            self.table.remove(FIRST)
        self.assertEqual(self.journal, [("hold", 3, FIRST), ("announce",)])
        self.assertEqual(self.leases.restored, 1)
        [line] = self.said(logs)
        for words in (
            "Another program removed 10.0.0.100 from eth7",
            "(1 times",
            "systemd-networkd",
            "KeepConfiguration=static",
            "NetworkManager",
        ):
            self.assertIn(words, line)

    def test_saidOnceAMinute(self) -> None:
        """
        However often it happens, one line a minute says how often so far.
        """
        self.acquire()
        with capturedLogs() as logs:
            for _ in range(50):
                self.beat(1.0)
                self.table.remove(FIRST, SECOND)
            self.assertEqual(len(logs), 1)
            self.beat(11.0)
            self.table.remove(SECOND)
        self.assertEqual(len(logs), 2)
        self.assertIn("(101 times so far)", self.said(logs)[1])
        self.assertEqual(self.leases.restored, 101)

    def test_fight(self) -> None:
        """
        Against a program that removes or changes the addresses each time that they are put
        back, that is done a few times a second, and said twice a minute; nothing is left of it
        after the release.
        """
        events = {
            "removed": lambda: self.table.remove(FIRST),
            "changed": lambda: self.leases.addressesTaken([bytes((10, 0, 0, 100))]),
        }
        for what, event in events.items():
            with self.subTest(what=what), capturedLogs() as logs:
                self.setUp()
                self.acquire()
                before = self.clock.seconds()
                while self.clock.seconds() < before + 10.0:
                    self.table.foreign = {FIRST} if what == "changed" else set()
                    if FIRST in self.table.present:
                        event()
                    self.beat(1 / 64)
                    self.leases.renew()
                holds = [entry for entry in self.journal if entry == ("hold", 3, FIRST)]
                self.assertGreaterEqual(len(holds), 10)
                self.assertLessEqual(len(holds), 60)
                self.assertEqual(len(logs), 2)
                self.assertIn("changed more than 5 times in a second", self.said(logs)[1])
                self.table.foreign = set()
                self.successResultOf(self.leases.release(BACKUP))
                self.journal.clear()
                runTo(self.clock, self.clock.seconds() + 5.0)
                self.assertEqual((self.journal, self.clock.getDelayedCalls()), ([], []))

    def test_unfit(self) -> None:
        """
        A host that is not in good order puts nothing back.
        """
        self.acquire()
        runTo(self.clock, 1.0)
        self.fit = False
        with capturedLogs() as logs:
            self.table.remove(FIRST)
        self.assertEqual(self.journal, [])
        self.assertIn("this host slept, was held back or could not advertise", self.said(logs)[0])

    def test_others(self) -> None:
        """
        Addresses that are not ours concern nobody.
        """
        self.acquire()
        self.leases.addressesGone([b"\x0a\0\0\x01"])
        self.assertEqual(self.journal, [])

    def test_possiblyGone(self) -> None:
        """
        After lost messages what is missing is put back, and only that.
        """
        self.acquire()
        runTo(self.clock, 0.5)
        del self.table.present[SECOND]
        with capturedLogs():
            self.leases.addressesPossiblyGone()
        self.assertEqual(self.journal, [("hold", 3, SECOND), ("announce",)])

    def test_nothingGone(self) -> None:
        """
        After lost messages that meant nothing, nothing happens.
        """
        self.acquire()
        self.leases.addressesPossiblyGone()
        self.assertEqual(self.journal, [])
        self.assertEqual(self.leases.restored, 0)

    def test_cannotPutBack(self) -> None:
        """
        Where it cannot be put back, nothing is announced and the reason is said.
        """
        self.acquire()
        self.table.error = refused()
        with capturedLogs() as logs:
            self.table.remove(FIRST)
        self.assertEqual(self.journal, [("hold", 3, FIRST)])
        self.assertIn("no room", self.said(logs)[1])


class ForeignTests(LeaseTestCase):
    """
    An address that somebody else put on this host.
    """

    def test_leftAlone(self) -> None:
        """
        It is neither added, renewed nor removed, and that is said.
        """
        self.table.foreign = {FIRST}
        with capturedLogs() as logs:
            self.successResultOf(self.leases.acquire(MASTER))
        self.assertEqual(self.journal.take(), [("hold", 3, SECOND)])
        [line] = self.said(logs)
        self.assertIn("10.0.0.100 is on eth7 already, added by another program", line)
        self.assertIn("stays when txcarp dies", line)
        self.beat(1.0)
        self.successResultOf(self.leases.release(BACKUP))
        self.assertEqual(self.journal, [("hold", 3, SECOND), ("drop", SECOND)])

    def test_atTheStart(self) -> None:
        """
        A backup that has it does not remove it, and says what that means.
        """
        self.table.foreign = {FIRST}
        with capturedLogs() as logs:
            self.successResultOf(self.leases.release(STARTED))
        self.assertEqual(self.journal, [("drop", SECOND)])
        self.assertIn("although it is not master", self.said(logs)[0])

    def test_elsewhere(self) -> None:
        """
        One that is on another interface is held as if it were not, and said.
        """
        self.table.elsewhere = {FIRST}
        with capturedLogs() as logs:
            self.successResultOf(self.leases.acquire(MASTER))
        self.assertEqual(self.journal, [("hold", 3, FIRST, SECOND)])
        [line] = self.said(logs)
        self.assertIn("10.0.0.100 is on another interface than eth7", line)

    def test_itsRemoval(self) -> None:
        """
        When it goes, a master holds it itself from then on: the log told somebody to
        remove it.
        """
        self.table.foreign = {FIRST}
        with capturedLogs() as logs:
            self.successResultOf(self.leases.acquire(MASTER))
            self.journal.clear()
            self.table.foreign = set()
            self.leases.addressesGone([bytes((10, 0, 0, 100))])
        self.assertEqual(self.journal.take(), [("hold", 3, FIRST), ("announce",)])
        self.assertIn("From now on txcarp holds 10.0.0.100 on eth7 on lease", self.said(logs)[1])
        self.assertEqual(self.leases.restored, 0)
        self.beat(1.0)
        self.successResultOf(self.leases.release(BACKUP))
        self.assertEqual(self.table.present, {})

    def test_itsRemovalUnfit(self) -> None:
        """
        A host that is not in good order holds it with its next renewal.
        """
        self.table.foreign = {FIRST}
        with capturedLogs():
            self.successResultOf(self.leases.acquire(MASTER))
            self.table.foreign = set()
            self.fit = False
            self.journal.clear()
            self.leases.addressesGone([bytes((10, 0, 0, 100))])
        self.assertEqual(self.journal.take(), [])
        self.fit = True
        self.beat(1.0)
        self.assertEqual(set(self.table.present), {FIRST, SECOND})

    def test_oneOfTwo(self) -> None:
        """
        As long as it is there with another prefix length, it is left alone.
        """
        self.table.foreign = {FIRST}
        with capturedLogs():
            self.successResultOf(self.leases.acquire(MASTER))
        self.journal.clear()
        self.leases.addressesGone([bytes((10, 0, 0, 100))])
        self.assertEqual(self.journal, [])

    def test_staysBehind(self) -> None:
        """
        A host that ceases to be master says that it goes on answering.
        """
        self.acquire()
        self.table.foreign = {SECOND}
        with capturedLogs() as logs:
            self.successResultOf(self.leases.release(BACKUP))
        [line] = self.said(logs)
        self.assertIn("fd00::100 is on eth7 already", line)
        self.assertIn("although it is not master", line)


class PromotedTests(LeaseTestCase):
    """
    Held addresses that are the first of their network, before the host's own.
    """

    def test_heldAgain(self) -> None:
        """
        It is held again at once, which makes it a secondary address; that is counted and logged.
        """
        self.acquire()
        with capturedLogs() as logs:
            self.leases.addressesPromoted([bytes((10, 0, 0, 100)), b"\x0a\0\0\x01"])
        self.assertEqual(self.journal, [("hold", 3, FIRST), ("announce",)])
        self.assertEqual(self.leases.restored, 1)
        [line] = self.said(logs)
        self.assertIn("added it again, after 10.0.0.100", line)

    def test_unfit(self) -> None:
        """
        A host that is not a healthy master, or not master, changes nothing.
        """
        self.acquire()
        self.fit = False
        self.leases.addressesPromoted([bytes((10, 0, 0, 100))])
        self.fit = True
        self.successResultOf(self.leases.release(BACKUP))
        self.journal.clear()
        self.leases.addressesPromoted([bytes((10, 0, 0, 100))])
        self.assertEqual(self.journal, [])


class TakenTests(LeaseTestCase):
    """
    Addresses on lease that somebody makes permanent.
    """

    def test_onLeaseAgain(self) -> None:
        """
        It is on lease again at once, alone, and that is counted and said.
        """
        self.acquire()
        runTo(self.clock, 1.0)
        with capturedLogs() as logs:
            self.leases.addressesTaken([bytes((10, 0, 0, 100)), b"\x0a\0\0\x01"])
        self.assertEqual(self.journal, [("hold", 3, FIRST), ("announce",)])
        self.assertEqual(self.leases.restored, 1)
        [line] = self.said(logs)
        self.assertIn("Another program changed 10.0.0.100 on eth7, which would then stay", line)

    def test_possibly(self) -> None:
        """
        It is found when messages were lost, too.
        """
        self.acquire()
        runTo(self.clock, 0.5)
        self.table.foreign = {SECOND}
        with capturedLogs():
            self.leases.addressesPossiblyGone()
        self.assertEqual(self.journal, [("hold", 3, SECOND), ("announce",)])

    def test_unfit(self) -> None:
        """
        A host that is not in good order holds nothing again, and one that does not
        hold the addresses has no say.
        """
        self.acquire()
        self.fit = False
        self.leases.addressesTaken([bytes((10, 0, 0, 100))])
        self.fit = True
        self.successResultOf(self.leases.release(BACKUP))
        self.journal.clear()
        self.leases.addressesTaken([bytes((10, 0, 0, 100))])
        self.assertEqual(self.journal, [])
