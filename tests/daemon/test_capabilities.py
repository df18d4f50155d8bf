"""
Tests for L{txcarp.daemon.capabilities}, in processes of their own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

import txcarp
from txcarp.daemon import capabilities

_ROOT = str(Path(txcarp.__file__).parent.parent)

#: Changes its user, with or without keeping its capabilities, and prints those that it has and
#: those of a program that it starts.
_PROCESS = """
import os, subprocess, sys
from txcarp.daemon import capabilities
keeps = sys.argv[1] == "keep"
if keeps:
    capabilities.keep()
os.setuid(65534)
if keeps:
    capabilities.restrict()
def show(path):
    for line in open(path):
        if line.startswith(("CapPrm", "CapEff")):
            print(line.split()[1])
show("/proc/self/status")
subprocess.run(["grep", "-E", "CapEff|CapPrm", "/proc/self/status"])
"""


class KeepTests(SynchronousTestCase):
    """
    Tests for L{capabilities.keep} and L{capabilities.restrict}.
    """

    def found(self, how: str) -> list[int]:
        """
        The permitted and the effective capabilities of the process, and of its child.
        """
        if os.geteuid():
            raise SkipTest("only root can become another user")
        done = subprocess.run(
            [sys.executable, "-c", _PROCESS, how],
            env={**os.environ, "PYTHONPATH": _ROOT},
            capture_output=True,
            text=True,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return [int(line.split()[-1], 16) for line in done.stdout.splitlines()]

    def test_kept(self) -> None:
        """
        Of the capabilities of root, those that txcarp uses remain, and its children get none.
        """
        with open("/proc/self/status") as status:
            [mine] = [int(one.split()[1], 16) for one in status if one.startswith("CapPrm")]
        wanted = mine & sum(1 << one for one in capabilities.USED)
        self.assertTrue(wanted >> capabilities.NET_RAW & 1)
        self.assertEqual(sorted(self.found("keep")), [0, 0, wanted, wanted])

    def test_notKept(self) -> None:
        """
        Without that, none remains.
        """
        self.assertEqual(self.found("drop"), [0, 0, 0, 0])

    def test_refused(self) -> None:
        """
        What the kernel refuses is an error.
        """
        self.assertRaises(OSError, capabilities._check, -1)
