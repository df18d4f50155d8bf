"""
Streams of events to programs that read them, as they happen.

All readers share the records of one L{EventLog}, and each of them only has a position there.  A
reader that does not read is thus no burden: nothing is kept for it besides what its socket has
taken.  When the log has dropped what comes next for it, the stream ends.

One reader is served in each turn of the reactor, with a limited number of events, so that many
readers do not make an advertisement late.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import partial

import attrs
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txcarp.operate.events import EventLog, concerns
from txcarp.operate.gathering import Gathering
from txcarp.service import CARPService
from txcarp.virtualhost import VirtualHost

#: The most readers at a time.
MOST_READERS = 64

#: Seconds after which a reader gets a sign of life, if there are no events.
KEEP_ALIVE = 15.0

#: Seconds between the request to end and the end of the streams, so that they tell that the
#: groups were left.
LAST_WORDS = 0.2

#: Events that a reader gets in one turn of the reactor.
_BATCH = 16

#: The interface and the number of a group.
Place = tuple[str, int]


@attrs.frozen
class Format:
    """
    How a stream is written.

    @ivar contentType: The media type.
    @ivar isEventStream: Whether it has server-sent events; otherwise it has a JSON object in each
        line.
    """

    contentType: bytes
    isEventStream: bool

    def event(self, word: str, identity: str, json: bytes) -> bytes:
        """
        An event.

        @param identity: Its C{id}; empty if a stream cannot go on after it.
        """
        if not self.isEventStream:
            return json + b"\n"
        head = f"id: {identity}\n" if identity else ""
        return f"{head}event: {word}\ndata: ".encode() + json + b"\n\n"

    @property
    def signOfLife(self) -> bytes:
        """
        What is no event.
        """
        return b":\n\n" if self.isEventStream else b"\n"


EVENT_STREAM = Format(b"text/event-stream", True)
LINES = Format(b"application/x-ndjson", False)


@implementer(IPushProducer)
class Reader:
    """
    The position of a program in the events.
    """

    def __init__(
        self,
        streams: Streams,
        form: Format,
        places: Collection[Place],
        number: int,
        write: Callable[[bytes], object],
        finish: Callable[[], object],
    ) -> None:
        """
        @param places: The groups to tell about; all, if it is empty.
        @param number: The number of the next event.
        @param write: Writes to the program.
        @param finish: Ends the stream when everything is written, or after some time.
        """
        self.form = form
        self.places = places
        self.number = number
        self.isWaiting = True
        self.isIdle = True
        self._streams = streams
        self._write = write
        self._finish = finish
        self._isPaused = self._isOver = False
        self._head: Iterator[bytes] = iter(())
        self._covered: dict[Place, int] = {}

    @property
    def canWrite(self) -> bool:
        """
        Whether its socket takes something now, and it is known what comes next.
        """
        return not (self._isPaused or self._isOver or self.isWaiting)

    def begin(self, head: Iterator[bytes], covered: dict[Place, int]) -> None:
        """
        Begin to write.

        @param head: What to write first.
        @param covered: For each group, the number of the last event that this includes.
        """
        self._head = head
        self._covered = covered
        self.isWaiting = False

    def serve(self, log: EventLog) -> bool:
        """
        Write some events.

        @return: Whether there are more.
        """
        pieces = [piece for piece, _ in zip(self._head, range(_BATCH), strict=False)]
        if not pieces:
            records = log.since(self.number, _BATCH)
            self.number += len(records)
            for record in records:
                if record.place is not None:
                    if record.number <= self._covered.get(record.place, 0):
                        continue
                    if not concerns(record, self.places):
                        continue
                word = record.occurrence.kind.value
                identity = log.identity(record.number)
                pieces.append(self.form.event(word, identity, log.json(record)))
            if not records:
                return False
        if pieces:
            self.isIdle = False
            self._write(b"".join(pieces))
        return True

    def signOfLife(self) -> None:
        """
        Write something that is no event, unless there were events lately.
        """
        if self.isIdle and self.canWrite:
            self._write(self.form.signOfLife)
        self.isIdle = True

    def end(self, word: str = "", reason: str = "", text: str = "") -> None:
        """
        End the stream.

        @param word: The last event; an empty string for none.
        """
        if self._isOver:
            return
        self._isOver = True
        if word:
            log = self._streams.log
            identity = log.identity(self.number - 1)
            json = log.own(word, reason, text, self.number - 1)
            self._write(self.form.event(word, identity, json))
        self._streams.remove(self)
        self._finish()

    def gone(self) -> None:
        """
        Handle that the program has closed its side.
        """
        self._isOver = True
        self._streams.remove(self)

    def pauseProducing(self) -> None:
        self._isPaused = True

    def resumeProducing(self) -> None:
        self._isPaused = False
        self._streams.wake(self)

    def stopProducing(self) -> None:
        self.gone()


class Streams:
    """
    The readers of a process.

    @ivar log: The events.
    """

    _log = Logger()

    def __init__(self, carp: CARPService, reactor: IReactorTime) -> None:
        self.log = EventLog(carp.platform.wallSeconds, self._happened)
        self._reactor = reactor
        self._readers: dict[Reader, None] = {}
        #: Those that may have something to write, in this order.
        self._ready: dict[Reader, None] = {}
        self._isScheduled = self._hasNews = False
        self._beat: IDelayedCall | None = None
        self._snapshots: Gathering[tuple[Place, int, bytes]] = Gathering(
            reactor, lambda: [partial(self._state, host) for host in carp.virtualHosts]
        )
        carp.addOccurrenceObserver(self.log)

    @property
    def isFull(self) -> bool:
        """
        Whether there are as many readers as there may be.
        """
        return len(self._readers) >= MOST_READERS

    def open(
        self,
        form: Format,
        places: Collection[Place],
        identity: str,
        write: Callable[[bytes], object],
        finish: Callable[[], object],
    ) -> Reader:
        """
        Add a reader.  It gets the present state of its groups first or, if possible, what it has
        missed.

        @param identity: The C{id} of the last event that it knows; an empty string for none.
        """
        missed = self.log.after(identity)
        number = self.log.last + 1 if missed is None else missed
        reader = Reader(self, form, places, number, write, finish)
        self._readers[reader] = None
        if self._beat is None:
            self._beat = self._reactor.callLater(KEEP_ALIVE, self._signsOfLife)
        if missed is None:
            found = self._snapshots.gather()
            found.addCallback(lambda states: self._begin(reader, states))
            found.addErrback(self._failed, reader)
        else:
            words = "here is what happened since the last event"
            reader.begin(iter([self._listening(reader, "resumed", words)]), {})
            self.wake(reader)
        return reader

    def remove(self, reader: Reader) -> None:
        """
        Forget a reader.
        """
        self._readers.pop(reader, None)
        self._ready.pop(reader, None)
        if not self._readers and self._beat is not None:
            self._beat.cancel()
            self._beat = None

    def farewell(self) -> Deferred[None]:
        """
        End all streams, soon enough for a process that ends, and late enough for what happens in
        the meantime.

        @return: Fires when they have ended.
        """
        if not self._readers:
            return succeed(None)
        return deferLater(self._reactor, LAST_WORDS, self.end)

    def end(self) -> None:
        """
        End all streams.
        """
        for reader in list(self._readers):
            reader.end()

    def wake(self, reader: Reader) -> None:
        """
        Serve a reader soon.
        """
        self._ready[reader] = None
        self._schedule()

    def _state(self, host: VirtualHost) -> tuple[Place, int, bytes]:
        status = host.status()
        return (status.interface, status.vhid), self.log.last, self.log.state(status)

    def _begin(self, reader: Reader, states: tuple[tuple[Place, int, bytes], ...]) -> None:
        form, places = reader.form, reader.places
        said = [state for place, _, state in states if not places or place in places]
        head = [form.event("state", "", state) for state in said]
        words = "this is the present state of all groups; what happens follows"
        head.append(self._listening(reader, "snapshot", words))
        reader.begin(iter(head), {place: number for place, number, _ in states})
        self.wake(reader)

    def _listening(self, reader: Reader, reason: str, text: str) -> bytes:
        number = reader.number - 1
        json = self.log.own("listening", reason, text, number)
        return reader.form.event("listening", self.log.identity(number), json)

    def _failed(self, failure: Failure, reader: Reader) -> None:
        self._log.failure("Internal error while a stream of events began", failure)
        reader.end()

    def _happened(self) -> None:
        if self._readers:
            self._hasNews = True
            self._schedule()

    def _schedule(self) -> None:
        if not self._isScheduled:
            self._isScheduled = True
            self._reactor.callLater(0, self._turn)

    def _turn(self) -> None:
        """
        Serve one reader.
        """
        self._isScheduled = False
        if self._hasNews:
            self._hasNews = False
            self._dropSlow()
            self._ready.update(self._readers)
        while self._ready:
            reader = next(iter(self._ready))
            del self._ready[reader]
            if reader.canWrite:
                if reader.serve(self.log):
                    self._ready[reader] = None
                break
        if self._ready:
            self._schedule()

    def _dropSlow(self) -> None:
        """
        End the streams of readers that were too slow.
        """
        first = self.log.first
        for reader in [one for one in self._readers if one.number < first]:
            words = "this reader was too slow: events were dropped, and the stream ends here"
            reader.end("lagging", "too-slow", words)

    def _signsOfLife(self) -> None:
        self._beat = self._reactor.callLater(KEEP_ALIVE, self._signsOfLife)
        for reader in list(self._readers):
            reader.signOfLife()
