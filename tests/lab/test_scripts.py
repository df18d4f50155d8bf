"""
Up and down scripts as real processes, while advertisements go on.
"""

from __future__ import annotations

import time
from functools import partial

from tests.lab.world import VIRTUAL, Host, LabTestCase


class ScriptTests(LabTestCase):
    """
    Scripts that record how they were called.
    """

    async def test_asUcarp(self) -> None:
        """
        Both programs run their scripts with the same arguments, in the same order of
        events: down at start, up as master.
        """
        other = self.testbed.switch("other")
        self.listen(other)
        a, b = self.host("a"), self.host("b", switch=other)
        parameter = ("-x", "two words ")
        processes = (
            a.txcarp("-r", "2", *a.scripts(), *parameter),
            b.ucarp("-r", "2", *b.scripts(), *parameter),
        )
        for host in (a, b):
            await self.until(partial(self.haveRun, host, 2), "both scripts ran", 60)
        ours, theirs = ([(run.event, run.argv) for run in host.runs()] for host in (a, b))
        directories = [(str(host.directory), "") for host in (a, b)]
        self.assertEqual(
            *(
                [(event, [word.replace(*directory) for word in argv]) for event, argv in calls]
                for calls, directory in zip((ours, theirs), directories, strict=True)
            )
        )
        self.assertEqual(
            ours,
            [
                (event, [f"{a.directory}/{event}.sh", "eth0", VIRTUAL, "two words "])
                for event in ("down", "up")
            ],
        )
        for host, process in zip((a, b), processes, strict=True):
            self.assertEqual({run.parent for run in host.runs()}, {process.pid})
        self.assertEqual([run.state for run in a.runs()], ["BACKUP", "MASTER"])

    @staticmethod
    def haveRun(host: Host, count: int) -> bool:
        """
        Whether so many scripts of a host ran.
        """
        return len(host.runs()) == count


class NeutralTests(LabTestCase):
    """
    C{-n}.
    """

    needsUcarp = False

    async def test_neutral(self) -> None:
        """
        With C{-n} nothing runs at start, and without C{-x} there are two arguments.
        """
        a = self.host("a")
        a.txcarp("-r", "2", "-n", *a.scripts())
        await self.advertises(a)
        await self.until(a.runs, "a script ran", 5)
        self.assertEqual(
            [run.argv for run in a.runs()], [[f"{a.directory}/up.sh", "eth0", VIRTUAL]]
        )


class SlowScriptTests(LabTestCase):
    """
    Scripts that take their time; with ucarp the group is without a master meanwhile.
    """

    needsUcarp = False

    async def test_slow(self) -> None:
        """
        Advertisements keep their rhythm while an up script runs for five seconds, the
        address is announced only after its end, and a backup stays quiet.
        """
        a, b = self.host("a"), self.host("b")
        up = a.script("up", f"sleep 5; : > {a.directory}/done")
        a.txcarp("-r", "2", "-u", up, "-n")
        backup = b.txcarp("-k", "100")
        first = await self.advertises(a)
        done = a.directory / "done"
        await self.until(done.exists, "the script ends", 60)
        ended = done.stat().st_mtime - time.time() + time.monotonic()
        await self.until(lambda: self.wire.claims(a.hardware), "the address is announced", 5)
        self.assertGreater(self.wire.claims(a.hardware)[0].time, ended - 0.05)
        self.assertGreater(ended - first, 4.9)
        during = [x.time for x in self.wire.of(a.address) if x.time < ended]
        self.assertGreaterEqual(len(during), 4)
        self.assertLess(max(self.wire.gaps(a.address)), 1.0 + self.slack)
        self.assertEqual((self.wire.of(b.address), backup.state), ([], "BACKUP"))
        # Once more with the second advertisement after.
        await self.until(lambda: len(self.wire.claims(a.hardware)) == 2, "once more", 6)
        between = [x for x in self.wire.of(a.address) if x.time > ended]
        again = self.wire.claims(a.hardware)[1].time
        self.assertLess(abs(between[1].time - again), self.slack)

    async def test_hung(self) -> None:
        """
        A script that hangs is ended after C{--script-timeout}, by force if it must be,
        and what remains to be done is done.
        """
        a = self.host("a")
        up = a.script("up", "trap '' TERM; while :; do sleep 0.1; done")
        daemon = a.txcarp(
            "-r", "2", "-n", "-z", "-u", up, "-d", a.script("down"), "--script-timeout", "1"
        )
        first = await self.advertises(a)
        await self.until(lambda: daemon.said("did not end within 1"), "TERM", 10)
        claimed = await self.until(lambda: self.wire.claims(a.hardware), "announced", 15)
        self.assertGreater(claimed - first, 1.0 + 2.0 - 0.1)
        self.assertLess(max(self.wire.gaps(a.address)), 1.0 + self.slack)
        await self.stopped(daemon)
        self.assertEqual((a.events(), daemon.status), (["up", "down"], 0))

    async def test_newestWish(self) -> None:
        """
        When the state changes again while a script runs, the next one that runs is that
        of the newest state, and never two run at once.
        """
        a = self.host("a")
        running = a.directory / "running"
        more = f"mkdir {running} || : > {a.directory}/both; sleep 3; rmdir {running}"
        daemon = a.txcarp("-r", "2", "-n", "-u", a.script("up", more), "-d", a.script("down", more))
        await self.advertises(a)
        await self.until(running.exists, "the up script runs", 5)
        for _ in range(3):
            a.node.unplug()
            await self.becomes(daemon, "BACKUP", 5)
            a.node.plugIn()
            await self.becomes(daemon, "MASTER", 8)
        seen: list[float] = []

        def atRest() -> bool:
            # Between two scripts, too, none is running: but not for long.
            if running.exists() or not len(a.runs()) % 2:
                seen.clear()
                return False
            seen.append(time.monotonic())
            return seen[-1] - seen[0] > 1.0

        await self.until(atRest, "the last script ends", 20)
        events = a.events()
        self.assertEqual(events, (["up", "down"] * len(events))[: len(events)])
        self.assertEqual(events[-1], "up")
        self.assertLess(len(events), 7)
        self.assertFalse((a.directory / "both").exists())
