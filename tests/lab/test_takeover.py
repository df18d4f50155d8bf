"""
Who is master when hosts come and go: txcarp and ucarp in one group.
"""

from __future__ import annotations

import signal
import time

from twisted.internet.defer import gatherResults

from tests.lab.daemons import Daemon
from tests.lab.wire import Wire
from tests.lab.world import STARTING, Host, LabTestCase
from txcarp.protocol.timing import Timing

#: Seconds in which ucarp, which reads its packets once a second, is done with one.
_UCARP_GIVES_WAY = 6.0


def overlap(wire: Wire, first: Host, second: Host) -> float:
    """
    Seconds for which both hosts advertised.
    """
    spans = [[advert.time for advert in wire.of(host.address)] for host in (first, second)]
    if not all(spans):
        return 0.0
    return min(span[-1] for span in spans) - max(span[0] for span in spans)


class CrashTests(LabTestCase):
    """
    A master that is killed.
    """

    async def test_ucarpTakesOver(self) -> None:
        """
        When a txcarp master is killed, ucarp becomes master, as with a ucarp master.
        """
        a, b = self.host("a"), self.host("b")
        master = a.txcarp("-r", "2")
        await self.advertises(a)
        backup = b.ucarp("-k", "10")
        await self.becomes(backup, "BACKUP")
        await self.until(lambda: len(self.wire.of(a.address)) > 3, "some adverts", 5)
        self.assertEqual(self.wire.of(b.address), [])
        await self.stopped(master, signal.SIGKILL)
        last = self.wire.of(a.address)[-1].time
        taken = await self.advertises(b, last, 8)
        self.report(f"ucarp took over {taken - last:.3f} s after the last advertisement")
        self.assertLess(taken - last, 3.0 + 10 / 256 + 2.0 + self.slack)

    async def test_txcarpTakesOver(self) -> None:
        """
        When a ucarp master is killed, txcarp becomes master at the exact deadline after
        the last advertisement: not before, and not at the next full second.
        """
        a, b = self.host("a"), self.host("b")
        master = a.ucarp("-r", "1")
        await self.advertises(a)
        backup = b.txcarp("-k", "100")
        ready = await self.listens(backup)
        await self.advertises(a, ready, 3)
        await self.stopped(master, signal.SIGKILL)
        last = self.wire.of(a.address)[-1].time
        taken = await self.advertises(b, last, 8)
        deadline = Timing(1, 100).deadTime(3)
        self.report(
            f"txcarp took over {(taken - last - deadline) * 1000:+.1f} ms from the deadline"
        )
        self.assertGreater(taken - last, deadline - 0.01)
        self.assertLess(taken - last, deadline + self.slack)
        # It announces once more with its second advertisement.
        await self.until(lambda: self.wire.claims(b.hardware), "it announces", 1 + self.slack)
        announced = [claim.time for claim in self.wire.claims(b.hardware)]
        self.assertEqual(len([when for when in announced if when < taken + 0.9]), 1)


class ElectionTests(LabTestCase):
    """
    Hosts that can all hear each other.
    """

    async def settles(
        self, wire: Wire, winner: tuple[Host, Daemon], loser: tuple[Host, Daemon]
    ) -> None:
        """
        Wait until one of two hosts is master and stays it.
        """
        host, daemon = winner
        await self.becomes(daemon, "MASTER")
        await self.advertises(host, wire=wire)
        start = wire.of(host.address)[0].time
        await self.until(
            lambda: len(wire.since(host.address, start + 2.5)) > 1, f"{host.name} stays", 6
        )
        self.assertEqual((daemon.state, loser[1].state), ("MASTER", "BACKUP"))
        quiet = wire.since(loser[0].address, wire.of(host.address)[-2].time)
        self.assertEqual(quiet, [])
        both = overlap(wire, host, loser[0])
        self.report(f"{host.name} won; both advertised for {max(both, 0):.3f} s")
        self.assertLess(both, 1.0 + self.slack)

    async def heals(
        self, wire: Wire, winner: tuple[Host, Daemon], loser: tuple[Host, Daemon], reading: float
    ) -> None:
        """
        Let two hosts become master apart, bring them together, and see one give way.

        @param reading: seconds that the loser may leave a packet unread.
        """
        loser[0].node.cut()
        for host, daemon in (winner, loser):
            await self.becomes(daemon, "MASTER")
            await self.advertises(host, wire=wire)
        healed = time.monotonic()
        loser[0].node.heal()
        await self.becomes(loser[1], "BACKUP", 8)
        await self.until(
            lambda: len(wire.since(winner[0].address, healed + 2.0)) > 1, "the winner stays", 8
        )
        self.assertEqual((winner[1].state, loser[1].state), ("MASTER", "BACKUP"))
        after = [advert.time - healed for advert in wire.since(loser[0].address, healed)]
        self.assertTrue(after, "two masters met")
        self.report(f"{winner[0].name} won; the other spoke for {after[-1]:.3f} s more")
        self.assertLess(after[-1], 1.0 + reading + self.slack)

    async def test_tie(self) -> None:
        """
        Of two masters with equal timing the one whose reversed address is lower stays,
        whichever program it runs, and the other is quiet within one interval after
        both can hear each other.
        """
        other = self.testbed.switch("other")
        wires = self.wire, self.listen(other)
        hosts = [
            (
                self.host(f"{name}-1-1", "10.99.1.1/16", switch),
                self.host(f"{name}-0-2", "10.99.0.2/16", switch),
            )
            for switch, name in ((self.testbed.lan, "txcarp"), (other, "ucarp"))
        ]
        (a, b), (c, d) = hosts
        ratio = ("-r", "2")
        first = (a, a.txcarp(*ratio)), (b, b.ucarp(*ratio))
        second = (c, c.ucarp(*ratio)), (d, d.txcarp(*ratio))
        await gatherResults(
            [
                self.concurrently(self.heals(wires[0], *first, 1.0)),
                self.concurrently(self.heals(wires[1], *second, 0.0)),
            ],
            consumeErrors=True,
        )

    async def test_skewPreference(self) -> None:
        """
        Of two hosts that begin to wait at once, the one with the lower skew is master, and
        no host that is slower ever advertises.
        """
        a, b = self.host("a"), self.host("b")
        a.node.unplug()
        slow = a.txcarp("-k", "255")
        fast = b.ucarp("-k", "0")
        await self.becomes(fast, "BACKUP")
        await self.plugIn((a, slow))
        await self.settles(self.wire, (b, fast), (a, slow))

    async def test_txcarpPreempts(self) -> None:
        """
        txcarp with C{-P} takes over from a slower ucarp master that lives; the master
        gives way to it.
        """
        a, b = self.host("a"), self.host("b")
        slow = a.ucarp("-r", "1", "-k", "50")
        await self.advertises(a)
        fast = b.txcarp("-P", *b.scripts())
        taken = await self.advertises(b)
        await self.becomes(slow, "BACKUP", _UCARP_GIVES_WAY)
        self.assertEqual(fast.state, "MASTER")
        self.assertEqual(len(fast.said("Putting MASTER down - preemption")), 1)
        heard = self.wire.of(a.address)
        self.assertLess(taken - max(x.time for x in heard if x.time <= taken), self.slack)
        self.assertLess(overlap(self.wire, a, b), 1.0 + self.slack)
        self.assertEqual(b.runs("up")[0].reason, "preemption")

    async def test_ucarpPreempts(self) -> None:
        """
        A txcarp master gives way to a faster ucarp with C{-P}: it says so once more, so
        that the other hears of it and announces again, then is quiet.
        """
        a, b = self.host("a"), self.host("b")
        slow = a.txcarp("-r", "2", "-k", "50", *a.scripts())
        await self.advertises(a)
        fast = b.ucarp("-P")
        taken = await self.advertises(b)
        given = await self.becomes(slow, "BACKUP", 3)
        self.assertLess(given - taken, self.slack)
        await self.becomes(fast, "MASTER", 3)
        await self.until(lambda: len(self.wire.since(b.address, taken)) > 1, "it goes on", 4)
        after = self.wire.since(a.address, taken)
        self.assertTrue(after, "a farewell")
        self.assertLess(after[-1].time - taken, self.slack, "and no more")
        self.assertEqual(len(slow.said("Preferred master advertised")), 1)
        await self.until(lambda: a.events() == ["down", "up", "down"], "the down script", 5)

    async def test_noPreemption(self) -> None:
        """
        Without C{-P} a faster host lets a slower master be, on both sides.
        """
        other = self.testbed.switch("other")
        wire = self.listen(other)
        a, b = self.host("a"), self.host("b")
        c, d = self.host("c", switch=other), self.host("d", switch=other)
        masters = a.ucarp("-r", "1", "-k", "50"), c.txcarp("-r", "2", "-k", "50")
        await self.advertises(a)
        await self.advertises(c, wire=wire)
        backups = b.txcarp(), d.ucarp()
        for backup in backups:
            await self.becomes(backup, "BACKUP", STARTING)
        await self.during(4.0)
        self.assertEqual([daemon.state for daemon in masters], ["MASTER"] * 2)
        self.assertEqual(self.wire.of(b.address) + wire.of(d.address), [])
