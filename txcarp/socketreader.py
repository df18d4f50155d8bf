"""
Reading a socket on the reactor.
"""

from __future__ import annotations

import socket
from typing import Generic, TypeVar, cast

from twisted.internet.interfaces import IReactorFDSet, IReactorFromThreads, IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

_Message = TypeVar("_Message")


@implementer(IReadDescriptor)
class SocketReader(Generic[_Message]):
    """
    Reads the messages of one non-blocking socket, on any reactor that can watch a descriptor
    (C{IReactorFDSet}).

    A subclass implements L{receive} and L{messageReceived}, and the other hooks as it needs them.
    An error of the socket does not end the reading: C{ENETDOWN} while an interface is down,
    C{ENOBUFS} when the kernel had to drop netlink messages.
    """

    #: The most messages that one turn of the reactor reads.  Without a limit a flood would
    #: keep every timer waiting.
    messagesPerTurn = 64

    def __init__(
        self, reactor: IReactorFDSet, name: str, sock: socket.socket | None = None
    ) -> None:
        """
        @param name: What log lines of the reactor call this reader.
        @param sock: The socket, which L{stop} closes; C{None} if it is opened later.
        """
        self._reactor = reactor
        self._name = name
        self._socket = sock

    def startReading(self) -> None:
        """
        Have the reactor read the socket.
        """
        self._reactor.addReader(self)

    def stop(self) -> None:
        """
        Stop reading, and close the socket.  No hook is called after this, also when a hook
        calls it.

        The descriptor is closed in the next turn of the reactor.  In this turn poll(2) may
        have reported an error for it already, and a socket that is opened before the reactor
        comes to that error would get the number of the closed descriptor, and the error.
        """
        sock, self._socket = self._socket, None
        if sock is not None:
            self._reactor.removeReader(self)
            cast(IReactorFromThreads, self._reactor).callFromThread(sock.close)

    def receive(self, sock: socket.socket) -> _Message | None:
        """
        Read the next message from the socket.

        @return: The message; C{None} for one to ignore.
        @raise BlockingIOError: If there is none.
        @raise OSError: If the socket has another error.
        """
        raise NotImplementedError

    def messageReceived(self, message: _Message) -> None:
        """
        Handle a message.
        """
        raise NotImplementedError

    def readFailed(self, error: OSError) -> None:
        """
        Handle an error of the socket.
        """

    def drained(self) -> None:
        """
        Handle that all messages have been read.
        """

    def lost(self) -> None:
        """
        Handle that the reactor gave the socket up, which is closed.
        """

    def fileno(self) -> int:
        """
        See C{IReadDescriptor}.
        """
        return -1 if self._socket is None else self._socket.fileno()

    def logPrefix(self) -> str:
        """
        See C{IReadDescriptor}.
        """
        return self._name

    def doRead(self) -> None:
        """
        See C{IReadDescriptor}.
        """
        for _ in range(self.messagesPerTurn):
            if self._socket is None:
                return
            try:
                message = self.receive(self._socket)
            except BlockingIOError:
                self.drained()
                return
            except OSError as error:
                self.readFailed(error)
            else:
                if message is not None:
                    self.messageReceived(message)

    def connectionLost(self, reason: Failure) -> None:
        """
        See C{IReadDescriptor}.
        """
        if self._socket is not None:
            self.stop()
            self.lost()
