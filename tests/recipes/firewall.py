"""
Two firewalls with two sides that translate addresses, and conntrackd between them.
"""

from __future__ import annotations

import time
from functools import partial

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from tests.lab.daemons import Daemon
from tests.lab.world import STARTING
from tests.recipes.clients import Asker, Conversation
from tests.recipes.systemd import SystemdHost
from tests.recipes.text import block, exchanged
from tests.recipes.world import RecipeTestCase

#: The provider's router, and a server behind it.
_ROUTER, _SERVER, _PORT = "192.0.2.254", "203.0.113.80", 7

_TITLE = "A firewall that keeps connections: conntrackd"


class _Echo(Protocol):
    """
    Sends everything back.
    """

    def __init__(self, connections: list[_Echo]) -> None:
        self._connections = connections
        self.lost: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        self._connections.append(self)

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data)  # type: ignore[union-attr]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.callback(None)

    @property
    def peer(self) -> str:
        """
        The address that the client has here.
        """
        return str(self.transport.getPeer().host)  # type: ignore[union-attr]

    def end(self) -> Deferred[None]:
        """
        End the connection.
        """
        self.transport.abortConnection()  # type: ignore[union-attr]
        return self.lost


class FirewallTests(RecipeTestCase):
    """
    A client inside has a connection to a server outside.
    """

    title = _TITLE
    packages = ("conntrackd", "nftables")

    def setUp(self) -> None:
        super().setUp()
        self.inside = self.testbed.switch("inside")
        self.client = self.host("client", "10.1.1.5/24", self.inside)
        self.client.node.route("default", "10.1.1.1")
        router = self.testbed.node("router", f"{_ROUTER}/24", f"{_SERVER}/32")
        self.connections: list[_Echo] = []
        factory = Factory.forProtocol(partial(_Echo, self.connections))  # type: ignore[arg-type]
        with router.inside():
            port = reactor.listenTCP(  # type: ignore[attr-defined]
                _PORT, factory, interface=_SERVER
            )
        self.addCleanup(self.hangUp)
        self.addCleanup(port.stopListening)

    async def hangUp(self) -> None:
        """
        End all connections of the server.
        """
        for connection in self.connections:
            if not connection.lost.called:
                await connection.end()

    async def firewall(self, name: str, number: int, advskew: int) -> SystemdHost:
        """
        Make a firewall.
        """
        machine = await self.machine(
            name, f"192.0.2.{number}/24", units=("conntrackd.service",), advskew=advskew
        )
        node = machine.host.node
        node.connect(self.inside, f"10.1.1.{number}/24")
        node.route("default", _ROUTER)
        node.forward()
        machine.write("/etc/nftables.conf", block(_TITLE, "table inet"))
        await machine.run("/usr/sbin/nft", "-f", "/etc/nftables.conf")
        settings = block(_TITLE, "Sync {")
        if number != 2:
            # The file in the recipe is that of the host with the address 10.1.1.2.
            settings = exchanged(settings, ("10.1.1.2", "10.1.1.3"))
        machine.write("/etc/conntrackd/conntrackd.conf", settings)
        return machine

    async def hosts(self, states: bool) -> tuple[SystemdHost, SystemdHost]:
        """
        Make both firewalls.

        @param states: Whether conntrackd runs.
        """
        both = await self.firewall("a", 2, 0), await self.firewall("b", 3, 100)
        for machine in both:
            if states:
                await machine.run("/usr/bin/systemctl", "start", "conntrackd.service")
        return both

    async def begins(self, a: SystemdHost, b: SystemdHost) -> tuple[Daemon, Daemon]:
        """
        Start both daemons, the one with the lower skew first.
        """
        first = await a.txcarp()
        await self.leads(first)
        second = await b.txcarp()
        await self.until(lambda: len(second.said("BACKUP")) > 1, "b is backup", STARTING)
        await self.fit(b)
        return first, second

    async def leads(self, daemon: Daemon, since: float = 0.0) -> None:
        """
        Wait until a host is master on both sides.
        """
        await self.until(
            lambda: len(daemon.said("Switching to state: MASTER", since)) == 2,
            f"{daemon.name} is master of both sides",
            STARTING,
        )

    async def fit(self, machine: SystemdHost) -> None:
        """
        Wait until nothing keeps a host from being master on both sides.
        """
        for group in ("outer", "inner"):
            await machine.isFit(group)

    async def connection(self) -> Asker:
        """
        Connect, as soon as the firewall lets the client through.
        """
        made: list[Conversation] = []

        def connected() -> bool:
            try:
                made.append(Conversation(self.client.node, _SERVER, _PORT))
            except OSError:
                return False
            return True

        await self.until(connected, "the client reaches the server", STARTING)
        asker = self.asker(made[0])
        await self.answered(asker)
        return asker

    async def copied(self, backup: SystemdHost) -> None:
        """
        Wait until the backup knows the state of the connection.
        """
        end = time.monotonic() + STARTING
        command = ("/usr/sbin/conntrackd", "-e")
        while not [
            one for one in await backup.run(*command) if _SERVER in one and "ESTABLISHED" in one
        ]:
            self.assertLess(time.monotonic(), end, "the backup does not know the connection")
            await self.during(0.1)

    async def test_survives(self) -> None:
        """
        The connection lives on when the master is drained, when txcarp is killed, when the cable
        inside is pulled, and when the host is lost.
        """
        a, b = await self.hosts(states=True)
        first, second = await self.begins(a, b)
        old = await self.connection()
        self.assertEqual({one.peer for one in self.connections}, {"192.0.2.1"})

        async def goesOn(what: str, since: float, now: Daemon) -> None:
            await self.leads(now, since)
            await self.answered(old)
            self.lost(what, since, connection=old)

        await self.copied(b)
        since = time.monotonic()
        await a.ask("drain", "outer")
        await goesOn("drained", since, second)
        await a.ask("resume", "outer")

        await self.fit(a)
        await self.copied(a)
        since = time.monotonic()
        await b.kill()
        await goesOn("txcarp killed", since, first)
        await self.restarted(second, since)

        await self.fit(b)
        await self.copied(b)
        since = time.monotonic()
        a.host.node.unplug("eth1")
        await goesOn("cable inside pulled", since, second)
        a.host.node.plugIn("eth1")

        await self.fit(a)
        for group in ("outer", "inner"):
            await a.asks(group)
        await self.copied(a)
        since = time.monotonic()
        b.halt()
        await goesOn("host lost", since, first)

    async def test_without(self) -> None:
        """
        Without conntrackd, the new master takes over and lets new connections through, but not
        the old one: it is the states that keep it.
        """
        a, b = await self.hosts(states=False)
        _, second = await self.begins(a, b)
        old = await self.connection()
        since = time.monotonic()
        await a.ask("drain", "outer")
        await self.leads(second, since)
        began = time.monotonic()
        await self.connection()
        self.assertLess(old.answers[-1].time, began)
