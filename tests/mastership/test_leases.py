"""
Tests of L{txcarp.mastership.leases}.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.fakes import INTERFACE, Journal, runTo
from tests.mastership.table import refused
from txcarp.addresses import parseVirtualAddress
from txcarp.change import Change
from txcarp.interfaces import IAddressTable, ILeaseObserver, IMastershipStep
from txcarp.logs.limits import SayOnce
from txcarp.mastership.leases import AddressLeases, leaseFor
from txcarp.protocol.effects import Reason, Role
from txcarp.testing.fakes import FakeAddressTable

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
    The length of a lease.
    """

    def test_table(self) -> None:
        """
        A lease is a second shorter than the shortest dead time of a backup, and at least
        one second.
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
    Leases of two addresses in a fake table.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.journal = Journal()
        self.table = FakeAddressTable(self.journal, self.clock)
        self.fit = True
        self.leases = self.make()

    def make(self, lease: int = 3, interval: float = 1.0) -> AddressLeases:
        """
        Make leases that are not acquired yet.
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
        Acquire the leases, and clear the journal.
        """
        self.successResultOf(self.leases.acquire(MASTER))
        self.journal.clear()

    def beat(self, seconds: float) -> None:
        """
        Let time pass, with an advertisement that renews the leases each second.
        """
        end = self.clock.seconds() + seconds
        while self.clock.seconds() + 1.0 <= end:
            runTo(self.clock, self.clock.seconds() + 1.0)
            self.leases.renew()
        runTo(self.clock, end)

    def said(self, logs: list[Any]) -> list[str]:
        """
        The texts of logged events.
        """
        return [formatEvent(event) for event in logs]


class HoldTests(LeaseTestCase):
    """
    Addresses that are added, renewed and removed.
    """

    def test_interfaces(self) -> None:
        """
        The leases are a step and an observer, and the fake is a table.
        """
        verifyObject(IMastershipStep, self.leases)
        verifyObject(ILeaseObserver, self.leases)
        verifyObject(IAddressTable, self.table)

    def test_acquired(self) -> None:
        """
        All addresses are added at once with the lifetime of the lease.  The step is done
        when the kernel has answered.
        """
        self.table.slow = True
        done = self.leases.acquire(MASTER)
        self.assertEqual(self.journal.take(), [("hold", 3, FIRST, SECOND)])
        self.assertNoResult(done)
        self.table.answer()
        self.successResultOf(done)

    def test_waitsForTheList(self) -> None:
        """
        No address is added before the present addresses are known.
        """
        self.table.unknown = []
        done = self.leases.acquire(MASTER)
        self.assertEqual(self.journal, [])
        self.table.unknown[0].callback(None)
        self.successResultOf(done)
        self.assertEqual(self.journal, [("hold", 3, FIRST, SECOND)])

    def test_renewed(self) -> None:
        """
        Each advertisement renews the lease, and the addresses stay.
        """
        self.acquire()
        self.beat(20.0)
        self.assertEqual(set(self.table.present), {FIRST, SECOND})
        self.assertEqual(self.journal, [("hold", 3, FIRST, SECOND)] * 20)

    def test_notTooOften(self) -> None:
        """
        With frequent advertisements, not each of them renews the lease.
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
        If the interval of the advertisements is too long for the lease, a healthy host
        renews it between advertisements, but not beyond the next one.
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

    def test_outOfTurn(self) -> None:
        """
        An advertisement out of turn comes too soon for a renewal, and puts the next one off.  The
        lease does not end before that.
        """
        self.leases = self.make(lease=2, interval=1.6)
        self.acquire()
        runTo(self.clock, 1.6)
        self.leases.renew()
        runTo(self.clock, 2.09)
        self.leases.renew()
        runTo(self.clock, 2.09 + 1.6)
        self.assertEqual(set(self.table.present), {FIRST, SECOND})

    def test_slowRhythmUnfit(self) -> None:
        """
        A host that is not healthy does not renew the lease between advertisements.
        """
        self.leases = self.make(lease=1, interval=1.0)
        self.acquire()
        self.fit = False
        with capturedLogs():
            runTo(self.clock, 1.01)
        self.assertEqual(self.table.present, {})

    def test_slowRhythmEnds(self) -> None:
        """
        After the release there are no more renewals, and no timer is left.
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
        Without renewals the addresses vanish at the end of the lease, which is logged.
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
        The end of the lease is logged once for all addresses.
        """
        self.acquire()
        self.leases.addressesGone([])
        with capturedLogs() as logs:
            runTo(self.clock, 3.0)
        self.assertEqual(self.table.present, {})
        self.assertEqual(len(logs), 1)

    def test_expiredComesBack(self) -> None:
        """
        After the end of the lease, the addresses return only with the next renewal by a
        healthy host.
        """
        self.acquire()
        with capturedLogs():
            runTo(self.clock, 4.0)
        self.assertEqual(self.journal.take(), [])
        self.leases.renew()
        self.assertEqual(set(self.table.present), {FIRST, SECOND})

    def test_expiredUnread(self) -> None:
        """
        A host that wakes after the end of the lease may renew it before it reads that the
        kernel removed the addresses.  The log then blames no other program.  The addresses
        are announced once they are back.
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
        All addresses are removed.  The step is done when the kernel has answered.
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
        An advertisement after the release renews nothing.
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
        At the start, the addresses that an earlier run left are removed.
        """
        self.table.present = {FIRST: 100.0, SECOND: 100.0}
        self.successResultOf(self.leases.release(STARTED))
        self.assertEqual(self.table.present, {})

    def test_leftOverWaitsForTheList(self) -> None:
        """
        At the start, no address is removed before the present addresses are known.
        """
        self.table.unknown = []
        done = self.leases.release(STARTED)
        self.assertEqual(self.journal, [])
        self.table.unknown[0].callback(None)
        self.successResultOf(done)
        self.assertEqual(self.journal, [("drop", FIRST, SECOND)])

    def test_again(self) -> None:
        """
        After a release, the leases can be acquired again.
        """
        self.acquire()
        self.successResultOf(self.leases.release(BACKUP))
        self.acquire()
        self.beat(5.0)
        self.assertEqual(set(self.table.present), {FIRST, SECOND})
        self.assertEqual(len(self.table.observers), 1)

    def test_refused(self) -> None:
        """
        The step fails if the kernel does not add the addresses.
        """
        self.table.error = refused()
        failure = self.failureResultOf(self.leases.acquire(MASTER), OSError)
        self.assertIn("no room", failure.getErrorMessage())
        self.successResultOf(self.leases.release(BACKUP))
        self.assertEqual(self.table.observers, [])

    def test_renewalRefused(self) -> None:
        """
        A failed renewal is logged once a minute.  The next advertisement tries again.
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
    Held addresses that another program removes.
    """

    def test_putBack(self) -> None:
        """
        The removed address, and no other, is put back at once, counted and announced.
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
            "(once so far)",
            "systemd-networkd",
            "KeepConfiguration=static",
            "NetworkManager",
        ):
            self.assertIn(words, line)

    def test_saidOnceAMinute(self) -> None:
        """
        Removals are logged once a minute, with their number so far.
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
        A host that is not healthy puts nothing back.
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
        The removal of an address that is not held has no effect.
        """
        self.acquire()
        self.leases.addressesGone([b"\x0a\0\0\x01"])
        self.assertEqual(self.journal, [])

    def test_possiblyGone(self) -> None:
        """
        After lost events, the missing addresses are put back, and no others.
        """
        self.acquire()
        runTo(self.clock, 0.5)
        del self.table.present[SECOND]
        with capturedLogs():
            self.leases.addressesPossiblyGone()
        self.assertEqual(self.journal, [("hold", 3, SECOND), ("announce",)])

    def test_nothingGone(self) -> None:
        """
        After lost events, nothing happens if no address is missing.
        """
        self.acquire()
        self.leases.addressesPossiblyGone()
        self.assertEqual(self.journal, [])
        self.assertEqual(self.leases.restored, 0)

    def test_cannotPutBack(self) -> None:
        """
        An address that cannot be put back is not announced, and the reason is logged.
        """
        self.acquire()
        self.table.error = refused()
        with capturedLogs() as logs:
            self.table.remove(FIRST)
        self.assertEqual(self.journal, [("hold", 3, FIRST)])
        self.assertIn("no room", self.said(logs)[1])


class ForeignTests(LeaseTestCase):
    """
    Addresses that another program has added to this host.
    """

    def test_leftAlone(self) -> None:
        """
        The address is neither added, renewed nor removed, and that is logged.
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
        At the start, the address is not removed.  The log says what that means.
        """
        self.table.foreign = {FIRST}
        with capturedLogs() as logs:
            self.successResultOf(self.leases.release(STARTED))
        self.assertEqual(self.journal, [("drop", SECOND)])
        self.assertIn("although it is not master", self.said(logs)[0])

    def test_elsewhere(self) -> None:
        """
        An address that another interface has is held all the same, and that is logged.
        """
        self.table.elsewhere = {FIRST}
        with capturedLogs() as logs:
            self.successResultOf(self.leases.acquire(MASTER))
        self.assertEqual(self.journal, [("hold", 3, FIRST, SECOND)])
        [line] = self.said(logs)
        self.assertIn("10.0.0.100 is on another interface than eth7", line)

    def test_itsRemoval(self) -> None:
        """
        When the other program removes the address, the master holds it from then on: the
        log asked for the removal.
        """
        self.table.foreign = {FIRST}
        with capturedLogs() as logs:
            self.successResultOf(self.leases.acquire(MASTER))
            self.journal.clear()
            self.table.foreign = set()
            self.leases.addressesGone([bytes((10, 0, 0, 100))])
        self.assertEqual(self.journal.take(), [("hold", 3, FIRST), ("announce",)])
        words = "Another program had added 10.0.0.100 to eth7, and has removed"
        self.assertIn(words, self.said(logs)[1])
        self.assertEqual(self.leases.restored, 0)
        self.beat(1.0)
        self.successResultOf(self.leases.release(BACKUP))
        self.assertEqual(self.table.present, {})

    def test_itsRemovalUnfit(self) -> None:
        """
        A host that is not healthy holds the removed address at its next renewal.
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

    def test_noted(self) -> None:
        """
        Lost addresses are told as often as they are logged: once a minute for each cause.
        """
        noted: list[tuple[str, str, str]] = []
        self.patch(self.leases, "_note", lambda *words: noted.append(words))
        self.acquire()
        for _ in range(2):
            self.leases.addressesGone([bytes((10, 0, 0, 100))])
            self.leases.addressesTaken([bytes((10, 0, 0, 100))])
        self.fit = False
        self.leases.addressesGone([bytes((10, 0, 0, 100))])
        self.assertEqual([words[0] for words in noted], ["removed", "taken", "ended"])
        self.assertEqual(
            noted[0][1:], ("put back 10.0.0.100", "another program removed them")
        )

    def test_oneOfTwo(self) -> None:
        """
        While the interface has the address with another prefix length, it is not held.
        """
        self.table.foreign = {FIRST}
        with capturedLogs():
            self.successResultOf(self.leases.acquire(MASTER))
        self.journal.clear()
        self.leases.addressesGone([bytes((10, 0, 0, 100))])
        self.assertEqual(self.journal, [])

    def test_staysBehind(self) -> None:
        """
        A host that ceases to be master logs that it still answers for the address.
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
    Held addresses that another program makes permanent.
    """

    def test_onLeaseAgain(self) -> None:
        """
        The address, and no other, is put on lease again at once, counted and logged.
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
        After lost events, the permanent address is found and put on lease again.
        """
        self.acquire()
        runTo(self.clock, 0.5)
        self.table.foreign = {SECOND}
        with capturedLogs():
            self.leases.addressesPossiblyGone()
        self.assertEqual(self.journal, [("hold", 3, SECOND), ("announce",)])

    def test_unfit(self) -> None:
        """
        Neither a host that is not healthy nor one that holds no addresses puts it on lease
        again.
        """
        self.acquire()
        self.fit = False
        self.leases.addressesTaken([bytes((10, 0, 0, 100))])
        self.fit = True
        self.successResultOf(self.leases.release(BACKUP))
        self.journal.clear()
        self.leases.addressesTaken([bytes((10, 0, 0, 100))])
        self.assertEqual(self.journal, [])
