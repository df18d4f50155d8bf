"""
Tests of L{txcarp.mastership.configured}, most of them through the virtual host that uses it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
from twisted.internet import reactor
from twisted.internet.defer import inlineCallbacks
from twisted.internet.process import ProcessReader
from twisted.internet.task import Clock, deferLater
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from tests.crafted import ADDRESS
from tests.fakes import Stage
from tests.mastership.table import LeaseStage
from txcarp.change import Change, Readiness, ScriptResult, StepState
from txcarp.configuration.steps import ConfiguredStep
from txcarp.interfaces import IMastershipStep
from txcarp.mastership import configured as module
from txcarp.mastership.configured import LOOK_EVERY, MISSES, SYSTEMCTL, CommandStep, UnitStep
from txcarp.mastership.scripts import GRACE, ProcessRunner
from txcarp.protocol.effects import Reason, Role
from txcarp.protocol.events import HoldReason
from txcarp.status.parts import StepStatus

HOLD, DROP, ANNOUNCE = ("hold", 2, ADDRESS), ("drop", ADDRESS), ("announce", ADDRESS)

FIRST = ConfiguredStep(
    name="first", command=["/first", "-u"], undo=["/first", "-d"], when="before-addresses"
)
LAST = ConfiguredStep(name="last", command=["/last"], undo=["/unlast"], timeout=10.0)
UNIT = ConfiguredStep(name="web", unit="haproxy.service")


def systemctl(what: str) -> tuple[str, ...]:
    """
    The journal's entry of a unit that is started or stopped.
    """
    return ("script", SYSTEMCTL, "--no-ask-password", what, "--", "haproxy.service")


LOOK = ("script", SYSTEMCTL, "is-active", "--quiet", "--", "haproxy.service")


class StepTestCase(SynchronousTestCase):
    """
    A virtual host with steps.
    """

    def master(self, *steps: ConfiguredStep, hold: bool = False, **settings: Any) -> LeaseStage:
        """
        Make a master that has announced its addresses, and not announced them again yet.

        @param hold: Whether commands end only when the test ends them, except at the start.
        """
        stage = self.stage = LeaseStage(steps=steps, **settings)
        stage.start()
        stage.scripts.hold = hold
        stage.run(3.1)
        return stage

    def took(self, *kinds: str) -> list[tuple[Any, ...]]:
        """
        What happened since the last call of this method.
        """
        kinds = kinds or ("hold", "drop", "script", "announce")
        happened = [event for event in self.stage.journal if event[0] in kinds]
        self.stage.journal.clear()
        return happened

    def yields(self) -> None:
        """
        Have the host hear a preferred master.
        """
        self.stage.deliver(advbase=1, advskew=0, source="10.99.0.1")

    def status(self, name: str) -> StepStatus:
        """
        The state of a step.
        """
        return next(one for one in self.stage.host.status().steps if one.name == name)

    def reconfigure(self, *steps: ConfiguredStep) -> None:
        """
        Change the steps.
        """
        own = self.stage.host.configuration
        self.successResultOf(self.stage.host.reconfigure(attrs.evolve(own, steps=steps)))


class OrderTests(StepTestCase):
    """
    When commands run.
    """

    def test_order(self) -> None:
        """
        A step before the addresses has begun and ended before they appear, and is undone after
        they have left.  One after them comes after their announcement, and is undone before they
        leave.
        """
        self.master(LAST, FIRST)
        self.assertEqual(
            self.took(),
            [
                *(("script", "/unlast"), DROP, ("script", "/first", "-d")),  # the start
                *(("script", "/first", "-u"), HOLD, ANNOUNCE, ("script", "/last")),
            ],
        )
        self.yields()
        self.assertEqual(
            self.took(), [("script", "/unlast"), DROP, ("script", "/first", "-d")]
        )

    def test_awaited(self) -> None:
        """
        Each command is awaited.
        """
        stage = self.master(FIRST, LAST, hold=True)
        self.assertEqual(self.took()[-1], ("script", "/first", "-u"))
        stage.scripts.end()
        self.assertEqual(self.took(), [HOLD, ANNOUNCE, ("script", "/last")])
        self.assertIs(stage.host.status().readiness, Readiness.ACQUIRING)
        stage.scripts.end()
        self.assertIs(stage.host.status().readiness, Readiness.READY)
        self.yields()
        self.assertEqual(self.took(), [("script", "/unlast")])
        stage.scripts.end()
        self.assertEqual(self.took(), [DROP, ("script", "/first", "-d")])

    def test_withScripts(self) -> None:
        """
        Where scripts add the addresses, steps come before and after these.
        """
        self.master(FIRST, LAST, assign=False, upScript="/up", downScript="/down", neutral=True)
        names = [event[1] for event in self.took("script")]
        self.assertEqual(names, ["/unlast", "/first", "/first", "/up", "/last"])

    def test_facts(self) -> None:
        """
        Commands get the facts of the change, the names of group and step, and their time limit.
        """
        stage = self.master(LAST, title="web")
        facts = stage.scripts.environments[-1]
        self.assertEqual(facts["TXCARP_STATE"], "MASTER")
        self.assertEqual(facts["TXCARP_GROUP"], "web")
        self.assertEqual(facts["TXCARP_STEP"], "last")
        self.assertEqual(stage.scripts.limits[-1], 10.0)

    def test_log(self) -> None:
        """
        The log has the path of a command and its duration, but not its arguments.
        """
        step = ConfiguredStep(name="a", command=["/x", "Geheimnis"])
        with capturedLogs() as events:
            self.master(step)
        said = [formatEvent(event) for event in events]
        self.assertIn("Step a: running /x", said)
        self.assertIn("Step a: /x ended after 0.0 s", said)
        self.assertNotIn("Geheimnis", "".join(map(str, said)))

    def test_stop(self) -> None:
        """
        A master that stops undoes its steps, and its stop waits for them.
        """
        stage = self.master(LAST, hold=True)
        stage.scripts.end()
        self.took()
        stopped = stage.host.stopService()
        stage.run(1)
        self.assertEqual(self.took(), [("script", "/unlast")])
        self.assertNoResult(stopped)
        stage.scripts.end()
        self.assertEqual(self.took(), [DROP])
        self.successResultOf(stopped)


class FailureTests(StepTestCase):
    """
    Commands that fail or hang.
    """

    def test_required(self) -> None:
        """
        A required step that fails makes the host hand over, and the hold names the step.
        """
        stage = self.master(FIRST, hold=True)
        self.took()
        stage.scripts.end(7)
        self.assertIs(stage.host.role, Role.BACKUP)
        [hold] = stage.host.status().holds
        self.assertEqual((hold.reason, hold.detail), (HoldReason.UNFIT, "step first"))
        self.assertNotIn(HOLD, self.took())  # the addresses never appeared
        stage.scripts.end()
        status = self.status("step first")
        self.assertEqual((status.state, status.text), (StepState.WAITING, ""))
        stage.run(20)
        self.assertIs(stage.host.role, Role.MASTER)

    def test_notRequired(self) -> None:
        """
        Another one is only reported.
        """
        stage = self.master(attrs.evolve(FIRST, required=False), hold=True)
        self.took()
        with capturedLogs() as events:
            stage.scripts.end(7)
        failed, ready = (formatEvent(event) or "" for event in events)
        self.assertIn("failed at its step first: /first: exit status 7", failed)
        self.assertIn("everything that belongs to this master is there, except its step", ready)
        self.assertEqual(self.took(), [HOLD, ANNOUNCE])
        status = self.status("step first")
        self.assertEqual((status.state, status.text), (StepState.FAILED, "/first: exit status 7"))
        self.assertTrue(stage.host.status().complete)
        lines = stage.host.explain().lines()
        self.assertTrue(any(line.startswith("Its step first failed 0.0 s ago") for line in lines))

    def test_hopeless(self) -> None:
        """
        A process that nothing can kill is not waited for.
        """
        stage = self.master(LAST, hold=True)
        stage.run(10 + GRACE)
        self.assertIs(stage.host.role, Role.MASTER)
        stage.run(1.1)
        self.assertIs(stage.host.role, Role.BACKUP)
        stage.scripts.running[0].callback(ScriptResult(signal="SIGKILL", timedOut=True))

    def test_turnsAround(self) -> None:
        """
        A host that is backup again meanwhile undoes what the running command did, when that has
        ended.
        """
        stage = self.master(FIRST, hold=True)
        self.yields()
        self.assertEqual(self.took()[-1], ("script", "/first", "-u"))
        self.assertIn("step first, which is still being acquired after", self.explained())
        stage.scripts.end()
        self.assertEqual(self.took(), [("script", "/first", "-d")])
        self.assertIn("still being released after 0.0 s, and may take 33 s", self.explained())

    def explained(self) -> str:
        """
        The explanation of the host.
        """
        return "\n".join(self.stage.host.explain().lines())


class UnitTests(StepTestCase):
    """
    Units of systemd.
    """

    def test_start(self) -> None:
        """
        A unit is stopped at the start, started when the addresses are there, and stopped before
        they leave.
        """
        self.master(UNIT)
        self.assertEqual(
            self.took(), [systemctl("stop"), DROP, HOLD, ANNOUNCE, systemctl("start")]
        )
        self.yields()
        self.assertEqual(self.took(), [systemctl("stop"), DROP])

    def test_others(self) -> None:
        """
        A unit that is restarted or reloaded is left alone otherwise.
        """
        for action in ("restart", "reload"):
            stage = self.master(attrs.evolve(UNIT, action=action))
            self.assertEqual(self.took(), [DROP, HOLD, ANNOUNCE, systemctl(action)])
            stage.run(LOOK_EVERY + 0.1)
            self.assertEqual(self.took("script"), [])
            self.yields()
            self.assertEqual(self.took(), [DROP])

    def look(self, *results: ScriptResult) -> None:
        """
        Have the looks at the unit end so.
        """
        for result in results:
            self.stage.run(LOOK_EVERY)
            self.assertEqual(self.took("script"), [LOOK])
            self.stage.scripts.running.pop(0).callback(result)

    def test_fails(self) -> None:
        """
        A unit that is found inactive three times in a row has failed.  No answer, and systemd's
        own restart between, are no failures.
        """
        stage = self.master(UNIT, hold=True)
        stage.scripts.end()
        self.took()
        dead, good = ScriptResult(status=3), ScriptResult(status=0)
        unknown = ScriptResult(status=1), ScriptResult(status=3, timedOut=True)
        self.look(dead, dead, good, *unknown, dead, *unknown, dead, ScriptResult(error="no fork"))
        self.assertIs(stage.host.role, Role.MASTER)
        with capturedLogs() as events:
            self.look(ScriptResult(status=4))
        self.assertIn("Step web: haproxy.service was started and is", formatEvent(events[0]))
        self.assertIs(stage.host.role, Role.BACKUP)
        [hold] = stage.host.status().holds
        self.assertEqual(hold.detail, "step web")

    def test_notRequired(self) -> None:
        """
        Another unit is only reported.
        """
        stage = self.master(attrs.evolve(UNIT, required=False), hold=True)
        stage.scripts.end()
        self.took()
        self.look(*[ScriptResult(status=3)] * MISSES)
        self.assertIs(stage.host.role, Role.MASTER)
        status = self.status("step web")
        self.assertEqual(status.state, StepState.FAILED)
        self.assertEqual(status.explain(), "failed: haproxy.service is not active any more")
        stage.run(10)
        self.assertEqual(self.took("script"), [])

    def test_lookTooLate(self) -> None:
        """
        A look that ends when the unit was stopped, or started again, means nothing.
        """
        stage = self.master(UNIT, hold=True)
        stage.scripts.end()
        self.took()
        self.look(*[ScriptResult(status=3)] * (MISSES - 1))
        stage.run(LOOK_EVERY)
        [look] = stage.scripts.running
        self.yields()
        with capturedLogs() as events:
            look.callback(ScriptResult(status=3))
        self.assertEqual(events, [])
        self.assertEqual(self.took("script"), [LOOK, systemctl("stop")])
        self.assertEqual(stage.host.status().holds, [])


    def test_startedTooLate(self) -> None:
        """
        A unit whose start ends only when this host has given it up is not looked at.
        """
        stage = self.master(attrs.evolve(UNIT, timeout=1.0), hold=True)
        start = stage.scripts.running.pop(0)
        stage.run(1.0 + GRACE + 1.0)  # as if not even SIGKILL had ended systemctl
        self.assertIs(stage.host.role, Role.BACKUP)
        self.took()
        start.callback(ScriptResult(status=0))
        stage.run(LOOK_EVERY + 0.1)
        self.assertNotIn(LOOK, self.took())


class LiveTests(StepTestCase):
    """
    Another configuration.
    """

    def test_master(self) -> None:
        """
        A master acquires a step that is new, at its place, and releases one that is gone.  The
        others, and the addresses, are not touched.
        """
        stage = self.master(FIRST, LAST)
        self.took()
        self.reconfigure(UNIT, LAST)
        self.assertEqual(self.took(), [("script", "/first", "-d"), systemctl("start")])
        self.assertIs(stage.host.role, Role.MASTER)
        names = [one.name for one in stage.host.status().steps]
        self.assertEqual(names[-3:], ["script", "step web", "step last"])
        self.assertNotIn("step first", names)
        self.yields()
        self.assertEqual(
            self.took(), [("script", "/unlast"), systemctl("stop"), DROP]
        )

    def test_backup(self) -> None:
        """
        A backup undoes a new step once, as at the start, and forgets one that is gone.
        """
        stage = self.master(FIRST)
        self.yields()
        self.took()
        self.reconfigure(UNIT)
        self.assertEqual(self.took(), [systemctl("stop")])
        self.reconfigure()
        self.assertEqual(self.took(), [])
        self.assertEqual(len(stage.host.status().steps), 4)

    def test_otherWay(self) -> None:
        """
        A step that keeps its name is undone in the new way, and runs nothing before that.
        """
        self.master(LAST)
        self.took()
        self.reconfigure(attrs.evolve(LAST, command=["/new"], undo=["/unnew"], timeout=3.0))
        self.assertEqual(self.took(), [])
        self.assertEqual(self.status("step last").limit, 3.0 + GRACE + 1.0)
        self.yields()
        self.assertEqual(self.took(), [("script", "/unnew"), DROP])

    def test_otherUnit(self) -> None:
        """
        Another unit under the same name is another step.
        """
        self.master(LAST)
        self.took()
        self.reconfigure(attrs.evolve(UNIT, name="last"))
        self.assertEqual(self.took(), [("script", "/unlast"), systemctl("start")])

    def test_newFails(self) -> None:
        """
        A new step that is required and fails makes the master hand over.
        """
        stage = self.master(LAST)
        stage.scripts.hold = True
        self.reconfigure(LAST, ConfiguredStep(name="new", command=["/new"]))
        self.assertIs(stage.host.status().readiness, Readiness.ACQUIRING)
        stage.scripts.end(1)
        self.assertIs(stage.host.role, Role.BACKUP)

    def test_whileOneRuns(self) -> None:
        """
        A step that is gone while its command runs is undone when that has ended.
        """
        stage = self.master(LAST, hold=True)
        self.took()
        self.reconfigure()
        self.assertEqual(self.took(), [])
        stage.scripts.end(1)  # it does not matter any more that it fails
        self.assertEqual(self.took(), [("script", "/unlast")])
        stage.scripts.end()
        self.assertTrue(stage.host.status().complete)

    def test_stopped(self) -> None:
        """
        A host that is stopped has no steps to show.
        """
        stage = Stage(steps=[LAST])
        self.assertEqual(stage.host.status().steps, [])


class ProcessTests(TestCase):
    """
    Steps with real processes.
    """

    timeout = 60

    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir(parents=True)
        self.stage = Stage()
        self.clock = Clock()
        self.stage.platform.scripts = ProcessRunner(reactor, self.clock)
        self.change = Change(Role.MASTER, Role.BACKUP, Reason.SILENCE, 7, "eth7", (ADDRESS,))

    @inlineCallbacks
    def tearDown(self) -> Any:
        """
        Wait until the pipes of all processes are closed.
        """
        readers = reactor.getReaders  # type: ignore[attr-defined]
        yield self.until(lambda: not any(isinstance(one, ProcessReader) for one in readers()))

    def program(self, name: str, body: str) -> str:
        """
        Write a program for the shell.
        """
        path = self.directory / name
        path.write_text(f"#!/bin/sh\n{body}")
        path.chmod(0o755)
        return str(path)

    def step(self, **settings: Any) -> CommandStep:
        return CommandStep(ConfiguredStep(name="x", **settings), None, self.stage.platform)

    @inlineCallbacks
    def until(self, condition: Callable[[], object]) -> Any:
        """
        Wait until a condition holds.
        """
        while not condition():
            yield deferLater(reactor, 0.01)  # type: ignore[arg-type]

    def test_provided(self) -> None:
        """
        Both kinds of steps implement L{IMastershipStep}.
        """
        verifyObject(IMastershipStep, self.step(undo=["/x"]))
        unit = UnitStep(UNIT, None, self.stage.platform, lambda why: None)
        verifyObject(IMastershipStep, unit)

    @inlineCallbacks
    def test_wholeGroup(self) -> Any:
        """
        A command that hangs and ignores SIGTERM is killed, and so are the processes that it
        started.
        """
        children = self.directory / "children"
        path = self.program(
            "hung",
            "trap '' TERM\n"
            f"sleep 1000 & echo $! >> {children}\n"
            f"(trap '' TERM; echo on >> {children}.ready; while :; do sleep 1; done) & "
            f"echo $! >> {children}\n"
            "while :; do sleep 0.05; done\n",
        )
        running = self.step(command=[path], timeout=5.0).acquire(self.change)
        ready = Path(f"{children}.ready")
        yield self.until(lambda: ready.exists() and len(children.read_text().split()) == 2)
        self.clock.advance(5)
        self.clock.advance(GRACE)
        with self.assertRaises(Exception) as raised:
            yield running
        self.assertEqual(
            str(raised.exception), f"{path}: killed by SIGKILL, after its time limit"
        )
        for number in children.read_text().split():
            yield self.until(lambda number=number: not runs(int(number)))
        self.clock.advance(2)

    @inlineCallbacks
    def test_obeys(self) -> Any:
        """
        When a command obeys SIGTERM, a child of it that does not is killed at once.
        """
        child = self.directory / "child"
        path = self.program(
            "obeys",
            f"(trap '' TERM; echo on > {child}.ready; while :; do sleep 1; done) & "
            f"echo $! > {child}\nwait\n",
        )
        running = self.step(command=[path], timeout=5.0).acquire(self.change)
        ready = Path(f"{child}.ready")
        yield self.until(lambda: ready.exists() and child.exists() and child.read_text())
        self.clock.advance(5)
        with self.assertRaises(Exception) as raised:
            yield running
        self.assertIn("killed by SIGTERM, after its time limit", str(raised.exception))
        yield self.until(lambda: not runs(int(child.read_text())))
        self.clock.advance(2)

    @inlineCallbacks
    def test_leftRunning(self) -> Any:
        """
        A process that a command leaves behind lives on when the command has ended in time.
        """
        child = self.directory / "child"
        path = self.program("leaves", f"sleep 1000 >/dev/null 2>&1 & echo $! > {child}\n")
        yield self.step(command=[path], timeout=5.0).acquire(self.change)
        self.clock.advance(60)
        number = int(child.read_text())
        self.assertTrue(runs(number))
        os.kill(number, signal.SIGKILL)

    @inlineCallbacks
    def test_output(self) -> Any:
        """
        What a command prints is in the log under its path, and its arguments are its own.
        """
        path = self.program("says", 'echo "$#:$1:$2:$TXCARP_STEP"; echo twice >&2\n')
        with capturedLogs() as events:
            yield self.step(command=[path, "a b", ""]).acquire(self.change)
            said = [f"{path}: 2:a b::x", f"{path}: twice"]
            yield self.until(lambda: {*said} <= {formatEvent(event) for event in events})

    @inlineCallbacks
    def test_cannotRun(self) -> Any:
        """
        What cannot be run is a failure with the words of the kernel.
        """
        plain = self.directory / "plain"
        plain.write_text("")
        for path, words in (
            (str(self.directory / "none"), "No such file or directory"),
            (str(plain), "Permission denied"),
            (str(self.directory), "Permission denied"),
        ):
            running = self.step(undo=[path]).release(self.change)
            failure = self.failureResultOf(running)
            self.assertEqual(failure.getErrorMessage(), f"{path}: {words}")
        yield None

    @inlineCallbacks
    def test_systemctl(self) -> Any:
        """
        A unit is controlled by one call of C{systemctl}, which is awaited.
        """
        calls, active = self.directory / "calls", self.directory / "active"
        path = self.program(
            "systemctl",
            f'echo "$*" >> {calls}\n'
            f"case $2 in start) touch {active};; stop) rm -f {active};; esac\n"
            f'case $1 in is-active) test -e {active} || exit 3;; esac\n',
        )
        self.patch(module, "SYSTEMCTL", path)
        lost: list[str] = []
        step = UnitStep(UNIT, None, self.stage.platform, lost.append)

        def called() -> list[str]:
            return calls.read_text().splitlines()

        yield step.acquire(self.change)
        self.assertEqual(called(), ["--no-ask-password start -- haproxy.service"])
        active.unlink()
        for number in range(MISSES):
            self.assertEqual(lost, [])
            self.stage.clock.advance(LOOK_EVERY)
            yield self.until(lambda number=number: len(called()) == number + 2)
            yield self.until(lambda: lost or self.stage.clock.getDelayedCalls())
        self.assertEqual(lost, ["haproxy.service is not active any more"])
        yield step.release(self.change)
        self.assertEqual(called()[-1], "--no-ask-password stop -- haproxy.service")


def runs(number: int) -> bool:
    """
    Whether a process runs.
    """
    try:
        stat = Path(f"/proc/{number}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(") ")[2][0] not in "ZX"
