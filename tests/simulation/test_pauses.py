"""
Simulated groups whose hosts do not run for a while.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from tests.simulation.segment import LATENCY, Computer, Segment
from txcarp.protocol.effects import Reason, Role


def nap(segment: Segment, computer: Computer, seconds: float) -> None:
    """
    Keep a computer from running for some seconds.
    """
    computer.freeze()
    segment.run(seconds)
    computer.thaw()


class BusyMasterTests(SynchronousTestCase):
    """
    A master without an advbase on a busy host, whose beats are late by several intervals.
    """

    def test_nobodyElse(self) -> None:
        """
        No pause that is shorter than the dead time of the backup changes the master, however
        often it happens.
        """
        for dialect, advskew, other in (
            ("ucarp", 2, 100),
            ("ucarp", 9, 100),
            ("openbsd", 0, 30),
            ("openbsd", 2, 30),
        ):
            segment = Segment()
            master = segment.add("10.99.0.1", advbase=0, advskew=advskew, dialect=dialect)
            master.start()
            segment.run(1)
            backup = segment.add("10.99.0.2", advbase=0, advskew=other, dialect=dialect)
            backup.start()
            for pause in range(100):
                segment.run(0.3)
                nap(segment, master, 0.012 + pause / 400)
            self.assertEqual(segment.masters(), [master], (dialect, advskew))
            self.assertEqual(len(segment.reigns), 1, (dialect, advskew))

    def test_replaced(self) -> None:
        """
        A master that was replaced while it did not run hears that before it does anything.  If
        the other host is preferred, it stays master; otherwise it yields at once.
        """
        for other, winner in ((15, 1), (30, 0)):
            segment = Segment()
            hosts = [
                segment.add(f"10.99.0.{number}", advbase=0, advskew=advskew, dialect="openbsd")
                for number, advskew in ((1, 20), (2, other))
            ]
            hosts[0].start()
            segment.run(1)
            hosts[1].start()
            segment.run(1)
            self.assertEqual(segment.masters(), [hosts[0]])
            hosts[0].freeze()
            segment.run(0.7)
            self.assertIs(hosts[1].role, Role.MASTER)
            thawed = segment.clock.seconds()
            hosts[0].thaw()
            segment.run(2 * LATENCY)
            self.assertEqual(segment.masters(), [hosts[winner]])
            self.assertLessEqual(segment.longestOverlap(thawed), LATENCY)
            reasons = [moment.change.reason for moment in hosts[0].changes]
            self.assertNotIn(Reason.PAUSED, reasons)

    def test_stopped(self) -> None:
        """
        A master that did not run for longer than any peer waits is backup when it runs again.
        """
        for dialect, pause in (("ucarp", 1.0), ("openbsd", 3.0)):
            segment = Segment()
            hosts = [
                segment.add(f"10.99.0.{number}", advbase=0, advskew=advskew, dialect=dialect)
                for number, advskew in ((1, 20), (2, 30))
            ]
            hosts[0].start()
            segment.run(1)
            hosts[1].start()
            with capturedLogs():
                nap(segment, hosts[0], pause)
            self.assertIn(Reason.PAUSED, [moment.change.reason for moment in hosts[0].changes])
            segment.run(1)
            self.assertEqual(len(segment.masters()), 1)


class SleepingBackupTests(SynchronousTestCase):
    """
    Backups that do not run for longer than their socket keeps packets.
    """

    def check(self, room: int, pause: float, **facts: Any) -> None:
        """
        Assert that a pause of the backup changes nothing, although its socket lost the newest
        packets.
        """
        segment = Segment()
        master = segment.add("10.99.0.1", **{"advskew": 10, **facts})
        master.start()
        segment.run(20)
        backup = segment.add("10.99.0.2", **{"advskew": 0, **facts})
        backup.room = room
        backup.start()
        segment.run(20)
        self.assertEqual(segment.masters(), [master], facts)
        with capturedLogs():
            nap(segment, backup, pause)
            segment.run(20)
        self.assertEqual([reign.host for reign in segment.reigns], [master.source], facts)

    def test_overflow(self) -> None:
        """
        A backup that wakes and finds only old advertisements does not take over, with seals or
        without, whatever the interval is.
        """
        everywhere: list[dict[str, Any]] = [
            {},
            {"advbase": 4},
            {"deadRatio": 2},
            {"dialect": "openbsd"},
        ]
        for verification in ("off", "learn", "require"):
            for pause in (15.5, 60.25, 300.125):
                for facts in everywhere:
                    self.check(8, pause, verification=verification, **facts)

    def test_nothingKept(self) -> None:
        """
        A backup whose socket kept nothing, as on a virtual machine that was stopped from
        outside, does not take over either.
        """
        everywhere: list[dict[str, Any]] = [{}, {"advbase": 4}, {"dialect": "openbsd"}]
        for facts in everywhere:
            self.check(0, 100.0, **facts)

    def test_zeroBase(self) -> None:
        """
        This holds without an advbase, too.
        """
        facts: dict[str, Any] = {"advbase": 0, "dialect": "openbsd"}
        for pause in (0.06, 0.5, 2.0, 60.0):
            segment = Segment()
            master = segment.add("10.99.0.1", advskew=10, **facts)
            master.start()
            segment.run(1)
            backup = segment.add("10.99.0.2", advskew=20, **facts)
            backup.room = 16
            backup.start()
            segment.run(1)
            with capturedLogs():
                nap(segment, backup, pause)
                segment.run(1)
            self.assertEqual([reign.host for reign in segment.reigns], [master.source], pause)

    def test_masterDied(self) -> None:
        """
        If the master died meanwhile, the backup takes over when it has waited once more.
        """
        segment = Segment()
        master, backup = (segment.add(f"10.99.0.{number}", advskew=number) for number in (1, 2))
        master.start()
        backup.start()
        segment.run(20)
        backup.freeze()
        segment.run(20)
        master.crash()
        segment.run(20)
        with capturedLogs():
            backup.thaw()
            segment.run(3 + 2 / 256 - LATENCY)
            self.assertEqual(segment.masters(), [])
            segment.run(2 * LATENCY)
        self.assertEqual(segment.masters(), [backup])

    def test_oldBowOut(self) -> None:
        """
        A bow-out that waited in the socket says nothing about the master of now.
        """
        segment = Segment()
        hosts = [
            segment.add(f"10.99.0.{number}", advskew=number, verification="off")
            for number in (1, 2, 3)
        ]
        for host in hosts:
            host.start()
        segment.run(10)
        self.assertEqual(segment.masters(), [hosts[0]])
        hosts[2].room = 5
        hosts[2].freeze()
        segment.run(2)
        hosts[0].stop()
        segment.run(60)
        self.assertEqual(segment.masters(), [hosts[1]])
        with capturedLogs():
            hosts[2].thaw()
            segment.run(10)
        self.assertNotIn(hosts[2].source, [reign.host for reign in segment.reigns])


class BusyGroupTests(SynchronousTestCase):
    """
    Groups without an advbase whose hosts are all busy now and then.
    """

    @settings(max_examples=20)
    @given(
        st.sampled_from(["ucarp", "openbsd"]),
        st.lists(st.integers(1, 60), min_size=2, max_size=3, unique=True),
        st.lists(
            st.tuples(st.integers(0, 2), st.integers(0, 400), st.integers(0, 400)), max_size=25
        ),
    )
    def test_anything(
        self, dialect: str, skews: list[int], story: list[tuple[int, int, int]]
    ) -> None:
        """
        However the hosts are paused, there is one master afterwards, and it stays master.
        """
        segment = Segment()
        hosts = [
            segment.add(
                f"10.99.0.{number}", advbase=0, advskew=skew, dialect=dialect, flapLimit=None
            )
            for number, skew in enumerate(skews, 1)
        ]
        with capturedLogs():
            for host in hosts:
                host.start()
            segment.run(1)
            for index, pause, after in story:
                host = hosts[index % len(hosts)]
                nap(segment, host, pause / 1000)
                segment.run(after / 1000)
            segment.run(2)
        self.assertEqual(len(segment.masters()), 1)
        changes = segment.reigns[-1:]
        segment.run(2)
        self.assertEqual(segment.reigns[-1:], changes)
