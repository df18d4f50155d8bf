"""
Advertisements to each peer alone.
"""

from __future__ import annotations

import signal
import time

from tests.lab.families import BOTH, QUICK, SLOWER, VIRTUAL6, FamilyTestCase
from tests.lab.wire import Wire
from tests.lab.world import Host


class RouterTests(FamilyTestCase):
    """
    Two hosts and a client, each in a network of its own.
    """

    async def build(self, *networks: tuple[str, str]) -> None:
        """
        Lay the cables.

        @param networks: of the one host, the other, and the client: the addresses of the
            router and of the host, with prefix length.
        """
        switches = [self.testbed.lan, self.testbed.switch("far"), self.testbed.switch("clients")]
        self.farWire = self.listen(switches[1])
        sides = [(switch, gateway) for switch, (gateway, _) in zip(switches, networks, strict=True)]
        router = self.testbed.router("router", *sides)
        self.router = Host(self, router, "", self.directory / "router")
        hosts = []
        for name, (switch, gateway), (_, address) in zip("abc", sides, networks, strict=True):
            host = self.host(name, address, switch)
            host.node.route("default", gateway.partition("/")[0])
            hosts.append(host)
        self.a, self.b, self.c = hosts

    async def reached(self, virtual: str, master: Host) -> None:
        """
        Tell the router where the address is, as a routing daemon would, and ping it.
        """
        ip = self.program("ip", "iproute2")
        await self.output(self.router, ip, "route", "replace", virtual, "via", master.address)
        pinger = self.pinger(self.c, virtual)
        await self.answers(pinger)
        pinger.stop()

    def heard(self, wire: Wire, host: Host, since: float = 0.0) -> set[tuple[str, int, int]]:
        """
        Where the advertisements of a host went, with which hop limit and skew.
        """
        return {
            (one.destination, one.hops, one.said.advskew)
            for one in wire.since(host.address, since)
        }

    async def across(self, virtual: str) -> None:
        """
        One is master, and goes on with another skew; the other one is restarted with
        another skew, and takes over when the first one leaves.
        """
        a, b = self.a, self.b
        toA, toB = ("-s", b.address, "--peer", a.address), ("-s", a.address, "--peer", b.address)
        master = a.steered(*QUICK, *toB, virtual=(virtual,))
        await self.becomes(master, "MASTER")
        backup = b.txcarp(*QUICK, *SLOWER, *toA, virtual=(virtual,))
        await self.becomes(backup, "BACKUP")
        await self.reached(virtual, a)
        self.assertEqual(self.heard(self.wire, a), {(b.address, 255, 0)})
        await self.until(lambda: self.heard(self.farWire, a), "it is passed on", 2)
        self.assertEqual(self.heard(self.farWire, a), {(b.address, 254, 0)})

        changed = master.tell("demote weaker 10")
        await self.stopped(backup)
        again = b.txcarp(*QUICK, "-k", "90", *toA, virtual=(virtual,))
        started = await self.becomes(again, "BACKUP")
        await self.during(max(0.0, started + 2.0 - time.monotonic()))
        self.assertEqual((master.state, again.state), ("MASTER", "BACKUP"))
        self.assertEqual(self.heard(self.farWire, a, changed), {(b.address, 254, 10)})
        self.assertEqual(self.heard(self.farWire, b), set())

        stopping = time.monotonic()
        await self.stopped(master)
        taken = await self.becomes(again, "MASTER", 2)
        self.assertLess(taken - stopping, 0.1 + self.slack)
        await self.reached(virtual, b)
        self.assertEqual(self.heard(self.farWire, b), {(a.address, 255, 90)})

    async def test_ipv4(self) -> None:
        """
        C03, C06: a group of two networks, where packets arrive with less than their hop
        limit and the last octet of a peer is that of a multicast group; a peer stays
        through changes of the skew.
        """
        await self.build(
            ("198.51.100.1/25", "198.51.100.2/25"),
            ("198.51.100.129/25", "198.51.100.224/25"),
            ("203.0.113.1/24", "203.0.113.2/24"),
        )
        await self.across("192.0.2.1")

    async def test_ipv6(self) -> None:
        """
        C04, C06: the same with IPv6.
        """
        await self.build(
            ("2001:db8:a::1/64", "2001:db8:a::2/64"),
            ("2001:db8:b::1/64", "2001:db8:b::e0/64"),
            ("2001:db8:c::1/64", "2001:db8:c::2/64"),
        )
        await self.across("2001:db8:2::1")


class SegmentTests(FamilyTestCase):
    """
    Peers on one segment.
    """

    async def test_linkLocal(self) -> None:
        """
        C05: peers with link-local addresses, which need a scope; nothing goes to the
        group, and clients reach the address of whoever is master.
        """
        a, b = self.members()
        client = self.client()
        virtual = (f"{VIRTUAL6}/64",)
        toB, toA = ("--peer", f"{b.linkLocal}%eth0"), ("--peer", f"{a.linkLocal}%eth0")
        master = a.txcarp(*QUICK, *toB, virtual=virtual)
        await self.becomes(master, "MASTER")
        backup = b.txcarp(*QUICK, *SLOWER, *toA, virtual=virtual)
        started = await self.becomes(backup, "BACKUP")
        pinger = self.pinger(client, VIRTUAL6)
        await self.answers(pinger)
        await self.during(max(0.0, started + 2.0 - time.monotonic()))
        self.assertEqual((master.state, backup.state), ("MASTER", "BACKUP"))
        await self.stopped(master)
        await self.becomes(backup, "MASTER", 2)
        await self.answers(pinger)
        self.assertEqual(
            {(one.source, one.destination) for one in self.wire.adverts},
            {(a.linkLocal, b.linkLocal), (b.linkLocal, a.linkLocal)},
        )

    async def test_auto(self) -> None:
        """
        With C{--peer auto} the group and everybody who was heard get a copy; while no
        multicast passes, the copies are enough.
        """
        a, b = self.members()
        options = (*QUICK, "--peer", "auto")
        first = b.txcarp(*options, *SLOWER, virtual=BOTH)
        await self.becomes(first, "MASTER")
        master = a.txcarp(*options, "-P", virtual=BOTH)
        taken = await self.becomes(master, "MASTER")
        await self.becomes(first, "BACKUP", 2)
        await self.advertises(a, taken + 0.2)
        self.assertEqual(
            {one.destination for one in self.wire.since(a.address, taken + 0.2)},
            {"224.0.0.18", b.address},
        )
        await self.until(lambda: self.wire.since(a.linkLocal, taken + 0.2), "in IPv6, too", 2)
        await self.during(0.1)
        self.assertEqual(
            {one.destination for one in self.wire.since(a.linkLocal, taken + 0.2)},
            {"ff02::12", b.linkLocal},
        )
        await self.lose(self.testbed.lan, "ip daddr 224.0.0.18", "ip6 daddr ff02::12")
        lost = time.monotonic()
        await self.during(2.0)
        self.assertEqual((master.state, first.state), ("MASTER", "BACKUP"))
        self.assertEqual(self.wire.since(b.address, lost), [])
        self.assertEqual(first.said("family-silent") + first.said("replay"), [])
        master.signal(signal.SIGKILL)
        await self.becomes(first, "MASTER", 3)
