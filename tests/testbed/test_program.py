"""
Tests for L{txcarp.testbed.program}.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from io import BytesIO
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.testbed.fixture import makeTestbed
from txcarp.testbed.program import _TIED, Program


class ProgramTests(SynchronousTestCase):
    """
    Tests for what L{Program} keeps of its process.
    """

    def setUp(self) -> None:
        self.notes: list[str] = []
        self.log = BytesIO()
        self.program = Program("ours", notify=self.notes.append, log=self.log, kept=12)

    def test_lines(self) -> None:
        """
        A line is told when it is whole, everything is written to the log, and the last
        lines are kept.
        """
        self.program.childDataReceived(1, b"one\ntw")
        self.assertEqual(self.notes, ["one"])
        self.program.childDataReceived(1, b"o\n" + b"more\n" * 100)
        self.assertEqual(self.notes[1], "two")
        self.assertTrue(self.log.getvalue().startswith(b"one\ntwo\nmore\n"))
        self.assertEqual([line for _, line in self.program.lines], ["more"] * 12)

    def test_all(self) -> None:
        """
        By default all lines are kept.
        """
        program = Program("ours")
        program.childDataReceived(1, b"more\n" * 100)
        self.assertEqual(len(program.lines), 100)

    def test_descriptors(self) -> None:
        """
        Output and errors are not mixed within a line.
        """
        self.program.childDataReceived(1, b"out")
        self.program.childDataReceived(2, b"err\n")
        self.program.childDataReceived(1, b"put\n")
        self.assertEqual(self.notes, ["err", "output"])

    def test_endlessLine(self) -> None:
        """
        The memory for a line without an end is limited.
        """
        for _ in range(100):
            self.program.childDataReceived(1, b"x" * 1000)
        self.program.childDataReceived(1, b"\n")
        self.assertLess(len(self.notes[0]), 10000)

    def test_ending(self) -> None:
        """
        The ending is known as numbers and in words, and the rest of a line is kept.
        """
        for reason, status, number, words in (
            (ProcessDone(0), 0, None, "exit status 0"),
            (ProcessTerminated(exitCode=2), 2, None, "exit status 2"),
            (ProcessTerminated(signal=signal.SIGKILL), None, signal.SIGKILL, "killed by SIGKILL"),
        ):
            log = BytesIO()
            program = Program("ours", notify=self.notes.append, log=log)
            program.childDataReceived(2, b"rest")
            self.assertEqual(program.ending, "")
            program.processEnded(Failure(reason))
            self.successResultOf(program.exit)
            self.assertTrue(program.ended)
            self.assertEqual((program.status, program.killedBy), (status, number))
            self.assertEqual(program.ending, words)
            self.assertEqual(self.notes[-2:], ["rest", ""])
            self.assertTrue(log.closed)


class ProcessTests(TestCase):
    """
    Tests with real processes.
    """

    async def test_run(self) -> None:
        """
        A process runs on its node until a signal ends it.
        """
        node = makeTestbed(self).node("a", "10.99.0.1/24")
        for tied in (False, True):
            program = Program("cat")
            program.start(reactor, node, ["/bin/cat"], Path("state"), tied=tied)
            program.signal(signal.SIGCONT)
            with node.inside():
                self.assertEqual(
                    os.stat(f"/proc/{program.pid}/ns/net"), os.stat("/proc/thread-self/ns/net")
                )
            program.signal(signal.SIGTERM)
            await program.exit
            self.assertEqual(program.killedBy, signal.SIGTERM)
            program.signal(signal.SIGTERM)  # nothing happens
            self.assertRaises(ProcessLookupError, getattr, program, "pid")


class TiedTests(SynchronousTestCase):
    """
    Tests for the program that ties a process to its parent.
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
        It becomes the program in its arguments.
        """
        self.assertEqual(self.run_(os.getpid()).stdout, "here\n")

    def test_orphan(self) -> None:
        """
        If the parent has died already, nothing is run.
        """
        done = self.run_(1 if os.getpid() != 1 else 2)
        self.assertEqual((done.stdout, done.returncode), ("", 1))
