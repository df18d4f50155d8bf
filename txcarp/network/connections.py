"""
Ends the TCP connections of addresses that leave this host.

A client of an address that has moved does not know that its connection is dead.  It finds out when
it sends something, since the new host knows nothing of the connection and resets it.  A client that
only waits for an answer waits for ever.  The kernel ends a connection on request
(C{SOCK_DESTROY}, Linux 4.5 and later with C{CONFIG_INET_DIAG_DESTROY}), and resets the client.
"""

from __future__ import annotations

import errno
import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import cast

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorFDSet, IReactorFromThreads
from zope.interface import implementer

from txcarp.interfaces import IConnections
from txcarp.netlink import format as wire
from txcarp.netlink import sockdiag
from txcarp.netlink.blocking import openNetlinkSocket
from txcarp.netlink.format import Message, NetlinkError
from txcarp.protocol.family import isLinkLocal
from txcarp.socketreader import SocketReader

#: Bytes to read of one part of the list: twice what the kernel puts into it, which are some
#: hundred connections.
_MAXIMUM_DATAGRAM = 65536

#: How many connections are ended before the reactor has its turn.  Each takes the kernel some ten
#: microseconds, and the card drops resets that come too fast.
_AT_ONCE = 50

#: How often the list is read at most.  A connection that ends makes the kernel leave out others
#: that come after it, and clients may make new ones all the time.
_PASSES = 10

#: The kernel's errors for a connection that has ended meanwhile.
_GONE = (errno.ENOENT, errno.ESTALE)

#: The numbers of requests for lists, and of requests to end connections.
_LISTING, _ENDING = 1, 2


@implementer(IConnections)
class Connections:
    """
    The TCP connections of this host, in the network namespace of the calling thread.
    """

    def __init__(self, reactor: IReactorFDSet) -> None:
        self._reactor = reactor

    def reset(self, addresses: Sequence[bytes], index: int | None) -> Deferred[int]:
        reset = _Reset(self._reactor, addresses, index)
        try:
            reset.start()
        except OSError as error:
            return fail(error)
        return reset.done

    def whyNot(self) -> Deferred[str]:
        probe = _Probe(self._reactor)
        try:
            probe.start()
        except OSError as error:
            return succeed(error.strerror or str(error))
        return probe.done


class _Conversation(SocketReader[bytes]):
    """
    A short conversation with the kernel, over a socket of its own.
    """

    #: One part of a list is some hundred connections.  To end them takes milliseconds, after
    #: which advertisements have their turn.
    messagesPerTurn = 1

    def __init__(self, reactor: IReactorFDSet) -> None:
        super().__init__(reactor, "sock_diag")

    def start(self) -> None:
        """
        @raise OSError: If the kernel has no such sockets, or this process no descriptor left.
        """
        self._socket = openNetlinkSocket(protocol=sockdiag.NETLINK_SOCK_DIAG)
        self.startReading()
        self.begin()

    def begin(self) -> None:
        """
        Send the first request.
        """

    def send(self, data: bytes) -> None:
        """
        Send requests.  The kernel carries them out before this returns.
        """
        if self._socket is not None:
            self._socket.send(data)

    def receive(self, sock: socket.socket) -> bytes | None:
        data, _, _, sender = sock.recvmsg(_MAXIMUM_DATAGRAM)
        return data if sender[0] == 0 else None  # the kernel's


class _Reset(_Conversation):
    """
    Ends the connections of some addresses.

    @ivar done: Fires with the number of connections.
    """

    def __init__(
        self, reactor: IReactorFDSet, addresses: Sequence[bytes], index: int | None
    ) -> None:
        super().__init__(reactor)
        self.done: Deferred[int] = Deferred(lambda _: self.stop())
        self._index = index
        self._targets = [
            (family, address) for address in addresses for family in sockdiag.familiesOf(address)
        ]
        self._left: deque[tuple[int, bytes]] = deque()
        self._passes = 0
        self._ended = self._found = 0
        #: What is to be ended before more of the list is read, and whether that part was the last.
        self._waiting: list[bytes] = []
        self._isLast = False
        self._error: OSError | None = None

    def begin(self) -> None:
        self._passes += 1
        self._found = 0
        self._left = deque(self._targets)
        self._next()

    def _next(self) -> None:
        """
        Ask for the next list.
        """
        if self._left:
            family, address = self._left[0]
            self.send(sockdiag.dump(_LISTING, family, address))
        elif self._found and self._passes < _PASSES:
            self.begin()
        else:
            self._finish()

    def messageReceived(self, message: bytes) -> None:
        try:
            self._read(message)
        except OSError as error:
            self._error = error
            self._finish()
        except NetlinkError as error:
            self._error = OSError(errno.EPROTO, str(error))
            self._finish()

    def _read(self, datagram: bytes) -> None:
        for message in wire.readMessages(datagram):
            if message.type in (wire.NLMSG_ERROR, wire.NLMSG_DONE):
                self._isLast |= message.sequence == _LISTING
                self._judge(message)
            elif message.sequence == _LISTING and self._left:
                connection = sockdiag.readConnection(message)
                if self._isOurs(connection):
                    self._waiting.append(connection)
        if self._waiting:
            # Its turn comes after those of all other sockets and timers.
            self._reactor.removeReader(self)
            self._later(self._endSome)
        else:
            self._goOn()

    def _endSome(self) -> None:
        """
        End some of the connections that were read, and read more when all are ended.
        """
        if self._socket is None:
            return
        some, self._waiting = self._waiting[:_AT_ONCE], self._waiting[_AT_ONCE:]
        self._found += len(some)
        self._ended += len(some)
        try:
            self.send(sockdiag.destroy(_ENDING, some))
        except OSError as error:
            self._error = error
        if self._waiting and self._error is None:
            self._later(self._endSome)
        else:
            self.startReading()
            self._goOn()

    def _goOn(self) -> None:
        """
        Finish, or ask for the next list, if this one is read.
        """
        if self._error is not None:
            self._finish()
        elif self._isLast:
            self._isLast = False
            self._left.popleft()
            self._next()

    def _later(self, call: Callable[[], None]) -> None:
        cast(IReactorFromThreads, self._reactor).callFromThread(call)

    def _isOurs(self, connection: bytes) -> bool:
        """
        Whether a connection is on our interface, if its address is of one interface only.
        """
        if not isLinkLocal(self._left[0][1]):
            return True
        return self._index is not None and sockdiag.interfaceOf(connection) == self._index

    def _judge(self, message: Message) -> None:
        error = wire.readError(message)
        if error is None:
            return
        if message.sequence == _LISTING:
            self._error = error
            return
        self._ended -= 1
        if error.errno not in _GONE:
            self._error = error

    def readFailed(self, error: OSError) -> None:
        """
        Messages were lost: read the list again, if the end of this one is not lost as well.
        """
        self._found += 1

    def lost(self) -> None:
        self._error = OSError(errno.EIO, "the reactor gave the socket up")
        self._finish()

    def _finish(self) -> None:
        self.stop()
        if self.done.called:
            return
        if self._error is None:
            self.done.callback(self._ended)
        else:
            self.done.errback(self._error)


class _Probe(_Conversation):
    """
    Finds out whether the kernel ends connections on request.

    @ivar done: Fires with the reason why it does not; with an empty string if it does.
    """

    def __init__(self, reactor: IReactorFDSet) -> None:
        super().__init__(reactor)
        self.done: Deferred[str] = Deferred(lambda _: self.stop())

    def begin(self) -> None:
        self.send(sockdiag.dumpNothing(_LISTING))

    def messageReceived(self, message: bytes) -> None:
        try:
            for one in wire.readMessages(message):
                if one.type in (wire.NLMSG_ERROR, wire.NLMSG_DONE):
                    self._judge(one, wire.readError(one))
        except (NetlinkError, OSError) as error:
            self._finish(str(error))

    def _judge(self, message: Message, error: OSError | None) -> None:
        if message.sequence == _ENDING:
            if error is None or error.errno in _GONE:
                self._finish("")
            elif error.errno == errno.EOPNOTSUPP:
                self._finish("this kernel lacks CONFIG_INET_DIAG_DESTROY")
            else:
                self._finish(error.strerror or str(error))
        elif error is None:
            self.send(sockdiag.destroyNothing(_ENDING))
        elif error.errno == errno.ENOENT:
            self._finish("this kernel lacks the module tcp_diag")
        else:
            self._finish(error.strerror or str(error))

    def lost(self) -> None:
        self._finish("the reactor gave the socket up")

    def _finish(self, why: str) -> None:
        self.stop()
        if not self.done.called:
            self.done.callback(why)
