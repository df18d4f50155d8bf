# Tests: tests.network.test_netlink
"""
A conversation with the kernel about links and addresses, on one read descriptor.

Works on every reactor that can watch a descriptor (C{IReactorFDSet}).
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import TypeVar

import attrs
from twisted.internet.defer import Deferred, fail, gatherResults
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import Interface, implementer

from txcarp.interfaces import IAddressObserver
from txcarp.network import netlinkformat as wire
from txcarp.network.netlinkformat import Message, NetlinkError, Request
from txcarp.network.netlinksocket import openSocket
from txcarp.network.rtnetlink import (
    RTM_DELADDR,
    RTM_DELLINK,
    RTM_NEWADDR,
    RTM_NEWLINK,
    Address,
    Link,
    getAddresses,
    getLinks,
    parseAddress,
    parseAll,
    parseLink,
)

_T = TypeVar("_T")

_BUFFER = 65536
"""Bytes: twice what the kernel puts into one datagram."""

_DATAGRAMS_A_TURN = 16
_WINDOW = 32
"""Requests under way at once: their answers fit into the receive queue beside a burst of events."""

_DUMP_ATTEMPTS = 5
_RTMGRP_LINK, _RTMGRP_IPV4_IFADDR, _RTMGRP_IPV6_IFADDR = 0x1, 0x10, 0x100


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


class ILinkNews(Interface):
    """
    Who is told what the kernel says about every link.
    """

    def linkSeen(link: Link, present: bool) -> None:
        """
        A link is as C{link} says, or (not C{present}) was deleted.  Also called when
        nothing of interest is different.
        """

    def linksUncertain() -> None:
        """
        Messages were lost; only a fresh list of the links tells what is true.
        """


@attrs.define(eq=False)
class _Waiting:
    request: Request
    answer: Deferred[list[Message]]
    attempts: int = 1
    interrupted: bool = False
    messages: list[Message] = attrs.field(factory=list)


@implementer(IReadDescriptor)
class Netlink:
    """
    Requests answered by Deferreds, and news for observers.

    Requests are carried out in the order of the calls.  Observers are told in the order
    in which the kernel said things; an observer that raises is logged and does not
    disturb the others.

    @ivar malformed: how many datagrams did not parse.
    @ivar overruns: how many times messages were lost.
    """

    _log = Logger()

    def __init__(self, reactor: IReactorFDSet) -> None:
        self.malformed = 0
        self.overruns = 0
        self._reactor = reactor
        self._socket: socket.socket | None = None
        self._port = 0
        self._sequence = 0
        self._queue: deque[_Waiting] = deque()
        self._waiting: dict[int, _Waiting] = {}
        self._dumping = False
        self._lost = False
        self._linkObservers: list[ILinkNews] = []
        self._addressObservers: list[IAddressObserver] = []

    def start(self) -> None:
        """
        Open the socket, in the network namespace of this moment, and begin to read.
        Does nothing when already started.

        @raise OSError: when the kernel has no netlink, or descriptors ran out.
        """
        if self._socket is not None:
            return
        self._socket = openSocket(_RTMGRP_LINK | _RTMGRP_IPV4_IFADDR | _RTMGRP_IPV6_IFADDR)
        self._port = self._socket.getsockname()[0]
        self._reactor.addReader(self)

    def stop(self) -> None:
        """
        Close the socket.  What waits for an answer fails with L{NetlinkClosed} before
        this returns; after that neither a Deferred fires nor is an observer called.
        """
        if self._socket is None:
            return
        self._reactor.removeReader(self)
        self._socket.close()
        self._socket = None
        self._dumping = self._lost = False
        unanswered = [*self._waiting.values(), *self._queue]
        self._waiting.clear()
        self._queue.clear()
        for waiting in unanswered:
            waiting.answer.errback(NetlinkClosed())

    def request(self, request: Request) -> Deferred[None]:
        """
        Ask for one thing that is not a list.

        @return: fires when it is done; fails with an C{OSError} that has the kernel's
            C{errno} and words, or a L{NetlinkClosed} or L{AnswerLost}.
        """
        return self._ask(request).addCallback(lambda messages: None)

    def requestAll(self, requests: Sequence[Request]) -> Deferred[list[OSError | None]]:
        """
        Ask for several things at the cost of one, in their order; each is tried,
        whatever becomes of the others.

        @return: fires with what became of each: C{None}, or the error that L{request}
            would fail with.
        """

        def outcome(failure: Failure) -> OSError:
            if not isinstance(failure.value, OSError):
                failure.raiseException()
            error: OSError = failure.value
            return error

        answers: list[Deferred[OSError | None]] = []
        # All are queued before the first is sent, so that they leave together.
        for answer in self._askAll(requests):
            answers.append(answer.addCallbacks(lambda messages: None, outcome))
        return gatherResults(answers)

    def dumpLinks(self) -> Deferred[list[Link]]:
        """
        List every link.

        What observers heard since this was called is newer than the list.
        """
        return self._ask(getLinks()).addCallback(parseAll, parseLink)

    def dumpAddresses(self, family: int = socket.AF_UNSPEC) -> Deferred[list[Address]]:
        """
        List every address, of one family or of all.

        What observers heard since this was called is newer than the list.
        """
        return self._ask(getAddresses(family)).addCallback(parseAll, parseAddress)

    def addLinkObserver(self, observer: ILinkNews) -> None:
        """
        Tell C{observer} about links from now on.
        """
        self._linkObservers.append(observer)

    def removeLinkObserver(self, observer: ILinkNews) -> None:
        """
        Tell C{observer} nothing more about links.
        """
        self._linkObservers.remove(observer)

    def addAddressObserver(self, observer: IAddressObserver) -> None:
        """
        Tell C{observer} about addresses from now on.
        """
        self._addressObservers.append(observer)

    def removeAddressObserver(self, observer: IAddressObserver) -> None:
        """
        Tell C{observer} nothing more about addresses.
        """
        self._addressObservers.remove(observer)

    def fileno(self) -> int:
        """
        See C{IReadDescriptor}.
        """
        return -1 if self._socket is None else self._socket.fileno()

    def logPrefix(self) -> str:
        """
        See C{IReadDescriptor}.
        """
        return "netlink"

    def doRead(self) -> None:
        """
        Take what the kernel said, a bounded amount at a time.
        """
        for _ in range(_DATAGRAMS_A_TURN):
            if self._socket is None:
                return
            try:
                data, _, flags, sender = self._socket.recvmsg(_BUFFER)
            except (BlockingIOError, InterruptedError):
                self._drained()
                break
            except OSError:
                self._overrun()
                continue
            if sender[0] != 0:
                # Any process may write to this socket; only the kernel has port 0.
                continue
            if flags & socket.MSG_TRUNC:
                self._overrun()
                continue
            self._datagramReceived(data)
        self._send()

    def connectionLost(self, reason: Failure) -> None:
        """
        The reactor gave this descriptor up.  It does so for an error that is reported
        while nothing is readable, which is how the kernel says that messages were lost:
        reading goes on then.
        """
        if self._socket is None:
            return
        if not isinstance(reason.value, ConnectionDone):
            self.stop()
            return
        self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self._reactor.addReader(self)
        self._overrun()
        self._drained()
        self._send()

    def _ask(self, request: Request) -> Deferred[list[Message]]:
        return self._askAll((request,))[0]

    def _askAll(self, requests: Sequence[Request]) -> list[Deferred[list[Message]]]:
        if self._socket is None:
            return [fail(NetlinkClosed()) for _ in requests]
        waiting = [_Waiting(request, Deferred()) for request in requests]
        self._queue.extend(waiting)
        self._send()
        return [each.answer for each in waiting]

    def _send(self) -> None:
        """
        Send what the window has room for.  The kernel carries requests out while they
        are sent, so that this never has to wait, and the order is kept.
        """
        while self._socket is not None and self._queue and len(self._waiting) < _WINDOW:
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
                self._socket.send(data)
            except OSError as error:
                self._refused(batch, error)

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

    def _datagramReceived(self, data: bytes) -> None:
        try:
            for message in wire.readMessages(data):
                if self._socket is None:
                    return
                self._messageReceived(message)
        except NetlinkError as error:
            self.malformed += 1
            self._log.error("netlink: {error}", error=error)

    def _messageReceived(self, message: Message) -> None:
        # An event that this socket's own request caused has the request's number, too.
        waiting = self._waiting.get(message.sequence) if message.port == self._port else None
        if message.type in (wire.NLMSG_ERROR, wire.NLMSG_DONE):
            if waiting is not None:
                self._ended(message, waiting)
        elif waiting is not None and waiting.request.isDump:
            waiting.interrupted |= bool(message.flags & wire.NLM_F_DUMP_INTR)
            waiting.messages.append(message)
        elif message.type in (RTM_NEWLINK, RTM_DELLINK):
            link = parseLink(message)
            if link is not None:
                self._tell(
                    self._linkObservers,
                    lambda observer: observer.linkSeen(link, message.type == RTM_NEWLINK),
                )
        elif message.type in (RTM_NEWADDR, RTM_DELADDR):
            address = parseAddress(message)
            present = message.type == RTM_NEWADDR
            self._tell(
                self._addressObservers,
                lambda observer: observer.addressChanged(address, present),
            )

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

    def _overrun(self) -> None:
        self.overruns += 1
        self._lost = True
        self._tell(self._linkObservers, lambda observer: observer.linksUncertain())
        self._tell(self._addressObservers, lambda observer: observer.addressesUncertain())

    def _drained(self) -> None:
        """
        Nothing is left to read.  The kernel answers while it is asked, so an answer
        that is still missing after an overrun will not come.
        """
        if self._lost:
            self._lost = False
            for sequence in list(self._waiting):
                if sequence in self._waiting:
                    self._finish(sequence, AnswerLost())

    def _tell(self, observers: Sequence[_T], call: Callable[[_T], None]) -> None:
        for observer in list(observers):
            if self._socket is None or observer not in observers:
                continue
            try:
                call(observer)
            except Exception:
                self._log.failure("{observer!r} failed", observer=observer)
