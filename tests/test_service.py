"""
Tests for L{txcarp.service}: virtual hosts are added, changed and removed while the service is
running.
"""

from __future__ import annotations

from typing import Any
from unittest import mock

from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import FakePlatform, Journal, configured, runTo
from txcarp import service
from txcarp.configuration.model import SyncSettings, VirtualHostConfiguration
from txcarp.protocol.effects import Role
from txcarp.service import CARPService


class ManyTests(SynchronousTestCase):
    """
    A service with several virtual hosts.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.journal = Journal()
        self.platform = FakePlatform(self.clock, self.journal)
        self.carp = CARPService([self.one(1), self.one(2)], platform=self.platform)

    def one(self, vhid: int, **settings: Any) -> VirtualHostConfiguration:
        """
        Return the configuration of one virtual host.
        """
        return configured(vhid=vhid, neutral=True, **settings)

    def start(self, seconds: float = 0.0) -> None:
        """
        Start the service, and let some seconds pass.
        """
        self.carp.privilegedStartService()
        self.carp.startService()
        self.run_(seconds)

    def run_(self, seconds: float) -> None:
        """
        Let some seconds pass.
        """
        runTo(self.clock, self.clock.seconds() + seconds)

    def numbers(self) -> list[int]:
        """
        Return the vhids of the virtual hosts.
        """
        return [host.configuration.vhid for host in self.carp.virtualHosts]

    def test_platform(self) -> None:
        """
        The platform is opened when the service starts, and closed when the last virtual host has
        left its group.
        """
        self.assertFalse(self.platform.opened)
        self.start(3)
        self.assertTrue(self.platform.opened)
        done = self.carp.stopService()
        self.assertTrue(self.platform.opened)
        self.run_(1)
        self.successResultOf(done)
        self.assertFalse(self.platform.opened)

    def test_leaveInTurn(self) -> None:
        """
        Only so many masters or sets leave at the same time.  The others stay masters until it is
        their turn.
        """
        self.patch(service, "_LEAVING", 2)
        of = {1: "a", 2: "", 3: "b", 4: "", 5: "b", 6: "b", 7: ""}
        self.carp = CARPService(
            [
                self.one(vhid, title=f"g{vhid}", sync=SyncSettings(name) if name else None)
                for vhid, name in of.items()
            ],
            platform=self.platform,
        )
        self.start(4)
        done = self.carp.stopService()
        waves = []
        while not done.called:
            hosts = self.carp.virtualHosts
            waves.append({one.configuration.vhid for one in hosts if one.role is Role.MASTER})
            self.run_(0.55)
        self.successResultOf(done)
        self.assertEqual(waves, [{3, 4, 5, 6, 7}, {7}, set()])

    def test_startedInTurn(self) -> None:
        """
        A master whose turn has not come stays one if the service is started again.
        """
        self.patch(service, "_LEAVING", 1)
        self.start(4)
        done = self.carp.stopService()
        self.carp.startService()
        self.run_(0.6)
        self.successResultOf(done)
        self.assertTrue(self.platform.opened)
        first, second = self.carp.virtualHosts
        self.assertEqual((first.role, second.role), (Role.BACKUP, Role.MASTER))

    def test_twice(self) -> None:
        """
        Two virtual hosts with the same interface and vhid are refused, and nothing is changed.
        """
        self.assertRaises(
            ValueError, CARPService, [self.one(1), self.one(1)], platform=self.platform
        )
        self.assertRaises(ValueError, self.carp.addVirtualHost, self.one(2))
        self.assertRaises(ValueError, self.carp.reconfigure, [self.one(3), self.one(3)])
        self.assertEqual(self.numbers(), [1, 2])

    def test_add(self) -> None:
        """
        A new virtual host takes part at once if the service is running.
        """
        early = self.carp.addVirtualHost(self.one(3))
        self.assertIs(early.role, Role.INIT)
        self.start()
        late = self.carp.addVirtualHost(self.one(4))
        self.assertEqual([early.role, late.role], [Role.BACKUP] * 2)
        self.run_(3)
        self.assertEqual({host.role for host in self.carp.virtualHosts}, {Role.MASTER})
        self.assertEqual(self.numbers(), [1, 2, 3, 4])

    def test_addRefused(self) -> None:
        """
        A virtual host whose sockets cannot be opened is not added, and can be added later.
        """
        self.start()
        network = self.platform.network
        with mock.patch.object(network, "attach", side_effect=PermissionError):
            self.assertRaises(PermissionError, self.carp.addVirtualHost, self.one(3))
        self.assertEqual(self.numbers(), [1, 2])
        self.assertIs(self.carp.addVirtualHost(self.one(3)).role, Role.BACKUP)

    def test_remove(self) -> None:
        """
        A virtual host that is removed leaves its group in order, and does not disturb the others.
        """
        self.start(3)
        first, second = self.carp.virtualHosts
        self.journal.clear()
        done = self.carp.removeVirtualHost(first)
        self.assertNoResult(done)
        self.assertEqual(self.journal.take(), [("advertise", 255, 255)])
        self.run_(0.5)
        self.successResultOf(done)
        self.assertEqual(self.journal, [("detach", "eth7", 1)])
        self.assertEqual((self.numbers(), second.role), ([2], Role.MASTER))
        self.assertRaises(ValueError, self.carp.removeVirtualHost, first)

    def test_reconfigure(self) -> None:
        """
        Only virtual hosts whose configuration changes are disturbed.
        """
        self.start(3)
        first, second = self.carp.virtualHosts
        self.journal.clear()
        wanted = [self.one(2), self.one(5), self.one(1, advskew=9, broadcast=True)]
        with capturedLogs() as events:
            done = self.carp.reconfigure(wanted)
        self.assertEqual(
            [event["line"] for event in events if "line" in event],
            [
                "eth7:2  unchanged; nothing will be sent",
                "eth7:1  changes: advskew 0 -> 9, broadcast false -> true; leaves its group and "
                "joins it again; a master hands over",
                "eth7:5  added: joins vhid 5 on eth7",
            ],
        )
        self.assertEqual(self.journal.take(), [("advertise", 255, 255)])
        self.assertEqual(self.numbers(), [1, 2, 5])
        self.assertEqual(self.carp.virtualHosts[:2], [first, second])
        self.run_(0.5)
        self.successResultOf(done)
        self.assertEqual((first.role, first.status().configured.advskew), (Role.BACKUP, 9))
        self.assertIs(second.role, Role.MASTER)
        self.successResultOf(self.carp.reconfigure([self.one(2)]))
        self.assertEqual(self.numbers(), [2])

    def test_reconfigureLive(self) -> None:
        """
        A virtual host whose settings can change at once sends one advertisement; one with the
        same settings sends none.
        """
        self.start(3)
        hosts = self.carp.virtualHosts
        self.journal.clear()
        self.successResultOf(self.carp.reconfigure([self.one(1, advskew=9), self.one(2)]))
        self.assertEqual(self.journal, [("advertise", 1, 9)])
        self.assertEqual([host.role for host in hosts], [Role.MASTER] * 2)

    def test_reconfigureRefused(self) -> None:
        """
        If the sockets of a new virtual host cannot be opened, nothing at all changes: neither
        those that would be removed or changed, nor other new ones, which are closed again.
        """
        self.start(3)
        hosts = self.carp.virtualHosts
        self.journal.clear()
        network = self.platform.network
        attach = network.attach

        def refuse(interface: str, vhid: int, *arguments: Any) -> Any:
            if vhid == 6:
                raise PermissionError
            return attach(interface, vhid, *arguments)

        wanted = [self.one(1, advskew=9), self.one(5), self.one(6)]
        with mock.patch.object(network, "attach", refuse):
            self.assertRaises(PermissionError, self.carp.reconfigure, wanted)
        self.assertEqual(self.journal, [("detach", "eth7", 5)])
        self.assertEqual(self.carp.virtualHosts, hosts)
        self.assertEqual([host.role for host in hosts], [Role.MASTER] * 2)
        self.assertEqual(hosts[0].configuration.advskew, 0)

    def test_reconfigureFails(self) -> None:
        """
        If the change of one virtual host fails, the others are changed, and the result fails when
        all of that is over.
        """
        self.start(3)
        first = self.carp.virtualHosts[0]

        def fail(configuration: VirtualHostConfiguration, *more: object, anew: bool) -> None:
            raise ZeroDivisionError("a bug")

        self.patch(first, "reconfigure", fail)
        done = self.carp.reconfigure([self.one(1, advskew=3), self.one(3)])
        self.assertEqual(self.numbers(), [1, 3])
        self.run_(1)
        self.failureResultOf(done, ZeroDivisionError)

    def test_joinsNoMore(self) -> None:
        """
        If a virtual host that has left its group cannot join it again, that is reported, and the
        others are not concerned.
        """
        self.start()
        wanted = [self.one(1, broadcast=True), self.one(2)]
        with mock.patch.object(self.platform.network, "attach", side_effect=PermissionError):
            done = self.carp.reconfigure(wanted)
            self.run_(0.5)
        self.failureResultOf(done, PermissionError)
        self.flushLoggedErrors(PermissionError)
        self.run_(3)
        self.assertEqual([one.role for one in self.carp.virtualHosts], [Role.INIT, Role.MASTER])

    def test_removedWhileLeaving(self) -> None:
        """
        A virtual host that is reconfigured, and removed before that is done, is removed.
        """
        self.start(3)
        first = self.carp.virtualHosts[0]
        done = [self.carp.reconfigure([self.one(1, broadcast=True), self.one(2)])]
        done.append(self.carp.reconfigure([self.one(2)]))
        self.run_(1)
        for each in done:
            self.successResultOf(each)
        self.assertEqual((first.role, first.running), (Role.INIT, False))
        self.assertEqual(self.numbers(), [2])

    def test_stopped(self) -> None:
        """
        The virtual hosts of a stopped service can be changed, too.
        """
        self.successResultOf(self.carp.reconfigure([self.one(2, advskew=3), self.one(7)]))
        self.assertEqual(self.numbers(), [2, 7])
        self.start(4)
        self.assertEqual({host.role for host in self.carp.virtualHosts}, {Role.MASTER})
