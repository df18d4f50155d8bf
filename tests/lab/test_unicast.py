"""
Advertisements to each peer alone.
"""

from __future__ import annotations

import signal
import time
from functools import partial

from twisted.internet.defer import gatherResults

from tests.lab.families import BOTH, FOUR, QUICK, SLOWER, VIRTUAL6, FamilyTestCase
from tests.lab.wire import Wire
from tests.lab.world import Host


class RouterTests(FamilyTestCase):
    """
    Two hosts and a client, each in a network of its own.
    """

    async def reached(self, virtual: str, client: Host, router: Host, master: Host) -> None:
        """
        Tell the router where the address is, as a routing daemon would, and ping it.
        """
        ip = self.program("ip", "iproute2")
        await self.output(router, ip, "route", "replace", virtual, "via", master.address)
        pinger = self.pinger(client, virtual)
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

    async def across(self, family: str, virtual: str, *networks: tuple[str, str]) -> None:
        """
        One is master, and goes on with another skew; the other one is restarted with
        another skew, and takes over when the first one leaves.

        @param networks: of the one host, the other, and the client: the addresses of the
            router and of the host, with prefix length.
        """
        switches = [self.testbed.switch(f"{name}-{family}") for name in "abc"]
        near, far, _ = (self.listen(switch) for switch in switches)
        sides = [(switch, gateway) for switch, (gateway, _) in zip(switches, networks, strict=True)]
        directory = self.directory / f"router-{family}"
        router = Host(self, self.testbed.router(directory.name, *sides), "", directory)
        hosts = []
        for (switch, gateway), (_, address) in zip(sides, networks, strict=True):
            hosts.append(self.host(f"on-{switch.name}", address, switch))
            hosts[-1].node.route("default", gateway.partition("/")[0])
        a, b, client = hosts

        toA, toB = ("-s", b.address, "--peer", a.address), ("-s", a.address, "--peer", b.address)
        master = a.steered(*QUICK, *toB, virtual=(virtual,))
        await self.becomes(master, "MASTER")
        backup = b.txcarp(*QUICK, *SLOWER, *toA, virtual=(virtual,))
        await self.becomes(backup, "BACKUP")
        await self.reached(virtual, client, router, a)
        self.assertEqual(self.heard(near, a), {(b.address, 255, 0)})
        await self.until(lambda: self.heard(far, a), "it is passed on", 2)
        self.assertEqual(self.heard(far, a), {(b.address, 254, 0)})

        master.tell("demote weaker 10")
        changed = await self.until(lambda: master.said("Demoted by 10"), "it is told", 5)
        await self.stopped(backup)
        again = b.txcarp(*QUICK, "-k", "190", *toA, virtual=(virtual,))
        started = await self.becomes(again, "BACKUP")
        await self.during(max(0.0, started + 2.0 - time.monotonic()))
        self.assertEqual((master.state, again.state), ("MASTER", "BACKUP"))
        self.assertEqual(self.heard(far, a, changed), {(b.address, 254, 10)})
        self.assertEqual(self.heard(far, b), set())

        stopping = time.monotonic()
        master.signal(signal.SIGTERM)
        taken = await self.becomes(again, "MASTER", 2)
        self.assertLess(taken - stopping, 0.1 + self.slack)
        await self.until(lambda: master.ended, "it ends", 5)
        await self.reached(virtual, client, router, b)
        self.assertEqual(self.heard(far, b), {(a.address, 255, 190)})

    async def test_router(self) -> None:
        """
        C03, C04, C06: a group of two networks, where packets arrive with less than their hop
        limit and the last octet of a peer is that of a multicast group; a peer stays
        through changes of the skew.
        """
        four = (
            ("198.51.100.1/25", "198.51.100.2/25"),
            ("198.51.100.129/25", "198.51.100.224/25"),
            ("203.0.113.1/24", "203.0.113.2/24"),
        )
        six = (
            ("2001:db8:a::1/64", "2001:db8:a::2/64"),
            ("2001:db8:b::1/64", "2001:db8:b::e0/64"),
            ("2001:db8:c::1/64", "2001:db8:c::2/64"),
        )
        await gatherResults(
            [
                self.concurrently(self.across("4", "192.0.2.1", *four)),
                self.concurrently(self.across("6", "2001:db8:2::1", *six)),
            ],
            consumeErrors=True,
        )


class SegmentTests(FamilyTestCase):
    """
    Peers on one segment.
    """

    async def test_otherSource(self) -> None:
        """
        A host that sends from another of its addresses than its peers know is heard, and named.
        BSD kernels send from the first address of the interface.
        """
        a, b = self.host("a", "10.99.0.1/24"), self.host("b", "10.99.0.2/24", None, "10.99.0.12/24")
        worse = a.txcarp(*QUICK, *SLOWER, "--peer", "10.99.0.2", virtual=FOUR)
        await self.becomes(worse, "MASTER")
        better = b.txcarp(*QUICK, "-P", "-s", "10.99.0.12", "--peer", "10.99.0.1", virtual=FOUR)
        await self.becomes(better, "MASTER")
        await self.becomes(worse, "BACKUP", 5)
        await self.during(3)
        self.assertEqual((worse.state, better.state), ("BACKUP", "MASTER"))
        self.assertEqual(len(worse.said("10.99.0.12 sends its advertisements to this host")), 1)

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
        for source, destinations in (
            (a.address, {"224.0.0.18", b.address}),
            (a.linkLocal, {"ff02::12", b.linkLocal}),
        ):
            heard = partial(self.wire.since, source, taken + 0.2)
            await self.until(lambda heard=heard: len(heard()) > 1, "it advertises", 3)
            self.assertEqual({one.destination for one in heard()}, destinations)
        await self.lose(self.testbed.lan, "ip daddr 224.0.0.18", "ip6 daddr ff02::12")
        lost = time.monotonic()
        await self.during(2.0)
        self.assertEqual((master.state, first.state), ("MASTER", "BACKUP"))
        self.assertEqual(self.wire.since(b.address, lost), [])
        self.assertEqual(first.said("family-silent") + first.said("replay"), [])
        master.signal(signal.SIGKILL)
        await self.becomes(first, "MASTER", 3)
