"""
The system's log, written without ever waiting for it.

C{syslog(3)} waits while the log daemon does not read, and the whole process waits with it.
Here a line that cannot be handed over at once is dropped and counted.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Mapping

from twisted.logger import ILogObserver, LogEvent, LogLevel
from zope.interface import implementer

from txcarp.logs.text import CUT, LEVEL_WORDS, levelOf, messageLines

#: Where log daemons listen.
LOG_SOCKET = "/dev/log"

#: The most bytes of a packet, header included (RFC 3164, section 4.1).
LONGEST_PACKET = 1024

#: The name that stands for no syslog at all.
NO_FACILITY = "none"

#: The numbers of syslog's facilities by glibc's names.  C{security} is an old name of
#: C{auth}; syslog daemons use C{mark} internally.
FACILITIES: Mapping[str, int] = {
    "kern": 0,
    "user": 1,
    "mail": 2,
    "daemon": 3,
    "auth": 4,
    "security": 4,
    "syslog": 5,
    "lpr": 6,
    "news": 7,
    "uucp": 8,
    "cron": 9,
    "authpriv": 10,
    "ftp": 11,
    **{f"local{number}": 16 + number for number in range(8)},
    "mark": 24,
}

#: The severities of the levels (RFC 5424).
SEVERITIES: Mapping[LogLevel, int] = {
    LogLevel.debug: 7,
    LogLevel.info: 6,
    LogLevel.warn: 4,
    LogLevel.error: 3,
    LogLevel.critical: 2,
}

# Not from strftime, which follows the locale.
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

# The log daemon is slow, but the connection is good.
_FULL = frozenset((errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM))


def facilityNumber(name: str) -> int | None:
    """
    The number of a facility, whose name may be in upper or lower case.

    @return: C{None} for C{"none"}: no syslog.
    @raise ValueError: If there is no such facility; the message lists those that exist.
    """
    folded = name.lower()
    if folded == NO_FACILITY:
        return None
    if folded not in FACILITIES:
        raise ValueError(f"{name!r} is not one of {', '.join(sorted(FACILITIES))} or {NO_FACILITY}")
    return FACILITIES[folded]


@implementer(ILogObserver)
class SyslogObserver:
    """
    Writes events as C{syslog(3)} with C{LOG_PID} does, with the level in front of the text
    as in ucarp.

    Never waits and never raises.  The first event opens the socket.  After the log daemon
    was replaced, the next event opens another.

    @ivar lost: The number of dropped lines that no line has reported yet.  They are reported
        behind the next line that gets through.
    """

    def __init__(self, facility: int, identity: str = "ucarp", address: str = LOG_SOCKET) -> None:
        """
        @param facility: The number of a facility, see L{facilityNumber}.
        @param identity: The name in front of the process number.
        @param address: The path of the log daemon's socket.
        """
        self.lost = 0
        self._facility = facility
        self._identity = identity
        self._connection = LogConnection(address)

    def __call__(self, event: LogEvent) -> None:
        """
        Write each line of the event's message as a line of the log.
        """
        try:
            level = levelOf(event)
            when = event.get("log_time")
            for line in messageLines(event):
                if not self._connection.send(self._packet(level, when, line)):
                    self.lost += 1
                elif self.lost:
                    self._reportLost(when)
        except Exception:
            self.lost += 1

    def close(self) -> None:
        """
        Close the socket.  The next event opens another.
        """
        self._connection.close()

    def _reportLost(self, when: float | None) -> None:
        if self.lost == 1:
            text = "1 log line before the previous one was lost"
        else:
            text = f"{self.lost} log lines before the previous one were lost"
        packet = self._packet(LogLevel.warn, when, f"{text}: the log daemon did not take more")
        if self._connection.send(packet):
            self.lost = 0

    def _packet(self, level: LogLevel, when: float | None, line: str) -> bytes:
        local = time.localtime(when)
        packet = (
            f"<{self._facility << 3 | SEVERITIES[level]}>"
            f"{_MONTHS[local.tm_mon - 1]} {local.tm_mday:2d} "
            f"{local.tm_hour:02d}:{local.tm_min:02d}:{local.tm_sec:02d} "
            f"{self._identity}[{os.getpid()}]: [{LEVEL_WORDS[level]}] {line}"
        ).encode("utf-8", "backslashreplace")
        if len(packet) <= LONGEST_PACKET:
            return packet
        end = CUT.encode()
        whole = packet[: LONGEST_PACKET - len(end)].decode("utf-8", "ignore")
        return whole.encode() + end


class LogConnection:
    """
    A connection to the log daemon that is made when it is needed.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._socket: socket.socket | None = None
        # The rest of a line that a stream took only the beginning of.
        self._rest = b""

    def send(self, packet: bytes) -> bool:
        """
        Hand over one line.

        @return: Whether it was taken.
        """
        # If an open connection fails, the log daemon may have been replaced: connect again.
        for _ in range(1 if self._socket is None else 2):
            try:
                if self._socket is None:
                    self._socket = _connect(self._address)
                self._write(self._socket, packet)
                return True
            except OSError as error:
                if error.errno in _FULL:
                    return False
                self.close()
        return False

    def opened(self) -> bool:
        """
        Connect, unless that is done.

        @return: Whether there is a connection.
        """
        try:
            self._socket = self._socket or _connect(self._address)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """
        Close the socket, if it is open.
        """
        self._rest = b""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _write(self, connected: socket.socket, packet: bytes) -> None:
        if connected.type == socket.SOCK_DGRAM:
            connected.send(packet)
            return
        while self._rest:
            self._rest = self._rest[connected.send(self._rest) :]
        # In a stream, a zero byte ends the line, as syslog(3) has it.
        packet += b"\0"
        self._rest = packet[connected.send(packet) :]


def _connect(address: str) -> socket.socket:
    try:
        return _connected(address, socket.SOCK_DGRAM)
    except OSError as error:
        if error.errno != errno.EPROTOTYPE:
            raise
        return _connected(address, socket.SOCK_STREAM)


def _connected(address: str, kind: socket.SocketKind) -> socket.socket:
    flags = socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
    connection = socket.socket(socket.AF_UNIX, kind | flags)
    try:
        connection.connect(address)
    except BaseException:
        connection.close()
        raise
    return connection
