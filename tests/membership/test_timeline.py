"""
Tests for L{txcarp.membership.timeline}: who was master when.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests import crafted
from tests.fakes import INTERFACE, MemoryFile, Stage
from txcarp.membership.timeline import SEAMLESS
from txcarp.protocol.effects import Reason
from txcarp.protocol.events import HoldReason
from txcarp.protocol.periods import Period, Who
from txcarp.protocol.sealstate import PERIODS, SealState
from txcarp.state.format import decodeState, encodeState

#: When the clock of the tests begins, in seconds since 1970.
_START = 1.8e9

_THIRD = "10.99.0.3"


def told(stage: Stage) -> list[tuple[float, str, str]]:
    """
    When each period of a host began, who was master then, and why it began.
    """
    return [
        (round(one.begin - _START, 3), one.label, one.reason) for one in stage.host.periods()
    ]


class TimelineTests(SynchronousTestCase):
    """
    A host notes who is master.
    """

    def setUp(self) -> None:
        self.stage = Stage(neutral=True)
        self.stage.start()

    def hear(self, seconds: int, **fields: object) -> None:
        """
        Hear a master each second.
        """
        for _ in range(seconds):
            self.stage.deliver(**fields)
            self.stage.run(1.0)

    def test_silence(self) -> None:
        """
        After a master that fell silent there is a gap, from its last advertisement to the moment
        when this host took over.
        """
        self.stage.run(0.5)
        self.hear(10)
        self.stage.run(2.0)
        self.assertEqual(
            told(self.stage),
            [
                (0.0, "unknown", "started"),
                (0.5, crafted.PEER, "unknown"),
                (9.5, "nobody", "silent"),
                (12.5, "this host", "silence"),
            ],
        )
        self.assertEqual(self.stage.host.status().vacant, 3.0)
        self.assertEqual(
            [one.explain() for one in self.stage.host.periods()][2:],
            ["the master fell silent", "no advertisement within the dead time"],
        )

    def test_preferred(self) -> None:
        """
        A master that yields knows its successor at once.
        """
        self.stage.run(4.0)
        self.stage.host.demote("test", 100)
        self.stage.deliver()
        self.assertEqual(
            told(self.stage)[1:],
            [(3.0, "this host", "silence"), (4.0, crafted.PEER, "preferred_master")],
        )

    def test_bowOut(self) -> None:
        """
        A successor that follows a bow-out at once leaves no gap, because the old master answers
        until then; one that comes later does.
        """
        for pause, gap in ((SEAMLESS / 2, []), (0.3, [(0.0, "nobody", "bow-out")])):
            self.setUp()
            self.hear(3)
            self.stage.host.drain()  # otherwise it takes over
            self.stage.deliver(advbase=255, advskew=255)
            left = self.stage.clock.seconds()
            self.stage.run(pause)
            self.stage.deliver(source=_THIRD)
            found = [(round(when - left, 3), *more) for when, *more in told(self.stage)][2:]
            self.assertEqual(found, [*gap, (round(pause, 3), _THIRD, "unknown")])
            self.assertAlmostEqual(self.stage.host.status().vacant, pause if gap else 0.0)

    def test_twoMasters(self) -> None:
        """
        Two masters that do not hear each other are one period, until one of them is silent.
        """
        self.stage.becomeMaster()
        begin = self.stage.clock.seconds()
        self.hear(20, advskew=254)
        self.assertEqual(told(self.stage)[-1], (begin, f"this host and {crafted.PEER}", "rival"))
        self.stage.run(30.0)
        self.assertEqual(told(self.stage)[-1], (begin + 19, "this host", "rival-silent"))

    def test_noLink(self) -> None:
        """
        Who is master is unknown while this host cannot hear the others.
        """
        self.hear(2)
        self.stage.links.change(INTERFACE, up=False)
        self.assertEqual(told(self.stage)[-1][1:], ("unknown", "no_link"))
        self.stage.links.change(INTERFACE)
        self.stage.deliver()
        self.assertEqual(told(self.stage)[-1][1:], (crafted.PEER, "unknown"))

    def test_bounded(self) -> None:
        """
        The number of periods is limited.
        """
        for number in range(PERIODS):
            self.hear(2, source=f"10.99.1.{number}")
            self.hear(2, source=f"10.99.2.{number}")
        self.assertEqual(len(told(self.stage)), PERIODS)

    def test_words(self) -> None:
        """
        Each word has a phrase.
        """
        for reason in (*Reason, *HoldReason):
            self.assertTrue(Period(0.0, Who.OWN, "", reason.name.lower()).explain())
        self.assertEqual(Period(0.0, Who.UNKNOWN, "", "made-up").explain(), "")


class RestartTests(SynchronousTestCase):
    """
    The periods outlive the process.
    """

    def test_stopped(self) -> None:
        """
        After a restart, the periods of the process before are there.
        """
        disk = MemoryFile()
        first = Stage(disk=disk, neutral=True)
        first.becomeMaster()
        first.run(10.0)
        first.host.stopService()
        first.run(1.0)
        before = told(first)
        self.assertEqual([who for _, who, _ in before][1:], ["this host", "unknown"])
        second = Stage(disk=disk, neutral=True)
        second.clock.advance(60.0)
        second.start()
        self.assertEqual(told(second), before)
        second.run(5.0)
        self.assertEqual(told(second)[-1][1], "this host")

    def test_damaged(self) -> None:
        """
        Periods that cannot be read, as from a later version, do not cost the rest of the state.
        """
        past = (Period(1.0, Who.OWN, "", "silence"), Period(2.0, Who.OTHER, "10.99.0.9", "x"))
        state = SealState(tick=5, periods=past, saved=3.0)
        line = encodeState("eth0:7", state, "boot")
        self.assertEqual(decodeState(line, "boot"), state)
        for before, after in (
            ("OWN", "LATER"),
            ("10.99.0.9", "nowhere"),
            ("[1.0, ", "[null, "),
            ('"periods": [', '"periods": [7, '),
            ('"saved": 3.0', '"saved": NaN'),
        ):
            self.assertIn(before, line)
            found = decodeState(line.replace(before, after), "boot")
            self.assertEqual((found.tick, found.periods), (5, ()))

    def test_killed(self) -> None:
        """
        What a process that was killed saved last is the end of what is known.
        """
        disk = MemoryFile()
        first = Stage(disk=disk, neutral=True)
        first.becomeMaster()
        first.run(20.0)
        saved = told(first)
        second = Stage(disk=disk, neutral=True)
        second.clock.advance(100.0)
        second.start()
        *before, (when, who, reason) = told(second)
        self.assertEqual((before, who, reason), (saved, "unknown", "not-running"))
        self.assertTrue(0 < when <= 20.0)
