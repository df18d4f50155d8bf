"""
The programs around the protocol: C{txcarp}, C{twistd txcarp}, and what others on the
machine see of them.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import tempfile
from collections.abc import Sequence
from pathlib import Path

from twisted.trial.unittest import SkipTest

from tests.lab.daemons import TWISTD
from tests.lab.world import PASSWORD, Host, LabTestCase
from txcarp.testbed.program import TXCARP

_SECRET = "Geheimnis-4711"


class SecretTests(LabTestCase):
    """
    The password.
    """

    needsUcarp = False

    async def test_processList(self) -> None:
        """
        A password given with C{-p} is not in the process list, and not in the log.
        """
        a = self.host("a")
        short = a.txcarp("-p", _SECRET, "-D")
        long = a.txcarp(f"--pass={_SECRET}", "-v", "8", "-D")
        for daemon in (short, long):
            await self.becomes(daemon, "BACKUP")
            arguments = Path("/proc", str(daemon.pid), "cmdline").read_bytes()
            self.assertIn(b"\0-i\0eth0\0", arguments)
            self.assertNotIn(_SECRET.encode(), arguments)
        for daemon in (short, long):
            await self.becomes(daemon, "MASTER")
            self.assertEqual(daemon.said(_SECRET), [])

    async def test_passFile(self) -> None:
        """
        A password file that others can read is warned about, and works.
        """
        a, b = self.host("a"), self.host("b")
        for host, mode in ((a, 0o644), (b, 0o600)):
            path = host.directory / "password"
            path.write_text(f"{_SECRET}\n")
            path.chmod(mode)
        careless = a.txcarp("-r", "2", "-o", str(a.directory / "password"))
        await self.advertises(a)
        careful = b.txcarp("-k", "100", "-o", str(b.directory / "password"))
        started = await self.becomes(careful, "BACKUP")
        await self.advertises(a, started + 1.0)
        self.assertEqual(len(careless.said("Others can read the password")), 1)
        self.assertEqual(careful.said("Others can read the password"), [])
        self.assertEqual(careful.said("Bad digest"), [], "the same password")


class BlockedLogTests(LabTestCase):
    """
    A reader of the log that does not read.
    """

    needsUcarp = False

    async def test_fullPipe(self) -> None:
        """
        Advertisements keep their rhythm, and a planned stop works, when standard output
        and error are a full pipe and each packet is logged.
        """
        await self.unread(TXCARP)

    async def test_fullPipeOfTwistd(self) -> None:
        """
        The same under C{twistd}, whose own log would not let it start.
        """
        await self.unread((*TWISTD, "-n", "--pidfile=", "--rundir=/", "txcarp"))

    async def unread(self, command: Sequence[str]) -> None:
        """
        See that a program works while nobody reads what it writes.
        """
        a = self.host("a")
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        fcntl.fcntl(writing, fcntl.F_SETFL, os.O_NONBLOCK)
        try:
            while True:
                os.write(writing, b"x" * 4096)
        except BlockingIOError:
            pass
        fcntl.fcntl(writing, fcntl.F_SETFL, 0)
        arguments = a.arguments("-r", "2", "-D", "-z", *a.scripts())
        descriptors = {0: "w", 1: writing, 2: writing}
        daemon = a.run("unread", command, arguments, childFDs=descriptors)
        os.close(writing)
        first = await self.advertises(a)
        await self.advertises(a, first + 5, 10)
        self.assertLess(max(self.wire.gaps(a.address)), 1.0 + self.slack)
        daemon.signal(signal.SIGTERM)
        await self.until(lambda: daemon.ended, "it ends", 10)
        self.assertEqual(daemon.status, 0)
        self.assertTrue(self.wire.of(a.address)[-1].said.isBowOut)
        self.assertEqual(a.events(), ["down", "up", "down"])


class ProgramTests(LabTestCase):
    """
    All ways to start.
    """

    needsUcarp = False

    async def test_twistd(self) -> None:
        """
        C{twistd -n txcarp} is a member of the group, and bows out when it is stopped.
        """
        a, b = self.host("a"), self.host("b")
        master = a.run(
            "twistd",
            (*TWISTD, "-n", f"--rundir={a.directory}", "--pidfile=", "txcarp"),
            a.arguments("-r", "2", "-z"),
        )
        await self.advertises(a)
        backup = b.txcarp()
        started = await self.becomes(backup, "BACKUP")
        await self.advertises(a, started, 6)
        self.assertNotIn(PASSWORD.encode(), Path("/proc", str(master.pid), "cmdline").read_bytes())
        master.signal(signal.SIGTERM)
        taken = await self.advertises(b, within=6)
        farewell = self.wire.of(a.address)[-1]
        self.assertTrue(farewell.said.isBowOut)
        self.assertLess(taken - farewell.time, self.slack)
        await self.until(lambda: master.ended, "it ends", 10)
        self.assertEqual((master.status, master.killedBy), (0, None))
        # In the format of ucarp, to its last line.
        [(_, line)] = [one for one in master.lines if "Switching to state: MASTER" in one[1]]
        self.assertIn(": [WARNING] Switching", line)
        self.assertTrue(master.said("Server Shut Down"), master.lines)

    async def test_otherUser(self) -> None:
        """
        C{twistd -u nobody} is a member of the group, and gets memory for the thread that writes
        its state.
        """
        if os.geteuid() != 0:
            raise SkipTest("needs root")
        a = self.host("a")
        directory = Path(tempfile.mkdtemp())  # in a place that all users can reach
        self.addCleanup(shutil.rmtree, directory)
        os.chown(directory, 65534, 65534)
        state = directory / "state.json"
        daemon = a.run(
            "twistd",
            (*TWISTD, "-n", "-u", "nobody", "-g", "nogroup", "--rundir=/", "--pidfile=", "txcarp"),
            a.arguments("-r", "1", "-z", f"--state-file={state}"),
        )
        first = await self.advertises(a)
        self.assertEqual(Path("/proc", str(daemon.pid)).stat().st_uid, 65534)
        await self.advertises(a, first + 0.1, 3)
        daemon.signal(signal.SIGTERM)
        await self.until(lambda: daemon.ended, "it ends", 10)
        self.assertEqual(daemon.status, 0)
        self.assertTrue(self.wire.of(a.address)[-1].said.isBowOut)
        self.assertTrue(state.exists())
        self.assertEqual(daemon.said("[ERROR]"), [], daemon.lines)

    async def test_twistdDaemon(self) -> None:
        """
        C{twistd txcarp} in the background has a pid file, and takes it away.
        """
        a = self.host("a")
        pidFile = a.directory / "twistd.pid"
        parent = a.run(
            "twistd",
            (
                *TWISTD,
                f"--rundir={a.directory}",
                f"--pidfile={pidFile}",
                f"--logfile={a.directory}/log",
                "txcarp",
            ),
            a.arguments("-r", "2", "-z", *a.scripts()),
        )
        await self.until(lambda: parent.ended, "the parent ends", 40)
        self.assertEqual(parent.status, 0)
        await self.until(pidFile.exists, "the pid file", 5)
        await self.daemon(a, int(pidFile.read_text()))
        self.assertFalse(pidFile.exists())
        log = (a.directory / "log").read_text()
        self.assertIn("Switching to state: MASTER", log)
        self.assertNotIn(PASSWORD, log)

    async def test_background(self) -> None:
        """
        C{txcarp -B} returns at once with status 0; the process in the background is a
        member of the group, and its number is in its pid file as long as it runs.
        """
        a = self.host("a")
        pidFile = a.directory / "pid"
        parent = a.txcarp("-B", "-r", "2", "-z", f"--pidfile={pidFile}", *a.scripts())
        await self.until(lambda: parent.ended, "the parent ends", 40)
        self.assertEqual(parent.status, 0)
        await self.until(a.runs, "the first script", 20)
        pid = a.runs()[0].parent
        self.assertEqual(int(pidFile.read_text()), pid)
        await self.daemon(a, pid)
        self.assertFalse(pidFile.exists())
        self.assertEqual(parent.lines, [line for line in parent.lines if "Warning" in line[1]])

    async def test_twice(self) -> None:
        """
        A second daemon for one virtual host ends at once with status 2 and the number of the
        first, in the foreground, in the background, and under twistd.
        """
        a, b = self.host("a"), self.host("b")
        first = a.txcarp("-r", "2", "-z")
        await self.becomes(first, "BACKUP")
        for command, more in (
            (TXCARP, ()),
            (TXCARP, ("-B",)),
            ((*TWISTD, "-n", "--pidfile=", "txcarp"), ()),
        ):
            second = a.run("second", command, a.arguments("-r", "2", *more))
            await self.until(lambda second=second: second.ended, "it ends", 20)
            self.assertEqual(second.status, 2)
            self.assertTrue(second.said(f"in process {first.pid}: stop that one"), second.lines)
        other = a.txcarp("-v", "8")
        elsewhere = b.txcarp("-k", "100")
        for daemon in (other, elsewhere):
            await self.becomes(daemon, "BACKUP")

    async def test_restarted(self) -> None:
        """
        A daemon that is started while the one before it still runs its down script takes its
        place.
        """
        a = self.host("a")
        scripts = ("-n", "-d", a.script("down", "sleep 2"))
        first = a.txcarp("-r", "1", "-z", *scripts)
        taken = await self.advertises(a)
        first.signal(signal.SIGTERM)
        await self.until(lambda: first.said("bowing out"), "it leaves", 5)
        second = a.txcarp("-r", "1", "-z", "-n")
        await self.becomes(second, "MASTER", taken)
        [released] = first.said("exit status 0")
        [began] = second.said("state: BACKUP")
        self.assertLess(released, began)

    async def daemon(self, a: Host, pid: int) -> None:
        """
        See that a process in the background is master, and let it end in good order.
        """

        def running() -> bool:
            try:
                return b"eth0" in Path("/proc", str(pid), "cmdline").read_bytes()
            except OSError:
                return False

        def kill() -> None:
            if running():
                os.kill(pid, signal.SIGKILL)

        self.assertTrue(running())
        self.addCleanup(kill)
        await self.advertises(a)
        self.assertEqual(os.readlink(f"/proc/{pid}/fd/0"), os.devnull)
        os.kill(pid, signal.SIGTERM)
        await self.until(lambda: not running(), "it ends", 10)
        self.assertTrue(self.wire.of(a.address)[-1].said.isBowOut)
        self.assertEqual(a.events(), ["down", "up", "down"])
