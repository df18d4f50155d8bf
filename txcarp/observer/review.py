"""
One run of C{txcarp observe --pcap}: the packets of a capture in place of a network.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import BinaryIO

from txcarp.observer import records, summary, words
from txcarp.observer.capture import BrokenCapture, Captured, readCapture
from txcarp.observer.ratelimit import RateLimiter
from txcarp.observer.reports import Report
from txcarp.observer.tally import Tally
from txcarp.observer.verification import Verifier
from txcarp.observer.watch import Watch
from txcarp.protocol.advertisement import PROTOCOL
from txcarp.protocol.envelope import Packet, readPacket
from txcarp.protocol.rejection import Rejected
from txcarp.screen.output import Output

#: Exit statuses.
SEEN, NOTHING_SEEN, CANNOT_READ = 0, 1, 2

_PROGRAM = "txcarp observe"

#: Seconds of the capture between two looks for silent hosts.
_TICK = 0.25

#: Seconds without a packet after which nobody knows whether anything could be captured.
_GAP = 3600.0

#: The interfaces of a capture that are told apart.
_INTERFACES = 1024


def review(path: str, asJSON: bool, verifier: Verifier | None = None) -> int:
    """
    Read a capture, and print what happened in it.

    @param path: The capture; C{-} for standard input.
    @param asJSON: Whether to print JSON.
    @return: The exit status.
    """
    try:
        if path == "-":
            return Review(sys.stdin.buffer, "-", asJSON, verifier).run()
        with open(path, "rb") as file:
            return Review(file, os.path.basename(path), asJSON, verifier).run()
    except OSError as error:
        print(f"{_PROGRAM}: {path}: {error.strerror}", file=sys.stderr)
        return CANNOT_READ


class _Closed(Exception):
    """
    Nobody reads the output any more.
    """


class Review:
    """
    Passes the packets of a capture to a watch, on the clock of the capture.
    """

    def __init__(
        self, file: BinaryIO, name: str, asJSON: bool, verifier: Verifier | None
    ) -> None:
        """
        @param name: What an interface is called that has no name in the capture.
        """
        self._file = file
        self._name = name
        self._asJSON = asJSON
        self._verifier = verifier
        self._watch = Watch(verifier=verifier)
        self._tally = Tally()
        self._limiter = RateLimiter()
        self._now: float | None = None
        self._began = 0.0
        self._interfaces: set[str] = set()
        self._calendar = words.Calendar(self._time, self._time)
        self._output = Output(sys.stdout, _PROGRAM, self._closed)

    def run(self) -> int:
        """
        Read the capture to its end, or to the first place that is broken.

        @return: The exit status.
        """
        broken = ""
        try:
            try:
                for captured in readCapture(self._file):
                    self._take(captured)
            except BrokenCapture as error:
                broken = str(error)
            except KeyboardInterrupt:
                pass
            if not broken or self._now is not None:
                self._end()
        except _Closed:
            return CANNOT_READ if self._output.hasFailed else SEEN
        if broken:
            print(f"{_PROGRAM}: {self._name}: {broken}", file=sys.stderr)
            return CANNOT_READ
        return SEEN if self._watch.groups() else NOTHING_SEEN

    def _time(self) -> float:
        return self._now or 0.0

    def _closed(self) -> None:
        raise _Closed

    def _take(self, captured: Captured) -> None:
        packet = _advertisement(captured.data)
        if packet is None:
            return
        if self._now is None:
            self._now = self._began = captured.when
        when = max(captured.when, self._now)  # clocks are set, and several interfaces are merged
        self._advance(when)
        interface = captured.interface or self._name
        if interface not in self._interfaces:
            if len(self._interfaces) >= _INTERFACES:
                return
            self._interfaces.add(interface)
            self._watch.listens(self._began, interface)
        hardware, here = captured.hardware, captured.here
        self._admit(self._watch.heard(when, interface, packet, hardware, here))

    def _advance(self, when: float) -> None:
        """
        Let time pass.
        """
        now = self._time()
        end = min(when, now + _GAP)
        while now + _TICK < end:
            now += _TICK
            self._now = now
            self._show(self._limiter.release(now))
            self._admit(self._watch.tick(now))
        self._now = when
        if when > end:
            for interface in self._interfaces:
                self._watch.listens(when, interface)
        self._admit(self._watch.tick(when))

    def _admit(self, reports: Iterable[Report]) -> None:
        kept = list(reports)
        self._tally.take(kept)
        self._show(self._limiter.admit(kept, self._time()))

    def _show(self, reports: Iterable[Report]) -> None:
        for report in reports:
            if self._asJSON:
                self._output.write(records.ofReport(report, self._calendar))
            elif (line := words.line(report, self._calendar)) is not None:
                self._output.write(line)

    def _end(self) -> None:
        self._show(self._limiter.release(self._time() + _GAP))
        groups = self._watch.groups()
        if self._asJSON:
            self._output.write("".join(summary.records(groups, self._tally, self._calendar)))
            return
        said = summary.lines(groups, self._tally, self._verifier, self._began, self._calendar)
        self._output.write("".join(f"{line}\n" for line in said))


def _advertisement(data: bytes) -> Packet | None:
    """
    The packet, if it has the protocol of advertisements.
    """
    try:
        packet = readPacket(data)
    except Rejected:
        return None
    return packet if packet.protocol == PROTOCOL else None


