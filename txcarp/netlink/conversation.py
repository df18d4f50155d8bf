"""
What is asked of the kernel, and the answers: numbered, in order, and not too much at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice

import attrs
from twisted.internet.defer import Deferred, fail

from txcarp.netlink import format as wire
from txcarp.netlink.format import Message, Request

_WINDOW = 32
"""Requests under way at once: their answers fit into the receive queue beside a burst of events."""

_DUMP_ATTEMPTS = 5

ATTEMPTS = 3
"""How often something that may be done twice is asked for, as long as its answers are lost."""


class NetlinkClosed(ConnectionError):
    """
    The conversation is not, or no longer, under way; whether the kernel did what was
    asked is unknown.
    """

    def __init__(self) -> None:
        super().__init__("the netlink socket is closed")


class AnswerLost(ConnectionError):
    """
    The kernel had more to say than the receive queue holds, and the answer was among
    what it dropped; whether it did what was asked is unknown.
    """

    def __init__(self) -> None:
        super().__init__("netlink messages were lost, the answer among them")


@attrs.define(eq=False)
class _Waiting:
    request: Request
    answer: Deferred[list[Message]]
    attempts: int = 1
    interrupted: bool = False
    messages: list[Message] = attrs.field(factory=list)


class Conversation:
    """
    Requests that wait to be sent, and those that wait for an answer.
    """

    def __init__(self, send: Callable[[bytes], object]) -> None:
        """
        @param send: Sends a datagram; raises C{OSError} if the kernel does not take it.
        """
        self._sendDatagram = send
        self._port: int | None = None
        self._sequence = 0
        self._queue: deque[_Waiting] = deque()
        self._waiting: dict[int, _Waiting] = {}
        self._dumping = False
        self._lost = False

    def open(self, port: int) -> None:
        """
        Begin.

        @param port: The netlink port of the socket, which answers are for.
        """
        self._port = port

    def close(self) -> None:
        """
        End.  What waits for an answer fails with L{NetlinkClosed} before this returns.
        """
        self._port = None
        self._dumping = self._lost = False
        unanswered = [*self._waiting.values(), *self._queue]
        self._waiting.clear()
        self._queue.clear()
        for waiting in unanswered:
            waiting.answer.errback(NetlinkClosed())

    def ask(self, requests: Sequence[Request]) -> list[Deferred[list[Message]]]:
        """
        Ask for several things, in their order, and after what was asked before.

        @return: For each what fires with the messages of its answer, or fails with the
            C{OSError} that the kernel says, or a L{NetlinkClosed} or L{AnswerLost}.
        """
        if self._port is None:
            return [fail(NetlinkClosed()) for _ in requests]
        waiting = [_Waiting(request, Deferred()) for request in requests]
        # All are queued before the first is sent, so that they leave together.
        self._queue.extend(waiting)
        self.send()
        return [each.answer for each in waiting]

    def send(self) -> None:
        """
        Send what the window has room for.  The kernel carries requests out while they
        are sent, so that this never has to wait, and the order is kept.
        """
        while self._port is not None and self._queue and len(self._waiting) < _WINDOW:
            if self._queue[0].answer.called:
                # Cancelled before it was sent.
                self._queue.popleft()
                continue
            if self._queue[0].request.isDump:
                # The kernel has room for one dump a socket.
                if self._dumping:
                    return
                self._dumping = True
                batch = [self._queue.popleft()]
            else:
                batch = self._takeBatch(_WINDOW - len(self._waiting))
            data = b"".join(self._numbered(waiting) for waiting in batch)
            try:
                self._sendDatagram(data)
            except OSError as error:
                self._refused(batch, error)

    def received(self, message: Message) -> bool:
        """
        Take a message if it answers something that was asked.

        @return: Whether it does; otherwise it is news.
        """
        # An event that this socket's own request caused has the request's number, too.
        waiting = self._waiting.get(message.sequence) if message.port == self._port else None
        if message.type in (wire.NLMSG_ERROR, wire.NLMSG_DONE):
            if waiting is not None:
                self._ended(message, waiting)
            return True
        if waiting is None or not waiting.request.isDump:
            return False
        waiting.interrupted |= bool(message.flags & wire.NLM_F_DUMP_INTR)
        waiting.messages.append(message)
        return True

    def overrun(self) -> None:
        """
        Messages were lost.
        """
        self._lost = True

    def drained(self) -> None:
        """
        Nothing is left to read.  The kernel answers while it is asked, so an answer
        that is still missing after an overrun will not come.
        """
        if self._lost:
            self._lost = False
            for sequence in list(self._waiting):
                if sequence in self._waiting:
                    self._finish(sequence, AnswerLost())

    def _takeBatch(self, room: int) -> list[_Waiting]:
        batch: list[_Waiting] = []
        for waiting in islice(self._queue, room):
            if waiting.request.isDump or waiting.answer.called:
                break
            batch.append(waiting)
        for _ in batch:
            self._queue.popleft()
        return batch

    def _numbered(self, waiting: _Waiting) -> bytes:
        # Events caused by nobody have number 0.
        self._sequence = self._sequence % 0xFFFFFFFF + 1
        self._waiting[self._sequence] = waiting
        return waiting.request.packed(self._sequence)

    def _refused(self, batch: Sequence[_Waiting], error: OSError) -> None:
        for sequence, waiting in list(self._waiting.items()):
            if waiting in batch:
                self._finish(sequence, error)

    def _ended(self, message: Message, waiting: _Waiting) -> None:
        error = wire.readError(message)
        interrupted = waiting.interrupted or message.flags & wire.NLM_F_DUMP_INTR
        if error is None and waiting.request.isDump and interrupted:
            if waiting.attempts < _DUMP_ATTEMPTS:
                del self._waiting[message.sequence]
                self._dumping = False
                # In front, so that nothing overtakes it.
                self._queue.appendleft(
                    _Waiting(waiting.request, waiting.answer, waiting.attempts + 1)
                )
                return
            error = OSError("the kernel's list changed each time while it was read")
        self._finish(message.sequence, error)

    def _finish(self, sequence: int, error: OSError | None) -> None:
        waiting = self._waiting.pop(sequence)
        if waiting.request.isDump:
            self._dumping = False
        if error is None:
            waiting.answer.callback(waiting.messages)
        else:
            waiting.answer.errback(error)
