"""
Tests for L{txcarp.clock.steady}.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import cast

from twisted.internet import reactor
from twisted.trial.unittest import SynchronousTestCase

from txcarp.clock.steady import SteadyClock
from txcarp.platform import LinuxPlatform


class Machine:
    """
    The clocks of a machine.

    @ivar slew: By how many seconds per second the slewed clocks run fast.
    @ivar bootOnly: Whether C{CLOCK_BOOTTIME} alone is slewed.
    @ivar pause: Seconds for which the process is paused each time that it has read a clock.
    """

    def __init__(self) -> None:
        self.slew = self.pause = 0.0
        self.bootOnly = False
        self.awake = self.slept = 1000.0
        self._slewed = 0.0

    def run(self, seconds: float) -> None:
        """
        Let time pass.
        """
        self.awake += seconds
        self._slewed += self.slew * seconds

    def sleep(self, seconds: float) -> None:
        """
        Suspend the machine.
        """
        self.slept += seconds

    def read(self, clock: int) -> float:
        """
        Return the seconds of a clock.
        """
        seconds = {
            time.CLOCK_MONOTONIC_RAW: self.awake,
            time.CLOCK_MONOTONIC: self.awake + (0.0 if self.bootOnly else self._slewed),
            time.CLOCK_BOOTTIME: self.awake + self.slept + self._slewed,
        }[clock]
        self.run(self.pause)
        return seconds


class SteadyClockTests(SynchronousTestCase):
    """
    Tests for L{SteadyClock}.
    """

    def setUp(self) -> None:
        self.machine = Machine()
        self.clock = SteadyClock(self.machine.read)
        self.start = self.clock()

    def passed(self, expected: float, within: float = 0.001) -> None:
        """
        Assert how many seconds have passed on the clock.
        """
        self.assertLess(abs(self.clock() - self.start - expected), within)

    def test_sinceBoot(self) -> None:
        """
        The clock counts since the machine was started, and all clocks of a machine agree.
        """
        self.assertEqual(self.start, 2000.0)
        self.machine.sleep(50.0)
        self.machine.run(3.0)
        self.assertEqual(self.clock(), 2053.0)
        self.assertEqual(SteadyClock(self.machine.read)(), 2053.0)

    def test_slewed(self) -> None:
        """
        It does not count faster or slower while the clocks are slewed, even if that is done to
        one of them alone, and however often it is read.
        """
        for slew in (0.1, -0.1):
            for bootOnly in (False, True):
                for step in (0.001, 1.0, 255.0):
                    self.setUp()
                    self.machine.slew, self.machine.bootOnly = slew, bootOnly
                    for n in range(1, 1000):
                        self.machine.run(step)
                        self.passed(n * step)

    def test_sleep(self) -> None:
        """
        It counts the seconds for which the machine slept, whether clocks are slewed or not.
        """
        for slew in (0.0, 0.1, -0.1):
            self.setUp()
            self.machine.slew = slew
            for n in range(1, 20):
                self.machine.run(10.0)
                self.machine.sleep(60.0)
                self.passed(n * 70.0)

    def test_paused(self) -> None:
        """
        A process that is paused while it reads the clocks gets no wrong time later.
        """
        for pause in (0.1, 3.0):
            self.setUp()
            for n in range(1, 20):
                self.machine.pause = pause
                self.clock()
                self.machine.pause = 0.0
                self.machine.run(10.0)
                self.passed(n * (10.0 + 3 * pause))

    def test_real(self) -> None:
        """
        A virtual host measures pauses and the age of seals with this clock.
        """
        platform = LinuxPlatform(reactor)
        read = cast(Callable[[], float], platform.pauseSeconds)
        self.assertIsInstance(read, SteadyClock)
        before = time.clock_gettime(time.CLOCK_MONOTONIC_RAW)
        self.assertGreaterEqual(read(), before)
