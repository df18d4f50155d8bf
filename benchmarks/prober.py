"""
A client of many addresses: a process that asks each of them all the time whether it is there.

    python -m benchmarks.prober 0.02 10.99.0.4 10.99.0.5 ...

It sends an ICMP echo request to each address every so many seconds, evenly spread, and prints
C{ready} when all have answered.  SIGTERM ends that: it waits for the last answers, and prints as
JSON what was lost since then.  It is a process of its own because the answers to some thousand
questions a second would make the observer late.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Sequence
from itertools import pairwise

import attrs

from txcarp.daemon.scheduling import stayOnTime
from txcarp.protocol.checksum import internetChecksum
from txcarp.testbed.pinger import openPingSocket

_ECHO = struct.Struct("!BBHHH8sQ")
_ECHO_REQUEST, _ECHO_REPLY = 8, 0

#: Bytes of the socket's buffer: the answers of a second.
_BUFFER = 1 << 24

#: SO_RCVBUFFORCE (asm-generic/socket.h): not in the socket module.
_SO_RCVBUFFORCE = 33

#: Seconds for which the last answers may be on their way.
_LAST_ANSWERS = 0.5


@attrs.frozen
class Losses:
    """
    What was lost.

    @ivar sent: The number of questions.
    @ivar lost: The number of those without an answer.
    @ivar losers: The number of addresses that lost one.
    @ivar silence: The longest time between two questions to one address that were answered, with
        none that was answered in between, in seconds.
    @ivar late: By how many seconds a question was sent late, at most.
    """

    sent: int
    lost: int
    losers: int
    silence: float
    late: float


class Prober:
    """
    Asks, and notes the answers.
    """

    def __init__(self, sock: socket.socket, interval: float, addresses: Sequence[str]) -> None:
        """
        @param sock: A socket of L{openPingSocket}.
        @param interval: Seconds between two questions to one address.
        """
        self._socket = sock
        self._where = [(address, 0) for address in addresses]
        self._step = interval / len(addresses)
        self._token = os.urandom(8)
        self._answered = bytearray()
        self._times: list[float] = []
        self._late = 0.0
        self.isOver = False

    def ask(self) -> None:
        """
        Ask until L{isOver}.
        """
        count, began = len(self._where), time.monotonic()
        ready, rounds = False, 1
        while not self.isOver:
            now = time.monotonic()
            due = began + len(self._times) * self._step
            while due <= now and not self.isOver:
                self._late = max(self._late, now - due)
                self._send(now)
                due += self._step
            self._read(due - now)
            if ready or len(self._times) < rounds * count:
                continue
            rounds += 1
            if all(any(self._answered[number::count]) for number in range(count)):
                ready = True
                self._times, self._answered, began = [], bytearray(), time.monotonic()
                self._token, self._late = os.urandom(8), 0.0
                print("ready", flush=True)
        end = time.monotonic() + _LAST_ANSWERS
        while (left := end - time.monotonic()) > 0:
            self._read(left)

    def losses(self) -> Losses:
        """
        What was lost since all addresses had answered.
        """
        count = len(self._where)
        silence, lost, losers = 0.0, 0, 0
        for number in range(count):
            answered, times = self._answered[number::count], self._times[number::count]
            good = [when for when, one in zip(times, answered, strict=True) if one]
            if not good:
                good = [times[0], times[-1]]
            silence = max(silence, *(later - sooner for sooner, later in pairwise(good)), 0.0)
            missing = answered.count(0)
            lost += missing
            losers += missing > 0
        return Losses(len(self._times), lost, losers, silence, self._late)

    def _send(self, now: float) -> None:
        number = len(self._times)
        self._times.append(now)
        self._answered.append(0)
        head = _ECHO_REQUEST, 0
        tail = os.getpid() & 0xFFFF, number & 0xFFFF, self._token, number
        packet = _ECHO.pack(*head, internetChecksum(_ECHO.pack(*head, 0, *tail)), *tail)
        with contextlib.suppress(OSError):  # it counts as lost
            self._socket.sendto(packet, self._where[number % len(self._where)])

    def _read(self, seconds: float) -> None:
        poller = select.poll()
        poller.register(self._socket, select.POLLIN)
        if not poller.poll(max(0.0, seconds) * 1000):
            return
        with contextlib.suppress(BlockingIOError):
            while True:
                data = self._socket.recv(2048)
                start = (data[0] & 0xF) * 4
                if len(data) >= start + _ECHO.size:
                    kind, *_, token, number = _ECHO.unpack_from(data, start)
                    if kind == _ECHO_REPLY and token == self._token:
                        self._answered[number] = 1


def main(arguments: Sequence[str]) -> None:
    """
    Run the process.
    """
    interval, *addresses = arguments
    sock = openPingSocket(addresses[0])
    sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
    prober = Prober(sock, float(interval), addresses)

    def end(*_: object) -> None:
        prober.isOver = True

    signal.signal(signal.SIGTERM, end)
    stayOnTime()
    prober.ask()
    print(json.dumps(attrs.asdict(prober.losses())), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
