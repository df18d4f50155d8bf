"""
Requests and their answers: numbered, in order, and not too many at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import TypeAlias

import attrs
from twisted.internet.defer import Deferred, succeed

from txcarp.netlink import format as wire
from txcarp.netlink.format import Message, Request

#: The most requests under way at once.  Their answers fit into the receive buffer beside a
#: burst of events.
_WINDOW = 32

_DUMP_ATTEMPTS = 5

#: How often to send a request that may be carried out twice, while its answers are lost.
ATTEMPTS = 3


class NetlinkClosed(ConnectionError):
    """
    The netlink socket is closed.  Whether the kernel carried the request out is unknown.
    """

    def __init__(self) -> None:
        super().__init__("the netlink socket is closed")


class AnswerLost(ConnectionError):
    """
    The kernel dropped messages that did not fit into the receive buffer, the answer among
    them.  Whether it carried the request out is unknown.
    """

    def __init__(self) -> None:
        super().__init__("netlink messages were lost, the answer among them")


#: What became of a request: the messages of the answer, or the kernel's error, L{NetlinkClosed} or
#: L{AnswerLost}.
Outcome: TypeAlias = "list[Message] | OSError"


@attrs.define(eq=False)
class _Batch:
    """
    Requests of one caller.

    @ivar answer: Fires with the outcomes of all requests, in their order.
    @ivar outcomes: Those that are known, by the place of the request.
    @ivar size: The number of requests.
    """

    size: int
    answer: Deferred[list[Outcome]] = attrs.field(factory=Deferred)
    outcomes: dict[int, Outcome] = attrs.field(factory=dict)

    def ended(self, place: int, outcome: Outcome) -> None:
        """
        Note the outcome of a request.
        """
        self.outcomes[place] = outcome
        if len(self.outcomes) == self.size:
            self.answer.callback([self.outcomes[one] for one in range(self.size)])


@attrs.define(eq=False)
class _Exchange:
    """
    A request and what was received for it.

    @ivar place: The place of the request in its batch.
    @ivar interrupted: Whether the list changed while the kernel sent it.
    @ivar isQuiet: Whether the kernel answers only if there is an error.
    """

    request: Request
    batch: _Batch
    place: int
    attempts: int = 1
    interrupted: bool = False
    isQuiet: bool = False
    messages: list[Message] = attrs.field(factory=list)


class Conversation:
    """
    The requests that are queued, and those that have been sent and have no answer.
    """

    def __init__(self, send: Callable[[bytes], object]) -> None:
        """
        @param send: Sends a datagram; raises C{OSError} if the kernel refuses it.
        """
        self._sendDatagram = send
        self._port: int | None = None
        self._sequence = 0
        self._queue: deque[_Exchange] = deque()
        self._sent: dict[int, _Exchange] = {}
        self._dumping = False
        self._lost = False
        self._gathering = False

    def __enter__(self) -> None:
        """
        Send nothing until the end of this context.
        """
        self._gathering = True

    def __exit__(self, *_: object) -> None:
        self._gathering = False
        self.send()

    def open(self, port: int) -> None:
        """
        Begin.

        @param port: The netlink port of the socket, which is in the answers to it.
        """
        self._port = port

    def close(self) -> None:
        """
        End.  Requests without an answer fail with L{NetlinkClosed} before this returns.
        """
        self._port = None
        self._dumping = self._lost = False
        unanswered = [*self._sent.values(), *self._queue]
        self._sent.clear()
        self._queue.clear()
        for exchange in unanswered:
            exchange.batch.ended(exchange.place, NetlinkClosed())

    def ask(self, requests: Sequence[Request]) -> Deferred[list[Outcome]]:
        """
        Send requests in their order, after earlier ones.

        @return: Fires with the outcome of each request.  Those that are not sent when this is
            cancelled are never sent.
        """
        if self._port is None:
            return succeed([NetlinkClosed() for _ in requests])
        if not requests:
            return succeed([])
        batch = _Batch(len(requests))
        # All are queued before the first is sent, so that they share datagrams.
        self._queue.extend(
            _Exchange(request, batch, place) for place, request in enumerate(requests)
        )
        self.send()
        return batch.answer

    def send(self) -> None:
        """
        Send queued requests while the window has room.  The kernel carries requests out
        while they are sent, so this never waits, and their order is kept.
        """
        if self._gathering:
            return
        while self._port is not None and self._queue and len(self._sent) < _WINDOW:
            if self._queue[0].batch.answer.called:
                self._queue.popleft()  # cancelled before it was sent
                continue
            if self._queue[0].request.isDump:
                # The kernel sends one list at a time to a socket.
                if self._dumping:
                    return
                self._dumping = True
                batch = [self._queue.popleft()]
            else:
                batch = self._takeBatch(_WINDOW - len(self._sent))
            data = b"".join(self._numbered(one, one is batch[-1]) for one in batch)
            try:
                self._sendDatagram(data)
            except OSError as error:
                self._failAll(batch, error)

    def received(self, message: Message) -> bool:
        """
        Take a message if it belongs to an answer.

        @return: Whether it does; otherwise it is an event.
        """
        # An event that a request of this socket caused has the number of the request, too.
        exchange = self._sent.get(message.sequence) if message.port == self._port else None
        if message.type in (wire.NLMSG_ERROR, wire.NLMSG_DONE):
            if exchange is not None:
                self._ended(message, exchange)
            return True
        if exchange is None or not exchange.request.isQuestion:
            return False
        exchange.interrupted |= bool(message.flags & wire.NLM_F_DUMP_INTR)
        exchange.messages.append(message)
        return True

    def overrun(self) -> None:
        """
        Note that messages were lost.
        """
        self._lost = True

    def drained(self) -> None:
        """
        Note that nothing is left to read.  The kernel answers while a request is sent, so an
        answer that is still missing after an overrun will not come.
        """
        if self._lost:
            self._lost = False
            self._failAll(list(self._sent.values()), AnswerLost())

    def _takeBatch(self, room: int) -> list[_Exchange]:
        batch: list[_Exchange] = []
        for exchange in islice(self._queue, room):
            if exchange.request.isDump or exchange.batch.answer.called:
                break
            batch.append(exchange)
        for _ in batch:
            self._queue.popleft()
        return batch

    def _numbered(self, exchange: _Exchange, isLast: bool) -> bytes:
        """
        Number a request, and pack it.

        @param isLast: Whether it is the last one of its datagram.  The kernel reports each error,
            but success of the last one only, which shows that the others had none.
        """
        # 0 is the number of events that no request caused.
        self._sequence = self._sequence % 0xFFFFFFFF + 1
        self._sent[self._sequence] = exchange
        request = exchange.request
        exchange.isQuiet = not isLast and not request.isQuestion
        return request.packed(self._sequence, not exchange.isQuiet)

    def _ended(self, message: Message, exchange: _Exchange) -> None:
        if not exchange.request.isDump:
            # The kernel carries out one request after the other.
            for sequence, earlier in list(self._sent.items()):
                if earlier is exchange:
                    break
                if earlier.isQuiet:
                    self._finish(sequence, None)
        error = wire.readError(message)
        interrupted = exchange.interrupted or message.flags & wire.NLM_F_DUMP_INTR
        if error is None and exchange.request.isDump and interrupted:
            if exchange.attempts < _DUMP_ATTEMPTS:
                del self._sent[message.sequence]
                self._dumping = False
                # In front, so that no later request overtakes it.
                self._queue.appendleft(
                    _Exchange(
                        exchange.request, exchange.batch, exchange.place, exchange.attempts + 1
                    )
                )
                return
            error = OSError("the kernel's list changed each time while it was read")
        self._finish(message.sequence, error)

    def _failAll(self, exchanges: Sequence[_Exchange], error: OSError) -> None:
        for sequence, exchange in list(self._sent.items()):
            # An errback may close this.
            if exchange in exchanges and sequence in self._sent:
                self._finish(sequence, error)

    def _finish(self, sequence: int, error: OSError | None) -> None:
        exchange = self._sent.pop(sequence)
        if exchange.request.isDump:
            self._dumping = False
        exchange.batch.ended(exchange.place, exchange.messages if error is None else error)
