"""
A conversation with the kernel about links and addresses, on one read descriptor.

Works on every reactor that can watch a descriptor (C{IReactorFDSet}).
"""

from __future__ import annotations

import socket
from collections.abc import Sequence

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txcarp.interfaces import IAddressObserver
from txcarp.links import Address, Link
from txcarp.netlink import format as wire
from txcarp.netlink.conversation import Conversation
from txcarp.netlink.format import Message, NetlinkError, Request
from txcarp.netlink.messages import getAddresses, getLinks, parseAddress, parseAll, parseLink
from txcarp.netlink.news import ILinkNews, News
from txcarp.netlink.socket import openSocket

_BUFFER = 65536
"""Bytes: twice what the kernel puts into one datagram."""

_DATAGRAMS_A_TURN = 16
_RTMGRP_LINK, _RTMGRP_IPV4_IFADDR, _RTMGRP_IPV6_IFADDR = 0x1, 0x10, 0x100


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
        self._conversation = Conversation(self._sendDatagram)
        self._news = News(lambda: self._socket is not None)

    def start(self) -> None:
        """
        Open the socket, in the network namespace of this moment, and begin to read.
        Does nothing when already started.

        @raise OSError: when the kernel has no netlink, or descriptors ran out.
        """
        if self._socket is not None:
            return
        self._socket = openSocket(_RTMGRP_LINK | _RTMGRP_IPV4_IFADDR | _RTMGRP_IPV6_IFADDR)
        self._conversation.open(self._socket.getsockname()[0])
        self._reactor.addReader(self)

    def stop(self) -> None:
        """
        Close the socket.  What waits for an answer fails with
        L{NetlinkClosed<txcarp.netlink.conversation.NetlinkClosed>} before this returns;
        after that neither a Deferred fires nor is an observer called.
        """
        if self._socket is None:
            return
        self._reactor.removeReader(self)
        self._socket.close()
        self._socket = None
        self._conversation.close()

    def request(self, request: Request) -> Deferred[None]:
        """
        Ask for one thing that is not a list.

        @return: fires when it is done; fails with an C{OSError} that has the kernel's
            C{errno} and words, or one of those of L{txcarp.netlink.conversation}.
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
        for answer in self._conversation.ask(requests):
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
        self._news.linkObservers.append(observer)

    def removeLinkObserver(self, observer: ILinkNews) -> None:
        """
        Tell C{observer} nothing more about links.
        """
        self._news.linkObservers.remove(observer)

    def addAddressObserver(self, observer: IAddressObserver) -> None:
        """
        Tell C{observer} about addresses from now on.
        """
        self._news.addressObservers.append(observer)

    def removeAddressObserver(self, observer: IAddressObserver) -> None:
        """
        Tell C{observer} nothing more about addresses.
        """
        self._news.addressObservers.remove(observer)

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
                self._conversation.drained()
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
        self._conversation.send()

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
        self._conversation.drained()
        self._conversation.send()

    def _ask(self, request: Request) -> Deferred[list[Message]]:
        return self._conversation.ask((request,))[0]

    def _sendDatagram(self, data: bytes) -> None:
        if self._socket is not None:
            self._socket.send(data)

    def _datagramReceived(self, data: bytes) -> None:
        try:
            for message in wire.readMessages(data):
                if self._socket is None:
                    return
                if not self._conversation.received(message):
                    self._news.received(message)
        except NetlinkError as error:
            self.malformed += 1
            self._log.error("netlink: {error}", error=error)

    def _overrun(self) -> None:
        self.overruns += 1
        self._conversation.overrun()
        self._news.uncertain()
