"""
Tests for L{txcarp.state.writer}.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import succeed
from twisted.internet.task import Clock, deferLater
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase, TestCase

from txcarp.platform import LinuxPlatform
from txcarp.protocol.sealstate import SealState
from txcarp.state import store as statestore
from txcarp.state import writer as statewriter
from txcarp.state.file import StateFile
from txcarp.state.format import bootIdentity, encodeState, joinGroups
from txcarp.state.store import StateStore, inDaemonThread
from txcarp.state.writer import SeparateWriter


def pidOf(writer: SeparateWriter) -> int:
    """
    Return the process that writes.
    """
    process: subprocess.Popen[bytes] | None = vars(writer)["_process"]
    assert process is not None
    return process.pid


class SeparateWriterTests(SynchronousTestCase):
    """
    Tests for L{SeparateWriter}.
    """

    def setUp(self) -> None:
        self.path = Path(self.mktemp()).absolute() / "deep" / "state.json"
        self.writer = SeparateWriter(str(self.path))
        self.addCleanup(self.writer.close)

    def test_writes(self) -> None:
        """
        One other process replaces the file each time.  The file is for its owner alone.
        """
        for text in (b"one", b"two" * 10**6, b""):
            self.writer.write(text)
            self.assertEqual(self.path.read_bytes(), text)
            pid = pidOf(self.writer)
            self.assertNotEqual(pid, os.getpid())
        self.assertEqual(pidOf(self.writer), pid)
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)
        self.assertEqual(os.listdir(self.path.parent), ["state.json"])

    def test_small(self) -> None:
        """
        The other process imports none of this program, and little of the library.
        """
        self.writer.write(b"one")
        maps = Path(f"/proc/{pidOf(self.writer)}/statm").read_text().split()
        self.assertLess(int(maps[1]) * os.sysconf("SC_PAGE_SIZE"), 16 << 20)

    def test_error(self) -> None:
        """
        What the kernel says to the other process is raised here.
        """
        self.path.mkdir(parents=True)
        error = self.assertRaises(OSError, self.writer.write, b"one")
        self.assertEqual(error.errno, errno.EISDIR)
        self.path.rmdir()
        self.writer.write(b"two")
        self.assertEqual(self.path.read_bytes(), b"two")

    def test_signals(self) -> None:
        """
        Signals with which a service is stopped do not end the other process.  A killed one is
        replaced.
        """
        self.writer.write(b"one")
        pid = pidOf(self.writer)
        stops = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
        for number in (*stops, signal.SIGUSR1, signal.SIGUSR2):
            os.kill(pid, number)
        self.writer.write(b"two")
        self.assertEqual(pidOf(self.writer), pid)
        os.kill(pid, signal.SIGKILL)
        for text in (b"three", b"four"):
            self.writer.write(text)
            self.assertEqual(self.path.read_bytes(), text)
        self.assertNotEqual(pidOf(self.writer), pid)

    def test_cannotStart(self) -> None:
        """
        Without another process, this one writes.
        """

        def refuse(*arguments: object, **more: object) -> None:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

        self.patch(subprocess, "Popen", refuse)
        self.writer.write(b"one")
        self.assertEqual(self.path.read_bytes(), b"one")

    def test_noInterpreter(self) -> None:
        """
        A program that contains its interpreter does not start itself.
        """
        self.patch(sys, "executable", "")
        self.writer.write(b"one")
        self.assertEqual(self.path.read_bytes(), b"one")
        self.assertIsNone(vars(self.writer)["_process"])

    def test_noProgram(self) -> None:
        """
        So it does if the other process ends at once.
        """
        self.patch(statewriter, "__file__", "/nonexistent")
        self.writer.write(b"one")
        self.assertEqual(self.path.read_bytes(), b"one")

    def test_closed(self) -> None:
        """
        The other process ends when it is no longer needed, and a new one is started if it is.
        """
        self.writer.write(b"one")
        process: Any = vars(self.writer)["_process"]
        self.writer.close()
        self.assertEqual(process.wait(30), 0)
        self.writer.write(b"two")
        self.assertEqual(self.path.read_bytes(), b"two")

    def test_real(self) -> None:
        """
        The state file of a service is written in this way.
        """
        store: Any = LinuxPlatform(reactor, stateFile=str(self.path)).store
        self.assertIsInstance(store._file._writer, SeparateWriter)


_KILLED = """
import sys, time
from txcarp.state.file import StateFile
from txcarp.state.writer import SeparateWriter

file = StateFile(sys.argv[1], SeparateWriter(sys.argv[1]))
file.claim()
file.write("text")
print("saved", flush=True)
time.sleep(600)
"""

_DAEMON = """
import os, signal, sys
from functools import partial
from twisted.internet import reactor
from twisted.internet.task import deferLater
from txcarp.state import store as statestore
from txcarp.protocol.sealstate import SealState
from txcarp.state.file import StateFile
from txcarp.state.store import StateStore, inDaemonThread
from txcarp.state.writer import SeparateWriter

def hang(result):
    pid = writer._process.pid
    os.kill(pid, signal.SIGSTOP)
    print(pid, flush=True)
    store.changed("eth0:1", lambda: SealState(2), 0.0)
    reactor.callLater(statestore.SPACING + 0.5, reactor.stop)

statestore.LONGEST_WRITE = 0.2
writer = SeparateWriter(sys.argv[1])
store = StateStore(StateFile(sys.argv[1], writer), reactor, partial(inDaemonThread, reactor))
reactor.addSystemEventTrigger("before", "shutdown", store.close)
store.save("eth0:1", lambda: SealState(1)).addCallback(hang)
reactor.run()
"""


class KilledTests(SynchronousTestCase):
    """
    The daemon is killed.
    """

    def test_lived(self) -> None:
        """
        The next process knows until when it lived.
        """
        path = Path(self.mktemp()).absolute() / "state.json"
        daemon = subprocess.Popen(
            [sys.executable, "-c", _KILLED, str(path)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        self.addCleanup(daemon.communicate)
        self.addCleanup(daemon.kill)
        assert daemon.stdout is not None
        self.assertEqual(daemon.stdout.readline(), b"saved\n")
        before = time.time()
        daemon.kill()
        daemon.wait()
        lived, end = 0.0, time.monotonic() + 60.0
        while not lived and time.monotonic() < end:
            # It is noted by another process, which may come after the claim of this one.
            file = StateFile(str(path))
            file.claim()
            file.release()
            lived = file.lived
            time.sleep(0.01)
        self.assertGreater(lived, before - 0.001)
        self.assertLess(lived, time.time() + 0.001)

    def test_counts(self) -> None:
        """
        What was saved counts until then.
        """
        path = Path(self.mktemp()).absolute() / "state.json"
        lock = path.with_name(".state.json.lock")
        saved = encodeState("eth0:1", SealState(1, saved=1234.0), bootIdentity())
        StateFile(str(path), None).write(joinGroups({"eth0:1": saved}))
        for content, expected in (
            ("5\n2000.5\n", 2000.5),
            ("5\n2000.5\n1999.0\n", 2000.5),  # the note of the one before came late
            ("5\n", 1234.0),
            ("", 1234.0),
            ("5\nnan\ninf\nx\n1233\n", 1234.0),  # the state is newer
        ):
            lock.write_text(content)
            store = StateStore(StateFile(str(path)), Clock(), lambda *work: succeed(None))
            self.assertEqual(store.load("eth0:1").saved, expected, content)
            self.assertEqual(lock.read_text(), f"{os.getpid()}\n")
            self.successResultOf(store.close())

    def test_noLock(self) -> None:
        """
        Where there is no lock, nothing is noted.
        """
        path = Path(self.mktemp()).absolute() / "state.json"
        statewriter.noteEnd(str(path))
        self.assertFalse(path.parent.exists())


class HungTests(TestCase):
    """
    The disk hangs: the process that writes is stopped, as one that waits for such a disk.
    """

    def setUp(self) -> None:
        self.path = Path(self.mktemp()).absolute() / "state.json"

    def killLater(self, pid: int) -> None:
        """
        End a process after the test, if it has not ended.
        """

        def kill() -> None:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

        self.addCleanup(kill)

    def test_ends(self) -> None:
        """
        The daemon ends in time, and leaves the process that hangs behind.
        """
        daemon = subprocess.Popen(
            [sys.executable, "-c", _DAEMON, str(self.path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        self.addCleanup(daemon.communicate)
        self.addCleanup(daemon.kill)
        assert daemon.stdout is not None
        pid = int(daemon.stdout.readline())
        self.killLater(pid)
        self.assertEqual(daemon.wait(30), 0)
        self.assertIn("State:\tT", Path(f"/proc/{pid}/status").read_text())

    async def test_goesOn(self) -> None:
        """
        When the disk goes on, so does the store.
        """
        clock: Any = reactor
        self.patch(statestore, "LONGEST_WRITE", 0.2)
        writer = SeparateWriter(str(self.path))
        store = StateStore(
            StateFile(str(self.path), writer), clock, partial(inDaemonThread, clock)
        )
        self.addCleanup(store.close)
        await store.save("eth0:1", lambda: SealState(1))
        pid = pidOf(writer)
        self.killLater(pid)
        os.kill(pid, signal.SIGSTOP)
        with capturedLogs():
            await self.assertFailure(store.save("eth0:1", lambda: SealState(2)), OSError)
        os.kill(pid, signal.SIGCONT)
        with capturedLogs():
            while True:  # until the write that was under way has ended
                try:
                    await store.save("eth0:1", lambda: SealState(3))
                except OSError:
                    await deferLater(clock, 0.05, lambda: None)
                else:
                    break
        self.assertEqual(pidOf(writer), pid)
        self.assertIn('"tick": 3', self.path.read_text())
