"""
One run of C{txcarp observe}.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from txcarp.clock.monotonic import MonotonicClock
from txcarp.network.sockets import MissingCapability
from txcarp.observer import records, summary, words
from txcarp.observer.ear import Ear
from txcarp.observer.ratelimit import RateLimiter
from txcarp.observer.reports import Kind, Report
from txcarp.observer.tally import Tally
from txcarp.observer.verification import Verifier
from txcarp.observer.watch import Watch
from txcarp.screen.output import Output

#: Exit statuses.
SEEN, NOTHING_SEEN, CANNOT_RUN = 0, 1, 2

#: Seconds between two looks for silent hosts, and looks per picture of a live table.
_TICK = 0.25
_TICKS_PER_PICTURE = 2

#: Columns for tables in a file or pipe, where each row stays on one line.
_UNLIMITED = 10_000

_PROGRAM = "txcarp observe"


def observe(
    interfaces: Sequence[str],
    once: float | None,
    asJSON: bool,
    verifier: Verifier | None = None,
) -> int:
    """
    Observe until Ctrl-C, or for some time.

    @param interfaces: The interfaces to listen on.
    @param once: Seconds after which the groups are printed; C{None} to show reports until Ctrl-C.
    @param asJSON: Whether to print JSON.
    @param verifier: Knows the password of a group; C{None} if nobody does.
    @return: The exit status.
    """
    try:
        from twisted.internet import reactor

        return Observation(reactor, interfaces, once, asJSON, verifier).run()
    except KeyboardInterrupt:
        return SEEN


def _explanation(interface: str, error: OSError) -> str:
    if isinstance(error, MissingCapability):
        return str(error.strerror)
    names = [name for _, name in socket.if_nameindex()]
    if interface not in names:
        return f"there is no interface {interface} (there are: {', '.join(names)})"
    return f"cannot listen on {interface}: {error.strerror}"


class Observation:
    """
    Connects the interfaces to the watch, and the watch to the output.  See L{observe}.
    """

    def __init__(
        self,
        reactor: Any,
        interfaces: Sequence[str],
        once: float | None,
        asJSON: bool,
        verifier: Verifier | None = None,
    ) -> None:
        self._reactor = reactor
        self._interfaces = interfaces
        self._once = once
        self._asJSON = asJSON
        self._clock = MonotonicClock(reactor)
        self._calendar = words.Calendar(self._clock.seconds)
        self._verifier = verifier
        self._watch = Watch(verifier=verifier)
        self._tally = Tally()
        self._began = self._clock.seconds()
        self._limiter = RateLimiter()
        self._ears = [
            Ear(reactor, self._clock, interface, self._watch, self._admit)
            for interface in interfaces
        ]
        self._unshown: list[Report] = []
        self._show: Callable[[list[Report]], object] | None = None
        self._showEnd: Callable[[], object] = lambda: None
        self._ticking = LoopingCall(self._tick)
        self._ticking.clock = self._clock
        self._ticks = 0
        self._ending = False
        self._failed = False

    def run(self) -> int:
        """
        Listen, and run the reactor until the end.

        @return: The exit status.
        """
        for interface, ear in zip(self._interfaces, self._ears, strict=True):
            try:
                ear.start()
            except OSError as error:
                self._close()
                print(f"{_PROGRAM}: {_explanation(interface, error)}", file=sys.stderr)
                return CANNOT_RUN
        self._reactor.callWhenRunning(self._begin)
        self._reactor.addSystemEventTrigger("before", "shutdown", self._finish)
        self._reactor.run()
        if self._failed:
            return CANNOT_RUN
        return NOTHING_SEEN if self._once is not None and not self._watch.groups() else SEEN

    def _close(self) -> None:
        for ear in self._ears:
            ear.stop()
        self._clock.stop()

    def _begin(self) -> None:
        # An interrupt has a handler from here on.
        def closed() -> None:
            self._failed = self._failed or output.hasFailed
            self._end()

        output = Output(sys.stdout, _PROGRAM, closed)
        if self._once is not None:
            errors = Output(sys.stderr, _PROGRAM, self._end)
            self._show = lambda reports: self._writeText(errors, filter(isAboutListening, reports))
            self._showEnd = partial(self._writeGroups, output, errors)
            self._clock.callLater(self._once, self._end)
        elif self._asJSON:
            self._show = partial(self._writeJSON, output)
            self._showEnd = partial(self._summarise, output)
        elif not output.isTerminal:
            self._show = partial(self._writeText, output)
            self._showEnd = partial(self._summarise, output)
        else:
            from txcarp.observer.tables import LiveTable
            from txcarp.screen.live import consoleOn  # rich takes a tenth of a second

            table = LiveTable(consoleOn(output), self._calendar, self._watch, self._interfaces)
            self._show, self._showEnd = table.show, partial(self._endTable, table.end, output)
        self._ticking.start(_TICK).addErrback(self._broken)

    def _admit(self, reports: Iterable[Report]) -> None:
        kept = list(reports)
        self._tally.take(kept)
        self._unshown += self._limiter.admit(kept, self._clock.seconds())
        if self._unshown:
            self._flush()

    def _flush(self) -> None:
        # Before the reactor runs an interface may still fail, and then nothing is shown.
        if self._show is not None:
            reports, self._unshown = self._unshown, []
            self._show(reports)

    def _tick(self) -> None:
        now = self._clock.seconds()
        self._unshown += self._limiter.release(now)
        reports = self._watch.tick(now)
        self._tally.take(reports)
        self._unshown += self._limiter.admit(reports, now)
        self._ticks += 1
        if self._unshown or self._ticks % _TICKS_PER_PICTURE == 0:
            self._flush()

    def _writeText(self, output: Output, reports: Iterable[Report]) -> None:
        lines = (words.line(report, self._calendar) for report in reports)
        output.write("".join(line for line in lines if line is not None))

    def _writeJSON(self, output: Output, reports: Iterable[Report]) -> None:
        output.write("".join(records.ofReport(report, self._calendar) for report in reports))

    def _writeGroups(self, output: Output, errors: Output) -> None:
        groups = self._watch.groups()
        if self._asJSON:
            output.write("".join(records.ofGroup(group, self._calendar) for group in groups))
        else:
            from txcarp.observer.tables import printTable
            from txcarp.screen.live import consoleOn

            console = consoleOn(output, plainWidth=_UNLIMITED)
            many = len(self._interfaces) > 1
            printTable(groups, console, self._calendar, self._watch.deaf, many)
            if self._verifier is not None and not self._verifier.isKnown:
                errors.write(f"{summary.NEVER}\n")

    def _endTable(self, end: Callable[[], None], output: Output) -> None:
        end()
        self._summarise(output)

    def _summarise(self, output: Output) -> None:
        groups = self._watch.groups()
        if self._asJSON:
            output.write("".join(summary.records(groups, self._tally, self._calendar)))
            return
        verifier, began = self._verifier, self._began
        said = summary.lines(groups, self._tally, verifier, began, self._calendar)
        output.write("".join(f"{line}\n" for line in said))

    def _end(self) -> None:
        if not self._ending:
            self._ending = True
            self._reactor.callLater(0, self._stop)

    def _stop(self) -> None:
        if self._reactor.running:
            self._reactor.stop()

    def _finish(self) -> None:
        if self._ticking.running:
            self._ticking.stop()
        self._close()
        self._showEnd()

    def _broken(self, failure: Failure) -> None:
        # A bug in this program.
        self._failed = True
        failure.printTraceback(sys.stderr)
        self._end()


def isAboutListening(report: Report) -> bool:
    """
    Whether a report is about the interface or its packets rather than a group, except for the
    start of listening.
    """
    return report.group is None and (report.kind is not Kind.LISTENING or report.detail != "")
