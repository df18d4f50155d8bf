"""
Tests for L{txcarp.testing.puppet}.
"""

from __future__ import annotations

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from txcarp import Role
from txcarp.testing import FakeObserver, PuppetVirtualHost


class SlowService(Service):
    """
    A service that takes as long to stop as the test wants.
    """

    def __init__(self) -> None:
        self.stopped: Deferred[None] = Deferred()

    def stopService(self) -> Deferred[None]:
        super().stopService()
        return self.stopped


class PuppetTests(SynchronousTestCase):
    """
    A virtual host on command.
    """

    def test_service(self) -> None:
        """
        A service runs while the host is master, however often that is.
        """
        host, service = PuppetVirtualHost(), Service()
        host.whileMaster(service)
        for _ in range(25):  # more often than the flap limit allows
            host.becomeMaster()
            self.assertTrue(service.running)
            self.assertTrue(host.status().complete)
            host.becomeBackup()
            self.assertFalse(service.running)
            self.assertIs(host.role, Role.BACKUP)

    def test_observer(self) -> None:
        """
        Observers get the changes.  A command that changes nothing makes none.
        """
        host, observer = PuppetVirtualHost(), FakeObserver()
        host.addObserver(observer)
        host.becomeBackup()
        host.becomeBackup()
        host.becomeMaster()
        host.becomeMaster()
        self.assertEqual(
            [change.role for change in observer.changes], [Role.BACKUP, Role.MASTER]
        )

    def test_slowService(self) -> None:
        """
        A service that is slow to stop keeps the addresses, as in production.
        """
        host, service = PuppetVirtualHost(), SlowService()
        host.whileMaster(service)
        host.becomeMaster()
        host.becomeBackup()
        self.assertEqual(list(host.machine.addresses.present), ["192.0.2.100"])
        service.stopped.callback(None)
        self.assertEqual(list(host.machine.addresses.present), [])

    def test_demotion(self) -> None:
        """
        What the program asks of the host is in its status.
        """
        host = PuppetVirtualHost()
        host.becomeMaster()
        host.demote("disk", 50)
        self.assertEqual(host.status().demotions, {"disk": 50})

    def test_heldForGood(self) -> None:
        """
        A host whose cable is pulled cannot become master, and says so.
        """
        host = PuppetVirtualHost()
        host.machine.plug(False)
        error = self.assertRaises(RuntimeError, host.becomeMaster)
        self.assertIn("NO_LINK", str(error))
