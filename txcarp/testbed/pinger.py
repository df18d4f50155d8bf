"""
A client that pings throughout, and can say how long nobody answered.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
import time
from collections import deque

import attrs
from twisted.internet.interfaces import IReactorFDSet, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from txcarp.protocol.checksum import internetChecksum
from txcarp.socketreader import SocketReader

_ECHO_REQUEST, _ECHO_REPLY = {4: 8, 6: 128}, {4: 0, 6: 129}
_PROTOCOL = {4: socket.IPPROTO_ICMP, 6: socket.IPPROTO_ICMPV6}
_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
_SOL_RAW, _ICMP_FILTER, _ICMP6_FILTER = 255, 1, 1
_SO_TIMESTAMPNS = 35
_TIMESTAMP = struct.Struct("@ll")
_ECHO = struct.Struct("!BBHHH8sQ")
_OLDEST = 10.0


@attrs.define
class Probe:
    """
    One echo request.

    @ivar sentAt: seconds on the monotonic clock.
    @ivar repliedAt: when the answer reached this host (not: when this process read it);
        C{None} without one.
    """

    sequence: int
    sentAt: float
    repliedAt: float | None = None


@attrs.frozen
class Gap:
    """
    What a client noticed.

    @ivar silence: the longest time, in seconds, from one answer to the next.
    @ivar startedAt: when the answer before that silence arrived, on the monotonic
        clock; C{None} when no two answers are known.
    @ivar lost: probes never answered, although a later one was.
    @ivar pending: the newest probes, of which nothing can be said yet.
    @ivar sent: all probes.
    @ivar pause: the longest time, in seconds, between two probes: the measurement is no
        finer than this.
    """

    silence: float
    startedAt: float | None
    lost: int
    pending: int
    sent: int
    pause: float


def openPingSocket(target: str) -> socket.socket:
    """
    A non-blocking socket for pings to C{target}, in the network namespace of this
    thread.

    @param target: an IPv4 or IPv6 address.
    @raise PermissionError: without CAP_NET_RAW.
    """
    version = ipaddress.ip_address(target).version
    sock = socket.socket(
        _FAMILY[version],
        socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC,
        _PROTOCOL[version],
    )
    # A set bit is a type of message that is kept away.
    if version == 4:
        sock.setsockopt(
            _SOL_RAW, _ICMP_FILTER, struct.pack("=I", ~(1 << _ECHO_REPLY[4]) & 0xFFFFFFFF)
        )
    else:
        words = [0xFFFFFFFF] * 8
        words[_ECHO_REPLY[6] // 32] &= ~(1 << _ECHO_REPLY[6] % 32)
        sock.setsockopt(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, struct.pack("=8I", *words))
    sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    return sock


class Pinger(SocketReader[tuple[bytes, float]]):
    """
    Sends an echo request every C{interval} seconds and remembers when each was
    answered.

    A probe that the kernel will not send (no route, no neighbour) counts as sent and
    lost.

    @ivar sent: how many probes.
    @ivar received: how many answers; a second answer to the same probe is not counted.
    @ivar probes: the newest C{keep} of them, oldest first.
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
        @param clock: what paces the probes.
        @param sock: from L{openPingSocket}, in the client's namespace; closed by L{stop}.
        @param target: the address to ping.
        @param keep: probes to remember; older ones are forgotten.
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
        # The identifier is 16 bits that others choose, too.
        self._token = os.urandom(8)
        self._loop = LoopingCall(self._probe)
        self._loop.clock = clock

    def start(self) -> None:
        """
        Send the first probe now, and go on.

        @raise ValueError: after L{stop}.
        """
        if self._socket is None:
            raise ValueError("this pinger was stopped")
        self.startReading()
        self._loop.start(self._interval).addErrback(self._failed)

    def stop(self) -> None:
        """
        Send and hear nothing more.  What was measured stays.
        """
        self.pause()
        super().stop()

    def pause(self) -> None:
        """
        Send nothing more, but go on to hear answers.
        """
        if self._loop.running:
            self._loop.stop()

    def gaps(self, since: float = 0.0) -> Gap:
        """
        What the client noticed, counting silences that ended, probes that were sent,
        and pauses, after C{since} on the monotonic clock.
        """
        silence, startedAt, pause = 0.0, None, 0.0
        previousReply = previousProbe = None
        answered = sorted(probe.repliedAt for probe in self.probes if probe.repliedAt is not None)
        for repliedAt in answered:
            if previousReply is not None and repliedAt > since:
                length = repliedAt - previousReply
                if startedAt is None or length > silence:
                    silence, startedAt = length, previousReply
            previousReply = repliedAt
        newest = max((p.sequence for p in self.probes if p.repliedAt is not None), default=-1)
        lost = pending = sent = 0
        for probe in self.probes:
            if probe.sentAt > since:
                sent += 1
                if previousProbe is not None:
                    pause = max(pause, probe.sentAt - previousProbe)
                if probe.repliedAt is None:
                    lost += probe.sequence < newest
                    pending += probe.sequence > newest
            previousProbe = probe.sentAt
        return Gap(silence, startedAt, lost, pending, sent, pause)

    def _probe(self) -> None:
        if self._socket is None:
            return
        self.probes.append(Probe(self.sent, time.monotonic()))
        packet = self._packet(self.sent)
        self.sent += 1
        try:
            self._socket.sendto(packet, (self._target, 0))
        except OSError:
            # It stays in the records as a probe without an answer.
            pass

    def _packet(self, sequence: int) -> bytes:
        def packed(checked: int) -> bytes:
            return _ECHO.pack(
                _ECHO_REQUEST[self._version],
                0,
                checked,
                self._identity,
                sequence & 0xFFFF,
                self._token,
                sequence,
            )

        # The kernel fills in the checksum of ICMPv6.
        return packed(internetChecksum(packed(0)) if self._version == 4 else 0)

    def receive(self, sock: socket.socket) -> tuple[bytes, float] | None:
        data, ancillary, _, sender = sock.recvmsg(2048, socket.CMSG_SPACE(_TIMESTAMP.size))
        if sender[0].partition("%")[0] != self._target:
            return None
        return data, _arrival(ancillary)

    def messageReceived(self, message: tuple[bytes, float]) -> None:
        data, arrival = message
        if self._version == 4:
            if not data:
                return
            data = data[(data[0] & 0x0F) * 4 :]
        if len(data) < _ECHO.size:
            return
        type, _, _, _, _, token, sequence = _ECHO.unpack_from(data)
        if type != _ECHO_REPLY[self._version] or token != self._token or not self.probes:
            return
        position = sequence - self.probes[0].sequence
        if 0 <= position < len(self.probes) and self.probes[position].repliedAt is None:
            self.probes[position].repliedAt = arrival
            self.received += 1

    def _failed(self, failure: Failure) -> None:
        self._log.failure("pinging {target} ended", failure, target=self._target)


def _arrival(ancillary: list[tuple[int, int, bytes]]) -> float:
    """
    When a packet reached this host, on the monotonic clock: this process may have been
    busy since then, and the kernel was not.
    """
    now = time.monotonic()
    for level, type, data in ancillary:
        if (level, type) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS) and len(data) >= _TIMESTAMP.size:
            seconds, nanoseconds = _TIMESTAMP.unpack_from(data)
            age = time.time() - seconds - nanoseconds / 1e9
            # The kernel's stamp is on the wall clock, which may have been set meanwhile.
            if 0.0 <= age < _OLDEST:
                arrival: float = now - age
                return arrival
    return now
