"""
The planned end of a txcarp master, and how its process ends.
"""

from __future__ import annotations

import signal

from tests.lab.daemons import Daemon
from tests.lab.world import Host, LabTestCase


class BowOutTests(LabTestCase):
    """
    A master that is asked to stop lets its backup know.
    """

    async def handsOver(self, stop: int, backup: str, *options: str) -> tuple[Host, Daemon, float]:
        """
        Stop a txcarp master beside a backup.

        @return: the master, its process, and the seconds from its farewell to the
            first advertisement of its successor.
        """
        a, b = self.host("a"), self.host("b")
        master = a.txcarp("-r", "2", *a.scripts(), *options)
        await self.advertises(a)
        waiting = b.ucarp() if backup == "ucarp" else b.txcarp()
        started = await self.becomes(waiting, "BACKUP")
        await self.advertises(a, started, 4)
        master.signal(stop)
        taken = await self.advertises(b, within=8)
        farewell = self.wire.of(a.address)[-1]
        self.assertEqual((farewell.said.advbase, farewell.said.advskew), (255, 255))
        self.assertEqual(len([x for x in self.wire.of(a.address) if x.said.isBowOut]), 1)
        await self.until(lambda: master.ended, "the process ends", 5)
        seconds = taken - farewell.time
        self.report(f"{backup} took over {seconds * 1000:.1f} ms after the farewell")
        return a, master, seconds

    async def test_toUcarp(self) -> None:
        """
        A real ucarp backup obeys the farewell of a txcarp master, within the second
        for which it leaves packets unread.  With C{-z} the master then runs its down
        script, and its process ends with status 0.
        """
        a, master, seconds = await self.handsOver(signal.SIGTERM, "ucarp", "-z")
        self.assertLess(seconds, 1.0 + self.slack)
        self.assertEqual((master.status, master.killedBy), (0, None))
        self.assertEqual(a.events(), ["down", "up", "down"])
        self.assertEqual(a.runs()[-1].reason, "stopped")

    async def test_toTxcarp(self) -> None:
        """
        A txcarp backup is master in milliseconds.  Without C{-z} no down script runs
        and the process dies by the signal, as ucarp's does.
        """
        a, master, seconds = await self.handsOver(signal.SIGTERM, "txcarp")
        self.assertLess(seconds, self.slack)
        self.assertEqual((master.status, master.killedBy), (None, signal.SIGTERM))
        self.assertEqual(a.events(), ["down", "up"])

    async def test_hangUp(self) -> None:
        """
        C{SIGHUP} with C{-z} is a planned stop as well.
        """
        a, master, _ = await self.handsOver(signal.SIGHUP, "txcarp", "-z")
        self.assertEqual((master.status, master.killedBy), (0, None))
        self.assertEqual(a.events()[-1], "down")

    async def test_hangUpWithout(self) -> None:
        """
        Without C{-z} C{SIGHUP} ends the process by that signal, after the farewell.
        """
        a, master, _ = await self.handsOver(signal.SIGHUP, "txcarp")
        self.assertEqual((master.status, master.killedBy), (None, signal.SIGHUP))
        self.assertEqual(a.events(), ["down", "up"])


class BackupTests(LabTestCase):
    """
    A backup that is asked to stop.
    """

    needsUcarp = False

    async def test_backup(self) -> None:
        """
        A backup that is stopped says nothing, and runs no script.
        """
        a = self.host("a")
        backup = a.txcarp("-z", *a.scripts())
        await self.becomes(backup, "BACKUP")
        await self.until(lambda: a.events() == ["down"], "the first down script", 5)
        await self.stopped(backup)
        self.assertEqual((backup.status, a.events(), self.wire.adverts), (0, ["down"], []))


class OfferTests(LabTestCase):
    """
    A master that is demoted.
    """

    async def test_toUcarp(self) -> None:
        """
        Of two real ucarp backups that do not preempt, the one that is better than the demoted
        master accepts its offer, and the one that is equal does not.
        """
        a, b, c = self.host("a"), self.host("b"), self.host("c")
        master = a.steered()
        await self.advertises(a)
        better, equal = b.ucarp("-k", "100"), c.ucarp("-k", "240")
        for backup in (better, equal):
            started = await self.becomes(backup, "BACKUP")
        await self.advertises(a, started + 2.0, 4)
        told = master.tell("demote uplink 240")
        taken = await self.advertises(b, told, 3)
        said = [(one.said.advbase, one.said.advskew) for one in self.wire.since(a.address, told)]
        self.assertEqual(said[:2], [(1, 240), (3, 240)])
        await self.becomes(master, "BACKUP", 2)
        self.report(f"ucarp took over {(taken - told) * 1000:.0f} ms after the demotion")
        await self.advertises(b, taken + 2.5, 4)
        self.assertEqual(self.wire.of(c.address), [])
        self.assertEqual((better.state, equal.state), ("MASTER", "BACKUP"))
