"""
Questions to the neighbours on one interface: who has this address?
"""

from __future__ import annotations

import contextlib
import errno
import socket
from functools import partial

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReactorFDSet
from twisted.python.failure import Failure

from txcarp.network import socketfilter
from txcarp.network.frames import arpQuestion, neighbourSolicitation, readAnswer
from txcarp.network.sockets import PACKET_IGNORE_OUTGOING, SOL_PACKET, discardReceived
from txcarp.protocol.family import Family
from txcarp.socketreader import SocketReader

#: The kind of Ethernet frames that answers come in (linux/if_ether.h).  With all kinds, each packet
#: that the interface receives would cost the kernel some 150 ns more.
ETHER_TYPES = {Family.IPV4: 0x0806, Family.IPV6: 0x86DD}

#: The longest answer that is read; a neighbour advertisement may have further options.
LONGEST = 512

#: Bytes that the kernel keeps until they are read: a few answers.
_BUFFER = 4096


def sendFrame(sock: socket.socket, frame: bytes) -> None:
    """
    Send a frame through a packet socket that also receives.

    @raise OSError: If it was not sent.
    """
    try:
        sock.send(frame)
    except OSError as error:
        if error.errno != errno.ENETDOWN:
            raise
        sock.send(frame)  # the error may be that of an earlier time


class Questions(SocketReader[tuple[bytes, bytes]]):
    """
    Asks neighbours by ARP or neighbour solicitation, past the kernel's own table of neighbours,
    which may answer from memory, and is not to be filled by questions.

    The kernel passes the answers that are waited for, and drops everything else.  There is one
    wait for an address however many ask for it, and an answer ends it: a storm of answers is not
    read.
    """

    messagesPerTurn = 16

    def __init__(
        self, reactor: IReactorFDSet, interface: str, frames: socket.socket, family: Family
    ) -> None:
        """
        @param frames: A packet socket that receives nothing yet.  L{stop} closes it.
        @param family: The family of the addresses that will be asked for.
        @raise OSError: If the kernel refuses to receive.
        """
        super().__init__(reactor, f"txcarp {interface} neighbours {family.value}", frames)
        self._interface = interface
        self._waiting: dict[bytes, list[Deferred[bytes]]] = {}
        self._hardware = bytes(frames.getsockname()[4])
        try:
            self._filter()
            frames.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            # Linux before 4.20 does not know this; the filter drops what this host sends.
            with contextlib.suppress(OSError):
                frames.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
            # This is done once.  To change it would have the process wait for all processors.
            frames.bind((interface, ETHER_TYPES[family]))
        except BaseException:
            super().stop()
            raise
        self.startReading()

    @property
    def isOver(self) -> bool:
        """
        Whether this is stopped, or the reactor gave the socket up.
        """
        return self._socket is None

    def ask(self, hardware: bytes, source: bytes, address: bytes) -> Deferred[bytes]:
        """
        Ask once for the hardware address of a neighbour.

        @param hardware: The present Ethernet address of the interface.
        @param source: The packed address to ask from; see L{arpQuestion} and
            L{neighbourSolicitation}.
        @param address: The packed address of the neighbour.
        @return: Fires with its hardware address.  Nothing limits the time: cancel it.
        @raise OSError: If the question was not sent.
        """
        sock = self._socket
        if sock is None:
            raise OSError(errno.ENETDOWN, "the interface is gone", self._interface)
        self._hardware = hardware
        answer: Deferred[bytes] = Deferred(partial(self._forget, address))
        waiting = self._waiting.setdefault(address, [])
        waiting.append(answer)
        make = arpQuestion if len(address) == 4 else neighbourSolicitation
        try:
            if len(waiting) == 1:
                if len(self._waiting) > socketfilter.MOST_ANSWERS:
                    raise OSError(errno.ENOBUFS, "too many neighbours are asked at once")
                self._filter()
            sendFrame(sock, make(hardware, source, address))
        except OSError:
            self._forget(address, answer)
            raise
        return answer

    def stop(self) -> None:
        """
        Stop.  What waits for an answer fails with C{OSError}.
        """
        super().stop()
        waiting, self._waiting = self._waiting, {}
        gone = OSError(errno.ENETDOWN, "the interface is gone", self._interface)
        for several in waiting.values():
            for answer in several:
                answer.errback(gone)

    def receive(self, sock: socket.socket) -> tuple[bytes, bytes] | None:
        return readAnswer(sock.recv(LONGEST), self._hardware)

    def messageReceived(self, message: tuple[bytes, bytes]) -> None:
        address, hardware = message
        answers = self._waiting.pop(address, [])
        if answers:
            self._filterIfPossible()
        for answer in answers:
            answer.callback(hardware)

    def connectionLost(self, reason: Failure) -> None:
        """
        See C{IReadDescriptor}.  The kernel reports once that the interface went down.  The socket
        works again when it comes up, and is used to send.
        """
        if self._socket is None:
            return
        if not isinstance(reason.value, ConnectionDone):
            self.stop()
            return
        self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self.startReading()

    def _forget(self, address: bytes, answer: Deferred[bytes]) -> None:
        """
        Wait no longer for one answer.
        """
        waiting = self._waiting.get(address, [])
        if answer in waiting:
            waiting.remove(answer)
            if not waiting:
                del self._waiting[address]
                self._filterIfPossible()

    def _filterIfPossible(self) -> None:
        # The kernel lacks memory, say.  It then passes more than is wanted, which is ignored.
        with contextlib.suppress(OSError):
            self._filter()

    def _filter(self) -> None:
        if self._socket is not None:
            socketfilter.attach(self._socket, socketfilter.answers(self._waiting))
            if not self._waiting:
                discardReceived(self._socket)
