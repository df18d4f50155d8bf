"""
Tests for L{txcarp.logs.syslog}, against log daemons that the tests run.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import syslog as library
import time
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.logger import ILogObserver, LogLevel
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from txcarp.logs.syslog import FACILITIES, LONGEST_PACKET, SyslogObserver, facilityNumber

#: Seconds that all messages of a test may take: far more than they need.  An observer
#: that waited for the log daemon would wait for ever.
_PATIENCE = 30


class SyslogTests(SynchronousTestCase):
    """
    Tests for L{SyslogObserver}.
    """

    def setUp(self) -> None:
        """
        Choose a path for the log socket and make an observer of it.
        """
        # A temporary directory of trial may be too deep for the name of a socket.
        self.address = f"/tmp/txcarp-test-{os.getpid()}-{id(self):x}"
        self.observer = SyslogObserver(3, "ucarp", self.address)
        self.addCleanup(self.observer.close)

    def daemon(self, kind: int = socket.SOCK_DGRAM) -> socket.socket:
        """
        Start a log daemon that does not read.
        """
        daemon = socket.socket(socket.AF_UNIX, kind)
        self.addCleanup(daemon.close)
        if os.path.exists(self.address):
            os.unlink(self.address)
        else:
            self.addCleanup(os.unlink, self.address)
        daemon.bind(self.address)
        if kind == socket.SOCK_STREAM:
            daemon.listen()
        daemon.settimeout(5)
        return daemon

    def drain(self, daemon: socket.socket) -> list[str]:
        """
        Read everything that waits.
        """
        daemon.setblocking(False)
        texts = []
        while True:
            try:
                texts.append(daemon.recv(65536).decode().split(": ", 1)[1])
            except BlockingIOError:
                return texts

    def say(self, text: str, level: LogLevel = LogLevel.info, **values: Any) -> None:
        """
        Log something.
        """
        self.observer({"log_format": text, "log_level": level, "log_time": 86400.5, **values})

    def test_interface(self) -> None:
        """
        It is a log observer.
        """
        verifyObject(ILogObserver, self.observer)

    def test_bytes(self) -> None:
        """
        A line has the same bytes as one of C{syslog(3)} with C{LOG_PID}: priority,
        local time with the day padded by a space, name, process, text.
        """
        daemon = self.daemon()
        self.patch(time, "localtime", time.gmtime)
        pid = os.getpid()
        for level, expected in (
            (LogLevel.debug, f"<31>Jan  2 00:00:00 ucarp[{pid}]: [DEBUG] hi"),
            (LogLevel.info, f"<30>Jan  2 00:00:00 ucarp[{pid}]: [INFO] hi"),
            (LogLevel.warn, f"<28>Jan  2 00:00:00 ucarp[{pid}]: [WARNING] hi"),
            (LogLevel.error, f"<27>Jan  2 00:00:00 ucarp[{pid}]: [ERROR] hi"),
            (LogLevel.critical, f"<26>Jan  2 00:00:00 ucarp[{pid}]: [ERROR] hi"),
        ):
            self.say("hi", level)
            self.assertEqual(daemon.recv(4096), expected.encode())

    def test_facility(self) -> None:
        """
        The facility and the name are the given ones, the time is local.
        """
        daemon = self.daemon()
        observer = SyslogObserver(19, "txcarp", self.address)
        self.addCleanup(observer.close)
        observer({"log_format": "hi", "log_time": 1234567890.0})
        stamp = time.strftime("%b %d %H:%M:%S", time.localtime(1234567890))
        self.assertEqual(
            daemon.recv(4096).decode(), f"<158>{stamp} txcarp[{os.getpid()}]: [INFO] hi"
        )

    def test_processNumber(self) -> None:
        """
        The process number is that of the process that logs, which a daemon forked
        after it made the observer.
        """
        daemon = self.daemon()
        self.patch(os, "getpid", lambda: 4711)
        self.say("hi")
        self.assertIn(b"ucarp[4711]:", daemon.recv(4096))

    def test_lines(self) -> None:
        """
        Each line of a message is a line of the log.  Control characters are escaped.
        """
        daemon = self.daemon()
        self.say("one\ntwo\x1b\0")
        self.assertEqual(self.drain(daemon), ["[INFO] one", "[INFO] two\\x1b\\x00"])

    def test_longest(self) -> None:
        """
        A long line is cut to the length that every log daemon takes, never within a
        character.
        """
        daemon = self.daemon()
        for character in ("x", "€", "𝄞"):
            self.say(character * 5000)
            packet = daemon.recv(65536)
            self.assertTrue(LONGEST_PACKET - 3 <= len(packet) <= LONGEST_PACKET or character == "x")
            self.assertLessEqual(len(packet), LONGEST_PACKET)
            self.assertTrue(packet.decode().endswith("..."))

    def test_nobodyReads(self) -> None:
        """
        While the log daemon does not read, a thousand messages return at once and
        those that do not fit are counted.  When it reads again, a line reports the
        count.
        """
        daemon = self.daemon()
        started = time.monotonic()
        for number in range(1000):
            self.say(str(number))
        self.assertLess(time.monotonic() - started, _PATIENCE)
        taken = self.drain(daemon)
        self.assertEqual(taken, [f"[INFO] {number}" for number in range(len(taken))])
        self.assertEqual(self.observer.lost, 1000 - len(taken))
        self.assertGreater(self.observer.lost, 0)
        lost = self.observer.lost
        self.say("back")
        self.say("again")
        self.assertEqual(
            self.drain(daemon),
            [
                "[INFO] back",
                f"[WARNING] {lost} log lines before the previous one were lost: "
                "the log daemon did not take more",
                "[INFO] again",
            ],
        )
        self.assertEqual(self.observer.lost, 0)

    def test_reportDoesNotFit(self) -> None:
        """
        The count stays if there is room for the line and not for the report.
        """
        daemon = self.daemon()
        for number in range(1000):
            self.say(str(number))
        lost = self.observer.lost
        daemon.recv(4096)
        self.say("back")
        self.assertEqual(self.observer.lost, lost)
        self.assertEqual(self.drain(daemon)[-1], "[INFO] back")
        self.say("again")
        self.assertIn(f"{lost} log lines", self.drain(daemon)[1])

    def test_missing(self) -> None:
        """
        Without a log daemon lines are counted, and reported to the next one.
        """
        self.say("unheard")
        self.assertEqual(self.observer.lost, 1)
        daemon = self.daemon()
        self.say("heard")
        texts = self.drain(daemon)
        self.assertEqual(texts[0], "[INFO] heard")
        self.assertIn("1 log line before the previous one was lost", texts[1])

    def test_restart(self) -> None:
        """
        A new log daemon gets the very next message.  Only the messages of the time
        without a log daemon are lost.
        """
        for _ in range(3):
            daemon = self.daemon()
            self.say("hello")
            self.assertEqual(self.drain(daemon), ["[INFO] hello"])
            daemon.close()
        self.say("unheard")
        self.say("unheard")
        self.assertEqual(self.observer.lost, 2)
        daemon = self.daemon()
        self.say("hello")
        self.assertEqual(len(self.drain(daemon)), 2)

    def test_oneDescriptor(self) -> None:
        """
        An observer holds one descriptor, however often it connects, and none after
        C{close}.
        """
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(20):
            self.say("unheard")
        self.assertLessEqual(len(os.listdir("/proc/self/fd")), before + 1)
        self.observer.close()
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)

    def test_stream(self) -> None:
        """
        A log daemon that listens on a stream gets lines that end with a zero
        byte, whole and in order even if the stream takes only parts of them.  The
        next log daemon, which listens for datagrams, gets datagrams.
        """
        daemon = self.daemon(socket.SOCK_STREAM)
        started = time.monotonic()
        for number in range(2000):
            self.say(f"{number} " + "x" * 700)
        self.assertLess(time.monotonic() - started, _PATIENCE)
        self.assertGreater(self.observer.lost, 0)
        connection, _ = daemon.accept()
        self.addCleanup(connection.close)
        connection.setblocking(False)
        received = b""
        while not received.endswith(b"[INFO] last\0"):
            try:
                received += connection.recv(1 << 20)
            except BlockingIOError:
                self.say("last")
        lines = received.decode().rstrip("\0").split("\0")
        self.assertTrue(all(re.match(r"<\d+>Jan .*: \[(INFO|WARNING)\] ", line) for line in lines))
        numbers = [int(found[1]) for line in lines if (found := re.search(r"\] (\d+) x", line))]
        self.assertEqual(numbers, list(range(len(numbers))))
        connection.close()
        daemon.close()
        successor = self.daemon()
        self.say("hello")
        self.assertIn("[INFO] hello", self.drain(successor))

    def test_streamTakesParts(self) -> None:
        """
        The rest of a line that a stream took in part goes before the next line.
        """

        class Stream:
            type = socket.SOCK_STREAM
            taken = b""
            room = 0

            def send(self, data: bytes) -> int:
                if not self.room:
                    raise BlockingIOError(errno.EAGAIN, "full")
                part = data[: min(self.room, 7)]
                self.room -= len(part)
                self.taken += part
                return len(part)

            def close(self) -> None:
                pass

        stream = Stream()
        link = self.observer._connection
        link._socket = stream  # type: ignore[assignment]
        stream.room = 9
        self.assertEqual([link.send(b"first line"), link.send(b"lost")], [True, False])
        stream.room = 100
        self.assertTrue(link.send(b"second"))
        self.assertEqual(stream.taken, b"first line\0second\0")

    def test_neverRaises(self) -> None:
        """
        The observer raises nothing, whatever fails.
        """
        for address in ("/", "x" * 500, "/dev/null", "\0", "a\0b"):
            observer = SyslogObserver(3, "ucarp", address)
            observer({"log_format": "hi"})
            self.assertEqual(observer.lost, 1)
            observer.close()
        self.daemon()
        self.say("hi", log_time="yesterday")
        self.say("hi", log_time=1e300)
        self.assertEqual(self.observer.lost, 2)

    @settings(deadline=None)
    @given(st.text(max_size=3000))
    def test_anyText(self, text: str) -> None:
        """
        Any text arrives as packets of UTF-8 that are not too long.
        """
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        far.setblocking(False)
        self.observer._connection._socket = near
        with near, far:
            self.say("{said}", said=text)
            packet = far.recv(65536)
            self.assertLessEqual(len(packet), LONGEST_PACKET)
            self.assertTrue(packet.decode().startswith("<30>Jan "))
        self.observer._connection._socket = None


class FacilityTests(SynchronousTestCase):
    """
    Tests for L{facilityNumber}.
    """

    def test_asTheLibraryHasThem(self) -> None:
        """
        The facilities have the numbers of Python's C{syslog} module.
        """
        for name in FACILITIES:
            value = getattr(library, f"LOG_{name.upper()}", None)
            if value is not None:
                self.assertEqual(FACILITIES[name] << 3, value, name)
        self.assertEqual(FACILITIES["security"], FACILITIES["auth"])
        self.assertEqual(FACILITIES["mark"], 24)
        self.assertEqual(len(FACILITIES), 22)

    def test_anyCase(self) -> None:
        """
        Upper and lower case mean the same.
        """
        self.assertEqual(facilityNumber("LOCAL3"), 19)
        self.assertEqual(facilityNumber("Daemon"), 3)

    def test_none(self) -> None:
        """
        C{none} has no number, in upper or lower case.
        """
        self.assertIsNone(facilityNumber("None"))

    def test_unknown(self) -> None:
        """
        The error for another name has that name and the possible ones.
        """
        for name in ("bogus", "", "local8"):
            error = str(self.assertRaises(ValueError, facilityNumber, name))
            self.assertIn(repr(name), error)
            for expected in ("daemon", "local7", "none"):
                self.assertIn(expected, error)
