"""
A sample of the packets that the kernel drops because of their headers.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorFDSet, IReactorTime
from twisted.logger import Logger

from txcarp.logs.limits import SayOnce
from txcarp.network.admission import Admission
from txcarp.network.rawsocket import RawReceiver
from txcarp.network.readers import readIPv6
from txcarp.network.sockets import MAXIMUM_PACKET
from txcarp.protocol.envelope import Packet, readPacket
from txcarp.protocol.family import Family
from txcarp.protocol.rejection import Rejected
from txcarp.socketreader import SocketReader

#: Packets that are read in a second, so that a flood of them costs little.
SAMPLE = 32

#: Bytes that the kernel keeps until they are read: as many packets, of any network card.
SAMPLE_BUFFER = 65536


class Sample(SocketReader[Packet]):
    """
    Reads the packets of one family whose headers are wrong: all of them while they are few, and
    L{SAMPLE} in a second at most.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: IReactorFDSet,
        clock: IReactorTime,
        raw: RawReceiver,
        interface: str,
        family: Family,
        received: Callable[[Packet], None],
        closed: Callable[[], None],
    ) -> None:
        """
        @param raw: L{stop} closes it.
        @param received: Called with each packet.
        @param closed: Called if the reactor gives the socket up.
        """
        super().__init__(reactor, f"txcarp {interface} {family.value} sample", raw.socket.dup())
        self._clock = clock
        self._raw = raw
        self._interface = interface
        self._family = family
        self._received = received
        self._closed = closed
        self._limits = SayOnce(clock)
        self._left = SAMPLE
        #: Ends the second that began with a packet.
        self._second: IDelayedCall | None = None
        self.startReading()

    def admit(self, wanted: Admission) -> None:
        """
        Read the packets of these virtual hosts with wrong headers, and no others; none at first.

        @raise OSError: If the kernel refuses something.  Everything else is done.
        """
        self._raw.admit(wanted.groups, wanted.wrong(self._raw.beginning))

    def stop(self) -> None:
        super().stop()
        self._raw.close()
        if self._second is not None:
            self._second.cancel()
            self._second = None

    def doRead(self) -> None:
        self.messagesPerTurn = self._left
        super().doRead()

    def receive(self, sock: socket.socket) -> Packet | None:
        if self._family is Family.IPV6:
            return readIPv6(sock)
        try:
            return readPacket(sock.recv(MAXIMUM_PACKET))
        except Rejected:
            return None  # the kernel delivers no packet with a broken header

    def messageReceived(self, packet: Packet) -> None:
        if self._second is None:
            self._second = self._clock.callLater(1.0, self._renew)
        self._left -= 1
        if not self._left:
            self._reactor.removeReader(self)
            if self._limits.ready(self._family) is not None:
                self._log.warn(
                    "More than {sample} packets of protocol 112 with a wrong header arrived on "
                    "{interface} within a second. This host counts and explains {sample} of them "
                    "in each second, and the kernel drops the others. Find out which host sends "
                    "them, for example with: tcpdump -eni {interface} {rule}",
                    interface=self._interface,
                    sample=SAMPLE,
                    rule="ip proto 112" if self._family is Family.IPV4 else "ip6 proto 112",
                )
        self._received(packet)

    def lost(self) -> None:
        self._closed()

    def _renew(self) -> None:
        self._second = None
        if not self._left:
            self.startReading()
        self._left = SAMPLE
