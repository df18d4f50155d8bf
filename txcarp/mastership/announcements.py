"""
Telling the neighbours that this host has the virtual addresses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from txcarp.change import Change
from txcarp.interfaces import IAnnouncer, IMastershipStep
from txcarp.logs.limits import SayOnce

#: The number of advertisements after which an announcement is repeated, for switches that
#: ignored the first one (as in ucarp, and C{sc_delayed_arp} in OpenBSD).
_REPEATED_WITH = 2

#: Seconds after an announcement because of a rival until the next one.  A rival that has advertised
#: may announce the addresses itself right after that, as ucarp does with its second advertisement
#: (C{sc_delayed_arp}), before it hears of this host and gives way.
_LAST_WORD = 0.01

#: The most announcements that leave at once.  The others wait, so that they do not delay an
#: advertisement.
_AT_ONCE = 16

#: Seconds from one such batch to the next.
_PACE = 0.005

#: The most announcements of all addresses within a second.  Each advertisement of a rival
#: master calls for one, and a host may receive thousands of those.
_ROUNDS = 20


@implementer(IMastershipStep)
class Announcements:
    """
    Announces the addresses when this host has become master, again with its second
    advertisement, each time another host claims them, and then at long intervals.

    @ivar sent: The number of announcements that were sent.
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
        @param refresh: The interval, in seconds, of repeated announcements; C{None} for
            none.
        @param soon: Seconds from the first announcement to each of the next ones.
        @param fit: Returns whether this host may still claim the addresses.  Asked before
            each announcement that a timer causes, because a host that wakes after a long
            pause may have lost them.
        """
        self._announcer = announcer
        self._addresses = tuple(addresses)
        self._clock = clock
        self._refresh = refresh
        self._soon = tuple(soon)
        self._fit = fit
        self._sayOnce = SayOnce(clock)
        self._active = False
        self.sent = 0
        self._countdown = 0
        #: The addresses that wait to be announced, in their order.
        self._queue: dict[bytes, None] = {}
        self._batch: IDelayedCall | None = None
        self._delayed: IDelayedCall | None = None
        #: The times of the last announcements of all addresses.
        self._rounds: list[float] = []
        self._timers: list[IDelayedCall] = []
        self._next: IDelayedCall | None = None

    def acquire(self, change: Change) -> None:
        """
        Begin to announce.
        """
        self._active = True
        self._rounds.clear()
        self._announceTwice()
        for delay in self._soon:
            self._timers.append(self._clock.callLater(delay, self._repeat))
        if self._refresh is not None:
            self._next = self._clock.callLater(self._refresh, self._refreshed)

    def repeatEvery(self, refresh: float | None) -> None:
        """
        Repeat the announcements at another interval from now on.

        @param refresh: See L{__init__}.
        """
        if refresh != self._refresh:
            self._refresh = refresh
            if self._next is not None and self._next.active():
                self._next.cancel()
            if self._active:
                self._refreshLater()

    def change(self, addresses: Sequence[bytes]) -> None:
        """
        Announce other addresses, at once if this host is master.

        @param addresses: The packed addresses.
        """
        self._addresses = tuple(addresses)
        self._queue = {one: None for one in self._queue if one in self._addresses}
        if self._active:
            self._announceTwice()

    def release(self, change: Change) -> None:
        """
        Stop announcing.
        """
        self._active = False
        self._queue.clear()
        for call in (self._batch, self._delayed, self._next, *self._timers):
            if call is not None and call.active():
                call.cancel()
        self._timers = []

    def again(self) -> None:
        """
        While this host is master, announce now, a moment later, and with the second advertisement
        from now.
        """
        if self._active:
            self._announceLater(self._announceTwice() or _LAST_WORD)

    def _announceTwice(self) -> float:
        """
        Announce now and with the second advertisement from now.

        @return: Seconds until it may be done, if it was done too often just now; 0 if it was done.
        """
        self._countdown = _REPEATED_WITH
        full = len(self._rounds) == _ROUNDS
        wait = self._rounds[0] + 1.0 - self._clock.seconds() if full else 0.0
        if wait <= 0:
            self._announceAll()
        return max(wait, 0.0)

    def _announceLater(self, wait: float) -> None:
        if self._delayed is None or not self._delayed.active():
            self._delayed = self._clock.callLater(wait, self._lastWord)

    def _lastWord(self) -> None:
        if self._fit() and self._active:
            wait = self._announceTwice()
            if wait:
                self._announceLater(wait)

    def advertised(self) -> None:
        """
        Count an advertisement that left.
        """
        if self._active and self._countdown:
            self._countdown -= 1
            if not self._countdown:
                self._announceAll()

    def _repeat(self) -> None:
        self._timers = [call for call in self._timers if call.active()]
        if self._fit() and self._active:
            self._announceAll()

    def _refreshed(self) -> None:
        self._repeat()
        if self._active:
            self._refreshLater()

    def _refreshLater(self) -> None:
        if self._refresh is not None:
            self._next = self._clock.callLater(self._refresh, self._refreshed)

    def _announceAll(self) -> None:
        self._rounds.append(self._clock.seconds())
        del self._rounds[:-_ROUNDS]
        # Waiting addresses keep their places, so that each is announced even if this is
        # called over and over.
        self._queue = dict.fromkeys((*self._queue, *self._addresses))
        if self._batch is None or not self._batch.active():
            self._sendBatch()

    def _sendBatch(self) -> None:
        for address in list(self._queue)[:_AT_ONCE]:
            del self._queue[address]
            try:
                self._announcer.announce(address)
                self.sent += 1
            except OSError as error:
                if self._sayOnce.ready("announce") is not None:
                    self._log.error(
                        "write() in garp: {reason}", reason=error.strerror or str(error)
                    )
        if self._queue:
            self._batch = self._clock.callLater(_PACE, self._nextBatch)

    def _nextBatch(self) -> None:
        if self._fit() and self._active:
            self._sendBatch()
