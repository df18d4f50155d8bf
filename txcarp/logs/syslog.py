"""
The system's log, written without ever waiting for it.

C{syslog(3)} waits when the log daemon does not read, and with it everything else
that the process should do.  Here a line that cannot be handed over at once is
dropped and counted.
"""

from __future__ import annotations

import errno
import os
import socket
import time

from twisted.logger import ILogObserver, LogEvent, LogLevel
from zope.interface import implementer

from txcarp.logs.levels import levelOf, levelWord, priority
from txcarp.logs.text import CUT, messageLines

#: Where log daemons listen.
LOG_SOCKET = "/dev/log"

#: Bytes of one line at most, with everything in front of the text (RFC 3164,
#: section 4.1).
LONGEST_PACKET = 1024

_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

# The daemon is slow, not gone: the connection is good.
_FULL = frozenset((errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM))


@implementer(ILogObserver)
class SyslogObserver:
    """
    Writes events as lines of the local syslog protocol: as C{syslog(3)} does with
    C{LOG_PID}, the text preceded by the level as ucarp does.

    Never waits and never raises.  The socket is opened at the first event, and
    again at the next event after the log daemon was replaced.

    @ivar lost: Lines dropped and not yet told of.  One line tells of them after
        the next that gets through.
    """

    def __init__(self, facility: int, identity: str = "ucarp", address: str = LOG_SOCKET) -> None:
        """
        @param facility: The number of a facility, see
            L{txcarp.logs.levels.facilityNumber}.
        @param identity: The name in front of the process number.
        @param address: Path of the log daemon's socket.
        """
        self.lost = 0
        self._facility = facility
        self._identity = identity
        self._link = _Link(address)

    def __call__(self, event: LogEvent) -> None:
        """
        Write an event, one line of the log for each line of its message.
        """
        try:
            level = levelOf(event)
            when = event.get("log_time")
            for line in messageLines(event):
                packet = self._packet(level, when, line)
                if not self._link.send(packet):
                    self.lost += 1
                elif self.lost:
                    self._tellLost(when)
        except Exception:
            self.lost += 1

    def close(self) -> None:
        """
        Close the socket.  The next event opens another.
        """
        self._link.close()

    def _tellLost(self, when: float | None) -> None:
        if self.lost == 1:
            text = "1 log line before the previous one was lost"
        else:
            text = f"{self.lost} log lines before the previous one were lost"
        packet = self._packet(LogLevel.warn, when, f"{text}: the log daemon did not take more")
        if self._link.send(packet):
            self.lost = 0

    def _packet(self, level: LogLevel, when: float | None, line: str) -> bytes:
        local = time.localtime(when)
        packet = (
            f"<{priority(self._facility, level)}>"
            f"{_MONTHS[local.tm_mon - 1]} {local.tm_mday:2d} "
            f"{local.tm_hour:02d}:{local.tm_min:02d}:{local.tm_sec:02d} "
            f"{self._identity}[{os.getpid()}]: [{levelWord(level)}] {line}"
        ).encode("utf-8", "backslashreplace")
        if len(packet) <= LONGEST_PACKET:
            return packet
        end = CUT.encode()
        whole = packet[: LONGEST_PACKET - len(end)].decode("utf-8", "ignore")
        return whole.encode() + end


class _Link:
    """
    A connection to the log daemon, made and made again as it is needed.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._kind = socket.SOCK_DGRAM
        self._socket: socket.socket | None = None
        self._connected = False
        # The end of a line that a stream took only the beginning of.
        self._rest = b""

    def send(self, packet: bytes) -> bool:
        """
        Hand over one line.

        @return: Whether it was taken.
        """
        if not self._connected:
            return self._connect() and self._try(packet) is None
        number = self._try(packet)
        if number is None or number in _FULL:
            return number is None
        # The daemon was replaced since: its successor may be there already.
        return self._connect() and self._try(packet) is None

    def close(self) -> None:
        """
        Close the socket, if open.
        """
        self._connected = False
        self._rest = b""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _try(self, packet: bytes) -> int | None:
        """
        @return: The error number, C{None} if the line was taken.
        """
        assert self._socket is not None
        try:
            if self._kind == socket.SOCK_DGRAM:
                self._socket.send(packet)
            else:
                self._sendPart(self._socket, packet)
        except OSError as error:
            if error.errno not in _FULL:
                self._connected = False
            return error.errno
        return None

    def _sendPart(self, stream: socket.socket, packet: bytes) -> None:
        while self._rest:
            self._rest = self._rest[stream.send(self._rest) :]
        # Daemons read a stream up to the zero byte that syslog(3) appends.
        packet += b"\0"
        self._rest = packet[stream.send(packet) :]

    def _connect(self) -> bool:
        for _ in ("with the kind of socket known", "with the other"):
            try:
                self._connectOnce()
            except OSError as error:
                if error.errno == errno.EPROTOTYPE:
                    self._changeKind()
                    continue
                if self._kind != socket.SOCK_DGRAM:
                    self.close()
                return False
            self._connected = True
            return True
        return False

    def _connectOnce(self) -> None:
        if self._socket is not None and self._kind != socket.SOCK_DGRAM:
            self.close()  # a stream connects once; a datagram socket again and again
        if self._socket is None:
            self._socket = socket.socket(
                socket.AF_UNIX, self._kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
            )
        self._socket.connect(self._address)

    def _changeKind(self) -> None:
        self.close()
        datagram = self._kind == socket.SOCK_DGRAM
        self._kind = socket.SOCK_STREAM if datagram else socket.SOCK_DGRAM
