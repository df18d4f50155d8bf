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
