"""
ucarp's terminal output, written without ever waiting for its reader.

A full pipe, a stopped terminal and a slow disk make C{write} wait.  A non-blocking
descriptor would not, but the shell shares the descriptor and would get the same mode.  So a
thread does the waiting.
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

from twisted.logger import ILogObserver, LogEvent, LogLevel
from zope.interface import implementer

from txcarp.logs.text import LEVEL_WORDS, levelOf, messageLines

#: The most lines that wait to be written.
QUEUE_LIMIT = 1000

#: Seconds until the next attempt to write to a full disk.
PATIENCE = 1.0

# A full disk may have room later.  Other errors of an open descriptor are permanent.
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
    Writes events to the standard output and, from level C{warn} on, to the standard error
    output: each line at once, and all in order.

    Never waits and never raises.  Lines that find the queue full are dropped; a line in
    their place says how many.  A descriptor whose reader has gone is not written to again.
    """

    def __init__(
        self,
        output: int = 1,
        errors: int = 2,
        queueLimit: int = QUEUE_LIMIT,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        """
        @param output: The descriptor for levels below C{warn}.
        @param errors: The descriptor for levels from C{warn} on.
        @param queueLimit: The most lines that may wait.
        @param environment: Has C{NO_COLOR} and C{TERM}.
        """
        self._output = _Stream(output, environment)
        self._errors = _Stream(errors, environment)
        self._queueLimit = queueLimit
        self._writer = _Writer(queueLimit, self._lost)

    def __call__(self, event: LogEvent) -> None:
        """
        Queue each line of the event's message.
        """
        writer = self._writerHere()
        try:
            level = levelOf(event)
            when = event.get("log_time")
            for line in messageLines(event):
                writer.put(self._line(level, when, line))
        except Exception:
            writer.drop()

    def flush(self, timeout: float) -> bool:
        """
        Wait until everything queued is written.  As this blocks, it is for the end of the
        process only.

        @param timeout: The most seconds to wait.
        @return: Whether everything was written.
        """
        return self._writerHere().flush(timeout)

    def _writerHere(self) -> _Writer:
        if self._writer.process not in (None, os.getpid()):
            # Forked: the parent's thread is not in this process, its lock may be held for
            # ever, and its lines are the parent's to write.
            self._writer = _Writer(self._queueLimit, self._lost)
        return self._writer

    def _line(self, level: LogLevel, when: float | None, text: str, stands: int = 1) -> _Line:
        stream = self._errors if level >= LogLevel.warn else self._output
        stamp = datetime.fromtimestamp(time.time() if when is None else when)
        word = LEVEL_WORDS[level]
        if stream.coloured:
            word = f"{_COLOURS[level]}{word}{_PLAIN}"
        line = f"{stamp.isoformat(timespec='microseconds')}: [{word}] {text}\n"
        return stream, line.encode("utf-8", "backslashreplace"), stands

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
        try:
            os.fstat(descriptor)
        except OSError:
            # Not open.  Its number may soon be a socket's.
            self._ended = True
        self.coloured = (
            not self._ended
            and os.isatty(descriptor)
            and not environment.get("NO_COLOR")
            and environment.get("TERM", "dumb") != "dumb"
        )

    def write(self, line: bytes) -> bool:
        """
        Write a line, however long that takes.

        @return: C{False} if it was lost, although a later line may get through.
        """
        while line and not self._ended:
            try:
                line = line[os.write(self._descriptor, line) :]
            except BlockingIOError:
                # Another process that shares the descriptor made it non-blocking.
                poll = select.poll()
                poll.register(self._descriptor, select.POLLOUT)
                poll.poll(1000)
            except OSError as error:
                if error.errno in _PASSING:
                    return False
                self._ended = True
        return True


    def writeAtOnce(self, line: bytes) -> bool:
        """
        Write a line if its reader takes it at once.

        @return: Whether it was written.
        """
        if self._ended:
            return True  # as in L{write}
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        # A pipe that can be written to takes so much without waiting.
        if not poll.poll(0) or len(line) > select.PIPE_BUF:
            return False
        return self.write(line)


#: A line, its stream, and the number of lines that are lost if it is not written: a line
#: that reports lost lines stands for them all.
_Line = tuple[_Stream, bytes, int]


class _Writer:
    """
    A bounded queue of lines and the thread that writes them.  The thread starts with the
    first line: threads do not survive a fork.

    @ivar process: The process that the thread runs in, C{None} before it starts.
    @ivar lost: The number of lines that were dropped since the last line that reports them.
    """

    def __init__(self, limit: int, lostLine: Callable[[int], _Line]) -> None:
        """
        @param limit: The most lines that may wait.
        @param lostLine: Makes the line that reports how many were dropped.
        """
        self.process: int | None = None
        self.lost = 0
        self._limit = limit
        self._lostLine = lostLine
        self._lines: deque[_Line] = deque()
        self._writing = False
        self._changed = threading.Condition()

    def put(self, line: _Line) -> None:
        """
        Queue a line, or count it as lost.
        """
        if self.process is None:
            try:
                threading.Thread(target=self._write, name="txcarp log", daemon=True).start()
            except RuntimeError:
                # The kernel has no room for a thread.  There may be one when the next line comes.
                stream, text, stands = line
                if not stream.writeAtOnce(text):
                    self.lost += stands
                return
            self.process = os.getpid()
        with self._changed:
            # Once lines are lost, room for a single one would alternate lines and reports.
            # Waiting for half of the queue makes one gap.
            if len(self._lines) >= (self._limit // 2 if self.lost else self._limit):
                self.lost += 1
                return
            self._reportLost()
            self._lines.append(line)
            self._changed.notify_all()

    def drop(self) -> None:
        """
        Count a line as lost.
        """
        with self._changed:
            self.lost += 1

    def flush(self, timeout: float) -> bool:
        """
        Wait for the thread to write what is queued.
        """
        with self._changed:
            return self._changed.wait_for(lambda: not (self._lines or self._writing), timeout)

    def _reportLost(self) -> None:
        if self.lost:
            count, self.lost = self.lost, 0
            self._lines.append(self._lostLine(count))

    def _write(self) -> None:
        while True:
            with self._changed:
                self._writing = False
                if not self._lines:
                    self._reportLost()
                if not self._lines:
                    self._changed.notify_all()
                    self._changed.wait_for(lambda: bool(self._lines))
                stream, text, stands = self._lines.popleft()
                self._writing = True
            if not stream.write(text):
                with self._changed:
                    self.lost += stands
                time.sleep(PATIENCE)
