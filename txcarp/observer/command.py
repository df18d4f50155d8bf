"""
The command: ears, watch and display put together.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

from twisted.internet.task import LoopingCall
from twisted.python import usage
from twisted.python.failure import Failure

from txcarp.clock.monotonic import MonotonicClock
from txcarp.network.sockets import MissingCapability
from txcarp.observer import wire
from txcarp.observer.display import (
    FinalDisplay,
    IDisplay,
    JSONDisplay,
    LineDisplay,
    LiveDisplay,
    Output,
)
from txcarp.observer.ear import Ear
from txcarp.observer.events import Event, Kind
from txcarp.observer.options import ObserveOptions
from txcarp.observer.pace import Pace
from txcarp.observer.times import Calendar
from txcarp.observer.watch import Watch

SEEN, NOTHING_SEEN, CANNOT_RUN = 0, 1, 2
_WRONG_USAGE = 1

#: Seconds between two looks at who fell silent, and ticks between two pictures.
_TICK = 0.25
_TICKS_A_PICTURE = 2


def main(arguments: Sequence[str]) -> int:
    """
    Run C{txcarp observe}.

    @param arguments: The command line after C{observe}.
    @return: The exit status.
    """
    options = ObserveOptions()
    try:
        options.parseOptions(list(arguments))  # type: ignore[no-untyped-call]
    except usage.UsageError as error:
        print(f"txcarp observe: {error}\nTry 'txcarp observe --help'.", file=sys.stderr)
        return _WRONG_USAGE
    try:
        from twisted.internet import reactor

        observation = Observation(reactor, options)
        for interface in options.interfaces:
            try:
                observation.listen(interface)
            except OSError as error:
                observation.close()
                print(f"txcarp observe: {_why(interface, error)}", file=sys.stderr)
                return CANNOT_RUN
        return observation.run()
    except KeyboardInterrupt:
        return SEEN


def _why(interface: str, error: OSError) -> str:
    if isinstance(error, MissingCapability):
        return str(error.strerror)
    names = [name for _, name in socket.if_nameindex()]
    if interface not in names:
        return f"there is no interface {interface} (there are: {', '.join(names)})"
    return f"cannot listen to {interface}: {error.strerror}"


class Observation:
    """
    One run of the command.
    """

    def __init__(
        self,
        reactor: Any,
        options: ObserveOptions,
        output: TextIO | None = None,
        errors: TextIO | None = None,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        """
        @param output: Where it is shown; the standard output if not given.
        @param errors: The standard error output, likewise.
        @param environment: Where C{NO_COLOR} and C{TERM} are looked up.
        """
        self._reactor = reactor
        self._clock = MonotonicClock(reactor)
        self._once: float | None = options["once"]
        self._watch = Watch()
        self._pace = Pace()
        self._ears: list[Ear] = []
        self._ticking = LoopingCall(self._tick)
        self._ticking.clock = self._clock
        self._ticks = 0
        self._ending = False
        self._failed = False
        self._display = self._choose(
            options, output or sys.stdout, errors or sys.stderr, environment
        )

    def listen(self, interface: str) -> None:
        """
        Listen to an interface.

        @raise OSError: If it cannot be listened to.
        """
        ear = Ear(self._reactor, self._clock, interface, self)
        ear.start()
        self._ears.append(ear)

    def close(self) -> None:
        """
        Listen to nothing any more.
        """
        for ear in self._ears:
            ear.stop()
        self._clock.stop()

    def run(self) -> int:
        """
        Listen until it is enough.

        @return: The exit status.
        """
        # Not before: an interrupt has a handler from then on.
        self._reactor.callWhenRunning(self._begin)
        self._reactor.addSystemEventTrigger("before", "shutdown", self._finish)
        self._reactor.run()
        if self._failed:
            return CANNOT_RUN
        return NOTHING_SEEN if self._once is not None and not self._watch.groups() else SEEN

    def arrived(self, interface: str, arrival: wire.Arrival) -> None:
        """
        See L{txcarp.observer.ear.Listener}.
        """
        now = self._clock.seconds()
        when = now - arrival.waited
        self._say(
            self._watch.heard(when, interface, arrival.packet, arrival.hardware, arrival.here), now
        )

    def listens(self, interface: str) -> None:
        """
        See L{txcarp.observer.ear.Listener}.
        """
        now = self._clock.seconds()
        self._say(self._watch.listens(now, interface), now)

    def deafened(self, interface: str, kind: Kind) -> None:
        """
        See L{txcarp.observer.ear.Listener}.
        """
        now = self._clock.seconds()
        self._say(self._watch.deafened(now, interface, kind), now)

    def _choose(
        self,
        options: ObserveOptions,
        stream: TextIO,
        errors: TextIO,
        environment: Mapping[str, str],
    ) -> IDisplay:
        calendar = Calendar(self._clock.seconds)
        terminal = stream.isatty() and environment.get("TERM", "dumb") != "dumb"
        output = Output(stream, self._end, terminal and not environment.get("NO_COLOR"))
        if self._once is not None:
            return FinalDisplay(
                output,
                Output(errors, self._end),
                calendar,
                self._watch,
                options.interfaces,
                bool(options["json"]),
            )
        if options["json"]:
            return JSONDisplay(output, calendar)
        if terminal:
            return LiveDisplay(output, calendar, self._watch, options.interfaces)
        return LineDisplay(output, calendar)

    def _say(self, events: Iterable[Event], now: float) -> None:
        said = self._pace.admit(events, now)
        if said:
            self._display.show(said)

    def _begin(self) -> None:
        self._ticking.start(_TICK).addErrback(self._broken)
        if self._once is not None:
            self._clock.callLater(self._once, self._end)

    def _tick(self) -> None:
        now = self._clock.seconds()
        said = self._pace.release(now) + self._pace.admit(self._watch.tick(now), now)
        if said:
            self._display.show(said)
        self._ticks += 1
        if self._ticks % _TICKS_A_PICTURE == 0:
            self._display.refresh()

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
        self.close()
        self._display.end()

    def _broken(self, failure: Failure) -> None:
        # A fault of this program itself.
        self._failed = True
        failure.printTraceback(sys.stderr)
        self._end()
