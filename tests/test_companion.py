"""
Tests for L{txcarp.companion}.
"""

from __future__ import annotations

import os
import subprocess
import sys

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from txcarp import companion

_USER = """
import os, subprocess
from txcarp import companion
from txcarp.daemon import capabilities

def capable():
    words = subprocess.run(["/bin/cat", "/proc/self/status"], capture_output=True).stdout.decode()
    return int(words.partition("CapEff:")[2].split()[0], 16)

capabilities.keep()
os.setresuid(65534, 65534, 65534)
capabilities.restrict()
before = capable()
with companion.lending((12, 23, 31)) as lent:
    within = capable()
print(before, lent, within, capable())
"""


class LendingTests(SynchronousTestCase):
    """
    Tests for L{companion.lending}.
    """

    def test_user(self) -> None:
        """
        A program has the capabilities that are lent to it, as far as this process has them, and
        the next one has none.
        """
        if os.geteuid() != 0:
            raise SkipTest("only root can become another user")
        python = [sys.executable, "-c", _USER]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        run = subprocess.run(python, capture_output=True, env=environment, text=True, check=True)
        both = 1 << 12 | 1 << 23
        self.assertEqual(run.stdout.split(), ["0", str(both), str(both), "0"])

    def test_root(self) -> None:
        """
        Nothing is lent to programs that have everything.
        """
        if os.geteuid() != 0:
            raise SkipTest("needs root")
        with companion.lending((12,)) as lent:
            self.assertEqual(lent, 0)
