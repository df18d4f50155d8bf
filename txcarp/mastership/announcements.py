"""
Telling the neighbours, as long as this host is master.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from txcarp.change import Change
from txcarp.interfaces import IAnnouncer, IMastershipStep
from txcarp.logs.limits import SayOnce

#: The advertisements after which an announcement is repeated, for switches
#: that did not believe the first one (ucarp, and sc_delayed_arp in OpenBSD).
_REPEATED_WITH = 2

#: Announcements that leave at once; more of them wait, so that they never
#: stand in the way of an advertisement.
_AT_ONCE = 16

#: Seconds between one such batch and the next.
_PACE = 0.005

#: Announcements of everything in a second at most.  A rival makes one necessary
#: with each advertisement, and there may be thousands of them.
_ROUNDS = 20


@implementer(IMastershipStep)
class Announcements:
    """
    Announces the addresses once they are here, again with the second
    advertisement after, each time somebody else claims them, and slowly for
    as long as they stay.
    """

    name = "announcement"
    required = False
    timeLimit = None
    _log = Logger()

    def __init__(
        self,
        announcer: IAnnouncer,
        addresses: Sequence[bytes],
        clock: IReactorTime,
        *,
        refresh: float | None = None,
        soon: Sequence[float] = (),
        fit: Callable[[], bool] = lambda: True,
    ) -> None:
        """
        @param addresses: The packed addresses.
        @param refresh: Seconds after which to announce again, over and over;
            C{None} for never.
        @param soon: Seconds after the first announcement at which to repeat
            it.
        @param fit: Whether this host may still claim the addresses; asked
            before each announcement that a timer causes, because a host that
            wakes from a long pause may have lost them.
        """
        self._announcer = announcer
        self._addresses = tuple(addresses)
        self._clock = clock
        self._refresh = refresh
        self._soon = tuple(soon)
        self._fit = fit
        self._sayOnce = SayOnce(clock)
        self._active = False
        self._countdown = 0
        self._queue: deque[bytes] = deque()
        self._batch: IDelayedCall | None = None
        self._delayed: IDelayedCall | None = None
        #: When the last ones were.
        self._rounds: deque[float] = deque(maxlen=_ROUNDS)
        self._timers: list[IDelayedCall] = []

    def acquire(self, change: Change) -> None:
        """
        Announce, and go on announcing.
        """
        self._active = True
        self._rounds.clear()
        self.again()
        self._timers = [self._clock.callLater(delay, self._repeat) for delay in self._soon]
        if self._refresh is not None:
            self._timers.append(self._clock.callLater(self._refresh, self._refreshed))

    def release(self, change: Change) -> None:
        """
        Be quiet.
        """
        self._active = False
        self._queue.clear()
        for call in (self._batch, self._delayed, *self._timers):
            if call is not None and call.active():
                call.cancel()
        self._timers = []

    def again(self) -> None:
        """
        Announce now and with the second advertisement from now, if the
        addresses are here.
        """
        if not self._active:
            return
        self._countdown = _REPEATED_WITH
        full = len(self._rounds) == _ROUNDS
        wait = self._rounds[0] + 1.0 - self._clock.seconds() if full else 0.0
        if wait <= 0:
            self._announceAll()
        elif self._delayed is None or not self._delayed.active():
            self._delayed = self._clock.callLater(wait, self._repeat)

    def advertised(self) -> None:
        """
        An advertisement left.
        """
        if self._active and self._countdown:
            self._countdown -= 1
            if not self._countdown:
                self._announceAll()

    def _repeat(self) -> None:
        if self._fit() and self._active:
            self._announceAll()

    def _refreshed(self) -> None:
        self._repeat()
        if self._active and self._refresh is not None:
            self._timers = [timer for timer in self._timers if timer.active()]
            self._timers.append(self._clock.callLater(self._refresh, self._refreshed))

    def _announceAll(self) -> None:
        self._rounds.append(self._clock.seconds())
        # Behind those that wait: if this happens again and again, all have their turn.
        waiting = set(self._queue)
        self._queue.extend(address for address in self._addresses if address not in waiting)
        if self._batch is None or not self._batch.active():
            self._sendBatch()

    def _sendBatch(self) -> None:
        for _ in range(min(_AT_ONCE, len(self._queue))):
            self._send(self._queue.popleft())
        if self._queue:
            self._batch = self._clock.callLater(_PACE, self._nextBatch)

    def _nextBatch(self) -> None:
        if self._fit() and self._active:
            self._sendBatch()

    def _send(self, address: bytes) -> None:
        try:
            self._announcer.announce(address)
        except OSError as error:
            if self._sayOnce.ready("announce") is not None:
                self._log.error(
                    "write() in garp: {reason}", reason=error.strerror or str(error)
                )
