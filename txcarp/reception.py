"""
The advertisements of one virtual host on their way in.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from txcarp.configuration import VirtualHostConfiguration
from txcarp.firewall import FirewallWatch
from txcarp.interfaces import IAdvertisementTransport, IPacketReceiver
from txcarp.logs.limits import SayOnce
from txcarp.protocol.advertisement import Advertisement, looksLikeVRRP
from txcarp.protocol.authentication import Authenticator
from txcarp.protocol.envelope import payloadOf, sourceOf, unwrap
from txcarp.protocol.rejection import Rejected, Rejection
from txcarp.refusals import Refusals, dotted

#: Intervals of silence after which to look in front of the firewall.
_SILENCE = 2

#: The shortest such silence in seconds.
_SHORTEST_SILENCE = 0.05


@implementer(IPacketReceiver)
class Reception:
    """
    Reads and verifies, and counts what it refuses.

    @ivar received: How many good advertisements there were.
    @ivar refusals: What was refused.
    """

    _log = Logger()

    def __init__(
        self,
        configuration: VirtualHostConfiguration,
        authenticator: Authenticator,
        clock: IReactorTime,
        sayOnce: SayOnce,
        *,
        arrived: Callable[[], None],
        deliver: Callable[[Advertisement, bytes], None],
        expectsSilence: Callable[[], bool],
    ) -> None:
        """
        @param arrived: Called when there is a packet, before anything else is
            done with it.
        @param deliver: Called with each good advertisement and the packed
            address that it came from.
        @param expectsSilence: Whether this host is master, so that hearing
            nobody is as it should be.
        """
        self.received = 0
        self.refusals = Refusals(configuration.vhid, configuration.debug, sayOnce)
        self._configuration = configuration
        self._authenticator = authenticator
        self._clock = clock
        self._sayOnce = sayOnce
        self._arrived = arrived
        self._deliver = deliver
        self._expectsSilence = expectsSilence
        self._firewall: FirewallWatch | None = None

    def start(self, transport: IAdvertisementTransport) -> None:
        """
        Listen.
        """
        self._firewall = FirewallWatch(
            self._clock, transport, self._read, self._reportFirewall
        )
        self._firewall.start()

    def stop(self) -> None:
        """
        Listen no more.
        """
        if self._firewall is not None:
            self._firewall.stop()
            self._firewall = None

    def watchFront(self) -> None:
        """
        Look in front of the firewall from now on: this host expects to hear
        nobody, so that silence says nothing about the firewall.
        """
        if self._firewall is not None:
            self._firewall.start()

    def packetReceived(self, packet: bytes) -> None:
        """
        The raw socket has a packet.
        """
        if self._firewall is None:
            return
        if self._expectsSilence():
            quiet = None
        else:
            quiet = max(self._configuration.timing.interval * _SILENCE, _SHORTEST_SILENCE)
        self._firewall.passed(packet, quiet)
        self._read(packet)

    def packetFiltered(self, packet: bytes) -> None:
        """
        A packet was seen in front of the firewall.
        """
        if self._firewall is not None:
            self._firewall.seen(packet)

    def _read(self, packet: bytes) -> bool:
        """
        Deal with a packet.

        @return: Whether it was a good advertisement.
        """
        self._arrived()
        try:
            advertisement = self._verified(packet)
        except Rejected as rejected:
            self.refusals.refuse(rejected, packet)
            return False
        self.received += 1
        if self._configuration.debug:
            self._log.debug(
                "Received from {source}: {advertisement}",
                source=dotted(sourceOf(packet)),
                advertisement=advertisement,
            )
        self._deliver(advertisement, sourceOf(packet))
        return True

    def _verified(self, packet: bytes) -> Advertisement:
        configuration = self._configuration
        advertisement = unwrap(
            packet, configuration.vhid, configuration.source, configuration.group
        )
        if not self._authenticator.verify(advertisement.counter, advertisement.digest):
            if looksLikeVRRP(payloadOf(packet)):
                raise Rejected(Rejection.VRRP)
            raise Rejected(Rejection.DIGEST)
        return advertisement

    def _reportFirewall(self) -> None:
        if self._sayOnce.ready("firewall") is not None:
            self._log.error(
                "The firewall of this host drops protocol 112 on {interface}; advertisements are "
                "read in front of it. Let them in, for example with: "
                'nft insert rule inet filter input iifname "{interface}" ip protocol 112 accept',
                interface=self._configuration.interface,
            )
