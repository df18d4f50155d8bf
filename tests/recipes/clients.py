"""
Clients that ask all the time, and measure for how long nobody answered rightly.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable
from itertools import pairwise

import attrs

from txcarp.testbed import Node

#: Seconds from one question to the next.
_EVERY = 0.02

#: Seconds that a client waits for an answer.
PATIENCE = 0.2


@attrs.frozen
class Answer:
    """
    An answer.

    @ivar time: When it came, on the monotonic clock.
    @ivar text: What it said.
    """

    time: float
    text: str


class Asker:
    """
    Asks the same question again and again, in a thread of its own.

    @ivar answers: The good answers.
    @ivar failed: The number of questions without one.
    """

    def __init__(self, question: Callable[[], str]) -> None:
        """
        @param question: Asks once, and returns the answer.  It may block, for no longer than
            L{PATIENCE}.  An C{OSError} or C{ValueError} is a question without an answer.
        """
        self.answers: list[Answer] = []
        self.failed = 0
        self._question = question
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def last(self) -> str:
        """
        The newest answer; empty before the first.
        """
        return self.answers[-1].text if self.answers else ""

    def stop(self) -> None:
        """
        Stop asking.
        """
        self._ends.set()
        self._thread.join()

    def silence(self, since: float) -> float:
        """
        The longest time from one good answer to the next, in seconds.

        @param since: A time on the monotonic clock.  Silences that ended before do not count.
        """
        times = [answer.time for answer in list(self.answers)]
        return max(later - sooner for sooner, later in pairwise(times) if later > since)

    def _run(self) -> None:
        while not self._ends.wait(_EVERY):
            try:
                text = self._question()
            except (OSError, ValueError):
                self.failed += 1
            else:
                self.answers.append(Answer(time.monotonic(), text))


def familyOf(address: str) -> socket.AddressFamily:
    """
    The family of an address.
    """
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def page(node: Node, address: str, path: str = "/") -> str:
    """
    What a web server answers to somebody on a node.

    @raise OSError: If nobody answers.
    @raise ValueError: If the answer is an error.
    """
    with node.socket(familyOf(address), socket.SOCK_STREAM) as sock:
        sock.settimeout(PATIENCE)
        sock.connect((address, 80))
        sock.sendall(f"GET {path} HTTP/1.0\r\nHost: example.org\r\n\r\n".encode())
        data = b""
        while more := sock.recv(4096):
            data += more
    head, _, body = data.decode().partition("\r\n\r\n")
    if " 200 " not in head.partition("\r\n")[0]:
        raise ValueError(f"an error: {head}")
    return body.strip()


def lookedUp(node: Node, address: str, name: str) -> str:
    """
    The IPv4 address that a name server gives for a name to somebody on a node.

    @raise OSError: If nobody answers.
    @raise ValueError: If the answer is not one address.
    """
    labels = b"".join(bytes((len(one),)) + one.encode() for one in name.split("."))
    question = struct.pack("!6H", 4711, 0x0100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1"
    with node.socket(familyOf(address), socket.SOCK_DGRAM) as sock:
        sock.settimeout(PATIENCE)
        # Connected, so that an answer from another address is not heard.
        sock.connect((address, 53))
        sock.send(question)
        answer = sock.recv(1500)
    if answer[3] & 0xF or answer[6:8] != b"\0\1":
        raise ValueError(f"no address: {answer.hex()}")
    # RFC 1035 3.2.1: the address is the end of the one record if nothing follows it.
    return socket.inet_ntoa(answer[-4:])


def knock(node: Node, address: str) -> str:
    """
    See whether a host answers somebody on a node: it refuses a connection, or accepts it.

    @raise OSError: If it does not answer.
    """
    with node.socket(familyOf(address), socket.SOCK_STREAM) as sock:
        sock.settimeout(PATIENCE)
        try:
            sock.connect((address, 9))
        except ConnectionRefusedError:
            return "refused"
    return "accepted"


class Conversation:
    """
    One TCP connection to a server that echoes: the question is a number, and the answer is the
    same.  A lost packet only takes time.
    """

    def __init__(self, node: Node, address: str, port: int) -> None:
        """
        @raise OSError: If nobody answers.
        """
        self._sock = node.socket(familyOf(address), socket.SOCK_STREAM)
        self._sock.settimeout(PATIENCE)
        self._sock.connect((address, port))
        self._number = 0
        self._asked = False

    def __call__(self) -> str:
        """
        Ask once, or go on waiting for the last answer.

        @raise OSError: If there is none yet, or the connection is gone.
        """
        if not self._asked:
            self._sock.sendall(b"%d" % self._number)
            self._asked = True
        answer = self._sock.recv(64).decode()
        if answer != str(self._number):
            raise ConnectionResetError(f"{answer!r} instead of {self._number}")
        self._asked = False
        self._number += 1
        return answer
