"""
Tests for L{txcarp.daemon.scheduling}, in processes of their own.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

import txcarp

_ROOT = str(Path(txcarp.__file__).parent.parent)

#: The user ID of nobody.
_NOBODY = 65534

#: Becomes a user and then locks its memory; prints whether it did, how much is locked, and
#: whether it gets more memory than the limit.
_PROCESS = """
import os, resource, sys, threading
from txcarp.daemon.scheduling import lockMemory
user, limit = map(int, sys.argv[1:])
try:
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (limit, limit))
except ValueError:
    sys.exit("77")  # this root may not raise limits
os.setuid(user)
locked = lockMemory()
large = bytearray(max(limit, 0) + 2**24)
thread = threading.Thread(target=lambda: None)
thread.start()
thread.join()
[line] = [line for line in open("/proc/self/status") if line.startswith("VmLck")]
print(locked, int(line.split()[1]) > 0, resource.getrlimit(resource.RLIMIT_MEMLOCK)[0])
"""


class MemoryTests(SynchronousTestCase):
    """
    Tests for L{lockMemory}.
    """

    def locked(self, user: int, limit: int) -> bool | None:
        """
        Whether a process of a user with a limit locks its memory; C{None} if no process here can
        have this limit.
        """
        done = subprocess.run(
            [sys.executable, "-c", _PROCESS, str(user), str(limit)],
            env={**os.environ, "PYTHONPATH": _ROOT},
            capture_output=True,
            text=True,
        )
        if done.stderr == "77\n":
            return None
        self.assertEqual(done.returncode, 0, done.stderr)
        locked, isLocked, after = done.stdout.split()
        self.assertEqual((isLocked, int(after)), (locked, limit))
        return locked == "True"

    def test_limited(self) -> None:
        """
        A process that a limit applies to locks nothing, and gets all the memory that it needs.
        The limit may even be higher than what the process has at first.
        """
        user = os.geteuid() or _NOBODY
        for limit in (0, 2**16, 2**22):
            self.assertIs(self.locked(user, limit), False, limit)
        self.assertIsNot(self.locked(user, 2**30), True)

    def test_unlimited(self) -> None:
        """
        Root, and a process without a limit, lock their memory.
        """
        if os.geteuid() != 0:
            raise SkipTest("needs root")
        self.assertIs(self.locked(0, 2**16), True)
        self.assertIsNot(self.locked(_NOBODY, resource.RLIM_INFINITY), False)


#: Becomes a real-time process, and prints its policy, that of a child and what it may use; then it
#: is busy until it is an ordinary process.
_REALTIME = """
import os, resource, subprocess, sys
from twisted.internet import reactor
from twisted.logger import globalLogPublisher
from txcarp.daemon.scheduling import runFirst, runRealtime
globalLogPublisher.addObserver(lambda event: print(event["log_format"]))
if len(sys.argv) > 1:
    resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0))
    os.setuid(int(sys.argv[1]))
runFirst()
print(runRealtime(), os.sched_getscheduler(0) & 7, resource.getrlimit(resource.RLIMIT_RTTIME))
sys.stdout.flush()
child = subprocess.run(["cat", "/proc/self/stat"], capture_output=True, text=True).stdout
print(child.rpartition(") ")[2].split()[38], flush=True)  # proc(5), field 41
while os.sched_getscheduler(0) & 7 == os.SCHED_FIFO:
    pass
"""


class RealtimeTests(SynchronousTestCase):
    """
    Tests for L{runRealtime}.
    """

    def run_(self, *arguments: str) -> list[str]:
        """
        The lines of a process.
        """
        return subprocess.run(
            [sys.executable, "-c", _REALTIME, *arguments],
            env={**os.environ, "PYTHONPATH": _ROOT},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=120,
        ).stdout.splitlines()

    def test_allowed(self) -> None:
        """
        Root becomes a real-time process, its children do not, and when it is busy for too long it
        becomes an ordinary process, and says so.
        """
        if os.geteuid() != 0:
            raise SkipTest("needs root")
        first, child, *rest = self.run_()
        if first.startswith("False"):  # this root may not
            self.assertTrue(first.startswith(f"False {os.SCHED_OTHER} "), first)
            self.assertEqual(rest, [])
        else:
            self.assertEqual(first, f"True {os.SCHED_FIFO} (1000000, 3000000)")
            [line] = rest
            self.assertIn("no longer runs before all", line)
        self.assertEqual(child, str(os.SCHED_OTHER))

    def test_refused(self) -> None:
        """
        A user who may not stays ordinary.
        """
        if os.geteuid() != 0:
            raise SkipTest("needs root")
        first, child = self.run_(str(_NOBODY))
        self.assertTrue(first.startswith(f"False {os.SCHED_OTHER} "), first)
        self.assertEqual(child, str(os.SCHED_OTHER))


class ThreadTests(SynchronousTestCase):
    """
    Threads beside the reactor.
    """

    def test_giveWay(self) -> None:
        """
        A thread that reads a large file gives way to the reactor in less time than an
        advertisement may be late.
        """
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                "import sys\nfrom txcarp.daemon.scheduling import runFirst\nrunFirst()\n"
                "print(sys.getswitchinterval())",
            ],
            env={**os.environ, "PYTHONPATH": _ROOT},
            capture_output=True,
            text=True,
            check=True,
        )
        self.assertLess(float(done.stdout), 0.002)
