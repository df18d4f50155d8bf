"""
Groups of IPv4 addresses, of IPv6 addresses, and of both.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence

from twisted.internet import reactor
from twisted.internet.defer import gatherResults

from tests.lab.daemons import Daemon
from tests.lab.world import VIRTUAL, Host, LabTestCase
from txcarp.clock import MonotonicClock
from txcarp.pinger import Pinger, openSocket
from txcarp.protocol.timing import Timing
from txcarp.testbed import Switch

#: The IPv6 address that hosts share.
VIRTUAL6 = "fd00::100"

#: What hosts share, as C{--assign} wants it.
FOUR, SIX = (f"{VIRTUAL}/24",), (f"{VIRTUAL6}/64",)
BOTH = FOUR + SIX

#: How soon a backup takes over with a dead ratio of one, and how much slower it is.
QUICK = ("--assign", "-r", "1")
SLOWER = ("-k", "100")

#: Seconds in which an address has to answer again, whatever happens to its master.
REACHABLE = 5.0

_PROBE = 0.01


class FamilyTestCase(LabTestCase):
    """
    Hosts that need no ucarp, and clients.
    """

    needsUcarp = False

    def members(self, switch: Switch | None = None, bare: bool = False) -> list[Host]:
        """
        Two hosts.

        @param bare: whether they have no addresses of their own.
        """
        where = switch or self.testbed.lan
        return [
            self.host(f"{name}-{where.name}", "", where, f"fd00::{number}/64", bare=bare)
            for number, name in enumerate("ab", 1)
        ]

    def client(self, switch: Switch | None = None) -> Host:
        """
        Somebody who wants to reach what they share.
        """
        where = switch or self.testbed.lan
        return self.host(f"client-{where.name}", "10.99.0.200/24", where, "fd00::200/64")

    def pinger(self, host: Host, target: str, source: str = "") -> Pinger:
        """
        Ping from a host until the end of the test.

        @param source: the address to ping from; the kernel's choice if empty.
        """
        clock = MonotonicClock(reactor)
        with host.node.inside():
            sock = openSocket(target)
            if source:
                sock.bind((source, 0))
            pinger = Pinger(reactor, clock, sock, target, _PROBE)
        pinger.start()
        self.addCleanup(clock.stop)
        self.addCleanup(pinger.stop)
        return pinger

    async def answers(self, *pingers: Pinger) -> None:
        """
        Wait until some more probes of each are answered.
        """
        before = [pinger.received for pinger in pingers]
        await self.until(
            lambda: all(
                pinger.received > count + 2
                for pinger, count in zip(pingers, before, strict=True)
            ),
            "the addresses answer",
            REACHABLE,
        )

    def voice(self, host: Host, virtual: Sequence[str]) -> str:
        """
        The source of what a host advertises, in one of its families.
        """
        return host.address if any(":" not in one for one in virtual) else host.linkLocal

    async def pair(
        self, first: Host, second: Host, virtual: Sequence[str], *options: str
    ) -> tuple[Daemon, Daemon]:
        """
        A master and its backup, which has heard it.
        """
        master = first.txcarp(*QUICK, *options, virtual=virtual)
        await self.becomes(master, "MASTER")
        backup = second.txcarp(*QUICK, *SLOWER, *options, virtual=virtual)
        await self.becomes(backup, "BACKUP")
        await self.until(lambda: backup.said("Local advertised"), "it listens", 5)
        await self.during(1.1)
        return master, backup


class StartTests(FamilyTestCase):
    """
    Two hosts that start at once, and a client.
    """

    async def begins(self, ratio: int, virtual: Sequence[str], *addresses: str) -> None:
        """
        Start both and see one of them be master, soon, and reached.
        """
        options = ("--assign", "-r", str(ratio))
        a, b = self.members()
        client = self.client()
        # It has known these addresses, at a card that is gone.
        ip = self.program("ip", "iproute2")
        for address in addresses:
            await self.output(
                client,
                *(ip, "neigh", "add", address, "lladdr", "02:00:00:00:00:99", "dev", "eth0"),
                *("nud", "reachable"),
            )
        slow = b.txcarp(*options, *SLOWER, virtual=virtual)
        fast = a.txcarp(*options, virtual=virtual)
        await self.becomes(fast, "BACKUP")
        ready = await self.until(lambda: fast.said("Local advertised"), "it takes part", 5)
        taken = await self.becomes(fast, "MASTER")
        self.report(f"master {taken - ready:.3f} s after the start")
        self.assertLess(taken - ready, Timing(1, 0).deadTime(ratio) + self.slack)
        await self.answers(*(self.pinger(client, address) for address in addresses))
        for address in addresses:
            self.assertEqual(await self.neighbour(client, address), a.hardware.hex(":"))
        heard = {said.address for said in self.wire.claims(a.hardware)}
        self.assertEqual(heard, set(addresses))
        await self.during(1.0)
        self.assertEqual((fast.state, slow.state), ("MASTER", "BACKUP"))
        self.assertEqual({b.address, b.linkLocal} & {one.source for one in self.wire.adverts}, set())

    async def test_ipv4(self) -> None:
        """
        C01: exactly one is master within the dead time, and a client reaches it, also
        one that remembers another card.
        """
        await self.begins(1, FOUR, VIRTUAL)
        self.assertEqual({one.isIPv6 for one in self.wire.adverts}, {False})

    async def test_ipv6(self) -> None:
        """
        C02: the same with IPv6 alone: a client hears the neighbour advertisement, and
        nothing needs an IPv4 source.
        """
        await self.begins(1, SIX, VIRTUAL6)
        self.assertEqual({one.isIPv6 for one in self.wire.adverts}, {True})

    async def test_both(self) -> None:
        """
        C01, C02: the same with both in one group, which advertises in both.
        """
        await self.begins(3, BOTH, VIRTUAL, VIRTUAL6)
        self.assertEqual({one.isIPv6 for one in self.wire.adverts}, {True, False})
        self.assertEqual({one.hops for one in self.wire.adverts}, {255})


class FailureTests(FamilyTestCase):
    """
    Masters that are gone: the addresses are reached again, whatever the family, and whether
    the interfaces have addresses of their own or not.
    """

    async def replaced(self, how: str, virtual: Sequence[str], bare: bool) -> None:
        """
        Lose a master, on a switch of its own.
        """
        switch = self.testbed.switch(f"v{6 if virtual == SIX else 4}")
        a, b = self.members(switch, bare)
        client = self.client(switch)
        master, backup = await self.pair(a, b, virtual)
        address = virtual[0].partition("/")[0]
        pinger = self.pinger(client, address)
        await self.answers(pinger)
        lost = time.monotonic()
        if how == "halt":
            master.signal(signal.SIGKILL)
            a.node.deleteInterface()
        else:
            a.node.setInterface(False)
        await self.becomes(backup, "MASTER", REACHABLE)
        await self.answers(pinger)
        gap = pinger.gaps(lost)
        self.report(f"{how} {virtual[0]}: no answer for {gap.silence:.3f} s")
        self.assertGreater(gap.silence, 0.2, "it was lost")
        self.assertLess(gap.silence, Timing(1, 100).deadTime(1) + self.slack)
        self.assertEqual(await self.neighbour(client, address), b.hardware.hex(":"))

    async def bothFamilies(self, how: str, bare: bool) -> None:
        """
        Lose the masters of two groups.
        """
        await gatherResults(
            [self.concurrently(self.replaced(how, virtual, bare)) for virtual in (FOUR, SIX)],
            consumeErrors=True,
        )

    async def test_halted(self) -> None:
        """
        C11, C13, C16: the host of the master is off.
        """
        await self.bothFamilies("halt", bare=False)

    async def test_haltedBare(self) -> None:
        """
        C15, C16: the same where the interfaces have no address of their own.
        """
        await self.bothFamilies("halt", bare=True)

    async def test_interfaceDown(self) -> None:
        """
        C14, C16: the interface of the master is switched off.
        """
        await self.bothFamilies("down", bare=False)

    async def test_interfaceDownBare(self) -> None:
        """
        C15, C16: the same where the interfaces have no address of their own.
        """
        await self.bothFamilies("down", bare=True)
