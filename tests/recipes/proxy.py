"""
Two proxies before two web servers: HAProxy that runs on the master only, and nginx that runs on
both hosts.
"""

from __future__ import annotations

import time
from functools import partial

from tests.lab.daemons import Daemon
from tests.lab.world import STARTING
from tests.recipes.clients import page
from tests.recipes.systemd import SystemdHost
from tests.recipes.text import block
from tests.recipes.world import RecipeTestCase

FOUR, SIX = "10.1.1.252", "2001:db8::252"

#: The addresses of the two hosts.
A, B = "10.1.1.1", "10.1.1.2"

#: A web server that says which proxy has asked, and how it is.
_SERVER = """\
daemon off;
master_process off;
pid {directory}/pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    server {{
        listen 80;
        location / {{ return 200 $remote_addr; }}
        location = /health {{ return 200; }}
    }}
}}
"""


class ProxyTestCase(RecipeTestCase):
    """
    Two proxies, two servers and a client.

    @cvar unit: The unit of the proxy.
    """

    unit: str

    def setUp(self) -> None:
        super().setUp()
        self.server("one", "10.1.1.21/24", "2001:db8::21/64")
        self.server("two", "10.1.1.22/24")
        self.client = self.host("client", "10.1.1.100/24", None, "2001:db8::100/64")

    def server(self, name: str, address: str, *more: str) -> None:
        """
        Make a web server.

        @param more: More of its addresses.
        """
        host = self.host(name, address, None, *more)
        path = host.directory / "nginx.conf"
        path.write_text(_SERVER.format(directory=host.directory))
        host.run(f"{name} nginx", (self.program("nginx", "nginx"),), ("-c", str(path)))

    async def hosts(self) -> tuple[SystemdHost, SystemdHost]:
        """
        Make the two proxies.
        """
        a = await self.machine("a", f"{A}/24", "2001:db8::1/64", units=(self.unit,))
        b = await self.machine(
            "b", f"{B}/24", "2001:db8::2/64", units=(self.unit,), advskew=100
        )
        return a, b

    async def begins(self, a: SystemdHost, b: SystemdHost) -> tuple[Daemon, Daemon]:
        """
        Start both daemons, the one with the lower skew first, and the clients.
        """
        first = await a.txcarp()
        await self.becomes(first, "MASTER")
        second = await b.txcarp()
        await self.listens(second)
        self.clients = [
            self.asker(partial(page, self.client.node, address)) for address in (FOUR, SIX)
        ]
        await self.served(A)
        return first, second

    async def served(self, address: str) -> None:
        """
        Wait until clients are served in both families through a proxy.
        """
        for asker in self.clients:
            await self.answered(asker, address)

    def missed(self, what: str, since: float) -> None:
        """
        Report what the clients lost.
        """
        four, six = self.clients
        self.lost(what, since, IPv4=four, IPv6=six)

    async def running(self, machine: SystemdHost, unit: bool) -> None:
        """
        Wait until the proxy runs on a host, or does not.
        """
        end = time.monotonic() + STARTING
        while await machine.isActive(self.unit) != unit:
            self.assertLess(time.monotonic(), end, f"{self.unit} of {machine.host.name}")
            await self.during(0.1)


class MasterOnlyTests(ProxyTestCase):
    """
    HAProxy where the addresses are.
    """

    title = "A proxy: HAProxy"
    unit = "haproxy.service"
    packages = ("haproxy", "nginx")

    async def test_moves(self) -> None:
        """
        HAProxy runs on the master alone.  It moves if it is stopped, if txcarp is killed, if its
        host does not reach the servers, if the host is drained, and if the host is lost.  A daemon
        that was killed stops HAProxy when it comes back.
        """
        a, b = await self.hosts()
        for machine in (a, b):
            machine.write("/etc/haproxy/haproxy.cfg", block(self.title, "frontend web"))
        first, second = await self.begins(a, b)
        await self.running(a, True)
        await self.running(b, False)

        since = time.monotonic()
        await a.run("/usr/bin/systemctl", "kill", "--signal=KILL", self.unit)
        await self.served(A)
        self.missed("HAProxy killed, started again by systemd", since)
        self.assertFalse(second.said("Switching to state: MASTER"))

        since = time.monotonic()
        await a.run("/usr/bin/systemctl", "stop", self.unit)
        await self.served(B)
        self.missed("HAProxy stopped by hand", since)
        await self.running(a, False)

        await a.isFit("web")
        since = time.monotonic()
        await b.kill()
        await self.served(A)
        self.missed("txcarp killed", since)
        await self.restarted(second, since)
        await self.running(b, False)

        await b.isFit("web")
        since = time.monotonic()
        unreachable = ("/sbin/ip", "route", "add", "unreachable", "10.1.1.21/32")
        await a.run(*unreachable)
        await self.served(B)
        self.missed("a server out of reach of the master", since)
        since = time.monotonic()
        await b.run(*unreachable)
        await self.until(lambda: second.said("Demoted by 240", since), "it notices", STARTING)
        await self.served(B)
        self.assertEqual(first.said("Switching to state: MASTER", since), [])
        for machine in (a, b):
            await machine.run("/sbin/ip", "route", "del", "unreachable", "10.1.1.21/32")
            await machine.isFit("web")

        since = time.monotonic()
        await b.ask("drain", "web")
        await self.served(A)
        self.missed("drained", since)
        await self.running(b, False)
        await b.ask("resume", "web")
        await b.isFit("web")
        await b.asks("web")

        since = time.monotonic()
        a.halt()
        await self.served(B)
        self.missed("host lost", since)


class EverywhereTests(ProxyTestCase):
    """
    nginx on both hosts.
    """

    title = "A proxy on all hosts: nginx"
    unit = "nginx.service"
    packages = ("nginx",)

    async def test_moves(self) -> None:
        """
        The addresses move if nginx is killed for good or hangs, and as with HAProxy.
        """
        a, b = await self.hosts()
        for machine in (a, b):
            for family in ("ipv4", "ipv6"):
                machine.host.node.sysctl(f"net/{family}/ip_nonlocal_bind", "1")
            machine.path("/etc/nginx/sites-enabled/default").unlink(missing_ok=True)
            machine.write("/etc/nginx/conf.d/web.conf", block(self.title, "upstream"))
            await machine.run("/usr/bin/systemctl", "start", self.unit)
        _, second = await self.begins(a, b)

        await b.isFit("web")
        since = time.monotonic()
        await a.run("/usr/bin/systemctl", "kill", "--signal=KILL", self.unit)
        await self.served(B)
        self.missed("nginx killed", since)

        await a.run("/usr/bin/systemctl", "start", self.unit)
        await a.isFit("web")
        since = time.monotonic()
        await b.run("/usr/bin/systemctl", "kill", "--signal=STOP", self.unit)
        await self.served(A)
        self.missed("nginx hangs", since)
        await b.run("/usr/bin/systemctl", "kill", "--signal=CONT", self.unit)

        await b.isFit("web")
        since = time.monotonic()
        await a.ask("drain", "web")
        await self.served(B)
        self.missed("drained", since)
        await a.ask("resume", "web")

        await a.isFit("web")
        since = time.monotonic()
        await b.kill()
        await self.served(A)
        self.missed("txcarp killed", since)
        await self.restarted(second, since)

        await b.isFit("web")
        await b.asks("web")
        since = time.monotonic()
        a.halt()
        await self.served(B)
        self.missed("host lost", since)
