"""
Tests of L{txcarp.mastership.services}, alone and under a virtual host.
"""

from __future__ import annotations

from typing import Any

from twisted.application.internet import StreamServerEndpointService
from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.internet.protocol import Factory
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.fakes import Journal
from tests.mastership.table import LeaseStage
from tests.mastership.test_leases import BACKUP, MASTER
from txcarp.interfaces import IMastershipStep
from txcarp.mastership.services import ServiceStep
from txcarp.membership.holds import HOLD_OFF
from txcarp.membership.sealing import Sealing
from txcarp.protocol.effects import Reason, Role
from txcarp.service import CARPService
from txcarp.virtualhost import VirtualHost


class FakeService(Service):
    """
    A service that notes its calls.

    @ivar error: Raised by L{startService}; C{None} if it succeeds.
    @ivar ending: What L{stopService} returns.
    """

    def __init__(self, journal: Journal, name: str = "web") -> None:
        self.setName(name)  # type: ignore[no-untyped-call]
        self.journal = journal
        self.error: Exception | None = None
        self.ending: Deferred[None] | None = None

    def privilegedStartService(self) -> None:
        self.journal.append(("privileged", self.name))

    def startService(self) -> None:
        Service.startService(self)
        self.journal.append(("start", self.name))
        if self.error is not None:
            raise self.error

    def stopService(self) -> Deferred[None] | None:
        Service.stopService(self)
        self.journal.append(("stop", self.name))
        return self.ending


@implementer(IStreamServerEndpoint)
class FakeEndpoint:
    """
    An endpoint to which nothing connects.

    @ivar error: The error of L{listen}; C{None} if it succeeds.
    @ivar listening: The number of ports that listen.
    """

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.listening = 0

    def listen(self, factory: object) -> Deferred[Any]:
        if self.error is not None:
            return fail(self.error)
        self.listening += 1
        return succeed(self)

    def stopListening(self) -> None:
        """
        See L{IListeningPort<twisted.internet.interfaces.IListeningPort>}.
        """
        self.listening -= 1


class StepTests(SynchronousTestCase):
    """
    The step alone.
    """

    def setUp(self) -> None:
        self.journal = Journal()
        self.service = FakeService(self.journal)
        self.step = ServiceStep(self.service)

    def test_interface(self) -> None:
        """
        L{ServiceStep} is a step that is named after its service.
        """
        verifyObject(IMastershipStep, self.step)
        self.assertEqual(self.step.name, "service web")
        self.assertEqual(ServiceStep(MultiService()).name, "service MultiService")
        self.assertFalse(ServiceStep(self.service, required=False).required)

    def test_acquired(self) -> None:
        """
        The step starts its service as a parent would: first with privileges.
        """
        self.step.acquire(MASTER)
        self.assertEqual(self.journal, [("privileged", "web"), ("start", "web")])

    def test_released(self) -> None:
        """
        The release ends when the service has stopped.
        """
        self.step.acquire(MASTER)
        self.service.ending = Deferred()
        done = self.step.release(BACKUP)
        assert done is not None
        self.assertNoResult(done)
        self.service.ending.callback(None)
        self.successResultOf(done)

    def test_notStarted(self) -> None:
        """
        A service that was not started is not stopped.
        """
        self.assertIsNone(self.step.release(BACKUP))
        self.assertEqual(self.journal, [])

    def test_startedInPart(self) -> None:
        """
        A service whose start failed is stopped.
        """
        self.service.error = ValueError("no")
        self.assertRaises(ValueError, self.step.acquire, MASTER)
        self.step.release(BACKUP)
        self.assertEqual(self.journal[-1], ("stop", "web"))

    def test_notOurs(self) -> None:
        """
        A service that is running or has a parent is refused, with its name.
        """
        self.service.startService()
        with self.assertRaisesRegex(ValueError, "service web is running"):
            ServiceStep(self.service)
        self.service.stopService()
        parent = MultiService()
        self.service.setServiceParent(parent)  # type: ignore[no-untyped-call]
        with self.assertRaisesRegex(ValueError, "service web has a parent"):
            ServiceStep(self.service)

    def test_runsStill(self) -> None:
        """
        A service that has not stopped yet is not started again.
        """
        self.service.startService()
        self.journal.clear()
        self.assertRaises(RuntimeError, self.step.acquire, MASTER)
        self.assertIsNone(self.step.release(BACKUP))
        self.assertEqual(self.journal, [])


class PortTests(SynchronousTestCase):
    """
    Services that listen on ports.
    """

    def setUp(self) -> None:
        self.first, self.second = FakeEndpoint(), FakeEndpoint()

    def service(self, *endpoints: FakeEndpoint) -> ServiceStep:
        """
        A step with a service that listens on several endpoints.
        """
        whole = MultiService()
        for endpoint in endpoints:
            port = StreamServerEndpointService(endpoint, Factory())  # type: ignore[no-untyped-call]
            port.setServiceParent(whole)
        return ServiceStep(whole)

    def test_portTaken(self) -> None:
        """
        Each start on a port that is in use fails with the reason, not only the first one.
        """
        step = self.service(self.first)
        for _ in range(2):
            step.acquire(MASTER)
            self.assertEqual(self.first.listening, 1)
            self.release(step)
            self.first.error = CannotListenError("", 80, OSError("in use"))  # type: ignore[no-untyped-call]
            self.assertRaises(CannotListenError, step.acquire, MASTER)
            self.release(step)
            self.first.error = None
        step.acquire(MASTER)
        self.assertEqual(self.first.listening, 1)

    def test_partOfIt(self) -> None:
        """
        If one port is in use, the other ports of the service are closed again.
        """
        step = self.service(self.first, self.second)
        self.second.error = CannotListenError("", 81, OSError("in use"))  # type: ignore[no-untyped-call]
        self.assertRaises(CannotListenError, step.acquire, MASTER)
        self.assertEqual(self.first.listening, 1)
        self.release(step)
        self.assertEqual(self.first.listening, 0)
        self.second.error = None
        step.acquire(MASTER)
        self.assertEqual((self.first.listening, self.second.listening), (1, 1))

    def release(self, step: ServiceStep) -> None:
        """
        Release the step.
        """
        done = step.release(BACKUP)
        assert done is not None
        self.successResultOf(done)


class WhileMasterTests(SynchronousTestCase):
    """
    The service of a virtual host.
    """

    def stage(self, **settings: Any) -> tuple[LeaseStage, FakeService]:
        """
        A virtual host with a service.
        """
        stage = LeaseStage(**settings)
        service = FakeService(stage.journal)
        stage.host.whileMaster(service)
        return stage, service

    def kinds(self, stage: LeaseStage) -> list[str]:
        """
        The events of the addresses and the service.
        """
        return [event[0] for event in stage.events("hold", "start", "stop", "drop")]

    def test_order(self) -> None:
        """
        The service starts after the kernel has added the addresses and they are announced.
        """
        stage, _ = self.stage()
        stage.start()
        stage.table.slow = False
        stage.run(2.9)
        stage.journal.clear()
        stage.table.slow = True
        stage.run(0.1)
        self.assertEqual(self.kinds(stage), ["hold"])
        stage.table.answer()
        events = [event[0] for event in stage.journal]
        self.assertEqual(events, ["advertise", "hold", "announce", "privileged", "start"])

    def test_awaited(self) -> None:
        """
        The addresses are removed after the service has stopped.
        """
        stage, service = self.stage()
        stage.becomeMaster()
        service.ending = Deferred()
        stage.deliver(advskew=0, advbase=0)
        self.assertIs(stage.host.role, Role.BACKUP)
        self.assertEqual(self.kinds(stage), ["stop"])
        service.ending.callback(None)
        self.assertEqual(self.kinds(stage), ["stop", "drop"])

    def test_endsTooSlowly(self) -> None:
        """
        The addresses are removed after the time limit of a service that does not stop.
        Until then, the lease is not renewed.
        """
        stage, service = self.stage()
        stage.becomeMaster()
        service.ending = Deferred()
        with capturedLogs() as logs:
            for _ in range(30):
                stage.deliver(advbase=0, advskew=1)
                self.assertNotIn("drop", self.kinds(stage))
                stage.run(0.999)
            self.assertEqual(stage.table.present, {}, "its lease ended")
            stage.run(0.1)
        self.assertEqual(self.kinds(stage), ["stop", "drop"])
        said = [formatEvent(event) or "" for event in logs]
        self.assertTrue(any("failed at its service web" in line for line in said))

    def test_failsToStart(self) -> None:
        """
        If a required service does not start, the host bows out, releases everything, and
        tries again after the hold-off.
        """
        stage, service = self.stage()
        stage.start()
        service.error = ValueError("port in use")
        stage.journal.clear()
        with capturedLogs() as logs:
            stage.run(3.0)
        self.assertIs(stage.host.role, Role.BACKUP)
        self.assertEqual(stage.observer.changes[-1].reason, Reason.UNFIT)
        self.assertEqual(
            stage.events("advertise", "start", "stop", "hold", "drop"),
            [
                ("advertise", 1, 0),
                ("hold", 2, "10.99.0.100"),
                ("start", "web"),
                ("advertise", 255, 255),
                ("stop", "web"),
                ("drop", "10.99.0.100"),
            ],
        )
        said = [formatEvent(event) or "" for event in logs]
        self.assertTrue(any("port in use" in line for line in said))
        words = "service web failed. It hands over and tries again in 10 s"
        self.assertTrue(any(words in line for line in said))
        service.error = None
        with capturedLogs():
            stage.run(HOLD_OFF - 0.1)
            self.assertIs(stage.host.role, Role.BACKUP)
            stage.run(3.2)
        self.assertIs(stage.host.role, Role.MASTER)
        self.assertTrue(service.running)

    def test_notRequired(self) -> None:
        """
        If a service that is not required does not start, the host remains master.
        """
        stage = LeaseStage()
        service = FakeService(stage.journal)
        service.error = ValueError("no")
        stage.host.whileMaster(service, required=False)
        with capturedLogs():
            stage.becomeMaster()
            stage.run(5.0)
        self.assertIs(stage.host.role, Role.MASTER)

    def test_severalInOrder(self) -> None:
        """
        Several services start in order and stop in reverse order.
        """
        stage = LeaseStage()
        for name in ("one", "two"):
            stage.host.whileMaster(FakeService(stage.journal, name))
        stage.becomeMaster()
        stage.host.resign()
        stage.run(1.0)
        self.assertEqual(stage.events("stop"), [("stop", "two"), ("stop", "one")])

    def test_tooLate(self) -> None:
        """
        Adding a service to a running virtual host raises.
        """
        stage = LeaseStage()
        stage.start()
        with self.assertRaises(RuntimeError):
            stage.host.whileMaster(FakeService(stage.journal))


class CollectionTests(SynchronousTestCase):
    """
    Virtual hosts that other services start and stop in any order.
    """

    def setUp(self) -> None:
        self.stage = LeaseStage()
        self.service = FakeService(self.stage.journal)
        self.stage.host.whileMaster(self.service)

    def stop(self) -> None:
        """
        Stop the host, and let the time of the hand-over pass.
        """
        done = self.stage.host.stopService()
        self.stage.run(1.0)
        self.successResultOf(done)

    def nothingLeft(self) -> None:
        """
        Assert that the host has released everything.
        """
        self.assertEqual(self.stage.table.present, {})
        self.assertFalse(self.service.running)
        self.assertIsNone(self.stage.network.receiver)
        self.assertEqual(self.stage.links.observers, [])
        self.assertEqual(self.stage.table.observers, [])
        self.assertIs(self.stage.host.role, Role.INIT)
        self.stage.run(100.0)
        self.assertEqual([c for c in self.stage.clock.getDelayedCalls() if c.active()], [])

    def test_stopBeforeStart(self) -> None:
        """
        A host that was never started can be stopped.
        """
        self.successResultOf(self.stage.host.stopService())
        self.nothingLeft()

    def test_stopAfterPrivilegedStart(self) -> None:
        """
        A stop closes the sockets of a host that only C{privilegedStartService} was called
        on.
        """
        self.stage.host.privilegedStartService()
        self.successResultOf(self.stage.host.stopService())
        self.nothingLeft()

    def test_startTwice(self) -> None:
        """
        A second start has no effect.
        """
        self.stage.start()
        self.stage.start()
        self.assertEqual(len(self.stage.observer.changes), 1)
        self.assertEqual(len(self.stage.links.observers), 1)
        self.assertEqual(len(self.stage.network.attached), 1)
        self.stop()
        self.nothingLeft()

    def test_stopTwice(self) -> None:
        """
        A second stop during or after the first one has no effect.
        """
        self.stage.becomeMaster()
        first = self.stage.host.stopService()
        second = self.stage.host.stopService()
        self.stage.run(1.0)
        self.successResultOf(first)
        self.successResultOf(second)
        self.successResultOf(self.stage.host.stopService())
        self.assertEqual(len(self.stage.events("stop")), 1)
        self.nothingLeft()

    def test_stopAndStart(self) -> None:
        """
        A host that was stopped as master can be started again.
        """
        for _ in range(3):
            self.stage.becomeMaster()
            self.assertIs(self.stage.host.role, Role.MASTER)
            self.assertTrue(self.service.running)
            self.stop()
            self.nothingLeft()

    def test_startWhileLeaving(self) -> None:
        """
        A host that is started during a stop finishes the stop, and then takes part again.
        """
        self.stage.becomeMaster()
        self.service.ending = Deferred()
        stopped = self.stage.host.stopService()
        self.stage.host.privilegedStartService()
        self.stage.host.startService()
        self.stage.host.startService()
        self.stage.host.claim()
        self.stage.run(5.0)
        self.assertNoResult(stopped)
        self.assertTrue(self.service.ending is not None and not self.service.running)
        self.service.ending.callback(None)
        self.service.ending = None
        self.successResultOf(stopped)
        self.assertIs(self.stage.host.role, Role.BACKUP)
        self.assertEqual(self.stage.table.present, {})
        self.assertEqual(len(self.stage.network.attached), 1)
        self.stage.run(3.0)
        self.assertIs(self.stage.host.role, Role.MASTER)
        self.stop()
        self.nothingLeft()

    def test_startAndStopWhileLeaving(self) -> None:
        """
        A host that is started and stopped during a stop does not take part again.
        """
        self.stage.becomeMaster()
        first = self.stage.host.stopService()
        self.stage.host.startService()
        second = self.stage.host.stopService()
        self.stage.run(1.0)
        self.successResultOf(first)
        self.successResultOf(second)
        self.assertEqual(self.stage.observer.changes[-1].reason, Reason.STOPPED)
        self.nothingLeft()

    def test_startWhileSaving(self) -> None:
        """
        A start during the last wait of a stop opens no sockets, because the privileges for
        that may be gone.
        """
        self.stage.becomeMaster()
        saved: Deferred[None] = Deferred()
        self.patch(Sealing, "stop", lambda sealing: saved)
        stopped = self.stage.host.stopService()
        self.stage.run(1.0)
        self.assertNoResult(stopped)

        def refuse(*arguments: object) -> None:
            raise PermissionError(1, "no")

        self.stage.network.attach = refuse  # type: ignore
        self.stage.host.startService()
        saved.callback(None)
        self.successResultOf(stopped)
        self.assertTrue(self.stage.host.running)
        self.stage.run(3.0)
        self.assertIs(self.stage.host.role, Role.MASTER)

    def test_startedWithoutPrivileges(self) -> None:
        """
        A running collection starts a host that is added to it, with or without
        C{privilegedStartService}.
        """
        self.stage.host.startService()
        self.stage.run(3.0)
        self.assertIs(self.stage.host.role, Role.MASTER)
        self.stop()
        parent = MultiService()
        parent.startService()
        self.stage.host.setServiceParent(parent)  # type: ignore[no-untyped-call]
        self.stage.run(3.0)
        self.assertIs(self.stage.host.role, Role.MASTER)
        done = parent.stopService()  # type: ignore[no-untyped-call]
        self.stage.run(1.0)
        self.successResultOf(done)
        self.nothingLeft()

    def test_failedStart(self) -> None:
        """
        A host that could not open its sockets can be stopped, and started later.
        """
        attach = self.stage.network.attach

        def refuse(*arguments: object) -> None:
            raise PermissionError(1, "no")

        self.stage.network.attach = refuse  # type: ignore
        self.assertRaises(PermissionError, self.stage.host.privilegedStartService)
        self.assertRaises(PermissionError, self.stage.host.startService)
        self.successResultOf(self.stage.host.stopService())
        self.stage.network.attach = attach  # type: ignore[method-assign]
        self.nothingLeft()
        self.stage.becomeMaster()
        self.assertIs(self.stage.host.role, Role.MASTER)

    def test_disowned(self) -> None:
        """
        A host that is removed from a running collection leaves its group.
        """
        parent = MultiService()
        self.stage.host.setServiceParent(parent)  # type: ignore[no-untyped-call]
        parent.privilegedStartService()  # type: ignore[no-untyped-call]
        parent.startService()
        self.stage.run(3.0)
        done = self.stage.host.disownServiceParent()
        self.stage.run(1.0)
        self.successResultOf(done)
        self.nothingLeft()

    def whole(self) -> tuple[CARPService, VirtualHost]:
        """
        A L{CARPService} on the platform of the stage, and its virtual host.
        """
        carp = CARPService(
            [self.stage.host.configuration],
            platform=self.stage.platform,
        )
        return carp, carp.virtualHosts[0]

    def test_collection(self) -> None:
        """
        A L{CARPService} can be started and stopped repeatedly, and stopped before it was
        started.
        """
        carp, host = self.whole()
        self.successResultOf(carp.stopService())
        for _ in range(2):
            carp.privilegedStartService()
            carp.startService()
            self.stage.run(3.0)
            self.assertIs(host.role, Role.MASTER)
            done = carp.stopService()
            self.assertNoResult(done)
            self.stage.run(1.0)
            self.successResultOf(done)
            self.assertEqual(self.stage.table.present, {})
        self.nothingLeft()

    def test_collectionStartsWhileLeaving(self) -> None:
        """
        A L{CARPService} that is started during a stop does not close its platform.
        """
        carp, host = self.whole()
        closed: list[str] = []
        self.patch(self.stage.platform, "close", lambda: succeed(closed.append("platform")))
        carp.startService()
        self.stage.run(3.0)
        first = carp.stopService()
        carp.startService()
        self.stage.run(1.0)
        self.successResultOf(first)
        self.assertEqual(closed, [])
        self.stage.run(3.0)
        self.assertIs(host.role, Role.MASTER)
        second = carp.stopService()
        self.stage.run(1.0)
        self.successResultOf(second)
        self.assertEqual(closed, ["platform"])
        self.nothingLeft()
