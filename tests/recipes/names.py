"""
Two name servers, and a DHCP server that runs on the master only.
"""

from __future__ import annotations

import ipaddress
import time
from functools import partial

from tests.lab.world import STARTING
from tests.recipes.clients import lookedUp
from tests.recipes.systemd import SystemdHost
from tests.recipes.text import block
from tests.recipes.world import RecipeTestCase

_TITLE = "DNS and DHCP"

_ADDRESS, _NAME = "10.1.1.53", "host.example.org"

#: The addresses of the two hosts, which are also what their zones say, so that a client sees who
#: has answered.
A, B = "10.1.1.1", "10.1.1.2"

_ZONE = """\
$TTL 60
@ SOA ns.example.org. root.example.org. 1 60 60 3600 60
@ NS ns
ns A 10.1.1.53
host A {address}
"""

#: What the DHCP client does with a lease: it prints what it got.
_LEASED = """\
#!/bin/sh
[ "$1" != bound ] || echo "leased $ip by $serverid with $dns"
"""

_NAMED, _KEA = "named.service", "kea-dhcp4-server.service"


class NamesTests(RecipeTestCase):
    """
    A client that asks for a name all the time, and for an address after each change.
    """

    title = _TITLE
    packages = ("bind9", "kea-dhcp4-server", "udhcpc")

    def setUp(self) -> None:
        super().setUp()
        self.client = self.host("client", "10.1.1.100/24")
        self.script = self.client.directory / "leased"
        self.script.write_text(_LEASED)
        self.script.chmod(0o755)

    async def server(self, name: str, address: str, pool: str, advskew: int) -> SystemdHost:
        """
        Make a host whose name server runs.
        """
        units = (_NAMED, _KEA)
        machine = await self.machine(name, f"{address}/24", units=units, advskew=advskew)
        machine.write("/etc/bind/named.conf.local", block(_TITLE, "zone "))
        machine.write("/etc/bind/example.org.zone", _ZONE.format(address=address))
        leases = block(_TITLE, "Dhcp4").replace("10.1.1.128 - 10.1.1.191", pool)
        machine.write("/etc/kea/kea-dhcp4.conf", leases)
        await machine.run("/usr/bin/systemctl", "start", _NAMED)
        return machine

    async def leased(self, machine: SystemdHost, address: str, pool: str) -> None:
        """
        See a client get an address from the DHCP server of one host, and from no other.
        """
        end = time.monotonic() + STARTING
        while not await machine.isActive(_KEA):
            self.assertLess(time.monotonic(), end, "the DHCP server does not run")
            await self.during(0.1)
        udhcpc = self.program("udhcpc", "udhcpc")
        lines = await self.output(
            self.client, udhcpc, *("-f", "-q", "-n", "-t", "20", "-T", "1"),
            *("-i", "eth0", "-s", str(self.script)),
        )
        [said] = [line for line in lines if line.startswith("leased")]
        _, own, _, server, _, names = said.split()
        self.assertEqual((server, names), (address, _ADDRESS))
        low, high = map(ipaddress.ip_address, pool.split(" - "))
        self.assertTrue(low <= ipaddress.ip_address(own) <= high, said)  # type: ignore[operator]

    async def test_moves(self) -> None:
        """
        Names are answered, and addresses leased, by the master alone: after a drain, when the name
        server is stopped or hangs, when txcarp is killed, and when the host is lost.
        """
        low, high = "10.1.1.128 - 10.1.1.191", "10.1.1.192 - 10.1.1.254"
        a, b = await self.server("a", A, low, 0), await self.server("b", B, high, 100)
        first = await a.txcarp()
        await self.becomes(first, "MASTER")
        second = await b.txcarp()
        await self.listens(second)
        client = self.asker(partial(lookedUp, self.client.node, _ADDRESS, _NAME))

        async def moved(what: str, since: float, address: str) -> None:
            await self.answered(client, address)
            self.lost(what, since, client=client)

        await self.answered(client, A)
        await self.leased(a, A, low)
        self.assertFalse(await b.isActive(_KEA))

        await b.isFit("services")
        since = time.monotonic()
        await a.ask("drain", "services")
        await moved("drained", since, B)
        await self.leased(b, B, high)
        self.assertFalse(await a.isActive(_KEA))
        await a.ask("resume", "services")

        await a.isFit("services")
        since = time.monotonic()
        await b.run("/usr/bin/systemctl", "stop", _NAMED)
        await moved("BIND stopped", since, A)
        await b.run("/usr/bin/systemctl", "start", _NAMED)

        await b.isFit("services")
        since = time.monotonic()
        await a.run("/usr/bin/systemctl", "kill", "--signal=STOP", _NAMED)
        await moved("BIND hangs", since, B)
        await a.run("/usr/bin/systemctl", "kill", "--signal=CONT", _NAMED)

        await a.isFit("services")
        since = time.monotonic()
        await b.kill()
        await moved("txcarp killed", since, A)
        await self.restarted(second, since)
        await self.until(
            lambda: second.said("Step dhcp: /usr/bin/systemctl ended", since),
            "its step is undone",
            STARTING,
        )
        await self.leased(a, A, low)
        self.assertFalse(await b.isActive(_KEA))

        await b.isFit("services")
        since = time.monotonic()
        a.halt()
        await moved("host lost", since, B)
