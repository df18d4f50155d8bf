"""
Two hosts in different networks, which tell the router by BGP where their address is.
"""

from __future__ import annotations

import time
from functools import partial

from tests.lab.world import STARTING, Host
from tests.recipes.clients import knock
from tests.recipes.systemd import SystemdHost
from tests.recipes.text import block, exchanged
from tests.recipes.world import RecipeTestCase

_TITLE = "Two sites with routers between them"

_ADDRESS = "192.0.2.1"

#: The hosts, and the address of the router in the network of each.
_SITES = {"198.51.100.2": "198.51.100.1", "198.51.100.130": "198.51.100.129"}
_OUTSIDE, _CLIENT = "203.0.113.1", "203.0.113.2"

_ROUTER = """\
router id 203.0.113.1;
protocol device { }
protocol kernel {
    ipv4 { import none; export all; };
}
"""

_NEIGHBOUR = """\
protocol bgp {{
    local {own} as 65000;
    neighbor {host} as 65001;
    passive;
    hold time 3;
    ipv4 {{ import all; export none; }};
}}
"""


class SiteTests(RecipeTestCase):
    """
    A router, a host in each of two networks, and a client in a third one.
    """

    title = _TITLE
    packages = ("bird2",)

    def setUp(self) -> None:
        super().setUp()
        self.switches = [self.testbed.switch(name) for name in ("one", "two", "outside")]
        self.client = self.host("client", f"{_CLIENT}/24", self.switches[2])
        self.client.node.route("default", _OUTSIDE)

    async def router(self) -> None:
        """
        Make the router, which runs BIRD as well.
        """
        gateways = [f"{address}/25" for address in _SITES.values()] + [f"{_OUTSIDE}/24"]
        node = self.testbed.router("router", *zip(self.switches, gateways, strict=True))
        machine = SystemdHost(self, Host(self, node, _OUTSIDE, self.directory / "router"))
        await machine.boot("bird.service")
        neighbours = [_NEIGHBOUR.format(own=own, host=host) for host, own in _SITES.items()]
        machine.write("/etc/bird/bird.conf", "".join([_ROUTER, *neighbours]))
        await machine.run("/usr/bin/systemctl", "start", "bird.service")

    async def site(self, name: str, number: int, advskew: int) -> SystemdHost:
        """
        Make a host.
        """
        address, gateway = list(_SITES.items())[number]
        host = self.host(name, f"{address}/25", self.switches[number])
        host.node.route("default", gateway)
        machine = SystemdHost(self, host)
        await machine.boot("bird.service")
        pairs = tuple(_SITES), tuple(_SITES.values())
        routing, file = block(_TITLE, "router id"), self.configuration(advskew)
        if number:
            # Those in the recipe are of the first host.
            routing, file = exchanged(routing, *pairs), exchanged(file, *pairs)
        machine.write("/etc/bird/bird.conf", routing)
        self.configure(machine, file)
        await machine.run("/usr/bin/systemctl", "start", "bird.service")
        return machine

    async def test_moves(self) -> None:
        """
        Whoever is master, a client reaches the address through the router.
        """
        await self.router()
        a, b = await self.site("a", 0, 0), await self.site("b", 1, 100)
        first = await a.txcarp()
        await self.becomes(first, "MASTER")
        second = await b.txcarp()
        await self.listens(second)
        client = self.asker(partial(knock, self.client.node, _ADDRESS))
        await self.answered(client)

        async def moved(what: str, since: float, machine: SystemdHost) -> None:
            taken = f"{_ADDRESS}/32"
            await self.until(lambda: taken in machine.host.node.addresses(), what, STARTING)
            await self.answered(client)
            self.lost(what, since, client=client)

        await b.isFit("service")
        since = time.monotonic()
        await a.ask("drain", "service")
        await moved("drained", since, b)
        await a.ask("resume", "service")
        since = time.monotonic()
        await moved("the preferred host takes it back", since, a)

        await b.isFit("service")
        since = time.monotonic()
        await a.kill()
        await moved("txcarp killed", since, b)
        await self.restarted(first, since)
        await moved("started again", time.monotonic(), a)

        since = time.monotonic()
        a.halt()
        await moved("host lost", since, b)
