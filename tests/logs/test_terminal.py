"""
Tests for L{txcarp.logs.terminal}: on pipes and pseudo-terminals.
"""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import subprocess
import sys
import threading
import time
from datetime import datetime
from typing import Any

from twisted.logger import ILogObserver, LogLevel
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from txcarp.logs import terminal
from txcarp.logs.terminal import TerminalObserver

_PATIENCE = 30.0
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}: ")


class _Pipe:
    """
    A pipe, and what was read from it.
    """

    def __init__(self, case: SynchronousTestCase) -> None:
        self.reader, self.writer = os.pipe()
        case.addCleanup(self.close)

    def close(self) -> None:
        self.closeReader()
        with contextlib.suppress(OSError):
            os.close(self.writer)

    def closeReader(self) -> None:
        """
        Close the reading end.
        """
        reader, self.reader = self.reader, -1
        if reader >= 0:
            os.close(reader)

    def fill(self) -> int:
        """
        Fill the pipe with empty lines.

        @return: The number of lines that fitted.
        """
        os.set_blocking(self.writer, False)
        filled = 0
        try:
            while True:
                filled += os.write(self.writer, b"\n" * 4096)
        except BlockingIOError:
            os.set_blocking(self.writer, True)
        return filled

    def lines(self, count: int) -> list[str]:
        """
        Read that many lines, without their time.
        """
        data = b""
        while data.count(b"\n") < count:
            if not select.select([self.reader], [], [], _PATIENCE)[0]:
                raise AssertionError(f"only these lines came: {data!r}")
            data += os.read(self.reader, 65536)
        return [_STAMP.sub("", line) for line in data.decode().splitlines()]


class TerminalTests(SynchronousTestCase):
    """
    Tests for L{TerminalObserver}.
    """

    def setUp(self) -> None:
        """
        Make an observer on two pipes.
        """
        self.output, self.errors = _Pipe(self), _Pipe(self)
        self.observer = self.observe(self.output.writer, self.errors.writer)

    def observe(self, output: int, errors: int, **options: Any) -> TerminalObserver:
        """
        Make an observer whose thread stops writing before the test's descriptors are
        closed: the next test's may have the same numbers.
        """
        observer = TerminalObserver(output, errors, **options)

        def finish() -> None:
            observer._output._ended = observer._errors._ended = True
            for pipe in (self.output, self.errors):
                pipe.closeReader()
            self.assertTrue(observer.flush(_PATIENCE))

        self.addCleanup(finish)
        return observer

    def say(self, text: str, level: LogLevel = LogLevel.info, **values: Any) -> None:
        """
        Log something.
        """
        self.observer({"log_format": text, "log_level": level, **values})

    def test_interface(self) -> None:
        """
        It is a log observer.
        """
        verifyObject(ILogObserver, self.observer)

    def test_format(self) -> None:
        """
        A line has the local time to the microsecond, the level and the text.  It is
        written at once, without a flush and not only to a terminal.
        """
        when = 1234567890.25
        self.say("hello", log_time=when)
        expected = datetime.fromtimestamp(when).strftime("%Y-%m-%dT%H:%M:%S.250000: [INFO] hello\n")
        self.assertEqual(os.read(self.output.reader, 4096).decode(), expected)
        self.say("whole second", log_time=1234567890.0)
        self.assertIn(b".000000: [INFO]", os.read(self.output.reader, 4096))

    def test_streams(self) -> None:
        """
        Levels below a warning go to the output, the others to the errors.
        """
        for level in LogLevel.iterconstants():
            self.say(level.name, level)
        self.assertEqual(self.output.lines(2), ["[DEBUG] debug", "[INFO] info"])
        self.assertEqual(
            self.errors.lines(3), ["[WARNING] warn", "[ERROR] error", "[ERROR] critical"]
        )

    def test_order(self) -> None:
        """
        Lines for both streams are written in the order in which they were logged,
        seen where both are the same pipe.
        """
        observer = self.observe(self.output.writer, self.output.writer)
        for number in range(100):
            level = LogLevel.warn if number % 3 else LogLevel.info
            observer({"log_format": str(number), "log_level": level})
        numbers = [int(line.split()[1]) for line in self.output.lines(100)]
        self.assertEqual(numbers, list(range(100)))

    def test_severalLines(self) -> None:
        """
        Each line of a message gets its own time and level.
        """
        self.say("one\ntwo")
        self.assertEqual(self.output.lines(2), ["[INFO] one", "[INFO] two"])

    def test_nobodyReads(self) -> None:
        """
        While a pipe is not read, logging returns at once and lines that do not fit
        the queue are counted.  When it is read again, a line reports the count in
        their place.
        """
        filled = self.output.fill()
        started = time.monotonic()
        for number in range(3000):
            self.say(str(number))
        self.assertFalse(self.observer.flush(0.01))
        self.assertLess(time.monotonic() - started, _PATIENCE)
        writer = self.observer._writer
        self.assertLessEqual(len(writer._lines), 1000)
        lost = writer.lost
        self.assertIn(lost, (1999, 2000))  # one line may be with the thread
        kept = self.output.lines(filled + 3000 - lost)[filled:]
        self.assertEqual([int(line.split()[1]) for line in kept], list(range(3000 - lost)))
        self.assertEqual(
            self.errors.lines(1),
            [f"[WARNING] {lost} log lines were lost here: they could not be written in time"],
        )
        self.say("again")
        self.assertEqual(self.output.lines(1), ["[INFO] again"])
        self.assertTrue(self.observer.flush(_PATIENCE))

    def test_lossIsReportedInItsPlace(self) -> None:
        """
        If there is room again before all was written, the report stands between
        the lines before and after the gap.  Room for a few lines makes one gap
        longer instead of making another.
        """
        observer = self.observe(self.output.writer, self.output.writer, queueLimit=10)
        filled = self.output.fill()
        writer = observer._writer
        for number in range(50):
            observer({"log_format": str(number)})
            if number == 48:
                writer._limit = 12
        lost = writer.lost
        self.assertIn(lost, (39, 40))
        writer._limit = 100
        observer({"log_format": "50"})
        said = [line for line in self.output.lines(filled + 50 - lost + 2) if line]
        self.assertIn(f"{lost} log lines were lost", said[-2])
        self.assertEqual((said[-3], said[-1]), (f"[INFO] {49 - lost}", "[INFO] 50"))

    def test_flush(self) -> None:
        """
        C{flush} waits for the lines, and returns at once if there are none.
        """
        self.assertTrue(self.observer.flush(0))
        for _ in range(50):
            self.say("x")
        self.assertTrue(self.observer.flush(_PATIENCE))
        self.assertEqual(len(os.read(self.output.reader, 65536).splitlines()), 50)

    def test_flushWaitsForTheLastLine(self) -> None:
        """
        C{flush} waits for a line that the thread is still writing.
        """
        filled = self.output.fill()
        self.say("x")
        deadline = time.monotonic() + _PATIENCE
        while self.observer._writer._lines and time.monotonic() < deadline:
            time.sleep(0.001)
        self.assertFalse(self.observer.flush(0.01))
        self.output.lines(filled + 1)
        self.assertTrue(self.observer.flush(_PATIENCE))

    def test_flushIsBounded(self) -> None:
        """
        C{flush} waits no longer than the time it is given.
        """
        for _ in range(2000):
            self.say("x" * 500)
        started = time.monotonic()
        self.assertFalse(self.observer.flush(0.05))
        self.assertTrue(0.05 <= time.monotonic() - started < _PATIENCE)

    def test_readerGone(self) -> None:
        """
        Output to a pipe without a reader ends.  The other stream goes on.
        """
        self.output.closeReader()
        for _ in range(10):
            self.say("x")
        self.say("still here", LogLevel.warn)
        self.assertTrue(self.observer.flush(_PATIENCE))
        self.assertEqual(self.errors.lines(1), ["[WARNING] still here"])
        self.assertTrue(self.observer._output._ended)

    def test_closed(self) -> None:
        """
        A descriptor that was not open at first is never written to, even when
        another file has got its number.
        """
        pipe = _Pipe(self)
        number = pipe.writer
        os.close(number)
        observer = self.observe(number, number)
        os.dup2(self.output.writer, number)
        observer({"log_format": "x"})
        self.assertTrue(observer.flush(_PATIENCE))
        os.set_blocking(self.output.reader, False)
        self.assertRaises(BlockingIOError, os.read, self.output.reader, 1)

    def test_nonBlocking(self) -> None:
        """
        No line is lost on a descriptor that another program made non-blocking.
        """
        os.set_blocking(self.output.writer, False)
        for number in range(900):
            self.say(f"{number} {'x' * 500}")
        self.assertEqual(
            [int(line.split()[1]) for line in self.output.lines(900)], list(range(900))
        )

    def test_noRoom(self) -> None:
        """
        Lines are lost while the disk is full, not afterwards.
        """
        self.patch(terminal, "PATIENCE", 0.01)
        real, failing = os.write, [True]

        def write(descriptor: int, data: bytes) -> int:
            if descriptor == self.output.writer and failing:
                raise OSError(28, "No space left on device")
            return real(descriptor, data)

        self.patch(os, "write", write)
        for _ in range(3):
            self.say("lost")
        self.assertEqual(self.errors.lines(1)[0].split()[0], "[WARNING]")
        failing.clear()
        self.say("found")
        self.assertTrue(self.observer.flush(_PATIENCE))
        self.assertIn(b"[INFO] found", os.read(self.output.reader, 65536))

    def test_noThread(self) -> None:
        """
        While the kernel has no room for a thread, lines are written if they are taken at once.
        The others are lost, which is reported.
        """
        impossible = [True]

        class Thread(threading.Thread):
            def start(self) -> None:
                if impossible:
                    raise RuntimeError("can't start new thread")
                super().start()

        self.patch(threading, "Thread", Thread)
        self.say("written")
        self.assertEqual(self.output.lines(1), ["[INFO] written"])
        filled = self.output.fill()
        self.say("lost")
        while filled:
            filled -= len(os.read(self.output.reader, min(filled, 65536)))
        impossible.clear()
        self.say("also written")
        self.assertIn("1 log line was lost here", self.errors.lines(1)[0])
        self.assertEqual(self.output.lines(1), ["[INFO] also written"])

    def test_noRoomForReport(self) -> None:
        """
        If the report cannot be written either, a later one has its count.
        """
        self.patch(terminal, "PATIENCE", 0.01)
        real, failures = os.write, [None] * 8

        def write(descriptor: int, data: bytes) -> int:
            if descriptor == self.errors.writer and failures:
                failures.pop()
                raise OSError(28, "No space left on device")
            return real(descriptor, data)

        self.patch(os, "write", write)
        self.say("lost", LogLevel.error)
        self.say("lost too", LogLevel.error)
        self.assertIn("2 log lines were lost here", self.errors.lines(1)[0])

    def test_fork(self) -> None:
        """
        After a fork the child gets a thread of its own, and leaves the waiting lines
        to its parent.
        """
        self.say("parent")
        self.assertTrue(self.observer.flush(_PATIENCE))
        first = self.observer._writer
        real = os.getpid()
        self.patch(os, "getpid", lambda: real + 1)
        self.assertTrue(self.observer.flush(0))
        self.say("child")
        self.assertTrue(self.observer.flush(_PATIENCE))
        self.assertIsNot(self.observer._writer, first)
        self.assertEqual(self.output.lines(2), ["[INFO] parent", "[INFO] child"])

    def test_lazy(self) -> None:
        """
        No thread runs before the first line, so that a process can fork.
        """
        self.assertIsNone(self.observer._writer.process)
        self.say("x")
        self.assertEqual(self.observer._writer.process, os.getpid())

    def test_neverRaises(self) -> None:
        """
        An event that cannot be made a line is counted as lost.
        """
        self.say("x", log_time="yesterday")
        self.say("y")
        self.assertIn("1 log line was lost here", self.errors.lines(1)[0])
        self.assertEqual(self.output.lines(1), ["[INFO] y"])

    def test_exit(self) -> None:
        """
        A process can end while its output is stuck.
        """
        script = (
            "import sys\n"
            "from txcarp.logs import TerminalObserver\n"
            "observer = TerminalObserver()\n"
            "for _ in range(2000): observer({'log_format': 'x' * 500})\n"
            "sys.exit(7 + observer.flush(0.05))\n"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", script],
            stdout=self.output.writer,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        self.assertEqual(process.wait(_PATIENCE), 7)


class ColourTests(SynchronousTestCase):
    """
    When the level word is coloured.
    """

    def said(self, **environment: str) -> str:
        """
        A warning as a terminal shows it.
        """
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        self.addCleanup(os.close, theirs)
        observer = TerminalObserver(theirs, theirs, environment=environment)
        observer({"log_format": "hi", "log_level": LogLevel.warn})
        self.assertTrue(observer.flush(_PATIENCE))
        return _STAMP.sub("", os.read(ours, 4096).decode()).strip()

    def test_terminal(self) -> None:
        """
        On a terminal the level is coloured, and nothing else.
        """
        self.assertEqual(self.said(TERM="xterm"), "[\x1b[33mWARNING\x1b[0m] hi")
        self.assertEqual(self.said(TERM="xterm", NO_COLOR=""), "[\x1b[33mWARNING\x1b[0m] hi")

    def test_plain(self) -> None:
        """
        C{NO_COLOR} is obeyed, and a dumb terminal gets no colour.
        """
        self.assertEqual(self.said(TERM="xterm", NO_COLOR="1"), "[WARNING] hi")
        self.assertEqual(self.said(TERM="dumb"), "[WARNING] hi")
        self.assertEqual(self.said(), "[WARNING] hi")
