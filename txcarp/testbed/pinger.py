"""
A client that pings all the time, and measures for how long nobody answered.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
import time
from collections import deque
from itertools import pairwise
from operator import itemgetter

import attrs
from twisted.internet.interfaces import IReactorFDSet, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from txcarp.network.sockets import TIMESTAMP_SPACE, openRawSocket, requestTimestamps, waited
from txcarp.protocol.checksum import internetChecksum
from txcarp.socketreader import SocketReader

_ECHO_REQUEST, _ECHO_REPLY = {4: 8, 6: 128}, {4: 0, 6: 129}
_ECHO = struct.Struct("!BBHHH8sQ")

# linux/icmp.h, linux/icmpv6.h: not in the socket module.
_SOL_RAW, _ICMP_FILTER, _ICMP6_FILTER = 255, 1, 1


@attrs.define
class Probe:
    """
    One echo request.

    @ivar sentAt: When it was sent, in seconds on the monotonic clock.
    @ivar repliedAt: When the answer reached this host, which is before this process read it;
        C{None} without an answer.
    """

    sequence: int
    sentAt: float
    repliedAt: float | None = None


@attrs.frozen
class Gap:
    """
    The outage that a client noticed.

    @ivar silence: The longest time from one answer to the next, in seconds.
    @ivar startedAt: When that silence began, in seconds on the monotonic clock; C{None} if
        there were no two answers.
    @ivar lost: The number of probes that were never answered although a later one was.
    @ivar pending: The number of the newest probes, whose answers may be on the way.
    @ivar sent: The number of all probes.
    @ivar pause: The longest time between two probes, in seconds.  The measurement is no finer
        than this.
    """

    silence: float
    startedAt: float | None
    lost: int
    pending: int
    sent: int
    pause: float


def openPingSocket(target: str) -> socket.socket:
    """
    Open a non-blocking socket for pings, in the network namespace of this thread.

    @param target: An IPv4 or IPv6 address.
    @raise ValueError: If that is no address.
    @raise txcarp.network.sockets.MissingCapability: If this process may not open it.
    """
    # In both filters a set bit keeps a type of message away.
    if ipaddress.ip_address(target).version == 4:
        sock = openRawSocket(
            socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP, "a raw ICMP socket"
        )
        unwanted = struct.pack("=I", ~(1 << _ECHO_REPLY[4]) & 0xFFFFFFFF)
        sock.setsockopt(_SOL_RAW, _ICMP_FILTER, unwanted)
    else:
        sock = openRawSocket(
            socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6, "a raw ICMPv6 socket"
        )
        words = [0xFFFFFFFF] * 8
        words[_ECHO_REPLY[6] // 32] &= ~(1 << _ECHO_REPLY[6] % 32)
        sock.setsockopt(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, struct.pack("=8I", *words))
    requestTimestamps(sock)
    return sock


class Pinger(SocketReader[tuple[bytes, float]]):
    """
    Sends an echo request at regular intervals and remembers when each was answered.

    A probe that the kernel cannot send (no route, no neighbour) counts as sent and lost.

    @ivar sent: The number of probes.
    @ivar received: The number of answered probes.
    @ivar probes: The newest probes, oldest first.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: IReactorFDSet,
        clock: IReactorTime,
        sock: socket.socket,
        target: str,
        interval: float = 0.002,
        keep: int = 100_000,
    ) -> None:
        """
        @param clock: Paces the probes.
        @param sock: A socket from L{openPingSocket}; L{stop} closes it.
        @param target: The address to ping.
        @param interval: Seconds between probes.
        @param keep: The number of probes to remember.
        """
        address = ipaddress.ip_address(target)
        super().__init__(reactor, f"ping {address}", sock)
        self.sent = 0
        self.received = 0
        self.probes: deque[Probe] = deque(maxlen=keep)
        self._target = str(address)
        self._version = address.version
        self._interval = interval
        self._identity = os.getpid() & 0xFFFF
        # Other programs may use the same identifier, which has 16 bits only.
        self._token = os.urandom(8)
        self._loop = LoopingCall(self._probe)
        self._loop.clock = clock

    def start(self) -> None:
        """
        Send the first probe now, and the others at the interval.

        @raise ValueError: After L{stop}.
        """
        if self._socket is None:
            raise ValueError("this pinger was stopped")
        self.startReading()
        self._loop.start(self._interval).addErrback(self._failed)

    def stop(self) -> None:
        """
        Stop sending and reading.  The measurements stay.
        """
        self.pause()
        super().stop()

    def pause(self) -> None:
        """
        Stop sending, but go on reading answers.
        """
        if self._loop.running:
            self._loop.stop()

    def gaps(self, since: float = 0.0) -> Gap:
        """
        Find out what outage the client noticed.

        @param since: A time on the monotonic clock.  Silences and pauses that ended before it,
            and probes that were sent before it, do not count.
        """
        replies = sorted(probe.repliedAt for probe in self.probes if probe.repliedAt is not None)
        silences = (
            (later - sooner, sooner) for sooner, later in pairwise(replies) if later > since
        )
        silence, startedAt = max(silences, key=itemgetter(0), default=(0.0, None))
        sendings = [probe.sentAt for probe in self.probes]
        pauses = (later - sooner for sooner, later in pairwise(sendings) if later > since)
        sent = [probe for probe in self.probes if probe.sentAt > since]
        unanswered = [probe.sequence for probe in sent if probe.repliedAt is None]
        newest = max((p.sequence for p in self.probes if p.repliedAt is not None), default=-1)
        lost = sum(sequence < newest for sequence in unanswered)
        pending = len(unanswered) - lost
        return Gap(silence, startedAt, lost, pending, len(sent), max(pauses, default=0.0))

    def _probe(self) -> None:
        assert self._socket is not None
        self.probes.append(Probe(self.sent, time.monotonic()))
        packet = self._packet(self.sent)
        self.sent += 1
        try:
            self._socket.sendto(packet, (self._target, 0))
        except OSError:
            pass  # the probe stays without an answer

    def _packet(self, sequence: int) -> bytes:
        def packed(checksum: int) -> bytes:
            kind, low = _ECHO_REQUEST[self._version], sequence & 0xFFFF
            return _ECHO.pack(kind, 0, checksum, self._identity, low, self._token, sequence)

        # The kernel fills in the checksum of ICMPv6.
        return packed(internetChecksum(packed(0)) if self._version == 4 else 0)

    def receive(self, sock: socket.socket) -> tuple[bytes, float] | None:
        data, ancillary, _, sender = sock.recvmsg(2048, TIMESTAMP_SPACE)
        if sender[0].partition("%")[0] != self._target:
            return None
        return data, time.monotonic() - waited(ancillary, time.time())

    def messageReceived(self, message: tuple[bytes, float]) -> None:
        data, arrival = message
        start = (data[0] & 0xF) * 4 if data and self._version == 4 else 0
        if len(data) < start + _ECHO.size:
            return
        kind, _, _, _, _, token, sequence = _ECHO.unpack_from(data, start)
        if kind != _ECHO_REPLY[self._version] or token != self._token or not self.probes:
            return
        position = sequence - self.probes[0].sequence
        if 0 <= position < len(self.probes) and self.probes[position].repliedAt is None:
            self.probes[position].repliedAt = arrival
            self.received += 1

    def _failed(self, failure: Failure) -> None:
        self._log.failure("Pinging {target} failed", failure, target=self._target)
