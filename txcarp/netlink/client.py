"""
Netlink on the reactor: requests with answers, and the kernel's events about links and
addresses.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReactorFDSet
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import Interface

from txcarp.interfaces import IAddressObserver
from txcarp.links import InterfaceAddress, Link
from txcarp.netlink import format as wire
from txcarp.netlink.blocking import openNetlinkSocket
from txcarp.netlink.conversation import AnswerLost, Conversation, NetlinkClosed, Outcome
from txcarp.netlink.format import Message, NetlinkError, Request
from txcarp.netlink.messages import (
    RTM_DELADDR,
    RTM_DELLINK,
    RTM_NEWADDR,
    RTM_NEWLINK,
    getAddresses,
    getLinks,
    ipv6LinkOf,
    outlineAddress,
    parseAddress,
    parseAll,
    parseLink,
)
from txcarp.netlink.routes import NOWHERE, getRoute, nextHops
from txcarp.socketreader import SocketReader

#: Bytes to read of one datagram: twice what the kernel puts into it.
_MAXIMUM_DATAGRAM = 65536

#: Events about links, about addresses of both families, and about IPv6 on a link.  The kernel
#: sends the last when IPv6 is switched on, and none when it is switched off, but then it removes
#: the addresses.
_GROUPS = 0x1 | 0x10 | 0x100 | 0x800

_Observer = TypeVar("_Observer")


class ILinkEventObserver(Interface):
    """
    Observes the kernel's events about all links.
    """

    def linkEvent(link: Link, present: bool) -> None:
        """
        Handle that a link has these properties, or was deleted (C{present} is false).  The
        kernel also sends events that change nothing of interest.
        """

    def linkEventsLost() -> None:
        """
        Handle that events were lost: only a fresh list of the links is true.
        """


class Netlink(SocketReader[bytes]):
    """
    One netlink socket.  Requests are carried out in the order of the calls.

    Observers are called in the order of the kernel's events.  An observer that raises is
    logged, and the others are called all the same.

    With each renewal of a lease, the kernel sends an event to everybody, also to the one that asked
    for it.  An event that says the same of an address as the last one is dropped before it is
    parsed.

    @ivar malformed: The number of datagrams that did not parse.
    @ivar overruns: The number of times that messages were lost.
    @ivar lists: The number of times that links or addresses were listed.
    """

    _log = Logger()

    messagesPerTurn = 16

    def __init__(self, reactor: IReactorFDSet) -> None:
        super().__init__(reactor, "netlink")
        self.malformed = 0
        self.overruns = 0
        self.lists = 0
        self._conversation = Conversation(self._send)
        self._linkObservers: list[ILinkEventObserver] = []
        self._addressObservers: list[IAddressObserver] = []
        #: The last event about each address; see L{outlineAddress}.
        self._lastEvents: dict[bytes, bytes] = {}

    def start(self) -> None:
        """
        Open the socket, in the network namespace of the calling thread, and begin to read.
        Does nothing if it is open.

        @raise OSError: If the kernel has no netlink, or this process no descriptor left.
        """
        if self._socket is None:
            self._socket = openNetlinkSocket(_GROUPS)
            self._conversation.open(self._socket.getsockname()[0])
            self.startReading()

    def stop(self) -> None:
        """
        Close the socket.  Requests without an answer fail with
        L{NetlinkClosed<txcarp.netlink.conversation.NetlinkClosed>} before this returns;
        no Deferred fires and no observer is called after it.
        """
        super().stop()
        self._lastEvents.clear()
        self._conversation.close()

    def request(self, request: Request) -> Deferred[None]:
        """
        Send one request that does not ask for a list.

        @return: Fires when the kernel has carried it out; fails with the kernel's
            C{OSError}, or with an error of L{txcarp.netlink.conversation}.
        """
        return self._ask(request).addCallback(lambda messages: None)

    def requestAll(self, requests: Sequence[Request]) -> Deferred[list[OSError | None]]:
        """
        Send several requests in as few system calls as possible.  The kernel carries out
        each of them in order, also after one that failed.

        @return: Fires with one result for each request: C{None}, or the error with which
            L{request} would fail.
        """
        return self._conversation.ask(requests).addCallback(
            lambda outcomes: [one if isinstance(one, OSError) else None for one in outcomes]
        )

    @property
    def gathering(self) -> AbstractContextManager[object]:
        """
        A context at whose end all requests that were made in it are sent together.
        """
        return self._conversation

    def dumpLinks(self) -> Deferred[list[Link]]:
        """
        List all links.  Events that arrive after this call are newer than the list.
        """
        self.lists += 1
        return self._ask(getLinks()).addCallback(parseAll, parseLink)

    def dumpAddresses(self, family: int = socket.AF_UNSPEC) -> Deferred[list[InterfaceAddress]]:
        """
        List the addresses of one family, or of all.  Events that arrive after this call are
        newer than the list.
        """
        self.lists += 1
        self._lastEvents.clear()  # the list may replace what they said
        return self._ask(getAddresses(family)).addCallback(parseAll, parseAddress)

    def nextHops(self, index: int) -> Deferred[list[bytes]]:
        """
        Find the next hops of the default routes on an interface, of both families.  This asks for
        the routes that the kernel would use now, by its policy rules as well, and never reads the
        table, which may have a million routes.
        """

        def hopsIn(outcomes: list[Outcome]) -> list[bytes]:
            found = []
            for outcome in outcomes:
                if not isinstance(outcome, OSError):
                    found += [hop for message in outcome for hop in nextHops(message, index)]
                elif isinstance(outcome, NetlinkClosed | AnswerLost):
                    raise outcome
            return found

        requests = [getRoute(one, index) for one in NOWHERE]
        return self._conversation.ask(requests).addCallback(hopsIn)

    def addLinkObserver(self, observer: ILinkEventObserver) -> None:
        """
        Report events about links to an observer.
        """
        self._linkObservers.append(observer)

    def removeLinkObserver(self, observer: ILinkEventObserver) -> None:
        """
        Undo L{addLinkObserver}.
        """
        self._linkObservers.remove(observer)

    def addAddressObserver(self, observer: IAddressObserver) -> None:
        """
        Report events about addresses to an observer.
        """
        self._addressObservers.append(observer)

    def removeAddressObserver(self, observer: IAddressObserver) -> None:
        """
        Undo L{addAddressObserver}.
        """
        self._addressObservers.remove(observer)

    def doRead(self) -> None:
        super().doRead()
        self._conversation.send()

    def receive(self, sock: socket.socket) -> bytes | None:
        data, _, flags, sender = sock.recvmsg(_MAXIMUM_DATAGRAM)
        if sender[0] != 0:
            return None  # any process may write to this socket; only the kernel has port 0
        if flags & socket.MSG_TRUNC:
            raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))
        return data

    def messageReceived(self, datagram: bytes) -> None:
        try:
            for message in wire.readMessages(datagram):
                if self._socket is None:
                    return
                if not self._conversation.received(message):
                    self._eventReceived(message)
        except NetlinkError as error:
            self.malformed += 1
            self._log.error("Dropped a malformed netlink datagram: {error}", error=error)

    def readFailed(self, error: OSError) -> None:
        self._overrun()

    def drained(self) -> None:
        self._conversation.drained()

    def connectionLost(self, reason: Failure) -> None:
        """
        See C{IReadDescriptor}.  The reactor gives a descriptor up when an error is reported
        while nothing is readable.  The kernel may report so that messages were lost; then
        the reading goes on.
        """
        if self._socket is None:
            return
        if not isinstance(reason.value, ConnectionDone):
            self.stop()
            return
        self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self.startReading()
        self._overrun()
        self._conversation.drained()
        self._conversation.send()

    def _ask(self, request: Request) -> Deferred[list[Message]]:
        return self._conversation.ask((request,)).addCallback(_only)

    def _send(self, data: bytes) -> None:
        if self._socket is not None:
            self._socket.send(data)

    def _overrun(self) -> None:
        self.overruns += 1
        self._lastEvents.clear()
        self._conversation.overrun()
        self._notify(self._linkObservers, lambda observer: observer.linkEventsLost())
        self._notify(self._addressObservers, lambda observer: observer.addressesUncertain())

    def _eventReceived(self, message: Message) -> None:
        present = message.type in (RTM_NEWLINK, RTM_NEWADDR)
        if message.type in (RTM_NEWLINK, RTM_DELLINK):
            link = parseLink(message)
            if link is not None:
                self._notify(
                    self._linkObservers, lambda observer: observer.linkEvent(link, present)
                )
            elif present and (index := ipv6LinkOf(message)) is not None:
                self._notify(self._addressObservers, lambda observer: observer.ipv6Changed(index))
        elif message.type in (RTM_NEWADDR, RTM_DELADDR):
            key, content = outlineAddress(message)
            if not present:
                self._lastEvents.pop(key, None)
            elif self._lastEvents.get(key) == content:
                return
            address = parseAddress(message)
            if present:
                self._lastEvents[key] = content
            self._notify(
                self._addressObservers, lambda observer: observer.addressChanged(address, present)
            )

    def _notify(self, observers: list[_Observer], call: Callable[[_Observer], None]) -> None:
        for observer in list(observers):
            # An observer may stop this, or remove another observer.
            if self._socket is None or observer not in observers:
                continue
            try:
                call(observer)
            except Exception:
                self._log.failure("The observer {observer!r} failed", observer=observer)


def _only(outcomes: list[Outcome]) -> list[Message]:
    """
    Return the answer to one request.
    """
    [outcome] = outcomes
    if isinstance(outcome, OSError):
        raise outcome
    return outcome
