"""
Tests of L{txcarp.mastership.virtualmac}, alone and under a virtual host.
"""

from __future__ import annotations

import errno

from twisted.internet.defer import succeed
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.fakes import INTERFACE, FakeLinks, Journal
from tests.mastership.table import FakeInterfaces, LeaseStage
from tests.mastership.test_leases import BACKUP, MASTER, STARTED
from txcarp.addresses import virtualHardwareAddress
from txcarp.interfaces import ILinkObserver, IMastershipStep, IVirtualInterfaces
from txcarp.links import Link
from txcarp.mastership.virtualmac import VirtualMAC
from txcarp.membership.holds import HOLD_OFF
from txcarp.protocol.effects import Reason, Role
from txcarp.protocol.events import HoldReason

NAME = f"vh10.{INTERFACE}"
HARDWARE = virtualHardwareAddress(10)
THERE = Link(index=9, name=NAME, up=True, running=True, address=HARDWARE, kind="macvlan")
DOWN = Link(index=9, name=NAME, up=False, running=False, address=HARDWARE, kind="macvlan")


class StepTests(SynchronousTestCase):
    """
    The step alone.
    """

    def setUp(self) -> None:
        self.journal = Journal()
        self.links = FakeLinks()
        self.interfaces = FakeInterfaces(self.journal, self.links)
        self.unfit: list[str] = []
        self.step = VirtualMAC(
            self.interfaces,
            self.links,
            INTERFACE,
            10,
            HARDWARE,
            False,
            unfit=self.unfit.append,
        )

    def acquire(self) -> None:
        """
        Acquire the step.
        """
        self.successResultOf(self.step.acquire(MASTER))
        self.journal.clear()

    def test_interfaces(self) -> None:
        """
        L{VirtualMAC} provides its interfaces.
        """
        verifyObject(IMastershipStep, self.step)
        verifyObject(ILinkObserver, self.step)
        verifyObject(IVirtualInterfaces, self.interfaces)
        self.assertTrue(self.step.required)

    def test_acquire(self) -> None:
        """
        The interface is created, and then watched.
        """
        self.successResultOf(self.step.acquire(MASTER))
        self.assertEqual(self.journal, [("create", NAME, INTERFACE, HARDWARE, False)])
        self.assertEqual(self.links.observers, [(NAME, self.step)])

    def test_acquireFails(self) -> None:
        """
        If the interface cannot be created, the step fails, and nothing is watched.
        """
        self.interfaces.error = OSError(errno.EOPNOTSUPP, "no")
        self.failureResultOf(self.step.acquire(MASTER), OSError)
        self.assertEqual(self.links.observers, [])
        self.step.release(BACKUP)
        self.assertEqual(self.journal[-1], ("remove", NAME, INTERFACE))

    def test_release(self) -> None:
        """
        The interface is removed and no longer watched.  At the start, it is removed as
        well.
        """
        self.step.release(STARTED)
        self.assertEqual(self.journal.take(), [("remove", NAME, INTERFACE)])
        self.acquire()
        self.step.release(BACKUP)
        self.assertEqual(self.journal, [("remove", NAME, INTERFACE)])
        self.assertEqual((self.links.observers, self.unfit), ([], []))

    def test_lost(self) -> None:
        """
        If another program removes the interface or switches it off, the host is unfit, and
        that is logged.
        """
        for link, what in ((None, "removed"), (DOWN, "switched off")):
            with self.subTest(what=what):
                self.setUp()
                self.acquire()
                with capturedLogs() as logs:
                    self.links.set(NAME, link)
                    self.links.set(NAME, None)
                self.assertEqual(self.unfit, [VirtualMAC.name])
                [line] = [formatEvent(event) for event in logs]
                self.assertEqual(
                    line,
                    f"Another program {what} interface [{NAME}], which has the virtual addresses",
                )

    def test_carrier(self) -> None:
        """
        A lost carrier does not make the host unfit, and neither does a state from before
        the interface was created.
        """
        self.acquire()
        self.links.change(NAME, running=False)
        self.links.change(NAME, running=True)
        self.successResultOf(self.step.release(BACKUP))
        self.links.set(NAME, DOWN)
        self.patch(self.interfaces, "create", lambda *arguments: succeed(None))
        self.acquire()
        self.links.set(NAME, THERE)
        self.assertEqual(self.unfit, [])


class LostWhileMasterTests(SynchronousTestCase):
    """
    A master that loses its interface, its address or its lease.
    """

    def master(self, virtualMAC: bytes | None = None) -> LeaseStage:
        """
        A virtual host that is master.
        """
        stage = LeaseStage(virtualMAC=virtualMAC)
        stage.becomeMaster()
        return stage

    def stepsDown(self, stage: LeaseStage) -> None:
        """
        Assert that the host bowed out, released everything, and becomes master again after
        the hold-off.
        """
        self.assertIs(stage.observer.changes[-1].reason, Reason.UNFIT)
        self.assertEqual(stage.transport.advertisements[-1].advbase, 255)
        self.assertEqual(stage.events("drop"), [("drop", "10.99.0.100")])
        stage.table.error = None
        stage.run(HOLD_OFF + 3.1)
        self.assertIs(stage.host.role, Role.MASTER)

    def test_interfaceRemoved(self) -> None:
        """
        A master without its virtual interface gives up mastership.
        """
        stage = self.master(HARDWARE)
        stage.run(1.0)
        with capturedLogs():
            stage.links.set(NAME, None)
        self.assertEqual(stage.events("remove")[-1:], [("remove", NAME, INTERFACE)])
        self.stepsDown(stage)

    def test_interfaceWithParent(self) -> None:
        """
        If the parent interface vanishes first, the reason is the lost link, and there is no
        hold-off.
        """
        stage = self.master(HARDWARE)
        with capturedLogs():
            stage.links.set(INTERFACE, None)
            stage.links.set(NAME, None)
        self.assertIs(stage.observer.changes[-1].reason, Reason.LINK_LOST)
        holds = [hold.reason for hold in stage.host.status().holds]
        self.assertEqual(holds, [HoldReason.NO_LINK])

    def test_cannotPutBack(self) -> None:
        """
        A master that cannot put back an address that another program removed gives up
        mastership.
        """
        stage = self.master()
        stage.run(1.0)
        stage.table.error = OSError(errno.EACCES, "IPv6 is disabled")
        with capturedLogs():
            stage.table.remove("10.99.0.100")
        self.stepsDown(stage)

    def test_cannotRenew(self) -> None:
        """
        A master that cannot renew its lease gives up mastership when the lease ends, and
        not before.
        """
        stage = self.master()
        stage.table.error = OSError(errno.EPERM, "no")
        with capturedLogs():
            stage.run(1.9)
            self.assertIs(stage.host.role, Role.MASTER)
            stage.run(0.2)
        self.stepsDown(stage)

    def test_renewsLater(self) -> None:
        """
        A master whose renewal fails once remains master.
        """
        stage = self.master()
        stage.table.error = OSError(errno.ENOBUFS, "no")
        with capturedLogs():
            stage.run(1.1)
            stage.table.error = None
            stage.run(10.0)
        self.assertIs(stage.host.role, Role.MASTER)
        self.assertEqual(len(stage.observer.changes), 2)

    def test_renewsAfterALapse(self) -> None:
        """
        A master whose renewal fails once, soon after the lease had ended and was renewed,
        remains master.
        """
        stage = self.master()
        stage.jump(2.5)
        self.assertEqual(stage.host.role, Role.MASTER)
        stage.run(0.6)
        stage.table.error = OSError(errno.ENOBUFS, "no")
        with capturedLogs():
            stage.run(1.1)
        stage.table.error = None
        stage.run(10.0)
        self.assertIs(stage.host.role, Role.MASTER)
        self.assertEqual(len(stage.observer.changes), 2)
