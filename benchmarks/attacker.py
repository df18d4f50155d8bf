"""
A host on the segment that belongs to no group and has no password.
"""

from __future__ import annotations

import socket
import time

import attrs
from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from txcarp.protocol.advertisement import PROTOCOL
from txcarp.testbed import Node

_IPV4 = 0x0800
_ETHERNET = 14
_OUTGOING = 4
_GROUP = bytes.fromhex("01005e000012")


@attrs.frozen
class Captured:
    """
    A captured advertisement.

    @ivar time: When, on the monotonic clock.
    @ivar packet: The IP packet.
    """

    time: float
    packet: bytes


@implementer(IReadDescriptor)
class Attacker:
    """
    Captures all IPv4 advertisements, and sends packets from its own Ethernet address.

    @ivar captured: The advertisements, oldest first.
    @ivar sent: The number of packets that it sent.
    """

    def __init__(self, reactor: IReactorFDSet, node: Node, interface: str = "eth0") -> None:
        self.captured: list[Captured] = []
        self.sent = 0
        self._reactor = reactor
        kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK
        self._socket = node.socket(socket.AF_PACKET, kind, socket.htons(_IPV4))
        self._socket.bind((interface, _IPV4))
        self._header = _GROUP + node.link(interface).address + _IPV4.to_bytes(2, "big")
        reactor.addReader(self)

    def send(self, packet: bytes) -> None:
        """
        Send an IPv4 packet in a frame to the group.
        """
        self._socket.send(self._header + packet)
        self.sent += 1

    def close(self) -> None:
        """
        Stop listening.
        """
        self._reactor.removeReader(self)
        self._socket.close()

    def fileno(self) -> int:
        """
        See L{IReadDescriptor}.
        """
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """
        See L{IReadDescriptor}.
        """
        return "attacker"

    def connectionLost(self, reason: Failure) -> None:
        """
        See L{IReadDescriptor}.
        """
        self.close()

    def doRead(self) -> None:
        """
        Read one frame.
        """
        try:
            frame, sender = self._socket.recvfrom(2048)
        except BlockingIOError:
            return
        packet = frame[_ETHERNET:]
        if sender[2] != _OUTGOING and len(packet) > 20 and packet[9] == PROTOCOL:
            self.captured.append(Captured(time.monotonic(), packet))
