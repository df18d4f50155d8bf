"""
Masters that are killed or hang, and their guards.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence

from twisted.internet.defer import gatherResults

from tests.lab.daemons import guardOf
from tests.lab.families import BOTH, FOUR, SIX, FamilyTestCase
from tests.lab.test_leases import PairTestCase
from tests.lab.world import STARTING
from txcarp.guard.sentry import RECORD

#: Seconds in which a backup takes over from a dead master, at most; the dead time is 3 seconds.
SOON = 1.0


class GuardTests(PairTestCase):
    """
    Two hosts with an address on lease.
    """

    async def test_killed(self) -> None:
        """
        When the daemon is killed, the backup has the address at once, and never both hosts.  So
        it is with a guard that replaced one.
        """
        a, _, first, second = await self.pair()
        await self.until(lambda: guardOf(first.pid), "it is guarded", 10)
        guard = guardOf(first.pid)
        assert guard is not None
        os.kill(guard, signal.SIGKILL)
        await self.until(lambda: guardOf(first.pid) not in (None, guard), "it is replaced", 10)
        self.assertEqual(len(first.said("has ended by signal 9")), 1)
        self.assertEqual((first.state, self.holders.now), ("MASTER", {"a"}))
        await self.during(0.5)
        killed = time.monotonic()
        first.signal(signal.SIGKILL)
        taken = await self.held("b", within=10)
        self.report(f"killed: taken over after {(taken - killed) * 1000:.0f} ms")
        self.assertLess(taken - killed, SOON + self.slack)
        self.assertEqual(self.both(killed).seconds, 0.0)
        await self.becomes(second, "MASTER", 1)
        [record] = a.directory.glob("state/*.guard")
        await self.until(lambda: RECORD.unpack(record.read_bytes())[0] == 1, "it is recorded", 10)

    async def test_stopped(self) -> None:
        """
        A short stop of the daemon changes nothing.  After a longer one the backup has the address,
        and the daemon is a backup when it goes on.
        """
        a, _, first, second = await self.pair()
        await self.until(lambda: guardOf(first.pid), "it is guarded", 10)
        first.signal(signal.SIGSTOP)
        await self.during(0.3)
        first.signal(signal.SIGCONT)
        await self.during(2.0)
        if not self.slack:
            self.assertEqual((first.state, self.holders.now), ("MASTER", {"a"}))
        stopped = time.monotonic()
        first.signal(signal.SIGSTOP)
        taken = await self.held("b", within=10)
        self.report(f"stopped: taken over after {(taken - stopped) * 1000:.0f} ms")
        self.assertLess(taken - stopped, 1.7 + self.slack)
        self.assertEqual(self.both(stopped).seconds, 0.0)
        await self.during(1.0)
        goesOn = time.monotonic()
        first.signal(signal.SIGCONT)
        await self.becomes(first, "BACKUP", 5)
        await self.during(2.0)
        self.assertEqual(self.wire.since(a.address, goesOn), [], "not one advertisement")
        self.assertTrue(first.said("so the guard gave up the place of master"))
        self.assertEqual((second.state, self.holders.now), ("MASTER", {"b"}))


class WayTests(FamilyTestCase):
    """
    The ways of a bow-out.
    """

    async def dies(
        self, name: str, virtual: Sequence[str], *options: str, peers: bool = False
    ) -> None:
        """
        Kill a master, on a switch of its own.
        """
        switch = self.testbed.switch(name)
        a, b = self.members(switch)
        more: list[tuple[str, ...]] = [(), ()]
        if peers:
            more = [("--peer", each.address, "--peer", each.linkLocal) for each in (b, a)]
        settings = ("--assign", "-r", "5", *options)
        master = a.txcarp(*settings, *more[0], virtual=virtual)
        await self.becomes(master, "MASTER", STARTING)
        backup = b.txcarp(*settings, *more[1], "-k", "100", virtual=virtual)
        await self.listens(backup)
        await self.until(lambda: guardOf(master.pid), "it is guarded", 10)
        await self.during(1.5)
        killed = time.monotonic()
        master.signal(signal.SIGKILL)
        await self.becomes(backup, "MASTER", 15)
        taken = time.monotonic() - killed
        self.report(f"{name}: taken over after {taken * 1000:.0f} ms")
        self.assertLess(taken, 2.0 + self.slack)
        self.assertTrue(backup.said("the master bowed out"))

    async def test_ways(self) -> None:
        """
        Both families, unicast, and a virtual MAC address.
        """
        await gatherResults(
            [
                self.concurrently(self.dies("gboth", BOTH)),
                self.concurrently(self.dies("guni", BOTH, peers=True)),
                self.concurrently(self.dies("guni6", SIX, peers=True)),
                self.concurrently(self.dies("gmac", FOUR, "--virtual-mac")),
            ],
            consumeErrors=True,
        )

    async def test_dialects(self) -> None:
        """
        Broadcast, and the dialects of the BSD kernels, with seals and without.
        """
        await gatherResults(
            [
                self.concurrently(self.dies("gall", SIX, "-M")),
                self.concurrently(self.dies("gopen", FOUR, "--dialect", "openbsd")),
                self.concurrently(self.dies("gfree", FOUR, "--dialect", "freebsd", "--seal=off")),
            ],
            consumeErrors=True,
        )


class UcarpTests(PairTestCase):
    """
    Beside ucarp.
    """

    needsUcarp = True

    async def test_scripts(self) -> None:
        """
        When a master with scripts and -z is killed, its down script runs, and ucarp takes over.
        """
        a, b = self.host("a"), self.host("b")
        master = a.txcarp("-z", "-r", "5", *a.scripts())
        await self.becomes(master, "MASTER", 20)
        backup = b.ucarp("-k", "10", "-r", "5")
        await self.becomes(backup, "BACKUP")
        await self.until(lambda: guardOf(master.pid), "it is guarded", 10)
        await self.during(1.5)
        before = len(a.events())
        killed = time.monotonic()
        await self.stopped(master, signal.SIGKILL)
        await self.becomes(backup, "MASTER", 15)
        taken = time.monotonic() - killed
        self.report(f"ucarp took over after {taken * 1000:.0f} ms")
        self.assertLess(taken, 2.0 + self.slack)
        self.assertEqual(a.events()[before:], ["down"])
