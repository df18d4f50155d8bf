"""
ucarp's terminal output, written without ever waiting for who reads it.

A full pipe, a stopped terminal and a slow disk make C{write} wait, and making the
descriptor non-blocking would do so for the shell as well, which shares it.  So a
thread of its own does the waiting.
"""

from __future__ import annotations

import errno
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime

import attrs
from twisted.logger import ILogObserver, LogEvent, LogLevel
from zope.interface import implementer

from txcarp.logs.levels import isComplaint, levelOf, levelWord
from txcarp.logs.text import messageLines

#: Lines that wait to be written at most.
QUEUE_LIMIT = 1000

#: Seconds until writing is tried again on a disk without room.
PATIENCE = 1.0

# A disk without room may have some later; what else can go wrong with an open
# descriptor is for good.
_PASSING = frozenset((errno.ENOSPC, errno.EDQUOT, errno.ENOBUFS, errno.ENOMEM))

_COLOURS: Mapping[LogLevel, str] = {
    LogLevel.debug: "\x1b[2m",
    LogLevel.info: "\x1b[32m",
    LogLevel.warn: "\x1b[33m",
    LogLevel.error: "\x1b[1;31m",
    LogLevel.critical: "\x1b[1;31m",
}
_PLAIN = "\x1b[0m"


@implementer(ILogObserver)
class TerminalObserver:
    """
    Writes events to the standard output and, from level C{warn} on, the standard
    error output, each line at once and all in order.

    Never waits and never raises.  Lines that find the queue full are dropped, and
    a line in their place says how many.  A descriptor whose reader is gone is not
    written to again.
    """

    def __init__(
        self,
        output: int = 1,
        errors: int = 2,
        queueLimit: int = QUEUE_LIMIT,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        """
        @param output: Descriptor for levels below C{warn}.
        @param errors: Descriptor for levels from C{warn} on.
        @param queueLimit: Lines that may wait at most.
        @param environment: Where C{NO_COLOR} and C{TERM} are looked up.
        """
        self._output = _Stream(output, environment)
        self._errors = _Stream(errors, environment)
        self._writer = _Writer(queueLimit, self._lost)

    def __call__(self, event: LogEvent) -> None:
        """
        Queue an event, one line for each line of its message.
        """
        try:
            level = levelOf(event)
            when = event.get("log_time")
            for line in messageLines(event):
                self._writer.put(self._line(level, when, line))
        except Exception:
            self._writer.drop()

    def flush(self, timeout: float) -> bool:
        """
        Wait until everything queued was written; for the end of the process, as
        it blocks.

        @param timeout: Seconds to wait at most.
        @return: Whether all was written.
        """
        return self._writer.flush(timeout)

    def _line(self, level: LogLevel, when: float | None, text: str, stands: int = 1) -> _Line:
        stream = self._errors if isComplaint(level) else self._output
        stamp = datetime.fromtimestamp(time.time() if when is None else when)
        word = levelWord(level)
        if stream.coloured:
            word = f"{_COLOURS[level]}{word}{_PLAIN}"
        line = f"{stamp.isoformat(timespec='microseconds')}: [{word}] {text}\n"
        return _Line(stream, line.encode("utf-8", "backslashreplace"), stands)

    def _lost(self, count: int) -> _Line:
        lines = "1 log line was" if count == 1 else f"{count} log lines were"
        text = f"{lines} lost here: they could not be written in time"
        return self._line(LogLevel.warn, None, text, count)


class _Stream:
    """
    One descriptor to write lines to.
    """

    def __init__(self, descriptor: int, environment: Mapping[str, str]) -> None:
        self._descriptor = descriptor
        self._ended = False
        self.coloured = False
        try:
            os.fstat(descriptor)
        except OSError:
            # Not open: the number may soon belong to a socket.
            self._ended = True
            return
        self.coloured = (
            os.isatty(descriptor)
            and not environment.get("NO_COLOR")
            and environment.get("TERM", "dumb") != "dumb"
        )

    def write(self, line: bytes) -> bool:
        """
        Write a line, however long it takes.

        @return: Whether it was written, or nobody will ever read here.
        """
        while line and not self._ended:
            try:
                line = line[os.write(self._descriptor, line) :]
            except BlockingIOError:
                # Somebody who shares the descriptor made it non-blocking.
                poll = select.poll()
                poll.register(self._descriptor, select.POLLOUT)
                poll.poll(1000)
            except OSError as error:
                if error.errno in _PASSING:
                    return False
                self._ended = True
        return True


@attrs.frozen
class _Line:
    """
    One line, and how many lines are lost if it is not written: a line that tells
    of lost ones stands for them all.
    """

    stream: _Stream
    text: bytes
    stands: int


@attrs.define
class _Waiting:
    """
    What a writer thread and its process's other threads share.
    """

    lines: deque[_Line] = attrs.field(factory=deque)
    lost: int = 0
    writing: bool = False
    changed: threading.Condition = attrs.field(factory=threading.Condition)


class _Writer:
    """
    A bounded queue of lines and the thread that writes them, which starts with
    the first: threads do not survive a fork.
    """

    def __init__(self, limit: int, lostLine: Callable[[int], _Line]) -> None:
        """
        @param limit: Lines that may wait at most.
        @param lostLine: Makes the line that tells how many were dropped.
        """
        self._limit = limit
        self._lostLine = lostLine
        self._waiting = _Waiting()
        self._process = 0

    def put(self, line: _Line) -> None:
        """
        Queue a line, or count it as lost.
        """
        self._startThread()
        waiting = self._waiting
        with waiting.changed:
            # Once lines are lost, room for one more would alternate lines with
            # notices; half the queue makes one gap of them.
            room = self._limit // 2 if waiting.lost else self._limit
            if len(waiting.lines) >= room:
                waiting.lost += 1
                return
            if waiting.lost:
                waiting.lines.append(self._takeLost(waiting))
            waiting.lines.append(line)
            waiting.changed.notify_all()

    def drop(self) -> None:
        """
        Count a line as lost.
        """
        with self._waiting.changed:
            self._waiting.lost += 1

    def flush(self, timeout: float) -> bool:
        """
        Wait for the thread to write what is queued.
        """
        waiting = self._waiting
        if self._process != os.getpid():
            return not waiting.lines
        with waiting.changed:
            return waiting.changed.wait_for(lambda: not (waiting.lines or waiting.writing), timeout)

    def _startThread(self) -> None:
        process = os.getpid()
        if self._process == process:
            return
        if self._process:
            # Forked: the parent's thread is not here, its lock may be held for
            # good, and its lines are the parent's to write.
            self._waiting = _Waiting()
        threading.Thread(
            target=self._write, args=(self._waiting,), name="txcarp log", daemon=True
        ).start()
        self._process = process

    def _write(self, waiting: _Waiting) -> None:
        while True:
            with waiting.changed:
                waiting.writing = False
                if not waiting.lines and waiting.lost:
                    waiting.lines.append(self._takeLost(waiting))
                if not waiting.lines:
                    waiting.changed.notify_all()
                    waiting.changed.wait_for(lambda: bool(waiting.lines))
                line = waiting.lines.popleft()
                waiting.writing = True
            if not line.stream.write(line.text):
                with waiting.changed:
                    waiting.lost += line.stands
                time.sleep(PATIENCE)

    def _takeLost(self, waiting: _Waiting) -> _Line:
        count, waiting.lost = waiting.lost, 0
        return self._lostLine(count)
