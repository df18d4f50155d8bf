"""
Tests of honest groups in trouble.  With seals, they have the same masters as without.
"""

from __future__ import annotations

from typing import Any

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import MemoryFile
from tests.simulation.segment import Computer, Reign, Segment
from txcarp.protocol.seal import Verification

#: What a group does with seals, and without.
_MODES = (Verification.OFF, Verification.LEARN, Verification.REQUIRE)


def hosts(segment: Segment, verification: Verification, **settings: Any) -> list[Computer]:
    """
    Add a preferred host and another one, each with a state file.
    """
    computers = [
        segment.add(f"10.99.0.{n}", advskew=skew, verification=verification, **settings)
        for n, skew in ((1, 0), (2, 100))
    ]
    for computer in computers:
        computer.disk = MemoryFile()
    return computers


class OneWayTests(SynchronousTestCase):
    """
    The master cannot hear the backup.
    """

    def yields(self, verification: Verification, ahead: float, before: float) -> list[Reign]:
        """
        Let the backup hear nothing for a while, and then the master again.

        @param ahead: By how many seconds the wall clock of the backup is ahead.
        @param before: For how many seconds the backup hears the master before.
        @return: Who was master.
        """
        segment = Segment()
        first, second = hosts(segment, verification)
        second.clockError = ahead
        first.start()
        segment.run(5)
        second.start()
        segment.run(before)
        segment.cut(first, second)
        segment.run(5)
        self.assertEqual(segment.masters(), [first, second])
        segment.heal()
        segment.deafen(first, second)
        segment.run(20)
        self.assertEqual(segment.masters(), [first], (verification, ahead))
        return segment.reigns

    def test_clocksApart(self) -> None:
        """
        A backup that missed the master yields as soon as it hears the master again, although the
        wall clocks of both show different times, and the master hears nobody.
        """
        for ahead in (-3600.0, -20.0, 20.0, 3600.0, 20 * 365 * 86400.0):
            for before in (3.0, 60.0):
                with capturedLogs():
                    expected = self.yields(Verification.OFF, ahead, before)
                    for verification in _MODES[1:]:
                        reigns = self.yields(verification, ahead, before)
                        self.assertEqual(reigns, expected, (verification, ahead))


class BackToUcarpTests(SynchronousTestCase):
    """
    A host stops sealing, because it runs ucarp or a BSD kernel now.
    """

    def returned(self, dialect: str, preempt: bool, alone: float) -> Segment:
        """
        Let the preferred host leave, and come back as one that does not seal.

        @param alone: For how many seconds the other host is down, from before the preferred one
            comes back.
        """
        segment = Segment()
        first, second = hosts(segment, Verification.LEARN, dialect=dialect)
        for computer in (second, first):
            computer.start()
            segment.run(10)
        first.stop()
        segment.run(10)
        if alone:
            second.stop()
        first.settings.update(verification=Verification.OFF, preempt=preempt)
        first.start()
        segment.run(alone)
        second.start()
        segment.run(30)
        second.settings.update(preempt=False)
        return segment

    def test_believed(self) -> None:
        """
        After a few intervals the group has one master again, and goes on as any group.
        """
        for dialect in ("ucarp", "freebsd", "openbsd"):
            for preempt in (False, True):
                for alone in (0.0, 60.0):
                    case = (dialect, preempt, alone)
                    with capturedLogs():
                        segment = self.returned(dialect, preempt, alone)
                        first = segment.computers[0]
                        self.assertEqual(len(segment.masters()), 1, case)
                        self.assertLess(segment.longestOverlap(0), 4.0, case)
                        for computer in (*segment.masters(), first):
                            computer.crash()
                            segment.run(10)
                            self.assertEqual(len(segment.masters()), 1, case)
                            computer.start()
                            segment.run(10)
                            self.assertEqual(len(segment.masters()), 1, case)
                    self.assertLess(segment.longestOverlap(40), 4.0, case)


class CrashTests(SynchronousTestCase):
    """
    The process of the preferred host ends, and another one takes over from the other host.  Its
    ticks are ahead of the group, because it skips those that were reserved.
    """

    def test_noAlarm(self) -> None:
        """
        What the other host sends before it has heard the new process is no sign of an attack.
        """
        for verification in _MODES[1:]:
            for end in ("crash", "stop", "powerOff"):
                for absence in (5.0, 30.0, 70.0):
                    case = (verification, end, absence)
                    segment = Segment()
                    addresses = ["10.99.0.100", "fd00::100"]
                    first, second = hosts(segment, verification, preempt=True, addresses=addresses)
                    with capturedLogs():
                        first.start()
                        second.start()
                        segment.run(20)
                        getattr(first, end)()
                        segment.run(absence)
                        first.start()
                        segment.run(10)
                    self.assertEqual(segment.masters(), [first], case)
                    for computer in (first, second):
                        assert computer.virtualHost is not None
                        status = computer.virtualHost.status()
                        self.assertEqual(status.findings.total(), 0, (case, status.findings))


class WrongClockTests(SynchronousTestCase):
    """
    The wall clock of a host is decades off.
    """

    def preempted(self, verification: Verification, error: float, known: bool) -> list[Reign]:
        """
        Let the preferred host join, and take over.

        @param error: By how many seconds its clock is ahead.
        @param known: Whether the other host has heard it before, when the clock was right.
        @return: Who was master.
        """
        segment = Segment()
        first, second = hosts(segment, verification, preempt=True)
        second.start()
        segment.run(10)
        if known:
            first.start()
            segment.run(10)
            first.stop()
            segment.run(10)
        first.disk = MemoryFile()
        first.clockError = error
        first.start()
        segment.run(10)
        self.assertEqual(segment.masters(), [first])
        return segment.reigns

    def test_preempts(self) -> None:
        """
        Its first advertisement is believed.
        """
        year = 365 * 86400.0
        for error in (-1.8e9, -20 * year, 11 * year, 30 * year, 100 * year):
            for known in (False, True):
                expected = self.preempted(Verification.OFF, error, known)
                for verification in _MODES[1:]:
                    reigns = self.preempted(verification, error, known)
                    self.assertEqual(reigns, expected, (verification, error, known))
