"""
A door from this machine to a port of a host of the demonstration.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import ServerFactory
from twisted.protocols.portforward import ProxyServer


class _Visitor(ProxyServer):
    """
    A connection that goes on to the host.
    """

    factory: Any

    def connectionMade(self) -> None:
        """
        Read nothing until the host is reached.
        """
        transport: Any = self.transport
        transport.pauseProducing()
        onward: Any = self.clientProtocolFactory()
        onward.setServer(self)
        self.factory.connect(onward)


class Door(ServerFactory):
    """
    Connects a browser outside with a host inside: the network of the host is reached from nowhere
    else.
    """

    protocol = _Visitor
    noisy = False

    def __init__(self, connect: Callable[[IProtocolFactory], None]) -> None:
        """
        @param connect: Connects a protocol to the host.
        """
        self.connect = connect
