"""
Tests for L{txcarp.checks.local}.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from txcarp.change import ScriptResult
from txcarp.checks.health import HealthCheck
from txcarp.checks.local import (
    _AT_ONCE,
    CommandCheck,
    FileCheck,
    InterfaceCheck,
    ProcessCheck,
)
from txcarp.checks.runner import Runner
from txcarp.checks.tcp import CheckFailed
from txcarp.checks.verdict import Outcome, Verdict
from txcarp.interfaces import ICheck
from txcarp.testing import Segment


class LocalTestCase(SynchronousTestCase):
    """
    A host.
    """

    def setUp(self) -> None:
        self.segment = Segment()
        self.host = self.segment.host("10.1.1.1")

    def begin(self, check: Any) -> Deferred[Any]:
        """
        Run a check.
        """
        verifyObject(ICheck, check)
        return maybeDeferred(check.run, self.host, 1.0)

    def said(self, check: Any) -> object:
        """
        What a good check says.
        """
        running = self.begin(check)
        while self.segment.clock.getDelayedCalls():
            self.segment.advance(0)
        return self.successResultOf(running)

    def why(self, check: Any) -> str:
        """
        What a bad check says.
        """
        running = self.begin(check)
        while self.segment.clock.getDelayedCalls():
            self.segment.advance(0)
        return self.failureResultOf(running).getErrorMessage()


class ProcessTests(LocalTestCase):
    """
    Tests for L{ProcessCheck}.
    """

    def test_name(self) -> None:
        """
        A process is found by its name, of which the kernel keeps 15 bytes.  One that has ended is
        not, even if its parent has not noticed.
        """
        name = f"long) name {os.getpid()}"
        program = Path(self.mktemp())
        program.mkdir()
        program = (program / name).absolute()
        program.symlink_to("/bin/sleep" if os.path.exists("/bin/sleep") else "/usr/bin/sleep")
        check = ProcessCheck(name)
        self.assertEqual(self.why(check), f"no process {name} runs")
        process = subprocess.Popen([program, "60"])
        try:
            self.assertEqual(self.said(check), f"process {process.pid}")
            self.assertEqual(self.said(ProcessCheck(name[:15])), f"process {process.pid}")
        finally:
            process.kill()
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        self.assertEqual(self.why(check), f"no process {name} runs")
        process.wait()

    def test_file(self) -> None:
        """
        A process is found by the number in its file.
        """
        path = self.mktemp()
        check = ProcessCheck(pidFile=path)
        self.assertIn("No such file", self.why(check))
        for text, good in ((f"{os.getpid()}\n", True), ("", False), ("x", False), ("-1", False)):
            Path(path).write_text(text)
            if good:
                self.assertEqual(self.said(check), f"process {os.getpid()}")
            else:
                self.assertIn("does not begin with the number of a process", self.why(check))
        process = subprocess.Popen([sys.executable, "-c", ""])
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        Path(path).write_text(str(process.pid))
        self.assertIn("does not run", self.why(check))
        process.wait()
        self.assertIn("does not run", self.why(check))

    def test_turns(self) -> None:
        """
        The reactor gets its turn while many processes are looked at.
        """
        many = [str(number) for number in range(10**8, 10**8 + 3 * _AT_ONCE)]
        self.patch(os, "listdir", lambda path: many)
        delays = []
        later = self.host.clock.callLater

        def callLater(delay: float, *call: Any) -> Any:
            delays.append(delay)
            return later(delay, *call)

        self.patch(self.host.clock, "callLater", callLater)
        running = self.begin(ProcessCheck("x"))
        self.assertNoResult(running)
        self.segment.advance(0)
        self.assertEqual(delays, [0, 0, 0])
        self.failureResultOf(running, CheckFailed)

    def test_either(self) -> None:
        """
        A process has a name or a file.
        """
        self.assertRaises(ValueError, ProcessCheck)
        self.assertRaises(ValueError, ProcessCheck, "a", "b")


class FileTests(LocalTestCase):
    """
    Tests for L{FileCheck}.
    """

    def test_file(self) -> None:
        """
        A file must exist, and not be too old.
        """
        path = self.mktemp()
        self.assertIn("No such file", self.why(FileCheck(path)))
        Path(path).touch()
        now = self.host.wallSeconds()
        for age, limit, good in ((99, None, True), (9, 10.0, True), (11, 10.0, False)):
            os.utime(path, (now - age, now - age))
            check = FileCheck(path, limit)
            if good:
                self.assertEqual(self.said(check), f"written {age} s ago")
            else:
                self.assertEqual(self.why(check), f"{path} was written 11 s ago, more than 10 s")
        os.utime(path, (now + 100, now + 100))
        self.assertEqual(self.said(FileCheck(path, 1.0)), "written 0 s ago")


class InterfaceTests(LocalTestCase):
    """
    Tests for L{InterfaceCheck}.
    """

    def test_interface(self) -> None:
        """
        An interface must be up and have a carrier.
        """
        check = InterfaceCheck("eth0")
        self.assertEqual(self.said(check), "eth0 is up")
        self.host.plug(False)
        self.assertEqual(self.why(check), "eth0 is without carrier")
        self.host.links.change("eth0", up=False)
        self.assertEqual(self.why(check), "eth0 is down")
        self.assertEqual(self.why(InterfaceCheck("eth9")), "there is no interface eth9")
        self.assertRaises(ValueError, InterfaceCheck, "a/b")


class CommandTests(LocalTestCase):
    """
    Tests for L{CommandCheck}.
    """

    def test_status(self) -> None:
        """
        A command is good if it ends with status 0.
        """
        self.assertEqual(self.said(CommandCheck(["/bin/check", "a b"])), "exit status 0")
        self.assertEqual(self.host.journal, [("script", "/bin/check", "a b")])
        self.assertEqual(self.host.scripts.limits, [1.0])
        self.host.scripts.hold = True
        for result, text in (
            (ScriptResult(status=3), "exit status 3"),
            (ScriptResult(signal="SIGKILL"), "killed by SIGKILL"),
            (ScriptResult(error="No such file or directory"), "No such file or directory"),
        ):
            running = self.begin(CommandCheck(["/bin/check"]))
            self.host.scripts.running.pop(0).callback(result)
            self.assertEqual(self.failureResultOf(running).getErrorMessage(), text)

    def test_hangs(self) -> None:
        """
        A command that ignores its end has one process, however long that lasts.
        """
        self.host.scripts.hold = True
        settings = HealthCheck("x", CommandCheck(["/bin/check"]), timeout=0.5)
        runner = Runner(settings, self.host, Verdict(), lambda runner: None)
        runner.start()
        self.segment.advance(10)
        self.assertEqual(len(self.host.scripts.running), 1)
        self.assertIs(runner.outcome, Outcome.TIMEOUT)
        self.host.scripts.end()
        self.segment.advance(1)
        self.assertEqual(len(self.host.scripts.running), 1)
        runner.stop()

    def test_wrong(self) -> None:
        """
        A command begins with an absolute path.
        """
        for command in ([], ["check"], ["/bin/x", 5], ["/bin/x\0"]):
            self.assertRaises(ValueError, CommandCheck, command)
