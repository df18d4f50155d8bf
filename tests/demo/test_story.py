"""
Tests of L{txcarp.demo.story} and L{txcarp.demo.outcome}.
"""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from txcarp.demo.display import Display
from txcarp.demo.outcome import Takeover, summary
from txcarp.demo.story import Progress, Story, StoryFailed
from txcarp.demo.timeline import Timeline
from txcarp.demo.witness import Advert
from txcarp.protocol.timing import LEAVING, Timing
from txcarp.screen.live import consoleOn, show
from txcarp.screen.output import Output
from txcarp.testbed.pinger import Gap


class FakeDaemon:
    """
    A daemon that runs until L{FakeHost.end}.
    """

    def __init__(self) -> None:
        self.ending = ""


class FakeHost:
    """
    A host without a network.
    """

    def __init__(self, name: str, group: FakeGroup, skew: int) -> None:
        self.name = name
        self.participates = False
        self.owns = False
        self.daemon: Any = None
        self.deadTime = 3 + skew / 256
        self.timing = Timing(1, skew)
        self._group = group

    def command(self) -> list[str]:
        return ["txcarp", "-u", "/some/where/up"]

    def start(self) -> None:
        self.daemon = FakeDaemon()
        self._group.clock.callLater(0.5, self._started)

    def _started(self) -> None:
        self.participates = True
        self._group.story.noticed(cast(Any, self))

    def stop(self) -> None:
        self._group.stopped(self)

    def cutPower(self) -> None:
        self.end("killed")
        self._group.died(self)

    def kill(self) -> None:
        self.end("killed by SIGKILL")
        self._group.bowOut(self)

    def breakService(self) -> None:
        self._group.bowOut(self)

    def mendService(self) -> None:
        self._group.mended.append(self.name)

    def restorePower(self) -> None:
        self._group.powered.append(self.name)

    def end(self, words: str) -> None:
        self.participates = False
        self.daemon.ending = words
        self._group.story.noticed(cast(Any, self))


class FakeWitness:
    """
    What the client sees.
    """

    def __init__(self) -> None:
        self.adverts: list[Advert] = []
        self.answering = ""

    def latest(self, host: str) -> Advert | None:
        return next((advert for advert in reversed(self.adverts) if advert.host == host), None)


class FakePinger:
    """
    A client with a prepared measurement.
    """

    gap = Gap(silence=2.5, startedAt=None, lost=1250, pending=0, sent=2000, pause=0.002)

    def gaps(self, since: float) -> Gap:
        return self.gap


class FakeGroup:
    """
    Two hosts that behave correctly, on a fake clock.

    @ivar bowsOut: Whether a stopped host sends a bow-out.
    @ivar takesOver: Whether the other host replaces a dead master.
    @ivar keepsAddress: Whether a stopped host keeps the address.
    """

    bowsOut = True
    takesOver = True
    keepsAddress = False

    def __init__(self) -> None:
        self.clock = Clock()
        self.output = StringIO()
        self.witness = FakeWitness()
        self.pinger = FakePinger()
        self.powered: list[str] = []
        self.mended: list[str] = []
        self.alpha, self.beta = FakeHost("alpha", self, 0), FakeHost("beta", self, 50)
        self.master: FakeHost | None = None
        timeline = Timeline(["alpha", "beta"], self.clock.seconds)
        self.story = Story(
            self.clock,
            cast(Any, [self.alpha, self.beta]),
            cast(Any, self.witness),
            cast(Any, self.pinger),
            timeline,
            Display(Output(self.output, "test", lambda: None), timeline),
        )

    def begin(self) -> Deferred[list[Takeover]]:
        outcome = Deferred.fromCoroutine(self.story.run())
        self.clock.callLater(3.5, self.become, self.alpha)
        return outcome

    def become(self, host: FakeHost) -> None:
        self.master = host
        host.owns = True
        self.advertise(host)
        self.witness.answering = host.name
        self.story.answered(host.name)

    def advertise(self, host: FakeHost) -> None:
        if self.master is host:
            self.see(host, host.timing)
            self.clock.callLater(host.timing.interval, self.advertise, host)

    def see(self, host: FakeHost, timing: Timing) -> None:
        advert = Advert(host.name, self.clock.seconds(), timing)
        self.witness.adverts.append(advert)
        self.story.advertised(advert)

    def died(self, host: FakeHost) -> None:
        self.master = None
        if self.takesOver:
            last = self.witness.adverts[-1].at
            other = self.beta if host is self.alpha else self.alpha
            due = last + other.deadTime + 0.001 - self.clock.seconds()
            self.clock.callLater(due, self.become, other)

    def bowOut(self, host: FakeHost) -> None:
        self.master = None
        if self.bowsOut:
            self.clock.callLater(0.001, self.see, host, LEAVING)
            other = self.beta if host is self.alpha else self.alpha
            self.clock.callLater(0.003, self.become, other)

    def stopped(self, host: FakeHost) -> None:
        self.bowOut(host)
        self.clock.callLater(0.1, self.gone, host)

    def gone(self, host: FakeHost) -> None:
        host.owns = self.keepsAddress
        host.end("exit status 0")

    def advance(self, seconds: float) -> None:
        self.clock.pump([0.001] * round(seconds * 1000))

    def labels(self) -> list[str]:
        return [line[9:20].strip() for line in self.output.getvalue().splitlines()]


class StoryTests(SynchronousTestCase):
    """
    Tests of L{Story}.
    """

    def setUp(self) -> None:
        self.group = FakeGroup()

    def fails(self, seconds: float = 120) -> str:
        outcome = self.group.begin()
        self.group.advance(seconds)
        return str(self.failureResultOf(outcome, StoryFailed).value)

    def test_order(self) -> None:
        """
        A group that works is told from the start to the planned stop.
        """
        outcome = self.group.begin()
        self.group.advance(35)
        self.successResultOf(outcome)
        self.assertEqual(
            self.group.labels(),
            [
                *("start", "start", "backup", "master", "client", "adverts"),
                *("power cut", "take-over", "silence", "start", "backup"),
                *("kill", "bow-out", "take-over", "silence", "start", "backup"),
                *("check", "bow-out", "take-over", "silence", "check"),
                *("stop", "bow-out", "take-over", "silence", "stop"),
            ],
        )

    def test_words(self) -> None:
        """
        The lines contain the measured numbers.
        """
        self.group.begin()
        self.group.advance(35)
        said = self.group.output.getvalue()
        for words in (
            "alpha: txcarp -u up",
            "4 from alpha, one every 1.000 s (at most 0.0 ms off)",
            "3.197 s after the last advert of alpha (due after 3.195 s: 1.7 ms late)",
            "nothing for 2.500 s (1250 pings lost); now beta answers",
            "the daemon of beta is killed (SIGKILL); its guard is left",
            "the guard of beta bowed out 1.0 ms after the kill",
            "alpha is master 4.0 ms after the kill",
            "alpha noticed that, and bowed out after 1 ms",
            "beta is master 2.0 ms after the bow-out",
            "beta bowed out 1.0 ms after the signal",
            "alpha is master 2.0 ms after the bow-out",
        ):
            self.assertIn(words, said)

    def test_outcome(self) -> None:
        """
        All take-overs are reported, the dead host gets its power back, and the service is mended.
        """
        outcome = self.group.begin()
        self.group.advance(35)
        found = self.successResultOf(outcome)
        self.assertEqual(
            [(one.name, round(one.delay, 2)) for one in found],
            [("power cut", 3.2), ("killed daemon", 0.0), ("failing check", 0.0),
             ("planned stop", 0.0)],
        )
        self.assertEqual((self.group.powered, self.group.mended), (["alpha"], ["alpha"]))

    def test_otherMaster(self) -> None:
        """
        Whichever host becomes master first loses power.
        """
        outcome = Deferred.fromCoroutine(self.group.story.run())
        self.group.clock.callLater(3.5, self.group.become, self.group.beta)
        self.group.advance(38)
        self.successResultOf(outcome)
        self.assertIn("beta is gone", self.group.output.getvalue())

    def test_busy(self) -> None:
        """
        A silence that may be due to the busy machine is marked as such.
        """
        self.group.pinger.gap = Gap(0.3, None, 20, 0, 2000, 0.25)
        self.group.begin()
        self.group.advance(35)
        self.assertIn("too busy to ping for 250 ms", self.group.output.getvalue())

    def test_nobodyTakesOver(self) -> None:
        """
        The story fails if no host replaces a dead master.
        """
        self.group.takesOver = False
        self.assertIn("beta did not take over within", self.fails())

    def test_noGuard(self) -> None:
        """
        The story fails if nobody bows out for a killed daemon.
        """
        self.group.bowsOut = False
        self.assertIn("the guard of beta did not bow out within", self.fails())

    def test_noBowOut(self) -> None:
        """
        The story fails if a master whose check fails, or that is stopped, does not bow out.
        """
        for words, name in (("is started again", "alpha"), ("is good again", "beta")):
            self.setUp()
            outcome = self.group.begin()
            while words not in self.group.output.getvalue():
                self.group.advance(0.01)
            self.group.bowsOut = False
            self.group.advance(60)
            error = self.failureResultOf(outcome, StoryFailed).value
            self.assertIn(f"{name} did not bow out within", str(error))

    def test_twoOwners(self) -> None:
        """
        The story fails if a stopped host keeps the address.
        """
        self.group.keepsAddress = True
        self.assertEqual(self.fails(), "beta stopped and kept the address")

    def test_daemonEnds(self) -> None:
        """
        The story fails at once if a daemon ends unexpectedly, and says how it ended.
        """
        outcome = self.group.begin()
        self.group.advance(4)
        self.group.beta.end("exit status 2")
        failure = self.failureResultOf(outcome, StoryFailed)
        self.assertEqual(str(failure.value), "the daemon of beta ended (exit status 2)")

    def test_twoMasters(self) -> None:
        """
        The story fails if the returned host advertises beside the master.
        """
        outcome = self.group.begin()
        self.group.advance(12.0)
        self.assertIn("boots", self.group.output.getvalue())
        self.group.see(self.group.alpha, Timing(1, 0))
        self.group.advance(3.0)
        self.assertIn("alpha", str(self.failureResultOf(outcome, StoryFailed).value))


class ProgressTests(SynchronousTestCase):
    """
    Tests of L{Progress}.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.progress = Progress(self.clock)
        self.met = False

    def wait(self, condition: Callable[[], object] | None = None) -> Deferred[None]:
        condition = condition or (lambda: self.met)
        return Deferred.fromCoroutine(self.progress.until(condition, 5, "it did not come"))

    def test_met(self) -> None:
        """
        Waiting ends with the change that makes the condition true, and leaves no timer.
        """
        waiting = self.wait()
        self.progress.made()
        self.assertNoResult(waiting)
        self.met = True
        self.progress.made()
        self.successResultOf(waiting)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_late(self) -> None:
        """
        Waiting fails at the limit, with the complaint.
        """
        waiting = self.wait()
        self.clock.advance(5)
        failure = self.failureResultOf(waiting, StoryFailed)
        self.assertEqual(str(failure.value), "it did not come within 5 s")
        self.progress.made()

    def test_cancelled(self) -> None:
        """
        A cancelled wait does not continue, and leaves no timer.
        """
        waiting = self.wait()
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.met = True
        self.progress.made()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class OutcomeTests(SynchronousTestCase):
    """
    Tests of L{txcarp.demo.outcome}.
    """

    def rows(self, pause: float) -> str:
        crash = Takeover("power cut", 3.1972, Gap(2.701, None, 1350, 0, 5000, 0.003))
        check = Takeover("failing check", 0.0012, Gap(0.012, None, 0, 0, 1000, 0.003))
        stop = Takeover("planned stop", 0.0041, Gap(0.064, None, 6, 0, 1000, pause))
        output = StringIO()
        show(consoleOn(Output(output, "test", lambda: None)), *summary([crash, check, stop]))
        return output.getvalue()

    def test_summary(self) -> None:
        """
        All take-overs are compared with a ucarp pair, which is not measured.
        """
        text = self.rows(pause=0.003)
        self.assertRegex(text, r"power cut +3\.197 s +2\.701 s +about 3 s")
        self.assertRegex(text, r"planned stop +4\.1 ms +64 ms +about 2 s")
        self.assertRegex(text, r"failing check +1\.2 ms +12 ms +no checks")
        self.assertIn("not measured here", text)

    def test_coarse(self) -> None:
        """
        A silence that was measured on a busy machine is an upper limit, unless the machine was
        busy only after it.
        """
        self.assertIn(" at most 64 ms ", self.rows(pause=0.05))
        self.assertNotIn("at most", self.rows(pause=0.07))

    def test_fineEnough(self) -> None:
        """
        A pause that is short compared with the silence is ignored.
        """
        self.assertFalse(Takeover("", 3.2, Gap(2.7, None, 1350, 0, 2000, 0.023)).coarse)
        self.assertTrue(Takeover("", 3.2, Gap(2.7, None, 1350, 0, 2000, 0.3)).coarse)
