"""
The whole service, on whatever reactor these tests run on.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from tests.testbed.fixture import makeTestbed, until
from txcarp import CARPService, Change, Role, VirtualHostConfiguration, parseIPv4
from txcarp.interfaces import IMastershipObserver


@implementer(IMastershipObserver)
class Waiter:
    """
    Waits for a role.
    """

    def __init__(self, role: Role) -> None:
        self.reached: Deferred[Change] = Deferred()
        self._role = role

    def roleChanged(self, change: Change) -> None:
        """
        See C{IMastershipObserver}.
        """
        if change.role is self._role and not self.reached.called:
            self.reached.callback(change)


class ServiceTests(TestCase):
    """
    Two services in this process, each in a namespace of its own.
    """

    timeout = 60

    def service(self, node: Any, source: str, skew: int) -> CARPService:
        """
        A service with one virtual host, started in a node.
        """
        service = CARPService(
            [
                VirtualHostConfiguration(
                    interface="eth0",
                    vhid=3,
                    password=b"secret",
                    source=parseIPv4(source),
                    addresses=["10.99.0.100/24"],
                    advskew=skew,
                    assign=True,
                )
            ]
        )
        with node.inside():
            service.privilegedStartService()
            service.startService()
        self.addCleanup(service.stopService)
        return service

    async def test_handOver(self) -> None:
        """
        One becomes master and holds the address; when it is stopped the other does.
        """
        from twisted.internet import reactor

        clock: Any = reactor
        testbed = makeTestbed(self)
        nodes = [testbed.node("a", "10.99.0.1/24"), testbed.node("b", "10.99.0.2/24")]
        first = self.service(nodes[0], "10.99.0.1", 0)
        waiter = Waiter(Role.MASTER)
        first.virtualHosts[0].addObserver(waiter)
        change = await waiter.reached
        self.assertEqual(change.addresses, ("10.99.0.100",))
        await until(lambda: "10.99.0.100/24" in nodes[0].addresses())
        second = self.service(nodes[1], "10.99.0.2", 100)
        waiter = Waiter(Role.MASTER)
        second.virtualHosts[0].addObserver(waiter)
        await deferLater(clock, 1.5)
        self.assertIs(second.virtualHosts[0].role, Role.BACKUP)
        await first.stopService()
        change = await waiter.reached
        self.assertEqual(change.peer, "10.99.0.1")
        await until(lambda: "10.99.0.100/24" in nodes[1].addresses())
        self.assertNotIn("10.99.0.100/24", nodes[0].addresses())
