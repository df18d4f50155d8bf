"""
Tests of L{txcarp.demo.hosts}.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from io import BytesIO
from pathlib import Path

from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from txcarp.demo.hosts import _TIED, Daemon, writePassword


class PasswordTests(SynchronousTestCase):
    """
    Tests of L{writePassword}.
    """

    def test_password(self) -> None:
        """
        The password is the first line of a file that only its owner can read.
        """
        # A path that a shell would take apart.
        directory = Path(self.mktemp()) / "it's here"
        directory.mkdir(parents=True)
        path = writePassword(directory, b"secret")
        self.assertEqual(path.read_bytes(), b"secret\n")
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)


class DaemonTests(SynchronousTestCase):
    """
    Tests of L{Daemon}.
    """

    def setUp(self) -> None:
        self.said: list[str] = []
        self.log = BytesIO()
        self.daemon = Daemon(self.log, self.said.append)

    def test_lines(self) -> None:
        """
        Complete lines are passed on, everything is written to the log, and the last lines are
        kept.
        """
        self.daemon.childDataReceived(1, b"one\ntw")
        self.assertEqual(self.said, ["one"])
        self.daemon.childDataReceived(2, b"o\n" + b"more\n" * 100)
        self.assertEqual(self.said[1], "two")
        self.assertTrue(self.log.getvalue().startswith(b"one\ntwo\nmore\n"))
        self.assertLess(len(self.daemon.lines), 20)

    def test_endlessLine(self) -> None:
        """
        A line that never ends uses a limited amount of memory.
        """
        for _ in range(100):
            self.daemon.childDataReceived(1, b"x" * 1000)
        self.daemon.childDataReceived(1, b"\n")
        self.assertLess(len(self.said[0]), 10000)

    def test_ending(self) -> None:
        """
        The way in which it ended is described in words.
        """
        for reason, words in (
            (ProcessDone(0), "exit status 0"),
            (ProcessTerminated(exitCode=2), "exit status 2"),
            (ProcessTerminated(signal=signal.SIGKILL), "killed by SIGKILL"),
        ):
            daemon = Daemon(BytesIO(), self.said.append)
            daemon.processEnded(Failure(reason))
            self.assertEqual(self.successResultOf(daemon.ended), words)
            self.assertEqual(daemon.ending, words)


class TiedTests(SynchronousTestCase):
    """
    Tests of the program that ties a daemon to the demonstration.
    """

    def run_(self, parent: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-ISc", _TIED, str(parent), "/bin/echo", "here"],
            capture_output=True,
            text=True,
            check=False,
        )

    def test_runs(self) -> None:
        """
        The program in the arguments replaces the process.
        """
        self.assertEqual(self.run_(os.getpid()).stdout, "here\n")

    def test_orphan(self) -> None:
        """
        If the demonstration has already died, the program is not run.
        """
        done = self.run_(1 if os.getpid() != 1 else 2)
        self.assertEqual((done.stdout, done.returncode), ("", 1))
