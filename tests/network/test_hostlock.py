"""
Tests for L{txcarp.network.hostlock}, with processes that hold the lock.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SkipTest, SynchronousTestCase

import txcarp
from txcarp.network import hostlock
from txcarp.network.hostlock import AlreadyRunning, HostLock, awaitPredecessor, holder

_ROOT = str(Path(txcarp.__file__).parent.parent)

#: Becomes another user if it is told to, takes the lock, and marks it as it is told.
_HOLDER = """
import ctypes, os, sys
from txcarp.network.hostlock import HostLock
libc = ctypes.CDLL(None)
if "capable" in sys.argv:
    libc.prctl(8, 1, 0, 0, 0)  # PR_SET_KEEPCAPS
if sys.argv[2:]:
    os.setuid(65534)
if "namespace" in sys.argv:
    libc.unshare(0x10000000)  # CLONE_NEWUSER
lock = HostLock(sys.argv[1], 7)
print("held", flush=True)
for line in sys.stdin:
    lock.markLeaving(line == "leaving\\n")
    print("marked", flush=True)
"""


class HostLockTests(SynchronousTestCase):
    """
    One virtual host in several processes.
    """

    def setUp(self) -> None:
        # Tests that run at the same time are in the same network namespace.
        self.interface = f"test{os.getpid()}"

    def lock(self, interface: str | None = None, vhid: int = 7) -> HostLock:
        """
        Take a lock in this process.
        """
        lock = HostLock(interface or self.interface, vhid)
        self.addCleanup(lock.release)
        return lock

    def holder(self, *user: str) -> subprocess.Popen[str]:
        """
        Have another process take the lock.

        @param user: What else is known of a user other than root.
        """
        process = subprocess.Popen(
            [sys.executable, "-c", _HOLDER, self.interface, *user],
            env={**os.environ, "PYTHONPATH": _ROOT},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

        def end() -> None:
            process.kill()
            process.communicate()

        self.addCleanup(end)
        self.hear(process, "held")
        return process

    def hear(self, process: subprocess.Popen[str], line: str) -> None:
        """
        Wait until a holder writes a line.
        """
        assert process.stdout is not None
        self.assertEqual(process.stdout.readline(), f"{line}\n")

    def tell(self, process: subprocess.Popen[str], line: str) -> None:
        """
        Have a holder mark the lock, or not.
        """
        assert process.stdin is not None
        process.stdin.write(f"{line}\n")
        process.stdin.flush()
        self.hear(process, "marked")

    def test_asked(self) -> None:
        """
        Anybody can ask for the process that holds the lock.
        """
        self.assertIsNone(holder(self.interface, 7))
        self.lock()
        self.assertEqual(holder(self.interface, 7), os.getpid())
        self.assertIsNone(holder(self.interface, 8))

    def test_thisProcess(self) -> None:
        """
        A second lock in one process is the caller's error.  Others are independent.
        """
        first = self.lock()
        self.assertRaises(ValueError, self.lock)
        self.lock(vhid=8)
        self.lock(f"{self.interface}.1")
        first.release()
        self.lock()

    def test_otherProcess(self) -> None:
        """
        The error names the process that holds the lock, and the virtual host.
        """
        holder = self.holder()
        for take in (self.lock, lambda: awaitPredecessor(self.interface, 7)):
            error = self.assertRaises(AlreadyRunning, take)
            self.assertEqual(error.pid, holder.pid)
            self.assertEqual(
                error.strerror,
                f"virtual host 7 on {self.interface} already runs on this host, in process "
                f"{holder.pid}: stop that one first, or give this one another vhid",
            )

    def test_killed(self) -> None:
        """
        Nothing is left of the lock of a process that was killed.
        """
        holder = self.holder()
        holder.kill()
        holder.wait()
        awaitPredecessor(self.interface, 7)
        self.lock()

    def test_manyAsked(self) -> None:
        """
        A holder that was asked too often cannot be named any more, and still holds the lock.
        """
        self.patch(hostlock, "_BACKLOG", 1)
        self.lock()
        self.patch(os, "getpid", lambda: 1)
        errors = [self.assertRaises(AlreadyRunning, self.lock) for _ in range(4)]
        self.assertEqual(errors[-1].pid, 0)
        self.assertIn("a process that is not visible from here", str(errors[-1]))

    def test_leaving(self) -> None:
        """
        A process that is leaving is waited for, until it ends or does not leave any more.
        """
        holder = self.holder()
        self.tell(holder, "leaving")
        timer = threading.Timer(0.3, holder.kill)
        timer.start()
        self.addCleanup(timer.join)
        began = time.monotonic()
        awaitPredecessor(self.interface, 7)
        self.assertGreater(time.monotonic() - began, 0.2)
        self.lock()

    def test_staying(self) -> None:
        """
        The wait has a limit, and there is none for a process that takes part again.
        """
        holder = self.holder()
        self.tell(holder, "leaving")
        error = self.assertRaises(AlreadyRunning, awaitPredecessor, self.interface, 7, 0.2)
        self.assertEqual(error.pid, holder.pid)
        self.tell(holder, "staying")
        self.assertRaises(AlreadyRunning, awaitPredecessor, self.interface, 7, 60.0)

    def test_otherUser(self) -> None:
        """
        A process of another user holds the lock if it may open raw sockets.  One that may not
        only keeps a name: it is named, and keeps nobody from starting.
        """
        if os.geteuid() != 0:
            raise SkipTest("needs root")
        holder = self.holder("capable")
        self.assertEqual(self.assertRaises(AlreadyRunning, self.lock).pid, holder.pid)
        holder.kill()
        holder.wait()
        for user in ("nobody", "namespace"):
            holder = self.holder(user)
            with capturedLogs() as events:
                awaitPredecessor(self.interface, 7)
                self.lock()
            [warning] = map(formatEvent, events)
            self.assertIn(f"Process {holder.pid} of user 65534 keeps the name", warning or "")
            holder.kill()
            holder.wait()
