"""
The same questions to the neighbours on one interface, again and again.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Callable, Iterable, Sequence
from threading import Thread

from zope.interface import implementer

from txcarp.interfaces import IPolling
from txcarp.network import socketfilter
from txcarp.network.frames import readAnswer
from txcarp.network.questions import ETHER_TYPES, LONGEST, sendFrame
from txcarp.network.sockets import PACKET_IGNORE_OUTGOING, SOL_PACKET, discardReceived
from txcarp.protocol.family import Family

#: Bytes that the kernel keeps until they are read: some dozens of answers.
_BUFFER = 65536

#: The most answers that are read at a time, so that a storm of them costs little.
_AT_ONCE = 64

#: What is known of an address that has not answered.
_NONE = (0, b"")

#: Makes the frame of a question: the arguments are those of L{IPolling.ask}.  Returns the hardware
#: address that the answer will be sent to, and the frame.
MakeFrame = Callable[[bytes, Sequence[bytes], bytes | None], tuple[bytes, bytes]]


@implementer(IPolling)
class Polling:
    """
    Asks through a socket of its own, which the reactor does not read: the answers wait in the
    kernel until somebody looks for them, at the moment of the next question.  So one question costs
    one turn of the reactor, and what arrived before that moment counts, however late it is.
    """

    def __init__(
        self, interface: str, frames: socket.socket, family: Family, make: MakeFrame
    ) -> None:
        """
        @param frames: A packet socket that receives nothing yet.  L{close} closes it.
        @param make: Raises C{OSError} if nobody can be asked.
        @raise OSError: If the kernel refuses to receive.
        """
        self._socket = frames
        self._make = make
        self._hardware = b""
        self._frames: dict[tuple[bytes, bytes | None], bytes] = {}
        #: How many follow each address; and the number of its answers, with the hardware address
        #: of the last one.
        self._followers: dict[bytes, int] = {}
        self._seen: dict[bytes, tuple[int, bytes]] = {}
        try:
            self._filter()
            frames.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            # Linux before 4.20 does not know this; the filter drops what this host sends.
            with contextlib.suppress(OSError):
                frames.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
            frames.bind((interface, ETHER_TYPES[family]))
        except BaseException:
            frames.close()
            raise
        discardReceived(frames)

    @property
    def isIdle(self) -> bool:
        return not self._followers

    def follow(self, addresses: Iterable[bytes]) -> None:
        before = dict(self._followers)
        for one in addresses:
            self._followers[one] = self._followers.get(one, 0) + 1
        try:
            if len(self._followers) > socketfilter.MOST_ANSWERS:
                raise OSError(errno.ENOBUFS, "too many neighbours are asked at once")
            if len(self._followers) > len(before):
                self._filter()
        except OSError:
            self._followers = before
            raise

    def unfollow(self, addresses: Iterable[bytes]) -> None:
        before = len(self._followers)
        for one in addresses:
            self._followers[one] -= 1
            if not self._followers[one]:
                del self._followers[one]
                self._seen.pop(one, None)
        if len(self._followers) < before:
            # The kernel lacks memory, say.  It then passes more than is wanted.
            with contextlib.suppress(OSError):
                self._filter()

    def ask(self, address: bytes, sources: Sequence[bytes], to: bytes | None = None) -> None:
        frame = self._frames.get((address, to))
        if frame is None:
            self._hardware, frame = self._make(address, sources, to)
            self._frames[address, to] = frame
        sendFrame(self._socket, frame)

    def refresh(self) -> None:
        self._frames.clear()

    def read(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                answer = readAnswer(self._socket.recv(LONGEST), self._hardware)
            except BlockingIOError:
                return
            except OSError:
                continue  # the interface went down, which the kernel reports once
            if answer is not None and answer[0] in self._followers:
                address, hardware = answer
                self._seen[address] = self._seen.get(address, _NONE)[0] + 1, hardware

    def heard(self, address: bytes) -> tuple[int, bytes]:
        return self._seen.get(address, _NONE)

    def close(self) -> None:
        # The kernel first waits until no processor uses a packet socket any more (synchronize_net
        # in packet_release): ten milliseconds, just when this host takes over.
        try:
            Thread(target=self._socket.close, name="txcarp close", daemon=True).start()
        except RuntimeError:  # there are too many threads
            self._socket.close()

    def _filter(self) -> None:
        socketfilter.attach(self._socket, socketfilter.answers(self._followers))
