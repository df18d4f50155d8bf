"""
A client that pings the shared address every 2 ms, while hosts are drained and resumed.
"""

from __future__ import annotations

import shutil
import signal
import tempfile
import time
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.utils import getProcessOutputAndValue

from tests.lab.daemons import Daemon, environment
from tests.lab.families import REACHABLE, FamilyTestCase
from tests.lab.world import STARTING, VHID, VIRTUAL, Host
from txcarp.clock.monotonic import MonotonicClock
from txcarp.testbed.pinger import Pinger, openPingSocket
from txcarp.testbed.program import TXCARP

_GROUP = f"eth0:{VHID}"

#: What a script of ucarp does besides recording its call.
_ADD, _REMOVE = (f"ip address {what} {VIRTUAL}/24 dev eth0" for what in ("add", "del"))


class DrainTests(FamilyTestCase):
    """
    C{txcarp drain} and C{txcarp resume}.
    """

    needsUcarp = True

    def setUp(self) -> None:
        super().setUp()
        # The path of a socket has at most 107 bytes, fewer than that of the directory of a host.
        self.sockets = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.sockets)

    def master(self, host: Host, *options: str) -> Daemon:
        """
        Start txcarp, which answers commands, on the preferred host.
        """
        control = f"--control={self.sockets / host.name}"
        return host.txcarp("--assign", control, *options, virtual=(f"{VIRTUAL}/24",))

    async def pinging(self) -> Pinger:
        """
        Ping every 2 ms until the end of the test.
        """
        clock = MonotonicClock(reactor)  # type: ignore[arg-type]
        with self.client().node.inside():
            pinger = Pinger(reactor, clock, openPingSocket(VIRTUAL), VIRTUAL)  # type: ignore[arg-type]
        pinger.start()
        self.addCleanup(clock.stop)
        self.addCleanup(pinger.stop)
        await self.answers(pinger)
        return pinger

    async def command(self, host: Host, *words: str) -> tuple[str, str, int]:
        """
        Run a command that asks the daemon of a host.

        @return: What it printed, what it printed as errors, and its exit status.
        """
        output, errors, status = await getProcessOutputAndValue(
            TXCARP[0],
            [*TXCARP[1:], words[0], "--control", str(self.sockets / host.name), *words[1:]],
            env=environment(host.directory),
        )
        return output.decode(), errors.decode(), status

    async def assertNothingLost(self, pinger: Pinger, since: float, what: str) -> None:
        """
        Assert that every probe since a time was answered.
        """
        await self.answers(pinger)
        await self.until(lambda: pinger.gaps(since).pending < 5, "the answers arrive", REACHABLE)
        gap = pinger.gaps(since)
        self.report(
            f"{what}: {gap.sent} probes, {gap.lost} lost, longest silence "
            f"{gap.silence * 1000:.1f} ms (longest pause of the client {gap.pause * 1000:.1f} ms)"
        )
        self.assertEqual(gap.lost, 0)

    async def test_pair(self) -> None:
        """
        A drained master hands over to txcarp, stays out over a restart, and takes over again
        when it was resumed and the other host is drained.
        """
        a, b = self.members()
        master = self.master(a)
        await self.becomes(master, "MASTER")
        backup = self.master(b, "-k", "100")
        await self.listens(backup)
        await self.during(1.1)
        pinger = await self.pinging()
        began = time.monotonic()
        output, errors, status = await self.command(a, "drain", _GROUP, "--for", "1h")
        self.assertEqual((errors, status), ("", 0))
        self.assertRegex(output, rf"^{_GROUP}: drained until [\d:]+; {b.address} is master\n$")
        self.assertEqual((master.state, backup.state), ("BACKUP", "MASTER"))
        self.assertNotIn(VIRTUAL, " ".join(a.node.addresses()))
        await self.assertNothingLost(pinger, began, "drain")
        master.signal(signal.SIGTERM)
        await self.until(lambda: master.ended, "the process ends", 5)
        master = self.master(a)
        await self.becomes(master, "BACKUP")
        await self.until(lambda: master.said("still drained by root"), "it is drained", STARTING)
        await self.during(1.2)
        self.assertEqual((master.state, backup.state), ("BACKUP", "MASTER"))
        output, _, _ = await self.command(a, "status")
        self.assertRegex(output, rf"{_GROUP} +held .* {b.address} .* drained by root until ")
        output, errors, status = await self.command(a, "resume", _GROUP)
        self.assertEqual((errors, status), ("", 0))
        self.assertEqual(
            output, f"{_GROUP}: takes part again; this host is BACKUP, {b.address} is master\n"
        )
        output, errors, status = await self.command(b, "drain", _GROUP)
        self.assertEqual((errors, status), ("", 0))
        self.assertEqual(output, f"{_GROUP}: drained; {a.address} is master\n")
        await self.becomes(master, "MASTER")
        await self.assertNothingLost(pinger, began, "all together")

    async def test_ucarp(self) -> None:
        """
        A drained master waits for a real ucarp, which is slow, and preempts it when it is resumed.
        """
        a, b = self.members()
        master = self.master(a, "-P")
        await self.becomes(master, "MASTER")
        scripts = "-u", b.script("up", _ADD), "-d", b.script("down", _REMOVE)
        backup = b.ucarp("-k", "100", *scripts)
        started = await self.becomes(backup, "BACKUP")
        await self.advertises(a, started, 4)
        pinger = await self.pinging()
        for _ in range(5):
            began = time.monotonic()
            output, errors, status = await self.command(a, "drain", _GROUP)
            if status == 0:
                break
            # On a busy machine ucarp may need longer than it is given.
            self.assertIn("Nobody took over", errors)
            await self.advertises(a, time.monotonic(), 5)
            await self.until(lambda: backup.state == "BACKUP", "ucarp is backup", REACHABLE)
        self.report(f"drain took {time.monotonic() - began:.2f} s")
        self.assertEqual((errors, status), ("", 0))
        self.assertEqual(output, f"{_GROUP}: drained; {b.address} is master\n")
        await self.assertNothingLost(pinger, began, "drain")
        began = time.monotonic()
        output, errors, status = await self.command(a, "resume", _GROUP)
        self.assertEqual((errors, status), ("", 0))
        self.assertEqual(output, f"{_GROUP}: takes part again; this host is MASTER\n")
        await self.becomes(backup, "BACKUP", 5)
        await self.answers(pinger)
        # ucarp may announce the address once more before it gives way.
        silence = pinger.gaps(began).silence
        self.report(f"resume: longest silence {silence * 1000:.1f} ms")
        self.assertLess(silence, 1.0 + self.slack)

    async def test_alone(self) -> None:
        """
        A master without backups takes the group back, and nothing is lost.
        """
        a = self.host("a")
        master = self.master(a)
        await self.becomes(master, "MASTER")
        pinger = await self.pinging()
        began = time.monotonic()
        output, errors, status = await self.command(a, "drain", _GROUP)
        self.report(f"drain took {time.monotonic() - began:.2f} s")
        self.assertEqual((output, status), ("", 2))
        self.assertEqual(
            errors,
            f"txcarp drain: Nobody took over {_GROUP} within 1.5 s; this host is master again.\n",
        )
        await self.becomes(master, "MASTER", 3)
        await self.advertises(a, began + 2)
        await self.assertNothingLost(pinger, began, "drain")
