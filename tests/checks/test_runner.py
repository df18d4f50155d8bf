"""
Tests for L{txcarp.checks.runner} and L{txcarp.checks.probes}.
"""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.checks.scripted import Scripted
from txcarp.change import Runs
from txcarp.checks.health import HealthCheck
from txcarp.checks.probes import AT_ONCE, LONGEST_TEXT
from txcarp.checks.runner import Runner, beginning
from txcarp.checks.tcp import TCPCheck
from txcarp.checks.verdict import Health, Outcome
from txcarp.interfaces import ICheck, IPlatform
from txcarp.testing import Segment


class RunnerTestCase(SynchronousTestCase):
    """
    A host without a program.
    """

    def setUp(self) -> None:
        self.segment = Segment()
        self.host = self.segment.host("10.1.1.1")
        self.changes: list[tuple[float, str]] = []

    def runner(self, check: Any, *, isAdded: bool = False, **settings: Any) -> Runner:
        """
        Start a check.
        """
        whole = HealthCheck("test", check, **settings)
        runner = Runner(whole, self.host, beginning(whole, isAdded), self.changed)
        runner.start()
        self.addCleanup(runner.stop)
        return runner

    def changed(self, runner: Runner) -> None:
        """
        Note a change.
        """
        self.changes.append((self.segment.clock.seconds(), runner.verdict.health.value))


class ResultTests(RunnerTestCase):
    """
    What a run can return.
    """

    def test_results(self) -> None:
        """
        A run passes with a text or without, at once or later, and fails by an exception or
        C{False}.
        """
        clock = self.segment.clock

        async def later() -> str:
            await deferLater(clock, 0.1, lambda: None)
            return "later"

        for result, outcome, text in (
            (None, Outcome.PASSED, "passed"),
            (True, Outcome.PASSED, "passed"),
            ("3 ms", Outcome.PASSED, "3 ms"),
            (False, Outcome.FAILED, "failed"),
            (ValueError("no way"), Outcome.FAILED, "no way"),
            (ZeroDivisionError(), Outcome.FAILED, "ZeroDivisionError"),
            (ValueError("a\nb\x1b[1m"), Outcome.FAILED, "a b [1m"),
            (later(), Outcome.PASSED, "later"),
        ):
            runner = self.runner(Scripted(result), interval=100.0)
            self.segment.advance(2)
            self.assertEqual((runner.outcome, runner.text), (outcome, text))
        runner = self.runner(Scripted("x" * 5000))
        self.segment.advance(2)
        self.assertEqual(len(runner.text), LONGEST_TEXT)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_hysteresis(self) -> None:
        """
        Each change of the state is reported once.
        """
        check = Scripted()
        runner = self.runner(check, rise=2, fall=3)
        self.segment.advance(5)
        check.result = OSError("refused")
        self.segment.advance(5)
        check.result = None
        self.segment.advance(5)
        self.assertEqual([state for _, state in self.changes], ["good", "bad", "good"])
        self.assertEqual(runner.since, self.changes[-1][0])
        self.assertEqual(self.changes[1][0], check.runs[7])
        self.assertEqual(self.changes[2][0], check.runs[11])
        self.assertEqual((runner.runs.number, runner.runs.failures), (len(check.runs), 5))
        self.assertEqual((runner.runs.seconds, runner.runs.last), (0.0, 0.0))

    def test_added(self) -> None:
        """
        A check that is added to a working host is good until it has failed often enough.
        """
        self.runner(Scripted(OSError("refused")), isAdded=True)
        self.segment.advance(2)
        self.assertEqual(self.changes, [])
        self.segment.advance(2)
        self.assertEqual([state for _, state in self.changes], ["bad"])


class HangingTests(RunnerTestCase):
    """
    A check that does not end.
    """

    def test_timeout(self) -> None:
        """
        A run that hangs is cancelled, and counts once, as a timeout.
        """
        cancelled: list[object] = []
        check = Scripted()
        check.result = Deferred(cancelled.append)
        runner = self.runner(check, interval=10.0, timeout=2.0)
        self.segment.advance(check.runs[0] + 1.9 if check.runs else 1)
        self.assertEqual(runner.outcome, None)
        self.segment.advance(3)
        self.assertEqual(cancelled, [check.result])
        self.assertIs(runner.outcome, Outcome.TIMEOUT)
        self.assertEqual(runner.text, "timeout: no result within 2 s")
        self.assertEqual(runner.runs, Runs(1, 1, 2.0, 2.0))
        self.assertEqual([state for _, state in self.changes], ["bad"])

    def test_everyInterval(self) -> None:
        """
        A check whose timeout is its interval runs at each interval, although it hangs.
        """
        check = Scripted(lambda: Deferred())
        self.runner(check, interval=1.0, timeout=1.0, fall=3, initial=Health.GOOD)
        self.segment.advance(4.5)
        self.assertEqual(len(check.runs), 4 + (check.runs[0] < 0.5))
        self.assertAlmostEqual(self.changes[0][0], check.runs[0] + 3)

    def test_oneAtATime(self) -> None:
        """
        A check whose runs last longer than the interval has one run at a time.
        """
        check = Scripted()

        def begin(platform: IPlatform, timeout: float) -> Any:
            Scripted.run(check, platform, timeout)
            return deferLater(self.segment.clock, 2.5, lambda: None)

        check.run = begin  # type: ignore[assignment]
        self.runner(check, interval=1.0, timeout=5.0)
        self.segment.advance(9.4)
        self.assertEqual(len(check.runs), 3)
        self.assertEqual([state for _, state in self.changes], ["good"])

    def test_uncancellable(self) -> None:
        """
        A run that goes on although it was cancelled fails again at each interval, and no other
        run begins.
        """

        class Stubborn(Deferred[None]):
            def cancel(self) -> None:
                pass

        check = Scripted(Stubborn())
        runner = self.runner(check, interval=1.0, timeout=0.5, fall=3, initial=Health.GOOD)
        self.segment.advance(5)
        self.assertEqual(len(check.runs), 1)
        self.assertIs(runner.verdict.health, Health.BAD)
        self.assertIn("goes on", runner.text)
        check.result.callback(None)  # type: ignore[attr-defined]
        check.result = None
        self.segment.advance(3)
        self.assertIs(runner.verdict.health, Health.GOOD)

    def test_paused(self) -> None:
        """
        A timeout that this host caused by not running does not count.  The next one does.
        """
        self.patch(self.host, "random", lambda bits: 2**bits // 2)
        check = Scripted(Deferred())
        runner = self.runner(check, timeout=2.0, interval=10.0, initial=Health.GOOD, fall=1)
        self.segment.advance(1)
        self.host.asleep = 100.0
        self.segment.advance(3)
        self.assertEqual((check.runs, runner.outcome), ([0.5], None))
        check.result = Deferred()
        self.segment.advance(2)
        self.host.asleep = 200.0
        self.segment.advance(2)
        self.assertEqual((check.runs, runner.outcome), ([0.5, 5.0], Outcome.TIMEOUT))

    def test_stopped(self) -> None:
        """
        A check that is stopped cancels its run, and reports nothing more.
        """
        cancelled: list[object] = []
        check = Scripted(Deferred(cancelled.append))
        runner = self.runner(check, timeout=5.0)
        self.segment.advance(1)
        runner.stop()
        self.assertEqual(len(cancelled), 1)
        self.assertEqual((self.changes, runner.next), ([], None))
        self.assertEqual(self.segment.clock.getDelayedCalls(), [])


class SpreadTests(RunnerTestCase):
    """
    The times of many checks.
    """

    def test_thousand(self) -> None:
        """
        The runs of a thousand checks are spread over the interval, and the first ones over a
        second.
        """
        self.host.clock = self.segment.clock
        self.patch(self.host, "random", Random(1).getrandbits)
        for interval in (0.5, 1.0, 10.0):
            checks = [Scripted() for _ in range(1000)]
            begin = self.segment.clock.seconds()
            runners = [self.runner(check, interval=interval) for check in checks]
            self.segment.advance(3 * interval)
            first = min(interval, 1.0)
            self.assertTrue(all(check.runs[0] - begin <= first for check in checks))
            self.assertTrue(all(2 <= len(check.runs) <= 4 for check in checks), interval)
            # In a hundredth of a second there are ten at the beginning, on average.
            times = Counter(int(100 * run) for check in checks for run in check.runs)
            expected = 1000 / (100 * first)
            self.assertLess(max(times.values()), 3 * expected + 5)
            for runner in runners:
                runner.stop()

    def test_interval(self) -> None:
        """
        Apart from the first one, the runs are an interval apart.
        """
        check = Scripted()
        runner = self.runner(check, interval=10.0)
        self.segment.advance(45)
        gaps = [later - earlier for earlier, later in zip(check.runs, check.runs[1:], strict=False)]
        self.assertTrue(0 <= gaps[0] <= 10, gaps)
        self.assertEqual({round(gap, 6) for gap in gaps[1:]}, {10.0})
        assert runner.next is not None
        self.assertAlmostEqual(runner.next, check.runs[-1] + 10)


class SharedTests(RunnerTestCase):
    """
    Several groups that have the same check.
    """

    def test_once(self) -> None:
        """
        Equal checks with the same interval and timeout are run once, and each group has its own
        state.
        """
        check = Scripted(OSError("refused"))
        quick = self.runner(check, fall=1, initial=Health.GOOD)
        slow = self.runner(check, fall=3, initial=Health.GOOD)
        self.segment.advance(1.5)
        self.assertEqual(len(check.runs), 1)
        self.assertEqual((quick.verdict.health, slow.verdict.health), (Health.BAD, Health.GOOD))
        self.assertEqual((quick.text, slow.text), ("refused", "refused"))
        self.assertEqual(quick.next, slow.next)
        quick.stop()
        self.segment.advance(2)
        self.assertEqual(len(check.runs), 3)
        self.assertIs(slow.verdict.health, Health.BAD)
        slow.stop()
        self.segment.advance(5)
        self.assertEqual(len(check.runs), 3)
        self.assertEqual(slow.next, None)

    def test_notOnce(self) -> None:
        """
        Checks that differ, or whose times do, have runs of their own; so do those without a hash.
        """
        for _ in range(2):
            self.runner(TCPCheck("127.0.0.1:1"), timeout=0.5)
        self.runner(TCPCheck("127.0.0.1:1"), timeout=0.6)
        self.runner(TCPCheck("127.0.0.1:2"), timeout=0.5)
        self.assertEqual(len(self.host.probes._probes), 3)
        check = Unhashable()
        for _ in range(2):
            self.runner(check)
        self.assertEqual(len(self.host.probes._probes), 5)
        self.doCleanups()
        self.assertEqual(self.host.probes._probes, {})

    def test_late(self) -> None:
        """
        A group that comes later has its first result soon, although the interval is long.
        """
        check = Scripted()
        self.runner(check, interval=600.0)
        self.segment.advance(700)
        runs = len(check.runs)
        late = self.runner(check, interval=600.0)
        self.segment.advance(1)
        self.assertEqual(len(check.runs), runs + 1)
        self.assertIs(late.verdict.health, Health.GOOD)
        self.segment.advance(1200)
        self.assertEqual(len(check.runs), runs + 3)

    def test_stopped(self) -> None:
        """
        A run that several groups wait for goes on until the last of them has left.
        """
        cancelled: list[object] = []
        check = Scripted(Deferred(cancelled.append))
        several = [self.runner(check, timeout=60) for _ in range(2)]
        self.segment.advance(1)
        several[0].stop()
        self.assertEqual(cancelled, [])
        several[1].stop()
        self.assertEqual(len(cancelled), 1)

    def test_burst(self) -> None:
        """
        If many groups change at once, the reactor has its turns in between.  A group that left
        meanwhile is not told, and one that fails does not keep the others from it.
        """
        check = Scripted()
        many = [self.runner(check) for _ in range(3 * AT_ONCE)]
        self.changes.clear()
        many[0]._changed = Scripted(ValueError("x")).run  # type: ignore[assignment]
        turns: list[int] = []
        later = self.host.clock.callLater

        def callLater(delay: float, *call: Any) -> Any:
            if delay == 0:
                turns.append(len(self.changes))
                many[-1].stop()
            return later(delay, *call)

        self.patch(self.host.clock, "callLater", callLater)
        self.segment.advance(1)
        self.assertEqual(turns, [AT_ONCE - 1, 2 * AT_ONCE - 1])
        self.assertEqual(len(self.changes), 3 * AT_ONCE - 2)
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)


@implementer(ICheck)
class Unhashable:
    """
    A check without a hash.
    """

    __hash__ = None  # type: ignore[assignment]

    def run(self, platform: IPlatform, timeout: float) -> None:
        """
        It works.
        """
