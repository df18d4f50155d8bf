"""
Tests for L{txcarp.clock.monotonic}: the timer descriptor on real reactors.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from typing import Any

from twisted.internet import reactor, task
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.interfaces import IReactorTime, IReadDescriptor
from twisted.internet.main import CONNECTION_LOST
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from tests.clock.manual import ManualTime
from txcarp.clock import monotonic as clock
from txcarp.clock import timerfd
from txcarp.clock.monotonic import CALLS_PER_TURN, MonotonicClock


class DescriptorTests(SynchronousTestCase):
    """
    When the timer descriptor is open, and the times that it is set to.
    """

    def setUp(self) -> None:
        """
        Make a clock on a reactor that only collects descriptors.
        """
        self.time = ManualTime(self, 100.0)
        self.clock = self.time.clock

    def test_interfaces(self) -> None:
        """
        The clock and its descriptor provide their interfaces.
        """
        verifyObject(IReactorTime, self.clock)
        self.clock.start()
        verifyObject(IReadDescriptor, self.time.readers[0])
        self.assertEqual(self.time.readers[0].logPrefix(), "clock")

    def test_lazy(self) -> None:
        """
        One descriptor is opened, by C{start} or the first call and not before, so that
        a process can fork between making a clock and using it.
        """
        self.clock.seconds()
        self.clock.getDelayedCalls()
        self.clock.stop()
        self.assertEqual(self.time.readers, [])
        self.clock.callLater(1, str)
        self.clock.start()
        self.clock.callLater(1, str)
        self.assertEqual(len(self.time.readers), 1)

    def test_stop(self) -> None:
        """
        Stopping closes the descriptor and cancels all calls.  A later call opens
        another descriptor.
        """
        call = self.clock.callLater(1, str)
        descriptor = self.time.readers[0].fileno()
        os.fstat(descriptor)
        self.clock.stop()
        self.assertRaises(OSError, os.fstat, descriptor)
        self.assertFalse(call.active())
        self.assertEqual((self.time.readers, self.clock.getDelayedCalls()), ([], []))
        self.clock.callLater(1, str)
        self.assertEqual(len(self.time.readers), 1)

    def test_reactorLetsGo(self) -> None:
        """
        A reactor that shuts down closes the descriptor by C{connectionLost}.  The next
        descriptor is set for the calls that still wait.
        """
        self.clock.callLater(5, str)
        timer = self.time.readers.pop()
        descriptor = timer.fileno()
        timer.connectionLost(Failure(CONNECTION_LOST))
        self.assertRaises(OSError, os.fstat, descriptor)
        self.assertEqual(timer.fileno(), -1)
        del self.time.set[:]
        self.clock.start()
        self.assertEqual(self.time.set, [105.0])

    def test_lateLossOfAClosedTimer(self) -> None:
        """
        A reactor reports a descriptor as lost that was closed while it was read.  If
        the clock has another one by then, it keeps that.
        """
        self.clock.start()
        old = self.time.readers[0]
        self.clock.stop()
        self.clock.start()
        old.connectionLost(Failure(CONNECTION_LOST))
        self.clock.start()
        self.assertEqual(len(self.time.readers), 1)
        os.fstat(self.time.readers[0].fileno())

    def test_setOnlyForSooner(self) -> None:
        """
        The timer is set only for a call that is sooner than all others.
        """
        call = self.clock.callLater(3, str)
        self.clock.callLater(4, str)
        call.reset(5)
        call.cancel()
        self.assertEqual(self.time.set, [103.0])
        self.clock.callLater(1, str)
        self.assertEqual(self.time.set, [103.0, 101.0])

    def test_setAgainAfterExpiry(self) -> None:
        """
        Each expiry sets the timer for the next call, also when that was requested by a
        call, and when the timer expired for a call that was put off.
        """
        call = self.clock.callLater(3, self.clock.callLater, 7, str)
        call.reset(4)
        self.time.now = 103.0
        self.time.expire()
        self.assertEqual(self.time.set, [103.0, 104.0])
        self.time.now = 104.0
        self.time.expire()
        self.assertEqual(self.time.set, [103.0, 104.0, 111.0])

    def test_manyDue(self) -> None:
        """
        If more calls are due than one turn makes, the timer expires again at once.
        """
        made: list[int] = []
        for number in range(CALLS_PER_TURN + 1):
            self.clock.callLater(1, made.append, number)
        self.time.now = 105.0
        self.time.expire()
        self.assertEqual((len(made), self.time.set), (CALLS_PER_TURN, [101.0, 101.0]))

    def test_stoppedByACall(self) -> None:
        """
        A call may stop the clock.
        """
        self.clock.callLater(0, self.clock.stop)
        other = self.clock.callLater(0, self.fail, "stopped")
        self.time.expire()
        self.assertFalse(other.active())

    def test_restartedByACall(self) -> None:
        """
        A call may stop the clock and request another call, which gets a new
        descriptor.
        """

        def restart() -> None:
            self.clock.stop()
            self.clock.callLater(7, str)

        self.clock.callLater(3, restart)
        self.time.now = 103.0
        self.time.expire()
        self.assertEqual(self.time.set, [103.0, 110.0])
        self.assertEqual(len(self.time.readers), 1)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def test_setOnceAfterExpiry(self) -> None:
        """
        The timer is set once, however many calls are requested by those that are made.
        """
        for delay in (9, 8, 7):
            self.clock.callLater(1, self.clock.callLater, delay, str)
        self.time.now = 101.0
        self.time.expire()
        self.assertEqual(self.time.set, [101.0, 108.0])

    def test_nothingToRead(self) -> None:
        """
        It does no harm if a reactor reads a timer that has not expired.
        """
        self.clock.callLater(9, str)
        self.time.readers[0].doRead()
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def test_farAway(self) -> None:
        """
        A call in the far future does not overflow the timer.
        """
        self.patch(clock, "setTimer", timerfd.setTimer)
        self.clock.callLater(1e300, self.fail, "too soon")
        (timer,) = self.time.readers
        with open(f"/proc/self/fdinfo/{timer.fileno()}") as state:
            found = re.search(r"it_value: \((\d+), \d+\)", state.read())
        assert found is not None
        self.assertGreater(int(found[1]), 10 * 365 * 86400)


class ReactorTests(TestCase):
    """
    The clock on the reactor that runs the tests.
    """

    def setUp(self) -> None:
        """
        Make a clock.
        """
        self.clock = MonotonicClock(reactor)
        self.addCleanup(self.clock.stop)

    @inlineCallbacks
    def test_order(self) -> Any:
        """
        Calls are made in the order of their times, none before its time.
        """
        made: list[tuple[float, bool]] = []
        done: Deferred[None] = Deferred()

        def call(number: int) -> None:
            made.append((times[number], self.clock.seconds() >= times[number]))
            if len(made) == 4:
                done.callback(None)

        # Far enough apart that the order is not that of the requests.
        delays = (0.3, 0.1, 0.2, 0.0)
        times = [self.clock.callLater(delay, call, n).getTime() for n, delay in enumerate(delays)]
        yield done
        self.assertEqual(made, [(due, True) for due in sorted(times)])

    @inlineCallbacks
    def test_deferLater(self) -> Any:
        """
        C{task.deferLater} works on the clock.
        """
        self.assertEqual((yield task.deferLater(self.clock, 0.001, lambda: "a")), "a")

    @inlineCallbacks
    def test_loopingCall(self) -> Any:
        """
        A C{LoopingCall} runs on the clock.
        """
        ticks: list[float] = []

        def tick() -> None:
            ticks.append(self.clock.seconds())
            if len(ticks) == 3:
                loop.stop()

        loop = task.LoopingCall(tick)
        loop.clock = self.clock
        yield loop.start(0.005, now=False)
        self.assertGreater(ticks[2], ticks[0])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    @inlineCallbacks
    def test_wallClock(self) -> Any:
        """
        Setting the wall clock back or forth by an hour while a call waits changes
        nothing.
        """
        for step in (3600, -3600):
            real = time.time
            started = time.monotonic()
            waiting = task.deferLater(self.clock, 0.02, lambda: None)
            self.patch(time, "time", lambda step=step, real=real: real() + step)
            self.assertLess(abs(self.clock.seconds() - started), 10)
            yield waiting
            self.assertTrue(0.02 <= time.monotonic() - started < 10)

    @inlineCallbacks
    def test_reactorNotStarved(self) -> Any:
        """
        A call that requests itself again with a delay of 0 leaves the reactor its
        turns.
        """
        turns: list[None] = []

        def again() -> None:
            turns.append(None)
            self.clock.callLater(0, again)

        again()
        yield task.deferLater(reactor, 0.01, lambda: None)
        self.clock.stop()
        self.assertGreater(len(turns), 1)


class OtherReactorTests(SynchronousTestCase):
    """
    The clock on every reactor that can watch a descriptor.
    """

    script = """
import sys
from twisted.internet import {name}reactor
{name}reactor.install()
from twisted.internet import reactor, task
from txcarp.clock.monotonic import MonotonicClock
clock = MonotonicClock(reactor)
ticks = []
def tick():
    ticks.append(clock.seconds())
    if len(ticks) == 3:
        clock.callLater(0.01, reactor.stop)
        clock.callLater(0, 1 .__truediv__, 0)
loop = task.LoopingCall(tick)
loop.clock = clock
reactor.callWhenRunning(loop.start, 0.01)
reactor.callLater(30, sys.exit, 1)
reactor.run()
print(len(ticks) >= 3, type(reactor).__module__.endswith("{name}reactor"))
"""

    def check(self, name: str) -> None:
        """
        Run a loop on a reactor in a process of its own.
        """
        done = subprocess.run(
            [sys.executable, "-c", self.script.format(name=name)],
            capture_output=True,
            timeout=60,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        self.assertEqual((done.returncode, done.stdout), (0, "True True\n"), done.stderr)

    def test_epoll(self) -> None:
        """
        epoll.
        """
        self.check("epoll")

    def test_poll(self) -> None:
        """
        poll.
        """
        self.check("poll")

    def test_select(self) -> None:
        """
        select.
        """
        self.check("select")

    def test_asyncio(self) -> None:
        """
        asyncio.
        """
        self.check("asyncio")
