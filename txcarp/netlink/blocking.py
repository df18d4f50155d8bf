"""
Netlink requests that are waited for: for setting up test networks, never beside a
running reactor.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from types import TracebackType

from txcarp.links import Address, Link
from txcarp.netlink import format as wire
from txcarp.netlink.format import Message, Request
from txcarp.netlink.messages import getAddresses, getLinks, parseAddress, parseAll, parseLink
from txcarp.netlink.socket import openSocket

_TIMEOUT = 5.0
"""Seconds; the kernel answers in microseconds unless it is about to say that it never will."""


class BlockingNetlink:
    """
    A netlink socket as a context manager, in the network namespace where it was made.
    """

    def __init__(self) -> None:
        self._socket = openSocket()
        self._socket.settimeout(_TIMEOUT)
        self._sequence = 0

    def __enter__(self) -> BlockingNetlink:
        return self

    def __exit__(
        self,
        type: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """
        Close the socket.
        """
        self._socket.close()

    def request(self, *requests: Request) -> None:
        """
        Carry requests out one after the other.

        @raise OSError: with the kernel's C{errno} and words, for the first that failed;
            those after it are not tried.
        """
        for request in requests:
            self._ask(request)

    def links(self) -> list[Link]:
        """
        Every link.
        """
        return parseAll(self._ask(getLinks()), parseLink)

    def link(self, name: str) -> Link:
        """
        The link of one name.

        @raise LookupError: when there is none.
        """
        for link in self.links():
            if link.name == name:
                return link
        raise LookupError(f"no interface is called {name}")

    def addresses(self, family: int = socket.AF_UNSPEC) -> list[Address]:
        """
        Every address, of one family or of all.
        """
        return parseAll(self._ask(getAddresses(family)), parseAddress)

    def _ask(self, request: Request) -> Sequence[Message]:
        self._sequence += 1
        self._socket.send(request.packed(self._sequence))
        found: list[Message] = []
        while True:
            for message in wire.readMessages(self._socket.recv(65536)):
                if message.sequence != self._sequence:
                    continue
                if message.type in (wire.NLMSG_ERROR, wire.NLMSG_DONE):
                    error = wire.readError(message)
                    if error is not None:
                        raise error
                    return found
                found.append(message)
