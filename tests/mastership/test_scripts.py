"""
Tests of L{txcarp.mastership.scripts}.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.process import ProcessReader
from twisted.internet.task import Clock, deferLater
from twisted.logger import LogEvent, LogLevel, capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from tests.fakes import FakeScripts, Journal, configured
from txcarp.change import Change, ScriptResult
from txcarp.interfaces import IMastershipStep, IScriptRunner
from txcarp.mastership.scripts import GRACE, ProcessRunner, ScriptFailed, ScriptStep
from txcarp.protocol.effects import Reason, Role


def texts(events: list[LogEvent]) -> list[str]:
    """
    The texts of logged events.
    """
    return [formatEvent(event) or "" for event in events]


class FakeProcess:
    """
    The transport of a process that does not exist.
    """

    def __init__(self) -> None:
        self.signals: list[str] = []
        self.gone = False
        self.closed: list[str] = []

    def closeStdin(self) -> None:
        self.closed.append("stdin")

    def loseConnection(self) -> None:
        self.closed.append("all")

    def signalProcess(self, name: str) -> None:
        if self.gone:
            raise ProcessExitedAlready
        self.signals.append(name)


class FakeReactor:
    """
    A reactor that starts no processes.
    """

    def __init__(self) -> None:
        self.error: OSError | None = None
        self.spawned: list[tuple[str, list[str], dict[str, str]]] = []
        self.process = FakeProcess()

    def spawnProcess(
        self, protocol: Any, executable: str, args: list[str], env: dict[str, str]
    ) -> None:
        if self.error is not None:
            raise self.error
        self.spawned.append((executable, args, env))
        self.protocol = protocol
        protocol.makeConnection(self.process)


class RunnerTests(SynchronousTestCase):
    """
    Tests of L{ProcessRunner} without processes.
    """

    def setUp(self) -> None:
        """
        Start a script with a time limit of 10 seconds.
        """
        self.clock = Clock()
        self.reactor = FakeReactor()
        self.runner = ProcessRunner(self.reactor, self.clock)  # type: ignore[arg-type]
        self.ended = self.run_(10.0)

    def run_(self, timeLimit: float | None) -> Deferred[ScriptResult]:
        return self.runner.run("dir/up.sh", ["eth0", ""], {"TXCARP_VHID": "7"}, timeLimit)

    def end(self, status: int | None = 0, number: int | None = None) -> ScriptResult:
        """
        End the process.
        """
        good = status == 0 and number is None
        reason: Exception = ProcessDone(0) if good else ProcessTerminated(status, number)
        self.reactor.process.gone = True
        self.reactor.protocol.processExited(Failure(reason))
        return self.successResultOf(self.ended)

    def test_provided(self) -> None:
        """
        L{ProcessRunner} is a script runner.
        """
        verifyObject(IScriptRunner, self.runner)

    def test_started(self) -> None:
        """
        The script gets its path as it was given, all arguments including an empty one, the
        environment of this process with the additions, and a closed standard input.
        """
        [(executable, args, environment)] = self.reactor.spawned
        self.assertEqual(executable, os.path.abspath("dir/up.sh"))
        self.assertEqual(args, ["dir/up.sh", "eth0", ""])
        self.assertEqual(environment, {**os.environ, "TXCARP_VHID": "7"})
        self.assertEqual(self.reactor.process.closed, ["stdin"])

    def test_ends(self) -> None:
        """
        The script ends when its process ends.
        """
        self.assertNoResult(self.ended)
        self.assertEqual(self.end(), ScriptResult(status=0))
        self.clock.advance(100)
        self.assertEqual(self.reactor.process.signals, [])

    def test_leftBehind(self) -> None:
        """
        The output of a process that the script left running is logged for one more second,
        and then dropped.  The pipes stay open, so that SIGPIPE does not kill the process.
        """
        self.end()
        with capturedLogs() as events:
            self.reactor.protocol.childDataReceived(1, b"ready\nto ser")
            self.clock.advance(1)
            self.reactor.protocol.childDataReceived(1, b"ve\n" * 1000)
            self.clock.advance(1e6)
            self.reactor.protocol.childDataReceived(2, b"bye\n")
            self.reactor.protocol.processEnded(Failure(ProcessDone(0)))
        self.assertEqual(texts(events), ["dir/up.sh: ready", "dir/up.sh: to ser"])
        self.assertEqual(self.reactor.process.closed, ["stdin"])

    def test_directory(self) -> None:
        """
        A relative path is relative to the directory in which the runner was made, because a
        daemon changes its directory.
        """
        self.addCleanup(os.chdir, os.getcwd())
        made = os.getcwd()
        os.chdir("/")
        self.run_(None)
        self.assertEqual(self.reactor.spawned[1][0], f"{made}/dir/up.sh")

    def test_fails(self) -> None:
        """
        A result has either an exit status or a signal.
        """
        self.assertEqual(self.end(3), ScriptResult(status=3))
        self.ended = self.run_(None)
        self.assertEqual(self.end(None, signal.SIGSEGV), ScriptResult(signal="SIGSEGV"))

    def test_timeLimit(self) -> None:
        """
        After its time limit, the script gets SIGTERM, and after the grace SIGKILL.
        """
        with capturedLogs() as events:
            self.clock.advance(10)
        self.assertEqual(self.reactor.process.signals, ["TERM"])
        self.assertEqual(
            texts(events),
            ["dir/up.sh did not end within 10.0 s: sending SIGTERM, and SIGKILL in 2.0 s"],
        )
        self.clock.advance(GRACE)
        self.assertEqual(self.reactor.process.signals, ["TERM", "KILL"])
        self.assertEqual(
            self.end(None, signal.SIGKILL), ScriptResult(signal="SIGKILL", timedOut=True)
        )

    def test_obeys(self) -> None:
        """
        A script that ends on SIGTERM does not get SIGKILL.
        """
        self.clock.advance(10)
        result = self.end(0)
        self.assertTrue(result.timedOut)
        self.assertFalse(result.good)
        self.clock.advance(100)
        self.assertEqual(self.reactor.process.signals, ["TERM"])

    def test_noLimit(self) -> None:
        """
        Without a time limit, the script is never ended.
        """
        self.end()
        self.reactor.process = FakeProcess()
        self.ended = self.run_(None)
        self.clock.advance(1e6)
        self.assertEqual(self.reactor.process.signals, [])

    def test_goneMeanwhile(self) -> None:
        """
        Ending a process that has just ended is no error.
        """
        self.reactor.process.gone = True
        self.clock.advance(10)
        self.clock.advance(GRACE)
        self.end(1)

    def test_cannotStart(self) -> None:
        """
        If the process cannot be started, the result says so.
        """
        self.reactor.error = OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        result = self.successResultOf(self.run_(None))
        self.assertEqual(result.error, "Resource temporarily unavailable")
        self.assertFalse(result.good)

    def test_output(self) -> None:
        """
        Each line of output is logged, in whatever pieces it arrives.  Bytes that are no
        text are shown as numbers.
        """
        with capturedLogs() as events:
            self.reactor.protocol.childDataReceived(1, b"one\nt")
            self.reactor.protocol.childDataReceived(2, b"error\r\n")
            self.reactor.protocol.childDataReceived(1, b"wo\n\xff{}\n")
            self.reactor.protocol.childDataReceived(1, b"rest")
            self.reactor.protocol.processEnded(Failure(ProcessDone(0)))
        self.assertEqual(
            texts(events),
            [f"dir/up.sh: {line}" for line in ("one", "error", "two", "\\xff{}", "rest")],
        )

    def test_muchOutput(self) -> None:
        """
        Very many lines and very long lines are cut, and the rest is not kept.
        """
        with capturedLogs() as events:
            self.reactor.protocol.childDataReceived(1, b"x" * 10_000_000)
            self.reactor.protocol.childDataReceived(1, b"y" * 600 + b"\n")
            for _ in range(500):
                self.reactor.protocol.childDataReceived(2, b"again\n" * 10)
            self.reactor.protocol.processEnded(Failure(ProcessDone(0)))
        lines = texts(events)
        self.assertEqual(len(lines), 101)
        self.assertLessEqual(max(map(len, lines)), 520)
        self.assertEqual(lines[-1], "dir/up.sh: 4901 more lines were not logged")


class ResultTests(SynchronousTestCase):
    """
    Tests of L{ScriptResult}.
    """

    def test_explain(self) -> None:
        """
        Each kind of end is explained in words.
        """
        for result, words in (
            (ScriptResult(status=0), "exit status 0"),
            (ScriptResult(status=3), "exit status 3"),
            (ScriptResult(signal="SIGKILL"), "killed by SIGKILL"),
            (ScriptResult(status=0, timedOut=True), "exit status 0, after its time limit"),
            (ScriptResult(error="Exec format error"), "Exec format error"),
        ):
            self.assertEqual(result.explain(), words)
            self.assertEqual(result.good, words == "exit status 0")


def changed(role: Role, reason: Reason) -> Change:
    """
    A change that runs a script.
    """
    return Change(
        role=role,
        previous=Role.BACKUP if role is Role.MASTER else Role.MASTER,
        reason=reason,
        vhid=7,
        interface="eth0",
        addresses=("10.0.0.1", "10.0.0.2"),
        peer="10.0.0.9",
    )


class StepTests(SynchronousTestCase):
    """
    Tests of L{ScriptStep}.
    """

    def step(self, **settings: Any) -> ScriptStep:
        """
        Make a step with a new runner.
        """
        self.journal = Journal()
        self.scripts = FakeScripts(self.journal)
        whole = {"upScript": "/up", "downScript": "/down", "shutdown": True, **settings}
        return ScriptStep(self.scripts, configured(**whole))

    def test_provided(self) -> None:
        """
        L{ScriptStep} is a step without a time limit of its own.
        """
        step = self.step()
        verifyObject(IMastershipStep, step)
        self.assertIsNone(step.timeLimit)

    def test_arguments(self) -> None:
        """
        The arguments are the interface, the first address, and the parameter if there is
        one, even if it is empty.
        """
        for parameter, rest in ((None, ()), ("", ("",)), ("a b", ("a b",))):
            step = self.step(parameter=parameter)
            step.acquire(changed(Role.MASTER, Reason.SILENCE))
            step.release(changed(Role.BACKUP, Reason.LINK_LOST))
            self.assertEqual(
                self.journal,
                [
                    ("script", "/up", "eth0", "10.0.0.1", *rest),
                    ("script", "/down", "eth0", "10.0.0.1", *rest),
                ],
            )

    def test_environment(self) -> None:
        """
        The environment has the facts of the change.
        """
        self.step(scriptTimeout=4.0).acquire(changed(Role.MASTER, Reason.PREEMPTION))
        self.assertEqual(self.scripts.limits, [4.0])
        self.assertEqual(
            self.scripts.environments,
            [
                {
                    "TXCARP_STATE": "MASTER",
                    "TXCARP_PREVIOUS_STATE": "BACKUP",
                    "TXCARP_VHID": "7",
                    "TXCARP_INTERFACE": "eth0",
                    "TXCARP_ADDRESSES": "10.0.0.1 10.0.0.2",
                    "TXCARP_REASON": "preemption",
                    "TXCARP_PEER": "10.0.0.9",
                }
            ],
        )

    def test_title(self) -> None:
        """
        Scripts get the name that the group has in the configuration file.
        """
        self.step(title="web").acquire(changed(Role.MASTER, Reason.SILENCE))
        [environment] = self.scripts.environments
        self.assertEqual(environment["TXCARP_GROUP"], "web")

    def test_reasons(self) -> None:
        """
        Scripts and programs know a reason by a token that stays the same.
        """
        tokens = (
            *("started", "silence", "vanished", "preemption", "bow_out", "slow_master"),
            *("demoted_master", "claimed", "no_successor", "preferred_master", "link_lost"),
            *("not_ready", "resigned", "drained", "unfit", "check", "sync", "side_silent"),
            *("paused", "stopped"),
        )
        self.assertEqual(tuple(reason.token for reason in Reason), tokens)
        step = self.step()
        for reason in Reason:
            step.acquire(changed(Role.MASTER, reason))
        reasons = [environment["TXCARP_REASON"] for environment in self.scripts.environments]
        self.assertEqual(tuple(reasons), tokens)

    def test_noScripts(self) -> None:
        """
        A script that is not given does not run.  An empty name counts as not given.
        """
        for nothing in (None, ""):
            step = self.step(upScript=nothing, downScript=nothing)
            self.assertIsNone(step.acquire(changed(Role.MASTER, Reason.SILENCE)))
            self.assertIsNone(step.release(changed(Role.BACKUP, Reason.STARTED)))
            self.assertEqual(self.journal, [])

    def test_leftOut(self) -> None:
        """
        The settings leave out the down script at the start and at the stop, and nowhere
        else.
        """
        step = self.step(neutral=True, shutdown=False)
        for reason in Reason:
            self.journal.clear()
            step.release(changed(Role.BACKUP, reason))
            expected = reason not in (Reason.STARTED, Reason.STOPPED)
            self.assertEqual(bool(self.journal), expected, reason)
        step = self.step()
        for reason in Reason:
            self.journal.clear()
            step.release(changed(Role.BACKUP, reason))
            self.assertTrue(self.journal, reason)

    def test_log(self) -> None:
        """
        The command is logged in ucarp's words, and its success is logged as well.
        """
        step = self.step(parameter="x")
        with capturedLogs() as events:
            self.successResultOf(step.acquire(changed(Role.MASTER, Reason.SILENCE)))
        self.assertEqual(
            texts(events),
            ["Spawning [/up eth0 10.0.0.1 x]", "/up eth0 10.0.0.1 x: exit status 0"],
        )
        self.assertIs(events[0]["log_level"], LogLevel.warn)

    def test_failure(self) -> None:
        """
        The step fails if the script fails.
        """
        step = self.step()
        self.scripts.hold = True
        running = step.acquire(changed(Role.MASTER, Reason.SILENCE))
        self.scripts.end(3)
        failure = self.failureResultOf(running, ScriptFailed)
        self.assertEqual(failure.getErrorMessage(), "/up eth0 10.0.0.1: exit status 3")


class ProcessTests(TestCase):
    """
    Tests of L{ProcessRunner} and L{ScriptStep} with real processes.
    """

    timeout = 60

    def setUp(self) -> None:
        """
        Make a directory for scripts, and a clock that only the test moves.
        """
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir(parents=True)
        self.clock = Clock()
        self.runner = ProcessRunner(reactor, self.clock)  # type: ignore[arg-type]

    def script(self, body: str, *, head: str = "#!/bin/sh\n", mode: int = 0o755) -> str:
        """
        Write a script.
        """
        path = self.directory / "script"
        path.write_text(head + body, encoding="utf-8")
        path.chmod(mode)
        return str(path)

    @inlineCallbacks
    def until(self, condition: Callable[[], object]) -> Any:
        """
        Wait until a condition holds.
        """
        while not condition():
            yield deferLater(reactor, 0.01)  # type: ignore[arg-type]

    @inlineCallbacks
    def ended(self, running: Deferred[ScriptResult]) -> Any:
        """
        Wait for the end of a script and of its pipes.
        """
        result = yield running
        self.clock.advance(2)
        yield deferLater(reactor, 0.05)  # type: ignore[arg-type]
        return result

    @inlineCallbacks
    def test_arguments(self) -> Any:
        """
        A script gets exactly its arguments and environment.  Its output is logged.
        """
        path = self.script(
            'echo "$#|$0|$1|$2|$3|$TXCARP_STATE|$HOME"; cat; echo wrong >&2; exit 4\n'
        )
        with capturedLogs() as events:
            result = yield self.ended(
                self.runner.run(path, ["eth0", "10.0.0.1", ""], {"TXCARP_STATE": "MASTER"}, None)
            )
        self.assertEqual(result, ScriptResult(status=4))
        home = os.environ.get("HOME", "")
        self.assertEqual(
            sorted(texts(events)),
            sorted([f"{path}: 3|{path}|eth0|10.0.0.1||MASTER|{home}", f"{path}: wrong"]),
        )

    @inlineCallbacks
    def test_cannotBeRun(self) -> Any:
        """
        A file that is missing, not executable or no program fails, with its name and the
        reason.
        """
        for make, why in (
            (lambda: str(self.directory / "missing"), "No such file or directory"),
            (lambda: self.script("", mode=0o644), "Permission denied"),
            (lambda: self.script("echo hello\n", head=""), "Exec format error"),
            (lambda: str(self.directory), "Permission denied"),
        ):
            path = make()
            result = yield self.ended(self.runner.run(path, ["eth0"], {}, None))
            self.assertFalse(result.good)
            self.assertIn(why, result.explain())

    @inlineCallbacks
    def test_hung(self) -> Any:
        """
        A script that hangs and ignores SIGTERM is killed.
        """
        path = self.script("trap '' TERM\necho ready\nwhile :; do sleep 0.05; done\n")
        with capturedLogs() as events:
            running = self.runner.run(path, [], {}, 30.0)
            yield self.until(lambda: f"{path}: ready" in texts(events))
            self.clock.advance(30)
            yield deferLater(reactor, 0.2)  # type: ignore[arg-type]
            self.assertNoResult(running)
            self.clock.advance(GRACE)
            result = yield self.ended(running)
        self.assertEqual(result, ScriptResult(signal="SIGKILL", timedOut=True))
        yield deferLater(reactor, 0.1)  # type: ignore[arg-type]

    @inlineCallbacks
    def test_background(self) -> Any:
        """
        A process that the script leaves running with its output open does not delay the end
        of the script.
        """
        path = self.script("sleep 30 & echo $! ; exit 0\n")
        with capturedLogs() as events:
            running = self.runner.run(path, [], {}, None)
            # If this waited for the sleep, the test would time out.
            result = yield running
            yield self.until(lambda: texts(events))
        self.assertTrue(result.good)
        self.clock.advance(2)
        yield deferLater(reactor, 0.05)  # type: ignore[arg-type]
        os.kill(int(texts(events)[0].rpartition(" ")[2]), signal.SIGKILL)
        yield self.until(lambda: not any(self.readsPipes()))

    @inlineCallbacks
    def test_daemonInBackground(self) -> Any:
        """
        A process that the script leaves running lives on, whatever it writes.
        """
        signs = self.directory / "signs"
        path = self.script(
            f"(while :; do echo words; echo alive >> {signs}; sleep 0.01; done) & echo $!\n"
        )
        with capturedLogs() as events:
            yield self.runner.run(path, [], {}, None)
            yield self.until(lambda: texts(events))
            self.clock.advance(2)

        def size() -> int:
            return signs.stat().st_size if signs.exists() else 0

        before = size()
        yield self.until(lambda: size() > before + 1000)
        pid = next(text for text in texts(events) if not text.endswith("words"))
        os.kill(int(pid.rpartition(" ")[2]), signal.SIGKILL)
        yield self.until(lambda: not any(self.readsPipes()))

    def readsPipes(self) -> list[bool]:
        """
        Whether the reactor reads the pipes of processes.
        """
        readers = reactor.getReaders()  # type: ignore[attr-defined]
        return [isinstance(reader, ProcessReader) for reader in readers]

    @inlineCallbacks
    def test_signals(self) -> Any:
        """
        A script has the default action for each signal.
        """
        path = self.script("kill -TERM $$\n")
        result = yield self.ended(self.runner.run(path, [], {}, None))
        self.assertEqual(result, ScriptResult(signal="SIGTERM"))
