"""
Signals to a running txcarp, and a txcarp that is not let run.
"""

from __future__ import annotations

import contextlib
import os
import signal

from tests.lab.test_neighbours import frameSocket
from tests.lab.wire import STRANGER
from tests.lab.world import LabTestCase


class StatusTests(LabTestCase):
    """
    C{SIGUSR1}.
    """

    needsUcarp = False

    async def test_file(self) -> None:
        """
        The status line is in a file at once when standard output is one; ucarp's stays
        in its buffer.
        """
        a = self.host("a")
        path = a.directory / "output"
        file = os.open(path, os.O_WRONLY | os.O_CREAT)
        try:
            daemon = a.txcarp("-r", "2", childFDs={0: "w", 1: file, 2: "r"})
        finally:
            os.close(file)
        await self.becomes(daemon, "BACKUP")
        daemon.signal(signal.SIGUSR1)
        await self.until(lambda: "[INFO] BACKUP on eth0 id 7\n" in path.read_text(), "the line", 3)
        await self.advertises(a)
        daemon.signal(signal.SIGUSR1)
        await self.until(lambda: "[INFO] MASTER on eth0 id 7\n" in path.read_text(), "the line", 3)
        self.assertEqual(daemon.said(" on eth0 id 7"), [])


class DemotionTests(LabTestCase):
    """
    C{SIGUSR2}.
    """

    async def test_peerTakesOver(self) -> None:
        """
        A master that is asked to hand over bows out; the ucarp peer becomes master, and
        the old master stays its backup and runs its down script.
        """
        a, b = self.host("a"), self.host("b")
        master = a.txcarp("-r", "2", *a.scripts())
        await self.advertises(a)
        peer = b.ucarp("-k", "20")
        started = await self.becomes(peer, "BACKUP")
        await self.advertises(a, started, 4)
        master.signal(signal.SIGUSR2)
        taken = await self.advertises(b, within=6)
        farewell = self.wire.of(a.address)[-1]
        self.assertTrue(farewell.said.isBowOut)
        self.assertLess(taken - farewell.time, 1.0 + self.slack)
        await self.until(lambda: len(self.wire.since(b.address, taken + 3.5)) > 0, "it stays", 6)
        self.assertEqual((master.state, peer.state), ("BACKUP", "MASTER"))
        self.assertEqual(self.wire.of(a.address)[-1], farewell)
        self.assertEqual(a.events(), ["down", "up", "down"])


class PauseTests(LabTestCase):
    """
    A process that does not run for a while: stopped, swapped out, or on a virtual
    machine that was frozen.
    """

    needsUcarp = False

    async def test_backup(self) -> None:
        """
        A backup that slept for longer than the dead time reads what the master said
        meanwhile before it believes that it was silent: nothing is sent.
        """
        a, b = self.host("a"), self.host("b")
        a.txcarp("-r", "2")
        await self.advertises(a)
        backup = b.txcarp()
        started = await self.becomes(backup, "BACKUP")
        await self.advertises(a, started, 4)
        backup.signal(signal.SIGSTOP)
        await self.during(5.0)
        backup.signal(signal.SIGCONT)
        await self.during(1.5)
        backup.signal(signal.SIGUSR1)
        await self.until(lambda: backup.said("BACKUP on eth0"), "it still is backup", 5)
        self.assertEqual(self.wire.of(b.address), [])

    async def test_backupMissedIt(self) -> None:
        """
        A backup whose socket kept nothing of the master while it slept, because it was full,
        waits until it hears the master: nothing is sent.
        """
        a, b, stranger = self.host("a"), self.host("b"), self.host("s")
        a.txcarp("-r", "2", "-k", "10")
        await self.advertises(a)
        backup = b.txcarp()
        started = await self.becomes(backup, "BACKUP")
        await self.advertises(a, started, 4)
        genuine = self.wire.of(a.address)[-1].frame
        old = genuine[:6] + STRANGER + b"\0\0\0\1" + genuine[12:]
        backup.signal(signal.SIGSTOP)
        sock = frameSocket(stranger.node)
        self.addCleanup(sock.close)
        for _ in range(20):
            for _ in range(50):
                with contextlib.suppress(BlockingIOError):
                    sock.send(old)
            await self.during(0.02)
        await self.during(5.0)
        backup.signal(signal.SIGCONT)
        await self.until(lambda: backup.said("This backup did not run"), "it notices", 3)
        await self.during(4.0)
        backup.signal(signal.SIGUSR1)
        await self.until(lambda: backup.said("BACKUP on eth0"), "it still is backup", 5)
        self.assertEqual(self.wire.of(b.address), [])

    async def test_master(self) -> None:
        """
        A master that slept for longer than the dead time was replaced: the first thing
        that it does is to stop being master, and it sends nothing.
        """
        a, b = self.host("a"), self.host("b")
        master = a.txcarp("-r", "2", *a.scripts())
        await self.advertises(a)
        backup = b.txcarp("-k", "10")
        started = await self.becomes(backup, "BACKUP")
        await self.advertises(a, started, 4)
        master.signal(signal.SIGSTOP)
        taken = await self.advertises(b, within=6)
        await self.advertises(b, taken + 1.5, 4)
        master.signal(signal.SIGCONT)
        await self.becomes(master, "BACKUP", 3)
        await self.during(2.0)
        self.assertEqual(self.wire.since(a.address, taken), [])
        self.assertEqual(self.wire.claims(a.hardware, taken), [])
        self.assertEqual(backup.state, "MASTER")
        self.assertEqual(a.runs()[-1].reason, "paused")
