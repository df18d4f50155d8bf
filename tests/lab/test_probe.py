"""
Hosts without power, and backups that ask for them.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence

from twisted.internet.defer import gatherResults

from tests.lab.daemons import Daemon
from tests.lab.families import BOTH, FOUR, SIX
from tests.lab.world import STARTING, Host, LabTestCase
from txcarp.testbed import Switch

#: Seconds in which a backup takes over, at most.  Without a probe it takes two at least.
SOON = 1.0

GATEWAY, GATEWAY6 = "10.99.0.254", "fd00::fe"

PROBE = ("--assign", "--probe", "0.005")


class ProbeTests(LabTestCase):
    """
    Masters, backups with a probe, and a gateway on each switch.
    """

    def member(self, number: int, switch: Switch) -> Host:
        """
        A host with addresses of both families, and a route through a gateway.
        """
        if number == 1:
            addresses = f"{GATEWAY}/24", f"{GATEWAY6}/64"
            self.testbed.node(f"gateway-{switch.name}", *addresses, switch=switch)
        name = f"{'abc'[number - 1]}-{switch.name}"
        host = self.host(name, f"10.99.0.{number}/24", switch, f"fd00::{number}/64")
        for gateway in (GATEWAY, GATEWAY6):
            host.node.route("default", gateway)
        return host

    async def master(
        self, host: Host, *options: str, virtual: Sequence[str] = FOUR, isUcarp: bool = False
    ) -> Daemon:
        """
        Start the master.
        """
        if isUcarp:
            daemon = host.ucarp("-u", "/bin/true", "-d", "/bin/true")
        else:
            daemon = host.txcarp("--assign", *options, virtual=virtual)
        await self.becomes(daemon, "MASTER")
        return daemon

    async def ready(self, daemon: Daemon, number: int = 1) -> None:
        """
        Wait until a backup has all that its probes need.
        """
        await self.until(
            lambda: len(daemon.said("The probe is ready")) == number,
            f"the probe of {daemon.name} is ready",
            STARTING,
        )

    async def powerOff(self, host: Host, daemon: Daemon) -> float:
        """
        Take the power from a host: no process, no address and no link remain.
        """
        daemon.signalAll(signal.SIGKILL)
        host.node.deleteInterface()
        off = time.monotonic()
        await daemon.exit
        return off

    def tookOver(self, daemon: Daemon, seconds: float, what: str) -> None:
        """
        Check that a backup took over soon, because of its probe.
        """
        self.report(f"{what}: taken over after {seconds * 1000:.0f} ms")
        self.assertTrue(daemon.said("the host of the master does not answer"))
        self.assertTrue(daemon.said("unanswered, and"))
        self.assertLess(seconds, SOON + self.slack)

    async def dies(
        self, name: str, virtual: Sequence[str], *options: str, isUcarp: bool = False
    ) -> None:
        """
        A master loses its power, and its backup takes over.
        """
        switch = self.testbed.switch(name)
        a, b = self.member(1, switch), self.member(2, switch)
        first = await self.master(a, *options, virtual=virtual, isUcarp=isUcarp)
        second = b.txcarp(*PROBE, "-k", "100", *options, virtual=virtual)
        await self.ready(second, len(virtual))
        off = await self.powerOff(a, first)
        taken = await self.becomes(second, "MASTER")
        self.tookOver(second, taken - off, name)

    async def test_powerOff(self) -> None:
        """
        A backup takes over from a host that has lost its power: in either family and in both, with
        a virtual MAC address, and from ucarp.
        """
        await gatherResults(
            [
                self.concurrently(self.dies("four", FOUR)),
                self.concurrently(self.dies("six", SIX)),
                self.concurrently(self.dies("both", BOTH)),
                self.concurrently(self.dies("mac", FOUR, "--virtual-mac")),
                self.concurrently(self.dies("ucarp", FOUR, isUcarp=True)),
            ],
            consumeErrors=True,
        )

    async def test_others(self) -> None:
        """
        What the probe must not do, and several backups.
        """
        await gatherResults(
            [
                self.concurrently(self.isCutOff()),
                self.concurrently(self.isKilled()),
                self.concurrently(self.isStaggered()),
                self.concurrently(self.isProxied()),
                self.concurrently(self.isPaused()),
            ],
            consumeErrors=True,
        )

    async def isCutOff(self) -> None:
        """
        A backup that is cut off takes over no sooner than without a probe.
        """
        switch = self.testbed.switch("cut")
        a, b = self.member(1, switch), self.member(2, switch)
        await self.master(a)
        second = b.txcarp(*PROBE, "-k", "100")
        await self.ready(second)
        b.node.cut()
        cut = time.monotonic()
        taken = await self.becomes(second, "MASTER")
        self.assertGreater(taken - cut, 2.0)
        self.assertTrue(second.said("no advertisement within the dead time"))

    async def isKilled(self) -> None:
        """
        A host whose daemon is dead answers.  Its backup waits for the dead time.
        """
        switch = self.testbed.switch("killed")
        a, b = self.member(1, switch), self.member(2, switch)
        first = await self.master(a, "--guard=off")
        second = b.txcarp(*PROBE, "-k", "100")
        await self.ready(second)
        first.signalAll(signal.SIGKILL)
        await self.becomes(second, "MASTER")
        self.assertTrue(second.said("no advertisement within the dead time"))

    async def isPaused(self) -> None:
        """
        A backup that did not run for many questions, or for longer than its dead time, does not
        take its own silence for that of the master.
        """
        switch = self.testbed.switch("paused")
        a, b = self.member(1, switch), self.member(2, switch)
        await self.master(a)
        second = b.txcarp(*PROBE, "-k", "100")
        await self.ready(second)
        for pause in (0.2, 4.0):
            second.signalAll(signal.SIGSTOP)
            await self.during(pause)
            second.signalAll(signal.SIGCONT)
            await self.during(1.0)
            self.assertEqual(second.state, "BACKUP")

    async def isProxied(self) -> None:
        """
        A router that answers ARP for all hosts goes on answering for a dead one.  Its backup takes
        over no sooner than without a probe, and no later.
        """
        switch = self.testbed.switch("proxied")
        a, b = self.member(1, switch), self.member(2, switch)
        router = self.testbed.node("router", "10.99.0.253/24", switch=switch)
        router.forward()
        first = await self.master(a)
        second = b.txcarp(*PROBE, "-k", "100")
        await self.ready(second)
        router.sysctl("net/ipv4/conf/eth0/proxy_arp_pvlan", "1")
        router.sysctl("net/ipv4/neigh/eth0/proxy_delay", "0")
        off = await self.powerOff(a, first)
        taken = await self.becomes(second, "MASTER")
        self.assertGreater(taken - off, 2.0)
        self.assertTrue(second.said("no advertisement within the dead time"))

    async def isStaggered(self) -> None:
        """
        One of two backups takes over, the better one unless this machine is too busy.  The other
        one hears it, and probes it.
        """
        switch = self.testbed.switch("three")
        a, b, c = (self.member(number, switch) for number in (1, 2, 3))
        first = await self.master(a)
        second, third = b.txcarp(*PROBE, "-k", "50"), c.txcarp(*PROBE, "-k", "200")
        for daemon in (second, third):
            await self.ready(daemon)
        off = await self.powerOff(a, first)
        both = [second, third]
        taken = await self.until(
            lambda: any(one.state == "MASTER" for one in both), "one of two takes over", STARTING
        )
        await self.until(
            lambda: any(len(one.said("The probe is ready")) > 1 for one in both),
            "the other one probes it",
            STARTING,
        )
        winner, loser = both if second.state == "MASTER" else both[::-1]
        self.tookOver(winner, taken - off, f"{winner.name}, of two")
        self.assertEqual(loser.state, "BACKUP")
